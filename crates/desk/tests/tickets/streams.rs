//! What holds of the stream that a topic's audience hears.

use anyhow::{Context, Result};
use penholder_desk::{
    Entry, Happened, Owned, Position, Replay, Retention, StoreError, Stretch, Told,
};
use penholder_lease::Terms;
use penholder_ticket::{
    ALL_TOPIC, Audience, CommentDraft, Status, Ticket, ticket_topic, user_topic,
};
use serde_json::json;

use crate::harness::{claimant, fence};
use crate::stage::{Site, changes, execute, notes, says, ticket};

const PUBLIC: Audience = Audience::Public;
const STAFF: Audience = Audience::Staff;

/// The topic of somebody.
fn of(user: &str) -> Result<String> {
    user_topic(&user.into()).context("a topic")
}

pub(crate) async fn replay_is_what_was_told(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.comment(id, notes("hm")?).await?;
    work.assign(id, Some(&"eve".into()), None).await?;
    work.comment(id, says("hello")?).await?;
    let told = work.commit().await?;
    for topic in [ALL_TOPIC.to_owned(), ticket_topic(id), of("carl")?] {
        for audience in [STAFF, PUBLIC] {
            let live: Vec<_> = told
                .iter()
                .filter(|it| it.topic == topic)
                .filter_map(|it| match audience {
                    Audience::Staff => Some(it.staff.clone()),
                    Audience::Public => it.public.as_ref().map(|it| it.1.clone()),
                })
                .collect();
            assert!(
                live.len() >= 4 - usize::from(topic != ALL_TOPIC || audience == PUBLIC),
                "{topic}"
            );
            // Page by page, and from every place in between.
            for after in 0..=live.len() {
                let (mut read, mut seq) = (Vec::new(), after as u64);
                while let Replay::Events { events, .. } =
                    site.tickets.events((&topic, audience), seq, 2).await?
                    && !events.is_empty()
                {
                    seq += events.len() as u64;
                    read.extend(events.into_iter().map(|it| it.what));
                }
                let expected = live[after..].iter().cloned().map(Happened::Ticket);
                assert_eq!(read, expected.collect::<Vec<_>>(), "{topic} {audience} after {after}");
            }
        }
    }
    let never = site.tickets.events(("tickets:user:nobody", PUBLIC), 0, 10).await?;
    assert_eq!(never, Replay::Events { events: Vec::new(), last: 0 });
    Ok(())
}

/// Whoever reads the end of a stream while it is written finds no gap there.
pub(crate) async fn stretch_has_no_gap_while_it_is_written(site: Site) -> Result<()> {
    const EVENTS: u64 = 200;
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    let topic = ticket_topic(id);
    let writes = async {
        for n in 1..EVENTS {
            let mut work = site.by("eve").await?;
            work.comment(id, says(&n.to_string())?).await?;
            work.commit().await?;
        }
        Ok(())
    };
    let reads = async {
        let mut seen = 0;
        while seen < EVENTS {
            let Stretch { after, entries } = site.tickets.stretch(&topic, seen, 1).await?;
            assert_eq!(after, Position { seq: seen, staff_only: 0 }, "nothing is gone");
            seen += entries.len() as u64;
        }
        Ok(())
    };
    tokio::try_join!(writes, reads).map(|((), ())| ())
}

