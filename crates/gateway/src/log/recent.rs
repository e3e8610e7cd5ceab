//! Topics as they were read a moment ago: when thousands come back at once, the store is read once per topic.
//!
//! A reading belongs to nobody who waits for it: it goes on when they give up, or a store that is slow for the
//! crowd of them would be asked again by each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use penholder_hub::{Reading, Stretch};
use penholder_lease::PersonId;
use penholder_protocol::TopicName;
use tokio::sync::SetOnce;
use tokio::time::sleep_until;

/// How long a reading is good enough for a join. What has happened since is told by the shard. The tests here count
/// readings, however slow the machine is.
const FRESH_FOR: Duration = Duration::from_secs(if cfg!(test) { 3_600 } else { 1 });

/// How long a reading may be under way before it is begun anew.
pub(super) const UNDER_WAY_MAX: Duration = Duration::from_secs(10);

/// How long nobody waits for a store that has just been waited for in vain.
pub(super) const STALLED_FOR: Duration = Duration::from_secs(1);

/// How often a topic is read at most for those who say that they have heard more than was read: anybody may say so.
const ANEW_EVERY: Duration = Duration::from_millis(50);

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
pub(super) struct Visits {
    slots: Mutex<Slots>,
    stalled_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Slots {
    by_topic: HashMap<TopicName, Slot>,
    /// When the old ones were thrown away last.
    tidied_at: Option<Instant>,
}

/// A reading, or one that is under way; none when the store was away.
#[derive(Clone, Debug)]
struct Slot {
    begun: Instant,
    source: Source,
    read: Arc<Shared<Option<Arc<Read>>>>,
}

/// Where a reading comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The store: it has all that was written before it was begun.
    Store,
    /// Somebody has just written: others may have since then.
    Writer,
}

/// What is read once, for all who want it.
#[derive(Debug)]
struct Shared<T> {
    is_begun: AtomicBool,
    value: SetOnce<T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { is_begun: AtomicBool::new(false), value: SetOnce::new() }
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    fn of(value: T) -> Self {
        Self { is_begun: AtomicBool::new(true), value: SetOnce::new_with(Some(value)) }
    }

    /// Waits for what `read` finds, which only the first who wants it begins.
    async fn get<F>(self: &Arc<Self>, read: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        if !self.is_begun.swap(true, Ordering::Relaxed) {
            let (shared, read) = (Arc::clone(self), read());
            tokio::spawn(async move {
                // Nobody else sets it.
                shared.value.set(read.await).ok();
            });
        }
        self.value.wait().await.clone()
    }
}

/// What was read of a topic, and of its log once somebody needs that.
#[derive(Debug)]
struct Read {
    recent: Recent,
    lately: Arc<Shared<Option<Arc<Stretch>>>>,
}

/// A look at a topic, shared with all who look at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Visit(Arc<Read>);

impl Visit {
    pub(crate) fn new(recent: Recent) -> Self {
        Self(Arc::new(Read { recent, lately: Arc::default() }))
    }

    /// What was read.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// The last events up to the reading, or further, or what `read` finds: one for all who ask.
    pub(super) async fn lately<F>(&self, read: impl FnOnce() -> F) -> Option<Arc<Stretch>>
    where
        F: Future<Output = Option<Arc<Stretch>>> + Send + 'static,
    {
        self.0.lately.get(read).await
    }
}

impl Slot {
    /// One that is under way is waited for, within reason.
    fn is_fresh(&self) -> bool {
        let is_read = self.read.value.initialized();
        self.begun.elapsed() < if is_read { FRESH_FOR } else { UNDER_WAY_MAX }
    }
}

impl Visits {
    /// Notes that the store has kept somebody waiting in vain.
    pub(super) fn stall(&self, now: Instant) {
        *self.stalled_at.lock() = Some(now);
    }

    /// Whether it has lately. After a while somebody finds out anew.
    pub(super) fn are_stalled(&self, now: Instant) -> bool {
        let stalled_at = *self.stalled_at.lock();
        stalled_at.is_some_and(|at| now.saturating_duration_since(at) < STALLED_FOR)
    }

    /// Notes what has just been written.
    pub(super) fn put(&self, topic: &TopicName, recent: Recent) {
        let read = Arc::new(Shared::of(Some(Visit::new(recent).0)));
        self.slots.lock().keep(topic, Slot { begun: Instant::now(), source: Source::Writer, read });
    }

