//! Names of events, in both directions.

use std::fmt;
use std::sync::Arc;

/// The most bytes of the name of an event that an application broadcasts.
///
/// A binary push carries it as `broadcast:NAME` behind a length of one byte; this leaves room.
pub const EVENT_BYTES_MAX: usize = 200;

pub(crate) const BINARY_BROADCAST: &str = "broadcast:";

/// What a client asks for, by the name of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// `phx_join`.
    Join,
    /// `phx_leave`.
    Leave,
    /// `heartbeat`, which means something on the topic `phoenix` only.
    Heartbeat,
    /// `presence_update`.
    PresenceUpdate,
    /// `typing`.
    Typing,
    /// `broadcast`, whose payload names the event.
    Broadcast,
    /// `broadcast:NAME`, as a binary push names the event; not yet checked.
    BroadcastNamed(&'a str),
    /// `pen_acquire`.
    PenAcquire,
    /// `pen_renew`.
    PenRenew,
    /// `pen_release`.
    PenRelease,
    /// `pen_request`.
    PenRequest,
    /// `pen_answer`.
    PenAnswer,
    /// `pen_take_over`.
    PenTakeOver,
    /// `pen_draft`.
    PenDraft,
    /// `token`.
    Token,
    /// `presence`, by which a channel of [`realtime`](crate::realtime) is shown and hidden.
    Presence,
    /// `access_token`, which is what such a channel says for `token`.
    AccessToken,
    /// Anything else, which a live channel answers with `unknown_event`.
    Unknown,
}

impl<'a> ClientEvent<'a> {
    /// The event that `name` names.
    ///
    /// ```
    /// use penholder_protocol::ClientEvent;
    ///
    /// assert_eq!(ClientEvent::parse("phx_join"), ClientEvent::Join);
    /// assert_eq!(ClientEvent::parse("broadcast:moved"), ClientEvent::BroadcastNamed("moved"));
    /// assert_eq!(ClientEvent::parse("PHX_JOIN"), ClientEvent::Unknown);
    /// ```
    pub fn parse(name: &'a str) -> ClientEvent<'a> {
        match name {
            "phx_join" => ClientEvent::Join,
            "phx_leave" => ClientEvent::Leave,
            "heartbeat" => ClientEvent::Heartbeat,
            "presence_update" => ClientEvent::PresenceUpdate,
            "typing" => ClientEvent::Typing,
            "broadcast" => ClientEvent::Broadcast,
            "pen_acquire" => ClientEvent::PenAcquire,
            "pen_renew" => ClientEvent::PenRenew,
            "pen_release" => ClientEvent::PenRelease,
            "pen_request" => ClientEvent::PenRequest,
            "pen_answer" => ClientEvent::PenAnswer,
            "pen_take_over" => ClientEvent::PenTakeOver,
            "pen_draft" => ClientEvent::PenDraft,
            "token" => ClientEvent::Token,
            "presence" => ClientEvent::Presence,
            "access_token" => ClientEvent::AccessToken,
            _ => match name.strip_prefix(BINARY_BROADCAST) {
                Some(named) => ClientEvent::BroadcastNamed(named),
                None => ClientEvent::Unknown,
            },
        }
    }

    /// The field of the event's payload that is a meta, with bounds of its own.
    pub(crate) fn meta_field(&self) -> Option<&'static str> {
        match self {
            ClientEvent::Join | ClientEvent::PresenceUpdate => Some("meta"),
            ClientEvent::Presence => Some("payload"),
            _ => None,
        }
    }
}

/// What the server says of its own accord, or in reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The answer to a push.
    Reply,
    /// The channel crashed; the client joins again.
    Error,
    /// The channel is closed.
    Close,
    /// Everybody who is present.
    PresenceState,
    /// Who came and who left.
    PresenceDiff,
    /// Who has edit priority.
    PresenceSummary,
    /// Something has happened to the pen.
    Pen,
    /// Somebody types, or no longer.
    Typing,
    /// The token is about to expire.
    TokenExpiring,
    /// Counts and names of several topics.
    Summaries,
}

