//! Pages: how long one is, and where the next begins.

use super::error::ApiError;
use super::query::illegal;

/// How many entries a page has where the caller does not say.
const LIMIT: u16 = 100;

/// How many entries a page has at most.
const LIMIT_MAX: u16 = 1000;

/// A page of entries that may be long ends with the one that makes it so long: whoever asks for it may read it slowly,
/// and ask for many at once. Unit: bytes.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// Returns how many entries the page that was asked for has.
pub(super) fn limit<T: From<u16> + PartialOrd>(asked: Option<T>) -> Result<T, ApiError> {
    let limit = asked.unwrap_or_else(|| LIMIT.into());
    if (T::from(1)..=T::from(LIMIT_MAX)).contains(&limit) {
        return Ok(limit);
    }
    Err(illegal("limit", "1 to 1000"))
}

/// Cuts entries, of which one more was read where there are more, to their page. Returns the cursor of
/// its last entry, which the next page begins after; none on the last page.
pub(super) fn cut<T, C>(
    entries: &mut Vec<T>,
    limit: usize,
    cursor: impl FnOnce(&T) -> C,
) -> Option<C> {
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| has_more).map(cursor)
}
