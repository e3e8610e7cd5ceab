//! What holds of tickets.

use anyhow::{Context, Result};
use penholder_desk::{Assigned, Filter, Order, Page, TicketError, Tickets, Updated};
use penholder_lease::{Fence, Policies, Policy, Terms, UnfencedWrites};
use penholder_ticket::{
    ALL_TOPIC, Audience, BulkPatch, CommentDraft, File, Moment, Rules, Status, TicketDraft,
    TicketId, bulk_ids, ticket_topic, user_topic,
};
use serde_json::json;

use crate::harness::{claimant, fence};
use crate::stage::{Site, changes, notes, request, says, ticket};

const PUBLIC: Audience = Audience::Public;
const STAFF: Audience = Audience::Staff;

pub(crate) fn code<T>(result: Result<T, TicketError>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

fn all() -> Result<Page> {
    Ok(Page::new(100, None)?)
}

pub(crate) async fn ticket_is_read_back_as_it_was_made(site: Site) -> Result<()> {
    let file = |name: &str| File { url: format!("https://x/{name}"), name: name.into(), size: 7 };
    let draft = TicketDraft {
        attachments: vec![file("b"), file("a")],
        metadata: json!({ "z": 1.5, "a": [null, "ü"] }).as_object().cloned(),
        category: Some("billing".into()),
        priority: Some("urgent".into()),
        guest: serde_json::from_value(json!({ "name": "G", "email": "g@x" }))?,
        title: "Größe".into(),
        description: "d".into(),
        ..TicketDraft::default()
    };
    let mut work = site.by("eve").await?;
    let made = work.create(draft.check()?).await?;
    work.commit().await?;
    assert_eq!(site.tickets.ticket(made.id).await?, made);
    assert_eq!((made.slug.as_str(), made.version), ("grosse", 1));
    assert_eq!((made.created_at, made.status), (made.updated_at, Status::Open));
    let files = site.tickets.attachments(made.id).await?;
    assert_eq!(files.iter().map(|it| it.file.clone()).collect::<Vec<_>>(), [file("b"), file("a")]);
    assert_eq!(Moment(made.created_at).to_string().len(), 24);
    let nobody = site.tickets.ticket(TicketId::new(5)).await;
    assert_eq!(code(nobody), Some("not_found"));
    Ok(())
}

pub(crate) async fn slug_never_comes_twice(site: Site) -> Result<()> {
    let mut slugs = Vec::new();
    for title in ["x", "x 2", "X!", "x", "x 2", "…", "…"] {
        let mut work = site.by("eve").await?;
        slugs.push(work.create(ticket(title, None)?).await?.slug);
        work.commit().await?;
    }
    assert_eq!(slugs, ["x", "x-2", "x-3", "x-4", "x-2-2", "ticket", "ticket-2"]);
    // It stays with the ticket, whatever that is called later.
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("y", None)?).await?.id;
    work.update(id, &changes(&json!({ "title": "z" }))?, (None, None)).await?;
    work.commit().await?;
    assert_eq!(site.tickets.ticket(id).await?.slug, "y");
    Ok(())
}

pub(crate) async fn version_guards_every_write(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    let title = changes(&json!({ "title": "new" }))?;
    let Updated::Written(second) = work.update(id, &title, (Some(1), None)).await? else {
        anyhow::bail!("held")
    };
    assert_eq!(second.version, 2);
    work.commit().await?;
    let mut work = site.by("eve").await?;
    let other = changes(&json!({ "title": "other" }))?;
    let eve = "eve".into();
    let late = work.update(id, &other, (Some(1), None)).await;
    assert!(matches!(late, Err(TicketError::StaleVersion { version: 2 })), "{late:?}");
    assert_eq!(
        code(work.transition(id, (Status::Closed, None), Some(1)).await),
        Some("stale_version")
    );
    assert_eq!(code(work.assign(id, Some(&eve), Some(1)).await), Some("stale_version"));
    // What would be the same is no write.
    work.update(id, &title, (Some(2), None)).await?;
    assert_eq!(work.commit().await?, []);
    let late = site.tickets.delete(request("eve"), (id, Some(1))).await;
    assert_eq!(code(late), Some("stale_version"));
    assert_eq!(site.tickets.ticket(id).await?, *second);
    Ok(())
}

