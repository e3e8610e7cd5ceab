//! What holds of events of pens as consumers and traces are told of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_desk::{
    Answered, ConsumerError, ConsumerReplay, Consumers, DeliveryState, Page, Renewal, Retention,
    Storage, Trace,
};
use penholder_lease::{
    Answer, Claimant, Command, EventKind, Kind, Person, Recipient, Role, StoreMs, Terms,
};
use penholder_ticket::ticket_topic;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::consumers::{delivered, drain, failed, make, names, new, only, story};
use crate::harness::{acquire, claimant, fence, until_due, waiting};
use crate::stage::{Site, changes, execute, texts, ticket};

/// Longer than any test takes.
const LEASE_MS: u64 = 600_000;

/// How often one tries again when the store is busy.
const ATTEMPTS: u64 = 50;

/// What consumers were told, as values.
fn bodies(claimed: &[penholder_desk::Claimed]) -> Result<Vec<Value>> {
    Ok(claimed.iter().map(|it| serde_json::from_str(&it.body)).collect::<Result<_, _>>()?)
}

/// What the events of a pen say in short: number, name, what has happened.
fn told(bodies: &[Value]) -> Vec<String> {
    let of = |it: &Value| {
        let change = it["change"]["type"].as_str().unwrap_or("-");
        format!("{} {} {change}", it["seq"], it["eventName"].as_str().unwrap_or_default())
    };
    bodies.iter().map(of).collect()
}

fn hands_over(to: &str) -> Answer {
    Answer::HandOver(Recipient::Anybody(claimant(to)))
}

/// A pen is taken in every way, beside what is written to its ticket: one line, numbered without a gap.
pub(crate) async fn pen_is_heard_in_line_with_its_ticket(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    let (pens, topic) = (&site.pens, ticket_topic(id));
    let mut answers: Vec<Answered> = Vec::new();
    answers.push(pens.acquire(&topic, claimant("ada/1"), Terms::default()).await?);
    let first = fence(&answers[0]).context("not granted")?;
    let renewal = Renewal {
        topic: topic.clone(),
        session: "ada/1".into(),
        fence: first,
        input_ms_ago: 0,
        trace: None,
    };
    // Within the same millisecond nothing is renewed.
    while answers.len() == 1 {
        let renewed = pens.renew(std::slice::from_ref(&renewal)).await?;
        answers.extend(renewed.into_iter().filter(|it| !it.events.is_empty()));
    }
    answers.push(pens.request(&topic, claimant("bob/1"), Some("mine?".to_owned())).await?);
    let held = ("ada/1".into(), first);
    answers.push(pens.answer(&topic, held, hands_over("bob/1"), None).await?);
    let mut work = site.by("eve").await?;
    work.update(id, &changes(&json!({ "priority": "high" }))?, (None, None)).await?;
    work.commit().await?;
    let second = answers[3].pen.fence;
    answers.push(pens.release(&topic, "bob/1".into(), second).await?);
    answers.push(pens.acquire(&topic, claimant("bot/1"), Terms::default()).await?);

    let claimed = drain(&consumers, &all).await?;
    let bodies = bodies(&claimed)?;
    let expected = [
        "1 ticket.created -",
        "2 pen.created granted",
        "3 pen.updated renewed",
        "4 pen.updated requested",
        "5 pen.updated handed_over",
        "6 collision.created -",
        "7 ticket.updated -",
        "8 pen.updated released",
        "9 pen.updated granted",
    ];
    assert_eq!(told(&bodies), expected);
    let of_pen: Vec<_> = bodies.iter().filter(|it| it["target"]["type"] == "Pen").collect();
    let mut before = Value::Null;
    for (body, answered) in of_pen.iter().zip(&answers) {
        let target = &body["target"];
        assert_eq!(target["id"], topic.as_str());
        assert_eq!(body["topic"], topic.as_str());
        assert_eq!(target["data"], json!(answered.pen));
        assert_eq!(target["previousData"], before, "{body}");
        before = target["data"].clone();
    }
    let who: Vec<_> = of_pen.iter().map(|it| it["identityId"].as_str()).collect();
    assert_eq!(who, ["ada", "ada", "bob", "ada", "bob", "bot"].map(Some));
    assert_eq!(
        of_pen[2]["change"],
        json!({ "type": "requested", "rule": "free", "reason": "mine?" })
    );
    let left = "SELECT id FROM pen_log WHERE processed_ms IS NULL";
    assert!(texts(&site.place, left).await?.is_empty());
    let kept = consumers.deliveries(&all.id, Some(DeliveryState::Delivered), (99, None)).await?;
    assert_eq!(kept.len(), 9);
    assert_eq!((kept[0].name.as_str(), &kept[0].place), ("pen.updated", &Some((topic, 9))));
    Ok(())
}

