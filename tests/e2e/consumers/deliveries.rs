//! What arrives, when, and what becomes of what does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{CANARY, Request, Server, until};
use serde_json::json;

use super::receiver::{Receiver, Reply, SOON, hmac};
use super::{deliveries, make, options, send, settled, ticket};
use crate::stores::Store;

/// A trace that somebody else has begun.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn signatures_are_checked_by_hmac_as_published() {
    // RFC 4231, test case 2.
    let mac = hmac(b"Jefe", b"what do ya want for nothing?");
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

async fn events_arrive(store: &Store) -> Result<()> {
    let mut options = store.options("arrive")?.any_request_rate();
    options = options.set("consumers.allow_private_addresses", "true");
    let server = Server::start(options).await?;
    let receiver = Receiver::start(|_| Reply::Status(204)).await?;
    let (all, secret) = make(&server, "all", json!(["*"]), &receiver.url("/all")).await?;
    let (_, other) = make(&server, "notes", json!(["comment.*"]), &receiver.url("/notes")).await?;

    let body = json!({ "title": "Printer on fire", "description": "It burns." });
    let request = Request::new("POST", "/v1/tickets").authorized("ApiKey dev").json(&body);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let made = server.ask(request.header("traceparent", &parent)).await?;
    ensure!(made.status == 201, "{made}");
    let id = made.json()["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/v1/tickets/{id}");
    send(&server, "PATCH", &path, &json!({ "title": "Printer out" })).await?;
    let note = json!({ "content": CANARY, "is_internal": true });
    send(&server, "POST", &format!("{path}/comments"), &note).await?;

    let heard = receiver.wait("/all", 3).await?;
    for (hook, name) in heard.iter().zip(["ticket.created", "ticket.updated", "comment.created"]) {
        hook.verify(&secret)?;
        assert_eq!(hook.name(), name);
        assert_eq!(hook.header("content-type"), "application/json");
        assert_eq!(hook.json()["topic"], format!("tickets:{id}"));
    }
    assert!(heard[0].header("traceparent").contains(TRACE), "{:?}", heard[0]);
    assert!(!heard[1].header("traceparent").contains(TRACE), "another request, another trace");
    let updated = heard[1].json();
    assert_eq!(updated["target"]["data"]["title"], "Printer out");
    assert_eq!(updated["target"]["previousData"]["title"], "Printer on fire");
    assert_eq!(updated["target"]["type"], "Ticket");
    let numbers: Vec<_> = heard.iter().map(|hook| hook.json()["seq"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);

    // The same bytes for the other, under its own secret.
    let notes = receiver.wait("/notes", 1).await?;
    assert_eq!(notes[0].body, heard[2].body);
    notes[0].verify(&other)?;
    assert!(notes[0].verify(&secret).is_err());
    let done = settled(&server, &all, "delivered", 3).await?;
    assert_eq!((&done[0]["attempts"], &done[0]["status"]), (&json!(1), &json!(204)));
    assert_eq!(done[0]["event_id"], heard[2].id());
    until("all four are counted", SOON, async || {
        let counted = server.metric(r#"penholder_deliveries_total{outcome="delivered"}"#).await?;
        Ok((counted >= 4.0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn events_arrive_signed_in_order_and_once_on_sqlite() -> Result<()> {
    events_arrive(&Store::Sqlite).await
}

#[tokio::test]
async fn events_arrive_signed_in_order_and_once_on_postgres() -> Result<()> {
    events_arrive(&Store::postgres()?).await
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_given_up() -> Result<()> {
    let server = Server::start(options().set("consumers.retry_for", "2s")).await?;
    let (attempts, is_mended) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let mended = Arc::clone(&is_mended);
    let receiver = Receiver::start(move |hook| match hook.path.as_str() {
        "/second" if attempts.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Status(503),
        "/moved" if !mended.load(Ordering::SeqCst) => Reply::Redirect("/elsewhere".to_owned()),
        _ => Reply::Status(200),
    })
    .await?;
    let (second, secret) =
        make(&server, "second", json!(["ticket.created"]), &receiver.url("/second")).await?;
    let (moved, _) = make(&server, "moved", json!(["ticket.*"]), &receiver.url("/moved")).await?;
    let id = ticket(&server, "t").await?;
    let closing = json!({ "to": "closed" });
    send(&server, "POST", &format!("/v1/tickets/{id}/transitions"), &closing).await?;

    let tries = receiver.wait("/second", 2).await?;
    let wait = tries[1].at - tries[0].at;
    assert!(wait >= Duration::from_millis(950), "it was tried again after {wait:?}");
    assert_eq!((tries[0].id(), &tries[0].body), (tries[1].id(), &tries[1].body));
    tries[1].verify(&secret)?;
    let done = settled(&server, &second, "delivered", 1).await?;
    assert_eq!(done[0]["attempts"], 2);

    let parked = settled(&server, &moved, "failed", 2).await?;
    assert!(receiver.heard("/elsewhere").is_empty(), "the redirect was followed");
    for (delivery, name) in parked.iter().zip(["ticket.updated", "ticket.created"]) {
        assert_eq!((&delivery["event_name"], &delivery["status"]), (&json!(name), &json!(307)));
        assert_eq!(delivery["attempts"], 2, "{delivery}");
        assert!(
            delivery["error"].as_str().is_some_and(|it| it.contains("redirects")),
            "{delivery}"
        );
    }

    // Looked after, and sent again: first one, then everything.
    is_mended.store(true, Ordering::SeqCst);
    let before = receiver.heard("/moved").len();
    let replay = format!("/v1/consumers/{moved}/replay");
    send(&server, "POST", &replay, &json!({ "event_id": parked[1]["event_id"] })).await?;
    let again = receiver.wait("/moved", before + 1).await?;
    assert_eq!(parked[1]["event_id"], again[before].id());
    settled(&server, &moved, "failed", 1).await?;
    send(&server, "POST", &replay, &json!({ "from_time": "2020-01-01T00:00:00Z" })).await?;
    let again = receiver.wait("/moved", before + 3).await?;
    let names: Vec<_> = again[before + 1..].iter().map(|hook| hook.name()).collect();
    assert_eq!(names, ["ticket.created", "ticket.updated"]);
    settled(&server, &moved, "delivered", 2).await?;
    let topic = json!({ "topic": format!("tickets:{id}"), "from_seq": 2 });
    send(&server, "POST", &replay, &topic).await?;
    assert_eq!(receiver.wait("/moved", before + 4).await?[before + 3].name(), "ticket.updated");
    Ok(())
}

#[tokio::test]
async fn consumer_that_hangs_holds_up_nobody() -> Result<()> {
    // Nothing of what hangs ends before the test does.
    let options = options().set("consumers.timeout", "5m").set("consumers.in_flight", "2");
    let server = Server::start(options).await?;
    let receiver = Receiver::start(|hook| match hook.path.as_str() {
        "/hangs" => Reply::Silence,
        _ => Reply::Status(200),
    })
    .await?;
    let (hangs, _) = make(&server, "hangs", json!(["*"]), &receiver.url("/hangs")).await?;
    make(&server, "fine", json!(["*"]), &receiver.url("/fine")).await?;
    for _ in 0..10 {
        ticket(&server, "t").await?;
    }
    receiver.wait("/fine", 10).await?;
    let held = receiver.wait("/hangs", 2).await?;
    assert_ne!(held[0].json()["topic"], held[1].json()["topic"], "two tickets at a time");
    assert_eq!(receiver.heard("/hangs").len(), 2, "as many as may be at a time");
    assert_eq!(deliveries(&server, &hangs, "pending").await?.len(), 10);
    Ok(())
}
