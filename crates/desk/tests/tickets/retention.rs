//! How much of a topic's events is kept, those of its pen among them.

use anyhow::{Context, Result, bail};
use penholder_desk::{Entry, Happened, Position, Replay, Retention, Storage, Stretch};
use penholder_lease::{Fence, Refusal, Terms};
use penholder_ticket::{Audience, ticket_topic};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::consumers::{delivered, drain, failed, make, only};
use crate::harness::{acquire, claimant};
use crate::pens::until_blocked;
use crate::stage::{Site, execute, notes, says, texts, ticket};

const PUBLIC: Audience = Audience::Public;
const STAFF: Audience = Audience::Staff;

/// Longer than any test takes.
const LEASE_MS: u64 = 600_000;

fn few(per_topic: u64) -> Retention {
    Retention { per_topic, ..Retention::default() }
}

fn old(keep_ms: u64) -> Retention {
    Retention { keep_ms, ..Retention::default() }
}

/// The numbers of what the table has, of all topics.
async fn kept(site: &Site) -> Result<Vec<String>> {
    texts(&site.place, "SELECT topic || ' ' || seq FROM pen_log ORDER BY topic, seq").await
}

/// Somebody's tabs take the pen from each other: so many events.
async fn pass_around(site: &Site, topic: &str, count: usize) -> Result<()> {
    for n in 0..count {
        acquire(&site.pens, topic, &format!("ada/{n}")).await?.context("not granted")?;
    }
    Ok(())
}

pub(crate) async fn surplus_events_of_pens_are_forgotten(site: Site) -> Result<()> {
    let topic = "doc:1";
    pass_around(&site, topic, 12).await?;
    pass_around(&site, "doc:2", 3).await?;
    let whole = site.tickets.stretch(topic, 0, 99).await?;
    let log = site.pens.log(topic, 0, 99).await?;
    assert_eq!(site.tickets.expire(few(12)).await?, 0, "nothing is too much");
    assert_eq!(site.tickets.expire(few(4)).await?, 8);
    assert_eq!(site.tickets.expire(few(4)).await?, 0);
    let rest = ["doc:1 9", "doc:1 10", "doc:1 11", "doc:1 12", "doc:2 1", "doc:2 2", "doc:2 3"];
    assert_eq!(kept(&site).await?, rest);
    assert_eq!(site.pens.log(topic, 0, 99).await?, log[8..]);

    // Whoever comes back from before that is told to read anew, whoever comes from later misses nothing.
    let events = |after| site.tickets.events((topic, PUBLIC), after, 99);
    for after in [0, 1, 7, 13] {
        assert_eq!(events(after).await?, Replay::Reset { last: 12 }, "after {after}");
    }
    for after in 8..=12 {
        let Replay::Events { events, last: 12 } = events(after).await? else { bail!("reset") };
        let seqs: Vec<_> = events.iter().map(|it| it.seq).collect();
        assert_eq!(seqs, (after + 1..=12).collect::<Vec<_>>());
        let stretch = site.tickets.stretch(topic, after, 99).await?;
        let skipped = usize::try_from(after)?;
        let at = Position { seq: after, staff_only: 0 };
        assert_eq!(stretch, Stretch { after: at, entries: whole.entries[skipped..].to_vec() });
    }
    let at = Position { seq: 8, staff_only: 0 };
    let begins = Stretch { after: at, entries: whole.entries[8..].to_vec() };
    assert_eq!(site.tickets.stretch(topic, 3, 99).await?, begins);

    // The pen is what it was, and its numbers go on.
    let next = site.pens.acquire(topic, claimant("ada/x"), Terms::default()).await?;
    assert_eq!(next.events.first().context("no event")?.seq, 13);
    assert!(next.pen.fence > log[11].event.fence);
    Ok(())
}

