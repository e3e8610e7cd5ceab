//! The rules, each on topics of its own.

use std::time::Duration;

use anyhow::{Context, Result};
use penholder_desk::{DRAFT_BYTES_MAX, Pens, Renewal, Retention, StoreError, Tickets};
use penholder_lease::{
    Fence, Outcome, PenState, PersonId, Policies, Policy, Refusal, Terms, WriteCheck, WriteClaim,
};
use penholder_ticket::Rules;
use tokio::time::{sleep, timeout};

use crate::Site;
use crate::harness::{
    acquire, claimant, fence, policies, terms, told, until_due, until_free, waiting,
};

const TOPIC: &str = "doc:1";

pub(crate) async fn free_pen_is_granted_and_read_back(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:granted");
    let before = pens.pen(topic).await?;
    assert_eq!((before.pen.state, before.pen.fence), (PenState::Free, Fence::NONE));
    // The first time there is no row, the second time there is one.
    for name in ["ada/1", "bob/1"] {
        let answered = pens.acquire(topic, claimant(name), Terms::default()).await?;
        assert_eq!(told(&answered.events), ["granted by free"]);
        let Ok(Outcome::Granted { fence, deadline }) = answered.outcome else {
            panic!("{:?}", answered.outcome)
        };
        assert_eq!(deadline, answered.at.after(30_000));
        assert_eq!(answered.pen.session, Some(name.into()));
        assert_eq!(answered.events[0].event.pen, answered.pen);
        let read = pens.pen(topic).await?;
        assert_eq!(read.pen, answered.pen);
        assert!(read.at >= answered.at && read.at < deadline);
        let released = pens.release(topic, name.into(), fence).await?;
        assert_eq!((released.outcome, released.pen.state), (Ok(Outcome::Released), PenState::Free));
        assert_eq!(pens.pen(topic).await?.pen, released.pen);
    }
    Ok(())
}

pub(crate) async fn fences_grow_over_grants_and_restarts(site: Site) -> Result<()> {
    let topic = "doc:fences";
    let mut last = Fence::NONE;
    let mut pens = site.pens;
    for round in 0..3 {
        for name in ["ada/1", "ada/2", "ada/3"] {
            let fence = acquire(&pens, topic, name).await?.context("not granted")?;
            assert!(fence > last, "{fence} after {last}");
            last = fence;
        }
        if round == 1 {
            let _ = pens.release(topic, "ada/3".into(), last).await?;
        }
        pens.close().await;
        pens = site.place.open(policies()).await?;
        assert_eq!(pens.pen(topic).await?.pen.fence, last);
    }
    Ok(())
}

pub(crate) async fn pen_is_held_until_its_deadline(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "short:deadline");
    let first = pens.acquire(topic, claimant("ada/1"), Terms::default()).await?;
    let deadline = first.pen.deadline.context("no deadline")?;
    loop {
        let tried = pens.acquire(topic, claimant("bob/1"), Terms::default()).await?;
        match tried.outcome {
            Ok(Outcome::Held { .. }) => assert!(tried.at < deadline, "it was free"),
            Ok(Outcome::Granted { fence, .. }) => {
                assert!(tried.at >= deadline, "granted {} ms early", deadline.0 - tried.at.0);
                assert!(Some(fence) > self::fence(&first));
                assert_eq!(told(&tried.events), ["expired by expired", "granted by free"]);
                return Ok(());
            }
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn one_of_many_gets_the_pen(site: Site) -> Result<()> {
    for round in 0..5 {
        let topic = format!("doc:many:{round}");
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let (pens, topic) = (site.pens.clone(), topic.clone());
                tokio::spawn(async move { acquire(&pens, &topic, &format!("p{n}/1")).await })
            })
            .collect();
        let mut granted = 0;
        for task in tasks {
            granted += usize::from(task.await??.is_some());
        }
        assert_eq!(granted, 1);
        assert_eq!(site.pens.log(&topic, 0, 100).await?.len(), 1);
    }
    Ok(())
}