/// The clock ends a tenure, and the next in line gets the pen: two events of one decision.
pub(crate) async fn event_has_the_pen_before_it_also_within_a_decision(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["pen.*"]).await?;
    let (pens, topic) = (&site.pens, "doc:1");
    let short = Terms { ttl_ms: Some(1_000), ..Terms::default() };
    let held = pens.acquire(topic, claimant("ada/1"), short).await?;
    // Who waits is no event.
    let waits = pens.acquire(topic, claimant("bob/1"), waiting()).await?;
    assert!(waits.events.is_empty());
    until_due(pens, topic).await?;
    let trace = Trace { trace_id: "0af7".repeat(8), traceparent: "00-tick-01".to_owned() };
    let ended = pens.obey_traced(topic, &Command::Tick, Some(&trace)).await?;
    let kinds: Vec<_> = ended.events.iter().map(|it| it.event.kind).collect();
    assert_eq!(kinds, [EventKind::Expired, EventKind::Granted]);
    let claimed = drain(&consumers, &all).await?;
    let bodies = bodies(&claimed)?;
    let told = told(&bodies);
    assert_eq!(told, ["1 pen.created granted", "2 pen.updated expired", "3 pen.updated granted"]);
    assert!(
        bodies.iter().skip(1).all(|it| it.get("identityId").is_none()),
        "the clock has done it"
    );
    assert_eq!(bodies[0]["target"]["previousData"], Value::Null);
    assert_eq!(bodies[1]["target"]["previousData"], json!(waits.pen), "held, and somebody waits");
    assert_eq!(waits.pen.holder, held.pen.holder);
    assert_eq!(bodies[1]["target"]["data"], json!(ended.events[0].event.pen));
    assert_eq!(bodies[2]["target"]["previousData"], json!(ended.events[0].event.pen));
    assert_eq!(bodies[2]["target"]["data"], json!(ended.pen));
    let parents: Vec<_> = claimed.iter().map(|it| it.traceparent.as_deref()).collect();
    assert_eq!(parents, [None, Some("00-tick-01"), Some("00-tick-01")]);
    let traced = site.tickets.traced(&trace.trace_id, &Page::new(1, None)?).await?;
    assert_eq!((traced.items[0].entity.as_str(), &traced.items[0].by), ("pen", &None));
    let rest = Page::new(9, traced.next_cursor.as_deref())?;
    let rest = site.tickets.traced(&trace.trace_id, &rest).await?.items;
    assert_eq!(rest[0].place, Some((topic.to_owned(), 3)));
    assert_eq!(rest[0].change.as_ref().map(|it| it.kind.as_str()), Some("granted"));
    Ok(())
}

