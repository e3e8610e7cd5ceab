//! Writes frames: one buffer, sized beforehand, into which payloads are spliced as they are.
//!
//! A broadcast does not depend on who receives it, so one [`Encoded`] serves every subscriber of
//! a topic that speaks the same [`Wire`]; cloning it copies no bytes.
//!
//! ```
//! use penholder_protocol::encode::{self, Address, ReplyStatus};
//! use penholder_protocol::{Json, Ref, Wire};
//!
//! let address = Address {
//!     join_ref: Some(&Ref::counter(1)),
//!     reference: Some(&Ref::counter(2)),
//!     topic: "doc:42",
//! };
//! let frame = encode::reply(Wire::V2, &address, ReplyStatus::Ok, &Json::empty_object());
//! assert_eq!(
//!     frame.as_text(),
//!     Some(r#"["1","2","doc:42","phx_reply",{"status":"ok","response":{}}]"#),
//! );
//! ```

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::code::{ErrorCode, ErrorReply};
use crate::event::ServerEvent;
use crate::frame::{ClientFrame, Payload, Wire};
use crate::json::Json;
use crate::malformed::Field;
use crate::reference::Ref;
use crate::{binary, v1, v2};

/// A frame ready to be sent; cloning it shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// A text message; always UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Encoded {
    /// The bytes of the message.
    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Encoded::Text(bytes) | Encoded::Binary(bytes) => bytes,
        }
    }

    /// The text of a text message. Costs a look at every byte.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Encoded::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Encoded::Binary(_) => None,
        }
    }

    /// How many bytes the message has.
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The join that the answered push belongs to.
    pub join_ref: Option<&'a Ref>,
    /// The ref of the answered push.
    pub reference: Option<&'a Ref>,
    /// The topic as the client named it, valid or not.
    pub topic: &'a str,
}

/// What is sent to subscribers.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The name of the event.
    pub event: &'a str,
    /// What the event says; an object, as every payload of a server.
    pub payload: &'a Json,
}

/// Whether what was asked has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum ReplyStatus {
    /// It has.
    Ok,
    /// It has not; the response says why.
    Error,
}

impl ReplyStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplyStatus::Ok => "ok",
            ReplyStatus::Error => "error",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<ReplyStatus> {
        [ReplyStatus::Ok, ReplyStatus::Error].into_iter().find(|status| status.as_str() == word)
    }
}

/// Why a frame cannot be written. The caller must shorten a name, or use another wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Binary frames have lengths of one byte.
    #[error("the {0} has more than 255 bytes")]
    NameTooLong(Field),
    /// V1 has no binary frames.
    #[error("V1 has no binary frames")]
    BinaryOverV1,
}

/// A reply: `[join_ref, ref, topic, "phx_reply", {"status", "response"}]`.
pub fn reply(wire: Wire, address: &Address<'_>, status: ReplyStatus, response: &Json) -> Encoded {
    let &Address { join_ref, reference, topic } = address;
    let body = Body::Reply(status, response.as_str());
    let event = ServerEvent::Reply.as_str();
    Text { sender: Sender::Server, join_ref, reference, topic, event, body }.encode(wire)
}

/// An error reply whose response is `error`.
pub fn error_reply(wire: Wire, address: &Address<'_>, error: &ErrorReply) -> Encoded {
    reply(wire, address, ReplyStatus::Error, &Json::of(error))
}

/// A push to one session: `[join_ref, null, topic, event, payload]`.
pub fn push(wire: Wire, join_ref: Option<&Ref>, message: &Message<'_>) -> Encoded {
    let &Message { topic, event, payload } = message;
    let body = Body::Plain(payload.as_str());
    Text { sender: Sender::Server, join_ref, reference: None, topic, event, body }.encode(wire)
}

/// A broadcast, the same for all: `[null, null, topic, event, payload]`.
pub fn broadcast(wire: Wire, message: &Message<'_>) -> Encoded {
    push(wire, None, message)
}

/// The end of a channel: `[join_ref, join_ref, topic, "phx_close", {}]`.
///
/// `join_ref` is that of the instance that ends. A null there would close its successor too, so it is
/// null only for a join that came with neither ref.
pub fn close(wire: Wire, join_ref: Option<&Ref>, topic: &str) -> Encoded {
    end(wire, join_ref, topic, (ServerEvent::Close, "{}"))
}

