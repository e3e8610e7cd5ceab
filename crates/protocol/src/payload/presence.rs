//! Who is present, and what the server stamps on each session.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::Json;

super::words! {
    /// Whether a session may edit or only views. Asked for at join, granted by the token.
    pub enum Mode {
        /// It may edit.
        Edit = "edit",
        /// It views: never first in line for editing, never asked to give way.
        View = "view",
    }
}

super::words! {
    /// How alive a session is.
    pub enum Status {
        /// There was input lately.
        Active = "active",
        /// There was none for `idle_after`.
        Idle = "idle",
        /// The tab is not visible.
        Hidden = "hidden",
        /// The connection is lost; the session stays for `grace`.
        Reconnecting = "reconnecting",
    }
}

super::words! {
    /// What a session is doing.
    pub enum Activity {
        /// Looking.
        Viewing = "viewing",
        /// Typing; ends by itself after 10 s.
        Typing = "typing",
        /// Editing.
        Editing = "editing",
    }
}

/// What the server stamps on a session's meta, over whatever the client put there.
///
/// A meta on the wire also has the client's own fields; this type ignores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PresenceMeta {
    /// Names this version of the meta; never used twice.
    pub phx_ref: String,
    /// The version before, after an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub phx_ref_prev: Option<String>,
    /// When the session joined.
    pub joined_at: u64,
    /// The session.
    pub session: String,
    /// Who it is.
    #[cfg_attr(feature = "typescript", ts(type = "UserCard"))]
    pub user: Json,
    /// Whether it may edit.
    pub mode: Mode,
    /// How alive it is.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// Whether it has changes that are not saved.
    pub unsaved: bool,
    /// Since when it has been idle; null while it is not.
    pub idle_since: Option<u64>,
}

/// The metas of one key: one per session, never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PresenceEntry {
    /// Oldest session first.
    #[cfg_attr(
        feature = "typescript",
        ts(type = "Array<PresenceMeta & { [custom: string]: unknown }>")
    )]
    pub metas: Vec<Json>,
}

/// `presence_state`: everybody present, by key.
pub type PresenceState = BTreeMap<String, PresenceEntry>;

/// `presence_diff`: who came and who left. Joins are applied first, so an update does not flicker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PresenceDiff {
    /// Metas that are new.
    #[cfg_attr(feature = "typescript", ts(type = "PresenceState"))]
    pub joins: PresenceState,
    /// Metas that are gone, whole.
    #[cfg_attr(feature = "typescript", ts(type = "PresenceState"))]
    pub leaves: PresenceState,
}
