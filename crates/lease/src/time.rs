//! The only clock of a lease: the store's.

use serde::{Deserialize, Serialize};

use crate::fence::Timeline;

/// A point of the store's time: milliseconds since the Unix epoch, by the clock of the database.
///
/// All deadlines are compared with this clock and no other, so replicas whose own clocks are wrong
/// still agree who holds the pen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StoreMs(pub u64);

impl StoreMs {
    /// Returns the point `span_ms` milliseconds later, or the end of time.
    #[must_use]
    pub fn after(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }

    /// Returns the point `span_ms` milliseconds earlier, or the epoch.
    #[must_use]
    pub fn before(self, span_ms: u64) -> Self {
        Self(self.0.saturating_sub(span_ms))
    }
}

/// What the store says of itself at the moment of a decision, read under the lock of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreTime {
    /// Its clock.
    pub at: StoreMs,
    /// Its timeline.
    pub timeline: Timeline,
}