/// The crash of a channel: `[join_ref, join_ref, topic, "phx_error", {"reason":"channel_crash"}]`.
pub fn error(wire: Wire, join_ref: Option<&Ref>, topic: &str) -> Encoded {
    end(wire, join_ref, topic, (ServerEvent::Error, r#"{"reason":"channel_crash"}"#))
}

/// The reply to a heartbeat, on the topic `phoenix`.
pub fn heartbeat_reply(wire: Wire, reference: Option<&Ref>) -> Encoded {
    let address = Address { join_ref: None, reference, topic: "phoenix" };
    reply(wire, &address, ReplyStatus::Ok, &Json::empty_object())
}

/// The reply to a push on a topic that is not joined; its join ref is null.
pub fn unmatched_topic(wire: Wire, reference: Option<&Ref>, topic: &str) -> Encoded {
    let address = Address { join_ref: None, reference, topic };
    error_reply(wire, &address, &ErrorCode::UnmatchedTopic.into())
}

/// A binary push to one session, kind 0. V2 only.
///
/// # Errors
///
/// [`EncodeError::NameTooLong`].
pub fn binary_push(
    join_ref: Option<&Ref>,
    topic: &str,
    event: &str,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    binary::encode_push(join_ref, topic, event, data)
}

/// A binary reply, kind 1. V2 only.
///
/// # Errors
///
/// [`EncodeError::NameTooLong`].
pub fn binary_reply(
    address: &Address<'_>,
    status: ReplyStatus,
    data: &[u8],
) -> Result<Encoded, EncodeError> {
    binary::encode_reply(address, status, data)
}

/// A binary broadcast, kind 2. V2 only.
///
/// # Errors
///
/// [`EncodeError::NameTooLong`].
pub fn binary_broadcast(topic: &str, event: &str, data: &[u8]) -> Result<Encoded, EncodeError> {
    binary::encode_broadcast(topic, event, data)
}

/// A frame of a client, text or binary as its payload is.
///
/// # Errors
///
/// [`EncodeError`]: a binary payload over V1, or one whose names are too long.
pub fn client(wire: Wire, frame: &ClientFrame) -> Result<Encoded, EncodeError> {
    let ClientFrame { join_ref, reference, topic, event, payload } = frame;
    match (payload, wire) {
        (Payload::Json(json), _) => Ok(Text {
            sender: Sender::Client,
            join_ref: join_ref.as_ref(),
            reference: reference.as_ref(),
            topic,
            event,
            body: Body::Plain(json.as_str()),
        }
        .encode(wire)),
        (Payload::Binary(data), Wire::V2) => binary::encode_client(frame, data),
        (Payload::Binary(_), Wire::V1) => Err(EncodeError::BinaryOverV1),
    }
}

fn end(
    wire: Wire,
    join_ref: Option<&Ref>,
    topic: &str,
    (event, payload): (ServerEvent, &str),
) -> Encoded {
    Text {
        sender: Sender::Server,
        join_ref,
        reference: join_ref,
        topic,
        event: event.as_str(),
        body: Body::Plain(payload),
    }
    .encode(wire)
}

/// A text frame before it is written.
pub(crate) struct Text<'a> {
    pub(crate) sender: Sender,
    pub(crate) join_ref: Option<&'a Ref>,
    pub(crate) reference: Option<&'a Ref>,
    pub(crate) topic: &'a str,
    pub(crate) event: &'a str,
    pub(crate) body: Body<'a>,
}

/// Who writes: V1 shows join refs in one direction only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// The last part of a text frame; the texts are valid JSON.
pub(crate) enum Body<'a> {
    Plain(&'a str),
    Reply(ReplyStatus, &'a str),
}

impl Text<'_> {
    /// More than the punctuation, field names and refs of any frame.
    const FRAMING_BYTES: usize = 128;

    fn encode(&self, wire: Wire) -> Encoded {
        let body_len = match self.body {
            Body::Plain(text) | Body::Reply(_, text) => text.len(),
        };
        let names_len = self.topic.len() + self.event.len();
        let mut out = Vec::with_capacity(Self::FRAMING_BYTES + names_len + body_len);
        match wire {
            Wire::V1 => v1::write(self, &mut out),
            Wire::V2 => v2::write(self, &mut out),
        }
        Encoded::Text(out.into())
    }

    pub(crate) fn write_ref(&self, reference: Option<&Ref>, out: &mut Vec<u8>) {
        out.extend_from_slice(reference.map_or("null", Ref::as_json).as_bytes());
    }
}

impl Body<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Body::Plain(text) => out.extend_from_slice(text.as_bytes()),
            Body::Reply(status, response) => {
                out.extend_from_slice(b"{\"status\":\"");
                out.extend_from_slice(status.as_str().as_bytes());
                out.extend_from_slice(b"\",\"response\":");
                out.extend_from_slice(response.as_bytes());
                out.push(b'}');
            }
        }
    }
}

/// Appends `text` as a JSON string.
#[expect(clippy::expect_used, reason = "a string always has a JSON form, and a Vec takes it")]
pub(crate) fn write_json(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string always has a JSON form");
}
