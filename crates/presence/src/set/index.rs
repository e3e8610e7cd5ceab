//! Entries and rooms by the fingerprint of a name.
//!
//! A hash table of numbers alone: the name stands in what the number refers to, so a bucket is eight
//! bytes and not the forty of a map with the name as its key. Several may have the same fingerprint,
//! the entries of one session in several topics above all, and whoever asks looks at the name itself.
//!
//! Open addressing with linear probing, and removal by shifting back (Knuth, *The Art of Computer
//! Programming*, volume 3, section 6.4, algorithm R), so that nothing is left of what has gone.

use super::slots::NOWHERE;

const BUCKETS_MIN: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    print: u32,
    number: u32,
}

const EMPTY: Bucket = Bucket { print: 0, number: NOWHERE };

#[derive(Debug)]
pub(super) struct Index {
    /// A power of two of them, never more than four fifths taken.
    buckets: Vec<Bucket>,
    taken: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { buckets: vec![EMPTY; BUCKETS_MIN], taken: 0 }
    }

    /// Iterates over the numbers with a fingerprint. Cost: in proportion to them.
    pub(super) fn find(&self, print: u32) -> impl Iterator<Item = u32> + '_ {
        let run = self.probe(print).map(|at| self.buckets[at]);
        let run = run.take_while(|bucket| bucket.number != NOWHERE);
        run.filter(move |bucket| bucket.print == print).map(|bucket| bucket.number)
    }

    pub(super) fn insert(&mut self, print: u32, number: u32) {
        if (self.taken + 1) * 5 > self.buckets.len() * 4 {
            self.resize(self.buckets.len() * 2);
        }
        self.place(Bucket { print, number });
        self.taken += 1;
    }

    pub(super) fn remove(&mut self, print: u32, number: u32) {
        let mut run = self.probe(print).take_while(|&at| self.buckets[at].number != NOWHERE);
        let is_it =
            |&at: &usize| self.buckets[at].number == number && self.buckets[at].print == print;
        let mut hole = run.find(is_it).expect("it was inserted");
        let mask = self.buckets.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket.number == NOWHERE {
                break;
            }
            // It may move into the hole unless its home lies behind the hole.
            let from_home = at.wrapping_sub(self.home(bucket.print)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = EMPTY;
        self.taken -= 1;
        if self.taken * 8 < self.buckets.len() && self.buckets.len() > BUCKETS_MIN {
            self.resize(self.buckets.len() / 2);
        }
    }

    /// Returns how many buckets there are, taken or not.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Iterates over all buckets from the home of a fingerprint on.
    fn probe(&self, print: u32) -> impl Iterator<Item = usize> + use<> {
        let (home, mask) = (self.home(print), self.buckets.len() - 1);
        (0..=mask).map(move |step| (home + step) & mask)
    }

    fn home(&self, print: u32) -> usize {
        print as usize & (self.buckets.len() - 1)
    }

    fn place(&mut self, bucket: Bucket) {
        let mut free = self.probe(bucket.print).filter(|&at| self.buckets[at].number == NOWHERE);
        let at = free.next().expect("a fifth of the buckets is free");
        self.buckets[at] = bucket;
    }

    fn resize(&mut self, buckets: usize) {
        let old = std::mem::replace(&mut self.buckets, vec![EMPTY; buckets]);
        for bucket in old.into_iter().filter(|bucket| bucket.number != NOWHERE) {
            self.place(bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Few fingerprints, so that runs collide, wrap around the end and are cut in the middle.
    #[test]
    fn agrees_with_an_ordered_set_through_growth_and_shrinking() {
        let (mut table, mut model) = (Index::new(), BTreeSet::new());
        let mut draw = 1_u32;
        for round in 0..8_000_u32 {
            // xorshift32.
            draw ^= draw << 13;
            draw ^= draw >> 17;
            draw ^= draw << 5;
            let (print, slot) = (draw % 37 * 0x0100_0007, draw / 37 % 97);
            // Grows for half of a thousand rounds, and shrinks for the other.
            let is_growing = (round / 500).is_multiple_of(2);
            if is_growing && model.insert((print, slot)) {
                table.insert(print, slot);
            } else if !is_growing && model.remove(&(print, slot)) {
                table.remove(print, slot);
            }
            let found: BTreeSet<u32> = table.find(print).collect();
            let expected = model.iter().filter(|(p, _)| *p == print).map(|&(_, slot)| slot);
            assert_eq!(found, expected.collect());
        }
        for (print, slot) in model {
            table.remove(print, slot);
        }
        assert_eq!((table.taken, table.len()), (0, BUCKETS_MIN));
    }
}
