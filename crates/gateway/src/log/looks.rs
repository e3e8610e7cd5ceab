//! Looks at topics, gathered: what is asked for while others are looked at is looked at together, so that thousands who
//! come back at once cost some statements, and not one for each of their topics.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use penholder_protocol::TopicName;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::recent::{Recent, UNDER_WAY_MAX};

/// Statements that are under way at most. Up to these nobody waits for others.
const AT_ONCE_MAX: usize = 4;

/// Most topics of one statement.
const TOPICS_MAX: usize = 256;

/// How long one may take, or a connection that does not answer would keep its place for ever.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// The topics that wait to be looked at: each is asked for by one reading at a time, whoever waits for that.
#[derive(Debug)]
pub(super) struct Looks {
    line: Mutex<Line>,
    look_max: Duration,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Asked>,
    under_way: usize,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    topic: TopicName,
    answer: oneshot::Sender<Option<Recent>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { line: Mutex::default(), look_max: LOOK_MAX }
    }
}

impl Looks {
    /// Looks at `topic`, with all that others ask for meanwhile. What `read` answers is in the order of what it is
    /// asked, with none for what could not be read; it sees the topics as they are when it is called, or later.
    pub(super) async fn look<F>(
        self: &Arc<Self>,
        topic: TopicName,
        read: impl Fn(Vec<TopicName>) -> F + Send + 'static,
    ) -> Option<Recent>
    where
        F: Future<Output = Vec<Option<Recent>>> + Send,
    {
        let (answer, told) = oneshot::channel();
        if self.line.lock().enter(Asked { at: Instant::now(), topic, answer }) {
            let looks = Arc::clone(self);
            tokio::spawn(async move { looks.serve(read).await });
        }
        told.await.ok().flatten()
    }

    /// Looks until nobody waits.
    async fn serve<F>(&self, read: impl Fn(Vec<TopicName>) -> F)
    where
        F: Future<Output = Vec<Option<Recent>>>,
    {
        while let Some(asked) = self.next() {
            let (topics, answers): (Vec<_>, Vec<_>) =
                asked.into_iter().map(|asked| (asked.topic, asked.answer)).unzip();
            let found = AssertUnwindSafe(timeout(self.look_max, read(topics))).catch_unwind().await;
            let found = found.inspect_err(|_| tracing::error!("a look at topics has panicked"));
            // Those who are not answered hear that nothing was read.
            let found = found.ok().and_then(Result::ok).unwrap_or_default();
            for (answer, recent) in answers.into_iter().zip(found) {
                // Whoever asked may have gone away.
                answer.send(recent).ok();
            }
        }
    }

    /// What is looked at next; with nothing left the place is given back.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut line = self.line.lock();
        // Whoever still wants these has asked anew. Or the line would grow for as long as the store is away.
        while line.waiting.front().is_some_and(|asked| asked.at.elapsed() >= UNDER_WAY_MAX) {
            line.waiting.pop_front();
        }
        let count = line.waiting.len().min(TOPICS_MAX);
        if count == 0 {
            line.under_way -= 1;
            return None;
        }
        Some(line.waiting.drain(..count).collect())
    }
}

