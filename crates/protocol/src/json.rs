//! JSON text that was looked at once, whole, and is then only copied.
//!
//! Penholder forwards far more JSON than it reads: a broadcast's payload, a session's meta. Such text
//! is validated where it enters and spliced into frames from then on, so a client never receives
//! text that its own parser refuses.
//!
//! *Validated* means more than serde_json's raw values promise. Those skip over a value without
//! reading it, so a lone surrogate (`"\ud800"`) and a number beyond `f64` (`1e999`) pass. Here every
//! string is decoded and every number converted, under bounds on depth and on keys.
//!
//! Depth counts the arrays and objects that are open at the deepest point: `5` has depth 0, `{}` and
//! `[1]` depth 1, `{"a":[]}` depth 2. What the depth of a *payload* is does not depend on the frame
//! around it.

mod compact;
mod walk;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub(crate) use compact::compact;
pub(crate) use walk::{Place, Rules, walk};

/// Bounds on one JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// The most arrays and objects open at once; default 16. More than 126 counts as 126, so that
    /// validating never recurses further.
    pub depth_max: usize,
    /// The most keys of any one object, repeated keys counted each time; default 256.
    pub keys_max: usize,
}

impl JsonLimits {
    /// The widest bounds there are, for text from a peer we chose to connect to: the list of
    /// a crowded topic has more keys than a client may ever send.
    pub const WIDEST: JsonLimits =
        JsonLimits { depth_max: walk::DEPTH_CEILING, keys_max: usize::MAX };
}

impl Default for JsonLimits {
    fn default() -> Self {
        JsonLimits { depth_max: 16, keys_max: 256 }
    }
}

/// One complete, valid JSON text, cheap to clone and free to splice.
///
/// The text is kept as it came, without the white space around it. Two values are equal when their
/// texts are. `Debug` shows only the size, so that metas and bodies cannot slip into a log;
/// `Display` shows the text.
///
/// ```
/// use penholder_protocol::{Json, JsonLimits};
///
/// let json = Json::parse(r#" {"color": "red"} "#, &JsonLimits::default())?;
/// assert_eq!(json.as_str(), r#"{"color": "red"}"#);
/// assert!(json.is_object());
///
/// // Text that some parser of a receiver would refuse never becomes a `Json`.
/// assert!(Json::parse(r#""\ud800""#, &JsonLimits::default()).is_err());
/// assert!(Json::parse("1e999", &JsonLimits::default()).is_err());
/// # Ok::<(), penholder_protocol::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Validates `text`, bytes or a string, against `limits`. Linear in its length.
    ///
    /// # Errors
    ///
    /// [`JsonError`]; the sender must change the text, trying again cannot help.
    pub fn parse(text: impl AsRef<[u8]>, limits: &JsonLimits) -> Result<Json, JsonError> {
        let text = std::str::from_utf8(text.as_ref()).map_err(|_| JsonError::NotUtf8)?;
        walk(text, &Rules::within(*limits)).map_err(|breach| breach.error)?;
        Ok(Json(text.trim_matches(WHITE_SPACE).into()))
    }

    /// Encodes a value of our own.
    ///
    /// # Panics
    ///
    /// When `value` has no JSON form, as a map whose keys are not strings. No type of this crate
    /// is like that; one that is would be a bug.
    #[expect(clippy::expect_used, reason = "a type of ours without a JSON form is a bug")]
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        Json(serde_json::to_string(value).expect("our own types have a JSON form").into())
    }

    /// The object without fields, `{}`.
    pub fn empty_object() -> Json {
        Json("{}".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as UTF-8 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether the text is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Reads the object as a `T`, ignoring fields that `T` does not know.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the text is no object or does not fit `T`; the sender must change it.
    pub fn parse_into<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        if !self.is_object() {
            // serde would take `[]` for a struct whose fields all have defaults.
            return Err(PayloadError { detail: "expected an object".to_owned() });
        }
        serde_json::from_str(&self.0).map_err(|error| PayloadError { detail: error.to_string() })
    }

    /// Takes back text that was a [`Json`] before, after somebody carried it as plain bytes; parses
    /// nothing.
    ///
    /// Text from outside goes through [`Json::parse`]: what is no JSON here breaks every frame that
    /// it is spliced into.
    ///
    /// # Panics
    ///
    /// In debug builds, when the text is not JSON.
    pub fn trusted(text: impl Into<Arc<str>>) -> Json {
        Json(text.into())
    }
}

/// What JSON calls white space, which is less than Unicode does.
pub(crate) const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Splices the text into the surrounding JSON. Only serde_json understands this.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Takes one value out of the surrounding JSON and validates it under [`JsonLimits::WIDEST`].
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Json::parse(raw.get(), &JsonLimits::WIDEST).map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a [`Json`]. The sender must change it; trying again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// The text is not JSON, or holds a lone surrogate or a number that no `f64` can hold.
    #[error("the text is not JSON: {detail}")]
    Syntax {
        /// What is wrong, with line and column; shows nothing of the text.
        detail: String,
    },
    /// Arrays and objects are nested too deeply.
    #[error("arrays and objects are nested more than {depth_max} deep")]
    TooDeep {
        /// The bound that was crossed.
        depth_max: usize,
    },
    /// One object has too many keys.
    #[error("an object has more than {keys_max} keys")]
    TooManyKeys {
        /// The bound that was crossed.
        keys_max: usize,
    },
    /// A key is one that breaks clients written in JavaScript: `__proto__`, `constructor`, `prototype`.
    #[error("a key is refused because JavaScript gives it a meaning of its own")]
    UnsafeKey,
}

/// A payload that is valid JSON but not what the event wants. The sender must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload does not fit: {detail}")]
pub struct PayloadError {
    /// What was found and what was expected, with line and column. It may quote a word of the
    /// payload: fit for a reply to its sender, not for a log.
    pub detail: String,
}

#[cfg(test)]
mod tests;
