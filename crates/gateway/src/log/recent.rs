//! Topics as they were read a moment ago: when thousands come back at once, the store is read once per topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use penholder_hub::{Reading, Stretch};
use penholder_lease::PersonId;
use penholder_protocol::TopicName;
use tokio::sync::OnceCell;

/// How long a reading is good enough for a join. What has happened since is told by the shard.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A topic as it was a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recent {
    /// Where its stream was, and its pen.
    pub(crate) reading: Reading,
    /// What it is about.
    pub(crate) about: About,
}

/// What a topic is about, as far as it matters who may join it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A ticket.
    Ticket {
        /// Whose; nobody's where a guest has opened it.
        owner: Option<PersonId>,
    },
    /// A ticket that there is not.
    Nothing,
    /// Anything else.
    Other,
}

/// The topics that were read in the last moment, by names that outsiders choose.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    by_topic: HashMap<TopicName, Slot>,
    /// When the old ones were thrown away last.
    tidied_at: Option<Instant>,
}

/// A reading, or one that is under way; none in the cell when the store was away.
#[derive(Clone, Debug)]
struct Slot {
    begun: Instant,
    cell: Arc<OnceCell<Option<Arc<Read>>>>,
}

/// What was read of a topic, and of its log once somebody needs that.
#[derive(Debug)]
struct Read {
    recent: Recent,
    lately: OnceCell<Option<Arc<Stretch>>>,
}

/// A look at a topic, shared with all who look at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Visit(Arc<Read>);

impl Visit {
    fn new(recent: Recent) -> Self {
        Self(Arc::new(Read { recent, lately: OnceCell::new() }))
    }

    /// What was read.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// The last events up to the reading, or what `read` finds: one for all who ask.
    pub(super) async fn lately<F>(&self, read: impl FnOnce() -> F) -> Option<Arc<Stretch>>
    where
        F: Future<Output = Option<Arc<Stretch>>>,
    {
        self.0.lately.get_or_init(read).await.clone()
    }
}

impl Slot {
    fn is_fresh(&self) -> bool {
        self.begun.elapsed() < FRESH_FOR
    }
}

impl Visits {
    /// Notes what has just been written.
    pub(super) fn put(&self, topic: &TopicName, recent: Recent) {
        let cell = Arc::new(OnceCell::new_with(Some(Some(Visit::new(recent).0))));
        self.keep(topic, Slot { begun: Instant::now(), cell });
    }

    pub(super) fn forget(&self, topic: &TopicName) {
        self.0.lock().by_topic.remove(topic);
    }

    /// The reading of `topic` that there is, or what `read` finds: one for all who ask meanwhile.
    pub(super) async fn visit<F>(
        &self,
        topic: &TopicName,
        read: impl FnOnce() -> F,
    ) -> Option<Visit>
    where
        F: Future<Output = Option<Recent>>,
    {
        let known = self.0.lock().by_topic.get(topic).filter(|slot| slot.is_fresh()).cloned();
        let slot = known.unwrap_or_else(|| {
            let slot = Slot { begun: Instant::now(), cell: Arc::default() };
            self.keep(topic, slot.clone());
            slot
        });
        let read = async { read().await.map(|recent| Visit::new(recent).0) };
        slot.cell.get_or_init(|| read).await.clone().map(Visit)
    }

    fn keep(&self, topic: &TopicName, slot: Slot) {
        let mut slots = self.0.lock();
        if slots.tidied_at.is_none_or(|at| at.elapsed() >= FRESH_FOR) {
            slots.by_topic.retain(|_, slot| slot.is_fresh());
            slots.tidied_at = Some(Instant::now());
        }
        slots.by_topic.insert(topic.clone(), slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use penholder_hub::Position;
    use penholder_lease::{Lease, StoreMs};

    use super::*;

    fn recent(seq: u64) -> Recent {
        let at = Position { seq, staff_only: 0 };
        let reading = Reading { at, pen: Lease::default().view(StoreMs(0)) };
        Recent { reading, about: About::Other }
    }

    fn seq(visit: Option<&Visit>) -> Option<u64> {
        visit.map(|visit| visit.recent().reading.at.seq)
    }

    #[tokio::test]
    async fn many_at_once_read_once_and_what_is_written_replaces_it() {
        let (visits, reads, logs) = (Visits::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let topic = TopicName::parse("doc:1").unwrap();
        let ask = || {
            visits.visit(&topic, || async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Some(recent(1))
            })
        };
        let comes_back = || async {
            let visit = ask().await?;
            let lately = visit.lately(|| async {
                logs.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Some(Arc::default())
            });
            lately.await.map(|_| visit)
        };
        let answers = futures_util::future::join_all((0..50).map(|_| comes_back())).await;
        assert!(answers.iter().all(|answer| seq(answer.as_ref()) == Some(1)));
        assert_eq!((reads.load(Ordering::Relaxed), logs.load(Ordering::Relaxed)), (1, 1));
        visits.put(&topic, recent(2));
        assert_eq!(seq(ask().await.as_ref()), Some(2));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        visits.forget(&topic);
        assert_eq!(seq(ask().await.as_ref()), Some(1));
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }
}
