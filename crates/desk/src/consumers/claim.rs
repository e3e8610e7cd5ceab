//! Deliveries at work: what is due, who has it, what came of it.

use std::collections::BTreeMap;

use penholder_lease::StoreMs;
use uuid::Uuid;

use super::body::{Logged, select_logged};
use super::{Consumer, ConsumerId, ConsumerState, Consumers, Destination, Row};
use crate::error::StoreError;
use crate::events;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, execute, rows};

/// A consumer that is sent something, now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub consumer: Consumer,
    /// When the first of its lines is due: zero when one is.
    pub due_in_ms: u64,
}

/// A delivery that is the caller's to make, for as long as it was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// To whom.
    pub consumer: ConsumerId,
    /// Where to.
    pub destination: Destination,
    /// The event's id; the same at every attempt.
    pub event: String,
    /// What the event is called.
    pub name: String,
    /// The event, a JSON object.
    pub body: String,
    /// The trace that it belongs to, if there is one.
    pub traceparent: Option<String>,
    /// How many attempts there were before.
    pub attempts: u32,
    /// How long ago the first of them ended.
    pub tried_for_ms: u64,
    line: String,
    claim: String,
    /// How often the consumer had been mended.
    mended: i64,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The consumer has it.
    Delivered {
        /// The status of HTTP, where there is one.
        status: Option<u16>,
    },
    /// It does not.
    Failed {
        /// The status of HTTP, where there is one.
        status: Option<u16>,
        /// What went wrong, for people.
        error: String,
        /// When to try again; never, when it is to be parked.
        retry_in_ms: Option<u64>,
    },
    /// It was not tried: somebody else may.
    Released,
}

/// What is to be kept of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub claimed: Claimed,
    /// What came of it.
    pub outcome: Outcome,
}

const CLAIM_SQLITE: &str = "
    UPDATE delivery_lines SET claim = $4, next_ms = $5 WHERE consumer_id = $1 AND line IN (
        SELECT line FROM delivery_lines WHERE consumer_id = $1 AND next_ms <= $2
        ORDER BY next_ms, line LIMIT $3
    ) RETURNING line";

const CLAIM_POSTGRES: &str = "
    WITH due AS MATERIALIZED (
        SELECT line FROM delivery_lines WHERE consumer_id = $1 AND next_ms <= $2
        ORDER BY next_ms, line LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery_lines AS l SET claim = $4, next_ms = $5 FROM due
    WHERE l.consumer_id = $1 AND l.line = due.line RETURNING l.line";

const HEAD: &str = select_logged!(
    ", d.attempts, d.first_ms FROM (
        SELECT event_id, attempts, first_ms FROM deliveries
        WHERE consumer_id = $1 AND line = $2 AND state = 'pending'
        ORDER BY seq, event_id LIMIT 1
    ) AS d JOIN written AS e ON e.id = d.event_id"
);

/// The first of a line, with how often and since when it was tried.
struct Head(Logged, i64, Option<i64>);

crate::statement::from_row!(Head, |row| {
    Ok(Self(Logged::from_row(row)?, row.try_get("attempts")?, row.try_get("first_ms")?))
});

