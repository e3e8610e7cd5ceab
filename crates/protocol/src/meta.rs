//! Metas: the client's own words about a session, and what the server stamps over them.
//!
//! A meta is checked once, where it enters ([`ClientMeta::parse`]), and encoded once per change
//! ([`encode_meta`]). From then on its bytes are spliced into states and diffs; no tree of values is
//! ever built.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::encode::write_json;
use crate::json::{Json, JsonError, JsonLimits, Rules, compact, walk};
use crate::payload::{Activity, Mode, Status};

/// The most bytes of a presence key, which is the id of a user.
pub const KEY_BYTES_MAX: usize = 256;

/// Fields that only the server writes.
const STAMPED: [&str; 10] = [
    "phx_ref",
    "phx_ref_prev",
    "joined_at",
    "session",
    "user",
    "mode",
    "status",
    "activity",
    "unsaved",
    "idle_since",
];

/// What a client says about its session: an object without any field that the server stamps.
///
/// ```
/// use penholder_protocol::{ClientMeta, Json, JsonLimits};
///
/// let sent = Json::parse(r#"{ "color": "red", "user": "root" }"#, &JsonLimits::default())?;
/// let meta = ClientMeta::parse(&sent, 1024).unwrap();
/// assert_eq!(meta.as_json().as_str(), r#"{"color":"red"}"#);
/// # Ok::<(), penholder_protocol::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMeta(Json);

impl ClientMeta {
    /// Checks what a client sent: at most `bytes_max` bytes as it wrote them, an object, at most 16 deep
    /// and 256 keys to an object, no key that [`is_safe_key`] would refuse for its name.
    ///
    /// Keeps it in compact form, without the fields that the server stamps.
    ///
    /// # Errors
    ///
    /// [`MetaError`]; the client must send another meta.
    pub fn parse(sent: &Json, bytes_max: usize) -> Result<ClientMeta, MetaError> {
        if sent.as_str().len() > bytes_max {
            return Err(MetaError::TooLarge { bytes_max });
        }
        if !sent.is_object() {
            return Err(MetaError::NotAnObject);
        }
        let rules = Rules::within(JsonLimits::default()).with_safe_keys(is_safe_name);
        walk(sent.as_str(), &rules).map_err(|breach| MetaError::Refused(breach.error))?;
        let kept = serde_json::Deserializer::from_str(sent.as_str()).deserialize_map(OwnFields);
        kept.map(|text| ClientMeta(Json::trusted(text))).map_err(|_| MetaError::NotAnObject)
    }

    /// The meta of a client that said nothing.
    pub fn empty() -> ClientMeta {
        ClientMeta(Json::empty_object())
    }

    /// The object, compact.
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// The object, compact.
    pub fn into_json(self) -> Json {
        self.0
    }
}

/// Why a meta is refused. The client must send another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// More bytes than allowed: `meta_too_large`.
    #[error("a meta has at most {bytes_max} bytes")]
    TooLarge {
        /// The bound that was crossed.
        bytes_max: usize,
    },
    /// No object: `invalid_meta`.
    #[error("a meta is an object")]
    NotAnObject,
    /// Too deep, too many keys, or a key that is refused: `invalid_meta`.
    #[error(transparent)]
    Refused(JsonError),
}

/// What the server stamps on a meta, in the order in which it is written.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MetaStamp<'a> {
    /// Names this version of the meta; never used twice.
    pub phx_ref: &'a str,
    /// The version before, after an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phx_ref_prev: Option<&'a str>,
    /// When the session joined, in milliseconds since the epoch.
    pub joined_at: u64,
    /// The session.
    pub session: &'a str,
    /// The encoded [`UserCard`](crate::UserCard).
    pub user: &'a Json,
    /// Whether the session may edit.
    pub mode: Mode,
    /// How alive it is.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// Whether it has changes that are not saved.
    pub unsaved: bool,
    /// Since when it has been idle, in milliseconds since the epoch.
    pub idle_since: Option<u64>,
}

/// Appends a meta to `out`: the fields of `custom`, then those of `stamp`.
///
/// # Panics
///
/// When `custom` is not an object. Take it from a [`ClientMeta`], which has no stamped field either.
///
/// ```
/// use penholder_protocol::{Activity, ClientMeta, Json, MetaStamp, Mode, Status, encode_meta};
///
/// let stamp = MetaStamp {
///     phx_ref: "F1",
///     phx_ref_prev: None,
///     joined_at: 5,
///     session: "s1",
///     user: &Json::empty_object(),
///     mode: Mode::Edit,
///     status: Status::Active,
///     activity: Activity::Viewing,
///     unsaved: false,
///     idle_since: None,
/// };
/// let mut meta = Vec::new();
/// encode_meta(&stamp, ClientMeta::empty().as_json(), &mut meta);
/// assert!(meta.starts_with(br#"{"phx_ref":"F1","joined_at":5,"session":"s1","user":{},"#));
/// ```
#[expect(clippy::expect_used, reason = "a stamp always has a JSON form, and a Vec takes it")]
pub fn encode_meta(stamp: &MetaStamp<'_>, custom: &Json, out: &mut Vec<u8>) {
    let fields = custom.as_str().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let fields = fields.expect("a client's meta is an object");
    out.push(b'{');
    if !fields.trim_ascii().is_empty() {
        out.extend_from_slice(fields.as_bytes());
        out.push(b',');
    }
    let opening = out.len();
    serde_json::to_writer(&mut *out, stamp).expect("a stamp has a JSON form");
    out.remove(opening);
}

