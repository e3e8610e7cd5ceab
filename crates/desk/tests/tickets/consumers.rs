//! What holds of what consumers are owed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use penholder_desk::{
    CONSUMERS_MAX, Claimed, Consumer, ConsumerChanges, ConsumerError, ConsumerReplay,
    ConsumerState, Consumers, DeliveryOutcome, DeliveryState, Destination, EventFilter,
    NewConsumer, Retention, Settled, SigningSecret, Storage, StoreError, Work,
};
use penholder_lease::{Kind, Person, Role, StoreMs};
use penholder_ticket::{ALL_TOPIC, Actor, Audience, Status, TicketId, ticket_topic};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::stage::{Site, changes, execute, notes, says, texts, ticket};

/// Longer than any test takes.
pub(crate) const LEASE_MS: u64 = 600_000;

/// How often one tries again when the store is busy.
const ATTEMPTS: u64 = 50;

/// Tries again what a busy store has refused.
macro_rules! insist {
    ($what:block) => {
        for attempt in 0.. {
            let tried: Result<()> = async { $what }.await;
            let Err(error) = tried else { break };
            ensure!(attempt < ATTEMPTS, "{error:#}");
        }
    };
}

fn new(name: &str, patterns: &[&str]) -> Result<NewConsumer> {
    let patterns = patterns.iter().map(|it| (*it).to_owned()).collect();
    let destination = Destination::Webhook {
        url: "https://example.org/hook".to_owned(),
        secret: SigningSecret("whsec_eA==".to_owned()),
        previous: None,
    };
    Ok(NewConsumer { name: name.to_owned(), filter: EventFilter::parse(patterns)?, destination })
}

/// Lets each commit of a write take its time, where others could come in between.
async fn slow_commits(site: &Site) -> Result<()> {
    if matches!(site.place.0, Storage::Postgres { .. }) {
        let trigger = "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON event_log
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()";
        execute(&site.place, trigger).await?;
    }
    Ok(())
}

pub(crate) async fn make(
    site: &Site,
    name: &str,
    patterns: &[&str],
) -> Result<(Consumers, Consumer)> {
    let consumers = Consumers::new(&site.tickets);
    let made = consumers.create(new(name, patterns)?).await?;
    Ok((consumers, made))
}

fn settled(claimed: Claimed, outcome: DeliveryOutcome) -> Vec<Settled> {
    vec![Settled { claimed, outcome }]
}

pub(crate) fn delivered(claimed: Claimed) -> Vec<Settled> {
    settled(claimed, DeliveryOutcome::Delivered { status: Some(204) })
}

pub(crate) fn failed(claimed: Claimed, retry_in_ms: Option<u64>) -> Vec<Settled> {
    let error = "no answer".to_owned();
    settled(claimed, DeliveryOutcome::Failed { status: Some(500), error, retry_in_ms })
}

/// Delivers everything that is due, and returns it in order.
async fn drain(consumers: &Consumers, to: &Consumer) -> Result<Vec<Claimed>> {
    let mut all = Vec::new();
    loop {
        let claimed = consumers.claim(&to.id, 16, LEASE_MS).await?;
        if claimed.is_empty() {
            return Ok(all);
        }
        all.extend(claimed.iter().cloned());
        let outcome = DeliveryOutcome::Delivered { status: Some(200) };
        let settle = |claimed| Settled { claimed, outcome: outcome.clone() };
        consumers.settle(claimed.into_iter().map(settle).collect()).await?;
    }
}

pub(crate) fn only(mut claimed: Vec<Claimed>) -> Result<Claimed> {
    ensure!(claimed.len() == 1, "{claimed:?}");
    claimed.pop().context("nothing is due")
}

fn names(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|it| it.name.as_str()).collect()
}

/// A ticket with an update and a comment: three events.
pub(crate) async fn story(site: &Site) -> Result<TicketId> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.update(id, &changes(&json!({ "title": "u" }))?, (None, None)).await?;
    work.comment(id, notes("hm")?).await?;
    work.commit().await?;
    Ok(id)
}

