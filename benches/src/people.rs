//! The presences that are measured: ten to a topic, 100 bytes of names, an empty meta.

use penholder_presence::{Key, Meta, SessionId, Topic, WallMs};

/// How many presences a topic has.
pub const PER_TOPIC: u64 = 10;

/// Where somebody is, who, and through which connection: 44, 36 and 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Where.
    pub topic: Topic,
    /// Who.
    pub key: Key,
    /// Through which connection.
    pub session: SessionId,
}

/// The `n`th presence, in the topic of this number.
#[must_use]
pub fn names(topic: u64, n: u64) -> Names {
    Names {
        topic: topic_name(topic),
        key: Key::from(format!("0197f3a2-5b1c-7d4e-9a00-{n:012}")),
        session: SessionId::from(format!("{n:020}")),
    }
}

/// The topic of a number.
#[must_use]
pub fn topic_name(topic: u64) -> Topic {
    Topic::from(format!("tickets:0197f3a2-5b1c-7d4e-8f90-{topic:012}"))
}

/// What the `n`th presence says of itself: nothing but when it came.
#[must_use]
pub fn meta(n: u64) -> Meta {
    Meta { joined_at: WallMs(1_790_000_000_000 + n * 7), ..Meta::default() }
}

/// The `n`th presence of a population of `size`. Consecutive ones are never neighbours.
#[must_use]
pub fn person(n: u64, size: u64) -> Names {
    names(scattered(n, (size / PER_TOPIC).max(1)), n)
}

/// Spreads consecutive numbers evenly over all topics, no two in a row side by side.
#[must_use]
pub fn scattered(n: u64, topics: u64) -> u64 {
    // A prime that divides no power of ten.
    n * 7_919 % topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_hundred_bytes() {
        let Names { topic, key, session } = names(7, 99_999);
        let bytes = topic.as_str().len() + key.as_str().len() + session.as_str().len();
        assert_eq!(bytes, 100);
    }

    #[test]
    fn each_topic_has_ten() {
        let mut of_topic = vec![0; 100];
        for n in 0..1_000 {
            of_topic[usize::try_from(scattered(n, 100)).unwrap()] += 1;
        }
        assert_eq!(of_topic, [10; 100]);
    }
}
