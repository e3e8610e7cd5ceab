//! Consumers of the event log: who they are, and what is owed to them.
//!
//! # How no event is lost
//!
//! A write enters a *delivery* for each consumer that wants it, in its own transaction ([`outbox`]): committed,
//! it is owed; rolled back, it never was. Nobody reads the log by "id greater than the last": ids are drawn before
//! the commit, so a reader who has gone past an id misses the write that had it and committed late. With
//! deliveries there is no position that could be passed; what is owed is a row until it is done.
//!
//! Consumers come, go and change their filters under a lock that every write shares from its append to the log until it
//! ends. It is taken behind the rows of pens and tickets, and before counters. So a consumer
//! gets every write that commits after the answer to its making, also of those that were under way.
//!
//! The log has two parts: `pen_log` for pens, which enter what they owe within the statements that write them, and
//! `event_log` for all else. The view `written` has both.
//!
//! # Lines
//!
//! What belongs to one topic, such as a ticket with its pen, is one *line* for each consumer: the next of it is delivered when the one before is
//! delivered or given up. A line is a row while something waits in it. Whoever adds to a line and whoever takes
//! from it write that row: or the last could be taken while another is added, and nobody would come for that one.
//! A worker [claims](Consumers::claim) lines for a while by the store's clock; who dies leaves them to the next.
//! Rows are locked in one order, or two would wait for each other: pens, tickets, who the consumers are, counters of topics (that of all
//! tickets last), lines, the log (writes before pens), deliveries; each sort in the order of its keys. Deliveries are locked by whoever
//! has their row of the log; who has not waits for none of them.
//!
//! # Bounds
//!
//! A row of the log stays while a delivery of it waits or is parked, even when its topics have let go of it, but no
//! longer than the log is kept by age: then it goes with all its deliveries.

mod body;
mod claim;
mod deliveries;
mod filter;
mod hasten;
pub(crate) mod outbox;
mod replay;
pub(crate) mod retention;

use std::fmt;
use std::sync::Arc;

use penholder_lease::StoreMs;
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::claim::{Claimed, Outcome, Settled, Waiting};
pub use self::deliveries::{Backlog, Delivery, DeliveryState};
pub use self::filter::{EventFilter, FILTER_LEN_MAX, InvalidFilter, PATTERN_BYTES_MAX};
pub use self::replay::Replay;
use crate::error::StoreError;
use crate::pens::Pens;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, execute, from_row, rows};
use crate::tickets::Tickets;

/// Most consumers.
pub const CONSUMERS_MAX: u32 = 100;

/// For how long a secret that was replaced signs too, in milliseconds.
const PREVIOUS_SECRET_MS: u64 = 24 * 60 * 60 * 1000;

/// A consumer's id, a UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(String);

impl ConsumerId {
    /// Reads an id as it is written: lower case, with hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?.as_hyphenated().to_string();
        (id == text).then_some(Self(id))
    }

    /// Returns it as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is shown to nobody who prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(pub String);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}

/// The secret before the one that signs, for receivers that do not know that one yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// From then on it signs nothing any more, and is forgotten.
    pub until: StoreMs,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To an address of the web.
    Webhook {
        /// The address.
        url: String,
        /// Signs what is sent there.
        secret: SigningSecret,
        /// The secret before, where that signs too.
        previous: Option<PreviousSecret>,
    },
    /// To the program that the server is built into.
    InProcess,
}

impl Destination {
    /// As it is at a time, when a secret that was replaced may be forgotten.
    fn at(mut self, now: StoreMs) -> Self {
        if let Self::Webhook { previous, .. } = &mut self {
            previous.take_if(|previous| previous.until <= now);
        }
        self
    }
}

/// Whether a consumer is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerState {
    /// It is.
    Active,
    /// What it wants waits for it, as long as the log is kept.
    Paused,
}

impl ConsumerState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }
}

/// What a consumer is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsumer {
    /// What it is called; no other is called that.
    pub name: String,
    /// What it wants.
    pub filter: EventFilter,
    /// Where that goes.
    pub destination: Destination,
}

/// A consumer as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its id.
    pub id: ConsumerId,
    /// What it is called.
    pub name: String,
    /// What it wants.
    pub filter: EventFilter,
    /// Where that goes.
    pub destination: Destination,
    /// Whether it gets it.
    pub state: ConsumerState,
    /// Since when there is such a one.
    pub created_at: StoreMs,
    /// Whether events of before are being entered for it.
    pub is_replaying: bool,
}

/// What of a consumer is to be different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerChanges {
    /// What it wants from now on. What is owed already stays owed.
    pub filter: Option<EventFilter>,
    /// The address of a webhook.
    pub url: Option<String>,
    /// What signs what is sent there. The one before signs too for a day.
    pub secret: Option<SigningSecret>,
    /// Whether it is sent anything.
    pub state: Option<ConsumerState>,
}

