//! The task that asks the store what is due, and keeps what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penholder_desk::{
    Claimed, ConsumerId, DeliveryOutcome, Destination, Settled, StoreError, Waiting,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::webhook::Failure;
use super::{ConsumedEvent, ConsumerDesk, retry};
use crate::pens::log_away;
use crate::telemetry::metrics;

/// The shortest sleep, so that what is due and cannot be had yet does not make a busy loop.
const SLEEP_MIN: Duration = Duration::from_millis(10);

/// How long to wait when the store has failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// For how much longer than an attempt may take its claim lasts: until it is settled.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// How long attempts may go on at the end.
const END_MAX: Duration = Duration::from_secs(2);

/// Delivers what is due, until the desk closes.
pub(super) async fn run(desk: ConsumerDesk) {
    if !take_over(&desk).await {
        return;
    }
    let mut work = Work::new(desk.clone());
    loop {
        let sleep = work.round().await.unwrap_or_else(|error| {
            log_away(&error);
            RETRY_AFTER
        });
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = desk.0.store.news() => {}
            Some(ended) = work.attempts.join_next() => work.note(ended),
            () = desk.0.ending.cancelled() => break,
        }
    }
    work.end().await;
}

/// Gives back what the process before has claimed; returns whether the desk is still open.
async fn take_over(desk: &ConsumerDesk) -> bool {
    loop {
        let Err(error) = desk.0.store.take_over().await else { return true };
        log_away(&error);
        tokio::select! {
            () = tokio::time::sleep(RETRY_AFTER) => {}
            () = desk.0.ending.cancelled() => return false,
        }
    }
}

struct Work {
    desk: ConsumerDesk,
    attempts: JoinSet<Settled>,
    /// What is being attempted or waits to be kept, by consumer and event. Each takes a place of its consumer.
    claimed: BTreeMap<(ConsumerId, String), Claimed>,
    /// What is to be kept.
    ended: Vec<Settled>,
}

impl Work {
    fn new(desk: ConsumerDesk) -> Self {
        Self { desk, attempts: JoinSet::new(), claimed: BTreeMap::new(), ended: Vec::new() }
    }

    /// Keeps what has ended, and begins what is due; returns when to look again.
    async fn round(&mut self) -> Result<Duration, StoreError> {
        while let Some(ended) = self.attempts.try_join_next() {
            self.note(ended);
        }
        self.keep().await?;
        let replays = self.desk.0.store.step_replay().await?;
        let mut sleep = if replays { SLEEP_MIN } else { self.desk.0.limits.sleep_max };
        for waiting in self.desk.0.store.waiting().await? {
            let due_in = Duration::from_millis(waiting.due_in_ms);
            let next = if due_in.is_zero() { self.begin(&waiting).await? } else { Some(due_in) };
            sleep = next.map_or(sleep, |next| sleep.min(next));
        }
        Ok(sleep.max(SLEEP_MIN))
    }

    /// Begins what is due of a consumer, as far as it has places; returns when to look again, if not only when one of
    /// its attempts ends.
    async fn begin(&mut self, waiting: &Waiting) -> Result<Option<Duration>, StoreError> {
        let consumer = &waiting.consumer;
        let is_within = consumer.destination == Destination::InProcess;
        if is_within && self.desk.handler(&consumer.name).is_none() {
            // Another process may have it.
            return Ok(None);
        }
        let first = (consumer.id.clone(), String::new());
        let busy =
            self.claimed.range(first..).take_while(|((id, _), _)| *id == consumer.id).count();
        let limits = self.desk.0.limits;
        let free = limits.in_flight.saturating_sub(busy);
        if free == 0 {
            return Ok(None);
        }
        let lease = u64::try_from((limits.timeout + LEASE_MARGIN).as_millis()).unwrap_or(u64::MAX);
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let claimed = self.desk.0.store.claim(&consumer.id, limit, lease).await?;
        let all = claimed.len() < free;
        for claimed in claimed {
            self.claimed.insert((consumer.id.clone(), claimed.event.clone()), claimed.clone());
            self.attempts.spawn(attempt(self.desk.clone(), claimed, consumer.name.clone()));
        }
        // Where all was had, a look tells when the next is due; what is locked just now is due still.
        Ok(all.then_some(SLEEP_MIN))
    }

