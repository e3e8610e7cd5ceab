//! What holds of requests that a caller repeats.

use anyhow::{Result, bail};
use penholder_desk::{
    Begun, Filter, Key, Once, Order, Page, StoredAnswer, Tickets, Unanswered, Work,
};
use penholder_ticket::Rules;

use crate::stage::{Site, execute, request, ticket};

const KEY: Key<'_> = Key { caller: "eve", route: "POST /v1/tickets", key: "k1", body: b"{}" };

async fn first(tickets: &Tickets, key: Key<'_>) -> Result<Work> {
    match tickets.begin_once(request("eve"), key).await? {
        Begun::First(work) => Ok(*work),
        other => bail!("not the first: {other:?}"),
    }
}

fn answer(body: &str) -> StoredAnswer {
    let location = Some(format!("/v1/tickets/{body}"));
    StoredAnswer { status: 201, body: body.to_owned(), location }
}

async fn count(site: &Site) -> Result<usize> {
    let page = Page::new(100, None)?;
    Ok(site.tickets.list(&Filter::default(), Order::Newest, &page).await?.items.len())
}

pub(crate) async fn repeated_request_gets_the_first_answer(site: Site) -> Result<()> {
    let mut work = first(&site.tickets, KEY).await?;
    let made = work.create(ticket("t", None)?).await?;
    work.commit_answered(&answer(&made.slug)).await?;
    let again = site.tickets.begin_once(request("eve"), KEY).await?;
    assert!(matches!(&again, Begun::Again(it) if *it == answer("t")), "{again:?}");
    let other = site.tickets.begin_once(request("eve"), Key { body: b"[]", ..KEY }).await?;
    assert!(matches!(other, Begun::Differs), "{other:?}");
    // Another caller, route or key is another request.
    for key in
        [Key { caller: "zoe", ..KEY }, Key { route: "POST /v1/x", ..KEY }, Key { key: "k2", ..KEY }]
    {
        first(&site.tickets, key).await?.commit_answered(&answer("u")).await?;
    }
    assert_eq!(count(&site).await?, 1);
    // After a day it is forgotten.
    let day = 24 * 60 * 60 * 1000;
    execute(&site.place, &format!("UPDATE idempotency_keys SET at_ms = at_ms - {day}")).await?;
    let work = first(&site.tickets, Key { body: b"[]", ..KEY }).await?;
    work.commit_answered(&answer("v")).await?;
    let again = site.tickets.begin_once(request("eve"), Key { body: b"[]", ..KEY }).await?;
    assert!(matches!(&again, Begun::Again(it) if *it == answer("v")), "{again:?}");
    site.tickets.expire(penholder_desk::Retention::default()).await?;
    let kept = crate::stage::texts(&site.place, "SELECT key FROM idempotency_keys").await?;
    assert_eq!(kept, ["k1"]);
    Ok(())
}

pub(crate) async fn key_is_for_one_request_at_a_time(site: Site) -> Result<()> {
    let mut work = first(&site.tickets, KEY).await?;
    work.create(ticket("t", None)?).await?;
    let second = site.tickets.begin_once(request("eve"), KEY).await?;
    assert!(matches!(second, Begun::Running), "{second:?}");
    // In another process it is under way as well, or has to wait until it may write at all.
    let other = Tickets::new(&site.pens, Rules::default());
    match other.begin_once(request("eve"), KEY).await {
        Ok(Begun::Running) | Err(_) => {}
        Ok(begun) => bail!("done twice: {begun:?}"),
    }
    work.commit_answered(&answer("t")).await?;
    for tickets in [&site.tickets, &other] {
        let again = tickets.begin_once(request("eve"), KEY).await?;
        assert!(matches!(again, Begun::Again(_)), "{again:?}");
    }
    assert_eq!(count(&site).await?, 1);
    Ok(())
}

pub(crate) async fn request_that_was_broken_off_is_done_at_last(site: Site) -> Result<()> {
    for _ in 0..2 {
        let mut work = first(&site.tickets, KEY).await?;
        work.create(ticket("t", None)?).await?;
        work.abandon().await?;
    }
    let mut work = first(&site.tickets, KEY).await?;
    let made = work.create(ticket("t", None)?).await?;
    work.commit_answered(&answer(&made.slug)).await?;
    assert_eq!((count(&site).await?, made.slug.as_str()), (1, "t"));
    Ok(())
}

async fn unanswered(tickets: &Tickets, key: Key<'_>) -> Result<Unanswered> {
    match tickets.once(key).await? {
        Once::First(first) => Ok(first),
        other => bail!("not the first: {other:?}"),
    }
}

pub(crate) async fn what_is_no_work_is_answered_once_too(site: Site) -> Result<()> {
    let tickets = &site.tickets;
    // In another process it is under way as well.
    let other = Tickets::new(&site.pens, Rules::default());
    let claim = unanswered(tickets, KEY).await?;
    for asked in [tickets, &other] {
        assert!(matches!(asked.once(KEY).await?, Once::Running));
    }
    let body = Key { body: b"[]", ..KEY };
    assert!(matches!(other.once(body).await?, Once::Differs));
    claim.keep(&answer("a")).await?;
    for asked in [tickets, &other] {
        let again = asked.once(KEY).await?;
        assert!(matches!(&again, Once::Again(it) if *it == answer("a")), "{again:?}");
        assert!(matches!(asked.once(body).await?, Once::Differs));
    }
    // What was given up is done by the next who asks.
    let key = Key { key: "k2", ..KEY };
    unanswered(tickets, key).await?.give_up().await?;
    unanswered(&other, key).await?.keep(&answer("b")).await?;
    assert!(matches!(tickets.once(key).await?, Once::Again(it) if it == answer("b")));
    Ok(())
}

pub(crate) async fn claim_of_the_dead_is_void_after_a_minute(site: Site) -> Result<()> {
    let dead = Tickets::new(&site.pens, Rules::default());
    drop(unanswered(&dead, KEY).await?);
    assert!(matches!(site.tickets.once(KEY).await?, Once::Running));
    execute(&site.place, "UPDATE idempotency_keys SET at_ms = at_ms - 59000").await?;
    assert!(matches!(site.tickets.once(KEY).await?, Once::Running));
    execute(&site.place, "UPDATE idempotency_keys SET at_ms = at_ms - 1001").await?;
    let late = unanswered(&site.tickets, KEY).await?;
    late.keep(&answer("a")).await?;
    assert!(matches!(dead.once(KEY).await?, Once::Again(it) if it == answer("a")));
    Ok(())
}