pub(crate) async fn status_goes_by_the_machine_and_into_the_history(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.assign(id, Some(&"eve".into()), None).await?;
    let reason = Some("works now".to_owned());
    work.transition(id, (Status::Resolved, reason), None).await?;
    let closed = work.transition(id, (Status::Closed, None), None).await?;
    assert!(closed.resolved_at.is_some() && closed.closed_at.is_some());
    work.commit().await?;

    let strict = Tickets::new(&site.pens, Rules { allow_reopen: false });
    let mut work = strict.begin(crate::stage::request("eve")).await?;
    let to = |status| (status, None);
    assert_eq!(code(work.transition(id, to(Status::Open), None).await), Some("reopen_not_allowed"));
    assert_eq!(
        code(work.transition(id, to(Status::Closed), None).await),
        Some("invalid_transition")
    );
    let patch = changes(&json!({ "status": "resolved", "title": "x" }))?;
    assert_eq!(code(work.update(id, &patch, (None, None)).await), Some("invalid_transition"));
    assert_eq!(work.commit().await?, []);

    let mut work = site.by("eve").await?;
    let open = work.transition(id, to(Status::Open), None).await?;
    assert_eq!((open.resolved_at, open.closed_at, open.title.as_str()), (None, None, "t"));
    work.commit().await?;
    let history = site.tickets.history(id, (0, 100)).await?;
    let steps: Vec<_> = history.iter().map(|it| (it.from, it.to, it.reason.as_deref())).collect();
    use Status::{Closed, InProgress, Open, Resolved};
    let expected = [
        (None, Open, None),
        (Some(Open), InProgress, None),
        (Some(InProgress), Resolved, Some("works now")),
        (Some(Resolved), Closed, None),
        (Some(Closed), Open, None),
    ];
    assert_eq!(steps, expected);
    assert!(history.iter().all(|it| it.by.id.as_str() == "eve"));
    Ok(())
}

pub(crate) async fn only_known_staff_is_assigned(site: Site) -> Result<()> {
    site.hire(&["eve", "carl", "zoe"]).await?;
    let mut work = site.by("zoe").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    for stranger in ["nobody", "carl"] {
        assert_eq!(
            code(work.assign(id, Some(&stranger.into()), None).await),
            Some("invalid_assignee")
        );
    }
    let assigned = work.assign(id, Some(&"eve".into()), None).await?;
    assert_eq!(assigned.status, Status::InProgress);
    work.commit().await?;
    let mut work = site.by("zoe").await?;
    work.assign(id, Some(&"zoe".into()), None).await?;
    work.commit().await?;
    for agent in ["eve", "zoe"] {
        let topic = user_topic(&agent.into()).context("a topic")?;
        let names = site.names(&topic, STAFF).await?;
        assert_eq!(names.last().map(String::as_str), Some("ticket_assigned"), "{agent}");
        assert_eq!(site.last_seq(&topic, PUBLIC).await?, 0, "an agent's topic is the staff's");
    }
    let public = site.heard(&ticket_topic(id), PUBLIC).await?;
    let last = public.last().context("nothing was told")?;
    assert_eq!(
        (&last["old_assignee_name"], &last["new_assignee_name"]),
        (&json!("EVE"), &json!("ZOE"))
    );
    assert_eq!(
        (&last["ticket"]["assignee_name"], &last["new_assignee_id"]),
        (&json!("ZOE"), &json!(null))
    );
    // A name is shown as it is now.
    site.tickets.put_person(&"zoe".into(), "Zoë", penholder_lease::Role::Agent).await?;
    let assignee = site.tickets.ticket(id).await?.assignee.context("nobody")?;
    assert_eq!(assignee.name, "Zoë");
    Ok(())
}

