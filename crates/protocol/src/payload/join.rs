//! Joining a topic.

use std::fmt;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::presence::Mode;
use super::summary::ViewerSummary;
use crate::json::Json;

/// The payload of `phx_join`; every field may be absent or null.
///
/// ```
/// use penholder_protocol::{Json, JsonLimits, JoinPayload, Mode, PresenceMode, Since};
///
/// let text = r#"{"mode": "view", "presence": "receive", "since": 7, "role": "admin"}"#;
/// let join: JoinPayload = Json::parse(text, &JsonLimits::default()).unwrap().parse_into()?;
/// assert_eq!(join.mode, Some(Mode::View));
/// assert_eq!(join.presence, PresenceMode::Receive);
/// assert_eq!(join.since, Some(Since::After(7)));
/// # Ok::<(), penholder_protocol::PayloadError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct JoinPayload {
    /// What the session wants to do; absent: edit where the token allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether to be shown and to receive presence.
    #[serde(skip_serializing_if = "PresenceMode::is_default")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<PresenceMode>", optional))]
    pub presence: PresenceMode,
    /// What the client tells about its session: an object of at most `meta_max` bytes; unchecked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "{ [custom: string]: unknown }"))]
    pub meta: Option<Json>,
    /// The last `seq` seen: what was missed comes after the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub since: Option<Since>,
    /// The resume token of an earlier session, to go on as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
}

/// Shows that there is a resume token, never which.
impl fmt::Debug for JoinPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinPayload")
            .field("mode", &self.mode)
            .field("presence", &self.presence)
            .field("meta", &self.meta)
            .field("since", &self.since)
            .field("resume", &self.resume.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Whether a session is shown and receives presence: `true`, `"receive"` or `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(type = "boolean | \"receive\""))]
pub enum PresenceMode {
    /// Both.
    #[default]
    Show,
    /// It only receives: invisible.
    Receive,
    /// Neither.
    Off,
}

impl PresenceMode {
    fn is_default(&self) -> bool {
        *self == PresenceMode::default()
    }
}

impl Serialize for PresenceMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PresenceMode::Show => serializer.serialize_bool(true),
            PresenceMode::Receive => serializer.serialize_str("receive"),
            PresenceMode::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for PresenceMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false or \"receive\"")]
        enum Either {
            Switch(bool),
            Word(String),
        }
        match Option::<Either>::deserialize(deserializer)? {
            None | Some(Either::Switch(true)) => Ok(PresenceMode::Show),
            Some(Either::Switch(false)) => Ok(PresenceMode::Off),
            Some(Either::Word(word)) if word == "receive" => Ok(PresenceMode::Receive),
            Some(Either::Word(word)) => {
                Err(D::Error::invalid_value(Unexpected::Str(&word), &"true, false or \"receive\""))
            }
        }
    }
}

/// Where a client says it stopped listening.
///
/// Whatever is no `seq` at all, negative, fractional, beyond 2⁶⁴ or a string, parses too: a client that
/// asks for it is told `reset_required` instead of being refused, or worse, silently given nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// After this `seq`. Whether it exists is for the log to say.
    After(u64),
    /// After something that can never have been seen.
    Impossible,
}

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Since::After(seq) => serializer.serialize_u64(*seq),
            Since::Impossible => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Ok(value.as_str().parse().map_or(Since::Impossible, Since::After))
    }
}

/// The reply to `phx_join`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct JoinReply {
    /// The session: this connection's membership in the topic.
    pub session: String,
    /// Lets a later connection go on as this session; keep it secret.
    pub resume: String,
    /// Under which key the session is shown.
    pub key: String,
    /// When the session joined; a resumed one keeps its time.
    pub joined_at: u64,
    /// What the session may do.
    pub mode: Mode,
    /// The `seq` that the durable events go on from; 0 when there was none.
    pub seq: u64,
    /// Whether everything after `since` follows; false: fetch the state anew; null: `since` was absent.
    pub recovered: Option<bool>,
    /// Who has edit priority, for this session; null when it does not receive presence.
    pub summary: Option<ViewerSummary>,
    /// The pen as it was read last; null where there are none, and while their store is away.
    #[cfg_attr(feature = "typescript", ts(type = "Pen | null"))]
    pub pen: Option<Json>,
    /// The limits that bind a client.
    pub limits: Limits,
}

/// Shows that there is a resume token, never which.
impl fmt::Debug for JoinReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinReply")
            .field("session", &self.session)
            .field("key", &self.key)
            .field("joined_at", &self.joined_at)
            .field("mode", &self.mode)
            .field("seq", &self.seq)
            .field("recovered", &self.recovered)
            .finish_non_exhaustive()
    }
}

/// The limits that bind a client, by the names they have in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Limits {
    /// Bytes of a message.
    pub message_max: u64,
    /// Bytes of a meta, as the client writes it.
    pub meta_max: u64,
    /// Topics of one socket.
    pub topics_per_socket: u64,
    /// Messages per second of one socket.
    pub messages_per_second: u64,
    /// Messages at once.
    pub messages_burst: u64,
    /// Joins per second of one socket.
    pub joins_per_second: u64,
    /// Joins at once.
    pub joins_burst: u64,
    /// Presence updates per second of one session.
    pub presence_updates_per_second: u64,
    /// Presence updates at once.
    pub presence_updates_burst: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_max: 64 * 1024,
            meta_max: 1024,
            topics_per_socket: 100,
            messages_per_second: 30,
            messages_burst: 60,
            joins_per_second: 10,
            joins_burst: 20,
            presence_updates_per_second: 5,
            presence_updates_burst: 20,
        }
    }
}

/// The payload of a join of `system:summaries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SummariesJoin {
    /// The topics to watch, at most 200; unchecked.
    pub topics: Vec<String>,
}