pub(crate) async fn stretch_has_what_each_audience_was_told(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.comment(id, notes("hm")?).await?;
    work.assign(id, Some(&"eve".into()), None).await?;
    let told = work.commit().await?;
    let own = ticket_topic(id);
    let granted = site.pens.acquire(&own, claimant("eve/1"), Terms::default()).await?;
    let mut work = site.by("eve").await?;
    work.comment(id, notes("ha")?).await?;
    work.comment(id, says("hello")?).await?;
    let later = work.commit().await?;
    for topic in [ALL_TOPIC.to_owned(), own.clone(), of("carl")?, of("eve")?] {
        let of_topic = |told: &[Told]| -> Vec<_> {
            told.iter().filter(|it| it.topic == topic).cloned().map(Entry::Ticket).collect()
        };
        let pens = granted.events.iter().cloned().map(Entry::Pen).filter(|_| topic == own);
        let all: Vec<_> = of_topic(&told).into_iter().chain(pens).chain(of_topic(&later)).collect();
        let mut place = Position::default();
        for (after, entry) in (0_u64..).zip(all.iter().map(Some).chain([None])) {
            for limit in [1, 2, 100] {
                let stretch = site.tickets.stretch(&topic, after, limit).await?;
                let rest = &all[usize::try_from(after)?..];
                assert_eq!(stretch.after, place, "{topic} {after}");
                assert_eq!(
                    stretch.entries,
                    rest[..rest.len().min(limit as usize)],
                    "{topic} {after}"
                );
            }
            let hidden = matches!(entry, Some(Entry::Ticket(Told { public: None, .. })));
            place.staff_only += u64::from(hidden);
            place.seq += u64::from(entry.is_some());
        }
        assert_eq!(site.tickets.look(&topic, None).await?.at, place, "{topic}");
    }
    let nowhere = site.tickets.stretch("tickets:user:nobody", 7, 10).await?;
    assert_eq!(nowhere, Stretch { after: Position::default(), entries: Vec::new() });
    Ok(())
}

/// What is looked at is what each of the tables has, also where one of them has nothing.
pub(crate) async fn look_has_topic_pen_and_ticket(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    let guests = work.create(ticket("u", None)?).await?.id;
    work.comment(id, notes("hm")?).await?;
    work.commit().await?;
    let own = ticket_topic(id);
    let look = site.tickets.look(&own, Some(id)).await?;
    assert_eq!(look.at, Position { seq: 2, staff_only: 1 });
    assert_eq!(look.ticket, Some(Owned { owner: Some("carl".into()) }));
    assert_eq!(look.pen.holder, None);
    let _ = site.pens.acquire(&own, claimant("eve/1"), Terms::default()).await?;
    let look = site.tickets.look(&own, Some(guests)).await?;
    assert_eq!(look.at, Position { seq: 3, staff_only: 1 });
    assert_eq!(look.ticket, Some(Owned { owner: None }));
    let reading = site.pens.pen(&own).await?;
    assert_eq!(look.pen, reading.pen);
    assert!(look.pen.holder.is_some_and(|holder| holder.id == "eve".into()), "it is held");
    // A pen without a ticket, and nothing at all.
    let _ = site.pens.acquire("doc:1", claimant("eve/1"), Terms::default()).await?;
    let look = site.tickets.look("doc:1", None).await?;
    assert_eq!((look.at.seq, look.ticket), (1, None));
    site.delete(id).await?;
    assert_eq!(site.tickets.look(&own, Some(id)).await?.ticket, None);
    let nothing = site.tickets.look("doc:none", Some(id)).await?;
    assert_eq!((nothing.at, nothing.pen.holder), (Position::default(), None));
    Ok(())
}

/// Many are looked at as each alone, in the order asked; who is asked for twice comes twice.
pub(crate) async fn looks_are_in_the_order_asked_and_fail_alone(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let (mut asked, all) = (Vec::new(), ALL_TOPIC.to_owned());
    for n in 0..12 {
        let id = work.create(ticket(&format!("t{n}"), Some("carl"))?).await?.id;
        for _ in 0..n {
            work.comment(id, says("hm")?).await?;
        }
        asked.push((ticket_topic(id), Some(id)));
    }
    work.commit().await?;
    let _ = site.pens.acquire("doc:1", claimant("eve/1"), Terms::default()).await?;
    asked.push((all, None));
    asked.extend([("doc:none".to_owned(), None), ("doc:1".to_owned(), asked[3].1)]);
    asked.reverse();
    asked.push(asked[5].clone());
    let named: Vec<_> = asked.iter().map(|(topic, ticket)| (topic.as_str(), *ticket)).collect();
    let looks = site.tickets.looks(&named).await?;
    assert_eq!(looks.len(), named.len());
    for (look, (topic, ticket)) in looks.into_iter().zip(&named) {
        let (look, alone) = (look?, site.tickets.look(topic, *ticket).await?);
        assert_eq!((look.at, &look.ticket), (alone.at, &alone.ticket), "{topic}");
        assert_eq!(look.pen.fence, alone.pen.fence, "{topic}");
    }
    assert!(site.tickets.looks(&[]).await?.is_empty());
    // What something else has written to one row is in the way of that alone.
    execute(&site.place, "UPDATE pens SET claims = '7' WHERE topic = 'doc:1'").await?;
    let looks = site.tickets.looks(&named).await?;
    let is_damaged = looks.iter().map(|look| matches!(look, Err(StoreError::Damaged(_))));
    let is_own = named.iter().map(|(topic, _)| *topic == "doc:1");
    assert!(is_damaged.eq(is_own), "{looks:?}");
    Ok(())
}

