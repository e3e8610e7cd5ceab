//! What becomes of the pen of a ticket that is taken away.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use penholder_desk::{Happened, Page, Renewal, Replay, Storage, StoreError, TicketError};
use penholder_lease::{Fence, Outcome, PenState, PersonId, Refusal, Terms};
use penholder_ticket::{Audience, TicketId, ticket_topic};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::consumers::{drain, make};
use crate::harness::{acquire, claimant, fence, told, waiting};
use crate::pens::until_blocked;
use crate::stage::{Site, actor, changes, numbers, request, texts, ticket};

const PUBLIC: Audience = Audience::Public;
const STAFF: Audience = Audience::Staff;

/// How often one tries again when the store is busy.
const ATTEMPTS: usize = 50;

async fn made(site: &Site) -> Result<(TicketId, String)> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.commit().await?;
    Ok((id, ticket_topic(id)))
}

/// Everybody who heard of the ticket hears that its pen is gone, and then that the ticket is.
pub(crate) async fn pen_ends_before_its_ticket(site: Site) -> Result<()> {
    let (consumers, all) = make(&site, "all", &["*"]).await?;
    let (id, topic) = made(&site).await?;
    let held = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    let _ = site.pens.acquire(&topic, claimant("bob/1"), waiting()).await?;
    let before = site.pens.pen(&topic).await?.pen;
    let deletion = site.tickets.delete(request("eve"), (id, Some(1))).await?;
    let pens = deletion.pens();
    let told_of_it = deletion.commit().await?;

    let [(of, logged)] = pens.as_slice() else { bail!("{pens:?}") };
    assert_eq!((of, logged.seq), (&topic, 3));
    assert_eq!(told(std::slice::from_ref(logged)), ["revoked by deleted"]);
    assert_eq!(logged.event.by, Some(actor("eve").person));
    let pen = &logged.event.pen;
    assert_eq!((pen.state, pen.fence, pen.queue.len()), (PenState::Free, held, 0));
    assert_eq!(numbers(&told_of_it, &topic), [("ticket_deleted".to_owned(), 4, Some(4))]);
    for audience in [STAFF, PUBLIC] {
        let names = site.names(&topic, audience).await?;
        assert_eq!(names, ["ticket_created", "pen", "pen", "ticket_deleted"]);
    }
    assert_eq!(&site.pens.log(&topic, 2, 9).await?, std::slice::from_ref(logged));

    let claimed = drain(&consumers, &all).await?;
    let bodies: Vec<Value> =
        claimed.iter().map(|it| serde_json::from_str(&it.body)).collect::<Result<_, _>>()?;
    let heard: Vec<_> = bodies.iter().map(|it| (&it["seq"], &it["eventName"])).collect();
    let of_pen = json!("pen.updated");
    let expected = [
        (&json!(1), &json!("ticket.created")),
        (&json!(2), &json!("pen.created")),
        (&json!(3), &of_pen),
        (&json!(4), &json!("ticket.deleted")),
    ];
    assert_eq!(heard, expected);
    assert_eq!(bodies[2]["change"], json!({ "type": "revoked", "rule": "deleted" }));
    assert_eq!(bodies[2]["identityId"], "eve");
    assert_eq!(bodies[2]["target"]["previousData"], json!(before));
    assert_eq!(bodies[2]["target"]["data"], json!(pen));
    let trace = site.tickets.traced(&"0af7".repeat(8), &Page::new(9, None)?).await?;
    let entities: Vec<_> = trace.items.iter().map(|it| it.entity.as_str()).collect();
    assert_eq!(entities, ["ticket", "pen", "ticket"], "both were done by one request");
    Ok(())
}