impl ConsumerChanges {
    /// Whether what has failed may succeed now: at another address, under another secret, or when it is active again.
    #[must_use]
    pub fn may_mend(&self) -> bool {
        let is_active = self.state == Some(ConsumerState::Active);
        self.url.is_some() || self.secret.is_some() || is_active
    }
}

/// Nothing is different.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// There is no such consumer, delivery or event.
    #[error("not found")]
    NotFound,
    /// Another has that name. The caller has to choose a different one.
    #[error("another consumer has that name")]
    NameTaken,
    /// There are as many as may be. One has to go first.
    #[error("there are {CONSUMERS_MAX} consumers, which is as many as may be")]
    TooMany,
    /// One without a webhook has no address.
    #[error("the consumer has no address")]
    NoWebhook,
    /// It is still entering the events of the last replay. Trying again later helps.
    #[error("the consumer is being replayed to")]
    Replaying,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ConsumerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// All consumers, and what is owed to them. A value is cheap to clone.
#[derive(Debug, Clone)]
pub struct Consumers {
    pens: Pens,
    news: Arc<Notify>,
}

/// A consumer, and how often it was mended.
struct Row(Consumer, i64);

from_row!(Row, |row| {
    let wrong = |what: &str| sqlx::Error::Decode(what.to_owned().into());
    let id: String = row.try_get("id")?;
    let filter: String = row.try_get("filter")?;
    let kind: String = row.try_get("kind")?;
    let state: String = row.try_get("state")?;
    let (url, secret): (Option<String>, Option<String>) =
        (row.try_get("url")?, row.try_get("secret")?);
    let previous: Option<String> = row.try_get("previous_secret")?;
    let until: Option<i64> = row.try_get("previous_until_ms")?;
    let replays_until: Option<i64> = row.try_get("replay_until_ms")?;
    let created: i64 = row.try_get("created_ms")?;
    let time = |ms: i64| u64::try_from(ms).map(StoreMs).map_err(|_| wrong("a time is negative"));
    let consumer = Consumer {
        id: ConsumerId(id),
        name: row.try_get("name")?,
        filter: EventFilter::read(&filter).ok_or_else(|| wrong("a filter is none"))?,
        destination: match (kind.as_str(), url, secret) {
            ("webhook", Some(url), Some(secret)) => {
                let previous = match previous.zip(until) {
                    Some((secret, until)) => {
                        Some(PreviousSecret { secret: SigningSecret(secret), until: time(until)? })
                    }
                    None => None,
                };
                Destination::Webhook { url, secret: SigningSecret(secret), previous }
            }
            ("in_process", None, None) => Destination::InProcess,
            _ => return Err(wrong("a destination is none")),
        },
        state: match state.as_str() {
            "active" => ConsumerState::Active,
            "paused" => ConsumerState::Paused,
            _ => return Err(wrong("a consumer has an unknown state")),
        },
        created_at: time(created)?,
        is_replaying: replays_until.is_some(),
    };
    Ok(Self(consumer, row.try_get("mended")?))
});

const SELECT: &str =
    "SELECT id, name, filter, kind, url, secret, previous_secret, previous_until_ms, state, created_ms,
        replay_until_ms, mended
    FROM consumers WHERE state <> 'removed' AND ($1 = '' OR id = $1) ORDER BY id";

async fn find(connection: &mut Connection<'_>, id: &ConsumerId) -> Result<Consumer, ConsumerError> {
    let found: Option<Row> = rows!(connection, fetch_optional, SELECT, id.as_str());
    found.map(|row| row.0).ok_or(ConsumerError::NotFound)
}

impl Consumers {
    /// Those of the events of these tickets.
    #[must_use]
    pub fn new(tickets: &Tickets) -> Self {
        Self { pens: tickets.pens().clone(), news: tickets.news() }
    }

