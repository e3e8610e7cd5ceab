//! Deltas kept to answer who lacks them, and those that came too early.
//!
//! An [`Interval`] is what its owner sent: some of its operations in a row, with everything that they
//! removed. The bytes are kept as they came, and passed on as they are.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::dot::{Incarnation, ReplicaId};
use crate::name::ReplicaName;

/// Operations `first..=last` of one replica, as an encoded delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) delta: Bytes,
}

#[derive(Debug)]
struct Past {
    incarnation: Incarnation,
    /// By their first operation.
    intervals: BTreeMap<u64, Interval>,
}

#[derive(Debug)]
pub(super) struct History {
    owners: BTreeMap<ReplicaName, Past>,
    /// What was stored, oldest first; also what has been dropped since.
    order: VecDeque<(ReplicaId, u64)>,
    bytes: usize,
    bytes_max: usize,
    deltas_max: usize,
}

impl History {
    pub(super) fn new(bytes_max: usize, deltas_max: usize) -> Self {
        let (owners, order) = (BTreeMap::new(), VecDeque::new());
        Self { owners, order, bytes: 0, bytes_max, deltas_max }
    }

    /// Keeps an interval, in the place of the oldest ones when there is no room.
    pub(super) fn insert(&mut self, owner: &ReplicaId, interval: Interval) {
        let begun = || Past { incarnation: owner.incarnation, intervals: BTreeMap::new() };
        let past = self.owners.entry(owner.name.clone()).or_insert_with(begun);
        if past.incarnation < owner.incarnation {
            let old = std::mem::replace(past, begun());
            self.bytes -= old.bytes();
        }
        if past.incarnation > owner.incarnation || past.holds(&interval) {
            return;
        }
        let (first, bytes) = (interval.first, interval.delta.len());
        self.bytes += bytes;
        match past.intervals.insert(first, interval) {
            // A shorter one that began at the same operation; its place in the order is kept.
            Some(shorter) => self.bytes -= shorter.delta.len(),
            None => self.order.push_back((owner.clone(), first)),
        }
        while self.bytes > self.bytes_max || self.order.len() > self.deltas_max {
            let Some((owner, first)) = self.order.pop_front() else { break };
            self.remove(&owner, first);
        }
    }

    /// Returns the interval with this operation that begins last.
    pub(super) fn at(&self, owner: &ReplicaId, counter: u64) -> Option<&Interval> {
        let past = self.past(owner)?;
        let (_, interval) = past.intervals.range(..=counter).next_back()?;
        (interval.last >= counter).then_some(interval)
    }

    /// Returns the intervals that hold all of these operations, when there are such.
    pub(super) fn cover(&self, owner: &ReplicaId, first: u64, last: u64) -> Option<Vec<&Interval>> {
        let (mut next, mut found) = (first, Vec::new());
        while next <= last {
            let interval = self.at(owner, next)?;
            next = interval.last + 1;
            found.push(interval);
        }
        Some(found)
    }

    /// Returns the last operation of an owner that is kept.
    pub(super) fn last(&self, owner: &ReplicaId) -> u64 {
        let last = self.past(owner).and_then(|past| past.intervals.last_key_value());
        last.map_or(0, |(_, interval)| interval.last)
    }

    pub(super) fn forget(&mut self, name: &ReplicaName) {
        if let Some(past) = self.owners.remove(name) {
            self.bytes -= past.bytes();
        }
        self.order.retain(|(owner, _)| owner.name != *name);
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max, self.deltas_max);
    }

    fn past(&self, owner: &ReplicaId) -> Option<&Past> {
        self.owners.get(&owner.name).filter(|past| past.incarnation == owner.incarnation)
    }

    fn remove(&mut self, owner: &ReplicaId, first: u64) {
        let past = self.owners.get_mut(&owner.name);
        if let Some(past) = past.filter(|past| past.incarnation == owner.incarnation)
            && let Some(interval) = past.intervals.remove(&first)
        {
            self.bytes -= interval.delta.len();
        }
    }

    /// Returns how many intervals and bytes are kept.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.owners.values().map(|past| past.intervals.len()).sum(), self.bytes)
    }

    /// Returns whether anything of a name is kept.
    #[cfg(test)]
    pub(super) fn mentions(&self, name: &ReplicaName) -> bool {
        self.owners.contains_key(name) || self.order.iter().any(|(owner, _)| owner.name == *name)
    }
}

impl Past {
    fn bytes(&self) -> usize {
        self.intervals.values().map(|interval| interval.delta.len()).sum()
    }

    fn holds(&self, interval: &Interval) -> bool {
        let before = self.intervals.range(..=interval.first).next_back();
        before.is_some_and(|(_, held)| held.last >= interval.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(incarnation: u64) -> ReplicaId {
        ReplicaId::new("a", Incarnation(incarnation))
    }

    fn interval(first: u64, last: u64) -> Interval {
        Interval { first, last, delta: Bytes::from(vec![0; 10]) }
    }

    #[test]
    fn the_fewest_intervals_that_cover_a_lack_are_found() {
        let mut history = History::new(1_000, 100);
        for (first, last) in [(1, 3), (4, 4), (5, 9), (12, 14)] {
            history.insert(&owner(1), interval(first, last));
        }
        let cover = |first, last| {
            let found = history.cover(&owner(1), first, last)?;
            Some(found.iter().map(|found| found.first).collect::<Vec<_>>())
        };
        assert_eq!(cover(4, 4), Some(vec![4]));
        assert_eq!(cover(3, 7), Some(vec![1, 4, 5]));
        assert_eq!(cover(8, 12), None, "10 and 11 are not there");
        assert_eq!(cover(15, 15), None);
        assert_eq!(history.cover(&owner(2), 4, 4), None, "another life");
    }

    #[test]
    fn the_oldest_goes_first_and_restarts_leave_nothing() {
        let mut history = History::new(50, 4);
        for n in 1..=10 {
            history.insert(&owner(1), interval(n, n));
        }
        assert_eq!((history.size(), history.last(&owner(1))), ((4, 40), 10));
        assert!(history.at(&owner(1), 6).is_none() && history.at(&owner(1), 7).is_some());
        for life in 2..1_000 {
            history.insert(&owner(life), interval(1, 2));
            assert_eq!(history.size(), (1, 10));
            assert!(history.order.len() <= 4);
        }
        history.forget(&"a".into());
        assert_eq!((history.size(), history.order.len()), ((0, 0), 0));
    }
}