/// Whatever is said of it afterwards, by whom it may be.
pub(crate) async fn nothing_is_written_of_a_pen_that_has_ended(site: Site) -> Result<()> {
    let (id, topic) = made(&site).await?;
    let (pens, topic) = (&site.pens, topic.as_str());
    let held = acquire(pens, topic, "ada/1").await?.context("not granted")?;
    let _ = pens.request(topic, claimant("bob/1"), None).await?;
    let _ = pens.take_over(topic, claimant("eve/1"), None).await?;
    pens.leave_draft(topic, &claimant("ada/1").person, b"not saved").await?;
    pens.leave_draft("tickets:other", &claimant("ada/1").person, b"another").await?;
    site.delete(id).await?;
    let log = pens.log(topic, 0, 99).await?;
    assert_eq!(told(&log).last().map(String::as_str), Some("revoked by deleted"));

    let due = pens.due(99).await?;
    assert!(due.topics.is_empty() && due.next_in_ms.is_none(), "{due:?}");
    let renewal = Renewal {
        topic: topic.to_owned(),
        session: "ada/1".into(),
        fence: held,
        input_ms_ago: 0,
        trace: None,
    };
    let mut answers = pens.renew(&[renewal]).await?;
    answers.push(pens.tick(topic).await?);
    answers.push(pens.release(topic, "ada/1".into(), held).await?);
    answers.push(pens.disconnect(topic, "ada/1".into()).await?);
    answers.push(pens.resume(topic, "ada/1".into()).await?);
    answers.push(pens.leave(topic, "ada/1".into()).await?);
    answers.push(pens.leave(topic, "eve/1".into()).await?);
    answers.push(pens.request(topic, claimant("bob/1"), None).await?);
    answers.push(pens.revoke(topic, claimant("root/1").person, None).await?);
    for claimant in ["ada/1", "bob/1"].map(claimant) {
        let acquired = pens.acquire(topic, claimant.clone(), Terms::default()).await?;
        assert_eq!(acquired.outcome, Err(Refusal::Ended));
        let waits = pens.acquire(topic, claimant.clone(), waiting()).await?;
        let takes = pens.take_over(topic, claimant, None).await?;
        answers.extend([acquired, waits, takes]);
    }
    for answered in answers {
        assert!(answered.events.is_empty(), "{answered:?}");
        assert_eq!((answered.pen.state, answered.pen.queue.len()), (PenState::Free, 0));
        assert!(!matches!(answered.outcome, Ok(Outcome::Granted { .. })));
    }
    assert_eq!(pens.log(topic, 0, 99).await?, log);
    assert_eq!(pens.held_by(&PersonId::from("ada"), 9).await?, []);
    // What was not saved is gone with what it was for.
    let left = "SELECT topic FROM pen_drafts";
    assert_eq!(texts(&site.place, left).await?, ["tickets:other"]);
    Ok(())
}

/// What is not done leaves the pen as it is; and a pen that nobody ever had is not begun later.
pub(crate) async fn pen_ends_with_its_ticket_and_not_before(site: Site) -> Result<()> {
    let (id, topic) = made(&site).await?;
    let held = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    site.pens.leave_draft(&topic, &claimant("ada/1").person, b"not saved").await?;
    drop(site.tickets.delete(request("eve"), (id, None)).await?);
    let refused = site.tickets.delete(request("eve"), (id, Some(7))).await;
    assert!(matches!(refused, Err(TicketError::StaleVersion { version: 1 })), "{refused:?}");
    let unknown = TicketId::parse("01890000-0000-7000-8000-000000000000").context("no id")?;
    let missing = site.tickets.delete(request("eve"), (unknown, None)).await;
    assert!(matches!(missing, Err(TicketError::NotFound)), "{missing:?}");
    let mut work = site.by("ada").await?;
    work.update(id, &changes(&json!({ "priority": "high" }))?, (None, Some(held))).await?;
    work.commit().await?;
    assert_eq!(site.pens.pen(&topic).await?.pen.fence, held);
    assert_eq!(site.pens.log(&topic, 0, 9).await?.len(), 1);
    let topics = "SELECT d.topic FROM pen_drafts AS d JOIN pens AS p ON p.topic = d.topic";
    assert_eq!(texts(&site.place, topics).await?, [topic]);
    assert_eq!(texts(&site.place, "SELECT topic FROM pens").await?.len(), 1, "no other is begun");

    let (id, topic) = made(&site).await?;
    let deletion = site.tickets.delete(request("eve"), (id, None)).await?;
    assert!(deletion.pens().is_empty(), "nobody had it");
    deletion.commit().await?;
    let late = site.pens.acquire(&topic, claimant("ada/1"), Terms::default()).await?;
    assert_eq!((late.outcome, late.pen.fence), (Err(Refusal::Ended), Fence::NONE));
    assert_eq!(site.names(&topic, STAFF).await?, ["ticket_created", "ticket_deleted"]);
    Ok(())
}

