//! Error codes of replies and close codes of sockets: both lists are closed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::EventNameError;
use crate::json::Json;
use crate::meta::MetaError;

/// Declares an enum whose variants have names on the wire, so that the two never drift apart.
macro_rules! named {
    (
        $(#[$outer:meta])* $visibility:vis enum $name:ident by $to:ident {
            $($(#[$inner:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$outer])*
        $visibility enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// Every one of them, in the order of their declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name on the wire.
            pub fn $to(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($text => Ok($name::$variant),)+
                    _ => Err(UnknownName),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.$to())
            }
        }
    };
}

/// Declares the reasons for refusals: each with its name on the wire, its status of HTTP, and what to do about it.
macro_rules! refused {
    ($($(#[$inner:meta])* $variant:ident = $text:literal, $status:literal, $message:expr;)+) => {
        named! {
            /// Why a request was refused; stable, for programs to decide by.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum ErrorCode by code {
                $($(#[$inner])* $variant = $text,)+
            }
        }

        impl ErrorCode {
            /// The status of HTTP that fits.
            pub fn status(self) -> u16 {
                match self {
                    $(ErrorCode::$variant => $status,)+
                }
            }

            /// What to do about it, for a developer to read.
            pub fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $message,)+
                }
            }
        }
    };
}

/// What to do about a field that is not as it must be.
const A_FIELD: &str = "Send what the message and details.field say.";

refused! {
    /// The token does not allow it, or there is no such thing: the two are not told apart.
    NotAuthorized = "not_authorized", 403,
        "The token does not allow this here. Ask for a token with the capability it needs.";
    /// The token is missing, invalid, expired, or another person's.
    InvalidToken = "invalid_token", 401, "Send a token of the same person, signed and current.";
    /// The topic breaks the rules for names, or nothing can be joined there.
    InvalidTopic = "invalid_topic", 422,
        "A topic is 1 to 200 bytes: segments of A-Z a-z 0-9 _ . ~ - separated by colons.";
    /// The meta is not an object, too deep, has too many keys or a key that is refused.
    InvalidMeta = "invalid_meta", 422,
        "Send a meta that is an object, at most 16 deep, with at most 256 keys to an object \
        and none of __proto__, constructor, prototype.";
    /// The meta has too many bytes.
    MetaTooLarge = "meta_too_large", 422,
        "Send a smaller meta; limits.meta_max in the join reply says how small.";
    /// The socket has joined as many topics as it may.
    TooManyTopics = "too_many_topics", 422, "Leave a topic first, or open another socket.";
    /// Too much in too short a time.
    RateLimited = "rate_limited", 429, "Send less; try again after retry_after_ms.";
    /// Something that the server needs is away.
    Unavailable = "unavailable", 503, "Try again after a moment.";
    /// The topic is not joined on this socket.
    UnmatchedTopic = "unmatched_topic", 404,
        "Join the topic on this socket before you push to it.";
    /// No such event.
    UnknownEvent = "unknown_event", 404,
        "No such event; check its name and the server's version.";
    /// The frame is not one of the protocol.
    Malformed = "malformed", 400, "Send a frame of the negotiated version, at most 16 deep.";
    /// This session may not do that.
    Forbidden = "forbidden", 403,
        "This session may only view. Join in edit mode with a token that allows it.";
    /// Only the server sends events of that name.
    ReservedEvent = "reserved_event", 422,
        "Choose another name; only the server sends events of that name.";
    /// The payload does not fit the event.
    InvalidPayload = "invalid_payload", 422, "Send the payload that the event wants.";
    /// The session does not hold the pen under that fence.
    LeaseLost = "lease_lost", 409,
        "You do not hold the pen under this fence any more. Stop writing; leave a draft, and \
        acquire it anew.";
    /// Somebody else has the pen; over HTTP only.
    PenHeld = "pen_held", 409, "Somebody else has the pen; wait for it, or ask for it.";
    /// A write carries the fence of a pen that has gone on.
    StaleFence = "stale_fence", 409,
        "The pen has gone on since. Acquire it anew, and look at what was written meanwhile.";
    /// The time to live is not one that a pen may have.
    InvalidTtl = "invalid_ttl", 422,
        "ttl_ms is a whole number of milliseconds, from 1000 to what the server allows.";
    /// As many wait for the pen as may.
    QueueFull = "queue_full", 429,
        "As many wait for this pen as may; try again after a moment.";
    /// A ticket's status cannot change like that.
    InvalidTransition = "invalid_transition", 409,
        "From where it stands the ticket cannot become that.";
    /// What was done is not opened again here.
    ReopenNotAllowed = "reopen_not_allowed", 409,
        "Tickets are not reopened here; make another.";
    /// Nobody comments on a closed ticket.
    TicketClosed = "ticket_closed", 409, "The ticket is closed; reopen it first.";
    /// The ticket is not what the writer has read.
    StaleVersion = "stale_version", 412, "Read the ticket again, and write with its version.";
    /// The part of a list that was asked for is none.
    InvalidPage = "invalid_page", 422, "Send a next_cursor of the same list.";
    /// The title of a ticket is not as it must be.
    InvalidTitle = "invalid_title", 422, A_FIELD;
    /// The description of a ticket is not as it must be.
    InvalidDescription = "invalid_description", 422, A_FIELD;
    /// The category of a ticket is not as it must be.
    InvalidCategory = "invalid_category", 422, A_FIELD;
    /// The priority of a ticket is not as it must be.
    InvalidPriority = "invalid_priority", 422, A_FIELD;
    /// The status of a ticket is not as it must be.
    InvalidStatus = "invalid_status", 422, A_FIELD;
    /// The owner of a ticket is not as it must be.
    InvalidUserId = "invalid_user_id", 422, A_FIELD;
    /// The guest who made a ticket is not as it must be.
    InvalidGuest = "invalid_guest", 422, A_FIELD;
    /// The metadata of a ticket is not as it must be.
    InvalidMetadata = "invalid_metadata", 422, A_FIELD;
    /// The files of a ticket or comment are not as they must be.
    InvalidAttachments = "invalid_attachments", 422, A_FIELD;
    /// The reason of a change of status is not as it must be.
    InvalidReason = "invalid_reason", 422, A_FIELD;
    /// What a comment says is not as it must be.
    InvalidContent = "invalid_content", 422, A_FIELD;
    /// What a comment answers is not as it must be.
    InvalidParent = "invalid_parent", 422, A_FIELD;
    /// Whom a ticket is assigned to is not as it must be.
    InvalidAssignee = "invalid_assignee", 422, A_FIELD;
    /// Which tickets are changed together is not as it must be.
    InvalidIds = "invalid_ids", 422, A_FIELD;
    /// The name of a person is not as it must be.
    InvalidName = "invalid_name", 422, A_FIELD;
    /// The key of a request that may be repeated is none.
    InvalidIdempotencyKey = "invalid_idempotency_key", 400,
        "Send 1 to 255 visible ASCII characters, once.";
    /// The key stands for another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422,
        "It came with another body; send another key.";
    /// A request with the same key has not been answered yet.
    RequestInProgress = "request_in_progress", 409,
        "The first is under way; wait for Retry-After.";
    /// What was asked for of the log is not kept any more, or never was there; over HTTP only.
    ResetRequired = "reset_required", 410,
        "Fetch the state anew, and go on after details.last.";
    /// The address does not know the method; over HTTP only.
    MethodNotAllowed = "method_not_allowed", 405, "Send one of the methods in Allow; see /docs.";
    /// There is no such thing; over HTTP only.
    NotFound = "not_found", 404, "Nothing is there; check the name.";
    /// A defect of the server.
    Internal = "internal", 500,
        "A defect of the server. Try again; if it stays, report it with the time.";
}

impl ErrorCode {
    /// The word that Phoenix has for it, else the code.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorCode::TooManyTopics => "too many channels joined",
            ErrorCode::UnmatchedTopic => "unmatched topic",
            _ => self.code(),
        }
    }
}

