//! What holds of consumers that are set right while something waits for them.

use anyhow::{Context, Result, bail};
use penholder_desk::{
    Claimed, Consumer, ConsumerChanges, ConsumerReplay, ConsumerState, Consumers, DeliveryState,
    Destination, PreviousSecret, Retention, SigningSecret, Storage,
};
use penholder_lease::StoreMs;
use sqlx::{Connection, PgConnection};

use crate::consumers::{LEASE_MS, delivered, failed, make, only, story};
use crate::stage::{Site, execute, texts};

/// Longer than any test takes.
const FAR_MS: Option<u64> = Some(600_000);

fn url(url: &str) -> ConsumerChanges {
    ConsumerChanges { url: Some(url.to_owned()), ..ConsumerChanges::default() }
}

fn secret(text: &str) -> ConsumerChanges {
    let secret = SigningSecret(text.to_owned());
    ConsumerChanges { secret: Some(secret), ..ConsumerChanges::default() }
}

fn state(state: ConsumerState) -> ConsumerChanges {
    ConsumerChanges { state: Some(state), ..ConsumerChanges::default() }
}

async fn claim(consumers: &Consumers, one: &Consumer) -> Result<Vec<Claimed>> {
    Ok(consumers.claim(&one.id, 16, LEASE_MS).await?)
}

pub(crate) async fn what_waits_is_tried_at_once_when_it_may_help(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.created"]).await?;
    // More than are hastened in one transaction, each in a line of its own.
    for _ in 0..2 {
        story(&site).await?;
    }
    let more = "INSERT INTO delivery_lines (consumer_id, line, next_ms)
        SELECT c.id, 'line ' || n.n, 9000000000000 FROM consumers AS c, (
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
            SELECT n FROM n) AS n";
    execute(&site.place, more).await?;
    let far = "SELECT line FROM delivery_lines WHERE next_ms = 9000000000000";
    for changes in
        [url("https://example.org/b"), secret("whsec_eB=="), state(ConsumerState::Active)]
    {
        for claimed in claim(&consumers, &one).await?.into_iter().take(2) {
            consumers.settle(failed(claimed, FAR_MS)).await?;
        }
        consumers.change(&one.id, &changes).await?;
        consumers.hasten(&one.id).await?;
        assert_eq!(consumers.waiting().await?[0].due_in_ms, 0, "{changes:?}");
        assert!(texts(&site.place, far).await?.is_empty(), "{changes:?}");
        let pending = Some(DeliveryState::Pending);
        let waiting = consumers.deliveries(&one.id, pending, (9, None)).await?;
        assert!(waiting.len() == 2 && waiting.iter().all(|it| it.attempts > 0), "{waiting:?}");
    }
    Ok(())
}

/// Also where nothing was hastened: what failed was begun before the change.
pub(crate) async fn failure_of_the_old_address_is_no_reason_to_wait(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.created"]).await?;
    story(&site).await?;
    let old = only(claim(&consumers, &one).await?)?;
    consumers.change(&one.id, &url("https://example.org/b")).await?;
    consumers.hasten(&one.id).await?;
    assert!(claim(&consumers, &one).await?.is_empty(), "it is being tried");
    consumers.settle(failed(old, FAR_MS)).await?;
    let new = only(claim(&consumers, &one).await?)?;
    let Destination::Webhook { url, .. } = &new.destination else { bail!("{new:?}") };
    assert_eq!((url.as_str(), new.attempts), ("https://example.org/b", 1));
    // What fails there waits.
    consumers.settle(failed(new, FAR_MS)).await?;
    assert!(claim(&consumers, &one).await?.is_empty());
    assert!(consumers.waiting().await?[0].due_in_ms > 0);
    Ok(())
}

