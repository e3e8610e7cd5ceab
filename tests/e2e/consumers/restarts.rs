//! What was committed arrives, whatever happens to the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use penholder_tests::{Request, Server, exchange, until};
use serde_json::{Value, json};

use super::receiver::{Hook, Receiver, Reply, SOON};
use super::{make, text, ticket};
use crate::stores::Store;

/// How often the server is killed, and what is written before each time.
const KILLS: usize = 3;
const TICKETS: usize = 12;

/// The tickets that there are, by what the server says, and how many events each has had.
async fn committed(server: &Server) -> Result<BTreeMap<String, usize>> {
    let listed = server.get("/v1/tickets?limit=100").await?;
    ensure!(listed.status == 200 && listed.json()["next_cursor"].is_null(), "{listed}");
    let all = listed.json()["data"].as_array().cloned().unwrap_or_default();
    let events = |ticket: &Value| if ticket["status"] == "closed" { 2 } else { 1 };
    all.iter().map(|ticket| Ok((text(ticket, "id")?, events(ticket)))).collect()
}

/// What was heard of each ticket, each event once; that of the same id has to be the same.
fn told(heard: &[Hook]) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for hook in heard {
        let before = bodies.insert(hook.id(), hook.body.clone());
        ensure!(before.as_ref().is_none_or(|before| *before == hook.body), "{} changes", hook.id());
        if before.is_none() {
            let event = hook.json();
            let topic = event["topic"].as_str().context("no topic")?;
            let id = topic.strip_prefix("tickets:").context("another topic")?.to_owned();
            told.entry(id).or_default().push(event);
        }
    }
    Ok(told)
}

async fn everything_arrives(store: &Store) -> Result<()> {
    let options = store.options("restarts")?.any_request_rate();
    // Whoever comes after a kill has to wait for the claims of the dead, where others might have them.
    let options = options.set("consumers.timeout", "500ms").set("consumers.in_flight", "4");
    let options = options.set("consumers.allow_private_addresses", "true");
    let mut server = Server::start(options).await?;
    // Of many the first attempt fails, so that much is owed whenever the server dies.
    let seen = Mutex::new(BTreeSet::new());
    let receiver = Receiver::start(move |hook| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (seen.insert(hook.id()), seen.len() % 4) {
            (true, 1) => Reply::Status(500),
            (true, 3) => Reply::Silence,
            _ => Reply::Status(200),
        }
    })
    .await?;
    make(&server, "all", json!(["ticket.*"]), &receiver.url("/all")).await?;
    let mut answered = BTreeSet::new();
    for _ in 0..KILLS {
        for _ in 0..TICKETS {
            let id = ticket(&server, "t").await?;
            let closing = json!({ "to": "closed" });
            let path = format!("/v1/tickets/{id}/transitions");
            let closed = super::ask(&server, "POST", &path, &closing).await?;
            // It was done although the store was too busy to say so.
            ensure!([200, 409].contains(&closed.status), "{closed}");
            answered.insert(id);
        }
        // One that may be committed or not.
        let body = json!({ "title": "t", "description": "It burns." });
        let request = Request::new("POST", "/v1/tickets").authorized("ApiKey dev").json(&body);
        let port = server.port();
        let last = tokio::spawn(async move { exchange(port, &request.to_bytes(port)).await });
        server.restart().await?;
        let last = last.await?.ok().filter(|answer| answer.status == 201);
        answered.extend(last.and_then(|answer| text(&answer.json(), "id").ok()));
    }
    let committed = committed(&server).await?;
    assert!(answered.iter().all(|id| committed.contains_key(id)), "what was answered is there");
    until("everything arrives", SOON * 4, async || {
        let told = told(&receiver.heard("/all"))?;
        let is_whole = |(id, events): (&String, &usize)| {
            told.get(id).is_some_and(|told| told.len() >= *events)
        };
        Ok(committed.iter().all(is_whole).then_some(()))
    })
    .await?;
    for (id, events) in told(&receiver.heard("/all"))? {
        assert_eq!(committed.get(&id), Some(&events.len()), "{id}");
        let numbers: Vec<_> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert!(numbers.iter().copied().eq(1..=events.len() as u64), "{id}: {numbers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_committed_arrives_although_the_server_is_killed() -> Result<()> {
    everything_arrives(&Store::Sqlite).await
}

#[tokio::test]
async fn everything_committed_arrives_from_a_shared_store_too() -> Result<()> {
    everything_arrives(&Store::postgres()?).await
}
