//! Two kinds of time that never convert into each other.
//!
//! Wall time is shown to people and orders those present; it jumps. Monotonic time measures spans
//! and belongs to one process. A core is given both and reads neither.

/// A point of wall time: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallMs(pub u64);

/// A point of monotonic time: milliseconds since a start that only its own process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoMs(pub u64);

impl MonoMs {
    /// Returns the point `span_ms` milliseconds later, or the end of time.
    #[must_use]
    pub fn after(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }

    /// Returns the milliseconds from `earlier` to this point, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
