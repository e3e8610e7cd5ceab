//! The one place that reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use penholder_hub::Now;
use penholder_presence::{MonoMs, WallMs};

/// Both clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present time on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// The present time of the monotonic clock.
    #[must_use]
    pub fn mono(&self) -> MonoMs {
        MonoMs(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment at which the monotonic clock shows `at`.
    #[must_use]
    pub fn instant(&self, at: MonoMs) -> Instant {
        let since_start = std::time::Duration::from_millis(at.0);
        // Deadlines beyond what the platform can say are as good as a day away: waking is a no-op.
        self.started
            .checked_add(since_start)
            .unwrap_or_else(|| Instant::now() + std::time::Duration::from_secs(86_400))
    }
}

/// The present time of the wall clock; the epoch, where the clock stands before it.
#[must_use]
pub fn wall() -> WallMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
