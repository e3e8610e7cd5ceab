//! When a delivery that has failed is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The first retry comes after this, and as much again at most.
const FIRST: Duration = Duration::from_secs(1);

/// From here on the waits do not grow any more.
const LONGEST: Duration = Duration::from_secs(600);

/// Attempts after which the wait is the longest.
const GROWING: u32 = 11;

/// Returns how long to wait after an attempt that has failed, before which there were so many, the first of them
/// `tried_for` ago. None when the next would come later than `retry_for` after the first: it is to be parked.
pub(super) fn wait(attempts: u32, tried_for: Duration, retry_for: Duration) -> Option<Duration> {
    let waits = ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .without_max_times();
    // Those after the last that grows are alike.
    let place = usize::try_from(attempts.min(GROWING)).unwrap_or_default();
    let wait = waits.build().nth(place)?;
    (tried_for + wait <= retry_for).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn waits_grow_from_a_second_to_ten_minutes_and_are_spread() {
        let mut least = 1;
        for attempts in 0..200 {
            let wait = wait(attempts, Duration::ZERO, DAY).unwrap();
            let bounds = Duration::from_secs(least)..=Duration::from_secs(least * 2);
            assert!(bounds.contains(&wait), "{attempts}: {wait:?}");
            least = (least * 2).min(600);
        }
        let first: Vec<_> = (0..20).map(|_| wait(0, Duration::ZERO, DAY)).collect();
        assert!(first.iter().any(|wait| *wait != first[0]), "{first:?}");
    }

    #[test]
    fn what_was_tried_for_long_enough_is_parked() {
        assert!(wait(30, DAY - Duration::from_secs(1_201), DAY).is_some());
        assert_eq!(wait(30, DAY - Duration::from_secs(599), DAY), None);
        assert_eq!(wait(0, Duration::ZERO, Duration::from_millis(999)), None);
    }
}