/// The pen's events and the ticket's are counted together, and what stays has the numbers that it had.
pub(crate) async fn events_of_ticket_and_pen_are_counted_together(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.commit().await?;
    let topic = ticket_topic(id);
    for n in 0..4 {
        pass_around(&site, &topic, 2).await?;
        let mut work = site.by("eve").await?;
        work.comment(id, if n % 2 == 0 { notes("hm") } else { says("hello") }?).await?;
        work.commit().await?;
    }
    // 13 in all, the public's 11: ticket, pen, pen, note, pen, pen, comment, and so on.
    let heard = [site.heard(&topic, STAFF).await?, site.heard(&topic, PUBLIC).await?];
    assert_eq!(heard.each_ref().map(Vec::len), [13, 11]);
    site.tickets.expire(few(5)).await?;
    let left = [9, 11, 12].map(|seq| format!("{topic} {seq}"));
    assert_eq!(kept(&site).await?, left, "the pen's of the last five");
    for (audience, heard, first) in [(STAFF, &heard[0], 8), (PUBLIC, &heard[1], 7)] {
        let events = |after| site.tickets.events((topic.as_str(), audience), after, 99);
        let last = heard.len() as u64;
        assert_eq!(events(first - 1).await?, Replay::Reset { last }, "{audience}");
        let Replay::Events { events, .. } = events(first).await? else { bail!("{audience} reset") };
        let kinds = events.iter().map(|it| (it.seq, matches!(it.what, Happened::Pen(_))));
        let before = heard[usize::try_from(first)?..].iter();
        let before =
            before.map(|it| (it["seq"].as_u64().unwrap_or_default(), it["event"] == "pen"));
        assert!(kinds.eq(before), "{audience}: {events:?}");
    }
    Ok(())
}

/// What somebody waits for is gone for the topic, and for nobody else.
pub(crate) async fn what_is_owed_of_a_pen_outlives_the_number(site: Site) -> Result<()> {
    let topic = "doc:1";
    let (consumers, one) = make(&site, "one", &["pen.*"]).await?;
    pass_around(&site, topic, 12).await?;
    for n in 0..4 {
        let head = only(consumers.claim(&one.id, 16, LEASE_MS).await?)?;
        let settled = if n == 3 { failed(head, None) } else { delivered(head) };
        consumers.settle(settled).await?;
    }
    assert_eq!(site.tickets.expire(few(4)).await?, 3, "those that were delivered");
    assert_eq!(
        kept(&site).await?,
        (4..=12).map(|seq| format!("{topic} {seq}")).collect::<Vec<_>>()
    );
    let events = |after| site.tickets.events((topic, STAFF), after, 99);
    assert_eq!(events(5).await?, Replay::Reset { last: 12 });
    let begins = site.tickets.stretch(topic, 5, 99).await?;
    assert_eq!((begins.after.seq, begins.entries.first().map(Entry::seq)), (8, Some(9)));
    let rest = drain(&consumers, &one).await?;
    let seqs: Vec<u64> = rest
        .iter()
        .map(|it| Ok(serde_json::from_str::<serde_json::Value>(&it.body)?["seq"].as_u64()))
        .collect::<Result<Option<_>>>()?
        .context("no number")?;
    assert_eq!(seqs, (5..=12).collect::<Vec<_>>(), "nothing is lost, and the parked one is passed");
    // As old as the log may be everything goes.
    execute(&site.place, "UPDATE pen_log SET at_ms = at_ms - 5000").await?;
    assert_eq!(site.tickets.expire(old(3_000)).await?, 9);
    assert!(texts(&site.place, "SELECT event_id FROM deliveries").await?.is_empty());
    assert_eq!(events(12).await?, Replay::Events { events: Vec::new(), last: 12 });
    assert_eq!(events(11).await?, Replay::Reset { last: 12 });
    Ok(())
}

/// More than one transaction takes, of several topics; some of it has gone by its age before.
pub(crate) async fn many_events_of_pens_are_forgotten_in_steps(site: Site) -> Result<()> {
    const EVENTS: usize = 640;
    for n in 0..EVENTS / 8 {
        let mut tabs = JoinSet::new();
        for tab in 0..8 {
            let (pens, name) = (site.pens.clone(), format!("ada/{n}-{tab}"));
            tabs.spawn(async move { acquire(&pens, "doc:1", &name).await });
        }
        while let Some(granted) = tabs.join_next().await {
            granted??.context("not granted")?;
        }
    }
    pass_around(&site, "doc:2", 9).await?;
    execute(
        &site.place,
        "UPDATE pen_log SET at_ms = at_ms - 500000 WHERE topic = 'doc:1' AND seq <= 100",
    )
    .await?;
    assert_eq!(site.tickets.expire(old(250_000)).await?, 100);
    assert_eq!(site.tickets.expire(few(7)).await?, (EVENTS - 100 - 7) as u64 + 2);
    let pruned = "SELECT topic || ' ' || pruned FROM topics ORDER BY topic";
    assert_eq!(texts(&site.place, pruned).await?, ["doc:1 633", "doc:2 2"]);
    assert_eq!(kept(&site).await?.len(), 14);
    Ok(())
}

