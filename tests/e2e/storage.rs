//! What happens to the store of pens behind the server's back: a database that comes later, an old copy.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_stores::{Durability, PostgresServer};
use penholder_tests::{Options, Server, until};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// Acquires a pen over HTTP, gives it back, and returns its fence.
async fn fence(server: &Server, topic: &str) -> Result<u64> {
    let granted = server.post(&format!("/v1/pens/{topic}/acquire"), &json!({})).await?;
    let fence = granted.json()["pen"]["fence"].clone();
    let released =
        server.post(&format!("/v1/pens/{topic}/release"), &json!({"fence": fence})).await?;
    ensure!((granted.status, released.status) == (200, 200), "{granted} {released}");
    Ok(fence.as_str().context("no fence")?.parse()?)
}

async fn stop(server: &mut Server) -> Result<()> {
    server.terminate()?;
    assert_eq!(server.exit_code().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_server_starts_before_its_database() -> Result<()> {
    let mut database = PostgresServer::prepare(Durability::Process)?;
    let server = Server::start(Options::default().set("storage.url", &database.url())).await?;
    let ready = server.get("/readyz").await?;
    let why = ready.json()["pens"].clone();
    assert_eq!((ready.status, why), (200, json!("the store is unavailable")));
    let acquired = server.post("/v1/pens/doc:1/acquire", &json!({})).await?;
    assert_eq!((acquired.status, &acquired.json()["code"]), (503, &json!("unavailable")));
    // Presence needs no database.
    let mut ann = server.socket(&server.token("ann").await?).await?;
    let mut bob = server.socket(&server.token("bob").await?).await?;
    ann.join("doc:1").await?;
    bob.join("doc:1").await?;
    assert_eq!(server.get("/v1/topics/doc:1/presence").await?.json()["count"], 2);
    let refused = ann.ask("doc:1", "pen_acquire", &json!({})).await?;
    assert_eq!(refused["response"]["code"], "unavailable");

    database.go_on()?;
    until("there are pens", SOON, async || {
        Ok((server.get("/readyz").await?.json()["pens"] == "ok").then_some(()))
    })
    .await?;
    let granted = ann.ask("doc:1", "pen_acquire", &json!({})).await?;
    ensure!(granted["response"]["granted"] == true, "{granted}");
    bob.until("bob hears of it", |frame: &Value| frame[4]["type"] == "granted").await?;

    // Gone again, it is not forgotten to say so.
    database.stop()?;
    until("it is noticed", SOON, async || {
        Ok((server.get("/readyz").await?.json()["pens"] != "ok").then_some(()))
    })
    .await?;

    // Nor is it waited for once for each of many rows.
    let topics: Vec<_> = (1..=200).map(|n| format!("doc:{n}")).collect();
    let rows = json!({ "topics": topics });
    let rows = timeout(SOON, server.post("/v1/presence/summaries", &rows)).await??.json();
    let rows = rows["data"].as_array().context("no rows")?;
    assert_eq!(
        (rows.len(), &rows[0]["topic"], &rows[0]["count"]),
        (200, &json!("doc:1"), &json!(2))
    );
    let is_empty = |row: &Value| row["count"] == 0 && row["holder"].is_null();
    ensure!(rows[1..].iter().all(is_empty), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn an_address_of_no_database_stops_the_start() -> Result<()> {
    let started =
        Server::start(Options::default().set("storage.url", "postgres://[nowhere/x")).await;
    let error = format!("{:#}", started.err().context("it has started")?);
    ensure!(error.contains("address of the store"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_old_copy_put_back_repeats_no_fence() -> Result<()> {
    let mut server = Server::start(Options::default()).await?;
    assert_eq!(fence(&server, "doc:1").await?, 1);
    stop(&mut server).await?;
    let (file, copy) = (server.data().join("pens.sqlite"), server.data().join("copy"));
    fs::copy(&file, &copy)?;

    server.restart().await?;
    let mut last = [0; 2];
    for _ in 0..3 {
        last = [fence(&server, "doc:1").await?, fence(&server, "doc:2").await?];
    }
    stop(&mut server).await?;
    fs::copy(&copy, &file)?;
    server.restart().await?;
    let log = server.get("/v1/pens/doc:1/log").await?.json()["data"].clone();
    assert_eq!(log.as_array().map(Vec::len), Some(2), "it is the copy");
    for (topic, last) in ["doc:1", "doc:2"].into_iter().zip(last) {
        let fence = fence(&server, topic).await?;
        ensure!(fence > last, "{topic}: {fence} after {last}");
    }
    Ok(())
}