/// What is hastened may be forgotten at the same moment, by somebody who waits for the next of it.
pub(crate) async fn whoever_hastens_waits_for_nobody_who_forgets(site: Site) -> Result<()> {
    let Storage::Postgres { url, .. } = &site.place.0 else {
        // On SQLite they stand in a line.
        return Ok(());
    };
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    story(&site).await?;
    let head = only(claim(&consumers, &one).await?)?;
    consumers.settle(failed(head, FAR_MS)).await?;
    let mut other = PgConnection::connect(url).await?;
    let mut transaction = other.begin().await?;
    sqlx::query("SELECT FROM deliveries FOR UPDATE").execute(&mut *transaction).await?;
    consumers.hasten(&one.id).await?;
    transaction.rollback().await?;
    assert_eq!(consumers.waiting().await?[0].due_in_ms, 0);
    Ok(())
}

pub(crate) async fn parked_one_does_not_wait_behind_the_next(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    story(&site).await?;
    let first = only(claim(&consumers, &one).await?)?;
    let replay = ConsumerReplay::Event(first.event.clone());
    // Once while the next waits for another attempt, once while that is under way.
    consumers.settle(failed(first.clone(), None)).await?;
    let next = only(claim(&consumers, &one).await?)?;
    consumers.settle(failed(next, FAR_MS)).await?;
    consumers.replay(&one.id, &replay).await?;
    let again = only(claim(&consumers, &one).await?)?;
    assert_eq!(again.event, first.event);
    consumers.settle(failed(again, None)).await?;
    execute(&site.place, "UPDATE delivery_lines SET next_ms = 0").await?;
    let next = only(claim(&consumers, &one).await?)?;
    consumers.replay(&one.id, &replay).await?;
    consumers.settle(failed(next.clone(), FAR_MS)).await?;
    let again = only(claim(&consumers, &one).await?)?;
    assert_eq!(again.event, first.event);
    consumers.settle(delivered(again)).await?;
    let last = only(claim(&consumers, &one).await?)?;
    assert_eq!(last.event, next.event);
    Ok(())
}

pub(crate) async fn replaced_secret_signs_for_a_day(site: Site) -> Result<()> {
    let (consumers, one) = make(&site, "one", &["ticket.*"]).await?;
    let secrets = async || -> Result<(String, Option<PreviousSecret>)> {
        let found = consumers.consumer(&one.id).await?.destination;
        let Destination::Webhook { secret, previous, .. } = found else { bail!("no webhook") };
        Ok((secret.0, previous))
    };
    assert_eq!(secrets().await?, ("whsec_eA==".to_owned(), None));
    for _ in 0..2 {
        // Said twice it is said once.
        consumers.change(&one.id, &secret("whsec_eB==")).await?;
        let (now, before) = secrets().await?;
        let before = before.context("none before")?;
        assert_eq!((now.as_str(), before.secret.0.as_str()), ("whsec_eB==", "whsec_eA=="));
    }
    consumers.change(&one.id, &secret("whsec_eC==")).await?;
    let before = secrets().await?.1.context("none before")?;
    assert_eq!(before.secret.0, "whsec_eB==", "one of them is kept");

    story(&site).await?;
    let signs = async |claimed: Vec<Claimed>| -> Result<Option<PreviousSecret>> {
        let claimed = only(claimed)?;
        consumers.settle(failed(claimed.clone(), Some(0))).await?;
        let Destination::Webhook { previous, .. } = claimed.destination else { bail!("nothing") };
        Ok(previous)
    };
    assert_eq!(signs(claim(&consumers, &one).await?).await?, Some(before.clone()));
    site.tickets.expire(Retention::default()).await?;
    assert_eq!(secrets().await?.1, Some(before.clone()));

    // A day later it signs nothing, and then it is forgotten.
    let day = 24 * 60 * 60 * 1000;
    let later = format!("UPDATE consumers SET previous_until_ms = previous_until_ms - {day}");
    execute(&site.place, &later).await?;
    assert_eq!(signs(claim(&consumers, &one).await?).await?, None);
    let until = StoreMs(before.until.0 - day);
    assert_eq!(secrets().await?.1, Some(PreviousSecret { until, ..before }));
    site.tickets.expire(Retention::default()).await?;
    assert_eq!(secrets().await?.1, None);
    let kept = texts(&site.place, "SELECT coalesce(previous_secret, '') FROM consumers").await?;
    assert_eq!(kept, [""]);
    Ok(())
}
