//! The clock of a store that has none of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use penholder_lease::StoreMs;
use rustix::time::{ClockId, clock_gettime};

/// The machine's wall clock as it was at the start, and from then on a clock that nobody sets and that
/// counts suspension: a wall clock put back by an hour would keep every pen for an hour longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_ms: u64,
    elapsed_ms: u64,
}

#[cfg(target_os = "linux")]
const ELAPSED: ClockId = ClockId::Boottime;
/// On macOS this one counts suspension.
#[cfg(not(target_os = "linux"))]
const ELAPSED: ClockId = ClockId::Monotonic;

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Self { wall_ms, elapsed_ms: elapsed_ms() }
    }

    pub(crate) fn now(self) -> StoreMs {
        StoreMs(self.wall_ms).after(elapsed_ms().saturating_sub(self.elapsed_ms))
    }
}

fn elapsed_ms() -> u64 {
    let time = clock_gettime(ELAPSED);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000 + nanos / 1_000_000
}