pub(crate) async fn guest_with_a_pen_is_nobody_who_has_signed_in(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["pen.*"]).await?;
    let person = Person { id: "guest:1".into(), name: "G".to_owned(), kind: Kind::Human };
    let guest = Claimant { session: "g/1".into(), person, role: Role::Guest };
    for topic in ["doc:1", "doc:2"] {
        let held = site.pens.acquire(topic, guest.clone(), Terms::default()).await?;
        let fence = fence(&held).context("not granted")?;
        if topic == "doc:2" {
            // What the next does is decided, and not one statement.
            let asked = site.pens.request(topic, claimant("bob/1"), None).await?;
            assert_eq!(asked.events.len(), 1);
        }
        let _ = site.pens.release(topic, "g/1".into(), fence).await?;
    }
    let bodies = bodies(&drain(&consumers, &all).await?)?;
    let who = |topic: &str| {
        let of_topic = bodies.iter().filter(|it| it["topic"] == topic);
        of_topic.map(|it| it["identityId"].as_str()).collect::<Vec<_>>()
    };
    assert_eq!(who("doc:1"), [None, None]);
    // The guest's release is what gives it to the next.
    assert_eq!(who("doc:2"), [None, Some("bob"), None, None]);
    Ok(())
}

/// What a statement makes of a filter is what the filter says.
pub(crate) async fn filters_of_pens_say_what_they_say_of_tickets(site: Site) -> Result<()> {
    let filters: [&[&str]; 7] = [
        &["*"],
        &["pen.*"],
        &["pen.created"],
        &["pen.updated"],
        &["pen.created", "pen.updated"],
        &["ticket.*", "pen.updated"],
        &["ticket.*", "comment.created"],
    ];
    let mut made = Vec::new();
    for (n, filter) in filters.iter().enumerate() {
        made.push(make(&site, &format!("c{n}"), filter).await?);
    }
    // Words that are refused may have been kept by another version.
    for kept in ["pens.* open.updated pe.*", "pen.deleted pen.update"] {
        let (consumers, one) = make(&site, kept.split('.').next().unwrap_or(kept), &["*"]).await?;
        let id = one.id.as_str();
        let sql = format!("UPDATE consumers SET filter = '{kept}' WHERE id = '{id}'");
        execute(&site.place, &sql).await?;
        let one = consumers.consumer(&one.id).await?;
        made.push((consumers, one));
    }
    let (pens, topic) = (&site.pens, "doc:1");
    let first = acquire(pens, topic, "ada/1").await?.context("not granted")?;
    let _ = pens.release(topic, "ada/1".into(), first).await?;
    let second = acquire(pens, topic, "ada/1").await?.context("not granted")?;
    let _ = pens.revoke(topic, claimant("root").person, None).await?;
    assert!(second > first);
    for (consumers, one) in made {
        let wanted = ["pen.created", "pen.updated", "pen.updated", "pen.updated"];
        let wanted: Vec<_> = wanted.into_iter().filter(|name| one.filter.wants(name)).collect();
        let got = drain(&consumers, &one).await?;
        assert_eq!(names(&got), wanted, "{}", one.filter);
    }
    Ok(())
}