/// Writes the payload of `presence_state`, `{key: {metas: [meta…]}}`.
///
/// Metas of one key must follow one another; they are grouped in the order in which they come.
/// Each must be a whole meta as [`encode_meta`] wrote it.
///
/// # Panics
///
/// When a meta is not UTF-8: it did not come from [`encode_meta`].
///
/// ```
/// use penholder_protocol::presence_state;
///
/// let state = presence_state([("ann", "{}"), ("ann", "{}"), ("bob", "{}")]);
/// assert_eq!(state.as_str(), r#"{"ann":{"metas":[{},{}]},"bob":{"metas":[{}]}}"#);
/// ```
pub fn presence_state<K, M>(metas: impl IntoIterator<Item = (K, M)>) -> Json
where
    K: AsRef<str>,
    M: AsRef<[u8]>,
{
    let mut out = Vec::new();
    write_entries(metas, &mut out);
    finish(out)
}

/// Writes the payload of `presence_diff`, `{joins: {…}, leaves: {…}}`, both always there.
///
/// What holds for the metas of [`presence_state`] holds for both.
///
/// # Panics
///
/// As [`presence_state`].
///
/// ```
/// use penholder_protocol::presence_diff;
///
/// let nobody: [(&str, &str); 0] = [];
/// let diff = presence_diff([("ann", "{}")], nobody);
/// assert_eq!(diff.as_str(), r#"{"joins":{"ann":{"metas":[{}]}},"leaves":{}}"#);
/// ```
pub fn presence_diff<K, M, L, N>(
    joins: impl IntoIterator<Item = (K, M)>,
    leaves: impl IntoIterator<Item = (L, N)>,
) -> Json
where
    K: AsRef<str>,
    M: AsRef<[u8]>,
    L: AsRef<str>,
    N: AsRef<[u8]>,
{
    let mut out = b"{\"joins\":".to_vec();
    write_entries(joins, &mut out);
    out.extend_from_slice(b",\"leaves\":");
    write_entries(leaves, &mut out);
    out.push(b'}');
    finish(out)
}

/// Whether `key` can name a person on the wire: 1 to 256 bytes, no control characters, none of
/// the names that JavaScript objects have from birth, which break clients older than npm `phoenix`
/// 1.8.9 (CVE-2026-56812), and not `ids`: npm `realtime-js` takes any payload with that key for a change
/// of a database, and fails over the list of those present.
pub fn is_safe_key(key: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len())
        && !key.chars().any(char::is_control)
        && is_safe_name(key)
        && !INHERITED.contains(&key)
        && key != "ids"
}

/// What every JavaScript object inherits beside the names that no meta may have either: a map that is
/// a plain object takes a person of that name for one who is there already.
const INHERITED: [&str; 10] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

fn is_safe_name(key: &str) -> bool {
    !matches!(key, "__proto__" | "constructor" | "prototype")
}

fn write_entries<K, M>(metas: impl IntoIterator<Item = (K, M)>, out: &mut Vec<u8>)
where
    K: AsRef<str>,
    M: AsRef<[u8]>,
{
    let mut open: Option<K> = None;
    out.push(b'{');
    for (key, meta) in metas {
        match &open {
            Some(same) if same.as_ref() == key.as_ref() => out.push(b','),
            before => {
                out.extend_from_slice(if before.is_some() { b"]}," } else { b"" });
                write_json(key.as_ref(), out);
                out.extend_from_slice(b":{\"metas\":[");
                open = Some(key);
            }
        }
        out.extend_from_slice(meta.as_ref());
    }
    out.extend_from_slice(if open.is_some() { b"]}}" } else { b"}" });
}

#[expect(clippy::expect_used, reason = "bytes that no meta of ours has are a bug")]
fn finish(out: Vec<u8>) -> Json {
    Json::trusted(String::from_utf8(out).expect("metas are UTF-8"))
}

/// Copies an object, compact, without the fields that the server stamps.
struct OwnFields;

impl<'de> Visitor<'de> for OwnFields {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<String, A::Error> {
        let mut out = String::from("{");
        while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
            if STAMPED.contains(&&*name) {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(Json::of(&name).as_str());
            out.push(':');
            compact(value.get(), &mut out);
        }
        out.push('}');
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