/// Whoever asks for the pen of a ticket that there never was, or has it taken over, is told that it has ended.
pub(crate) async fn pen_of_no_ticket_is_never_begun(site: Site) -> Result<()> {
    let topic = "tickets:01890000-0000-7000-8000-000000000000";
    for terms in [Terms::default(), waiting()] {
        let asked = site.pens.acquire(topic, claimant("ada/1"), terms).await?;
        assert_eq!((&asked.outcome, asked.events.len()), (&Err(Refusal::Ended), 0), "{asked:?}");
    }
    let taken = site.pens.take_over(topic, claimant("eve/1"), None).await?;
    assert!(taken.outcome.is_err() && taken.events.is_empty(), "{taken:?}");
    let pen = site.pens.pen(topic).await?.pen;
    assert_eq!((pen.state, pen.fence), (PenState::Free, Fence::NONE));
    assert!(texts(&site.place, "SELECT topic FROM pens").await?.is_empty());
    // Any other topic may have one, whatever it is called.
    for other in ["tickets:01890000", "doc:01890000-0000-7000-8000-000000000000"] {
        acquire(&site.pens, other, "ada/1").await?.context("not granted")?;
    }
    Ok(())
}

/// People take a pen from each other, and write under it, while the ticket is taken away: that is the last of it.
pub(crate) async fn deletion_is_the_last_of_a_topic(site: Site) -> Result<()> {
    const WRITERS: usize = 3;
    let mut tasks = JoinSet::new();
    let mut topics = Vec::new();
    for _ in 0..4 {
        let (id, topic) = made(&site).await?;
        for writer in 0..WRITERS {
            let (site, topic) = (site.clone(), topic.clone());
            tasks.spawn(async move { use_pen(&site, (id, &topic), &format!("p{writer}/1")).await });
        }
        let (site, own) = (site.clone(), topic.clone());
        tasks.spawn(async move {
            // Once it is in use.
            while site.pens.log(&own, 0, 3).await?.len() < 3 {
                tokio::task::yield_now().await;
            }
            delete(&site, id).await
        });
        topics.push(topic);
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    for topic in topics {
        let Replay::Events { events, last } =
            site.tickets.events((&topic, STAFF), 0, 10_000).await?
        else {
            bail!("{topic} is reset")
        };
        assert_eq!(events.len() as u64, last, "{topic}");
        let is_end =
            |it: &Happened| matches!(it, Happened::Ticket(it) if it.contains("ticket_deleted"));
        let end = events.iter().position(|event| is_end(&event.what)).context("not deleted")?;
        assert_eq!(end + 1, events.len(), "{topic} goes on after its end");
        let pen = events.iter().rev().find_map(|event| match &event.what {
            Happened::Pen(event) => Some(&event.pen),
            Happened::Ticket(_) => None,
        });
        assert_eq!(pen.context("no pen")?.state, PenState::Free, "{topic}");
    }
    Ok(())
}

/// Takes the pen, writes under it and gives it back, until there is none.
async fn use_pen(site: &Site, (id, topic): (TicketId, &str), name: &str) -> Result<()> {
    for attempt in 0.. {
        let taken = match site.pens.acquire(topic, claimant(name), waiting()).await {
            Ok(taken) => taken,
            Err(StoreError::Unavailable(_)) if attempt < ATTEMPTS => continue,
            Err(error) => return Err(error.into()),
        };
        if taken.outcome == Err(Refusal::Ended) {
            return Ok(());
        }
        let Some(fence) = fence(&taken) else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        let mut work = site.by(name).await?;
        let change = changes(&json!({ "metadata": { "at": attempt } }))?;
        // Too late, or the store is busy: either way nothing is written.
        match work.update(id, &change, (None, Some(fence))).await {
            Ok(_) => drop(work.commit().await),
            Err(_) => work.abandon().await?,
        }
        let _ = site.pens.release(topic, name.into(), fence).await;
    }
    Ok(())
}

async fn delete(site: &Site, id: TicketId) -> Result<()> {
    for attempt in 0.. {
        let done = match site.tickets.delete(request("eve"), (id, None)).await {
            Ok(deletion) => deletion.commit().await.map(drop).map_err(TicketError::from),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => return Ok(()),
            Err(TicketError::Store(StoreError::Unavailable(_))) if attempt < ATTEMPTS => {}
            // It was kept although nobody could say so.
            Err(TicketError::NotFound) if attempt > 0 => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whoever deletes a ticket and waits for its pen keeps nobody from the ticket who has the pen.
pub(crate) async fn whoever_deletes_waits_for_the_pen_first(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    let (id, topic) = made(&site).await?;
    let held = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    // Somebody who writes under the fence, for as long as it takes.
    let mut writer = PgConnection::connect(url).await?;
    let mut transaction = writer.begin().await?;
    let lock = sqlx::query("SELECT FROM pens WHERE topic = $1 FOR SHARE").bind(&topic);
    lock.fetch_one(&mut *transaction).await?;
    let other = site.clone();
    let deleted = tokio::spawn(async move { delete(&other, id).await });
    until_blocked(&site, 1, || deleted.is_finished()).await?;
    let mut work = site.by("ada").await?;
    work.update(id, &changes(&json!({ "priority": "high" }))?, (None, Some(held))).await?;
    work.commit().await?;
    transaction.rollback().await?;
    deleted.await??;
    assert_eq!(site.names(&topic, STAFF).await?.last().map(String::as_str), Some("ticket_deleted"));
    Ok(())
}

/// Whoever deletes a ticket keeps nobody from the lines of consumers while they wait for their turn to be counted.
pub(crate) async fn whoever_deletes_is_counted_before_lines_grow(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    let _ = make(&site, "all", &["*"]).await?;
    let (id, topic) = made(&site).await?;
    let _ = acquire(&site.pens, &topic, "ada/1").await?.context("not granted")?;
    // Somebody who writes another ticket, for as long as it takes.
    let mut writer = PgConnection::connect(url).await?;
    let mut transaction = writer.begin().await?;
    let count = sqlx::query("SELECT FROM topics WHERE topic = 'tickets:all' FOR UPDATE");
    count.fetch_one(&mut *transaction).await?;
    let other = site.clone();
    let deleted = tokio::spawn(async move { delete(&other, id).await });
    until_blocked(&site, 1, || deleted.is_finished()).await?;
    // Whoever delivers has a line and waits for another: of both writers, should they wait for each other.
    let line = sqlx::query("SELECT FROM delivery_lines WHERE line = $1 FOR UPDATE NOWAIT");
    let taken = line.bind(&topic).fetch_one(&mut *transaction).await;
    transaction.rollback().await?;
    deleted.await??;
    taken?;
    let all = site.heard(&topic, STAFF).await?;
    assert_eq!(all.last().and_then(|it| it["event"].as_str()), Some("ticket_deleted"));
    Ok(())
}