/// Each consumer is owed the end of every topic, whenever it was made, however its making and the writes meet.
pub(crate) async fn consumer_is_owed_every_event_of_pens_since_it_was_made(
    site: Site,
) -> Result<()> {
    const WRITERS: usize = 4;
    if matches!(site.place.0, Storage::Postgres { .. }) {
        let linger = "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON pen_log
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()";
        execute(&site.place, linger).await?;
    }
    let done = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (pens, done) = (site.pens.clone(), Arc::clone(&done));
        writers.spawn(async move {
            let topic = format!("doc:{writer}");
            let mut failures = 0;
            for round in 0..20 {
                let wrote = async {
                    let Some(fence) = acquire(&pens, &topic, "ada/1").await? else { return Ok(()) };
                    let _ = pens.release(&topic, "ada/1".into(), fence).await?;
                    anyhow::Ok(())
                };
                failures += u64::from(wrote.await.is_err());
                ensure!(failures < ATTEMPTS, "the store is away, round {round}");
            }
            done.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
    }
    let consumers = Consumers::new(&site.tickets);
    let mut made = BTreeMap::new();
    let mut failures = 0;
    while done.load(Ordering::Relaxed) < WRITERS && made.len() < 20 {
        let name = format!("c{}", made.len());
        match consumers.create(new(&name, &["pen.*"])?).await {
            Ok(_) | Err(ConsumerError::NameTaken) => {}
            Err(error) => {
                failures += 1;
                ensure!(failures < ATTEMPTS, "{error:#}");
                continue;
            }
        }
        let mut last = Vec::new();
        for writer in 0..WRITERS {
            last.push(site.tickets.look(&format!("doc:{writer}"), None).await?.at.seq);
        }
        made.insert(name, last);
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    for consumer in consumers.list().await? {
        let owed = consumers.deliveries(&consumer.id, None, (1_000, None)).await?;
        for (writer, since) in made[&consumer.name].iter().enumerate() {
            let topic = format!("doc:{writer}");
            let of_topic = owed.iter().filter_map(|it| it.place.clone()).filter(|it| it.0 == topic);
            let mut numbers: Vec<_> = of_topic.map(|place| place.1).collect();
            numbers.sort_unstable();
            let last = site.tickets.look(&topic, None).await?.at.seq;
            let start = last - numbers.len() as u64 + 1;
            ensure!(
                numbers.iter().copied().eq(start..=last),
                "{}: {topic} {numbers:?}",
                consumer.name
            );
            ensure!(start <= since + 1, "{} misses some of {topic} after {since}", consumer.name);
        }
    }
    Ok(())
}

pub(crate) async fn what_pens_owe_is_told_to_who_serves_it(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["pen.updated"]).await?;
    let first = acquire(&site.pens, "doc:1", "ada/1").await?.context("not granted")?;
    let nothing = timeout(Duration::from_millis(20), consumers.news()).await;
    ensure!(nothing.is_err(), "it is owed nothing");
    let _ = site.pens.release("doc:1", "ada/1".into(), first).await?;
    timeout(Duration::from_secs(30), consumers.news()).await.context("nobody was called")?;
    let one = only(consumers.claim(&all.id, 9, LEASE_MS).await?)?;
    let second = acquire(&site.pens, "doc:1", "ada/1").await?.context("not granted")?;
    timeout(Duration::from_secs(30), consumers.news()).await.context("nobody was called")?;
    assert!(consumers.claim(&all.id, 9, LEASE_MS).await?.is_empty(), "the next has to wait");
    consumers.settle(failed(one, Some(0))).await?;
    let again = only(consumers.claim(&all.id, 9, LEASE_MS).await?)?;
    assert_eq!(again.attempts, 1);
    consumers.settle(delivered(again)).await?;
    let renewal = Renewal {
        topic: "doc:1".to_owned(),
        session: "ada/1".into(),
        fence: second,
        input_ms_ago: 0,
        trace: None,
    };
    while site.pens.renew(std::slice::from_ref(&renewal)).await?[0].events.is_empty() {}
    timeout(Duration::from_secs(30), consumers.news()).await.context("nobody was called")?;
    assert_eq!(
        told(&bodies(&drain(&consumers, &all).await?)?),
        ["3 pen.updated granted", "4 pen.updated renewed"]
    );
    assert!(texts(&site.place, "SELECT line FROM delivery_lines").await?.is_empty());
    Ok(())
}

pub(crate) async fn events_of_pens_are_replayed(site: Site) -> Result<()> {
    let id = story(&site).await?;
    let topic = ticket_topic(id);
    let first = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    let _ = acquire(&site.pens, "doc:1", "ada/1").await?;
    let _ = site.pens.release(&topic, "ada/1".into(), first).await?;
    let (consumers, one) = make(&site, "one", &["pen.*", "comment.*"]).await?;
    let replay = async |what: ConsumerReplay| -> Result<Vec<Value>> {
        consumers.replay(&one.id, &what).await?;
        while consumers.step_replay().await? {}
        bodies(&drain(&consumers, &one).await?)
    };
    let of_topic = |all: &[Value], topic: &str| {
        told(&all.iter().filter(|it| it["topic"] == topic).cloned().collect::<Vec<_>>())
    };
    let all = replay(ConsumerReplay::FromTime(StoreMs(0))).await?;
    let in_line = ["3 comment.created -", "4 pen.created granted", "5 pen.updated released"];
    assert_eq!(of_topic(&all, &topic), in_line);
    assert_eq!(of_topic(&all, "doc:1"), ["1 pen.created granted"]);
    let some = replay(ConsumerReplay::FromSeq { topic: topic.clone(), seq: 5 }).await?;
    assert_eq!(told(&some), in_line[2..]);
    let id = some[0]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(replay(ConsumerReplay::Event(id)).await?, some, "the same bytes");
    let left = "SELECT id FROM pen_log WHERE processed_ms IS NULL";
    assert!(texts(&site.place, left).await?.is_empty());
    Ok(())
}

pub(crate) async fn what_pens_owe_is_kept_while_the_log_is(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["pen.*"]).await?;
    let id = story(&site).await?;
    let topic = ticket_topic(id);
    let _ = acquire(&site.pens, &topic, "ada/1").await?;
    site.tickets.expire(Retention { per_topic: 0, ..Retention::default() }).await?;
    let first = only(consumers.claim(&one.id, 16, LEASE_MS).await?)?;
    assert_eq!(told(&bodies(std::slice::from_ref(&first))?), ["4 pen.created granted"]);

    // What is as old as the log may be goes, with whatever is owed of it.
    execute(&site.place, "UPDATE pen_log SET at_ms = at_ms - 5000").await?;
    let old = Retention { keep_ms: 3_000, ..Retention::default() };
    assert_eq!(site.tickets.expire(old).await?, 1);
    assert!(texts(&site.place, "SELECT event_id FROM deliveries").await?.is_empty());
    consumers.settle(delivered(first)).await?;
    assert!(drain(&consumers, &one).await?.is_empty());
    assert!(texts(&site.place, "SELECT line FROM delivery_lines").await?.is_empty());

    // So it is with a consumer that is gone.
    let _ = acquire(&site.pens, "doc:1", "ada/1").await?;
    assert_eq!(consumers.backlog().await?.pending, 1);
    consumers.remove(&one.id).await?;
    site.tickets.expire(Retention::default()).await?;
    assert!(texts(&site.place, "SELECT event_id FROM deliveries").await?.is_empty());
    let left = "SELECT id FROM pen_log WHERE processed_ms IS NULL";
    assert!(texts(&site.place, left).await?.is_empty());
    Ok(())
}