pub(crate) async fn consumer_is_owed_what_it_wants_and_nothing_else(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let (_, comments) = make(&site, "comments", &["comment.created", "notification.*"]).await?;
    let id = story(&site).await?;
    let waiting = consumers.waiting().await?;
    assert_eq!(waiting.iter().map(|it| it.due_in_ms).collect::<Vec<_>>(), [0, 0]);
    let for_all = drain(&consumers, &all).await?;
    assert_eq!(names(&for_all), ["ticket.created", "ticket.updated", "comment.created"]);
    let processed = "SELECT id FROM event_log WHERE processed_ms IS NOT NULL";
    assert_eq!(texts(&site.place, processed).await?.len(), 2, "one waits for the other consumer");
    assert_eq!(names(&drain(&consumers, &comments).await?), ["comment.created"]);
    assert_eq!(texts(&site.place, processed).await?.len(), 3);
    assert!(consumers.waiting().await?.is_empty());
    let kept = consumers.deliveries(&all.id, Some(DeliveryState::Delivered), (9, None)).await?;
    assert_eq!(kept[0].place, Some((ticket_topic(id), 3)));
    assert_eq!((kept[0].attempts, kept[0].status), (1, Some(200)));
    let before = consumers.deliveries(&all.id, None, (9, Some(&kept[1].event))).await?;
    assert_eq!(before, kept[2..]);

    // Nobody is left to whom anything would be owed.
    consumers.remove(&all.id).await?;
    let mut work = site.by("eve").await?;
    work.transition(id, (Status::Closed, None), None).await?;
    work.commit().await?;
    assert_eq!(texts(&site.place, processed).await?.len(), 4, "what nobody wants is done with");
    assert!(drain(&consumers, &comments).await?.is_empty());
    Ok(())
}