/// What is sent again at the moment at which it would be forgotten is owed all the same.
pub(crate) async fn what_is_sent_again_meanwhile_stays(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    let topic = "doc:1";
    let (consumers, one) = make(&site, "one", &["pen.*"]).await?;
    pass_around(&site, topic, 3).await?;
    assert_eq!(drain(&consumers, &one).await?.len(), 3);
    // As a replay does it, for as long as it takes.
    let mut replay = PgConnection::connect(url).await?;
    let mut transaction = replay.begin().await?;
    for sql in [
        "SELECT FROM pen_log WHERE seq = 1 FOR UPDATE",
        "UPDATE deliveries SET state = 'pending' WHERE seq = 1",
        "UPDATE pen_log SET processed_ms = NULL WHERE seq = 1",
    ] {
        sqlx::query(sql).execute(&mut *transaction).await?;
    }
    let other = site.clone();
    let forgotten = tokio::spawn(async move { other.tickets.expire(few(1)).await });
    until_blocked(&site, 1, || forgotten.is_finished()).await?;
    transaction.commit().await?;
    // It may have waited for too long.
    forgotten.await?.ok();
    site.tickets.expire(few(1)).await?;
    assert_eq!(kept(&site).await?, ["doc:1 1", "doc:1 3"]);
    Ok(())
}

/// More than one transaction takes, of both parts of the log; the topics know how far they are forgotten.
pub(crate) async fn old_events_are_forgotten_whatever_they_are(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    for _ in 0..600 {
        work.comment(id, says("hello")?).await?;
    }
    work.commit().await?;
    let topic = ticket_topic(id);
    pass_around(&site, &topic, 3).await?;
    pass_around(&site, "doc:1", 2).await?;
    for sql in [
        "UPDATE event_log SET occurred_ms = occurred_ms - 500000 WHERE seq <= 600",
        "UPDATE pen_log SET at_ms = at_ms - 500000 WHERE seq = 1",
    ] {
        execute(&site.place, sql).await?;
    }
    assert_eq!(site.tickets.expire(old(250_000)).await?, 2 * 600 + 1);
    assert_eq!(site.tickets.expire(old(250_000)).await?, 0);
    let pruned =
        "SELECT topic || ' ' || pruned FROM topics WHERE topic <> 'tickets:all' ORDER BY topic";
    assert_eq!(texts(&site.place, pruned).await?, ["doc:1 1".to_owned(), format!("{topic} 600")]);
    for (topic, first, last) in [(topic.as_str(), 600, 604), ("doc:1", 1, 2)] {
        let events = |after| site.tickets.events((topic, PUBLIC), after, 99);
        assert_eq!(events(first - 1).await?, Replay::Reset { last }, "{topic}");
        let Replay::Events { events, .. } = events(first).await? else { bail!("{topic} reset") };
        let seqs: Vec<_> = events.iter().map(|it| it.seq).collect();
        assert_eq!(seqs, (first + 1..=last).collect::<Vec<_>>());
        let stretch = site.tickets.stretch(topic, 0, 99).await?;
        assert_eq!((stretch.after.seq, stretch.entries.len()), (first, seqs.len()));
    }
    Ok(())
}

