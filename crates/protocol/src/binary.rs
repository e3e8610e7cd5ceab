//! Binary frames of V2: a kind, one-byte lengths, names, then data to the end.
//!
//! ```text
//! client push   0 | jr_len | ref_len | topic_len | event_len | jr | ref | topic | event | data
//! server push   0 | jr_len | topic_len | event_len | jr | topic | event | data
//! server reply  1 | jr_len | ref_len | topic_len | status_len | jr | ref | topic | status | data
//! broadcast     2 | topic_len | event_len | topic | event | data
//! ```
//!
//! A length of 0 is a null ref, so an empty string cannot be a ref here. Kinds 3 and 4 are those of
//! [`realtime`].

use bytes::{Buf, Bytes};

use crate::encode::{EncodeError, Encoded, ReplyStatus};
use crate::frame::{ClientFrame, Payload};
use crate::json::JsonLimits;
use crate::malformed::{AnswerTo, Field, Malformed, MalformedReason};
use crate::realtime;
use crate::reference::Ref;
use crate::server_frame::{ServerBody, ServerFrame};

const PUSH: u8 = 0;
const REPLY: u8 = 1;
const BROADCAST: u8 = 2;

/// Reads a push of a client.
pub(crate) fn decode_client(
    mut frame: Bytes,
    limits: &JsonLimits,
) -> Result<ClientFrame, Malformed> {
    let mut answer_to = None;
    let decoded = match frame.try_get_u8() {
        Ok(PUSH) => decode_push(frame, &mut answer_to),
        Ok(realtime::BROADCAST_PUSH) => {
            realtime::decode_broadcast_push(frame, limits, &mut answer_to)
        }
        Ok(other) => Err(MalformedReason::UnknownKind(other)),
        Err(_) => Err(MalformedReason::PastEnd),
    };
    decoded.map_err(|reason| Malformed { reason, answer_to })
}

/// Reads any frame of a server.
pub(crate) fn decode_server(mut frame: Bytes) -> Result<ServerFrame, MalformedReason> {
    let kind = frame.try_get_u8().map_err(|_| MalformedReason::PastEnd)?;
    let (join_ref, reference, topic, body) = match kind {
        PUSH => {
            let [join_ref, topic, event] =
                names([Field::JoinRef, Field::Topic, Field::Event], &mut frame)?;
            let body = ServerBody::Event { event, payload: Payload::Binary(frame) };
            (nullable(&join_ref)?, None, topic, body)
        }
        REPLY => {
            let fields = [Field::JoinRef, Field::Ref, Field::Topic, Field::Status];
            let [join_ref, reference, topic, status] = names(fields, &mut frame)?;
            let status = ReplyStatus::parse(&status).ok_or(MalformedReason::NotAReply)?;
            let body = ServerBody::Reply { status, response: Payload::Binary(frame) };
            (nullable(&join_ref)?, nullable(&reference)?, topic, body)
        }
        BROADCAST => {
            let [topic, event] = names([Field::Topic, Field::Event], &mut frame)?;
            (None, None, topic, ServerBody::Event { event, payload: Payload::Binary(frame) })
        }
        other => return Err(MalformedReason::UnknownKind(other)),
    };
    Ok(ServerFrame { join_ref, reference, topic, body })
}

/// Encodes a push of a client.
pub(crate) fn encode_client(frame: &ClientFrame, data: &[u8]) -> Result<Encoded, EncodeError> {
    let join_ref = frame.join_ref.as_ref().map(Ref::content).unwrap_or_default();
    let reference = frame.reference.as_ref().map(Ref::content).unwrap_or_default();
    let names = [
        (Field::JoinRef, &*join_ref),
        (Field::Ref, &*reference),
        (Field::Topic, &*frame.topic),
        (Field::Event, &*frame.event),
    ];
    encode((PUSH, &names), &[], data)
}

/// Encodes a push to one client.
pub(crate) fn encode_push(
    join_ref: Option<&Ref>,
    topic: &str,
    event: &str,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    let join_ref = join_ref.map(Ref::content).unwrap_or_default();
    let names = [(Field::JoinRef, &*join_ref), (Field::Topic, topic), (Field::Event, event)];
    encode((PUSH, &names), &[], data)
}

