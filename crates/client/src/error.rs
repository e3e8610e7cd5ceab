//! What can go wrong, and whether trying again can help.

use std::time::Duration;

use penholder_protocol::{CloseCode, CloseReason, EncodeError, ErrorReply, PayloadError};

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address, a parameter or a header cannot be used. The caller must correct it.
    #[error("cannot connect there: {detail}")]
    Address {
        /// What is wrong with it.
        detail: String,
    },
    /// The server answered, but not with an upgrade. 401 and 403: get another token; 429 and 503:
    /// try again later.
    #[error("the server refused with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header in seconds, if there is one.
        retry_after_s: Option<u64>,
    },
    /// Nobody answered, or not as a WebSocket server. Trying again may help.
    #[error("no connection: {detail}")]
    Unreachable {
        /// What happened.
        detail: String,
    },
    /// It took longer than [`Options::timeout`](crate::Options::timeout). Trying again may help.
    #[error("connecting took too long")]
    Timeout,
}

impl ConnectError {
    /// Whether the same attempt can succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            ConnectError::Unreachable { .. } | ConnectError::Timeout => true,
            ConnectError::Refused { status, .. } => *status == 429 || *status >= 500,
            ConnectError::Address { .. } => false,
        }
    }

    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            ConnectError::Refused { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The server closed it.
    #[error("the server closed the connection with code {number}")]
    Closed {
        /// The number in the close frame; 1005 when there was none.
        number: u16,
        /// The text of the close frame, if it is one of Penholder's.
        reason: Option<CloseReason>,
    },
    /// It broke off.
    #[error("the connection was lost: {detail}")]
    Lost {
        /// What happened.
        detail: String,
    },
    /// A heartbeat was not answered in time, or the server reads nothing.
    #[error("the server is silent")]
    Silent,
    /// The server sent what is no frame of the protocol.
    #[error("the server sent a malformed frame: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// This side closed it, with a goodbye.
    #[error("closed by this side")]
    Left,
    /// This side dropped it, without a goodbye.
    #[error("dropped by this side")]
    Aborted,
    /// The connection was lost, and the server refused another one.
    #[error("not connected again: {0}")]
    NotReconnected(ConnectError),
}

impl Disconnect {
    /// The close code, if the server gave one that this version of the protocol knows.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Disconnect::Closed { number, .. } => CloseCode::from_number(*number),
            _ => None,
        }
    }

    /// Whether connecting again can help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Disconnect::Closed { .. } => !matches!(
                self.close_code(),
                Some(CloseCode::TokenExpired | CloseCode::Forbidden | CloseCode::Replaced)
            ),
            Disconnect::Lost { .. } | Disconnect::Silent => true,
            Disconnect::Malformed { .. }
            | Disconnect::Left
            | Disconnect::Aborted
            | Disconnect::NotReconnected(_) => false,
        }
    }
}

/// Why a push was not done, or nobody knows whether it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PushError {
    /// The server refused; its reply says why, and when trying again can help.
    #[error("refused: {}", .0.reason)]
    Refused(ErrorReply),
    /// No reply came in time. It may have been done.
    #[error("no reply in time")]
    Timeout,
    /// There is no connection, or it ended before the reply. It may have been done.
    #[error("not connected")]
    Disconnected,
    /// The channel has ended. Join again.
    #[error("the channel has ended")]
    Ended,
    /// The frame cannot be encoded. The caller must shorten a name or use another wire format.
    #[error(transparent)]
    Frame(#[from] EncodeError),
    /// The reply is not what this event is answered with. The server is another one than expected.
    #[error("the reply: {0}")]
    Reply(PayloadError),
}

impl PushError {
    /// The stable code of a refusal; empty from a server that has none, `None` for anything else.
    pub fn code(&self) -> Option<&str> {
        match self {
            PushError::Refused(reply) => Some(&reply.code),
            _ => None,
        }
    }
}

/// Why a topic was not joined: a join is a push, and fails like one.
pub type JoinError = PushError;
