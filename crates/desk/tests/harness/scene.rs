//! People, policies and shorthands.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use penholder_desk::{Answered, Logged, Pens};
use penholder_lease::{
    Claimant, DraftReaders, Fence, IfHeld, Kind, Outcome, PenState, Person, Policies, Policy, Role,
    SessionId, Terms, Timeline,
};
use tokio::time::{Instant, sleep};

/// How long a condition may take to come true on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pens of `short` topics live for a moment, those of `blink` topics for less, `open` ones show drafts to the next holder, all others are as by
/// default.
pub(crate) fn policies() -> Policies {
    let short = Policy {
        ttl_ms: 300,
        request_after_ms: 100,
        drain_ms: 100,
        grace_ms: 100,
        draft_keep_ms: 100,
        ..Policy::default()
    };
    let blink = Policy { ttl_ms: 30, ..Policy::default() };
    let open = Policy { draft_readers: DraftReaders::AuthorAndNextHolder, ..Policy::default() };
    let by_namespace = BTreeMap::from([
        ("short".to_owned(), short),
        ("open".to_owned(), open),
        ("blink".to_owned(), blink),
    ]);
    Policies { by_namespace, ..Policies::default() }
}

/// Somebody in the session `name`, which is `person/tab`.
pub(crate) fn claimant(name: &str) -> Claimant {
    let id = name.split('/').next().unwrap_or(name);
    let kind = if id.starts_with("bot") { Kind::Ai } else { Kind::Human };
    let person = Person { id: id.into(), name: id.to_uppercase(), kind };
    Claimant { session: SessionId::from(name), person, role: Role::Agent }
}

pub(crate) fn terms(request_id: &str) -> Terms {
    Terms { request_id: Some(request_id.into()), ..Terms::default() }
}

pub(crate) fn waiting() -> Terms {
    Terms { if_held: IfHeld::Wait, ..Terms::default() }
}

/// Acquires, and returns the fence if that has succeeded.
pub(crate) async fn acquire(pens: &Pens, topic: &str, name: &str) -> Result<Option<Fence>> {
    Ok(fence(&pens.acquire(topic, claimant(name), Terms::default()).await?))
}

/// The fence that an answer grants.
pub(crate) fn fence(answered: &Answered) -> Option<Fence> {
    match answered.outcome {
        Ok(Outcome::Granted { fence, .. }) => Some(fence),
        _ => None,
    }
}

/// What events say, in short.
pub(crate) fn told(events: &[Logged]) -> Vec<String> {
    let told = |logged: &Logged| format!("{} by {}", logged.event.kind, logged.event.rule);
    events.iter().map(told).collect()
}

/// The timeline that a fence was granted on.
pub(crate) fn timeline(fence: Fence) -> Timeline {
    Timeline(u32::try_from(fence.0 >> 40).unwrap_or(u32::MAX))
}

/// Waits until a pen is free by its deadline.
pub(crate) async fn until_free(pens: &Pens, topic: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while pens.pen(topic).await?.pen.state != PenState::Free {
        if Instant::now() > end {
            bail!("{topic} is not free");
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until a topic is due, and returns what was asked last.
pub(crate) async fn until_due(pens: &Pens, topic: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !pens.due(1000).await?.topics.iter().any(|due| due == topic) {
        if Instant::now() > end {
            bail!("{topic} is not due");
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
