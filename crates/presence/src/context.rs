//! Which operations have been seen.
//!
//! A [`Context`] is the causal context of a state or of a delta: per replica name the incarnation,
//! and of that incarnation the dots seen. An entry that a context covers and the state beside it
//! does not hold has been removed: this is what makes tombstones unnecessary.
//!
//! Incarnations of one name are ordered, and the pair (incarnation, dots) is joined
//! lexicographically: a larger incarnation takes the place of a smaller one with all it did. So a
//! context has one [`Life`] per *name*, and nothing grows with the number of restarts.
//!
//! Sources: Almeida, Shoker, Baquero, *Delta State Replicated Data Types*, 2018, section 7 (causal
//! contexts, compression by version vector and cloud).
//! `Deviation:` the paper has no incarnations; the lexicographic pair is section 6.1's `⊠`.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::dot::{Dot, ReplicaId};
use crate::name::ReplicaName;

/// An inclusive range of counters, never empty: `1 <= first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DotRange {
    /// The first counter in it.
    pub first: u64,
    /// The last counter in it.
    pub last: u64,
}

impl DotRange {
    /// Returns the range of one counter.
    #[must_use]
    pub fn one(counter: u64) -> Self {
        Self { first: counter, last: counter }
    }
}

/// Counters seen of one life: a contiguous prefix, and the cloud of ranges beyond it.
///
/// Canonical, so equality is equality of sets: ranges ascend and never touch each other or the
/// prefix. The cloud is empty when every fragment up to the newest has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    upto: u64,
    cloud: Vec<DotRange>,
}

impl Seen {
    /// Returns the end of the contiguous prefix: every counter from 1 to it has been seen.
    #[must_use]
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// Returns the ranges beyond the prefix, ascending, with a gap before each.
    #[must_use]
    pub fn cloud(&self) -> &[DotRange] {
        &self.cloud
    }

    /// Iterates over all ranges, the prefix first, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = DotRange> + '_ {
        let prefix = (self.upto > 0).then_some(DotRange { first: 1, last: self.upto });
        prefix.into_iter().chain(self.cloud.iter().copied())
    }

    /// Returns whether nothing has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upto == 0 && self.cloud.is_empty()
    }

    /// Returns whether `counter` has been seen. Cost: logarithm of the cloud.
    #[must_use]
    pub fn contains(&self, counter: u64) -> bool {
        let after = self.cloud.partition_point(|range| range.first <= counter);
        counter <= self.upto || after > 0 && counter <= self.cloud[after - 1].last
    }

    /// Returns whether everything in `other` is in this too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.ranges().all(|range| self.covers_range(range))
    }

    /// Adds a range, and closes the gaps that it fills.
    ///
    /// # Panics
    ///
    /// When the range is empty, or begins at zero.
    pub fn insert(&mut self, range: DotRange) {
        assert!(1 <= range.first && range.first <= range.last, "counters start at 1: {range:?}");
        if range.first <= self.upto.saturating_add(1) {
            self.upto = self.upto.max(range.last);
        } else {
            self.insert_beyond(range);
        }
        self.absorb_cloud();
    }

    /// Adds everything in `other`.
    ///
    /// Cost: in proportion to `other`, and to both when both have many ranges.
    pub fn union(&mut self, other: &Self) {
        if self.cloud.len().min(other.cloud.len()) < 8 {
            other.ranges().for_each(|range| self.insert(range));
            return;
        }
        // One by one, each would move all that are behind it.
        let mut ranges: Vec<_> = self.ranges().chain(other.ranges()).collect();
        ranges.sort_unstable_by_key(|range| range.first);
        *self = Self::default();
        ranges.into_iter().for_each(|range| self.insert(range));
    }

    /// Returns whether all of a range has been seen. Cost: logarithm of the cloud.
    #[must_use]
    pub fn covers_range(&self, range: DotRange) -> bool {
        // Ranges never touch, so one alone must hold it whole.
        let after = self.cloud.partition_point(|seen| seen.first <= range.first);
        range.last <= self.upto || after > 0 && range.last <= self.cloud[after - 1].last
    }

    fn insert_beyond(&mut self, range: DotRange) {
        // The ranges that the new one overlaps or touches become one with it.
        let from = self.cloud.partition_point(|seen| seen.last < range.first - 1);
        let to = self.cloud.partition_point(|seen| seen.first <= range.last.saturating_add(1));
        if from == to {
            self.cloud.insert(from, range);
            return;
        }
        let first = range.first.min(self.cloud[from].first);
        let last = range.last.max(self.cloud[to - 1].last);
        self.cloud[from] = DotRange { first, last };
        self.cloud.drain(from + 1..to);
    }

    /// Moves into the prefix what it has reached.
    fn absorb_cloud(&mut self) {
        let reach = |upto: u64, range: &DotRange| range.first <= upto.saturating_add(1);
        let mut absorbed = 0;
        while let Some(range) = self.cloud.get(absorbed).filter(|range| reach(self.upto, range)) {
            self.upto = self.upto.max(range.last);
            absorbed += 1;
        }
        self.cloud.drain(..absorbed);
    }
}