impl Consumers {
    /// Returns the active consumers for which something waits, and when.
    ///
    /// Cost: in proportion to the consumers.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut reader = self.pens.reader().await?;
        let now = self.pens.now(&mut reader).await?;
        let found: Vec<(String, Option<i64>)> = rows!(
            &mut reader.connection(),
            fetch_all,
            "SELECT c.id, (SELECT min(l.next_ms) FROM delivery_lines AS l WHERE l.consumer_id = c.id)
             FROM consumers AS c WHERE c.state = 'active'",
        );
        let mut next: BTreeMap<_, _> =
            found.into_iter().filter_map(|(id, next)| Some((id, next?))).collect();
        if next.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<Row> = rows!(&mut reader.connection(), fetch_all, super::SELECT, "");
        let mut waiting = Vec::with_capacity(next.len());
        for Row(consumer, _) in all {
            if let Some(next) = next.remove(consumer.id.as_str()) {
                waiting.push(Waiting {
                    consumer,
                    due_in_ms: unsigned((next - signed(now.0)).max(0))?,
                });
            }
        }
        Ok(waiting)
    }

    /// Claims the first of up to `limit` lines that are due, the longest overdue first. For `lease_ms` nobody
    /// else gets them; who has not [settled](Self::settle) them by then must expect that they are sent again.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. What was claimed all the same is due again when the lease is over.
    pub async fn claim(
        &self,
        consumer: &ConsumerId,
        limit: u32,
        lease_ms: u64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        let found: Option<Row> =
            rows!(&mut connection, fetch_optional, super::SELECT, consumer.as_str());
        let Some(Row(found, mended)) = found else { return Ok(Vec::new()) };
        if found.state != ConsumerState::Active {
            return Ok(Vec::new());
        }
        let destination = found.destination.at(now);
        let claim = Uuid::new_v4().as_simple().to_string();
        let lines = claim_lines(&mut connection, consumer, (now, limit, lease_ms), &claim).await?;
        let mut claimed = Vec::with_capacity(lines.len());
        for (line,) in lines {
            let head: Option<Head> =
                rows!(&mut connection, fetch_optional, HEAD, consumer.as_str(), &line);
            let Some(Head(logged, attempts, first)) = head else {
                // What waited there was forgotten.
                end_line(&mut connection, (consumer, &line), now).await?;
                continue;
            };
            let first = first.map_or(Ok(now.0), unsigned)?;
            claimed.push(Claimed {
                consumer: consumer.clone(),
                destination: destination.clone(),
                name: logged.name(),
                body: logged.body()?,
                event: logged.id,
                traceparent: logged.traceparent,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                tried_for_ms: now.0.saturating_sub(first),
                line,
                claim: claim.clone(),
                mended,
            });
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Keeps what came of attempts. What is no longer the caller's is left as it is: somebody else has it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Nothing is kept, or with [`Unavailable`](StoreError::Unavailable) perhaps all; it may be
    /// tried again.
    pub async fn settle(&self, mut settled: Vec<Settled>) -> Result<(), StoreError> {
        // The order of all who lock lines, and then rows of the log.
        settled.sort_by(|a, b| {
            (&a.claimed.line, &a.claimed.consumer).cmp(&(&b.claimed.line, &b.claimed.consumer))
        });
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        let mut ours = Vec::with_capacity(settled.len());
        for one in settled {
            if lock_line(&mut connection, &one.claimed).await? {
                ours.push(one);
            }
        }
        let ids: Vec<_> = ours.iter().map(|one| one.claimed.event.as_str()).collect();
        events::lock_rows(&mut connection, &ids).await?;
        for one in &ours {
            keep(&mut connection, one, now).await?;
        }
        transaction.commit().await
    }

    /// Gives back what processes have claimed that cannot live any more: those before this one, on a store that one
    /// process uses at a time. Harmless on others.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn take_over(&self) -> Result<(), StoreError> {
        let (mut transaction, now) = self.pens.begin().await?;
        let mut connection = transaction.connection();
        if matches!(connection, Connection::Sqlite(_)) {
            let back =
                "UPDATE delivery_lines SET next_ms = $1, claim = NULL WHERE claim IS NOT NULL";
            execute!(&mut connection, back, signed(now.0));
        }
        transaction.commit().await
    }
}

async fn claim_lines(
    connection: &mut Connection<'_>,
    consumer: &ConsumerId,
    (now, limit, lease_ms): (StoreMs, u32, u64),
    claim: &str,
) -> Result<Vec<(String,)>, StoreError> {
    let sql = match connection {
        Connection::Sqlite(_) => CLAIM_SQLITE,
        Connection::Postgres(_) => CLAIM_POSTGRES,
    };
    Ok(rows!(
        connection,
        fetch_all,
        sql,
        consumer.as_str(),
        signed(now.0),
        i64::from(limit),
        claim,
        signed(now.after(lease_ms).0),
    ))
}

/// Locks a line, if it is still that of the claim.
async fn lock_line(connection: &mut Connection<'_>, claimed: &Claimed) -> Result<bool, StoreError> {
    let locked = execute!(
        connection,
        "UPDATE delivery_lines SET claim = claim WHERE consumer_id = $1 AND line = $2 AND claim = $3",
        claimed.consumer.as_str(),
        &claimed.line,
        &claimed.claim,
    );
    Ok(locked == 1)
}

