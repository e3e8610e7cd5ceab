//! The one writer of a file, which puts the commands of many into one transaction.

use std::time::Duration;

use anyhow::{Context, Result};
use penholder_desk::{Answered, Pens, Storage, StoreError, Transaction};
use penholder_lease::{Outcome, PersonId, TIMELINE_MAX, Terms, Timeline, WriteClaim};
use penholder_stores::Directory;
use sqlx::{Connection, SqliteConnection};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::harness::{Place, claimant, fence, policies};

/// Keeps everybody else from writing.
async fn hold_writer(pens: &Pens) -> Result<Transaction> {
    let nobody = PersonId::from("nobody");
    let claim = WriteClaim { by: &nobody, fence: None };
    Ok(pens.begin_write("doc:none", claim).await?.transaction)
}

fn spawn_acquire(pens: &Pens, topic: &str, name: &str) -> JoinHandle<Result<Answered, StoreError>> {
    let (pens, topic, claimant) = (pens.clone(), topic.to_owned(), claimant(name));
    tokio::spawn(async move { pens.acquire(&topic, claimant, Terms::default()).await })
}

/// Lets those who were spawned get into the queue. Were one late, the test would show less, and not fail.
async fn until_queued() {
    sleep(Duration::from_millis(100)).await;
}

async fn connect(dir: &Directory) -> Result<SqliteConnection> {
    let file = dir.path().join("desk.sqlite");
    Ok(SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_share_a_commit() -> Result<()> {
    let dir = Directory::new()?;
    let pens = Place::file(dir.path()).open(policies()).await?;
    let mut other = connect(&dir).await?;
    let frames = "PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::query(frames).execute(&mut other).await?;
    let held = hold_writer(&pens).await?;
    let tasks: Vec<_> =
        (0..100).map(|tab| spawn_acquire(&pens, "doc:1", &format!("ada/{tab}"))).collect();
    until_queued().await;
    held.commit().await?;
    let mut fences = Vec::new();
    for task in tasks {
        fences.extend(fence(&task.await??));
    }
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), 100, "each has a grant of its own");
    let (_, frames, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut other).await?;
    assert!(frames < 100, "{frames} pages were written for 100 grants");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_kept_takes_none_with_it() -> Result<()> {
    let dir = Directory::new()?;
    let pens = Place::file(dir.path()).open(policies()).await?;
    // The number that its next event will have is taken.
    let taken = "INSERT INTO pen_log (topic, seq, fence, type, rule, at_ms, body)
        VALUES ('doc:7', 1, 1, 'granted', 'free', 0, '{}')";
    sqlx::query(taken).execute(&mut connect(&dir).await?).await?;
    let held = hold_writer(&pens).await?;
    let tasks: Vec<_> =
        (0..20).map(|n| spawn_acquire(&pens, &format!("doc:{n}"), "ada/1")).collect();
    until_queued().await;
    held.commit().await?;
    for (n, task) in tasks.into_iter().enumerate() {
        let acquired = task.await?;
        assert_eq!(acquired.is_err(), n == 7, "{n}: {acquired:?}");
        let log = pens.log(&format!("doc:{n}"), 0, 10).await;
        assert!(n == 7 || log?.len() == 1, "kept once");
    }
    assert_eq!(pens.pen("doc:7").await?.pen.fence.0, 0, "nothing of it is kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_that_panics_takes_none_with_it() -> Result<()> {
    let dir = Directory::new()?;
    let path = dir.path().join("desk.sqlite");
    // Breaks an invariant of every grant, and of nothing else.
    let storage = Storage::Sqlite { path, timeline: Timeline(TIMELINE_MAX + 1) };
    let pens = Pens::open(&storage, policies()).await?;
    let held = hold_writer(&pens).await?;
    let first = spawn_acquire(&pens, "doc:1", "ada/1");
    let second = spawn_acquire(&pens, "doc:1", "ada/2");
    let left = tokio::spawn({
        let pens = pens.clone();
        async move { pens.leave("doc:1", "ada/1".into()).await }
    });
    until_queued().await;
    held.commit().await?;
    for task in [first, second] {
        assert!(task.await.is_err_and(|error| error.is_panic()));
    }
    let left = left.await??.outcome.ok().context("refused")?;
    assert_eq!(left, Outcome::Disconnected);
    assert!(pens.tick("doc:1").await?.events.is_empty(), "and the writer goes on");
    Ok(())
}