/// What has been seen of the newest known incarnation of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    replica: Arc<ReplicaId>,
    seen: Seen,
}

impl Life {
    /// Returns the replica.
    #[must_use]
    pub fn replica(&self) -> &Arc<ReplicaId> {
        &self.replica
    }

    /// Returns its dots seen; none when it is only known to have started.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// The dots seen: one [`Life`] per replica name, in name order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    lives: Vec<Life>,
}

impl Context {
    /// Makes a context that covers nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether no replica is known, not even one that has done nothing yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// Iterates over the known replicas, in name order.
    pub fn iter(&self) -> std::slice::Iter<'_, Life> {
        self.lives.iter()
    }

    /// Returns the newest known life of a name.
    #[must_use]
    pub fn life(&self, name: &ReplicaName) -> Option<&Life> {
        self.find(name).ok().map(|at| &self.lives[at])
    }

    /// Returns whether `dot` has been seen; also when a newer incarnation of its replica made it void.
    #[must_use]
    pub fn contains(&self, dot: &Dot) -> bool {
        self.life(&dot.replica.name).is_some_and(|life| {
            match dot.replica.incarnation.cmp(&life.replica.incarnation) {
                Ordering::Less => true,
                Ordering::Equal => life.seen.contains(dot.counter),
                Ordering::Greater => false,
            }
        })
    }

    /// Returns whether everything that `other` has seen is seen or void here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|theirs| {
            self.life(&theirs.replica.name).is_some_and(|ours| {
                match ours.replica.incarnation.cmp(&theirs.replica.incarnation) {
                    Ordering::Less => false,
                    Ordering::Equal => ours.seen.covers(&theirs.seen),
                    Ordering::Greater => true,
                }
            })
        })
    }

    /// Adds one dot.
    pub fn insert(&mut self, dot: &Dot) {
        self.insert_range(&dot.replica, DotRange::one(dot.counter));
    }

    /// Adds a range of dots of one replica; does nothing when a newer incarnation is known.
    ///
    /// # Panics
    ///
    /// When the range is empty, or begins at zero.
    pub fn insert_range(&mut self, replica: &Arc<ReplicaId>, range: DotRange) {
        if let Some(life) = self.enter(replica) {
            life.seen.insert(range);
        }
    }

    /// Adds everything that `other` has seen.
    pub fn union(&mut self, other: &Self) {
        for theirs in &other.lives {
            self.union_life(theirs);
        }
    }

    /// Adds what has been seen of one replica.
    pub(crate) fn union_life(&mut self, theirs: &Life) {
        if let Some(ours) = self.enter(&theirs.replica) {
            ours.seen.union(&theirs.seen);
        }
    }

    /// Returns the life of exactly this replica, begun now when it is new or newer than the known
    /// one; none when a newer incarnation is known.
    fn enter(&mut self, replica: &Arc<ReplicaId>) -> Option<&mut Life> {
        let begun = || Life { replica: Arc::clone(replica), seen: Seen::default() };
        let at = match self.find(&replica.name) {
            Ok(at) => at,
            Err(at) => {
                // Most contexts are those of deltas, which name one replica.
                self.lives.reserve_exact(1);
                self.lives.insert(at, begun());
                at
            }
        };
        let life = &mut self.lives[at];
        if life.replica.incarnation < replica.incarnation {
            *life = begun();
        }
        (life.replica.incarnation == replica.incarnation).then_some(life)
    }

    /// Notes that a replica lives, whether or not it has done anything.
    pub(crate) fn begin(&mut self, replica: &Arc<ReplicaId>) {
        self.enter(replica);
    }

    /// Drops all knowledge of a name.
    pub(crate) fn forget(&mut self, name: &ReplicaName) {
        if let Ok(at) = self.find(name) {
            self.lives.remove(at);
        }
    }

    fn find(&self, name: &ReplicaName) -> Result<usize, usize> {
        self.lives.binary_search_by(|life| life.replica.name.cmp(name))
    }
}

