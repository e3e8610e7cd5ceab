//! The tickets at work: what is done to them is committed, and then told to the shards of the topics that
//! hear of it.
//!
//! What is committed is told, whatever becomes of the request: both are one task, which ends when the shards
//! know. Should the process die in between, whoever comes back finds it in the log by `since`, and a shard
//! that hears the next event reads first what it has missed.

mod access;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use penholder_desk::{Deletion, Logged, Retention, StoreError, StoredAnswer, Tickets, Told, Work};
use penholder_hub::{Input, News, Source};
use penholder_protocol::TopicName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::access::{Access, views_by_token};
use crate::log::{pen_news, ticket_news};
use crate::pens::{PenDesk, log_away};
use crate::shard::Shards;
use crate::telemetry::metrics;

/// How often what was kept for long enough is thrown away.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// After how long it is looked whether a work was kept of which nobody knows; in the end the next event tells.
/// Unit: seconds.
const SURE_AFTER_SECS: [u64; 6] = [1, 1, 2, 4, 8, 16];

/// What topics are owed of a work once it is committed, beside what that returns.
#[derive(Debug)]
struct Owed {
    /// All that hear of it.
    topics: BTreeSet<String>,
    /// What has happened to their pens.
    pens: Vec<(String, Logged)>,
}

impl Owed {
    fn of(work: &Work) -> Self {
        Self { topics: work.topics(), pens: Vec::new() }
    }
}

/// All tickets. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TicketDesk(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pens: PenDesk,
    shards: Shards,
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl TicketDesk {
    /// Tickets are kept where the pens are.
    pub(crate) fn new(pens: &PenDesk, shards: &Shards) -> Self {
        let (pens, shards) = (pens.clone(), shards.clone());
        let (tasks, ending) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Parts { pens, shards, tasks, ending }))
    }

    /// Where they are kept.
    pub(crate) fn store(&self) -> &Tickets {
        self.0.pens.tickets()
    }

    /// Throws away what was kept for long enough, now and then, until `ending`.
    pub(crate) async fn tidy(self, retention: Retention, ending: CancellationToken) {
        let mut every = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = ending.cancelled() => return,
            }
            match self.store().expire(retention).await {
                Ok(entries) => tracing::debug!(entries, "old events thrown away"),
                Err(error) => log_away(&error),
            }
        }
    }

    /// Keeps a work for good, and tells the topics.
    ///
    /// # Errors
    ///
    /// As [`Work::commit`]. Whoever is to be told is told all the same, if it was kept.
    pub(crate) async fn commit(&self, work: Work) -> Result<(), StoreError> {
        self.finish(Owed::of(&work), work.commit()).await
    }

    /// Keeps a work for good with the answer for those who ask again, and tells the topics.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub(crate) async fn commit_answered(
        &self,
        work: Work,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        self.finish(Owed::of(&work), async move { work.commit_answered(&answer).await }).await
    }

    /// Keeps for good that a ticket is gone, and tells the topics.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub(crate) async fn delete(&self, deletion: Deletion) -> Result<(), StoreError> {
        let owed = Owed { topics: deletion.topics(), pens: deletion.pens() };
        self.finish(owed, deletion.commit()).await
    }

    /// Commits and tells in a task of its own: whoever asked may go away at any moment.
    async fn finish(
        &self,
        Owed { topics, pens }: Owed,
        commit: impl Future<Output = Result<Vec<Told>, StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let desk = self.clone();
        let task = self.0.tasks.spawn(async move {
            match commit.await {
                Ok(told) => desk.tell((pens, told)).await,
                Err(error) => {
                    if matches!(error, StoreError::Unavailable(_)) {
                        desk.0.tasks.spawn(desk.clone().make_sure(topics));
                    }
                    return Err(error);
                }
            }
            Ok(())
        });
        match task.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(finished) => finished,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime ends, and whoever waits with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Nobody knows whether a work was kept. Once the store is there again, the shards are told how far the topics
    /// are, and read what they have not heard.
    async fn make_sure(self, topics: BTreeSet<String>) {
        for name in topics {
            let Ok(topic) = TopicName::parse(&name) else { continue };
            for pause in SURE_AFTER_SECS.map(Duration::from_secs) {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.0.ending.cancelled() => return,
                }
                if let Ok(reading) = self.0.pens.log().reading(&topic).await {
                    let input = Input::At { topic: topic.clone(), seq: reading.at.seq };
                    // A shard that has stopped has nobody to tell.
                    self.0.shards.tell(&topic, input).await.ok();
                    break;
                }
            }
        }
    }

    /// Tells the topics what was committed for them, each in order: of its pen first, as that was numbered.
    async fn tell(&self, (pens, told): (Vec<(String, Logged)>, Vec<Told>)) {
        let mut by_topic: BTreeMap<String, Vec<News>> = BTreeMap::new();
        for (topic, logged) in pens {
            metrics::pen_event(logged.event.kind, logged.event.rule);
            by_topic.entry(topic).or_default().push(pen_news(logged));
        }
        for told in told {
            by_topic.entry(told.topic.clone()).or_default().push(ticket_news(told));
        }
        for (name, news) in by_topic {
            // All of them are names of topics, see `penholder_ticket::user_topic`.
            let Ok(topic) = TopicName::parse(&name) else { continue };
            // Before they are told: whoever is sent away from a ticket that is gone does not get in again.
            self.0.pens.log().forget(&topic);
            let input =
                Input::News { topic: topic.clone(), source: Source::Store, news, reply: None };
            // A shard that has stopped has nobody to tell.
            self.0.shards.tell(&topic, input).await.ok();
        }
    }

    /// Ends when all that was begun is committed and told.
    pub(crate) async fn close(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
