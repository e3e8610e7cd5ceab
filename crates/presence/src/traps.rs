//! Known traps, for tests that put them back and must find them.
//!
//! Each is a mistake that a real system has made, unless it says otherwise. The feature `traps` makes the switches; without it
//! nobody can set one, [`Traps::has`] is a constant, and what stands behind it is compiled out. Traps
//! that a driver can fall into without this crate's help are not here but in the simulation.

#![cfg_attr(
    not(feature = "traps"),
    expect(unreachable_pub, reason = "exported only with the feature, and described all the same")
)]

#[cfg(feature = "traps")]
use std::cell::Cell;

/// A mistake that is made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trap {
    /// A replica that was not scheduled judges the others before it has listened to them.
    NoStallGuard,
    /// Incarnations are compared for inequality only, so a late message of an old life ends the new.
    UnorderedLives,
    /// An entry has its topic, key and session as its name, so the last to arrive replaces the others.
    KeyedByName,
    /// Neither what a replica had that has been silent for however long, nor its name, is forgotten.
    NeverForget,
    /// A digest that shows a lack is no reason to ask.
    DeafToDigests,
    /// Reads do not ask whether the replica of an entry is down.
    UnfilteredReads,
    /// A full state that arrives throws away the deltas that were kept to answer others.
    StateDropsHistory,
    /// An update is a removal, and then an addition.
    UpdateInHalves,
    /// What comes after a gap counts as all that came before it.
    GapsUnseen,
    /// A merge looks at every entry of the replica of which it speaks.
    ScanPerMerge,
    /// An answer is certain before the others are known to share it. Nobody's mistake but our own.
    HastyCertainty,
    /// An answer is certain beside those who do not hear this replica. Ours too.
    UnheardCertainty,
}

/// The traps that are put back: none without the feature `traps`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traps {
    #[cfg(feature = "traps")]
    bits: u32,
}

impl Traps {
    /// Returns these traps and no others.
    #[cfg(feature = "traps")]
    #[must_use]
    pub fn of(traps: &[Trap]) -> Self {
        Self { bits: traps.iter().fold(0, |bits, trap| bits | 1 << *trap as u32) }
    }

    /// Returns whether a trap is put back.
    #[cfg(feature = "traps")]
    pub(crate) fn has(self, trap: Trap) -> bool {
        self.bits & 1 << trap as u32 != 0
    }

    #[cfg(not(feature = "traps"))]
    pub(crate) const fn has(self, _: Trap) -> bool {
        false
    }
}

/// What merging costs, in entries looked at: a measure that is the same on every machine. Counts
/// nothing without the feature `traps`.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    #[cfg(feature = "traps")]
    counts: Cell<Counts>,
}

#[cfg(feature = "traps")]
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    looks: u64,
    /// What a merge may cost: the entries that it brings, adds and removes.
    due: u64,
    /// The most looks that a merge took for each that was due.
    worst: u64,
}

#[cfg(feature = "traps")]
impl Effort {
    /// A merge begins that brings so many entries.
    pub(crate) fn begin(&self, entries: usize) {
        let due = 1 + u64::try_from(entries).unwrap_or(u64::MAX);
        self.counts.update(|counts| Counts { looks: 0, due, ..counts });
    }

    /// An entry is looked at.
    pub(crate) fn look(&self) {
        self.counts.update(|counts| Counts { looks: counts.looks + 1, ..counts });
    }

    /// An entry is added or removed.
    pub(crate) fn change(&self) {
        self.counts.update(|counts| Counts { due: counts.due + 1, ..counts });
    }

    /// The merge is over.
    pub(crate) fn end(&self) {
        self.counts.update(|counts| {
            let worst = counts.worst.max(counts.looks.div_ceil(counts.due));
            Counts { worst, ..counts }
        });
    }

    pub(crate) fn worst(&self) -> u64 {
        self.counts.get().worst
    }
}

#[cfg(not(feature = "traps"))]
impl Effort {
    pub(crate) fn begin(&self, _: usize) {}

    pub(crate) fn look(&self) {}

    pub(crate) fn change(&self) {}

    pub(crate) fn end(&self) {}
}
