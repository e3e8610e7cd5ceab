//! What only a server can do to a lease.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use penholder_desk::{Pens, StoreError};
use penholder_lease::{Fence, PersonId, Terms, WriteClaim};
use penholder_stores::PostgresServer;
use tokio::time::sleep;

use crate::harness::{Place, acquire, claimant, policies, timeline};

const TOPIC: &str = "doc:1";

/// Acquires as somebody, until the store is there again.
async fn acquire_again(pens: &Pens, name: &str) -> Result<Fence> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match pens.acquire(TOPIC, claimant(name), Terms::default()).await {
            Ok(answered) => return crate::harness::fence(&answered).context("not granted"),
            Err(error) if Instant::now() > end => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_granted_anything_while_the_server_is_gone() -> Result<()> {
    let mut server = PostgresServer::start()?;
    let pens = Place::database(&server, 4).open(policies()).await?;
    let first = acquire(&pens, TOPIC, "ada/1").await?.context("not granted")?;
    server.kill()?;
    for _ in 0..2 {
        let start = Instant::now();
        let refused = pens.acquire(TOPIC, claimant("ada/2"), Terms::default()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(matches!(pens.pen(TOPIC).await, Err(StoreError::Unavailable(_))));
        assert!(start.elapsed() < Duration::from_secs(6), "nobody waits for long");
    }
    let opened = Place::database(&server, 1).open(policies()).await;
    assert!(opened.is_err(), "nor does a start succeed");
    server.go_on()?;
    let second = acquire_again(&pens, "ada/2").await?;
    assert!(second > first, "{second} after {first}, over a crash");
    assert_eq!(timeline(second), timeline(first));
    Ok(())
}

/// Has a pen for a moment, which is free before and after.
async fn acquire_and_release(pens: &Pens) -> Result<Fence> {
    let topic = "doc:free";
    let fence = acquire(pens, topic, "ada/1").await?.context("not granted")?;
    let _ = pens.release(topic, "ada/1".into(), fence).await?;
    Ok(fence)
}

#[tokio::test(flavor = "multi_thread")]
async fn fences_grow_although_a_standby_has_lost_grants() -> Result<()> {
    let mut server = PostgresServer::start()?;
    let pens = Place::database(&server, 2).open(policies()).await?;
    let known = acquire(&pens, TOPIC, "ada/1").await?.context("not granted")?;
    acquire_and_release(&pens).await?;
    pens.close().await;
    server.stop()?;
    server.copy_data("data", "standby")?;

    // What is granted now never reaches the standby.
    server.go_on()?;
    let pens = Place::database(&server, 2).open(policies()).await?;
    let mut lost = known;
    for name in ["ada/2", "ada/1", "ada/2"] {
        lost = acquire(&pens, TOPIC, name).await?.context("not granted")?;
    }
    acquire_and_release(&pens).await?;
    let lost_free = acquire_and_release(&pens).await?;
    pens.close().await;
    server.stop()?;

    server.copy_data("standby", "data")?;
    server.promote()?;
    let pens = Place::database(&server, 2).open(policies()).await?;
    assert_eq!(pens.pen(TOPIC).await?.pen.fence, known, "the standby knows no more");
    let free = acquire_and_release(&pens).await?;
    assert!(free > lost_free, "{free} after {lost_free}, by the statement for free pens");
    let moved = acquire(&pens, TOPIC, "ada/3").await?.context("not granted")?;
    assert!(moved > lost, "{moved} after {lost}");
    assert_eq!(timeline(moved).0, timeline(lost).0 + 1);
    let other = acquire(&pens, "doc:new", "ada/1").await?.context("not granted")?;
    assert_eq!(timeline(other), timeline(moved), "a pen that nobody had before, too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_stops_inside_a_transaction_blocks_nobody_for_long() -> Result<()> {
    let server = PostgresServer::start()?;
    let pens = Place::database(&server, 4).open(policies()).await?;
    let fence = acquire(&pens, TOPIC, "ada/1").await?;
    let ada = PersonId::from("ada");
    let claim = WriteClaim { by: &ada, fence };
    let stopped = pens.begin_write(TOPIC, claim).await?.transaction;
    let start = Instant::now();
    let next = acquire_again(&pens, "ada/2").await?;
    assert!(Some(next) > fence);
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
    let late = stopped.commit().await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "its write is lost: {late:?}");
    Ok(())
}