impl From<EventNameError> for ErrorCode {
    fn from(error: EventNameError) -> ErrorCode {
        match error {
            EventNameError::Reserved => ErrorCode::ReservedEvent,
            EventNameError::Empty | EventNameError::TooLong | EventNameError::ControlCharacter => {
                ErrorCode::InvalidPayload
            }
        }
    }
}

impl From<&MetaError> for ErrorCode {
    fn from(error: &MetaError) -> ErrorCode {
        match error {
            MetaError::TooLarge { .. } => ErrorCode::MetaTooLarge,
            MetaError::NotAnObject | MetaError::Refused(_) => ErrorCode::InvalidMeta,
        }
    }
}

/// The `response` of every error reply.
///
/// Its texts are open, so that a client understands a server that knows more codes than it does.
///
/// ```
/// use penholder_protocol::{ErrorCode, ErrorReply, Json};
///
/// let reply = ErrorReply::new(ErrorCode::RateLimited).retry_after_ms(250);
/// assert_eq!(reply.known_code(), Some(ErrorCode::RateLimited));
/// assert!(Json::of(&reply).as_str().starts_with(r#"{"reason":"rate_limited","code":"rate_limited""#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ErrorReply {
    /// Phoenix's word where it has one, else the code.
    pub reason: Cow<'static, str>,
    /// The code, for programs to decide by; empty from a server that has none.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "ErrorCode | (string & Record<never, never>)"))]
    pub code: Cow<'static, str>,
    /// What to do about it, for a developer to read.
    #[serde(default)]
    pub message: Cow<'static, str>,
    /// How long to wait before trying again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub retry_after_ms: Option<u64>,
    /// The pen as it is, where one was lost or another has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "Pen"))]
    pub pen: Option<Json>,
}