    fn note(&mut self, ended: Result<Settled, tokio::task::JoinError>) {
        match ended {
            Ok(settled) => self.ended.push(settled),
            // An attempt answers for its own panics.
            Err(error) => tracing::error!(%error, "an attempt to deliver has broken off"),
        }
    }

    /// Keeps what has ended. What could not be kept is tried again, and takes its places meanwhile.
    async fn keep(&mut self) -> Result<(), StoreError> {
        if self.ended.is_empty() {
            return Ok(());
        }
        self.desk.0.store.settle(self.ended.clone()).await?;
        for Settled { claimed, outcome } in self.ended.drain(..) {
            self.claimed.remove(&(claimed.consumer, claimed.event));
            metrics::delivery(&outcome);
        }
        Ok(())
    }

    /// Waits for attempts that end soon, and gives back what the others were to deliver.
    async fn end(mut self) {
        let ending = async {
            while let Some(ended) = self.attempts.join_next().await {
                if let Ok(settled) = ended {
                    self.ended.push(settled);
                }
            }
        };
        timeout(END_MAX, ending).await.ok();
        self.attempts.abort_all();
        for settled in &self.ended {
            self.claimed.remove(&(settled.claimed.consumer.clone(), settled.claimed.event.clone()));
        }
        let outcome = DeliveryOutcome::Released;
        let left = std::mem::take(&mut self.claimed).into_values();
        self.ended.extend(left.map(|claimed| Settled { claimed, outcome: outcome.clone() }));
        // Otherwise the claims end by themselves.
        if let Err(error) = self.keep().await {
            log_away(&error);
        }
    }
}

/// Tries to deliver, and says what came of it.
async fn attempt(desk: ConsumerDesk, claimed: Claimed, name: String) -> Settled {
    let started = Instant::now();
    let limits = desk.0.limits;
    let trying = {
        let (desk, claimed, name) = (desk.clone(), claimed.clone(), name.clone());
        async move { deliver(&desk, &claimed, name).await }
    };
    // In a task of its own, so that what panics is a failure like any other.
    let trying = AbortOnDropHandle::new(tokio::spawn(timeout(limits.timeout, trying)));
    let delivered = match trying.await {
        Ok(Ok(delivered)) => delivered,
        Ok(Err(_)) => Err(Failure::new("no answer within consumers.timeout")),
        Err(_) => Err(Failure::new("the consumer has panicked")),
    };
    let outcome = match delivered {
        Ok(status) => DeliveryOutcome::Delivered { status },
        Err(Failure { status, error }) => {
            let tried_for = match claimed.attempts {
                0 => Duration::ZERO,
                _ => Duration::from_millis(claimed.tried_for_ms) + started.elapsed(),
            };
            let wait = retry::wait(claimed.attempts, tried_for, limits.retry_for);
            if wait.is_none() {
                tracing::warn!(consumer = name, event = claimed.event, error, "delivery parked");
            }
            let retry_in_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            DeliveryOutcome::Failed { status, error, retry_in_ms }
        }
    };
    Settled { claimed, outcome }
}

async fn deliver(
    desk: &ConsumerDesk,
    claimed: &Claimed,
    name: String,
) -> Result<Option<u16>, Failure> {
    match &claimed.destination {
        Destination::Webhook { url, secret, previous } => {
            let previous = previous.as_ref().map(|previous| &previous.secret);
            desk.0.sender.send(claimed, (url, [Some(secret), previous])).await.map(Some)
        }
        Destination::InProcess => {
            let gone = || Failure::new("no such consumer in this process");
            let handler = desk.handler(&name).ok_or_else(gone)?;
            let event = ConsumedEvent {
                id: claimed.event.clone(),
                name: claimed.name.clone(),
                json: claimed.body.clone(),
            };
            let handled = handler(name.into(), event, claimed.traceparent.clone()).await;
            handled
                .map(|()| None)
                .map_err(|error| Failure::new(error.chars().take(300).collect::<String>()))
        }
    }
}
