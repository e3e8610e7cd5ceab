//! What happens to pens, as a webhook hears of it.

use anyhow::{Context, Result, ensure};
use penholder_tests::{Request, Server, until};
use serde_json::{Value, json};

use super::receiver::{Hook, Receiver, Reply, SOON};
use super::{make, send, ticket};
use crate::stores::Store;

/// A trace that somebody else has begun.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What came of a topic, in order.
fn of_topic(heard: &[Hook], topic: &str) -> Vec<Value> {
    heard.iter().map(Hook::json).filter(|it| it["topic"] == topic).collect()
}

/// Number, name and what has happened to the pen.
fn told(events: &[Value]) -> Vec<String> {
    let of = |it: &Value| {
        let change = it["change"]["type"].as_str().unwrap_or("-");
        format!("{} {} {change}", it["seq"], it["eventName"].as_str().unwrap_or_default())
    };
    events.iter().map(of).collect()
}

/// Ann takes the pen in a trace, the development key takes it over.
async fn take_over(server: &Server, pen: &str) -> Result<Value> {
    let ann = server.token("ann").await?;
    let request = Request::new("POST", &format!("{pen}/acquire"));
    let request = request.authorized(&format!("Bearer {ann}")).json(&json!({}));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let granted = server.ask(request.header("traceparent", &parent)).await?;
    ensure!(granted.status == 200, "{granted}");
    send(server, "POST", &format!("{pen}/take_over"), &json!({ "reason": "urgent" })).await?;
    until("the pen is taken over", SOON, async || {
        let pen = server.get(pen).await?.json();
        Ok((pen["holder"]["id"] == "key:dev").then_some(pen))
    })
    .await
}

async fn pens_are_heard(store: &Store) -> Result<()> {
    let mut options = store.options("pens_heard")?.any_request_rate().set("pen.drain", "1s");
    options = options.set("consumers.allow_private_addresses", "true");
    let server = Server::start(options).await?;
    let receiver = Receiver::start(|_| Reply::Status(204)).await?;
    let (_, secret) = make(&server, "all", json!(["*"]), &receiver.url("/all")).await?;
    let first = json!(["pen.created"]);
    let (_, other) = make(&server, "first", first, &receiver.url("/first")).await?;

    let id = ticket(&server, "Printer on fire").await?;
    let topic = format!("tickets:{id}");
    let pen = format!("/v1/pens/{topic}");
    let held = take_over(&server, &pen).await?;
    let path = format!("/v1/tickets/{id}");
    send(&server, "PATCH", &path, &json!({ "title": "Printer out" })).await?;
    let fence = json!({ "fence": held["fence"] });
    let released = send(&server, "POST", &format!("{pen}/release"), &fence).await?;
    let doc = take_over(&server, "/v1/pens/doc:1").await?;
    send(&server, "POST", "/v1/pens/doc:1/release", &json!({ "fence": doc["fence"] })).await?;

    let heard = receiver.wait("/all", 10).await?;
    heard.iter().try_for_each(|hook| hook.verify(&secret))?;
    let of_ticket = of_topic(&heard, &topic);
    let expected = [
        "1 ticket.created -",
        "2 pen.created granted",
        "3 pen.updated draining",
        "4 pen.updated taken_over",
        "5 ticket.updated -",
        "6 pen.updated released",
    ];
    assert_eq!(told(&of_ticket), expected);
    let of_doc = of_topic(&heard, "doc:1");
    let expected = [
        "1 pen.created granted",
        "2 pen.updated draining",
        "3 pen.updated taken_over",
        "4 pen.updated released",
    ];
    assert_eq!(told(&of_doc), expected);

    let of_pen = of_ticket.iter().filter(|it| it["target"]["type"] == "Pen");
    let of_pen: Vec<_> = of_pen.collect();
    let mut before = Value::Null;
    for event in &of_pen {
        assert_eq!(event["target"]["id"], topic.as_str());
        assert_eq!(event["target"]["previousData"], before, "{event}");
        before = event["target"]["data"].clone();
    }
    assert_eq!(before, released["pen"], "what the last says is what its caller was told");
    assert_eq!(of_pen[2]["target"]["data"], held);
    assert_eq!(of_pen[1]["change"]["reason"], "urgent");
    let who: Vec<_> = of_pen.iter().map(|it| it["identityId"].as_str()).collect();
    assert_eq!(who, ["ann", "key:dev", "key:dev", "key:dev"].map(Some));

    // The first of each topic for the other, under its own secret, and in the trace of the request.
    let first = receiver.wait("/first", 2).await?;
    for hook in &first {
        hook.verify(&other)?;
        assert!(hook.header("traceparent").contains(TRACE), "{hook:?}");
    }
    assert_eq!(told(&of_topic(&first, &topic)), ["2 pen.created granted"]);
    let traced = server.get(&format!("/v1/events?trace_id={TRACE}")).await?.json();
    let traced = traced["data"].as_array().context("no page")?;
    assert_eq!(told(traced), ["2 pen.created granted", "1 pen.created granted"]);
    assert_eq!(traced[0]["target"], of_pen[0]["target"]);
    assert_eq!(traced[0]["identityId"], "ann");
    Ok(())
}

#[tokio::test]
async fn pens_are_heard_beside_their_tickets_on_sqlite() -> Result<()> {
    pens_are_heard(&Store::Sqlite).await
}

#[tokio::test]
async fn pens_are_heard_beside_their_tickets_on_postgres() -> Result<()> {
    pens_are_heard(&Store::postgres()?).await
}