pub(crate) async fn bulk_is_all_or_nothing(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    let mut ids = Vec::new();
    for owner in [Some("carl"), Some("dora"), None, Some("carl")] {
        ids.push(work.create(ticket("t", owner)?).await?.id);
    }
    work.transition(ids[2], (Status::Closed, None), None).await?;
    work.commit().await?;
    let bulk = |json| anyhow::Ok(serde_json::from_value::<BulkPatch>(json)?.check()?);
    let before = site.last_seq(ALL_TOPIC, STAFF).await?;

    let mut work = site.by("eve").await?;
    let resolve = bulk(json!({ "status": "resolved", "priority": "high" }))?;
    let refused = work.update_many(&bulk_ids(&ids)?, &resolve).await;
    let Err(TicketError::RefusedOfMany { first, all }) = refused else {
        anyhow::bail!("{refused:?}")
    };
    assert_eq!((first.ticket, all.len()), (ids[2], 1));
    let missing = [ids[0], ids[2], TicketId::new(1)];
    let refused = work.update_many(&bulk_ids(&missing)?, &resolve).await;
    let Err(error @ TicketError::RefusedOfMany { all, .. }) = &refused else {
        anyhow::bail!("{refused:?}")
    };
    assert_eq!(error.code(), "not_found", "what is not there comes first");
    let named: Vec<_> = all.iter().map(|it| it.ticket).collect();
    assert_eq!(named, [TicketId::new(1), ids[2]], "each of them, in order");
    assert_eq!(work.commit().await?, []);
    assert_eq!(site.tickets.ticket(ids[0]).await?.version, 1);

    let mut work = site.by("eve").await?;
    let assign = bulk(json!({ "assigned_to_id": "eve", "priority": "high" }))?;
    let written = work.update_many(&bulk_ids(&ids)?, &assign).await?;
    assert!(written.iter().all(|it| it.assignee.is_some()) && written.len() == 4);
    let told = work.commit().await?;
    assert_eq!(site.last_seq(ALL_TOPIC, STAFF).await?, before + 1, "told once");
    assert_eq!(told.len(), 4 + 1 + 2, "each ticket, all, two owners");
    let heard = site.heard(&user_topic(&"carl".into()).context("a topic")?, PUBLIC).await?;
    let last = heard.last().context("nothing was told")?;
    let own: Vec<_> =
        last["tickets"].as_array().into_iter().flatten().map(|it| &it["id"]).collect();
    assert_eq!(own, [&json!(ids[0]), &json!(ids[3])]);
    let history = site.tickets.history(ids[0], (0, 100)).await?;
    assert_eq!(history.last().map(|it| it.to), Some(Status::InProgress));
    Ok(())
}

pub(crate) async fn stale_fence_writes_nothing(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    let topic = ticket_topic(id);
    let first = site.pens.acquire(&topic, claimant("eve/1"), Terms::default()).await?;
    let first = fence(&first).context("not granted")?;
    let _ = site.pens.release(&topic, "eve/1".into(), first).await?;
    let second = site.pens.acquire(&topic, claimant("zoe/1"), Terms::default()).await?;
    let second = fence(&second).context("not granted")?;

    let title = changes(&json!({ "title": "new" }))?;
    let mut work = site.by("eve").await?;
    let late = work.update(id, &title, (None, Some(first))).await;
    let Err(TicketError::StaleFence { holder }) = &late else { anyhow::bail!("{late:?}") };
    assert_eq!(holder.as_ref().map(|it| it.id.as_str()), Some("zoe"));
    assert_eq!(work.commit().await?, []);
    assert_eq!(site.tickets.ticket(id).await?.title, "t");
    let mut work = site.by("zoe").await?;
    work.update(id, &title, (None, Some(second))).await?;
    work.commit().await?;
    assert_eq!(site.tickets.ticket(id).await?.title, "new");
    assert!(!site.names(&topic, STAFF).await?.contains(&"collision".to_owned()));
    Ok(())
}