impl ServerEvent {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerEvent::Reply => "phx_reply",
            ServerEvent::Error => "phx_error",
            ServerEvent::Close => "phx_close",
            ServerEvent::PresenceState => "presence_state",
            ServerEvent::PresenceDiff => "presence_diff",
            ServerEvent::PresenceSummary => "presence_summary",
            ServerEvent::Pen => "pen",
            ServerEvent::Typing => "typing",
            ServerEvent::TokenExpiring => "token_expiring",
            ServerEvent::Summaries => "summaries",
        }
    }
}

impl fmt::Display for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether only the server sends events of this name, so that nobody may broadcast one.
///
/// ```
/// use penholder_protocol::is_reserved_event;
///
/// assert!(is_reserved_event("presence_diff"));
/// assert!(is_reserved_event("pencil")); // `pen*` has no underscore.
/// assert!(!is_reserved_event("moved"));
/// ```
pub fn is_reserved_event(name: &str) -> bool {
    const NAMES: [&str; 2] = ["typing", "collision"];
    const PREFIXES: [&str; 9] = [
        "phx_",
        "presence_",
        "pen",
        "token",
        "ticket",
        "tickets_",
        "comment_",
        "internal_note_",
        "notification_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The name of an event that an application may broadcast: 1 to 200 bytes, no control characters,
/// not reserved. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Checks `name` and takes a copy.
    ///
    /// # Errors
    ///
    /// [`EventNameError`]; the sender must choose another name.
    pub fn parse(name: &str) -> Result<EventName, EventNameError> {
        if name.is_empty() {
            Err(EventNameError::Empty)
        } else if name.len() > EVENT_BYTES_MAX {
            Err(EventNameError::TooLong)
        } else if name.chars().any(char::is_control) {
            Err(EventNameError::ControlCharacter)
        } else if is_reserved_event(name) {
            Err(EventNameError::Reserved)
        } else {
            Ok(EventName(name.into()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why nobody may broadcast an event of some name. The sender must choose another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventNameError {
    /// No name at all.
    #[error("an event has a name")]
    Empty,
    /// More than [`EVENT_BYTES_MAX`] bytes.
    #[error("the name of an event has at most {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// A control character.
    #[error("the name of an event has no control characters")]
    ControlCharacter,
    /// Only the server sends events of that name: answered with `reserved_event`.
    #[error("only the server sends events of that name")]
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::{ClientEvent, EventName, EventNameError, is_reserved_event};

    #[test]
    fn reserved_names_are_those_of_the_specification() {
        for name in [
            "phx_reply",
            "phx_",
            "presence_x",
            "pen",
            "pen_draft",
            "penguin",
            "token",
            "token_expiring",
            "typing",
            "ticket",
            "ticket_created",
            "tickets_x",
            "comment_added",
            "internal_note_added",
            "collision",
            "notification_x",
        ] {
            assert!(is_reserved_event(name), "{name}");
        }
        for name in [
            "phx",
            "presence",
            "typings",
            "Typing",
            "comment",
            "collisions",
            "summaries",
            "open",
            "notification",
        ] {
            assert!(!is_reserved_event(name), "{name}");
        }
    }

    #[test]
    fn events_that_nobody_knows_are_unknown() {
        for name in ["pen_steal", "pen", "", "shout", "phx_close", "broadcast_"] {
            assert_eq!(ClientEvent::parse(name), ClientEvent::Unknown, "{name}");
        }
    }

    #[test]
    fn names_to_broadcast_are_bounded_and_printable() {
        assert_eq!(EventName::parse("moved").unwrap().as_str(), "moved");
        assert!(EventName::parse(&"a".repeat(200)).is_ok());
        for (name, why) in [
            ("", EventNameError::Empty),
            (&*"a".repeat(201), EventNameError::TooLong),
            ("a\nb", EventNameError::ControlCharacter),
            ("a\u{85}b", EventNameError::ControlCharacter),
            ("phx_close", EventNameError::Reserved),
        ] {
            assert_eq!(EventName::parse(name), Err(why), "{name:?}");
        }
    }
}