/// Nothing of a ticket that is gone is kept for ever; what is kept as long as anything of it is keeps fences apart.
pub(crate) async fn last_of_a_ticket_takes_its_pen_with_it(site: Site) -> Result<()> {
    let mut topics = Vec::new();
    for is_penned in [true, false, true] {
        let mut work = site.by("eve").await?;
        let id = work.create(ticket("t", Some("carl"))?).await?.id;
        work.commit().await?;
        let topic = ticket_topic(id);
        if is_penned {
            pass_around(&site, &topic, 2).await?;
        }
        topics.push((id, topic));
    }
    for (id, _) in &topics[..2] {
        site.delete(*id).await?;
    }
    pass_around(&site, "doc:1", 1).await?;
    let [(_, gone), (_, unused), (_, kept)] = topics.as_slice() else { bail!("three") };
    let pens =
        async || texts(&site.place, "SELECT topic FROM pens WHERE fence > 0 ORDER BY topic").await;
    let everywhere =
        ["SELECT topic FROM pens", "SELECT topic FROM topics", "SELECT topic FROM pen_log"];
    site.tickets.expire(few(1)).await?;
    assert_eq!(pens().await?.len(), 3, "the last of each is there");

    for (table, time) in [("event_log", "occurred_ms"), ("pen_log", "at_ms")] {
        execute(&site.place, &format!("UPDATE {table} SET {time} = {time} - 500000")).await?;
    }
    site.tickets.expire(old(250_000)).await?;
    for sql in everywhere {
        let left = texts(&site.place, sql).await?;
        assert!(!left.contains(gone) && !left.contains(unused), "{sql}: {left:?}");
    }
    // What is no ticket's, or one's that is there, has its fences and numbers for ever.
    let mut others = vec!["doc:1".to_owned(), kept.clone()];
    assert_eq!(pens().await?, others);
    others.extend(["tickets:all".to_owned(), "tickets:user:carl".to_owned()]);
    others.sort();
    assert_eq!(texts(&site.place, "SELECT topic FROM topics ORDER BY topic").await?, others);
    for topic in [gone, unused] {
        let late = site.pens.acquire(topic, claimant("ada/x"), Terms::default()).await?;
        assert_eq!((late.outcome, late.pen.fence), (Err(Refusal::Ended), Fence::NONE));
        assert_eq!(site.tickets.stretch(topic, 0, 9).await?.after, Position::default());
    }
    assert_eq!(pens().await?.len(), 2);
    Ok(())
}

/// Whoever writes has the counter before the log, and whoever sends again lines before the log: so does whoever forgets.
pub(crate) async fn whoever_forgets_has_the_counter_first(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    pass_around(&site, "doc:1", 3).await?;
    execute(&site.place, "UPDATE pen_log SET at_ms = at_ms - 500000 WHERE seq = 1").await?;
    for retention in [old(250_000), few(1)] {
        let mut writer = PgConnection::connect(url).await?;
        let mut transaction = writer.begin().await?;
        let count = sqlx::query("SELECT FROM topics WHERE topic = 'doc:1' FOR UPDATE");
        count.fetch_one(&mut *transaction).await?;
        let other = site.clone();
        let forgotten = tokio::spawn(async move { other.tickets.expire(retention).await });
        until_blocked(&site, 1, || forgotten.is_finished()).await?;
        let row = sqlx::query("SELECT FROM pen_log WHERE seq <= 2 FOR UPDATE NOWAIT");
        let taken = row.fetch_all(&mut *transaction).await;
        transaction.rollback().await?;
        // It may have waited for too long.
        forgotten.await?.ok();
        site.tickets.expire(retention).await?;
        taken.with_context(|| format!("{retention:?}"))?;
    }
    assert_eq!(kept(&site).await?, ["doc:1 3"]);
    Ok(())
}

/// Rows of the log are locked in one order by all: those of writes before those of pens.
pub(crate) async fn both_parts_of_the_log_are_locked_in_one_order(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    let (consumers, one) = make(&site, "one", &["*"]).await?;
    // The pen's is the older of the two.
    pass_around(&site, "doc:1", 1).await?;
    let mut work = site.by("eve").await?;
    work.create(ticket("t", None)?).await?;
    work.commit().await?;
    let claimed = consumers.claim(&one.id, 16, LEASE_MS).await?;
    let settled: Vec<_> = claimed.into_iter().flat_map(delivered).collect();
    assert_eq!(settled.len(), 2);
    let mut other = PgConnection::connect(url).await?;
    let mut transaction = other.begin().await?;
    let write = sqlx::query("SELECT FROM event_log FOR UPDATE");
    write.fetch_one(&mut *transaction).await?;
    let again = settled.clone();
    let settling = tokio::spawn(async move { (consumers.settle(again).await, consumers) });
    until_blocked(&site, 1, || settling.is_finished()).await?;
    let pen = sqlx::query("SELECT FROM pen_log FOR UPDATE NOWAIT");
    let taken = pen.fetch_one(&mut *transaction).await;
    transaction.rollback().await?;
    let (first, consumers) = settling.await?;
    taken?;
    if first.is_err() {
        // It has waited for too long.
        consumers.settle(settled).await?;
    }
    let left = "SELECT state FROM deliveries WHERE state <> 'delivered'";
    assert!(texts(&site.place, left).await?.is_empty());
    Ok(())
}