impl Line {
    /// Returns whether somebody has to begin.
    fn enter(&mut self, asked: Asked) -> bool {
        self.waiting.push_back(asked);
        let is_free = self.under_way < AT_ONCE_MAX;
        self.under_way += usize::from(is_free);
        is_free
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use penholder_hub::{Position, Reading};
    use penholder_lease::{Lease, StoreMs};
    use tokio::sync::Semaphore;

    use super::super::recent::About;
    use super::*;

    fn topic(n: usize) -> TopicName {
        TopicName::parse(&format!("doc:{n}")).unwrap()
    }

    /// A topic as it is when it has as many events as its name has bytes.
    fn recent(topic: &TopicName) -> Recent {
        let at = Position { seq: topic.as_str().len() as u64, staff_only: 0 };
        let reading = Reading { at, pen: Lease::default().view(StoreMs(0)) };
        Recent { reading, about: About::Other }
    }

    fn all(topics: &[TopicName]) -> Vec<Option<Recent>> {
        topics.iter().map(|topic| Some(recent(topic))).collect()
    }

    #[tokio::test]
    async fn what_is_asked_for_meanwhile_is_looked_at_together() {
        let (looks, sizes) = (Arc::new(Looks::default()), Arc::new(Mutex::new(Vec::new())));
        let look = |n| {
            let sizes = Arc::clone(&sizes);
            looks.look(topic(n), move |topics| {
                sizes.lock().push(topics.len());
                async move {
                    // All who are here ask before it is answered.
                    tokio::task::yield_now().await;
                    all(&topics)
                }
            })
        };
        let count = TOPICS_MAX + 44;
        let found = join_all((0..count).map(look)).await;
        for (n, found) in found.into_iter().enumerate() {
            assert_eq!(found, Some(recent(&topic(n))));
        }
        let sizes = std::mem::take(&mut *sizes.lock());
        assert_eq!(sizes, [TOPICS_MAX, 44]);
        assert_eq!(look(1).await, Some(recent(&topic(1))));
        assert_eq!(looks.line.lock().under_way, 0);
    }

    /// Looks by statements that are answered once they are permitted.
    async fn slowly(looks: &Arc<Looks>, n: usize, slow: &Arc<Semaphore>) -> Option<Recent> {
        let slow = Arc::clone(slow);
        let read = move |topics: Vec<TopicName>| {
            let slow = Arc::clone(&slow);
            async move {
                slow.acquire().await.unwrap().forget();
                all(&topics)
            }
        };
        looks.look(topic(n), read).await
    }

    #[tokio::test]
    async fn nobody_waits_for_a_few_others_and_no_more_than_a_few_are_under_way() {
        let (looks, slow) = (Arc::new(Looks::default()), Arc::new(Semaphore::new(0)));
        let look = |n| slowly(&looks, n, &slow);
        let mut asked = Vec::new();
        for n in 0..AT_ONCE_MAX + 3 {
            let mut one = Box::pin(look(n));
            assert!(one.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
            asked.push(one);
        }
        {
            let line = looks.line.lock();
            assert_eq!((line.under_way, line.waiting.len()), (AT_ONCE_MAX, 3));
        }
        // One for each of the first, and one for all of the rest.
        slow.add_permits(AT_ONCE_MAX + 1);
        assert!(join_all(asked).await.iter().all(Option::is_some));
        assert_eq!(slow.available_permits(), 0);
    }

    #[tokio::test]
    async fn what_has_waited_for_too_long_is_not_looked_at() {
        let (looks, slow) = (Arc::new(Looks::default()), Arc::new(Semaphore::new(0)));
        let look = |n| slowly(&looks, n, &slow);
        let mut asked: Vec<_> = (0..AT_ONCE_MAX + 3).map(|n| Box::pin(look(n))).collect();
        for one in &mut asked {
            assert!(one.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        for old in looks.line.lock().waiting.iter_mut().take(2) {
            old.at = old.at.checked_sub(UNDER_WAY_MAX).unwrap();
        }
        slow.add_permits(AT_ONCE_MAX + 1);
        let is_found: Vec<_> = join_all(asked).await.iter().map(Option::is_some).collect();
        assert_eq!(is_found, [true, true, true, true, false, false, true]);
        assert_eq!((slow.available_permits(), looks.line.lock().waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn one_that_panics_or_never_ends_is_answered_and_gives_its_place_back() {
        let looks = Arc::new(Looks { look_max: Duration::ZERO, ..Looks::default() });
        for _ in 0..=AT_ONCE_MAX {
            let found = looks.look(topic(1), |_| async { panic!("as a test wants it") });
            assert_eq!(found.await, None);
            let found = looks.look(topic(1), |_| std::future::pending());
            assert_eq!(found.await, None);
        }
        assert_eq!(looks.line.lock().under_way, 0);
    }
}