impl ErrorReply {
    /// The reply for `code`, with its own message.
    pub fn new(code: ErrorCode) -> ErrorReply {
        ErrorReply {
            reason: code.reason().into(),
            code: code.code().into(),
            message: code.message().into(),
            retry_after_ms: None,
            pen: None,
        }
    }

    /// The same with a message that says more.
    #[must_use]
    pub fn message(self, message: impl Into<Cow<'static, str>>) -> ErrorReply {
        ErrorReply { message: message.into(), ..self }
    }

    /// The same with a time to wait.
    #[must_use]
    pub fn retry_after_ms(self, retry_after_ms: u64) -> ErrorReply {
        ErrorReply { retry_after_ms: Some(retry_after_ms), ..self }
    }

    /// The same with the pen as it is.
    #[must_use]
    pub fn pen(self, pen: Json) -> ErrorReply {
        ErrorReply { pen: Some(pen), ..self }
    }

    /// The code, if this version of the protocol knows it.
    pub fn known_code(&self) -> Option<ErrorCode> {
        self.code.parse().ok()
    }
}

impl From<ErrorCode> for ErrorReply {
    fn from(code: ErrorCode) -> ErrorReply {
        ErrorReply::new(code)
    }
}

named! {
    /// Why the server closes a socket. Never 1000: old clients would stay away for good.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum CloseCode by name {
        /// 1001: the peer was silent, or the server has no more use for the socket.
        GoingAway = "going_away",
        /// 1002: the frames break RFC 6455.
        Protocol = "protocol",
        /// 1003: a binary message where only JSON is understood.
        Unsupported = "unsupported",
        /// 1007: a text frame that is not UTF-8.
        NotUtf8 = "not_utf8",
        /// 1008: against a policy of the server that has no code of its own.
        Policy = "policy",
        /// 1009: a message or frame above `message_max`.
        TooBig = "too_big",
        /// 1011: a defect of the server.
        Internal = "internal",
        /// 1012: the server restarts; come back after `reconnect_after_ms`.
        Restart = "restart",
        /// 1013: the server has more to do than it can.
        Overloaded = "overloaded",
        /// 4400: the third malformed frame.
        Malformed = "malformed",
        /// 4401: the token expired or was revoked.
        TokenExpired = "token_expired",
        /// 4403: this person may not connect, now or later.
        Forbidden = "forbidden",
        /// 4408: the peer reads too slowly.
        SlowConsumer = "slow_consumer",
        /// 4409: another socket took the place of this one.
        Replaced = "replaced",
        /// 4429: the peer goes on sending although it is limited.
        TooMany = "too_many",
    }
}