    pub(super) fn forget(&self, topic: &TopicName) {
        self.slots.lock().by_topic.remove(topic);
    }

    /// The reading of `topic` that there is, or what `read` finds: one for all who ask meanwhile. One that does not
    /// reach as far as it should is replaced, until one was begun after this was asked: that has all there is.
    pub(super) async fn visit<F>(
        &self,
        topic: &TopicName,
        reaches: impl Fn(&Recent) -> bool,
        read: impl Fn() -> F,
    ) -> Option<Visit>
    where
        F: Future<Output = Option<Recent>> + Send + 'static,
    {
        let asked_at = Instant::now();
        let mut slot = self.slot(topic, Slot::is_fresh);
        loop {
            let read = || {
                let read = read();
                async { read.await.map(|recent| Visit::new(recent).0) }
            };
            let visit = self.latest(topic, Visit(slot.read.get(read).await?));
            let has_all = slot.source == Source::Store && slot.begun >= asked_at;
            if has_all || reaches(visit.recent()) {
                return Some(visit);
            }
            sleep_until((slot.begun + ANEW_EVERY).into()).await;
            let is_newer = |other: &Slot| {
                other.is_fresh() && other.source == Source::Store && other.begun > slot.begun
            };
            slot = self.slot(topic, is_newer);
        }
    }

    /// A reading, or a later one that there is by now: whoever waited for that may have begun the topic in the shard,
    /// which has nothing then of what was before.
    fn latest(&self, topic: &TopicName, visit: Visit) -> Visit {
        let slots = self.slots.lock();
        let read = slots.by_topic.get(topic).and_then(|slot| slot.read.value.get()?.clone());
        let seq = |read: &Read| read.recent.reading.at.seq;
        read.filter(|read| seq(read) > seq(&visit.0)).map_or(visit, Visit)
    }

    /// The slot of `topic`, if it is good enough, or else a new one.
    fn slot(&self, topic: &TopicName, is_good: impl FnOnce(&Slot) -> bool) -> Slot {
        let mut slots = self.slots.lock();
        let known = slots.by_topic.get(topic).filter(|slot| is_good(slot)).cloned();
        known.unwrap_or_else(|| {
            let (begun, source) = (Instant::now(), Source::Store);
            let slot = Slot { begun, source, read: Arc::default() };
            slots.keep(topic, slot.clone());
            slot
        })
    }
}

