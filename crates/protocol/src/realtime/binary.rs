//! The binary frames of the dialect; their layout is in the module above.

use bytes::{Buf, Bytes};

use super::{BROADCAST, wrapped};
use crate::binary::{Names, encode, lengths, push_names};
use crate::encode::{EncodeError, Encoded};
use crate::event::BINARY_BROADCAST;
use crate::frame::{ClientFrame, Payload};
use crate::json::{Json, JsonLimits};
use crate::malformed::{AnswerTo, Field, MalformedReason};

/// The kind of a client's broadcast.
pub(crate) const BROADCAST_PUSH: u8 = 3;

const SERVER_BROADCAST: u8 = 4;

/// The data are bytes.
const BYTES: u8 = 0;

/// The data are JSON.
const JSON: u8 = 1;

/// Reads a broadcast after its kind. One of JSON becomes what the same broadcast is as text, one of
/// bytes what it is as a plain binary push.
pub(crate) fn decode_broadcast_push(
    mut frame: Bytes,
    limits: &JsonLimits,
    answer_to: &mut Option<AnswerTo>,
) -> Result<ClientFrame, MalformedReason> {
    let [join_ref_len, ref_len, topic_len, event_len, more_len, encoding] = lengths(&mut frame)?;
    let lengths = [join_ref_len, ref_len, topic_len, event_len];
    let Names { join_ref, reference, topic, event } = push_names(lengths, &mut frame, answer_to)?;
    let more_len = usize::from(more_len);
    if frame.len() < more_len {
        return Err(MalformedReason::PastEnd);
    }
    frame.advance(more_len);
    let (event, payload) = match encoding {
        BYTES => (format!("{BINARY_BROADCAST}{event}"), Payload::Binary(frame)),
        JSON => {
            let payload = Json::parse(&frame, limits).map_err(MalformedReason::Payload)?;
            (BROADCAST.to_owned(), Payload::Json(wrapped(&event, &payload)))
        }
        other => return Err(MalformedReason::UnknownEncoding(other)),
    };
    Ok(ClientFrame { join_ref, reference, topic, event, payload })
}

/// Encodes a broadcast of bytes.
pub(crate) fn encode_broadcast(
    topic: &str,
    event: &str,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    let names = [(Field::Topic, topic), (Field::Event, event)];
    encode((SERVER_BROADCAST, &names), &[0, BYTES], data)
}
