//! What is owed and was delivered, for those who look after it.

use penholder_lease::StoreMs;

use super::{ConsumerError, ConsumerId, Consumers, find};
use crate::error::StoreError;
use crate::row::{signed, unsigned};
use crate::statement::{from_row, rows};

/// How many deliveries of one consumer and state are counted.
const COUNTED_MAX: i64 = 100_000;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its turn, or to be tried again.
    Pending,
    /// The consumer has it.
    Delivered,
    /// It was given up; a replay tries it again.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Delivered, Self::Failed];

    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Returns what a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

/// One event for one consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id.
    pub event: String,
    /// What the event is called.
    pub name: String,
    /// The topic of what was written, if it has one, and its number there.
    pub place: Option<(String, u64)>,
    /// When it was written.
    pub occurred_at: StoreMs,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried, since the last replay of it.
    pub attempts: u64,
    /// When it was tried last.
    pub last_at: Option<StoreMs>,
    /// When it is tried next, where that is known: what has never been tried goes when its turn comes.
    pub next_at: Option<StoreMs>,
    /// The status of the last answer, where there was one.
    pub status: Option<u16>,
    /// What went wrong at the last attempt.
    pub error: Option<String>,
}

/// How much is owed to all consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// What waits; of each consumer 100 000 are counted at most.
    pub pending: u64,
    /// What was given up; counted so far as well.
    pub failed: u64,
    /// How long ago the first of what waits was written.
    pub oldest_ms: u64,
}

from_row!(Delivery, |row| {
    let wrong = |what: &str| sqlx::Error::Decode(what.to_owned().into());
    let count = |number: i64| u64::try_from(number).map_err(|_| wrong("a number is negative"));
    let time = |name: &str| match row.try_get::<Option<i64>, _>(name)? {
        Some(ms) => count(ms).map(|ms| Some(StoreMs(ms))),
        None => Ok(None),
    };
    let (topic, seq): (Option<String>, Option<i64>) = (row.try_get("topic")?, row.try_get("seq")?);
    let state: String = row.try_get("state")?;
    let status: Option<i64> = row.try_get("status")?;
    let (entity, op): (String, String) = (row.try_get("entity_type")?, row.try_get("op")?);
    Ok(Self {
        event: row.try_get("event_id")?,
        name: format!("{entity}.{op}"),
        place: match (topic, seq) {
            (Some(topic), Some(seq)) => Some((topic, count(seq)?)),
            _ => None,
        },
        occurred_at: time("occurred_ms")?.ok_or_else(|| wrong("an event has no time"))?,
        state: DeliveryState::from_word(&state).ok_or_else(|| wrong("an unknown state"))?,
        attempts: count(row.try_get("attempts")?)?,
        last_at: time("last_ms")?,
        next_at: time("next_ms")?,
        status: status.map(u16::try_from).transpose().map_err(|_| wrong("no status"))?,
        error: row.try_get("error")?,
    })
});

/// The last $3 deliveries of consumer $1 before event $2, of all or of some.
macro_rules! select_deliveries {
    ($of:literal) => {
        concat!(
            "SELECT d.event_id, e.entity_type, e.op, e.topic, e.seq, e.occurred_ms, d.state, d.attempts,
                 d.last_ms, d.next_ms, d.status, d.error
             FROM (
                 SELECT * FROM deliveries WHERE consumer_id = $1 AND event_id < $2",
            $of,
            " ORDER BY event_id DESC LIMIT $3
             ) AS d JOIN written AS e ON e.id = d.event_id
             ORDER BY d.event_id DESC"
        )
    };
}

impl Consumers {
    /// Reads up to `limit` deliveries of a consumer, those of the newest events first, before an event where one is given. They are kept as
    /// long as the event.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotFound`], or see [`StoreError`].
    pub async fn deliveries(
        &self,
        consumer: &ConsumerId,
        state: Option<DeliveryState>,
        (limit, before): (u32, Option<&str>),
    ) -> Result<Vec<Delivery>, ConsumerError> {
        let mut reader = self.pens.reader().await?;
        let mut connection = reader.connection();
        find(&mut connection, consumer).await?;
        let (limit, consumer) = (i64::from(limit), consumer.as_str());
        // Above all ids.
        let before = before.unwrap_or("~");
        Ok(match state {
            Some(state) => {
                const SQL: &str = select_deliveries!(" AND state = $4");
                let state = state.as_str();
                rows!(&mut connection, fetch_all, SQL, consumer, before, limit, state)
            }
            None => {
                const SQL: &str = select_deliveries!("");
                rows!(&mut connection, fetch_all, SQL, consumer, before, limit)
            }
        })
    }

    /// Counts what is owed to all consumers.
    ///
    /// Cost: in proportion to what is counted.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let mut reader = self.pens.reader().await?;
        let now = self.pens.now(&mut reader).await?;
        let mut connection = reader.connection();
        let ids: Vec<(String,)> =
            rows!(&mut connection, fetch_all, "SELECT id FROM consumers WHERE state <> 'removed'",);
        let mut backlog = Backlog::default();
        for (id,) in ids {
            let (pending, failed, oldest): (i64, i64, Option<i64>) = rows!(
                &mut connection,
                fetch_one,
                "SELECT
                     (SELECT count(*) FROM (SELECT 1 FROM deliveries
                      WHERE consumer_id = $1 AND state = 'pending' LIMIT $2) AS p),
                     (SELECT count(*) FROM (SELECT 1 FROM deliveries
                      WHERE consumer_id = $1 AND state = 'failed' LIMIT $2) AS f),
                     (SELECT occurred_ms FROM written WHERE id = (SELECT min(event_id) FROM deliveries
                      WHERE consumer_id = $1 AND state = 'pending'))",
                &id,
                COUNTED_MAX,
            );
            backlog.pending += unsigned(pending)?;
            backlog.failed += unsigned(failed)?;
            let age = oldest.map_or(0, |oldest| (signed(now.0) - oldest).max(0));
            backlog.oldest_ms = backlog.oldest_ms.max(unsigned(age)?);
        }
        Ok(backlog)
    }
}