impl Slots {
    fn keep(&mut self, topic: &TopicName, slot: Slot) {
        if self.tidied_at.is_none_or(|at| at.elapsed() >= FRESH_FOR) {
            self.by_topic.retain(|_, slot| slot.is_fresh());
            self.tidied_at = Some(Instant::now());
        }
        self.by_topic.insert(topic.clone(), slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::FutureExt;
    use penholder_hub::Position;
    use penholder_lease::{Lease, StoreMs};
    use tokio::sync::Semaphore;

    use super::*;

    fn recent(seq: u64) -> Recent {
        let at = Position { seq, staff_only: 0 };
        let reading = Reading { at, pen: Lease::default().view(StoreMs(0)) };
        Recent { reading, about: About::Other }
    }

    fn seq(visit: Option<&Visit>) -> Option<u64> {
        visit.map(|visit| visit.recent().reading.at.seq)
    }

    /// Counts how often it is called.
    fn count(calls: &Arc<AtomicUsize>) {
        calls.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(calls: &Arc<AtomicUsize>) -> usize {
        calls.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn many_at_once_read_once_and_what_is_written_replaces_it() {
        let (visits, reads, logs) = (Visits::default(), Arc::default(), Arc::default());
        let topic = TopicName::parse("doc:1").unwrap();
        let ask = || {
            let read = || {
                count(&reads);
                async { Some(recent(1)) }
            };
            visits.visit(&topic, |_| true, read)
        };
        let comes_back = || async {
            let visit = ask().await?;
            let lately = visit.lately(|| {
                count(&logs);
                async { Some(Arc::default()) }
            });
            lately.await.map(|_| visit)
        };
        let answers = futures_util::future::join_all((0..50).map(|_| comes_back())).await;
        assert!(answers.iter().all(|answer| seq(answer.as_ref()) == Some(1)));
        assert_eq!((counted(&reads), counted(&logs)), (1, 1));
        visits.put(&topic, recent(2));
        assert_eq!(seq(ask().await.as_ref()), Some(2));
        assert_eq!(counted(&reads), 1);
        visits.forget(&topic);
        assert_eq!(seq(ask().await.as_ref()), Some(1));
        assert_eq!(counted(&reads), 2);
    }

    #[tokio::test]
    async fn what_was_heard_is_looked_for_once_for_all_who_have_heard_it() {
        let visits = Visits::default();
        let reads: Arc<AtomicUsize> = Arc::default();
        let topic = TopicName::parse("doc:1").unwrap();
        let read = || {
            count(&reads);
            async { Some(recent(2)) }
        };
        let come_back = async |since: u64| {
            let reaches = |recent: &Recent| since <= recent.reading.at.seq;
            let all = (0..50).map(|_| visits.visit(&topic, reaches, read));
            let found = futures_util::future::join_all(all).await;
            found.iter().map(|visit| seq(visit.as_ref())).collect::<Vec<_>>()
        };
        // What somebody has written is not all that others have.
        visits.put(&topic, recent(1));
        assert_eq!(come_back(1).await, [Some(1); 50]);
        assert_eq!(counted(&reads), 0);
        assert_eq!(come_back(2).await, [Some(2); 50]);
        assert_eq!(counted(&reads), 1);
        assert_eq!(come_back(2).await, [Some(2); 50]);
        assert_eq!(counted(&reads), 1);
        // What nobody can have heard is looked for as well, once.
        assert_eq!(come_back(3).await, [Some(2); 50]);
        assert_eq!(counted(&reads), 2);
    }

    #[tokio::test]
    async fn whoever_has_waited_is_shown_the_latest_that_was_read_meanwhile() {
        let visits = Visits::default();
        let topic = TopicName::parse("tickets:all").unwrap();
        let slow = Arc::new(Semaphore::new(0));
        let early = visits.visit(
            &topic,
            |_| true,
            || {
                let slow = Arc::clone(&slow);
                async move { slow.acquire().await.ok().map(|_| recent(1)) }
            },
        );
        let mut early = std::pin::pin!(early);
        assert!(early.as_mut().now_or_never().is_none());
        // Something is written, and somebody comes who is shown that.
        visits.forget(&topic);
        let late = visits.visit(&topic, |_| true, || async { Some(recent(2)) }).await;
        slow.add_permits(1);
        assert_eq!((seq(late.as_ref()), seq(early.await.as_ref())), (Some(2), Some(2)));
    }

    #[tokio::test]
    async fn a_reading_that_does_not_end_is_begun_anew_after_a_while() {
        let (visits, reads) = (Visits::default(), Arc::default());
        let topic = TopicName::parse("doc:1").unwrap();
        let ask = || {
            let read = || {
                count(&reads);
                let is_first = counted(&reads) == 1;
                async move { if is_first { std::future::pending().await } else { Some(recent(1)) } }
            };
            visits.visit(&topic, |_| true, read)
        };
        assert!(ask().now_or_never().is_none());
        assert!(ask().now_or_never().is_none());
        assert_eq!(counted(&reads), 1, "it is waited for");
        if let Some(slot) = visits.slots.lock().by_topic.get_mut(&topic) {
            slot.begun = slot.begun.checked_sub(UNDER_WAY_MAX).unwrap();
        }
        assert_eq!(seq(ask().await.as_ref()), Some(1));
        assert_eq!(counted(&reads), 2);
    }

    #[tokio::test]
    async fn a_reading_goes_on_when_those_who_wait_give_up() {
        let (visits, reads) = (Visits::default(), Arc::default());
        let topic = TopicName::parse("doc:1").unwrap();
        let slow = Arc::new(Semaphore::new(0));
        let ask = || {
            let read = || {
                count(&reads);
                let slow = Arc::clone(&slow);
                async move { slow.acquire().await.ok().map(|_| recent(1)) }
            };
            visits.visit(&topic, |_| true, read)
        };
        for _ in 0..3 {
            assert!(ask().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        slow.add_permits(1);
        assert_eq!(seq(ask().await.as_ref()), Some(1));
        assert_eq!(counted(&reads), 1);
    }
}
