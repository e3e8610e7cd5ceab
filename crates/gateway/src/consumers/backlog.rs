//! How much is owed, for those who watch.

use std::time::Duration;

use super::ConsumerDesk;
use crate::pens::log_away;
use crate::telemetry::metrics;

/// How often it is counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// Counts what is owed, now and then, until the desk closes.
pub(super) async fn watch(desk: ConsumerDesk) {
    let mut every = tokio::time::interval(COUNT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = desk.0.ending.cancelled() => return,
        }
        match desk.0.store.backlog().await {
            Ok(backlog) => metrics::backlog(&backlog),
            Err(error) => log_away(&error),
        }
    }
}
