//! What a consumer wants: patterns of the names of events.

use std::fmt;

/// Most patterns of one filter.
pub const FILTER_LEN_MAX: usize = 32;

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 64;

/// What events can be about, now or with a later version.
const ENTITIES: [&str; 6] = ["ticket", "comment", "collision", "pen", "message", "notification"];

/// What can have happened to it.
const OPERATIONS: [&str; 3] = ["created", "updated", "deleted"];

/// What a filter must be; the caller has to write it differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// It is no list of patterns.
    #[error(
        "a filter is 1 to {FILTER_LEN_MAX} patterns, each of them `*`, or an entity with an operation \
         (`comment.created`) or with any (`ticket.*`), of a-z and _, {PATTERN_BYTES_MAX} bytes at most"
    )]
    Shape,
    /// A pattern names what no event is about, so it would never fit.
    #[error("filter: {pattern} is of no entity; there are {}", ENTITIES.join(", "))]
    Entity {
        /// The pattern.
        pattern: String,
    },
    /// A pattern names what never happens.
    #[error("filter: {pattern} is of no operation; there are {} and *", OPERATIONS.join(", "))]
    Operation {
        /// The pattern.
        pattern: String,
    },
}

/// Patterns, one of which has to fit: `*`, `ticket.*` or `comment.created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// Checks patterns.
    ///
    /// # Errors
    ///
    /// There is none or too many of them, or one is of another shape, or can never fit.
    pub fn parse(patterns: Vec<String>) -> Result<Self, InvalidFilter> {
        let filter = Self::of_patterns(patterns).ok_or(InvalidFilter::Shape)?;
        for pattern in &filter.0 {
            let Some((entity, operation)) = pattern.split_once('.') else { continue };
            if !ENTITIES.contains(&entity) {
                return Err(InvalidFilter::Entity { pattern: pattern.clone() });
            }
            if operation != "*" && !OPERATIONS.contains(&operation) {
                return Err(InvalidFilter::Operation { pattern: pattern.clone() });
            }
        }
        Ok(filter)
    }

    fn of_patterns(patterns: Vec<String>) -> Option<Self> {
        let fits = (1..=FILTER_LEN_MAX).contains(&patterns.len());
        (fits && patterns.iter().all(|pattern| is_pattern(pattern))).then_some(Self(patterns))
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

    /// Reads what was kept: also words that another version knows.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::of_patterns(text.split(' ').map(str::to_owned).collect())
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
            assert_eq!(filter(&[bad]), Err(InvalidFilter::Shape), "{bad}");
        }
        assert_eq!(filter(&[]), Err(InvalidFilter::Shape));
        assert_eq!(filter(&["*"; FILTER_LEN_MAX + 1]), Err(InvalidFilter::Shape));
        assert!(filter(&["*"; FILTER_LEN_MAX]).is_ok());
    }

    #[test]
    fn pattern_that_never_fits_is_refused_with_what_there_is() {
        for entity in ENTITIES {
            for operation in ["created", "updated", "deleted", "*"] {
                assert!(
                    filter(&[&format!("{entity}.{operation}")]).is_ok(),
                    "{entity}.{operation}"
                );
            }
        }
        let says = |pattern| filter(&["*", pattern]).unwrap_err().to_string();
        let entities = "there are ticket, comment, collision, pen, message, notification";
        assert_eq!(says("tickett.*"), format!("filter: tickett.* is of no entity; {entities}"));
        let operations = "there are created, updated, deleted and *";
        let expected = format!("filter: ticket.exploded is of no operation; {operations}");
        assert_eq!(says("ticket.exploded"), expected);
        // What was kept by another version is still read.
        assert!(EventFilter::read("tickett.* ticket.exploded").is_some());
        assert_eq!(EventFilter::read("ticket"), None);
    }
}