    /// Returns when something new may be owed, in this process. What other processes write is not heard of.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Makes a consumer. It gets what is committed from now on.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NameTaken`] or [`ConsumerError::TooMany`], or see [`StoreError`].
    pub async fn create(&self, new: NewConsumer) -> Result<Consumer, ConsumerError> {
        let texts = [new.name.as_str(), new.url().unwrap_or_default()];
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(StoreError::Unstorable.into());
        }
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        outbox::lock_roster(&mut connection, self.pens.known()?).await?;
        let (taken, count): (i64, i64) = rows!(
            &mut connection,
            fetch_one,
            "SELECT count(CASE WHEN name = $1 THEN 1 END), count(*) FROM consumers
             WHERE state <> 'removed'",
            &new.name,
        );
        if taken > 0 {
            return Err(ConsumerError::NameTaken);
        }
        if unsigned(count)? >= u64::from(CONSUMERS_MAX) {
            return Err(ConsumerError::TooMany);
        }
        let id = ConsumerId(Uuid::now_v7().as_hyphenated().to_string());
        let (kind, secret) = match &new.destination {
            Destination::Webhook { secret, .. } => ("webhook", Some(secret.0.as_str())),
            Destination::InProcess => ("in_process", None),
        };
        execute!(
            &mut connection,
            "INSERT INTO consumers (id, name, filter, kind, url, secret, state, created_ms)
             VALUES ($1, $2, $3, $4, $5, $6, 'active', $7)",
            id.as_str(),
            &new.name,
            new.filter.to_text(),
            kind,
            new.url(),
            secret,
            signed(now.0),
        );
        let made = find(&mut connection, &id).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// Sees to it that there is a consumer within this program of that name, which wants that.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NameTaken`], where one with a webhook has the name; otherwise as [`create`](Self::create).
    pub async fn begin_in_process(
        &self,
        name: &str,
        filter: EventFilter,
    ) -> Result<Consumer, ConsumerError> {
        let destination = Destination::InProcess;
        let new = NewConsumer { name: name.to_owned(), filter: filter.clone(), destination };
        let found = match self.create(new).await {
            // By an earlier life, or by another replica just now.
            Err(ConsumerError::NameTaken) => {
                let mut all = self.list().await?.into_iter();
                all.find(|consumer| consumer.name == name).ok_or(ConsumerError::NameTaken)?
            }
            made => return made,
        };
        if found.destination != Destination::InProcess {
            return Err(ConsumerError::NameTaken);
        }
        if found.filter == filter {
            return Ok(found);
        }
        let changes = ConsumerChanges { filter: Some(filter), ..ConsumerChanges::default() };
        self.change(&found.id, &changes).await
    }

    /// Reads all, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn list(&self) -> Result<Vec<Consumer>, StoreError> {
        let mut reader = self.pens.reader().await?;
        let all: Vec<Row> = rows!(&mut reader.connection(), fetch_all, SELECT, "");
        Ok(all.into_iter().map(|row| row.0).collect())
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotFound`], or see [`StoreError`].
    pub async fn consumer(&self, id: &ConsumerId) -> Result<Consumer, ConsumerError> {
        find(&mut self.pens.reader().await?.connection(), id).await
    }

    /// Changes one. Where that [may mend](ConsumerChanges::may_mend) it, what waits to be tried again may be
    /// [hastened](Self::hasten) then; what is being tried meanwhile, and fails, is tried again at once.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotFound`] or [`ConsumerError::NoWebhook`], or see [`StoreError`].
    pub async fn change(
        &self,
        id: &ConsumerId,
        changes: &ConsumerChanges,
    ) -> Result<Consumer, ConsumerError> {
        let secret = changes.secret.as_ref().map(|secret| secret.0.as_str());
        if [changes.url.as_deref(), secret].into_iter().flatten().any(|it| it.contains('\0')) {
            return Err(StoreError::Unstorable.into());
        }
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        outbox::lock_roster(&mut connection, self.pens.known()?).await?;
        let before = find(&mut connection, id).await?;
        let is_of_webhook = changes.url.is_some() || changes.secret.is_some();
        if is_of_webhook && before.destination == Destination::InProcess {
            return Err(ConsumerError::NoWebhook);
        }
        execute!(
            &mut connection,
            "UPDATE consumers SET filter = coalesce($2, filter), url = coalesce($3, url),
                 state = coalesce($4, state), mended = mended + $5 WHERE id = $1",
            id.as_str(),
            changes.filter.as_ref().map(EventFilter::to_text),
            changes.url.as_deref(),
            changes.state.map(ConsumerState::as_str),
            i64::from(changes.may_mend()),
        );
        if let Some(secret) = secret {
            // The same again is no other: whoever asks twice keeps the one before.
            execute!(
                &mut connection,
                "UPDATE consumers SET secret = $2, previous_secret = secret, previous_until_ms = $3
                 WHERE id = $1 AND secret <> $2",
                id.as_str(),
                secret,
                signed(now.after(PREVIOUS_SECRET_MS).0),
            );
        }
        let after = find(&mut connection, id).await?;
        transaction.commit().await?;
        self.news.notify_one();
        Ok(after)
    }

    /// Takes one away. What is owed to it is owed to nobody any more; its rows go with the next
    /// [`Tickets::expire`], as there may be many.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotFound`], or see [`StoreError`].
    pub async fn remove(&self, id: &ConsumerId) -> Result<(), ConsumerError> {
        let mut transaction = self.pens.transaction().await?;
        let mut connection = transaction.connection();
        outbox::lock_roster(&mut connection, self.pens.known()?).await?;
        // The name is free again at once.
        let removed = execute!(
            &mut connection,
            "UPDATE consumers SET state = 'removed', name = id, secret = NULL, previous_secret = NULL,
                 previous_until_ms = NULL, replay_until_ms = NULL
             WHERE id = $1 AND state <> 'removed'",
            id.as_str(),
        );
        if removed == 0 {
            return Err(ConsumerError::NotFound);
        }
        transaction.commit().await?;
        Ok(())
    }
}

impl NewConsumer {
    fn url(&self) -> Option<&str> {
        match &self.destination {
            Destination::Webhook { url, .. } => Some(url),
            Destination::InProcess => None,
        }
    }
}