pub(crate) async fn stretch_begins_where_the_log_does(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    // It stays in the log of pens when all around it is gone from that of tickets.
    let _ = site.pens.acquire(&ticket_topic(id), claimant("eve/1"), Terms::default()).await?;
    let mut work = site.by("eve").await?;
    for content in ["a", "b", "c", "d"] {
        work.comment(id, notes(content)?).await?;
        work.comment(id, says(content)?).await?;
    }
    work.commit().await?;
    let topic = ticket_topic(id);
    let whole = site.tickets.stretch(&topic, 0, 100).await?;
    site.tickets.expire(Retention { per_topic: 4, ..Retention::default() }).await?;
    let kept =
        Stretch { after: Position { seq: 6, staff_only: 2 }, entries: whole.entries[6..].to_vec() };
    for after in [0, 1, 3, 6] {
        assert_eq!(site.tickets.stretch(&topic, after, 100).await?, kept);
    }
    let end = site.tickets.stretch(&topic, 10, 100).await?;
    assert_eq!(end, Stretch { after: Position { seq: 10, staff_only: 4 }, entries: Vec::new() });
    Ok(())
}

/// One story, with what the staff does among itself or without.
async fn story(site: &Site, owner: &str, with_notes: bool) -> Result<(Ticket, Vec<String>)> {
    let mut ids = Vec::new();
    let note = async |id, site: &Site| -> Result<()> {
        if with_notes {
            let mut work = site.by("eve").await?;
            let note = work.comment(id, notes("what only the staff knows")?).await?;
            work.edit_comment(note.id, "and something else".into()).await?;
            let answer = CommentDraft {
                parent_id: Some(note.id.to_string()),
                is_internal: true,
                content: "yes".into(),
                ..CommentDraft::default()
            };
            work.comment(id, answer.check()?).await?;
            work.delete_comment(note.id).await?;
            let metadata = changes(&json!({ "metadata": { "score": note.id.to_string() } }))?;
            work.update(id, &metadata, (None, None)).await?;
            work.commit().await?;
        }
        Ok(())
    };
    let mut work = site.by(owner).await?;
    let ticket = work.create(ticket("t", Some(owner))?).await?;
    let id = ticket.id;
    work.commit().await?;
    note(id, site).await?;
    let mut work = site.by("eve").await?;
    let comment = work.comment(id, says("hello")?).await?;
    ids.push(comment.id.to_string());
    work.commit().await?;
    note(id, site).await?;
    let mut work = site.by("eve").await?;
    work.assign(id, Some(&"eve".into()), None).await?;
    work.commit().await?;
    let granted = site.pens.acquire(&ticket.topic(), claimant("zoe/1"), Terms::default()).await?;
    note(id, site).await?;
    let fence = fence(&granted).context("not granted")?;
    let _ = site.pens.release(&ticket.topic(), "zoe/1".into(), fence).await?;
    let mut work = site.by(owner).await?;
    let answer = CommentDraft {
        parent_id: Some(comment.id.to_string()),
        content: "oh".into(),
        ..CommentDraft::default()
    };
    ids.push(work.comment(id, answer.check()?).await?.id.to_string());
    work.commit().await?;
    note(id, site).await?;
    let mut work = site.by("eve").await?;
    let reason = Some("done".to_owned());
    work.transition(id, (Status::Resolved, reason), None).await?;
    work.update(id, &changes(&json!({ "title": "u", "metadata": { "a": 1 } }))?, (None, None))
        .await?;
    work.commit().await?;
    note(id, site).await?;
    Ok((ticket, ids))
}

