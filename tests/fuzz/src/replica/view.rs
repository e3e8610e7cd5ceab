//! What an observer of everything has gathered from diffs alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use penholder_presence::{Diff, Dot, Presence, PresenceSet, Topic};

/// All that is visible.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View(BTreeMap<(Topic, Dot), Arc<Presence>>);

impl View {
    /// Returns what a set shows, read through its lists.
    pub(super) fn of(set: &PresenceSet) -> Self {
        let topics: Vec<&Topic> = set.topics().map(|count| count.topic).collect();
        let entries = topics.into_iter().flat_map(|topic| set.list(topic));
        Self(entries.map(|entry| (place(entry), Arc::clone(entry))).collect())
    }

    /// Applies a diff, which must be exact: joins of the absent, leaves of the present.
    pub(super) fn fold(&mut self, diff: &Diff) {
        for changed in diff {
            assert!(!changed.is_empty(), "a topic without a change");
            for leave in &changed.leaves {
                let before = self.0.remove(&place(leave));
                assert_eq!(before.as_ref(), Some(leave), "a leave of somebody who is not visible");
            }
            for join in &changed.joins {
                let before = self.0.insert(place(join), Arc::clone(join));
                assert_eq!(before, None, "a join of somebody who is visible");
            }
        }
    }
}

fn place(entry: &Presence) -> (Topic, Dot) {
    (entry.topic.clone(), entry.dot.clone())
}
