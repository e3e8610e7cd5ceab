//! The live entries of one replica, by the counters of their dots.
//!
//! Counters only ever grow, and the operations of a replica are taken in in their order. So a sorted
//! list suffices where others need a tree: to add is to append, a counter is found by halving what lies
//! between the first and the last, and an entry takes twelve bytes. What is removed leaves a gap, and the
//! gaps are closed when they are half of the list.
//!
//! Whoever takes in deltas out of their order pays for it: an insertion moves what comes after.

use std::ops::RangeInclusive;

use super::slots::{NOWHERE, Slot};

#[derive(Debug, Default)]
pub(super) struct Live {
    /// Ascending, those of gaps too; the last one is none.
    counters: Vec<u64>,
    /// Beside each counter its entry, or [`NOWHERE`].
    slots: Vec<Slot>,
    gaps: usize,
}

impl Live {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.gaps
    }

    /// Iterates in the order of the counters.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().copied().filter(|&slot| slot != NOWHERE)
    }

    /// Iterates over those with a counter of a range. Cost: a logarithm, and in proportion to them.
    pub(super) fn range(
        &self,
        range: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, Slot)> + '_ {
        // Of what is new there is nothing here, which is seen at once.
        let is_new = self.counters.last().is_none_or(|last| last < range.start());
        let from = match is_new {
            true => self.counters.len(),
            false => self.counters.partition_point(|counter| counter < range.start()),
        };
        let within =
            self.counters[from..].iter().take_while(move |&counter| range.contains(counter));
        let both = within.copied().zip(self.slots[from..].iter().copied());
        both.filter(|&(_, slot)| slot != NOWHERE)
    }

    /// Adds an entry under a counter that no other has had.
    pub(super) fn insert(&mut self, counter: u64, slot: Slot) {
        if self.counters.last().is_none_or(|&last| last < counter) {
            self.counters.push(counter);
            self.slots.push(slot);
            return;
        }
        match self.counters.binary_search(&counter) {
            Ok(at) => {
                self.gaps -= usize::from(self.slots[at] == NOWHERE);
                self.slots[at] = slot;
            }
            Err(at) => {
                self.counters.insert(at, counter);
                self.slots.insert(at, slot);
            }
        }
    }

    /// Removes the entry under a counter, if there is one.
    pub(super) fn remove(&mut self, counter: u64) -> Option<Slot> {
        let at = self.find(counter)?;
        let slot = std::mem::replace(&mut self.slots[at], NOWHERE);
        if slot == NOWHERE {
            return None;
        }
        self.gaps += 1;
        while self.slots.last() == Some(&NOWHERE) {
            self.slots.pop();
            self.counters.pop();
            self.gaps -= 1;
        }
        if self.gaps * 2 > self.slots.len() {
            self.close_gaps();
        }
        Some(slot)
    }

    fn find(&self, counter: u64) -> Option<usize> {
        let (&first, &last) = (self.counters.first()?, self.counters.last()?);
        if !(first..=last).contains(&counter) {
            return None;
        }
        // No two are the same, so it lies no further from either end than its counter does.
        let end = self.counters.len() - 1;
        let near = |counters: u64| usize::try_from(counters).unwrap_or(usize::MAX).min(end);
        let (from, to) = (end - near(last - counter), near(counter - first));
        let found = self.counters[from..=to].binary_search(&counter).ok()?;
        Some(from + found)
    }

    fn close_gaps(&mut self) {
        let mut slots = self.slots.iter();
        self.counters.retain(|_| slots.next() != Some(&NOWHERE));
        self.slots.retain(|&slot| slot != NOWHERE);
        self.gaps = 0;
        if self.slots.capacity() > self.slots.len() * 4 {
            self.counters.shrink_to(self.slots.len() * 2);
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// In order and out of it, dense and sparse, with removals anywhere.
    #[test]
    fn agrees_with_an_ordered_map() {
        let (mut live, mut model) = (Live::default(), BTreeMap::new());
        let mut draw = 7_u64;
        let mut below = |end: u64| {
            // xorshift64.
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            draw % end
        };
        let mut next = 0;
        for round in 0..20_000_u32 {
            let is_growing = (round / 1_000).is_multiple_of(2);
            match below(if is_growing { 4 } else { 12 }) {
                0..=2 => {
                    next += 1 + below(3);
                    let counter = if below(20) == 0 { below(next) } else { next };
                    live.insert(counter, round);
                    model.insert(counter, round);
                }
                _ => {
                    let counter = below(next + 2);
                    let counter = model.range(counter..).next().map_or(counter, |(at, _)| *at);
                    assert_eq!(live.remove(counter), model.remove(&counter));
                    assert_eq!(live.remove(counter), None);
                }
            }
            assert_eq!(live.len(), model.len());
            let (first, last) = (below(next + 1), below(next + 2));
            let range: Vec<_> = live.range(first..=last).collect();
            let expected = if first <= last { model.range(first..=last).collect() } else { vec![] };
            assert!(range.iter().map(|(counter, slot)| (counter, slot)).eq(expected));
        }
        assert!(live.slots().eq(model.into_values()));
    }

    #[test]
    fn what_has_gone_leaves_no_more_than_what_is_there() {
        let mut live = Live::default();
        (0..10_000).for_each(|counter| live.insert(counter, 1));
        (0..9_990).for_each(|counter| assert_eq!(live.remove(counter), Some(1)));
        assert!(live.slots.len() <= 20 && live.slots.capacity() <= 80);
        (9_990..10_000).for_each(|counter| assert_eq!(live.remove(counter), Some(1)));
        assert_eq!((live.len(), live.counters.len()), (0, 0));
    }
}
