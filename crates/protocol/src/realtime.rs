//! The dialect of npm `@supabase/realtime-js`: Phoenix Channels whose presence and broadcasts have
//! shapes of their own.
//!
//! Whether a channel is in it shows in its join, see [`Config::read`]. Such a channel
//!
//! - is not shown until it asks to be, by `presence {event: "track", payload}`, where `payload` is its
//!   meta; `untrack` hides it again;
//! - says `broadcast {type: "broadcast", event, payload}`, and hears every broadcast in that shape;
//! - says `access_token {access_token}` for `token {token}`;
//! - has binary frames of its own for broadcasts, and understands no other:
//!
//! ```text
//! of a client    3 | jr_len | ref_len | topic_len | event_len | more_len | encoding
//!                  | jr | ref | topic | event | more | data
//! of the server  4 | topic_len | event_len | more_len | encoding | topic | event | more | data
//! ```
//!
//! `encoding` is 0 where the data are bytes and 1 where they are the JSON of the payload; over V2 the
//! client sends every broadcast so. `more` is JSON about what is to be done with a broadcast, which the
//! client itself sends on private channels only; it is not read here.
//!
//! Source: `@supabase/realtime-js` 2.119, `RealtimeChannel` and its serializer. Presence comes to it as
//! `presence_state` and `presence_diff`, as to any other client.

mod binary;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use binary::{BROADCAST_PUSH, decode_broadcast_push};

use crate::encode::{self, EncodeError, Encoded, Message, write_json};
use crate::frame::Wire;
use crate::json::{Json, PayloadError};
use crate::payload::{self, Limits, Mode, ViewerSummary};
use crate::topic::TopicName;

/// The namespace of the topics on which the dialect is understood.
pub const NAMESPACE: &str = "realtime";

/// The event of every broadcast.
const BROADCAST: &str = "broadcast";

/// What a channel speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Plain Phoenix Channels.
    #[default]
    Phoenix,
    /// What npm `realtime-js` speaks.
    Realtime,
}

impl Dialect {
    /// Whether a client can go on as the session that it had. Who cannot has no use for a session that
    /// waits: it would be shown beside the one that takes its place.
    pub fn resumes(self) -> bool {
        match self {
            Dialect::Phoenix => true,
            Dialect::Realtime => false,
        }
    }
}

/// The `config` of a join.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What becomes of the client's broadcasts.
    #[serde(deserialize_with = "nullable")]
    pub broadcast: BroadcastConfig,
    /// How the client takes part in presence.
    #[serde(deserialize_with = "nullable")]
    pub presence: PresenceConfig,
    /// The changes of a database that the client wants to be told of.
    #[serde(deserialize_with = "nullable")]
    pub postgres_changes: Vec<Json>,
}

impl Config {
    /// Reads the configuration in the payload of a join; `None` when the join is not one of the
    /// dialect, since the topic is of another namespace or `config` is not an object.
    ///
    /// # Errors
    ///
    /// [`PayloadError`], when the payload or its `config` has another shape; the client must change it.
    ///
    /// ```
    /// use penholder_protocol::realtime::Config;
    /// use penholder_protocol::{Json, JsonLimits, TopicName};
    ///
    /// let text = r#"{"config": {"broadcast": {"self": true}, "presence": {"key": "ann"}}}"#;
    /// let payload = Json::parse(text, &JsonLimits::default()).unwrap();
    /// let config = Config::read(&TopicName::parse("realtime:room").unwrap(), &payload)?.unwrap();
    /// assert!(config.broadcast.to_self && !config.broadcast.ack);
    /// assert!(config.presence.key == "ann" && config.presence.is_enabled());
    ///
    /// assert_eq!(Config::read(&TopicName::parse("doc:1").unwrap(), &payload)?, None);
    /// # Ok::<(), penholder_protocol::PayloadError>(())
    /// ```
    pub fn read(topic: &TopicName, payload: &Json) -> Result<Option<Config>, PayloadError> {
        #[derive(Deserialize)]
        struct Join {
            config: Option<Json>,
        }

        if topic.namespace().as_str() != NAMESPACE {
            return Ok(None);
        }
        let Join { config } = payload.parse_into()?;
        config.filter(Json::is_object).map(|config| config.parse_into()).transpose()
    }
}

