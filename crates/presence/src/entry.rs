//! One entry of the set.

use std::cmp::Ordering;

use crate::dot::Dot;
use crate::meta::Meta;
use crate::name::{Key, SessionId, Topic};

/// One session seen in one topic: an entry of the set. Immutable; an update is a new entry.
///
/// Shared as `Arc<Presence>`: the set, its diffs and its deltas hold the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The operation that added it, and its ref: unique for ever.
    pub dot: Dot,
    /// The entry of the same session that it took the place of: by an update, or, when the session was
    /// resumed here, that of the replica where it was before.
    pub replaces: Option<Dot>,
    /// Where.
    pub topic: Topic,
    /// Who.
    pub key: Key,
    /// Through which connection.
    pub session: SessionId,
    /// What it says about itself.
    pub meta: Meta,
}

impl Presence {
    /// Compares in the order of a topic: earliest join first, then by dot.
    ///
    /// Total, and a property of the entries alone, so equal sets list equally on every replica.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        self.meta.joined_at.cmp(&other.meta.joined_at).then_with(|| self.dot.cmp(&other.dot))
    }

    /// Returns what decides between two entries of one session: the larger is shown.
    ///
    /// That of the later resume, and where a session was resumed twice at once, that of the larger dot.
    /// A property of the entries alone, so every replica shows the same one.
    #[must_use]
    pub fn rank(&self) -> (u32, &Dot) {
        (self.meta.generation, &self.dot)
    }
}
