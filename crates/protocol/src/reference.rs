//! The refs by which a client pairs replies with what it sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

/// The most bytes of a [`Ref`]: of a string its content as UTF-8, of a number its text.
pub const REF_BYTES_MAX: usize = 64;

/// An opaque JSON scalar that names a join or a push; echoed type-exactly.
///
/// Two strings are equal when their contents are, however the client escaped them. Numbers are kept
/// and compared as text: `3` is neither `"3"` nor `3.0`, and each is echoed as it came. `null` is the
/// absence of a ref, so an `Option` holds it.
///
/// ```
/// use penholder_protocol::Ref;
///
/// assert_eq!(Ref::parse(r#""\u0033""#)?, Some(Ref::counter(3)));
/// assert_ne!(Ref::parse("3")?, Ref::parse(r#""3""#)?);
/// assert_eq!(Ref::parse("null")?, None);
/// # Ok::<(), penholder_protocol::RefError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref {
    /// Canonical JSON text: a string has exactly one spelling here, so equality is by text.
    text: Arc<str>,
}

impl Ref {
    /// Reads a ref from JSON text; `null` is `None`.
    ///
    /// # Errors
    ///
    /// [`RefError`]; the client must send another ref.
    pub fn parse(json: &str) -> Result<Option<Ref>, RefError> {
        match json.bytes().next() {
            Some(b'n') if json == "null" => Ok(None),
            Some(b't' | b'f') if json == "true" || json == "false" => Ok(Some(Ref::spelled(json))),
            Some(b'"') => {
                let content: String =
                    serde_json::from_str(json).map_err(|_| RefError::NotScalar)?;
                Ref::string(&content).map(Some)
            }
            Some(b'-' | b'0'..=b'9') if json.len() > REF_BYTES_MAX => Err(RefError::TooLong),
            Some(b'-' | b'0'..=b'9') if serde_json::from_str::<f64>(json).is_ok() => {
                Ok(Some(Ref::spelled(json.trim_end())))
            }
            _ => Err(RefError::NotScalar),
        }
    }

    /// A ref that is a string, as every known client sends.
    ///
    /// # Errors
    ///
    /// [`RefError::TooLong`] above [`REF_BYTES_MAX`] bytes.
    pub fn string(content: &str) -> Result<Ref, RefError> {
        if content.len() > REF_BYTES_MAX {
            return Err(RefError::TooLong);
        }
        Ok(Ref { text: serde_json::Value::from(content).to_string().into() })
    }

    /// A ref that is a string of decimal digits, as npm `phoenix` counts them.
    pub fn counter(count: u64) -> Ref {
        Ref::spelled(&format!("\"{count}\""))
    }

    /// The ref as JSON text.
    pub fn as_json(&self) -> &str {
        &self.text
    }

    /// The ref as a binary frame carries it: of a string its content, of anything else its text,
    /// because binary frames have only strings.
    pub fn content(&self) -> Cow<'_, str> {
        match self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => Cow::Borrowed(&self.text),
            Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
            Some(_) => serde_json::from_str(&self.text).map_or(Cow::Borrowed(""), Cow::Owned),
        }
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Option<Ref>, RefError> {
        Ref::parse(raw.get())
    }

    fn spelled(text: &str) -> Ref {
        Ref { text: text.into() }
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({})", self.text)
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a value cannot be a ref. The client must send another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// It is an array, an object or not JSON.
    #[error("a ref is a string, a number, a boolean or null")]
    NotScalar,
    /// It has more than [`REF_BYTES_MAX`] bytes.
    #[error("a ref has at most {REF_BYTES_MAX} bytes")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::{REF_BYTES_MAX, Ref, RefError};

    fn reference(json: &str) -> Ref {
        Ref::parse(json).unwrap().unwrap()
    }

    #[test]
    fn scalars_are_echoed_type_exactly() {
        for json in ["3", "\"3\"", "3.0", "-1", "1e3", "true", "false", "\"\"", "\"ü\""] {
            assert_eq!(reference(json).as_json(), json);
        }
        assert_ne!(reference("3"), reference("\"3\""));
        assert_ne!(reference("3"), reference("3.0"));
    }

    #[test]
    fn strings_are_compared_by_content() {
        assert_eq!(reference(r#""\u0061\/""#), reference(r#""a/""#));
        assert_eq!(reference(r#""\u0061""#).as_json(), "\"a\"");
    }

    #[test]
    fn what_is_not_a_scalar_is_refused() {
        for json in ["[]", "{}", "", "nul", "tru", "1e999", "1 2", "-", "\"\\ud800\"", "\"a"] {
            assert_eq!(Ref::parse(json), Err(RefError::NotScalar), "{json}");
        }
    }

    #[test]
    fn sixty_four_bytes_pass_and_sixty_five_do_not() {
        let string = |bytes| format!("\"{}\"", "a".repeat(bytes));
        assert!(Ref::parse(&string(REF_BYTES_MAX)).is_ok());
        assert_eq!(Ref::parse(&string(REF_BYTES_MAX + 1)), Err(RefError::TooLong));
        assert!(Ref::parse(&"1".repeat(REF_BYTES_MAX)).is_ok());
        assert_eq!(Ref::parse(&"1".repeat(REF_BYTES_MAX + 1)), Err(RefError::TooLong));
    }

    #[test]
    fn content_is_what_a_binary_frame_carries() {
        assert_eq!(reference("\"40\"").content(), "40");
        assert_eq!(reference("40").content(), "40");
        assert_eq!(reference(r#""a\"\n""#).content(), "a\"\n");
    }
}