impl<'a> IntoIterator for &'a Context {
    type Item = &'a Life;
    type IntoIter = std::slice::Iter<'a, Life>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot::Incarnation;

    fn seen(ranges: &[(u64, u64)]) -> Seen {
        let mut seen = Seen::default();
        for &(first, last) in ranges {
            seen.insert(DotRange { first, last });
        }
        seen
    }

    #[test]
    fn filling_a_gap_moves_the_cloud_into_the_prefix() {
        let mut set = seen(&[(1, 3), (5, 6), (9, 9)]);
        assert_eq!((set.upto(), set.cloud().len()), (3, 2));
        set.insert(DotRange::one(4));
        assert_eq!((set.upto(), set.cloud()), (6, &[DotRange::one(9)][..]));
        set.insert(DotRange { first: 7, last: 20 });
        assert_eq!((set.upto(), set.cloud()), (20, &[][..]));
    }

    #[test]
    fn equal_sets_are_equal_whatever_the_order_of_insertion() {
        let whole = seen(&[(3, 9), (12, 12)]);
        assert_eq!(whole, seen(&[(12, 12), (7, 9), (3, 4), (5, 6)]));
        assert_eq!(whole, seen(&[(4, 8), (3, 9), (12, 12), (8, 9)]));
    }

    #[test]
    fn a_range_over_two_ranges_with_a_gap_is_not_covered() {
        let set = seen(&[(1, 2), (5, 6), (8, 9)]);
        assert!(set.covers(&seen(&[(1, 1), (5, 5), (8, 9)])));
        assert!(!set.covers(&seen(&[(5, 9)])));
        assert!(!set.covers(&seen(&[(2, 5)])));
        assert!(set.contains(6) && !set.contains(7) && !set.contains(10) && !set.contains(3));
    }

    #[test]
    fn the_last_counter_of_all_is_an_ordinary_one() {
        let mut set = seen(&[(u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX - 1)]);
        assert_eq!(set.cloud(), [DotRange { first: u64::MAX - 1, last: u64::MAX }]);
        set.insert(DotRange { first: 1, last: u64::MAX });
        assert_eq!((set.upto(), set.cloud().len()), (u64::MAX, 0));
        set.insert(DotRange::one(5));
        assert_eq!(set.upto(), u64::MAX);
    }

    #[test]
    fn a_newer_incarnation_makes_the_older_void_and_takes_its_room() {
        let old = Arc::new(ReplicaId::new("a", Incarnation(1)));
        let new = Arc::new(ReplicaId::new("a", Incarnation(2)));
        let mut context = Context::new();
        context.insert_range(&old, DotRange { first: 1, last: 9 });
        let before = context.clone();
        context.insert_range(&new, DotRange::one(1));
        assert_eq!(context.iter().count(), 1);
        assert!(context.covers(&before) && !before.covers(&context));
        assert!(context.contains(&Dot::new(Arc::clone(&old), 99)));
        assert!(!context.contains(&Dot::new(new, 2)));

        let settled = context.clone();
        context.insert_range(&old, DotRange::one(10));
        context.union(&before);
        assert_eq!(context, settled);
    }

    #[test]
    fn a_life_without_dots_is_knowledge() {
        let replica = Arc::new(ReplicaId::new("a", Incarnation(2)));
        let (mut begun, nothing) = (Context::new(), Context::new());
        begun.begin(&replica);
        assert!(begun.covers(&nothing) && !nothing.covers(&begun));
        begun.forget(&replica.name);
        assert_eq!(begun, nothing);
    }
}
