//! When to connect again.

use std::time::Duration;

/// What npm `phoenix` waits before each attempt, in milliseconds; the last one repeats.
const DELAYS_MS: [u64; 10] = [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000];

/// Counts attempts since the last connection that held.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: usize,
}

impl Backoff {
    /// How long to wait before the next attempt: half to all of what npm `phoenix` waits, as `share` of
    /// 0 to 1 decides, so that the clients of one server do not return in step. Deviation from npm
    /// `phoenix`, which has no jitter.
    pub(crate) fn next_delay(&mut self, share: f64) -> Duration {
        let last = DELAYS_MS.len() - 1;
        let whole = Duration::from_millis(DELAYS_MS[self.attempts.min(last)]);
        self.attempts += 1;
        whole.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
    }

    /// Starts over.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn delays_are_those_of_phoenix_and_the_last_repeats() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..12).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(delays, [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), Duration::from_millis(5));
    }
}
