//! Names of topics, and the patterns by which a token grants capabilities on them.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most bytes of a topic's name, and of a pattern.
pub const TOPIC_BYTES_MAX: usize = 200;

/// The name of a topic: segments of `A-Z a-z 0-9 _ . ~ -` separated by `:`, 1 to 200 bytes in all.
///
/// Cheap to clone. Case matters: `Tickets:1` is a topic of the application, never the ticket.
///
/// ```
/// use penholder_protocol::{Namespace, TopicName};
///
/// let topic: TopicName = "workflow:abc:node:7".parse()?;
/// assert_eq!(topic.namespace(), Namespace::Application("workflow"));
/// assert_eq!(topic.segments().last(), Some("7"));
/// assert!("tickets:1".parse::<TopicName>()?.namespace().is_reserved());
/// assert!("doc::42".parse::<TopicName>().is_err());
/// # Ok::<(), penholder_protocol::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `name` and takes a copy.
    ///
    /// # Errors
    ///
    /// [`TopicError`]; the caller must use another name.
    pub fn parse(name: &str) -> Result<TopicName, TopicError> {
        check_length(name)?;
        name.split(':').try_for_each(check_segment)?;
        Ok(TopicName(name.into()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment, as what it means to Penholder.
    pub fn namespace(&self) -> Namespace<'_> {
        Namespace::of(self.segments().next().unwrap_or_default())
    }

    /// The segments in order; at least one, none empty.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split(':')
    }
}

impl FromStr for TopicName {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        TopicName::parse(name)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Lets a map keyed by topics be asked with a plain string.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for TopicName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The first segment of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace<'a> {
    /// `phoenix`: the connection itself; heartbeats go there.
    Phoenix,
    /// `tickets`: tickets and their events.
    Tickets,
    /// `user`: one person's notifications.
    User,
    /// `system`: what Penholder says about itself, as summaries of topics.
    System,
    /// Any other: the application's own.
    Application(&'a str),
}

impl<'a> Namespace<'a> {
    /// The namespace that a first segment names.
    pub fn of(segment: &'a str) -> Namespace<'a> {
        match segment {
            "phoenix" => Namespace::Phoenix,
            "tickets" => Namespace::Tickets,
            "user" => Namespace::User,
            "system" => Namespace::System,
            _ => Namespace::Application(segment),
        }
    }

    /// The segment.
    pub fn as_str(&self) -> &'a str {
        match self {
            Namespace::Phoenix => "phoenix",
            Namespace::Tickets => "tickets",
            Namespace::User => "user",
            Namespace::System => "system",
            Namespace::Application(segment) => segment,
        }
    }

    /// Whether Penholder keeps the namespace for itself.
    pub fn is_reserved(&self) -> bool {
        !matches!(self, Namespace::Application(_))
    }
}

/// A set of topics: one name, or everything that begins with a prefix.
///
/// `*` ends a pattern and matches the rest, which is never empty but may hold further `:`. A pattern
/// does not know of reserved namespaces: `*` matches them too, and who grants it decides about them.
///
/// ```
/// use penholder_protocol::{TopicName, TopicPattern};
///
/// let pattern: TopicPattern = "doc:*".parse()?;
/// assert!(pattern.matches(&TopicName::parse("doc:42:title")?));
/// assert!(!pattern.matches(&TopicName::parse("docs:42")?));
/// assert!(!pattern.matches(&TopicName::parse("doc")?));
/// assert!("doc:*:title".parse::<TopicPattern>().is_err());
/// # Ok::<(), penholder_protocol::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(Matches);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Matches {
    Exactly(TopicName),
    Prefix(Arc<str>),
}

impl TopicPattern {
    /// Checks `pattern` and takes a copy.
    ///
    /// # Errors
    ///
    /// [`TopicError`]; whoever issued the token must correct it.
    pub fn parse(pattern: &str) -> Result<TopicPattern, TopicError> {
        let Some(prefix) = pattern.strip_suffix('*') else {
            return TopicName::parse(pattern).map(|name| TopicPattern(Matches::Exactly(name)));
        };
        check_length(pattern)?;
        if let Some((whole, begun)) = prefix.rsplit_once(':') {
            whole.split(':').try_for_each(check_segment)?;
            check_characters(begun)?;
        } else {
            check_characters(prefix)?;
        }
        Ok(TopicPattern(Matches::Prefix(prefix.into())))
    }

