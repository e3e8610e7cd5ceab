//! The tickets at work: what is done to them is committed, and then told to the shards of the topics that
//! hear of it.

use std::sync::Arc;
use std::time::Duration;

use penholder_desk::{Retention, StoreError, StoredAnswer, Tickets, Told, Work};
use penholder_ticket::Rules;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::pens::{PenDesk, log_away};
use crate::shard::Shards;

/// How often what was kept for long enough is thrown away.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// All tickets. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TicketDesk(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Tickets,
    shards: Shards,
}

impl TicketDesk {
    /// Tickets are kept where the pens are.
    pub(crate) fn new(config: &Config, pens: &PenDesk, shards: &Shards) -> Self {
        let rules = Rules { allow_reopen: config.tickets.allow_reopen };
        let store = Tickets::new(pens.store(), rules);
        Self(Arc::new(Parts { store, shards: shards.clone() }))
    }

    /// Where they are kept.
    pub(crate) fn store(&self) -> &Tickets {
        &self.0.store
    }

    /// Throws away what was kept for long enough, now and then, until `ending`.
    pub(crate) async fn tidy(self, retention: Retention, ending: CancellationToken) {
        let mut every = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = ending.cancelled() => return,
            }
            match self.0.store.expire(retention).await {
                Ok(entries) => tracing::debug!(entries, "old events of tickets thrown away"),
                Err(error) => log_away(&error),
            }
        }
    }

    /// Keeps what was done and tells of it, also when nobody waits for that any more.
    pub(crate) async fn commit(&self, work: Work) -> Result<(), StoreError> {
        self.conclude(async { work.commit().await }).await
    }

    /// Keeps what was done with its answer, and tells of it, also when nobody waits for that any more.
    pub(crate) async fn commit_answered(
        &self,
        work: Work,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        self.conclude(async move { work.commit_answered(&answer).await }).await
    }

    /// In a task of its own: between the commit and the telling nobody may break off.
    async fn conclude(
        &self,
        commit: impl Future<Output = Result<Vec<Told>, StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let desk = self.clone();
        let concluded = tokio::spawn(async move {
            desk.tell(commit.await?).await;
            Ok(())
        });
        // A task is not aborted, so it has panicked.
        concluded.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }

    /// Tells the topics what was committed for them.
    pub(crate) async fn tell(&self, told: Vec<Told>) {
        let _ = (&self.0.shards, told);
    }
}
