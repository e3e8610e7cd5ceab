//! Events between replicas: broadcasts, typing, pens, and the removal of sessions.

use std::time::Duration;

use anyhow::Result;
use penholder_presence::ReplicaConfig;
use penholder_protocol::{Broadcast, Json, JsonLimits, Typing};
use penholder_tests::Request;
use serde_json::{Value, json};

use super::replica::{Network, Replica};
use super::visitor::Visitor;
use super::{TOPIC, quick};

/// Two replicas with one person on each, who see each other.
async fn two() -> Result<([Replica; 2], Visitor, Visitor)> {
    let network = Network::new(quick())?;
    let replicas = [network.start("one").await?, network.start("two").await?];
    let mut ann = Visitor::join("ann", &replicas[0]).await?;
    let mut bob = Visitor::join("bob", &replicas[1]).await?;
    for visitor in [&mut ann, &mut bob] {
        visitor.until("both are here", |it| it.sees(&["ann", "bob"])).await?;
    }
    Ok((replicas, ann, bob))
}

fn note(n: u64, to_self: bool) -> Result<Broadcast> {
    let payload = Json::parse(json!({ "n": n }).to_string(), &JsonLimits::default())?;
    Ok(Broadcast { event: "note".to_owned(), payload, to_self: Some(to_self) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_reaches_everybody_once_and_in_order() -> Result<()> {
    const COUNT: u64 = 54;
    const AT_ONCE: u64 = 9;
    let ([one, two], mut ann, mut bob) = two().await?;
    let mut amy = Visitor::join("amy", &one).await?;
    for n in 0..COUNT {
        if n % AT_ONCE == 0 {
            // What waits when it goes on, with deadlines that have passed, is still in order.
            two.stand_still(Duration::from_millis(250)).await?;
        }
        ann.channel.broadcast(&note(n, n == 0)?).await?;
        if n % AT_ONCE == AT_ONCE - 1 {
            bob.until("the last note", |it| it.told_of("note").len() as u64 > n).await?;
        }
    }
    // Over HTTP to the other replica. What comes after it comes after all.
    let path = format!("/v1/topics/{TOPIC}/broadcast");
    let body = json!({ "event": "end", "payload": { "n": COUNT } });
    let answer = two.ask(Request::new("POST", &path).json(&body)).await?;
    assert_eq!(answer.status, 200, "{answer}");
    let numbers = |it: &Visitor| {
        let notes = it.told_of("note").into_iter();
        notes.map(|payload| payload["n"].as_u64()).collect::<Vec<_>>()
    };
    let all: Vec<_> = (0..COUNT).map(Some).collect();
    for (visitor, notes) in [(&mut ann, &all[..1]), (&mut amy, &all[..]), (&mut bob, &all[..])] {
        visitor.until("the end", |it| !it.told_of("end").is_empty()).await?;
        assert_eq!(numbers(visitor), notes);
        assert_eq!(visitor.told_of("end"), [&json!({ "n": COUNT })]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_seen_on_the_other_replica() -> Result<()> {
    let (_replicas, ann, mut bob) = two().await?;
    for on in [true, false] {
        ann.channel.typing(Typing { on, audience: None }).await?;
        let event = json!({ "key": "ann", "session": ann.reply.session, "on": on });
        bob.until("ann's typing", |it| it.told_of("typing").contains(&&event)).await?;
    }
    assert_eq!(bob.told_of("typing").len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_explained_and_removed_by_any_replica() -> Result<()> {
    let ([one, two], mut ann, mut bob) = two().await?;
    let path = format!("/v1/topics/{TOPIC}/presence/{}", ann.reply.session);
    let why = || Request::new("GET", &format!("{path}/why"));
    let own = one.ask(why()).await?.json();
    let told = two.ask(why()).await?;
    assert_eq!(told.status, 200, "{told}");
    let told = told.json();
    for same in ["session", "key", "replica", "status"] {
        assert_eq!(told[same], own[same], "{same}");
    }
    assert_eq!((&own["replica"], &own["visible"]), (&json!("one"), &json!(true)));
    assert_eq!((&told["connected_at"], &told["visible"]), (&Value::Null, &Value::Null));

    let removed = two.ask(Request::new("DELETE", &path)).await?;
    assert_eq!(removed.status, 204, "{removed}");
    assert_eq!(two.ask(why()).await?.status, 404, "gone when it is said so");
    ann.until("the end of the channel", |it| it.is_closed).await?;
    bob.until("ann's leave", |it| it.sees(&["bob"])).await?;
    assert_eq!(two.ask(Request::new("DELETE", &path)).await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_nobody_confirms_is_not_said_to_be_done() -> Result<()> {
    // Once the session is shown for longer than the answer is waited for, once its replica is taken for dead
    // meanwhile.
    for gossip in [ReplicaConfig::default(), ReplicaConfig { down_after_ms: 1_800, ..quick() }] {
        let network = Network::new(gossip)?;
        let (one, two) = (network.start("one").await?, network.start("two").await?);
        let ann = Visitor::join("ann", &one).await?;
        two.knows(1).await?;
        one.kill();
        let path = format!("/v1/topics/{TOPIC}/presence/{}", ann.reply.session);
        let answer = two.ask(Request::new("DELETE", &path)).await?;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("unavailable")));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_pen_is_told_on_every_replica() -> Result<()> {
    let (_replicas, mut ann, mut bob) = two().await?;
    let granted: Value = ann.channel.request("pen_acquire", &json!({})).await?;
    assert_eq!(granted["granted"], true, "{granted}");
    let is_of = |event: &Value, kind: &str, by: &str| {
        event["type"] == kind && event["by"]["id"] == by && event["pen"]["holder"]["id"] == "ann"
    };
    bob.until("ann has the pen", |it| {
        it.told_of("pen").last().is_some_and(|event| is_of(event, "granted", "ann"))
    })
    .await?;
    // Who asks on one replica is heard by who holds on the other, and the other way round.
    let _: Value = bob.channel.request("pen_request", &json!({})).await?;
    ann.until("bob asks", |it| {
        it.told_of("pen").last().is_some_and(|event| is_of(event, "requested", "bob"))
    })
    .await?;
    let fence = &granted["pen"]["fence"];
    let answer = json!({ "fence": fence, "answer": "hand_over" });
    let _: Value = ann.channel.request("pen_answer", &answer).await?;
    let is_bobs = |it: &Visitor| {
        let last = it.told_of("pen");
        last.last().is_some_and(|event| event["pen"]["holder"]["id"] == "bob")
    };
    for visitor in [&mut ann, &mut bob] {
        visitor.until("bob has it", is_bobs).await?;
    }
    assert_eq!(ann.told_of("pen"), bob.told_of("pen"));
    let seqs: Vec<_> = ann.told_of("pen").iter().map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).map(Some).collect::<Vec<_>>());
    Ok(())
}
