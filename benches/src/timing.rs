//! How long something takes: processor time of this thread, which other programs do not lengthen.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::effort::Effort;

/// So many operations took so long together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// How many operations.
    pub units: u64,
    /// How long.
    pub spent: Duration,
}

/// Processor time per operation, of several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the rounds took at most this, in ns.
    pub low: f64,
    /// Half of the rounds.
    pub median: f64,
    /// Three quarters of the rounds.
    pub high: f64,
}

/// One round of a measurement: prepares, times, and undoes what was done.
pub type Round = Box<dyn FnMut() -> Timed>;

/// Times work that does so many operations. What it returns is freed by the caller, untimed.
///
/// A function of its own, as instructions are counted while it runs.
#[inline(never)]
pub fn timed<R>(units: u64, work: impl FnOnce() -> R) -> (Timed, R) {
    let start = ThreadTime::now();
    let result = black_box(work());
    (Timed { units, spent: start.elapsed() }, result)
}

/// Runs rounds of several in turn, so that whatever slows the machine slows all of them.
///
/// # Panics
///
/// When a round did nothing.
#[must_use]
pub fn in_turn(effort: Effort, contenders: &mut [Round]) -> Vec<Spread> {
    let (rounds_min, rounds_max, budget) = match effort {
        Effort::Smoke => (1, 1, Duration::ZERO),
        Effort::Quick => (3, 30, Duration::from_millis(300)),
        Effort::Full => (9, 300, Duration::from_secs(3)),
    };
    if effort > Effort::Smoke {
        // The first finds nothing in the caches, and an allocator without free memory.
        contenders.iter_mut().for_each(|round| {
            black_box(round());
        });
    }
    let mut figures = vec![Vec::new(); contenders.len()];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < rounds_min || rounds < rounds_max && start.elapsed() < budget {
        for (round, figures) in contenders.iter_mut().zip(&mut figures) {
            let Timed { units, spent } = round();
            assert!(units > 0, "a round does something");
            figures.push(spent.as_secs_f64() * 1e9 / units as f64);
        }
        rounds += 1;
    }
    figures.into_iter().map(Spread::of).collect()
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |quarter: usize| figures[(figures.len() - 1) * quarter / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_quarters_of_its_figures() {
        let spread = Spread::of(vec![9.0, 1.0, 3.0, 5.0, 7.0]);
        assert_eq!(spread, Spread { low: 3.0, median: 5.0, high: 7.0 });
        assert_eq!(Spread::of(vec![4.0]).median, 4.0);
    }

    #[test]
    fn work_takes_processor_time_and_waiting_does_not() {
        let (waited, ()) = timed(1, || std::thread::sleep(Duration::from_millis(20)));
        assert!(waited.spent < Duration::from_millis(10), "{waited:?}");
        let (worked, _) = timed(1, || (0..3_000_000).map(black_box).sum::<u64>());
        assert!(worked.spent > Duration::from_micros(100), "{worked:?}");
    }
}
