//! Pens as they were read a moment ago: when thousands come back at once, the store is read once per topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use penholder_desk::StoreError;
use penholder_hub::PenReading;
use penholder_protocol::TopicName;
use tokio::sync::OnceCell;

use super::log_away;

/// How long a reading is good enough for a join. What has happened since is told by the shard.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Above so many the old ones are thrown away.
const KEPT: usize = 4096;

/// The readings of the last moment, by names that outsiders choose.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<HashMap<TopicName, Slot>>);

/// A reading, or one that is under way; none in the cell when the store was away.
#[derive(Clone, Debug)]
struct Slot {
    begun: Instant,
    cell: Arc<OnceCell<Option<PenReading>>>,
}

impl Slot {
    fn is_fresh(&self) -> bool {
        self.begun.elapsed() < FRESH_FOR
    }
}

impl Readings {
    /// Notes what has just been written.
    pub(super) fn put(&self, topic: &TopicName, reading: PenReading) {
        let cell = Arc::new(OnceCell::new_with(Some(Some(reading))));
        self.keep(topic, Slot { begun: Instant::now(), cell });
    }

    /// The reading of `topic` that there is, or what `read` finds: one for all who ask meanwhile.
    pub(super) async fn recent<F>(
        &self,
        topic: &TopicName,
        read: impl FnOnce() -> F,
    ) -> Option<PenReading>
    where
        F: Future<Output = Result<PenReading, StoreError>>,
    {
        let known = self.0.lock().get(topic).filter(|slot| slot.is_fresh()).cloned();
        let slot = known.unwrap_or_else(|| {
            let slot = Slot { begun: Instant::now(), cell: Arc::default() };
            self.keep(topic, slot.clone());
            slot
        });
        let read = async { read().await.inspect_err(log_away).ok() };
        slot.cell.get_or_init(|| read).await.clone()
    }

    fn keep(&self, topic: &TopicName, slot: Slot) {
        let mut slots = self.0.lock();
        if slots.len() >= KEPT {
            slots.retain(|_, slot| slot.is_fresh());
        }
        slots.insert(topic.clone(), slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use penholder_lease::{Lease, StoreMs};

    use super::*;

    fn reading(seq: u64) -> PenReading {
        PenReading { seq, pen: Lease::default().view(StoreMs(0)) }
    }

    #[tokio::test]
    async fn many_at_once_read_once_and_what_is_written_replaces_it() {
        let (readings, reads) = (Readings::default(), AtomicUsize::new(0));
        let topic = TopicName::parse("doc:1").unwrap();
        let ask = || {
            readings.recent(&topic, || async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(reading(1))
            })
        };
        let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_some_and(|it| it.seq == 1)));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        readings.put(&topic, reading(2));
        assert_eq!(ask().await.map(|it| it.seq), Some(2));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }
}
