//! Renewals, gathered: a thousand holders cost some tens of transactions in each third of a ttl.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use penholder_desk::{Answered, Pens, Renewal};
use penholder_protocol::ErrorReply;
use tokio::sync::{mpsc, oneshot};

use super::{log_away, refused};
use crate::telemetry::metrics;

/// How long renewals are gathered.
const WINDOW: Duration = Duration::from_millis(20);

/// Most renewals of one transaction.
const BATCH_MAX: usize = 256;

/// Most renewals that wait for their turn.
pub(super) const WAITING_MAX: usize = 4096;

/// A renewal and who waits for it.
pub(super) struct Asked {
    renewal: Renewal,
    answer: oneshot::Sender<Result<Answered, ErrorReply>>,
}

/// Where renewals are left.
#[derive(Debug)]
pub(super) struct Renewing(mpsc::Sender<Asked>);

impl Renewing {
    pub(super) fn new(sender: mpsc::Sender<Asked>) -> Self {
        Self(sender)
    }

    /// Renews with the next batch.
    pub(super) async fn renew(&self, renewal: Renewal) -> Result<Answered, ErrorReply> {
        let (answer, told) = oneshot::channel();
        // Closed only when the process ends.
        self.0.send(Asked { renewal, answer }).await.ok();
        told.await.unwrap_or_else(|_| Err(super::away()))
    }
}

/// Gathers renewals until every sender is gone.
pub(super) async fn run(store: Pens, mut asked: mpsc::Receiver<Asked>) {
    let mut batch = Vec::new();
    while asked.recv_many(&mut batch, BATCH_MAX).await > 0 {
        tokio::time::sleep(WINDOW).await;
        while batch.len() < BATCH_MAX
            && let Ok(more) = asked.try_recv()
        {
            batch.push(more);
        }
        let (renewals, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Asked { renewal, answer }| (renewal, answer)).unzip();
        let started = Instant::now();
        for (answer, renewed) in waiting.into_iter().zip(renew(&store, &renewals).await) {
            // Whoever asked may have gone away.
            answer.send(renewed).ok();
        }
        metrics::pen_store(started.elapsed());
    }
}

/// Renews; one that breaks an invariant takes none of the others with it.
async fn renew(store: &Pens, renewals: &[Renewal]) -> Vec<Result<Answered, ErrorReply>> {
    match AssertUnwindSafe(store.renew(renewals)).catch_unwind().await {
        Ok(Ok(answers)) => answers.into_iter().map(Ok).collect(),
        Ok(Err(error)) => {
            log_away(&error);
            renewals.iter().map(|_| Err(refused(&error))).collect()
        }
        Err(_) if renewals.len() > 1 => {
            let mut alone = Vec::with_capacity(renewals.len());
            for renewal in renewals.chunks(1) {
                alone.extend(Box::pin(renew(store, renewal)).await);
            }
            alone
        }
        Err(_) => {
            metrics::pen_store_failed();
            tracing::error!("a renewal of a pen has panicked");
            vec![Err(super::away())]
        }
    }
}
