//! Events of before, sent again or for the first time.
//!
//! The rows are entered by and by, so that no transaction is long: a consumer has a cursor, which stands where the
//! last step has ended. What was written since the replay was asked for is owed anyway.

use std::collections::BTreeSet;

use penholder_lease::StoreMs;
use sqlx::AssertSqlSafe;

use super::body::{Logged, select_logged};
use super::claim::begin_again;
use super::{ConsumerError, ConsumerId, Consumers, EventFilter, find};
use crate::error::StoreError;
use crate::events;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, execute, rows};

/// Rows of the log that one step looks at.
const STEP: u32 = 200;

/// Which events are sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// What was written at or after a time.
    FromTime(StoreMs),
    /// What was written to a topic, from one of its numbers on.
    FromSeq {
        /// The ticket's own topic.
        topic: String,
        /// The number for the staff.
        seq: u64,
    },
    /// One event.
    Event(String),
}

/// A replay that is under way.
type Cursor = (String, String, Option<String>, i64, i64, String, i64);

impl Consumers {
    /// Sends a consumer the events again that its filter lets through and that the log still has: those it
    /// already has, those that were parked, and those from before it was there. What waits is left as it is.
    ///
    /// One event is owed when this returns; more are entered [step](Self::step_replay) by step.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotFound`], also of an event that the consumer does not want, [`ConsumerError::Replaying`],
    /// or see [`StoreError`].
    pub async fn replay(&self, id: &ConsumerId, replay: &Replay) -> Result<(), ConsumerError> {
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        let consumer = find(&mut connection, id).await?;
        let (topic, seq, from) = match replay {
            Replay::Event(event) => {
                const SQL: &str = select_logged!(" FROM written AS e WHERE id = $1");
                let found: Option<Logged> = rows!(&mut connection, fetch_optional, SQL, event);
                let found = found.filter(|logged| consumer.filter.wants(&logged.name()));
                let logged = found.ok_or(ConsumerError::NotFound)?;
                enter(&mut connection, id, &[logged], now).await?;
                transaction.commit().await?;
                self.news.notify_one();
                return Ok(());
            }
            Replay::FromSeq { topic, .. } if topic.contains('\0') => {
                return Err(StoreError::Unstorable.into());
            }
            Replay::FromSeq { topic, seq } => (Some(topic.as_str()), signed(*seq), 0),
            Replay::FromTime(at) => (None, 0, signed(at.0)),
        };
        let begun = execute!(
            &mut connection,
            "UPDATE consumers SET replay_topic = $2, replay_seq = $3, replay_ms = $4, replay_id = '',
                 replay_until_ms = $5 WHERE id = $1 AND replay_until_ms IS NULL",
            id.as_str(),
            topic,
            seq,
            from,
            signed(now.0),
        );
        if begun == 0 {
            return Err(ConsumerError::Replaying);
        }
        transaction.commit().await?;
        self.news.notify_one();
        Ok(())
    }

    /// Enters the next events of a replay that is under way, if there is one; returns whether there was. Harmless from
    /// several processes at once.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn step_replay(&self) -> Result<bool, StoreError> {
        const CURSOR: &str = "SELECT id, filter, replay_topic, replay_seq, replay_ms, replay_id, replay_until_ms
            FROM consumers WHERE replay_until_ms IS NOT NULL AND state <> 'removed' ORDER BY id LIMIT 1";
        let mut reader = self.pens.reader().await?;
        let idle: Option<Cursor> = rows!(&mut reader.connection(), fetch_optional, CURSOR);
        drop(reader);
        if idle.is_none() {
            return Ok(false);
        }
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        let lock = match &connection {
            Connection::Sqlite(_) => "",
            // Writes that owe the consumer something go on meanwhile.
            Connection::Postgres(_) => "FOR NO KEY UPDATE SKIP LOCKED",
        };
        let sql = AssertSqlSafe(format!("{CURSOR} {lock}"));
        let cursor: Option<Cursor> = rows!(&mut connection, fetch_optional, sql);
        let Some((id, filter, topic, seq, ms, after, until)) = cursor else { return Ok(false) };
        let filter = EventFilter::read(&filter)
            .ok_or_else(|| sqlx::Error::Decode("a filter is none".into()))?;
        let place = (topic.as_deref(), seq, ms, after.as_str());
        let mut rows = read(&mut connection, place, until).await?;
        let last = rows.last().map(|row| (row.seq() + 1, row.occurred_ms(), row.id.clone()));
        let is_over = rows.len() < STEP as usize;
        rows.retain(|row| filter.wants(&row.name()));
        enter(&mut connection, &ConsumerId(id.clone()), &rows, now).await?;
        let (seq, ms, after) = last.unwrap_or((seq, ms, after));
        execute!(
            &mut connection,
            "UPDATE consumers SET replay_seq = $2, replay_ms = $3, replay_id = $4, replay_until_ms = $5
             WHERE id = $1",
            &id,
            seq,
            ms,
            after,
            Some(until).filter(|_| !is_over),
        );
        transaction.commit().await?;
        Ok(true)
    }
}

