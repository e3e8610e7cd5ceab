//! What holds of the event log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use penholder_desk::{Page, Replay, Retention, Storage, StoreError, TicketError};
use penholder_ticket::{ALL_TOPIC, Audience, Status, ticket_topic};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::acquire;
use crate::stage::{Site, changes, execute, notes, numbers, says, texts, ticket};

const PUBLIC: Audience = Audience::Public;
const STAFF: Audience = Audience::Staff;

/// How many write at once, and how much each.
const WRITERS: u64 = 8;
const WRITES: u64 = 12;

/// How often one tries to write when the store is busy.
const ATTEMPTS: u64 = 20;

pub(crate) async fn row_written_twice_has_each_time_what_was_before(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.update(id, &changes(&json!({ "title": "u" }))?, (None, None)).await?;
    work.assign(id, Some(&"eve".into()), None).await?;
    work.commit().await?;
    site.delete(id).await?;
    let rows = texts(
        &site.place,
        "SELECT event || ' ' || op || ' ' || coalesce(previous_data, '{}') || '|' || data
         FROM event_log ORDER BY id",
    );
    let mut previous = json!({});
    let mut told = Vec::new();
    for row in rows.await? {
        let mut parts = row.splitn(3, ' ');
        let (event, op) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (before, after) = parts.next().and_then(|it| it.split_once('|')).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Value>(before)?, previous, "{event}");
        previous = serde_json::from_str(after)?;
        told.push(format!("{event} {op} v{} {}", previous["version"], previous["status"]));
    }
    let expected = [
        r#"ticket_created created v1 "open""#,
        r#"ticket_updated updated v2 "open""#,
        r#"ticket_assigned updated v3 "open""#,
        r#"ticket_status_changed updated v4 "in_progress""#,
        r#"ticket_deleted deleted v4 "in_progress""#,
    ];
    assert_eq!(told, expected);
    Ok(())
}

pub(crate) async fn rolled_back_tells_nothing(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let first = work.create(ticket("t", Some("carl"))?).await?.id;
    work.commit().await?;
    let before =
        texts(&site.place, "SELECT topic || seq || ' ' || staff_only FROM topics ORDER BY 1")
            .await?;
    for _ in 0..3 {
        let mut work = site.by("eve").await?;
        let id = work.create(ticket("gone", Some("carl"))?).await?.id;
        work.comment(first, notes("gone")?).await?;
        work.transition(id, (Status::Closed, None), None).await?;
        drop(work);
        let gone = site.tickets.ticket(id).await;
        assert!(matches!(gone, Err(TicketError::NotFound)), "{gone:?}");
    }
    let after =
        texts(&site.place, "SELECT topic || seq || ' ' || staff_only FROM topics ORDER BY 1")
            .await?;
    assert_eq!(after, before);
    // Not even a gap.
    let mut work = site.by("eve").await?;
    work.comment(first, says("hello")?).await?;
    let told = work.commit().await?;
    assert_eq!(numbers(&told, &ticket_topic(first)), [("comment_created".to_owned(), 2, Some(2))]);
    assert_eq!(texts(&site.place, "SELECT id FROM event_log").await?.len(), 2);
    Ok(())
}

pub(crate) async fn log_has_who_and_which_trace(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    let at = work.moment().await?.0;
    work.comment(id, notes("hm")?).await?;
    work.commit().await?;
    let rows = texts(
        &site.place,
        "SELECT event || ' ' || entity_type || ' ' || audience || ' ' || identity_id || ' ' || actor_kind || ' '
             || trace_id || ' ' || traceparent || ' ' || occurred_ms FROM event_log ORDER BY id",
    );
    let trace = "0af7".repeat(8);
    let expected = [
        format!("ticket_created ticket public eve human {trace} 00-eve-01 {at}"),
        format!("internal_note_created comment staff eve human {trace} 00-eve-01 {at}"),
    ];
    assert_eq!(rows.await?, expected);
    Ok(())
}

pub(crate) async fn trace_is_read_in_pages(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.assign(id, Some(&"eve".into()), None).await?;
    work.comment(id, notes("hm")?).await?;
    work.commit().await?;
    let trace = "0af7".repeat(8);
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = Page::new(2, cursor.as_deref())?;
        let listed = site.tickets.traced(&trace, &page).await?;
        seen.extend(listed.items.iter().map(|it| {
            let place = it.place.as_ref().map(|(topic, seq)| (topic == &ticket_topic(id), *seq));
            (format!("{} {}", it.entity, it.op), it.previous.is_some(), place)
        }));
        cursor = listed.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let row = |what: &str, had, seq| (what.to_owned(), had, Some((true, seq)));
    let expected = [
        row("ticket created", false, 1),
        row("ticket updated", true, 2),
        row("ticket updated", true, 3),
        row("comment created", false, 4),
    ];
    assert_eq!(seen, expected);
    let none = site.tickets.traced(&"0".repeat(32), &Page::new(2, None)?).await?;
    assert!(none.items.is_empty() && none.next_cursor.is_none());
    // What the log has forgotten of the topic is known of the row.
    execute(&site.place, "DELETE FROM event_topics WHERE topic <> 'tickets:all'").await?;
    let listed = site.tickets.traced(&trace, &Page::new(10, None)?).await?;
    assert!(listed.items.len() == 4 && listed.items.iter().all(|it| it.place.is_some()));
    Ok(())
}