/// What becomes of a client's broadcasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BroadcastConfig {
    /// Whether each is answered when it has been sent on.
    #[serde(deserialize_with = "nullable")]
    pub ack: bool,
    /// Whether the sender receives it too.
    #[serde(rename = "self", deserialize_with = "nullable")]
    pub to_self: bool,
}

/// How a client takes part in presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PresenceConfig {
    /// Under which key it is shown, unchecked; empty: under one that the server makes.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Whether it receives presence; absent, as from older clients: it does.
    pub enabled: Option<bool>,
}

impl PresenceConfig {
    /// Whether the client receives presence from its join on.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}

/// The reply to a join: that of any join, but for the resume token, and with the bindings to changes
/// of a database, of which there are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinReply {
    postgres_changes: [(); 0],
    session: String,
    key: String,
    joined_at: u64,
    mode: Mode,
    seq: u64,
    recovered: Option<bool>,
    summary: Option<ViewerSummary>,
    pen: Option<Json>,
    limits: Limits,
}

impl From<payload::JoinReply> for JoinReply {
    fn from(reply: payload::JoinReply) -> JoinReply {
        JoinReply {
            postgres_changes: [],
            session: reply.session,
            key: reply.key,
            joined_at: reply.joined_at,
            mode: reply.mode,
            seq: reply.seq,
            recovered: reply.recovered,
            summary: reply.summary,
            pen: reply.pen,
            limits: reply.limits,
        }
    }
}

/// `presence`: what a session wants others to see of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Presence {
    /// Whether it wants to be seen.
    pub event: PresenceEvent,
    /// Its meta: an object of at most `meta_max` bytes, unchecked; absent: `{}`.
    pub payload: Option<Json>,
}

/// Whether a session wants to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceEvent {
    /// It does, with the meta of the payload in place of what was seen before.
    Track,
    /// It does not.
    Untrack,
}

/// `broadcast`: sends an event to the others of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Broadcast {
    /// The name of the event: 1 to 200 bytes, not reserved; unchecked.
    pub event: String,
    /// What the event says; absent: `{}`.
    pub payload: Option<Json>,
}

/// A token, in `access_token` and in a join; absent or null where the client has none to send.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AccessToken {
    /// The token.
    pub access_token: Option<String>,
}

/// Shows nothing of the token.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A broadcast as the dialect has it: the event is `broadcast`, and the payload holds that of `message`.
///
/// ```
/// use penholder_protocol::encode::Message;
/// use penholder_protocol::{Json, Wire, realtime};
///
/// let payload = Json::empty_object();
/// let message = Message { topic: "realtime:room", event: "moved", payload: &payload };
/// assert_eq!(
///     realtime::broadcast(Wire::V2, &message).as_text(),
///     Some(concat!(
///         r#"[null,null,"realtime:room","broadcast","#,
///         r#"{"type":"broadcast","event":"moved","payload":{}}]"#,
///     )),
/// );
/// ```
pub fn broadcast(wire: Wire, message: &Message<'_>) -> Encoded {
    let payload = wrapped(message.event, message.payload);
    encode::broadcast(wire, &Message { topic: message.topic, event: BROADCAST, payload: &payload })
}

/// A broadcast of bytes, kind 4. V2 only.
///
/// # Errors
///
/// [`EncodeError::NameTooLong`].
pub fn binary_broadcast(topic: &str, event: &str, data: &[u8]) -> Result<Encoded, EncodeError> {
    binary::encode_broadcast(topic, event, data)
}

/// The payload of a broadcast: its event, and what that says.
#[expect(clippy::expect_used, reason = "JSON and what surrounds it are UTF-8")]
fn wrapped(event: &str, payload: &Json) -> Json {
    let mut out = Vec::with_capacity(48 + event.len() + payload.as_str().len());
    out.extend_from_slice(b"{\"type\":\"broadcast\",\"event\":");
    write_json(event, &mut out);
    out.extend_from_slice(b",\"payload\":");
    out.extend_from_slice(payload.as_bytes());
    out.push(b'}');
    Json::trusted(String::from_utf8(out).expect("JSON is UTF-8"))
}

/// Reads null as what is absent.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
