//! What the observers of a topic have been told: the presences shown, in order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use penholder_presence::{Activity, Key, Presence, PresenceSet, Topic, WallMs};

/// The presences of one topic that everybody on it is shown, as of one moment.
///
/// # Invariants
///
/// - In the order of `PresenceSet::list`, nobody twice.
/// - Complete up to `full_max` people; above that the first `full_max` people, and the first
///   `full_max` of the others' sessions that are writing.
#[derive(Debug, Default)]
pub(crate) struct View {
    shown: Vec<Arc<Presence>>,
}

/// What turns one view into another.
#[derive(Debug, Default)]
pub(crate) struct ViewDiff {
    pub(crate) joins: Vec<Arc<Presence>>,
    pub(crate) leaves: Vec<Arc<Presence>>,
}

impl View {
    /// The view of `topic` in the present set. Cost: O(sessions of the topic), in a crowd with a
    /// logarithm.
    pub(crate) fn of(set: &PresenceSet, topic: &Topic, full_max: usize) -> Self {
        if set.count(topic) <= full_max {
            return Self { shown: set.list(topic).cloned().collect() };
        }
        let first = first_people(set, topic, full_max);
        let mut writing = 0;
        let shown = set.list(topic).filter(|presence| {
            if first.contains(&presence.key) {
                return true;
            }
            let writes = presence.meta.activity != Activity::Viewing && writing < full_max;
            writing += usize::from(writes);
            writes
        });
        Self { shown: shown.cloned().collect() }
    }

    /// The presences shown, in order.
    pub(crate) fn shown(&self) -> &[Arc<Presence>] {
        &self.shown
    }

    /// Whether this very presence is shown. Cost: O(log n).
    pub(crate) fn shows(&self, presence: &Presence) -> bool {
        self.shown.binary_search_by(|probe| probe.order(presence)).is_ok()
    }

    /// What `next` has and this view has not, and the other way round. Cost: O(both).
    pub(crate) fn diff(&self, next: &Self) -> ViewDiff {
        let mut diff = ViewDiff::default();
        let (mut before, mut after) = (self.shown.iter(), next.shown.iter());
        let (mut old, mut new) = (before.next(), after.next());
        loop {
            match (old, new) {
                (None, None) => return diff,
                (Some(left), None) => {
                    diff.leaves.push(Arc::clone(left));
                    old = before.next();
                }
                (None, Some(joined)) => {
                    diff.joins.push(Arc::clone(joined));
                    new = after.next();
                }
                (Some(left), Some(joined)) => match left.order(joined) {
                    Ordering::Less => {
                        diff.leaves.push(Arc::clone(left));
                        old = before.next();
                    }
                    Ordering::Greater => {
                        diff.joins.push(Arc::clone(joined));
                        new = after.next();
                    }
                    Ordering::Equal => (old, new) = (before.next(), after.next()),
                },
            }
        }
    }
}

/// The first `full_max` people, in the order of a summary: by their earliest join, then by key. Not
/// simply in the order of the list, where an update takes a session behind all others of its
/// millisecond: after a storm of joins, whoever as much as moved would lose their place.
fn first_people<'a>(set: &'a PresenceSet, topic: &Topic, full_max: usize) -> BTreeSet<&'a Key> {
    let mut joined_at: BTreeMap<&Key, WallMs> = BTreeMap::new();
    for presence in set.list(topic) {
        joined_at.entry(&presence.key).or_insert(presence.meta.joined_at);
    }
    let mut people: Vec<_> = joined_at.into_iter().map(|(key, at)| (at, key)).collect();
    people.sort_unstable();
    people.into_iter().take(full_max).map(|(_, key)| key).collect()
}

impl ViewDiff {
    pub(crate) fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty()
    }

    /// This diff for one receiver who has also been shown `before` and shall also be shown `after`:
    /// its own sessions, when they are not among those shown to everybody.
    pub(crate) fn personal(&self, before: &[Arc<Presence>], after: &[Arc<Presence>]) -> Self {
        let without = |of: &[Arc<Presence>], from: &[Arc<Presence>]| -> Vec<Arc<Presence>> {
            from.iter().filter(|presence| !contains(of, presence)).cloned().collect()
        };
        let gained = without(before, after);
        let lost = without(after, before);
        let mut joins = without(before, &self.joins);
        let mut leaves = without(after, &self.leaves);
        joins.extend(without(&self.leaves, &gained));
        leaves.extend(without(&self.joins, &lost));
        Self { joins, leaves }
    }
}

fn contains(presences: &[Arc<Presence>], presence: &Presence) -> bool {
    presences.iter().any(|candidate| candidate.dot == presence.dot)
}

#[cfg(test)]
mod tests;
