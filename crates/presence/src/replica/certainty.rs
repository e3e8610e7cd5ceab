//! How far an answer can be relied on.
//!
//! The answer of a topic is *confirmed* when no live replica can give another one. Every live replica
//! has told what it has seen. If this replica has seen all of that, it knows everybody whom any of
//! them knows. If each of them has seen every operation that touched the topic, each knows everybody
//! whom this replica knows, and that those who left did. Both together: the same entries of the topic,
//! so the same answer. It stands as of the last heartbeats, as nothing in a cluster can stand firmer.
//!
//! Which operations touched a topic is remembered only until all have seen them.

use std::collections::{BTreeMap, VecDeque};

use crate::name::{ReplicaName, Topic};

/// How many operations are remembered; beyond that every topic waits for the oldest.
const OPERATIONS_MAX: usize = 1 << 16;

/// Operations that some live replica may not have seen, with the topics that they touched.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Per owner, in the order of their counters.
    by_owner: BTreeMap<ReplicaName, VecDeque<(u64, Topic)>>,
    topics: BTreeMap<Topic, u32>,
    /// Operations that were not kept, which concern every topic.
    floors: BTreeMap<ReplicaName, u64>,
    operations: usize,
}

impl Unsettled {
    /// Notes that an operation touched a topic.
    pub(super) fn note(&mut self, owner: &ReplicaName, counter: u64, topic: &Topic) {
        let queue = self.by_owner.entry(owner.clone()).or_default();
        if self.operations >= OPERATIONS_MAX {
            let floor = self.floors.entry(owner.clone()).or_default();
            *floor = counter.max(*floor);
            return;
        }
        queue.push_back((counter, topic.clone()));
        *self.topics.entry(topic.clone()).or_default() += 1;
        self.operations += 1;
    }

    /// Drops the operations of an owner that all have seen, and returns topics of which none is left.
    pub(super) fn settle(&mut self, owner: &ReplicaName, seen_by_all: u64) -> Vec<Topic> {
        let mut settled = Vec::new();
        if self.floors.get(owner).is_some_and(|&floor| floor <= seen_by_all) {
            self.floors.remove(owner);
        }
        let Some(queue) = self.by_owner.get_mut(owner) else { return settled };
        while let Some((_, topic)) = queue.pop_front_if(|(counter, _)| *counter <= seen_by_all) {
            self.operations -= 1;
            let left = self.topics.get_mut(&topic).expect("each operation counts");
            *left -= 1;
            if *left == 0 {
                self.topics.remove(&topic);
                settled.push(topic);
            }
        }
        if queue.is_empty() {
            self.by_owner.remove(owner);
        }
        settled
    }

    /// Iterates over those whose operations are waited for.
    pub(super) fn owners(&self) -> Vec<ReplicaName> {
        self.by_owner.keys().chain(self.floors.keys()).cloned().collect()
    }

    pub(super) fn is_settled(&self, topic: &Topic) -> bool {
        !self.topics.contains_key(topic)
    }

    /// Returns whether something concerns every topic.
    pub(super) fn has_floor(&self) -> bool {
        !self.floors.is_empty()
    }

    /// Returns how much is remembered.
    pub(super) fn len(&self) -> usize {
        self.operations + self.floors.len()
    }
}
