//! What an observer of a topic is told.

use std::sync::Arc;

use crate::delta::Delta;
use crate::entry::Presence;
use crate::name::Topic;

/// What one operation did: a delta for the other replicas, a diff for the observers here.
///
/// Both are empty when it changed nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the delta is owed to the other replicas, the diff to the observers"]
pub struct Change {
    /// What the other replicas merge.
    pub delta: Delta,
    /// What became visible here, and what ceased to be.
    pub diff: Diff,
}

impl Change {
    /// Returns whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delta.is_empty() && self.diff.is_empty()
    }
}

/// Joins and leaves of several topics, ordered by topic, no topic twice and none without change.
///
/// Exact: a join is of something that was not visible before, a leave of something that was
/// (`a_naive_model_agrees`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub(crate) topics: Vec<TopicDiff>,
}

impl Diff {
    /// Returns whether nothing visible changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Iterates over the topics that changed, in name order.
    pub fn iter(&self) -> std::slice::Iter<'_, TopicDiff> {
        self.topics.iter()
    }

    /// Returns the change of one topic.
    #[must_use]
    pub fn topic(&self, topic: &Topic) -> Option<&TopicDiff> {
        let found = self.topics.binary_search_by(|changed| changed.topic.cmp(topic)).ok()?;
        self.topics.get(found)
    }
}

impl IntoIterator for Diff {
    type Item = TopicDiff;
    type IntoIter = std::vec::IntoIter<TopicDiff>;

    fn into_iter(self) -> Self::IntoIter {
        self.topics.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diff {
    type Item = &'a TopicDiff;
    type IntoIter = std::slice::Iter<'a, TopicDiff>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Joins and leaves of one topic, each in the order of [`Presence::order`].
///
/// An update is the leave of the old entry and the join of the new one, together; joins are to be
/// applied first, so that nobody is absent in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDiff {
    /// The topic.
    pub topic: Topic,
    /// What became visible.
    pub joins: Vec<Arc<Presence>>,
    /// What ceased to be visible.
    pub leaves: Vec<Arc<Presence>>,
}

impl TopicDiff {
    /// Returns whether nothing changed; never so inside a [`Diff`], possibly so after
    /// [`append`](Self::append).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty()
    }

    /// Adds what happened to the topic after this diff, so that an observer can be told both at once.
    ///
    /// A join and its leave cancel out, in either order, so an entry that came and went within a
    /// window is never spoken of. An entry of `later` keeps the dot it
    /// [`replaces`](Presence::replaces), also when that one was cancelled. Cost: the product of a
    /// sort of both.
    ///
    /// # Panics
    ///
    /// When `later` is of another topic.
    pub fn append(&mut self, later: TopicDiff) {
        assert_eq!(self.topic, later.topic, "diffs of one topic are appended");
        let TopicDiff { topic: _, joins, leaves } = later;
        let joins = cancel(&mut self.leaves, joins);
        let leaves = cancel(&mut self.joins, leaves);
        absorb(&mut self.joins, joins);
        absorb(&mut self.leaves, leaves);
    }
}

/// Removes from both what stands in both, and returns the rest of `later`.
fn cancel(earlier: &mut Vec<Arc<Presence>>, mut later: Vec<Arc<Presence>>) -> Vec<Arc<Presence>> {
    if earlier.is_empty() || later.is_empty() {
        return later;
    }
    let mut cancelled = Vec::new();
    later.retain(|presence| match earlier.binary_search_by(|other| other.order(presence)) {
        Ok(at) => {
            cancelled.push(at);
            false
        }
        Err(_) => true,
    });
    // `later` is in order, so the positions ascend.
    let (mut at, mut cancelled) = (0, cancelled.into_iter().peekable());
    earlier.retain(|_| {
        let gone = cancelled.next_if_eq(&at).is_some();
        at += 1;
        !gone
    });
    later
}

/// Adds `later` to `earlier` and keeps the order.
fn absorb(earlier: &mut Vec<Arc<Presence>>, later: Vec<Arc<Presence>>) {
    if later.is_empty() {
        return;
    }
    let sorted = match (earlier.last(), later.first()) {
        (Some(last), Some(first)) => last.order(first).is_lt(),
        _ => true,
    };
    earlier.extend(later);
    if !sorted {
        earlier.sort_by(|a, b| a.order(b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot::{Dot, Incarnation, ReplicaId};
    use crate::meta::Meta;
    use crate::time::WallMs;

    fn presence(counter: u64) -> Arc<Presence> {
        let replica = Arc::new(ReplicaId::new("a", Incarnation(1)));
        Arc::new(Presence {
            dot: Dot::new(replica, counter),
            replaces: None,
            topic: "t".into(),
            key: "k".into(),
            session: "s".into(),
            meta: Meta { joined_at: WallMs(counter % 3), ..Meta::default() },
        })
    }

    fn diff(joins: &[u64], leaves: &[u64]) -> TopicDiff {
        let in_order = |counters: &[u64]| {
            let mut list: Vec<_> = counters.iter().map(|&counter| presence(counter)).collect();
            list.sort_by(|a, b| a.order(b));
            list
        };
        TopicDiff { topic: "t".into(), joins: in_order(joins), leaves: in_order(leaves) }
    }

    #[test]
    fn a_join_and_its_leave_within_a_window_cancel_out() {
        let mut window = diff(&[1, 2, 3], &[10]);
        window.append(diff(&[4], &[1, 3]));
        assert_eq!(window, diff(&[2, 4], &[10]));
        window.append(diff(&[], &[4, 2]));
        assert_eq!(window, diff(&[], &[10]));
    }

    #[test]
    fn what_was_hidden_and_shown_again_cancels_out() {
        let mut window = diff(&[], &[1, 2, 3]);
        window.append(diff(&[3, 1, 2], &[]));
        assert!(window.is_empty());
    }

    #[test]
    #[should_panic(expected = "diffs of one topic")]
    fn another_topic_is_a_bug() {
        diff(&[1], &[]).append(TopicDiff { topic: "u".into(), ..diff(&[], &[]) });
    }
}