async fn read(
    connection: &mut Connection<'_>,
    (topic, seq, ms, after): (Option<&str>, i64, i64, &str),
    until: i64,
) -> Result<Vec<Logged>, StoreError> {
    const OF_TOPIC: &str = select_logged!(
        " FROM written AS e WHERE topic = $1 AND seq >= $2 AND occurred_ms <= $3 AND id IS NOT NULL
         ORDER BY seq LIMIT $4"
    );
    // Each part of the log has its next, as all that follows would be sorted otherwise, at each step.
    const OF_ALL: &str = select_logged!(
        " FROM (
             SELECT id FROM (
                 SELECT id, occurred_ms FROM (
                     SELECT id, occurred_ms FROM event_log
                     WHERE occurred_ms >= $1 AND (occurred_ms > $1 OR id > $2) AND occurred_ms <= $3
                     ORDER BY occurred_ms, id LIMIT $4) AS writes
                 UNION ALL
                 SELECT id, at_ms FROM (
                     SELECT id, at_ms FROM pen_log
                     WHERE at_ms >= $1 AND (at_ms > $1 OR id > $2) AND at_ms <= $3 AND id IS NOT NULL
                     ORDER BY at_ms, id LIMIT $4) AS pens
             ) AS both_parts ORDER BY occurred_ms, id LIMIT $4
         ) AS next JOIN written AS e ON e.id = next.id ORDER BY e.occurred_ms, e.id"
    );
    let limit = i64::from(STEP);
    Ok(match topic {
        Some(topic) => rows!(connection, fetch_all, OF_TOPIC, topic, seq, until, limit),
        None => rows!(connection, fetch_all, OF_ALL, ms, after, until, limit),
    })
}

/// Enters that a consumer is owed these rows, anew where it has had them.
async fn enter(
    connection: &mut Connection<'_>,
    consumer: &ConsumerId,
    rows: &[Logged],
    now: StoreMs,
) -> Result<(), StoreError> {
    // In the order of all: lines, the log, deliveries.
    let lines: BTreeSet<_> = rows.iter().map(Logged::line).collect();
    for line in &lines {
        execute!(
            connection,
            "INSERT INTO delivery_lines (consumer_id, line, next_ms) VALUES ($1, $2, $3)
             ON CONFLICT (consumer_id, line) DO UPDATE SET line = excluded.line",
            consumer.as_str(),
            line,
            signed(now.0),
        );
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    events::lock_rows(connection, &ids).await?;
    for row in rows {
        let seq = signed(unsigned(row.seq())?);
        execute!(
            connection,
            "INSERT INTO deliveries AS d (consumer_id, event_id, line, seq, state, attempts)
             SELECT $1, id, $3, $4, 'pending', 0 FROM written WHERE id = $2
             ON CONFLICT (consumer_id, event_id) DO UPDATE SET state = 'pending', attempts = 0,
                 first_ms = NULL, last_ms = NULL, next_ms = NULL, status = NULL, error = NULL
             WHERE d.state <> 'pending'",
            consumer.as_str(),
            &row.id,
            row.line(),
            seq,
        );
        begin_again(connection, &row.id).await?;
    }
    for line in &lines {
        // What comes first now may have to wait for nothing.
        execute!(
            connection,
            "UPDATE delivery_lines SET next_ms = coalesce((SELECT d.next_ms FROM deliveries AS d
                 WHERE d.consumer_id = $1 AND d.line = $2 AND d.state = 'pending'
                 ORDER BY d.seq, d.event_id LIMIT 1), $3)
             WHERE consumer_id = $1 AND line = $2 AND claim IS NULL AND next_ms > $3",
            consumer.as_str(),
            line,
            signed(now.0),
        );
    }
    Ok(())
}