pub(crate) async fn collision_is_told_to_the_staff(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    work.commit().await?;
    let topic = ticket_topic(id);
    let granted = site.pens.acquire(&topic, claimant("zoe/1"), Terms::default()).await?;
    let held: Fence = fence(&granted).context("not granted")?;
    let before = site.last_seq(&topic, PUBLIC).await?;
    let mut work = site.by("eve").await?;
    let title = changes(&json!({ "title": "new" }))?;
    let written = work.update(id, &title, (None, None)).await?;
    assert!(matches!(written, Updated::Written(_)), "{written:?}");
    work.commit().await?;
    let heard = site.heard(&topic, STAFF).await?;
    let collision = heard.iter().find(|it| it["event"] == "collision").context("not told")?;
    let sides = (&collision["holder"]["id"], &collision["writer"]["id"], &collision["fence"]);
    assert_eq!(sides, (&json!("zoe"), &json!("eve"), &json!(held)));
    assert_eq!(collision["presented"], json!(null));
    assert_eq!(site.last_seq(&topic, PUBLIC).await?, before + 1, "the update alone");

    // By a policy that refuses it, it is told all the same, and not written.
    let refuse = Policy { unfenced_writes: UnfencedWrites::Refuse, ..Policy::default() };
    let strict = site.place.open(Policies { default: refuse, ..Policies::default() }).await?;
    let tickets = Tickets::new(&strict, Rules::default());
    let mut work = tickets.begin(crate::stage::request("eve")).await?;
    let refused = work.update(id, &changes(&json!({ "title": "newer" }))?, (None, None)).await?;
    assert!(
        matches!(&refused, Updated::Held { holder } if holder.id.as_str() == "zoe"),
        "{refused:?}"
    );
    let told = work.commit().await?;
    assert_eq!((told.len(), told[0].name.as_str(), &told[0].public), (1, "collision", &None));
    assert_eq!(tickets.ticket(id).await?.title, "new");
    strict.close().await;
    Ok(())
}

pub(crate) async fn comments_are_threads_that_each_audience_sees_its_part_of(
    site: Site,
) -> Result<()> {
    let mut work = site.by("carl").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    let first = work.comment(id, says("hello")?).await?;
    work.commit().await?;
    let mut work = site.by("eve").await?;
    let file = File { url: "https://x/y".into(), name: "y".into(), size: 1 };
    let mut note =
        CommentDraft { content: "hm".into(), is_internal: true, ..CommentDraft::default() };
    note.attachments.push(file);
    note.parent_id = Some(first.id.to_string());
    let note = work.comment(id, note.check()?).await?;
    assert_eq!((note.depth, note.parent_id), (1, Some(first.id)));
    work.commit().await?;
    assert_eq!(site.tickets.ticket(id).await?.comment_count, 1, "notes are not counted");
    assert_eq!(site.tickets.ticket(id).await?.version, 1, "a comment is no write to the ticket");

    let mut work = site.by("carl").await?;
    let answer = |to: &dyn ToString| CommentDraft {
        content: "re".into(),
        parent_id: Some(to.to_string()),
        ..CommentDraft::default()
    };
    let second = work.comment(id, answer(&first.id).check()?).await?;
    // A note is as if it were not there, and so is a comment of another ticket.
    assert_eq!(code(work.comment(id, answer(&note.id).check()?).await), Some("invalid_parent"));
    let other = work.create(ticket("u", None)?).await?.id;
    assert_eq!(code(work.comment(other, answer(&first.id).check()?).await), Some("invalid_parent"));
    assert_eq!(code(work.comment(id, notes("psst")?).await), Some("not_authorized"));
    work.commit().await?;

    let ids = |audience| {
        let tickets = site.tickets.clone();
        async move {
            let listed = tickets.comments(id, audience, &all()?).await?;
            anyhow::Ok(listed.items.iter().map(|it| it.id).collect::<Vec<_>>())
        }
    };
    assert_eq!(ids(PUBLIC).await?, [first.id, second.id]);
    assert_eq!(ids(STAFF).await?, [first.id, note.id, second.id]);
    assert_eq!(code(site.tickets.comment(note.id, PUBLIC).await), Some("not_found"));
    assert_eq!(site.tickets.comment(note.id, STAFF).await?, note);
    for (audience, count) in [(PUBLIC, 0), (STAFF, 1)] {
        let page = site.tickets.comments(id, audience, &all()?).await?;
        assert_eq!(site.tickets.attachments_of(&page.items).await?.len(), count, "{audience}");
    }

    let mut work = site.by("eve").await?;
    work.transition(id, (Status::Closed, None), None).await?;
    assert_eq!(code(work.comment(id, notes("late")?).await), Some("ticket_closed"));
    Ok(())
}

