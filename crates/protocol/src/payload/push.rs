//! What a session says after it has joined, and what the server answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::presence::Activity;
use crate::json::Json;

/// `presence_update`: given fields replace, absent and null ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct PresenceUpdate {
    /// The client's meta, as a whole: an object of at most `meta_max` bytes; unchecked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "{ [custom: string]: unknown }"))]
    pub meta: Option<Json>,
    /// What the session is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// Whether there are changes that are not saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<bool>,
    /// Whether the tab is visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<bool>,
    /// `true`: there was input just now. `false` says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<bool>,
}

/// The reply to `presence_update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PresenceUpdateReply {
    /// The `phx_ref` of the meta as it is now, the same as before when nothing changed; null while
    /// the session is not shown.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

super::words! {
    /// Who is told of `typing`, where that is not everybody.
    pub enum TypingAudience {
        /// The staff of the topic alone: what is written is a note.
        Staff = "staff",
    }
}

/// `typing`, as a session sends it; replied to with `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Typing {
    /// Whether the session types; off by itself after 10 s.
    pub on: bool,
    /// Who is told, on topics of tickets by those who hear as staff; everybody when absent or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub audience: Option<TypingAudience>,
}

/// `typing`, as the others of the topic receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TypingEvent {
    /// Who types.
    pub key: String,
    /// In which session.
    pub session: String,
    /// Whether it types now.
    pub on: bool,
    /// Who is told of it; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub audience: Option<TypingAudience>,
}

/// `broadcast`: sends an event to the others of the topic; replied to with `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Broadcast {
    /// The name of the event: 1 to 200 bytes, not reserved; unchecked.
    pub event: String,
    /// What the event says. An object, for payloads that a server sends are objects; absent: `{}`.
    #[serde(default = "Json::empty_object")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "{ [field: string]: unknown }"))]
    pub payload: Json,
    /// Whether the sender receives it too; false by default.
    #[serde(default, rename = "self", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub to_self: Option<bool>,
}

/// `token`: a fresh token of the same person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TokenRefresh {
    /// The token.
    pub token: String,
}

/// Shows nothing of the token.
impl fmt::Debug for TokenRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRefresh(…)")
    }
}

/// The reply to `token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TokenRefreshReply {
    /// When the new token expires.
    pub expires_at: u64,
}

/// `token_expiring`: 60 s before the token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TokenExpiring {
    /// When it expires.
    pub at: u64,
}
