//! What a consumer wants: patterns of the names of events.

use std::fmt;

/// Most patterns of one filter.
pub const FILTER_LEN_MAX: usize = 32;

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 64;

/// What a filter must be; the caller has to write it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a filter is 1 to {FILTER_LEN_MAX} patterns, each of them `*`, or an entity with an operation \
     (`comment.created`) or with any (`ticket.*`), of a-z and _, {PATTERN_BYTES_MAX} bytes at most"
)]
pub struct InvalidFilter;

/// Patterns, one of which has to fit: `*`, `ticket.*` or `comment.created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// Checks patterns.
    ///
    /// # Errors
    ///
    /// There is none or too many of them, or one is of another shape.
    pub fn parse(patterns: Vec<String>) -> Result<Self, InvalidFilter> {
        let fits = (1..=FILTER_LEN_MAX).contains(&patterns.len());
        if fits && patterns.iter().all(|pattern| is_pattern(pattern)) {
            return Ok(Self(patterns));
        }
        Err(InvalidFilter)
    }

    /// Returns the patterns as they were given.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether an event with this name is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => pattern == name,
        })
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        Self::parse(text.split(' ').map(str::to_owned).collect()).ok()
    }

    pub(super) fn to_text(&self) -> String {
        self.0.join(" ")
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

fn is_pattern(pattern: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let is_name = |(entity, op): (&str, &str)| is_word(entity) && (op == "*" || is_word(op));
    pattern.len() <= PATTERN_BYTES_MAX
        && (pattern == "*" || pattern.split_once('.').is_some_and(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> Result<EventFilter, InvalidFilter> {
        EventFilter::parse(patterns.iter().map(|it| (*it).to_owned()).collect())
    }

    #[test]
    fn pattern_fits_what_it_says() {
        let some = filter(&["ticket.*", "comment.created"]).unwrap();
        assert!(some.wants("ticket.updated") && some.wants("comment.created"));
        assert!(!some.wants("comment.deleted") && !some.wants("ticketing.updated"));
        assert!(filter(&["*"]).unwrap().wants("collision.created"));
        assert_eq!(EventFilter::read(&some.to_text()), Some(some));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = format!("{}.*", "a".repeat(PATTERN_BYTES_MAX));
        for bad in [
            "",
            "ticket",
            "ticket.",
            ".*",
            "*.created",
            "Ticket.*",
            "a.b.c",
            "t.* u.*",
            "**",
            &long,
        ] {
            assert_eq!(filter(&[bad]), Err(InvalidFilter), "{bad}");
        }
        assert_eq!(filter(&[]), Err(InvalidFilter));
        assert_eq!(filter(&["*"; FILTER_LEN_MAX + 1]), Err(InvalidFilter));
        assert!(filter(&["*"; FILTER_LEN_MAX]).is_ok());
    }
}