async fn keep(
    connection: &mut Connection<'_>,
    Settled { claimed, outcome }: &Settled,
    now: StoreMs,
) -> Result<(), StoreError> {
    let line = (&claimed.consumer, claimed.line.as_str());
    let (state, status, error, next) = match outcome {
        Outcome::Released => return end_line(connection, line, now).await,
        Outcome::Delivered { status } => ("delivered", status, None, None),
        Outcome::Failed { status, error, retry_in_ms: Some(ms) } => {
            let is_mended = is_mended(connection, claimed).await?;
            let next = if is_mended { now } else { now.after(*ms) };
            ("pending", status, Some(error.replace('\0', "")), Some(next))
        }
        Outcome::Failed { status, error, retry_in_ms: None } => {
            ("failed", status, Some(error.replace('\0', "")), None)
        }
    };
    execute!(
        connection,
        "UPDATE deliveries SET state = $3, attempts = attempts + 1, first_ms = coalesce(first_ms, $4),
             last_ms = $4, next_ms = $5, status = $6, error = $7
         WHERE consumer_id = $1 AND event_id = $2 AND state = 'pending'",
        claimed.consumer.as_str(),
        &claimed.event,
        state,
        signed(now.0),
        next.map(|next| signed(next.0)),
        status.map(i64::from),
        error,
    );
    if next.is_none() {
        finish(connection, &claimed.event, now).await?;
        return end_line(connection, line, now).await;
    }
    // What a replay has put before it meanwhile does not wait for it.
    execute!(
        connection,
        "UPDATE delivery_lines SET claim = NULL, next_ms = coalesce((SELECT d.next_ms FROM deliveries AS d
             WHERE d.consumer_id = $1 AND d.line = $2 AND d.state = 'pending'
             ORDER BY d.seq, d.event_id LIMIT 1), $3)
         WHERE consumer_id = $1 AND line = $2",
        claimed.consumer.as_str(),
        &claimed.line,
        signed(now.0),
    );
    Ok(())
}

/// Whether an attempt went where its consumer is not any more, or was signed otherwise.
async fn is_mended(connection: &mut Connection<'_>, claimed: &Claimed) -> Result<bool, StoreError> {
    let mended: Option<(i64,)> = rows!(
        connection,
        fetch_optional,
        "SELECT mended FROM consumers WHERE id = $1",
        claimed.consumer.as_str(),
    );
    Ok(mended.is_some_and(|(mended,)| mended != claimed.mended))
}

/// Notes that all consumers have finished with a row of the log, if they have.
pub(super) async fn finish(
    connection: &mut Connection<'_>,
    event: &str,
    now: StoreMs,
) -> Result<(), StoreError> {
    for part in [
        "UPDATE event_log SET processed_ms = $2 WHERE id = $1 AND NOT EXISTS (
             SELECT 1 FROM deliveries WHERE event_id = $1 AND state = 'pending')",
        "UPDATE pen_log SET processed_ms = $2 WHERE id = $1 AND NOT EXISTS (
             SELECT 1 FROM deliveries WHERE event_id = $1 AND state = 'pending')",
    ] {
        if execute!(connection, part, event, signed(now.0)) > 0 {
            break;
        }
    }
    Ok(())
}

/// Notes that consumers wait for a row of the log again.
pub(super) async fn begin_again(
    connection: &mut Connection<'_>,
    event: &str,
) -> Result<(), StoreError> {
    for part in [
        "UPDATE event_log SET processed_ms = NULL WHERE id = $1",
        "UPDATE pen_log SET processed_ms = NULL WHERE id = $1",
    ] {
        if execute!(connection, part, event) > 0 {
            break;
        }
    }
    Ok(())
}

/// Ends a line that is locked, or makes it due where something waits in it.
async fn end_line(
    connection: &mut Connection<'_>,
    (consumer, line): (&ConsumerId, &str),
    now: StoreMs,
) -> Result<(), StoreError> {
    let ended = execute!(
        connection,
        "DELETE FROM delivery_lines WHERE consumer_id = $1 AND line = $2 AND NOT EXISTS (
             SELECT 1 FROM deliveries WHERE consumer_id = $1 AND line = $2 AND state = 'pending')",
        consumer.as_str(),
        line,
    );
    if ended == 0 {
        execute!(
            connection,
            "UPDATE delivery_lines SET next_ms = $3, claim = NULL WHERE consumer_id = $1 AND line = $2",
            consumer.as_str(),
            line,
            signed(now.0),
        );
    }
    Ok(())
}
