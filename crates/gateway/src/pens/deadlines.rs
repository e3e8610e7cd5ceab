//! Deadlines: pens that expire, pass on, or end their drain while nobody touches them.

use std::time::Duration;

use penholder_hub::PenTask;
use penholder_lease::Command;
use penholder_protocol::TopicName;
use tokio::sync::oneshot;

use super::lanes::Job;
use super::{Asker, PenDesk, log_away};

/// Most pens that are ticked in one round.
const ROUND_MAX: u32 = 100;

/// The longest sleep: another replica that would have served a deadline may have died.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// The shortest, so that a clock which stands still does not make a busy loop.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// How often what was kept for long enough is thrown away.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Ticks pens when they are due, until the desk closes.
pub(super) async fn run(desk: PenDesk) {
    loop {
        let sleep = match desk.0.store.due(ROUND_MAX).await {
            Ok(due) => {
                tick(&desk, &due.topics).await;
                let next = due.next_in_ms.map_or(SLEEP_MAX, Duration::from_millis);
                next.clamp(SLEEP_MIN, SLEEP_MAX)
            }
            Err(error) => {
                log_away(&error);
                SLEEP_MAX
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = desk.0.changed.notified() => tokio::time::sleep(SLEEP_MIN).await,
            () = desk.0.ending.cancelled() => return,
        }
    }
}

/// Ticks these, each in its lane, and waits until that is done: they would be found due again.
async fn tick(desk: &PenDesk, topics: &[String]) {
    let mut ticks = Vec::with_capacity(topics.len());
    for topic in topics.iter().filter_map(|name| TopicName::parse(name).ok()) {
        let (answer, told) = oneshot::channel();
        let (task, asker) = (PenTask::Obey(Command::Tick), Asker::Caller(answer));
        desk.enter(Job { topic, task, asker });
        ticks.push(told);
    }
    for told in ticks {
        // What went wrong was logged where it did; the pen is due still.
        told.await.ok();
    }
}

/// Throws away what was kept for long enough, now and then.
pub(super) async fn tidy(desk: PenDesk) {
    let mut every = tokio::time::interval(TIDY_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = desk.0.ending.cancelled() => return,
        }
        match desk.0.store.expire(desk.0.log_keep_ms).await {
            Ok(rows) => tracing::debug!(rows, "old events of pens and drafts thrown away"),
            Err(error) => log_away(&error),
        }
    }
}