    /// Whether `topic` is in the set.
    pub fn matches(&self, topic: &TopicName) -> bool {
        match &self.0 {
            Matches::Exactly(name) => name == topic,
            Matches::Prefix(prefix) => {
                topic.0.len() > prefix.len() && topic.0.starts_with(&**prefix)
            }
        }
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;

    fn from_str(pattern: &str) -> Result<Self, TopicError> {
        TopicPattern::parse(pattern)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Matches::Exactly(name) => name.fmt(f),
            Matches::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Serialize for TopicPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TopicPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is no topic's name, or no pattern. Whoever wrote it must correct it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing at all.
    #[error("a topic has at least one byte")]
    Empty,
    /// More than [`TOPIC_BYTES_MAX`] bytes.
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing before, after or between two `:`.
    #[error("no segment of a topic is empty")]
    EmptySegment,
    /// A character outside `A-Z a-z 0-9 _ . ~ -`, or a `*` that does not end a pattern.
    #[error("a segment of a topic consists of A-Z a-z 0-9 _ . ~ -")]
    Character,
}

fn check_length(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        1..=TOPIC_BYTES_MAX => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

fn check_segment(segment: &str) -> Result<(), TopicError> {
    if segment.is_empty() { Err(TopicError::EmptySegment) } else { check_characters(segment) }
}

fn check_characters(text: &str) -> Result<(), TopicError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    if text.bytes().all(legal) { Ok(()) } else { Err(TopicError::Character) }
}

#[cfg(test)]
mod tests {
    use super::{Namespace, TopicError, TopicName, TopicPattern};

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn pattern(text: &str) -> TopicPattern {
        TopicPattern::parse(text).unwrap()
    }

    #[test]
    fn legal_names_pass() {
        let longest = "a".repeat(200);
        for name in ["a", "doc:42", "workflow:abc:node:7", "A-Z_0.9~:-", &longest] {
            assert_eq!(topic(name).as_str(), name);
        }
    }

    #[test]
    fn illegal_names_say_why() {
        let too_long = "a".repeat(201);
        for (name, why) in [
            ("", TopicError::Empty),
            (&*too_long, TopicError::TooLong),
            (":", TopicError::EmptySegment),
            ("doc:", TopicError::EmptySegment),
            (":42", TopicError::EmptySegment),
            ("doc::42", TopicError::EmptySegment),
            ("doc 42", TopicError::Character),
            ("doc:\0", TopicError::Character),
            ("doc:%00", TopicError::Character),
            ("doc:ü", TopicError::Character),
            ("doc:*", TopicError::Character),
            ("doc/42", TopicError::Character),
        ] {
            assert_eq!(TopicName::parse(name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn four_namespaces_are_reserved_and_case_matters() {
        for name in ["phoenix", "tickets:1", "user:7", "system:summaries"] {
            assert!(topic(name).namespace().is_reserved(), "{name}");
        }
        for name in ["Tickets:1", "tickets2:1", "doc:tickets", "users"] {
            assert!(!topic(name).namespace().is_reserved(), "{name}");
        }
        assert_eq!(topic("Tickets:1").namespace(), Namespace::Application("Tickets"));
        assert_eq!(topic("user:7").namespace().as_str(), "user");
    }

    #[test]
    fn star_matches_a_rest_that_is_not_empty() {
        assert!(pattern("*").matches(&topic("tickets:1")));
        assert!(pattern("doc:*").matches(&topic("doc:1")));
        assert!(pattern("doc*").matches(&topic("document:1")));
        assert!(!pattern("doc*").matches(&topic("doc")));
        assert!(pattern("doc:1").matches(&topic("doc:1")));
        assert!(!pattern("doc:1").matches(&topic("doc:11")));
    }

    #[test]
    fn illegal_patterns_are_refused() {
        for text in ["", "**", "*:a", "doc:*:b", "a::*", ":*", "doc *", "do c:*"] {
            assert!(TopicPattern::parse(text).is_err(), "{text:?}");
        }
        let longest = format!("{}*", "a".repeat(199));
        assert!(TopicPattern::parse(&longest).is_ok());
        assert!(TopicPattern::parse(&format!("a{longest}")).is_err());
    }

    #[test]
    fn patterns_print_as_they_were_written() {
        for text in ["*", "doc:*", "doc*", "doc:42"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }
}
