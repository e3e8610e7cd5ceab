//! Many writers who stop for longer than their leases, on either store: what they wrote and what the log
//! says must fit together; and short histories that must be linearizable.
//!
//! `PENHOLDER_STRESS_SECONDS` makes the writers go on for longer.

#![expect(clippy::print_stderr, reason = "how much was tried is told there")]

#[path = "../harness/mod.rs"]
mod harness;
mod histories;
mod writers;

use std::time::Duration;

use anyhow::Result;
use harness::Place;
use penholder_stores::{Directory, PostgresServer};

use self::writers::Stops;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_writers_apart() -> Result<()> {
    let dir = Directory::new()?;
    // Nobody stops while they have the only right to write.
    let stops = Stops { in_transaction: false, grant_late_ms_max: 1_000 };
    writers::run(&Place::file(dir.path()), stops).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_writers_apart() -> Result<()> {
    let server = PostgresServer::start()?;
    let stops = Stops { in_transaction: true, grant_late_ms_max: 2_000 };
    writers::run(&Place::database(&server, 20), stops).await
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_sqlite_are_linearizable() -> Result<()> {
    let dir = Directory::new()?;
    histories::run(&Place::file(dir.path())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_postgres_are_linearizable() -> Result<()> {
    let server = PostgresServer::start()?;
    histories::run(&Place::database(&server, 8)).await
}

/// How long the writers write.
fn duration() -> Duration {
    let seconds = std::env::var("PENHOLDER_STRESS_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(5))
}