pub(crate) async fn comments_at_once_are_all_counted(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", None)?).await?.id;
    work.commit().await?;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let site = site.clone();
        writers.spawn(async move {
            let mut work = site.by("eve").await?;
            work.comment(id, says("hello")?).await?;
            work.commit().await?;
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    assert_eq!(site.tickets.ticket(id).await?.comment_count, 8);
    Ok(())
}

pub(crate) async fn only_author_or_administrator_writes_a_comment_again(site: Site) -> Result<()> {
    let mut work = site.by("carl").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    let first = work.comment(id, says("hello")?).await?.id;
    work.commit().await?;
    let mut work = site.by("eve").await?;
    let note = work.comment(id, notes("hm")?).await?.id;
    assert_eq!(code(work.edit_comment(first, "x".into()).await), Some("not_authorized"));
    assert_eq!(code(work.delete_comment(first).await), Some("not_authorized"));
    work.commit().await?;
    let mut work = site.by("carl").await?;
    assert_eq!(code(work.delete_comment(note).await), Some("not_found"));
    assert_eq!(code(work.edit_comment(note, "x".into()).await), Some("not_found"));
    let edited = work.edit_comment(first, "hello again".into()).await?;
    let same = work.edit_comment(first, "hello again".into()).await?;
    assert_eq!(edited, same);
    assert_eq!(work.commit().await?.len(), 3, "told once to each topic");
    let mut work = site.by("root").await?;
    work.delete_comment(first).await?;
    work.delete_comment(note).await?;
    let told = work.commit().await?;
    let of_note: Vec<_> = told.iter().filter(|it| it.staff.contains(&note.to_string())).collect();
    assert!(of_note.len() == 3 && of_note.iter().all(|it| it.public.is_none()));
    assert_eq!(site.tickets.ticket(id).await?.comment_count, 0);
    assert!(site.tickets.comments(id, STAFF, &all()?).await?.items.is_empty());
    Ok(())
}

pub(crate) async fn filters_find_what_they_name(site: Site) -> Result<()> {
    site.hire(&["eve"]).await?;
    let mut work = site.by("eve").await?;
    for (title, owner) in
        [("100% sure", "carl"), ("100 sure", "carl"), ("a_b ÄRGER", "dora"), (r"a\b", "dora")]
    {
        work.create(ticket(title, Some(owner))?).await?;
    }
    let fourth = work.create(ticket("axb", None)?).await?.id;
    let patch = json!({ "priority": "urgent", "category": "security" });
    work.update(fourth, &changes(&patch)?, (None, None)).await?;
    work.assign(fourth, Some(&"eve".into()), None).await?;
    work.commit().await?;
    let found = |filter: Filter| {
        let tickets = site.tickets.clone();
        async move {
            let listed = tickets.list(&filter, Order::Oldest, &all()?).await?;
            anyhow::Ok(listed.items.into_iter().map(|it| it.title).collect::<Vec<_>>())
        }
    };
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
    assert_eq!(found(text("100%")).await?, ["100% sure"]);
    assert_eq!(found(text("A_B")).await?, ["a_b ÄRGER"]);
    assert_eq!(found(text("ärger")).await?, ["a_b ÄRGER"]);
    assert_eq!(found(text(r"a\b")).await?, [r"a\b"]);
    assert_eq!(found(text("about")).await?.len(), 5, "the description counts");
    let assigned = |assigned| Filter { assigned: Some(assigned), ..Filter::default() };
    assert_eq!(found(assigned(Assigned::To("eve".into()))).await?, ["axb"]);
    assert_eq!(found(assigned(Assigned::Nobody)).await?.len(), 4);
    let dora = Filter { user_id: Some("dora".into()), ..Filter::default() };
    assert_eq!(found(dora.clone()).await?, ["a_b ÄRGER", r"a\b"]);
    assert_eq!(found(Filter { text: Some("_".into()), ..dora }).await?, ["a_b ÄRGER"]);
    let statuses = vec![Status::InProgress, Status::Closed];
    assert_eq!(found(Filter { statuses, ..Filter::default() }).await?, ["axb"]);
    let urgent = Filter {
        priority: Some(penholder_ticket::Priority::Urgent),
        category: Some(penholder_ticket::Category::Security),
        ..Filter::default()
    };
    assert_eq!(found(urgent).await?, ["axb"]);

    let stats = site.tickets.stats(None).await?;
    assert_eq!((stats.total, stats.unassigned, stats.by_status[0]), (5, 4, (Status::Open, 4)));
    assert_eq!((stats.by_status.len(), stats.by_status[1].1), (6, 1));
    assert_eq!(site.tickets.stats(Some(&"carl".into())).await?.total, 2);
    Ok(())
}

pub(crate) async fn pages_have_everything_once(site: Site) -> Result<()> {
    let mut made = Vec::new();
    for _ in 0..7 {
        // Several at the same moment, so that the time alone would not put them in order.
        let mut work = site.by("eve").await?;
        for _ in 0..3 {
            made.push(work.create(ticket("t", None)?).await?.id);
        }
        work.commit().await?;
    }
    for (order, limit) in [
        (Order::Newest, 4),
        (Order::Oldest, 7),
        (Order::LastUpdated(STAFF), 20),
        (Order::Newest, 21),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page::new(limit, cursor.as_deref())?;
            let listed = site.tickets.list(&Filter::default(), order, &page).await?;
            seen.extend(listed.items.iter().map(|it| it.id));
            cursor = listed.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if order != Order::Oldest {
            seen.reverse();
        }
        assert_eq!(seen, made, "{order:?}");
    }
    for limit in [0, 1001] {
        assert_eq!(code(Page::new(limit, None)), Some("invalid_page"));
    }
    assert_eq!(code(Page::new(1, Some("1.x"))), Some("invalid_page"));
    Ok(())
}

pub(crate) async fn deleted_ticket_takes_everything_with_it(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let id = work.create(ticket("t", Some("carl"))?).await?.id;
    let comment = work.comment(id, says("hello")?).await?.id;
    work.commit().await?;
    let told = site.tickets.delete(request("eve"), (id, Some(1))).await?.commit().await?;
    assert_eq!(code(site.tickets.ticket(id).await), Some("not_found"));
    assert!(told.len() == 3 && told.iter().all(|it| it.name.as_str() == "ticket_deleted"));
    assert_eq!(code(site.tickets.comment(comment, STAFF).await), Some("not_found"));
    assert!(site.tickets.history(id, (0, 100)).await?.is_empty());
    // What was told stays in the log.
    let names = site.names(&ticket_topic(id), PUBLIC).await?;
    assert_eq!(names, ["ticket_created", "comment_created", "ticket_deleted"]);
    Ok(())
}