/// Somebody who writes a ticket, somebody who takes its pen, and somebody who changes the consumers.
pub(crate) async fn nobody_waits_in_a_ring(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    // A row that is new nobody waits for.
    let topic = ticket_topic(id);
    let fence = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    let _ = site.pens.release(&topic, "ada/1".into(), fence).await?;

    let mut work = site.by("eve").await?;
    let other = site.clone();
    let made = tokio::spawn(async move { make(&other, "all", &["*"]).await });
    until_blocked(&site, 1, || made.is_finished()).await?;
    let other = site.clone();
    let granted = tokio::spawn(async move { acquire(&other.pens, &topic, "ada/1").await });
    until_blocked(&site, 2, || granted.is_finished()).await?;
    work.update(id, &changes(&json!({ "priority": "high" }))?, (None, None)).await?;
    work.commit().await?;
    made.await??;
    granted.await??;
    Ok(())
}

/// Waits until so many wait for a lock, or until that is not going to be. On SQLite they stand in a line, where there is
/// no ring.
pub(crate) async fn until_blocked(
    site: &Site,
    count: usize,
    is_over: impl Fn() -> bool,
) -> Result<()> {
    const BLOCKED: &str = "SELECT locktype FROM pg_locks WHERE NOT granted";
    if matches!(site.place.0, Storage::Sqlite { .. }) {
        return Ok(());
    }
    let blocked = async {
        while !is_over() && texts(&site.place, BLOCKED).await?.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(60), blocked).await?
}