impl CloseCode {
    /// The number in the close frame.
    pub fn number(self) -> u16 {
        match self {
            CloseCode::GoingAway => 1001,
            CloseCode::Protocol => 1002,
            CloseCode::Unsupported => 1003,
            CloseCode::NotUtf8 => 1007,
            CloseCode::Policy => 1008,
            CloseCode::TooBig => 1009,
            CloseCode::Internal => 1011,
            CloseCode::Restart => 1012,
            CloseCode::Overloaded => 1013,
            CloseCode::Malformed => 4400,
            CloseCode::TokenExpired => 4401,
            CloseCode::Forbidden => 4403,
            CloseCode::SlowConsumer => 4408,
            CloseCode::Replaced => 4409,
            CloseCode::TooMany => 4429,
        }
    }

    /// The code that has a number.
    pub fn from_number(number: u16) -> Option<CloseCode> {
        CloseCode::ALL.iter().copied().find(|code| code.number() == number)
    }
}

/// The text of a close frame: `{"code":"restart","reconnect_after_ms":1500}`.
///
/// Always below the 123 bytes that RFC 6455 leaves for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct CloseReason {
    /// The name of the close code.
    #[cfg_attr(feature = "typescript", ts(type = "CloseCode | (string & Record<never, never>)"))]
    pub code: Cow<'static, str>,
    /// How long to wait before connecting again, where the server wants a wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub reconnect_after_ms: Option<u64>,
}

impl CloseReason {
    /// The reason for `code`, without a wait.
    pub fn new(code: CloseCode) -> CloseReason {
        CloseReason { code: code.name().into(), reconnect_after_ms: None }
    }

    /// The same with a wait.
    #[must_use]
    pub fn reconnect_after_ms(self, reconnect_after_ms: u64) -> CloseReason {
        CloseReason { reconnect_after_ms: Some(reconnect_after_ms), ..self }
    }

    /// The text for the close frame.
    pub fn to_text(&self) -> String {
        Json::of(self).as_str().to_owned()
    }

    /// Reads the text of a close frame; `None` when the peer wrote something else there.
    pub fn from_text(text: &str) -> Option<CloseReason> {
        serde_json::from_str(text).ok()
    }
}

/// A name that this version of the protocol does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct UnknownName;

#[cfg(test)]
mod tests {
    use super::{CloseCode, CloseReason, ErrorCode, ErrorReply};
    use crate::json::Json;

    #[test]
    fn reasons_are_phoenix_words_where_it_has_one() {
        assert_eq!(ErrorCode::TooManyTopics.reason(), "too many channels joined");
        assert_eq!(ErrorCode::UnmatchedTopic.reason(), "unmatched topic");
        assert_eq!(ErrorCode::NotAuthorized.reason(), "not_authorized");
    }

    #[test]
    fn names_are_read_back() {
        for &code in ErrorCode::ALL {
            assert_eq!(code.code().parse(), Ok(code));
            assert!(!code.message().is_empty());
            assert!((400..=599).contains(&code.status()), "{code}");
        }
        for &code in CloseCode::ALL {
            assert_eq!(code.name().parse(), Ok(code));
            assert_eq!(CloseCode::from_number(code.number()), Some(code));
        }
        assert_eq!(CloseCode::from_number(1000), None);
    }

    #[test]
    fn error_reply_of_a_newer_server_is_understood() {
        let newer = Json::trusted(r#"{"reason":"x","code":"of_next_year","message":"m","more":1}"#);
        let reply: ErrorReply = newer.parse_into().unwrap();
        assert_eq!(reply.known_code(), None);
        let phoenix: ErrorReply = Json::trusted(r#"{"reason":"x"}"#).parse_into().unwrap();
        assert_eq!(phoenix.code, "");
    }

    #[test]
    fn close_reason_fits_into_a_close_frame() {
        for &code in CloseCode::ALL {
            let text = CloseReason::new(code).reconnect_after_ms(u64::MAX).to_text();
            assert!(text.len() <= 123, "{text}");
            assert_eq!(CloseReason::from_text(&text).unwrap().reconnect_after_ms, Some(u64::MAX));
        }
        assert_eq!(
            CloseReason::new(CloseCode::SlowConsumer).to_text(),
            r#"{"code":"slow_consumer"}"#
        );
        assert_eq!(CloseReason::from_text("bye"), None);
    }
}