/// What a consumer is owed is the end of everything in the order of commits, whenever it was made.
pub(crate) async fn consumer_is_owed_every_write_since_it_was_made(site: Site) -> Result<()> {
    const WRITERS: usize = 4;
    slow_commits(&site).await?;
    let consumers = Consumers::new(&site.tickets);
    let done = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (site, done) = (site.clone(), Arc::clone(&done));
        writers.spawn(async move {
            for _ in 0..15 {
                insist!({
                    let mut work = site.by("eve").await?;
                    work.create(ticket("t", None)?).await?;
                    work.commit().await?;
                    Ok(())
                });
            }
            done.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
    }
    let mut made = BTreeMap::new();
    while done.load(Ordering::Relaxed) < WRITERS && made.len() < 20 {
        let name = format!("c{}", made.len());
        insist!({
            match consumers.create(new(&name, &["ticket.*"])?).await {
                // It was made, although the answer was lost.
                Ok(_) | Err(ConsumerError::NameTaken) => Ok(()),
                Err(error) => Err(error.into()),
            }
        });
        // All that comes after this was committed after the answer.
        made.insert(name, site.tickets.last_seq(ALL_TOPIC, Audience::Staff).await?);
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let order = texts(
        &site.place,
        "SELECT event_id FROM event_topics WHERE topic = 'tickets:all' ORDER BY seq_staff",
    )
    .await?;
    assert_eq!(order.len(), WRITERS * 15);
    for consumer in consumers.list().await? {
        let owed = consumers.deliveries(&consumer.id, None, (1_000, None)).await?;
        let owed: BTreeSet<_> = owed.into_iter().map(|it| it.event).collect();
        let end: BTreeSet<_> = order[order.len() - owed.len()..].iter().cloned().collect();
        assert_eq!(owed, end, "{}", consumer.name);
        let since = usize::try_from(made[&consumer.name])?;
        assert!(order.len() - owed.len() <= since, "{} misses some after {since}", consumer.name);
    }
    Ok(())
}

pub(crate) async fn rolled_back_is_owed_to_nobody(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.comment(id, says("hello")?).await?;
    work.abandon().await?;
    assert!(consumers.waiting().await?.is_empty());
    assert!(consumers.deliveries(&all.id, None, (9, None)).await?.is_empty());
    Ok(())
}

pub(crate) async fn event_has_the_same_bytes_for_all(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["*"]).await?;
    let (_, two) = make(&site, "two", &["ticket.*", "comment.*"]).await?;
    let id = story(&site).await?;
    let first = drain(&consumers, &one).await?;
    let second = drain(&consumers, &two).await?;
    let of = |all: &[Claimed]| {
        all.iter().map(|it| (it.event.clone(), it.body.clone())).collect::<Vec<_>>()
    };
    assert_eq!(of(&first), of(&second));
    let updated: Value = serde_json::from_str(&first[1].body)?;
    assert_eq!(updated["eventName"], "ticket.updated");
    assert_eq!(updated["id"], first[1].event.as_str());
    assert_eq!((&updated["topic"], &updated["seq"]), (&json!(ticket_topic(id)), &json!(2)));
    assert_eq!(updated["identityId"], "eve");
    assert_eq!(updated["target"]["id"], id.to_string());
    assert_eq!(updated["target"]["type"], "Ticket");
    assert_eq!(updated["target"]["data"]["title"], "u");
    assert_eq!(updated["target"]["previousData"]["title"], "t");
    assert_eq!(updated["target"]["data"]["userId"], "carl");
    assert_eq!(first[1].traceparent.as_deref(), Some("00-eve-01"));
    let note: Value = serde_json::from_str(&first[2].body)?;
    assert_eq!(note["target"]["data"]["isInternal"], true, "{note}");

    let person = Person { id: "guest:1".into(), name: "G".to_owned(), kind: Kind::Human };
    let actor = Actor { person, role: Role::Guest };
    let mut work = site.tickets.begin(penholder_desk::Request { actor, trace: None }).await?;
    work.comment(id, says("hello")?).await?;
    work.commit().await?;
    let guests = drain(&consumers, &one).await?;
    let told: Value = serde_json::from_str(&guests[0].body)?;
    assert!(told.get("identityId").is_none() && guests[0].traceparent.is_none(), "{told}");
    Ok(())
}

pub(crate) async fn line_goes_on_when_the_one_before_is_done(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let (broken, fine) = (story(&site).await?, story(&site).await?);
    let claimed = consumers.claim(&all.id, 16, LEASE_MS).await?;
    assert_eq!(names(&claimed), ["ticket.created", "ticket.created"], "one of each line");
    assert!(consumers.claim(&all.id, 16, LEASE_MS).await?.is_empty(), "nobody else gets them");
    for one in claimed {
        let is_broken = one.body.contains(&broken.to_string());
        consumers
            .settle(if is_broken { failed(one, Some(LEASE_MS)) } else { delivered(one) })
            .await?;
    }
    let rest = drain(&consumers, &all).await?;
    assert_eq!(names(&rest), ["ticket.updated", "comment.created"]);
    assert!(rest.iter().all(|it| it.body.contains(&fine.to_string())));
    let waiting = consumers.waiting().await?;
    let [waiting] = waiting.as_slice() else { anyhow::bail!("{waiting:?}") };
    assert!(waiting.due_in_ms > LEASE_MS / 2 && waiting.due_in_ms <= LEASE_MS);
    let pending = consumers.deliveries(&all.id, Some(DeliveryState::Pending), (9, None)).await?;
    let told: Vec<_> = pending.iter().map(|it| (it.attempts, it.next_at.is_some())).collect();
    assert_eq!(told, [(0, false), (0, false), (1, true)]);
    assert_eq!(pending[2].error.as_deref(), Some("no answer"));
    let backlog = consumers.backlog().await?;
    assert_eq!((backlog.pending, backlog.failed), (3, 0));
    Ok(())
}

pub(crate) async fn parked_one_lets_the_next_go(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    story(&site).await?;
    for attempts in 0..2 {
        let one = only(consumers.claim(&all.id, 16, LEASE_MS).await?)?;
        assert_eq!(one.attempts, attempts);
        let retry = (attempts == 0).then_some(0);
        consumers.settle(failed(one, retry)).await?;
    }
    assert_eq!(names(&drain(&consumers, &all).await?), ["ticket.updated", "comment.created"]);
    let parked = consumers.deliveries(&all.id, Some(DeliveryState::Failed), (9, None)).await?;
    assert_eq!((parked.len(), parked[0].attempts, parked[0].status), (1, 2, Some(500)));
    assert_eq!(consumers.backlog().await?.failed, 1);
    assert_eq!(
        texts(&site.place, "SELECT id FROM event_log WHERE processed_ms IS NULL").await?.len(),
        0,
        "what was given up is done with"
    );
    let again = ConsumerReplay::Event(parked[0].event.clone());
    consumers.replay(&all.id, &again).await?;
    let sent = drain(&consumers, &all).await?;
    assert_eq!((names(&sent), sent[0].attempts), (vec!["ticket.created"], 0));
    assert_eq!(consumers.backlog().await?, penholder_desk::Backlog::default());
    Ok(())
}

pub(crate) async fn unsettled_is_delivered_again(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    story(&site).await?;
    // The lease is over at once, as if the process had died and time had passed.
    let dead = consumers.claim(&all.id, 16, 0).await?;
    let again = consumers.claim(&all.id, 16, LEASE_MS).await?;
    assert_eq!((dead.len(), again.len()), (1, 1));
    assert_eq!((&dead[0].event, &dead[0].body), (&again[0].event, &again[0].body));
    // Whoever comes back late changes nothing of what is another's now.
    consumers.settle(failed(dead[0].clone(), None)).await?;
    assert!(consumers.claim(&all.id, 16, LEASE_MS).await?.is_empty());
    consumers.settle(delivered(again[0].clone())).await?;
    consumers.settle(failed(dead[0].clone(), None)).await?;
    assert_eq!(names(&drain(&consumers, &all).await?), ["ticket.updated", "comment.created"]);
    assert_eq!(consumers.backlog().await?.failed, 0);

    // What a stopping process has not tried is due at once.
    story(&site).await?;
    let one = only(consumers.claim(&all.id, 1, LEASE_MS).await?)?;
    consumers.settle(settled(one.clone(), DeliveryOutcome::Released)).await?;
    let back = consumers.claim(&all.id, 1, LEASE_MS).await?;
    assert_eq!((back[0].event.as_str(), back[0].attempts), (one.event.as_str(), 0));
    Ok(())
}

/// Writers and those who deliver, all at once: each event once, in the order of its line, and none left behind.
pub(crate) async fn everything_is_delivered_in_order_by_many(site: Site) -> Result<()> {
    const WRITERS: usize = 4;
    const WRITES: usize = 20;
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let mut work = site.by("eve").await?;
    let mut tickets = Vec::new();
    for _ in 0..3 {
        tickets.push(work.create(ticket("t", None)?).await?.id);
    }
    work.commit().await?;
    let written = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (site, written, tickets) = (site.clone(), Arc::clone(&written), tickets.clone());
        tasks.spawn(async move {
            for round in 0..WRITES {
                let id = tickets[(writer + round) % tickets.len()];
                insist!({
                    let mut work: Work = site.by("eve").await?;
                    work.comment(id, says("hello")?).await?;
                    work.commit().await?;
                    Ok(())
                });
            }
            written.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
    }
    let seen = Arc::new(Mutex::new(BTreeMap::<String, Vec<u64>>::new()));
    for _ in 0..3 {
        let (consumers, all) = (consumers.clone(), all.clone());
        let (written, seen) = (Arc::clone(&written), Arc::clone(&seen));
        tasks.spawn(async move {
            loop {
                let was_last = written.load(Ordering::SeqCst) == WRITERS;
                let claimed = match consumers.claim(&all.id, 2, LEASE_MS).await {
                    Ok(claimed) => claimed,
                    Err(StoreError::Unavailable(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                if claimed.is_empty() && was_last && consumers.waiting().await?.is_empty() {
                    return anyhow::Ok(());
                }
                for one in claimed {
                    let body: Value = serde_json::from_str(&one.body)?;
                    let topic = body["topic"].as_str().unwrap_or_default().to_owned();
                    let seq = body["seq"].as_u64().context("no number")?;
                    seen.lock().entry(topic).or_default().push(seq);
                    insist!({ Ok(consumers.settle(delivered(one.clone())).await?) });
                }
                // Or those who look would keep the store from those who write.
                sleep(Duration::from_millis(2)).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let seen = std::mem::take(&mut *seen.lock());
    assert_eq!(seen.len(), 3);
    let mut count = 0;
    for (topic, numbers) in &seen {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{topic}: {numbers:?}");
        count += numbers.len();
    }
    assert!(count >= 3 + WRITERS * WRITES, "{count}");
    let left = "SELECT id FROM event_log WHERE processed_ms IS NULL";
    assert!(texts(&site.place, left).await?.is_empty());
    assert!(texts(&site.place, "SELECT line FROM delivery_lines").await?.is_empty());
    Ok(())
}

/// The last of a line is taken while the next is being committed, at several moments of that.
pub(crate) async fn next_of_a_line_is_seen_by_whoever_takes_the_last(site: Site) -> Result<()> {
    slow_commits(&site).await?;
    let (consumers, all) = make(&site, "all", &["comment.*"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.comment(id, says("first")?).await?;
    work.commit().await?;
    for wait_ms in (0..40).step_by(3) {
        let last = only(consumers.claim(&all.id, 16, LEASE_MS).await?)?;
        let mut work = site.by("eve").await?;
        work.comment(id, says("next")?).await?;
        let take = async {
            sleep(Duration::from_millis(wait_ms)).await;
            consumers.settle(delivered(last)).await
        };
        let (written, taken) = tokio::join!(work.commit(), take);
        written?;
        taken?;
        let waiting = consumers.waiting().await?;
        assert!(waiting.iter().any(|it| it.due_in_ms == 0), "nobody comes, after {wait_ms} ms");
    }
    Ok(())
}

pub(crate) async fn changed_filter_is_for_what_comes(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    story(&site).await?;
    let filter = Some(EventFilter::parse(vec!["comment.*".to_owned()])?);
    let changes = ConsumerChanges { filter, ..ConsumerChanges::default() };
    let after = consumers.change(&one.id, &changes).await?;
    assert_eq!(after.filter.patterns(), ["comment.*"]);
    story(&site).await?;
    let mut owed = drain(&consumers, &one).await?;
    owed.sort_by(|a, b| a.event.cmp(&b.event));
    assert_eq!(names(&owed), ["ticket.created", "ticket.updated", "comment.created"]);
    Ok(())
}

pub(crate) async fn paused_consumer_misses_nothing(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    let set = async |state| {
        let changes = ConsumerChanges { state: Some(state), ..ConsumerChanges::default() };
        consumers.change(&one.id, &changes).await
    };
    assert_eq!(set(ConsumerState::Paused).await?.state, ConsumerState::Paused);
    story(&site).await?;
    assert!(consumers.waiting().await?.is_empty());
    assert!(consumers.claim(&one.id, 16, LEASE_MS).await?.is_empty());
    assert_eq!(consumers.backlog().await?.pending, 2);
    set(ConsumerState::Active).await?;
    assert_eq!(names(&drain(&consumers, &one).await?), ["ticket.created", "ticket.updated"]);
    Ok(())
}

pub(crate) async fn removed_consumer_is_owed_nothing(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["*"]).await?;
    story(&site).await?;
    let claimed = consumers.claim(&one.id, 16, LEASE_MS).await?;
    consumers.remove(&one.id).await?;
    let gone = consumers.remove(&one.id).await;
    assert!(matches!(gone, Err(ConsumerError::NotFound)), "{gone:?}");
    assert!(matches!(consumers.consumer(&one.id).await, Err(ConsumerError::NotFound)));
    consumers.settle(failed(claimed[0].clone(), Some(0))).await?;
    assert!(consumers.waiting().await?.is_empty());
    // The name is free, and the rows go.
    make(&site, "one", &["*"]).await?;
    site.tickets.expire(Retention::default()).await?;
    assert!(texts(&site.place, "SELECT event_id FROM deliveries").await?.is_empty());
    assert!(texts(&site.place, "SELECT line FROM delivery_lines").await?.is_empty());
    assert_eq!(texts(&site.place, "SELECT id FROM consumers").await?.len(), 1);
    let left = "SELECT id FROM event_log WHERE processed_ms IS NULL";
    assert!(texts(&site.place, left).await?.is_empty());
    Ok(())
}

pub(crate) async fn replay_sends_what_the_log_has(site: Site) -> Result<()> {
    let early = story(&site).await?;
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    let late = story(&site).await?;
    assert_eq!(drain(&consumers, &one).await?.len(), 2);
    let replay = async |what: ConsumerReplay| -> Result<Vec<Claimed>> {
        consumers.replay(&one.id, &what).await?;
        while consumers.step_replay().await? {}
        assert!(!consumers.consumer(&one.id).await?.is_replaying);
        drain(&consumers, &one).await
    };
    let all = replay(ConsumerReplay::FromTime(StoreMs(0))).await?;
    assert_eq!(all.len(), 4, "also of what was before the consumer");
    let of = |id: TicketId| {
        let mine = all.iter().filter(|it| it.body.contains(&id.to_string()));
        mine.map(|it| it.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(early), ["ticket.created", "ticket.updated"]);
    assert_eq!(of(late), ["ticket.created", "ticket.updated"]);
    let topic = ticket_topic(early);
    let some = replay(ConsumerReplay::FromSeq { topic: topic.clone(), seq: 2 }).await?;
    assert_eq!(names(&some), ["ticket.updated"]);
    let never = StoreMs(u64::try_from(i64::MAX)? - 1);
    assert!(replay(ConsumerReplay::FromTime(never)).await?.is_empty());

    // More than one step, and another that is asked for meanwhile.
    let mut work = site.by("eve").await?;
    for n in 0..250 {
        let title = json!({ "title": format!("t{n}") });
        work.update(early, &changes(&title)?, (None, None)).await?;
    }
    work.commit().await?;
    let everything = drain(&consumers, &one).await?.len();
    assert_eq!(everything, 250);
    consumers.replay(&one.id, &ConsumerReplay::FromSeq { topic: topic.clone(), seq: 1 }).await?;
    let second = consumers.replay(&one.id, &ConsumerReplay::FromTime(StoreMs(0))).await;
    assert!(matches!(second, Err(ConsumerError::Replaying)), "{second:?}");
    while consumers.step_replay().await? {}
    let again = drain(&consumers, &one).await?;
    assert_eq!(again.len(), 252);
    let numbers = again
        .iter()
        .map(|it| serde_json::from_str::<Value>(&it.body).ok().and_then(|it| it["seq"].as_u64()));
    assert!(numbers.is_sorted());

    let unwanted = texts(&site.place, "SELECT id FROM event_log WHERE entity_type = 'comment'");
    let unwanted = ConsumerReplay::Event(unwanted.await?.pop().context("no comment")?);
    let refused = consumers.replay(&one.id, &unwanted).await;
    assert!(matches!(refused, Err(ConsumerError::NotFound)), "{refused:?}");
    Ok(())
}

pub(crate) async fn names_and_numbers_of_consumers_are_bounded(site: Site) -> Result<()> {
    let (consumers, _) = make(&site, "c0", &["*"]).await?;
    let taken = consumers.create(new("c0", &["*"])?).await;
    assert!(matches!(taken, Err(ConsumerError::NameTaken)), "{taken:?}");
    for n in 1..CONSUMERS_MAX {
        consumers.create(new(&format!("c{n}"), &["*"])?).await?;
    }
    let more = consumers.create(new("more", &["*"])?).await;
    assert!(matches!(more, Err(ConsumerError::TooMany)), "{more:?}");
    assert_eq!(consumers.list().await?.len(), CONSUMERS_MAX as usize);
    story(&site).await?;
    assert_eq!(consumers.backlog().await?.pending, 3 * u64::from(CONSUMERS_MAX));

    consumers.remove(&consumers.list().await?[0].id).await?;
    let filter = EventFilter::parse(vec!["*".to_owned()])?;
    let within = consumers.begin_in_process("mailer", filter.clone()).await?;
    assert_eq!(within.destination, Destination::InProcess);
    assert_eq!(consumers.begin_in_process("mailer", filter.clone()).await?, within);
    let other = consumers.begin_in_process("c1", filter).await;
    assert!(matches!(other, Err(ConsumerError::NameTaken)), "{other:?}");
    Ok(())
}

pub(crate) async fn what_waits_is_kept_while_the_log_is(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    let id = story(&site).await?;
    let few = Retention { per_topic: 0, ..Retention::default() };
    site.tickets.expire(few).await?;
    assert_eq!(
        texts(&site.place, "SELECT id FROM event_log").await?.len(),
        2,
        "no consumer wants the note"
    );
    let first = only(consumers.claim(&one.id, 16, LEASE_MS).await?)?;
    let body: Value = serde_json::from_str(&first.body)?;
    assert_eq!((&body["topic"], &body["seq"]), (&json!(ticket_topic(id)), &json!(1)));

    // What is as old as the log may be goes, with whatever is owed of it.
    execute(&site.place, "UPDATE event_log SET occurred_ms = occurred_ms - 5000").await?;
    site.tickets.expire(Retention { keep_ms: 3_000, ..few }).await?;
    assert!(texts(&site.place, "SELECT event_id FROM deliveries").await?.is_empty());
    consumers.settle(delivered(first)).await?;
    assert!(drain(&consumers, &one).await?.is_empty());
    assert!(texts(&site.place, "SELECT line FROM delivery_lines").await?.is_empty());
    Ok(())
}
