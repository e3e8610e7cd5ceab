//! What all clients of a run have counted together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A count that somebody can wait for.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    value: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Gauge {
    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, count: u64) {
        let value = self.value.fetch_add(count, Ordering::AcqRel) + count;
        if value >= self.target.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.value.fetch_sub(count, Ordering::AcqRel);
    }

    /// Waits until the count is at least `target`; returns whether it came to that in time. One waits
    /// at a time.
    pub(crate) async fn reach(&self, target: u64, within: Duration) -> bool {
        self.target.store(target, Ordering::Release);
        let reached = async {
            while self.get() < target {
                self.reached.notified().await;
            }
        };
        timeout(within, reached).await.is_ok()
    }
}

/// What the clients of a run have counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Attempts to open a socket.
    pub(crate) attempts: AtomicU64,
    /// Sockets over which a client may join.
    pub(crate) ready: Gauge,
    /// Clients whose join was answered, and who have not lost the socket since.
    pub(crate) joined: Gauge,
    /// Those of them who have a list in which they are themselves.
    pub(crate) listed: Gauge,
    /// Those of them who have had the whole list.
    pub(crate) whole: Gauge,
    /// Messages, without signs of life: pings, answers to heartbeats.
    pub(crate) frames: AtomicU64,
    /// Their content, without the framing. Unit: bytes.
    pub(crate) bytes: AtomicU64,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    count: usize,
    first: Vec<String>,
}

/// How often somebody looks whether something has failed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many failures are told in full.
const FAILURES_TOLD: usize = 5;

impl Tally {
    /// Notes what should not have happened.
    pub(crate) fn fail(&self, what: String) {
        let mut failures = self.failures.lock();
        failures.count += 1;
        if failures.first.len() < FAILURES_TOLD && !failures.first.contains(&what) {
            failures.first.push(what);
        }
    }

    /// Waits until something has failed.
    pub(crate) async fn failed(&self) {
        while self.failures.lock().count == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What should not have happened; the first of each kind, and how many there were.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failures = self.failures.lock();
        let mut told = failures.first.clone();
        if failures.count > told.len() {
            told.push(format!("{} failures in all", failures.count));
        }
        told
    }
}

/// Latencies, recorded by many clients at once.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Mutex<Histogram<u64>>>);

/// Clients are spread over so many histograms, so that threads seldom meet.
const PARTS: u32 = 8;

/// Longest latency that is told apart. Unit: nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;

impl Latencies {
    pub(crate) fn new() -> Self {
        Self((0..PARTS).map(|_| Mutex::new(empty_histogram())).collect())
    }

    /// Records a latency that `client` has seen. Unit: nanoseconds.
    pub(crate) fn record(&self, client: u32, latency_ns: u64) {
        let part = usize::try_from(client % PARTS).unwrap_or(0);
        self.0[part].lock().saturating_record(latency_ns);
    }

    /// Forgets what was recorded.
    pub(crate) fn reset(&self) {
        self.0.iter().for_each(|part| part.lock().reset());
    }

    /// All that was recorded.
    pub(crate) fn total(&self) -> Histogram<u64> {
        let mut total = empty_histogram();
        for part in &self.0 {
            // The bounds are the same.
            total.add(&*part.lock()).ok();
        }
        total
    }
}

/// A histogram of nanoseconds, exact to three digits, that has recorded nothing.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    let bounds = (1_000, LATENCY_NS_MAX);
    match Histogram::new_with_bounds(bounds.0, bounds.1, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn gauge_wakes_who_waits_once_the_target_is_reached() {
        let gauge = Arc::new(Gauge::default());
        let counted = Arc::clone(&gauge);
        let waiting = tokio::spawn(async move { counted.reach(3, Duration::from_secs(5)).await });
        for _ in 0..3 {
            tokio::task::yield_now().await;
            gauge.add(1);
        }
        assert!(waiting.await.unwrap());
        assert!(!gauge.reach(4, Duration::from_millis(5)).await);
    }

    #[test]
    fn failures_of_one_kind_are_told_once_and_counted() {
        let tally = Tally::default();
        assert!(tally.failures().is_empty());
        (0..4).for_each(|_| tally.fail("lost".to_owned()));
        assert_eq!(tally.failures(), ["lost", "4 failures in all"]);
    }

    #[test]
    fn latencies_of_all_clients_come_together() {
        let latencies = Latencies::new();
        (0..100).for_each(|client| latencies.record(client, 5_000));
        latencies.record(0, u64::MAX);
        let total = latencies.total();
        assert_eq!((total.len(), total.value_at_quantile(0.5) / 1000), (101, 5));
        latencies.reset();
        assert_eq!(latencies.total().len(), 0);
    }
}
