//! Frames that are none, and whom to tell.

use std::fmt;

use crate::code::{ErrorCode, ErrorReply};
use crate::encode::{self, Address, Encoded, ReplyStatus};
use crate::frame::Wire;
use crate::json::{Json, JsonError};
use crate::reference::{Ref, RefError};

/// A frame that breaks the protocol. Its sender is at fault, and trying again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame: {reason}")]
pub struct Malformed {
    /// What is wrong.
    pub reason: MalformedReason,
    /// Whom to tell, where the frame can still be read that far.
    pub answer_to: Option<AnswerTo>,
}

impl Malformed {
    /// The code of the answer: `malformed`, or `invalid_meta` when the fault lies within a meta, in which
    /// case the frame itself is sound and does not count towards closing the socket.
    pub fn code(&self) -> ErrorCode {
        match self.reason {
            MalformedReason::Meta(JsonError::TooDeep { .. } | JsonError::TooManyKeys { .. }) => {
                ErrorCode::InvalidMeta
            }
            _ => ErrorCode::Malformed,
        }
    }

    /// The error reply, if there is anybody to tell.
    pub fn reply(&self, wire: Wire) -> Option<Encoded> {
        let answer_to = self.answer_to.as_ref()?;
        let response = ErrorReply::new(self.code()).message(self.reason.to_string());
        Some(encode::reply(wire, &answer_to.address(), ReplyStatus::Error, &Json::of(&response)))
    }
}

/// The refs of a malformed frame, for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTo {
    /// The join that the frame says it belongs to.
    pub join_ref: Option<Ref>,
    /// The ref of the frame.
    pub reference: Ref,
    /// The topic of the frame; `phoenix`, the connection's own, when it names none that is a string.
    pub topic: String,
}

impl AnswerTo {
    pub(crate) const CONNECTION: &'static str = "phoenix";

    /// Where the reply goes.
    pub fn address(&self) -> Address<'_> {
        Address {
            join_ref: self.join_ref.as_ref(),
            reference: Some(&self.reference),
            topic: &self.topic,
        }
    }
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedReason {
    /// The text is not JSON.
    #[error("the frame is not JSON")]
    NotJson,
    /// The text is JSON, but no array in V2 or no object in V1.
    #[error("the frame is not an array in V2, an object in V1")]
    NotAFrame,
    /// A part is missing.
    #[error("the frame has no {0}")]
    Missing(Field),
    /// A part is not a string, or one with a lone surrogate.
    #[error("the {0} is not a string")]
    NotAString(Field),
    /// A ref is none.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// The payload breaks a bound, or holds what JSON does not allow.
    #[error("payload: {0}")]
    Payload(JsonError),
    /// The fault lies within the meta of the payload.
    #[error("meta: {0}")]
    Meta(JsonError),
    /// A binary frame is of a kind that its sender does not send.
    #[error("no binary frame of kind {0} is sent in this direction")]
    UnknownKind(u8),
    /// The data of a binary broadcast are neither bytes nor JSON.
    #[error("no broadcast has data of encoding {0}")]
    UnknownEncoding(u8),
    /// A binary frame ends before the lengths in its head say.
    #[error("the lengths in the binary frame reach past its end")]
    PastEnd,
    /// A name in a binary frame is not UTF-8.
    #[error("the {0} is not UTF-8")]
    NotUtf8(Field),
    /// A reply of the server has no `status` or no `response`.
    #[error("the reply has no status or no response")]
    NotAReply,
}

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The join ref.
    JoinRef,
    /// The ref.
    Ref,
    /// The topic.
    Topic,
    /// The event.
    Event,
    /// The payload.
    Payload,
    /// The status of a binary reply.
    Status,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::JoinRef => "join_ref",
            Field::Ref => "ref",
            Field::Topic => "topic",
            Field::Event => "event",
            Field::Payload => "payload",
            Field::Status => "status",
        })
    }
}
