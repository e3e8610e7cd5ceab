//! On what condition a write is done: the version that the writer has read, and the fence of their pen.

use axum::http::{HeaderMap, header};
use penholder_lease::Fence;
use penholder_protocol::ErrorCode;

use super::super::error::ApiError;

/// The header with the fence of the pen under which somebody writes.
pub(in crate::http) const FENCE_HEADER: &str = "penholder-fence";

/// A version that no ticket has.
const NO_VERSION: u64 = 0;

/// Reads `If-Match` (RFC 9110, 13.1.1): the version that the ticket must have, if it must have one. A tag that is
/// none of ours matches nothing.
///
/// # Errors
///
/// It is no entity tag, or there are several.
pub(super) fn version(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(text) = only(headers, header::IF_MATCH.as_str())? else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let (is_weak, tag) = match text.strip_prefix("W/") {
        Some(tag) => (true, tag),
        None => (false, text),
    };
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let is_legal = |b: u8| b == 0x21 || (0x23..=0x7e).contains(&b);
    let tag = tag.filter(|tag| tag.bytes().all(is_legal)).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Malformed,
            "If-Match is * or one entity tag, as ETag has it: \"3\"",
        )
    })?;
    let version = tag.parse().ok().filter(|version: &u64| !is_weak && version.to_string() == tag);
    Ok(Some(version.unwrap_or(NO_VERSION)))
}

/// Reads `Penholder-Fence`.
///
/// # Errors
///
/// It is no fence, or there are several.
pub(super) fn fence(headers: &HeaderMap) -> Result<Option<Fence>, ApiError> {
    let Some(text) = only(headers, FENCE_HEADER)? else { return Ok(None) };
    let fence = text.parse().ok().filter(|fence: &u64| fence.to_string() == text);
    fence.map(|fence| Some(Fence(fence))).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Malformed,
            "Penholder-Fence is the fence of a pen, in decimal digits",
        )
    })
}

/// Returns the value of a header that comes once, if it comes.
pub(in crate::http) fn only<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<Option<&'a str>, ApiError> {
    let mut given = headers.get_all(name).into_iter();
    let malformed = |what| ApiError::new(ErrorCode::Malformed, format!("{name}: {what}"));
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| malformed("visible ASCII characters only"))?;
            Ok(Some(text.trim()))
        }
        (Some(_), Some(_)) => Err(malformed("give it once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| (name.parse().unwrap(), value.parse().unwrap());
        values.iter().map(pair).collect()
    }

    #[test]
    fn a_tag_is_a_version_or_matches_nothing() {
        let read = |values: &[&str]| version(&headers("if-match", values)).ok();
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&["*"]), Some(None));
        assert_eq!(read(&["\"3\""]), Some(Some(3)));
        for other in ["W/\"3\"", "\"03\"", "\"x\"", "\"\"", "\"99999999999999999999\"", "\"3,4\""] {
            assert_eq!(read(&[other]), Some(Some(NO_VERSION)), "{other}");
        }
        for broken in ["3", "\"3", "3\"", "\"3\", \"4\"", "\"a b\"", "w/\"3\"", "", "**"] {
            assert_eq!(read(&[broken]), None, "{broken}");
        }
        assert_eq!(read(&["\"3\"", "\"3\""]), None);
    }

    #[test]
    fn fence_has_one_spelling() {
        let read = |values: &[&str]| fence(&headers(FENCE_HEADER, values)).ok();
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&["18446744073709551615"]), Some(Some(Fence(u64::MAX))));
        for broken in ["", "01", "-1", "1.0", "0x1", "18446744073709551616", "\"1\""] {
            assert_eq!(read(&[broken]), None, "{broken}");
        }
        assert_eq!(read(&["1", "1"]), None);
    }
}