/// Everything the public hears of a story, with another name in the place of what is drawn by the store and
/// its clock.
async fn heard(site: &Site, owner: &str, (ticket, ids): &(Ticket, Vec<String>)) -> Result<String> {
    let mut text = String::new();
    for topic in [ticket.topic(), of(owner)?] {
        let Replay::Events { events, last } =
            site.tickets.events((&topic, PUBLIC), 0, 1_000).await?
        else {
            anyhow::bail!("{topic} is reset")
        };
        for event in events {
            text += &match event.what {
                Happened::Ticket(body) => body,
                Happened::Pen(pen) => format!("pen {} {}", event.seq, pen.kind),
            };
            text.push('\n');
        }
        text += &format!("{last}\n");
    }
    text = text.replace(&ticket.id.to_string(), "TICKET").replace(owner, "OWNER");
    text = text
        .replace(&owner.to_uppercase(), "OWNER")
        .replace(&format!(r#""slug":"{}""#, ticket.slug), "SLUG");
    for (id, place) in ids.iter().zip(0..) {
        text = text.replace(id, &format!("COMMENT{place}"));
    }
    Ok(without_times(&text))
}

/// Puts `TIME` in the place of what is written like `"2026-01-02T03:04:05.678Z"`.
fn without_times(text: &str) -> String {
    let is_time =
        |part: &str| part.len() == 24 && part.ends_with('Z') && part.as_bytes()[10] == b'T';
    let parts = text.split('"').map(|part| if is_time(part) { "TIME" } else { part });
    parts.collect::<Vec<_>>().join("\"")
}

pub(crate) async fn public_stream_is_the_same_with_and_without_notes(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let with = story(&site, "carl", true).await?;
    let without = story(&site, "dora", false).await?;
    let (with, without) =
        (heard(&site, "carl", &with).await?, heard(&site, "dora", &without).await?);
    assert!(
        with.contains("COMMENT1") && with.contains("TIME") && with.contains("pen 5 granted"),
        "{with}"
    );
    assert_eq!(with, without);
    for word in
        ["only the staff", "score", "metadata", "version", "assigned_to_id", "internal_note"]
    {
        assert!(!with.contains(word), "{word} in {with}");
    }
    Ok(())
}

pub(crate) async fn pen_counts_in_both_numberings(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.comment(id, notes("one")?).await?;
    work.commit().await?;
    let topic = ticket_topic(id);
    let granted = site.pens.acquire(&topic, claimant("eve/1"), Terms::default()).await?;
    let told = granted.events.first().context("nothing was told")?;
    assert_eq!(told.seq, 3);
    let before = site.heard(&topic, PUBLIC).await?;
    let mut work = site.by("eve").await?;
    work.comment(id, notes("two")?).await?;
    work.comment(id, says("hello")?).await?;
    work.commit().await?;
    assert_eq!(site.heard(&topic, PUBLIC).await?[..2], before, "a number is of one event for ever");
    let in_short = |audience| {
        let (site, topic) = (site.clone(), topic.clone());
        async move {
            let heard = site.heard(&topic, audience).await?;
            let short = heard
                .iter()
                .map(|it| format!("{} {}", it["seq"], it["event"].as_str().unwrap_or("")));
            anyhow::Ok(short.collect::<Vec<_>>())
        }
    };
    let staff = [
        "1 ticket_created",
        "2 internal_note_created",
        "3 pen",
        "4 internal_note_created",
        "5 comment_created",
    ];
    assert_eq!(in_short(STAFF).await?, staff);
    assert_eq!(in_short(PUBLIC).await?, ["1 ticket_created", "2 pen", "3 comment_created"]);
    let Replay::Events { events, last } = site.tickets.events((&topic, PUBLIC), 1, 1).await? else {
        anyhow::bail!("reset")
    };
    assert!(
        last == 3 && events[0].seq == 2 && matches!(events[0].what, Happened::Pen(_)),
        "{events:?}"
    );
    assert_eq!(site.last_seq(&topic, PUBLIC).await?, 3);
    Ok(())
}