/// Encodes a reply.
pub(crate) fn encode_reply(
    address: &crate::encode::Address<'_>,
    status: ReplyStatus,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    let join_ref = address.join_ref.map(Ref::content).unwrap_or_default();
    let reference = address.reference.map(Ref::content).unwrap_or_default();
    let names = [
        (Field::JoinRef, &*join_ref),
        (Field::Ref, &*reference),
        (Field::Topic, address.topic),
        (Field::Status, status.as_str()),
    ];
    encode((REPLY, &names), &[], data)
}

/// Encodes a broadcast.
pub(crate) fn encode_broadcast(
    topic: &str,
    event: &str,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    encode((BROADCAST, &[(Field::Topic, topic), (Field::Event, event)]), &[], data)
}

/// The names that a push begins with.
pub(crate) struct Names {
    pub(crate) join_ref: Option<Ref>,
    pub(crate) reference: Option<Ref>,
    pub(crate) topic: String,
    pub(crate) event: String,
}

fn decode_push(
    mut frame: Bytes,
    answer_to: &mut Option<AnswerTo>,
) -> Result<ClientFrame, MalformedReason> {
    let lengths = lengths(&mut frame)?;
    let Names { join_ref, reference, topic, event } = push_names(lengths, &mut frame, answer_to)?;
    Ok(ClientFrame { join_ref, reference, topic, event, payload: Payload::Binary(frame) })
}

/// Takes the names of a push off its frame, and notes whom to tell of what is wrong after them.
pub(crate) fn push_names(
    [join_ref_len, ref_len, topic_len, event_len]: [u8; 4],
    frame: &mut Bytes,
    answer_to: &mut Option<AnswerTo>,
) -> Result<Names, MalformedReason> {
    let join_ref = nullable(&name(Field::JoinRef, join_ref_len, frame)?)?;
    let reference = nullable(&name(Field::Ref, ref_len, frame)?)?;
    *answer_to = reference.clone().map(|reference| AnswerTo {
        join_ref: join_ref.clone(),
        reference,
        topic: AnswerTo::CONNECTION.to_owned(),
    });
    let topic = name(Field::Topic, topic_len, frame)?;
    if let Some(answer_to) = answer_to {
        answer_to.topic.clone_from(&topic);
    }
    let event = name(Field::Event, event_len, frame)?;
    Ok(Names { join_ref, reference, topic, event })
}

fn names<const N: usize>(
    fields: [Field; N],
    frame: &mut Bytes,
) -> Result<[String; N], MalformedReason> {
    let lengths: [u8; N] = lengths(frame)?;
    let mut names = [const { String::new() }; N];
    for ((slot, field), length) in names.iter_mut().zip(fields).zip(lengths) {
        *slot = name(field, length, frame)?;
    }
    Ok(names)
}

pub(crate) fn lengths<const N: usize>(frame: &mut Bytes) -> Result<[u8; N], MalformedReason> {
    let mut lengths = [0; N];
    frame.try_copy_to_slice(&mut lengths).map_err(|_| MalformedReason::PastEnd)?;
    Ok(lengths)
}

fn name(field: Field, length: u8, frame: &mut Bytes) -> Result<String, MalformedReason> {
    let length = usize::from(length);
    if frame.len() < length {
        return Err(MalformedReason::PastEnd);
    }
    let bytes = frame.split_to(length);
    match std::str::from_utf8(&bytes) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(MalformedReason::NotUtf8(field)),
    }
}

fn nullable(content: &str) -> Result<Option<Ref>, MalformedReason> {
    if content.is_empty() { Ok(None) } else { Ok(Some(Ref::string(content)?)) }
}

/// Writes a frame; `head` is what stands between the lengths and the names.
pub(crate) fn encode(
    (kind, names): (u8, &[(Field, &str)]),
    head: &[u8],
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    let names_len: usize = names.iter().map(|(_, name)| name.len()).sum();
    let mut out = Vec::with_capacity(1 + names.len() + head.len() + names_len + data.len());
    out.push(kind);
    for &(field, name) in names {
        out.push(u8::try_from(name.len()).map_err(|_| EncodeError::NameTooLong(field))?);
    }
    out.extend_from_slice(head);
    for (_, name) in names {
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(data);
    Ok(Encoded::Binary(out.into()))
}