pub(crate) async fn what_many_are_told_at_once_is_kept(site: Site) -> Result<()> {
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (pens, topic) = (site.pens.clone(), format!("doc:told:{n}"));
            tokio::spawn(async move {
                for tab in 0..5 {
                    let name = format!("ada/{tab}");
                    let told = pens.acquire(&topic, claimant(&name), Terms::default()).await?;
                    // Read by another connection, which sees what is committed.
                    let seq = told.events.first().map_or(0, |event| event.seq);
                    assert_eq!(pens.log(&topic, seq - 1, 10).await?, told.events);
                    assert_eq!(pens.pen(&topic).await?.pen, told.pen);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

pub(crate) async fn repeated_request_gets_the_same_fence(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:repeated");
    let first = pens.acquire(topic, claimant("ada/1"), terms("r1")).await?;
    let again = pens.acquire(topic, claimant("ada/1"), terms("r1")).await?;
    assert_eq!((again.outcome, again.events.len()), (first.outcome, 0));
    let fence = fence(&first).context("not granted")?;
    let _ = pens.release(topic, "ada/1".into(), fence).await?;
    let late = pens.acquire(topic, claimant("ada/1"), terms("r1")).await?;
    assert_eq!((late.outcome, late.pen.state), (Ok(Outcome::Lapsed), PenState::Free));
    let other = pens.acquire(topic, claimant("bob/1"), terms("r1")).await?;
    assert!(self::fence(&other) > Some(fence));
    let new = pens.release(topic, "bob/1".into(), other.pen.fence).await?;
    assert_eq!(new.outcome, Ok(Outcome::Released));
    assert!(matches!(
        pens.acquire(topic, claimant("ada/1"), terms("r2")).await?.outcome,
        Ok(Outcome::Granted { .. })
    ));
    Ok(())
}

pub(crate) async fn log_tells_everything_in_order(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:log");
    let mut owed = Vec::new();
    owed.extend(pens.acquire(topic, claimant("ada/1"), Terms::default()).await?.events);
    owed.extend(pens.acquire(topic, claimant("bob/1"), waiting()).await?.events);
    owed.extend(pens.request(topic, claimant("bob/1"), Some("mine?".to_owned())).await?.events);
    owed.extend(pens.disconnect(topic, "ada/1".into()).await?.events);
    owed.extend(pens.revoke(topic, claimant("root/1").person, None).await?.events);
    let log = pens.log(topic, 0, 100).await?;
    assert_eq!(log, owed, "what was told is what is kept");
    assert_eq!(
        told(&log),
        [
            "granted by free",
            "requested by free",
            "reserved by disconnected",
            "revoked by revoked",
            "granted by queue"
        ]
    );
    assert_eq!(log.iter().map(|logged| logged.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(log[1].event.reason.as_deref(), Some("mine?"));
    assert_eq!(log[4].event.by, Some(claimant("root/1").person), "why did bob get it?");
    assert_eq!(pens.log(topic, 3, 1).await?, log[3..4]);
    assert_eq!(pens.log(topic, 5, 10).await?, []);
    assert_eq!(pens.log("doc:other", 0, 10).await?, []);
    Ok(())
}

pub(crate) async fn due_pens_are_found_and_ticked(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "short:due");
    acquire(&pens, topic, "ada/1").await?;
    let _ = pens.acquire(topic, claimant("bob/1"), waiting()).await?;
    let due = pens.due(1000).await?;
    assert!(due.next_in_ms.is_some_and(|span| span <= 300) || !due.topics.is_empty());
    until_due(&pens, topic).await?;
    let ticked = pens.tick(topic).await?;
    assert_eq!(told(&ticked.events), ["expired by expired", "granted by queue"]);
    assert!(pens.tick(topic).await?.events.is_empty(), "again is nothing");
    until_due(&pens, topic).await?;
    assert_eq!(told(&pens.tick(topic).await?.events), ["expired by expired"]);
    assert!(!pens.due(1000).await?.topics.iter().any(|due| due == topic), "nothing is left");

    let topics = ["short:due:1", "short:due:2", "short:due:3"];
    for topic in topics {
        acquire(&pens, topic, "ada/1").await?;
    }
    for topic in topics {
        until_due(&pens, topic).await?;
    }
    let some = pens.due(2).await?;
    assert_eq!((some.topics.len(), some.next_in_ms), (2, Some(0)), "there is more");
    Ok(())
}

/// The clock was set back, or what a policy allows: either way a pen lasts longer than it may.
pub(crate) async fn pens_that_last_too_long_are_brought_back(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:long");
    acquire(&pens, topic, "ada/1").await?;
    assert!(!pens.due(1000).await?.topics.iter().any(|due| due == topic));
    let policy = Policy { ttl_ms: 200, ttl_ms_max: 200, ..Policy::default() };
    let pens = site.place.open(Policies { default: policy, ..Policies::default() }).await?;
    assert!(pens.due(1000).await?.topics.iter().any(|due| due == topic));
    let ticked = pens.tick(topic).await?;
    assert!(ticked.events.is_empty(), "it is held as before");
    assert!(ticked.pen.deadline.is_some_and(|deadline| deadline <= ticked.at.after(200)));
    until_due(&pens, topic).await?;
    assert_eq!(told(&pens.tick(topic).await?.events), ["expired by expired"]);
    Ok(())
}

fn renewal(topic: &str, name: &str, fence: Fence) -> Renewal {
    Renewal { topic: topic.to_owned(), session: name.into(), fence, input_ms_ago: 0, trace: None }
}

pub(crate) async fn many_are_renewed_at_once(site: Site) -> Result<()> {
    let pens = site.pens;
    let mut renewals = Vec::new();
    let mut before = Vec::new();
    for n in 0..50 {
        // Against the order of topics, in which a store may look at them.
        let topic = format!("doc:renewed:{}", 99 - n);
        let answered = pens.acquire(&topic, claimant("ada/1"), Terms::default()).await?;
        renewals.push(renewal(&topic, "ada/1", answered.pen.fence));
        before.push(answered.pen.deadline);
    }
    let _ = pens.acquire(&renewals[7].topic, claimant("bob/1"), waiting()).await?;
    sleep(Duration::from_millis(20)).await;
    let answers = pens.renew(&renewals).await?;
    for ((renewal, answered), before) in renewals.iter().zip(answers).zip(before) {
        assert!(answered.pen.deadline > before, "{}", renewal.topic);
        let deadline = answered.pen.deadline.context("no deadline")?;
        assert_eq!(answered.outcome, Ok(Outcome::Renewed { deadline }));
        assert_eq!(told(&answered.events), ["renewed by free"]);
        assert_eq!(pens.pen(&renewal.topic).await?.pen, answered.pen);
        assert_eq!(pens.log(&renewal.topic, 1, 10).await?, answered.events);
    }
    Ok(())
}

pub(crate) async fn renewal_that_is_too_late_is_refused_alone(site: Site) -> Result<()> {
    let pens = site.pens;
    let first = acquire(&pens, "short:late", "ada/1").await?.context("not granted")?;
    until_free(&pens, "short:late").await?;
    let held = acquire(&pens, "doc:late", "ada/1").await?.context("not granted")?;
    let wrong = Fence(held.0 + 1);
    let mut idle = renewal("doc:late", "ada/1", held);
    idle.input_ms_ago = 60_000;
    let renewals = [
        renewal("short:late", "ada/1", first),
        renewal("doc:late", "bob/1", held),
        renewal("doc:late", "ada/1", wrong),
        renewal("doc:never", "ada/1", held),
        idle,
        renewal("doc:late", "ada/1", held),
    ];
    sleep(Duration::from_millis(5)).await;
    let answers = pens.renew(&renewals).await?;
    for answered in &answers[..4] {
        assert_eq!(answered.outcome, Err(Refusal::LeaseLost));
    }
    assert!(answers[4].events.is_empty() && answers[4].outcome.is_ok(), "an idle holder");
    assert_eq!(told(&answers[5].events), ["renewed by free"]);
    assert!(pens.renew(&[]).await?.is_empty());
    Ok(())
}

pub(crate) async fn pens_of_a_person_are_found(site: Site) -> Result<()> {
    let pens = site.pens;
    for topic in ["doc:of:2", "doc:of:1", "doc:of:3"] {
        acquire(&pens, topic, "olga/1").await?;
    }
    acquire(&pens, "doc:of:4", "omar/1").await?;
    let olga = PersonId::from("olga");
    let found = pens.held_by(&olga, 10).await?;
    let topics: Vec<_> = found.iter().map(|reading| reading.topic.as_str()).collect();
    assert_eq!(topics, ["doc:of:1", "doc:of:2", "doc:of:3"]);
    assert_eq!(pens.held_by(&olga, 2).await?.len(), 2);
    let _ = pens.leave("doc:of:1", "olga/1".into()).await?;
    assert_eq!(pens.held_by(&olga, 10).await?.len(), 2);
    Ok(())
}

pub(crate) async fn reading_changes_nothing(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "short:reading");
    let held = pens.acquire(topic, claimant("ada/1"), Terms::default()).await?;
    until_free(&pens, topic).await?;
    let read = pens.pen(topic).await?;
    assert_eq!((read.pen.holder, read.pen.fence), (None, held.pen.fence));
    assert!(Some(read.at) >= held.pen.deadline);
    assert_eq!(pens.log(topic, 0, 10).await?.len(), 1, "nobody has written that it expired");
    Ok(())
}

fn claim(by: &PersonId, fence: Option<Fence>) -> WriteClaim<'_> {
    WriteClaim { by, fence }
}

pub(crate) async fn stale_fence_writes_nothing(site: Site) -> Result<()> {
    let pens = site.pens;
    let (ada, bob) = (PersonId::from("ada"), PersonId::from("bob"));
    assert_eq!(check(&pens, claim(&bob, None)).await?, WriteCheck::Accepted);
    let first = acquire(&pens, TOPIC, "ada/1").await?;
    assert_eq!(check(&pens, claim(&ada, first)).await?, WriteCheck::Accepted);
    let collides = WriteCheck::Collides { holder: claimant("ada/1").person, flag: true };
    assert_eq!(check(&pens, claim(&bob, None)).await?, collides);
    let second = acquire(&pens, TOPIC, "ada/2").await?;
    let stale = WriteCheck::Stale { holder: Some(claimant("ada/1").person) };
    assert_eq!(check(&pens, claim(&ada, first)).await?, stale);
    assert_eq!(check(&pens, claim(&ada, second)).await?, WriteCheck::Accepted);
    let _ = pens.leave(TOPIC, "ada/2".into()).await?;
    assert_eq!(check(&pens, claim(&ada, second)).await?, WriteCheck::Stale { holder: None });
    Ok(())
}

async fn check(pens: &Pens, claim: WriteClaim<'_>) -> Result<WriteCheck> {
    let write = pens.begin_write(TOPIC, claim).await?;
    write.transaction.commit().await?;
    Ok(write.check)
}

pub(crate) async fn no_decision_while_a_write_is_under_way(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:writing");
    let fence = acquire(&pens, topic, "ada/1").await?;
    let ada = PersonId::from("ada");
    let write = pens.begin_write(topic, claim(&ada, fence)).await?;
    assert_eq!(write.check, WriteCheck::Accepted);
    let mut other = tokio::spawn({
        let pens = pens.clone();
        async move { acquire(&pens, topic, "ada/2").await }
    });
    let early = timeout(Duration::from_millis(200), &mut other).await;
    assert!(early.is_err(), "the pen went on under a write: {early:?}");
    write.transaction.commit().await?;
    assert!(other.await?? > fence);
    Ok(())
}

pub(crate) async fn time_is_read_after_the_lock(site: Site) -> Result<()> {
    let pens = site.pens;
    let ada = PersonId::from("ada");
    // The holder's deadline passes while another waits for the lock: then it has passed.
    let topic = "short:waited";
    let fence = acquire(&pens, topic, "ada/1").await?;
    let write = pens.begin_write(topic, claim(&ada, fence)).await?;
    let other = tokio::spawn({
        let pens = pens.clone();
        async move { pens.tick(topic).await }
    });
    sleep(Duration::from_millis(350)).await;
    write.transaction.commit().await?;
    assert_eq!(told(&other.await??.events), ["expired by expired"]);

    // A free pen is granted from when the lock was had.
    let topic = "doc:waited";
    let fence = acquire(&pens, topic, "ada/1").await?.context("not granted")?;
    let _ = pens.release(topic, "ada/1".into(), fence).await?;
    let write = pens.begin_write(topic, claim(&ada, None)).await?;
    let other = tokio::spawn({
        let pens = pens.clone();
        async move { pens.acquire(topic, claimant("bob/1"), Terms::default()).await }
    });
    sleep(Duration::from_millis(200)).await;
    write.transaction.commit().await?;
    let granted = other.await??;
    assert!(granted.at >= write.at.after(200), "{:?} after {:?}", granted.at, write.at);
    assert_eq!(granted.pen.deadline, Some(granted.at.after(30_000)));
    Ok(())
}

pub(crate) async fn draft_is_kept_for_its_author(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:draft");
    let (ada, bob) = (claimant("ada/1").person, claimant("bob/1").person);
    assert_eq!(pens.draft(topic, &ada.id).await?, None);
    pens.leave_draft(topic, &ada, b"first").await?;
    let at = pens.leave_draft(topic, &ada, &[0, 255, 7]).await?;
    let draft = pens.draft(topic, &ada.id).await?.context("no draft")?;
    assert_eq!((draft.draft, draft.left_by, draft.at), (vec![0, 255, 7], ada, at));
    acquire(&pens, topic, "bob/1").await?;
    assert_eq!(pens.draft(topic, &bob.id).await?, None, "not even for the holder");
    assert_eq!(pens.draft("doc:other", &bob.id).await?, None);
    Ok(())
}

pub(crate) async fn next_holder_reads_the_draft_where_the_policy_says_so(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "open:draft");
    let (ada, bob) = (claimant("ada/1").person, claimant("bob/1").person);
    pens.leave_draft(topic, &ada, b"hers").await?;
    assert_eq!(pens.draft(topic, &bob.id).await?, None, "he does not hold the pen");
    let fence = acquire(&pens, topic, "bob/1").await?.context("not granted")?;
    assert_eq!(pens.draft(topic, &bob.id).await?.context("no draft")?.draft, b"hers");
    pens.leave_draft(topic, &bob, b"his").await?;
    assert_eq!(
        pens.draft(topic, &bob.id).await?.context("no draft")?.draft,
        b"his",
        "his own first"
    );
    assert_eq!(pens.draft(topic, &ada.id).await?.context("no draft")?.draft, b"hers");
    let _ = pens.release(topic, "bob/1".into(), fence).await?;
    assert_eq!(pens.draft(topic, &PersonId::from("carl")).await?, None);
    Ok(())
}

pub(crate) async fn draft_is_bounded_and_expires(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "short:draft");
    let ada = claimant("ada/1").person;
    pens.leave_draft(topic, &ada, &vec![7; DRAFT_BYTES_MAX]).await?;
    let long = pens.leave_draft(topic, &ada, &vec![7; DRAFT_BYTES_MAX + 1]).await;
    assert!(matches!(long, Err(StoreError::DraftTooLong)));
    sleep(Duration::from_millis(120)).await;
    assert_eq!(pens.draft(topic, &ada.id).await?, None, "its time is over");
    acquire(&pens, topic, "ada/1").await?;
    sleep(Duration::from_millis(20)).await;
    let old = Retention { keep_ms: 1, ..Retention::default() };
    assert!(Tickets::new(&pens, Rules::default()).expire(old).await? > 0);
    assert_eq!(pens.log(topic, 0, 10).await?, [], "nor is the log kept for ever");
    let next = pens.leave(topic, "ada/1".into()).await?;
    assert_eq!(next.events[0].seq, 2, "but no number comes again");
    Ok(())
}

pub(crate) async fn what_cannot_be_kept_is_refused(site: Site) -> Result<()> {
    let pens = site.pens;
    let nul = "a\0b";
    let ada = || claimant("ada/1");
    let refused = [
        pens.acquire(nul, ada(), Terms::default()).await.err(),
        pens.acquire(TOPIC, claimant(nul), Terms::default()).await.err(),
        pens.acquire(TOPIC, ada(), terms(nul)).await.err(),
        pens.request(TOPIC, ada(), Some(nul.to_owned())).await.err(),
        pens.leave_draft(TOPIC, &claimant(nul).person, b"").await.err(),
        pens.pen(nul).await.err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Some(StoreError::Unstorable)), "{refused:?}");
    }
    // All else is kept as it is.
    let name = "\u{1}'\"\\ \u{10ffff}/1";
    let answered = pens.acquire("doc:odd", claimant(name), terms("'\u{7f}")).await?;
    assert_eq!(pens.pen("doc:odd").await?.pen, answered.pen);
    assert_eq!(pens.log("doc:odd", 0, 1).await?, answered.events);
    Ok(())
}

pub(crate) async fn session_without_a_pen_leaves_no_row(site: Site) -> Result<()> {
    let (pens, topic) = (site.pens, "doc:nothing");
    let gone = pens.disconnect(topic, "ada/1".into()).await?;
    assert_eq!((gone.outcome, gone.events.len()), (Ok(Outcome::Disconnected), 0));
    let _ = pens.leave(topic, "ada/1".into()).await?;
    assert_eq!(pens.resume(topic, "ada/1".into()).await?.outcome, Err(Refusal::LeaseLost));
    assert_eq!(
        pens.request(topic, claimant("ada/1"), None).await?.outcome,
        Ok(Outcome::NobodyHolds)
    );
    assert!(pens.tick(topic).await?.events.is_empty());
    let invalid = Terms { ttl_ms: Some(1), ..Terms::default() };
    let refused = pens.acquire(topic, claimant("ada/1"), invalid).await?;
    assert_eq!(refused.outcome, Err(Refusal::InvalidTtl));
    assert_eq!(pens.pen(topic).await?.pen.fence, Fence::NONE);
    Ok(())
}