/// Writers of one owner's tickets, with notes in between, and a reader who must never see a number before the
/// one that it follows.
pub(crate) async fn numbers_are_dense_in_the_order_of_commits(site: Site) -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for audience in [STAFF, PUBLIC] {
        let (site, done) = (site.clone(), done.clone());
        readers.spawn(async move { follow(&site, audience, &done).await });
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let site = site.clone();
        writers.spawn(async move { write(&site, writer).await });
    }
    let mut told: BTreeMap<(String, bool), Vec<(u64, String)>> = BTreeMap::new();
    while let Some(written) = writers.join_next().await {
        for one in written?? {
            told.entry((one.topic.clone(), true)).or_default().push((one.seq_staff, one.staff));
            if let Some(public) = one.public {
                told.entry((one.topic, false)).or_default().push(public);
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(read) = readers.join_next().await {
        let (audience, read) = read??;
        assert_eq!(read, site.last_seq(ALL_TOPIC, audience).await?);
    }
    for ((topic, staff), mut events) in told {
        events.sort();
        let audience = if staff { STAFF } else { PUBLIC };
        ensure!(events.iter().map(|it| it.0).eq(1..=events.len() as u64), "{topic} has a gap");
        let replay = site.tickets.events((&topic, audience), 0, 10_000).await?;
        let Replay::Events { events: kept, last } = replay else {
            anyhow::bail!("{topic} is reset")
        };
        assert_eq!((kept.len(), last), (events.len(), events.len() as u64), "{topic}");
        for (kept, (seq, body)) in kept.iter().zip(&events) {
            assert_eq!(kept.what, penholder_desk::Happened::Ticket(body.clone()), "{topic} {seq}");
        }
    }
    Ok(())
}

async fn write(site: &Site, writer: u64) -> Result<Vec<penholder_desk::Told>> {
    let mut all = Vec::new();
    for round in 0..WRITES {
        // A store that is busy refuses a write as a whole, some times.
        for attempt in 1.. {
            match try_write(site, (writer + round).is_multiple_of(3)).await {
                Ok(told) => {
                    all.extend(told);
                    break;
                }
                Err(TicketError::Store(StoreError::Unavailable(_))) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(all)
}

async fn try_write(site: &Site, note: bool) -> Result<Vec<penholder_desk::Told>, TicketError> {
    let mut work = site.tickets.begin(crate::stage::request("eve")).await?;
    let new = ticket("t", Some("carl")).map_err(|_| TicketError::NotFound)?;
    let id = work.create(new).await?.id;
    let comment = if note { notes("hm") } else { says("hello") };
    work.comment(id, comment.map_err(|_| TicketError::NotFound)?).await?;
    work.transition(id, (Status::Resolved, None), None).await?;
    Ok(work.commit().await?)
}

/// Follows the topic of all to its end; returns the last number.
async fn follow(site: &Site, audience: Audience, done: &AtomicBool) -> Result<(Audience, u64)> {
    let mut after = 0;
    loop {
        let last_round = done.load(Ordering::Relaxed);
        match site.tickets.events((ALL_TOPIC, audience), after, 50).await? {
            Replay::Events { events, .. } if events.is_empty() && last_round => {
                return Ok((audience, after));
            }
            // A gap would be an answer that ends there, and then a reset.
            Replay::Events { events, .. } => after += events.len() as u64,
            Replay::Reset { last } => anyhow::bail!("{audience}: a gap after {after} of {last}"),
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn old_and_surplus_events_are_forgotten(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    for n in 0..9 {
        let comment = if n % 2 == 0 { notes("hm") } else { says("hello") };
        work.comment(id, comment?).await?;
    }
    work.commit().await?;
    let topic = ticket_topic(id);
    let keep = Retention::default();
    assert_eq!(site.tickets.expire(keep).await?, 0, "nothing is old or too much");
    let all = site.heard(&topic, PUBLIC).await?;
    assert_eq!(all.len(), 5);

    // 10 for the staff, of which 4 stay: 7 to 10, the public's 4 and 5.
    assert!(site.tickets.expire(Retention { per_topic: 4, ..keep }).await? > 0);
    let events = |audience, after| site.tickets.events((topic.as_str(), audience), after, 100);
    assert_eq!(events(STAFF, 5).await?, Replay::Reset { last: 10 });
    assert_eq!(events(PUBLIC, 2).await?, Replay::Reset { last: 5 });
    let Replay::Events { events: kept, .. } = events(STAFF, 6).await? else {
        anyhow::bail!("reset")
    };
    assert_eq!(kept.iter().map(|it| it.seq).collect::<Vec<_>>(), [7, 8, 9, 10]);
    let Replay::Events { events: kept, .. } = events(PUBLIC, 3).await? else {
        anyhow::bail!("reset")
    };
    let bodies: Vec<Value> = kept
        .iter()
        .map(|it| match &it.what {
            penholder_desk::Happened::Ticket(text) => serde_json::from_str(text),
            penholder_desk::Happened::Pen(_) => Ok(Value::Null),
        })
        .collect::<Result<_, _>>()?;
    assert_eq!(bodies, all[3..], "what stays keeps its numbers");
    assert_eq!(events(PUBLIC, 6).await?, Replay::Reset { last: 5 }, "it was never so far");

    // By age everything goes, and the numbers go on.
    execute(&site.place, "UPDATE event_log SET occurred_ms = occurred_ms - 2000").await?;
    site.tickets.expire(Retention { keep_ms: 1_000, ..keep }).await?;
    assert_eq!(events(STAFF, 9).await?, Replay::Reset { last: 10 });
    assert!(texts(&site.place, "SELECT id FROM event_log").await?.is_empty());
    let mut work = site.by("eve").await?;
    work.comment(id, says("new")?).await?;
    let told = work.commit().await?;
    assert_eq!(numbers(&told, &topic), [("comment_created".to_owned(), 11, Some(6))]);
    let Replay::Events { events: kept, last: 6 } = events(PUBLIC, 5).await? else {
        anyhow::bail!("reset")
    };
    assert_eq!(kept.len(), 1);
    assert_eq!(site.last_seq(ALL_TOPIC, STAFF).await?, 11);
    Ok(())
}

pub(crate) async fn many_are_forgotten_in_steps(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    for _ in 0..600 {
        work.comment(id, says("hello")?).await?;
    }
    work.commit().await?;
    let retention = Retention { per_topic: 20, ..Retention::default() };
    assert_eq!(site.tickets.expire(retention).await?, 2 * 581, "of all tickets and of this one");
    let topic = ticket_topic(id);
    assert_eq!(site.tickets.events((&topic, STAFF), 580, 10).await?, Replay::Reset { last: 601 });
    let Replay::Events { events, .. } = site.tickets.events((&topic, STAFF), 581, 100).await?
    else {
        anyhow::bail!("reset")
    };
    assert_eq!(events.len(), 20);
    assert_eq!(texts(&site.place, "SELECT id FROM event_log").await?.len(), 20);
    assert_eq!(site.tickets.expire(retention).await?, 0);
    Ok(())
}

/// The tables and rows of the version that knew pens only.
pub(crate) async fn database_of_the_version_before_is_brought_forward(site: Site) -> Result<()> {
    let first = acquire(&site.pens, "doc:1", "ada/1").await?.context("not granted")?;
    site.pens.close().await;
    let of_this_store: &[&str] = match site.place.0 {
        Storage::Sqlite { .. } => &["DROP VIEW pen_consumers", "DROP TRIGGER pen_log_gone"],
        Storage::Postgres { .. } => &[
            "DROP FUNCTION consumers_roster, consumers_wanting",
            "DROP FUNCTION forget_deliveries CASCADE",
            "ALTER TABLE pens DROP COLUMN fence_before",
        ],
    };
    for sql in ["DROP VIEW written"].iter().chain(of_this_store) {
        execute(&site.place, sql).await?;
    }
    let tables = [
        "delivery_lines",
        "deliveries",
        "consumers",
        "idempotency_keys",
        "event_topics",
        "event_log",
        "attachments",
        "comments",
        "ticket_history",
        "slugs",
        "tickets",
        "people",
    ];
    for table in tables {
        execute(&site.place, &format!("DROP TABLE {table}")).await?;
    }
    for column in ["staff_only", "pruned"] {
        execute(&site.place, &format!("ALTER TABLE topics DROP COLUMN {column}")).await?;
    }
    for index in ["pen_log_id", "pen_log_trace"] {
        execute(&site.place, &format!("DROP INDEX {index}")).await?;
    }
    let added = ["id", "op", "previous", "is_signed_in", "trace_id", "traceparent", "processed_ms"];
    for column in added {
        execute(&site.place, &format!("ALTER TABLE pen_log DROP COLUMN {column}")).await?;
    }
    execute(&site.place, "DELETE FROM _sqlx_migrations WHERE version > 1").await?;
    execute(&site.place, "INSERT INTO topics (topic, seq) VALUES ('tickets:all', 41)").await?;

    let site = Site::open(site.place.clone()).await?;
    let mut work = site.by("eve").await?;
    work.create(ticket("t", None)?).await?;
    let told = work.commit().await?;
    assert_eq!(numbers(&told, ALL_TOPIC), [("ticket_created".to_owned(), 42, Some(42))]);
    let next = acquire(&site.pens, "doc:1", "ada/2").await?.context("not granted")?;
    assert!(next > first, "{next} after {first}");
    assert_eq!(site.pens.log("doc:1", 0, 9).await?.len(), 2);
    let kept = "SELECT op || seq FROM pen_log WHERE id IS NOT NULL AND previous IS NOT NULL";
    assert_eq!(texts(&site.place, kept).await?, ["updated2"], "the first one was there before");
    Ok(())
}
