//! The store of one machine: SQLite.
//!
//! One connection writes, in transactions that begin with the right to write (`BEGIN IMMEDIATE`), so
//! they follow one another and a decision sees what the one before has written. Others read. What is
//! committed is on the disk, or the fence of a grant that was told could come a second time after a
//! power failure: hence `synchronous = FULL`.

mod clock;

use std::path::Path;
use std::time::Duration;

use penholder_lease::{
    Command, Decision, Person, Policies, Policy, StoreMs, StoreTime, Timeline, decide,
};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::types::Json;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use self::clock::Clock;
use crate::answer::{Answered, Draft, Due, Logged, Reading};
use crate::error::StoreError;
use crate::migrate;
use crate::renewal::Renewal;
use crate::row::{Kept, LeaseColumns, Row, answered, logged, signed, unsigned};

/// How long a statement waits for another process that writes, and a caller for the writer.
const WAIT: Duration = Duration::from_secs(2);

/// Connections that read.
const READERS: u32 = 4;

#[derive(Debug, Clone)]
pub(crate) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Clock,
    timeline: Timeline,
}

impl SqliteStore {
    pub(crate) async fn open(path: &Path, timeline: Timeline) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT);
        let pool = |connections| {
            // All at the start: the files that are open then are those that ever are.
            let pool = SqlitePoolOptions::new().min_connections(connections);
            pool.max_connections(connections)
                .acquire_timeout(WAIT)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        migrate::sqlite().run(&writer).await.map_err(StoreError::Schema)?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers, clock: Clock::start(), timeline })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(crate) async fn obey(
        &self,
        topic: &str,
        command: &Command,
        policy: &Policy,
    ) -> Result<Answered, StoreError> {
        let mut transaction = self.begin().await?;
        let answered = self.turn(&mut transaction, topic, (command, policy)).await?;
        transaction.commit().await?;
        Ok(answered)
    }

    pub(crate) async fn renew(
        &self,
        renewals: &[Renewal],
        policies: &Policies,
    ) -> Result<Vec<Answered>, StoreError> {
        let mut transaction = self.begin().await?;
        let mut all = Vec::with_capacity(renewals.len());
        for renewal in renewals {
            let (command, policy) = (renewal.command(), policies.of(&renewal.topic));
            all.push(self.turn(&mut transaction, &renewal.topic, (&command, policy)).await?);
        }
        transaction.commit().await?;
        Ok(all)
    }

    /// Begins a transaction that may write, and in which nobody else does.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Reads a lease within a transaction that has the right to write.
    pub(crate) async fn locked(
        &self,
        connection: &mut SqliteConnection,
        topic: &str,
    ) -> Result<(Row, StoreTime), StoreError> {
        let row = select(connection, topic).await?;
        Ok((row, StoreTime { at: self.clock.now(), timeline: self.timeline }))
    }

    async fn turn(
        &self,
        connection: &mut SqliteConnection,
        topic: &str,
        (command, policy): (&Command, &Policy),
    ) -> Result<Answered, StoreError> {
        let (row, time) = self.locked(connection, topic).await?;
        let decision = decide(&row.lease, command, time, policy);
        if let Some(kept) = Kept::new(&row, &decision, policy) {
            upsert(connection, topic, kept).await?;
        }
        let last = append(connection, topic, &decision).await?;
        Ok(answered(decision, time, last))
    }

    pub(crate) async fn pen(&self, topic: &str) -> Result<Reading, StoreError> {
        // Before the row is read: what is renewed in between is not seen to have expired.
        let at = self.clock.now();
        let row = select(&mut *self.readers.acquire().await?, topic).await?;
        Ok(Reading { topic: topic.to_owned(), pen: row.lease.view(at), at })
    }

    pub(crate) async fn last_seq(&self, topic: &str) -> Result<u64, StoreError> {
        let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM topics WHERE topic = ?")
            .bind(topic)
            .fetch_optional(&self.readers)
            .await?;
        unsigned(seq.unwrap_or_default())
    }

    pub(crate) async fn held_by(
        &self,
        person: &str,
        limit: u32,
    ) -> Result<Vec<Reading>, StoreError> {
        let at = self.clock.now();
        let rows = sqlx::query_as(
            "SELECT topic, ?, fence, since_ms, deadline_ms, active_ms, due_ms, claims
             FROM pens WHERE holder = ? ORDER BY topic LIMIT ?",
        )
        .bind(signed(at.0))
        .bind(person)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(Reading::read).collect()
    }

    pub(crate) async fn log(
        &self,
        topic: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT seq, body FROM pen_log WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(topic)
        .bind(signed(after))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(logged).collect()
    }

    pub(crate) async fn due(&self, limit: u32, span_ms_max: u64) -> Result<Due, StoreError> {
        let now = self.clock.now();
        let far = "SELECT topic, ?1, ?1 FROM pens WHERE due_ms > ?2 ORDER BY due_ms DESC LIMIT ?3";
        let mut rows: Vec<_> = sqlx::query_as(far)
            .bind(signed(now.0))
            .bind(signed(now.after(span_ms_max).0))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        let near = sqlx::query_as(
            "SELECT topic, due_ms, ? FROM pens WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT ?",
        );
        let near = near.bind(signed(now.0)).bind(i64::from(limit) + 1);
        rows.extend(near.fetch_all(&self.readers).await?);
        Due::sort(rows, limit)
    }

    pub(crate) async fn leave_draft(
        &self,
        topic: &str,
        left_by: &Person,
        draft: &[u8],
        keep_ms: u64,
    ) -> Result<StoreMs, StoreError> {
        let mut transaction = self.begin().await?;
        let at = self.clock.now();
        sqlx::query(
            "INSERT INTO pen_drafts (topic, author, left_by, left_ms, expires_ms, draft)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (topic, author) DO UPDATE SET left_by = excluded.left_by,
                 left_ms = excluded.left_ms, expires_ms = excluded.expires_ms, draft = excluded.draft",
        )
        .bind(topic)
        .bind(left_by.id.as_str())
        .bind(Json(left_by))
        .bind(signed(at.0))
        .bind(signed(at.after(keep_ms).0))
        .bind(draft)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(at)
    }

    pub(crate) async fn draft(
        &self,
        topic: &str,
        reader: &str,
        readers: bool,
    ) -> Result<Option<Draft>, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let lease = select(&mut transaction, topic).await?.lease;
        let at = self.clock.now();
        let holds = lease.tenure(at).is_some_and(|held| held.holder.person.id.as_str() == reader);
        let row = sqlx::query_as(
            "SELECT draft, left_by, left_ms FROM pen_drafts
             WHERE topic = ?1 AND expires_ms > ?2 AND (author = ?3 OR ?4)
             ORDER BY author = ?3 DESC, left_ms DESC LIMIT 1",
        )
        .bind(topic)
        .bind(signed(at.0))
        .bind(reader)
        .bind(readers && holds)
        .fetch_optional(&mut *transaction)
        .await?;
        row.map(Draft::read).transpose()
    }

    pub(crate) async fn expire(&self, log_keep_ms: u64) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let at = self.clock.now();
        let drafts = sqlx::query("DELETE FROM pen_drafts WHERE expires_ms <= ?")
            .bind(signed(at.0))
            .execute(&mut *transaction)
            .await?;
        let log = sqlx::query("DELETE FROM pen_log WHERE at_ms <= ?")
            .bind(signed(at.before(log_keep_ms).0))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(drafts.rows_affected() + log.rows_affected())
    }
}

async fn select(connection: &mut SqliteConnection, topic: &str) -> Result<Row, StoreError> {
    let row: Option<LeaseColumns> = sqlx::query_as(
        "SELECT fence, since_ms, deadline_ms, active_ms, due_ms, claims FROM pens WHERE topic = ?",
    )
    .bind(topic)
    .fetch_optional(connection)
    .await?;
    row.map_or_else(|| Ok(Row::default()), Row::read)
}

async fn upsert(
    connection: &mut SqliteConnection,
    topic: &str,
    kept: Kept<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO pens (topic, fence, since_ms, deadline_ms, active_ms, due_ms, holder, claims)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (topic) DO UPDATE SET fence = excluded.fence, since_ms = excluded.since_ms,
             deadline_ms = excluded.deadline_ms, active_ms = excluded.active_ms,
             due_ms = excluded.due_ms, holder = excluded.holder, claims = excluded.claims",
    )
    .bind(topic)
    .bind(kept.fence)
    .bind(kept.since)
    .bind(kept.deadline)
    .bind(kept.active)
    .bind(kept.due)
    .bind(kept.holder)
    .bind(kept.claims)
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends the events of a decision to the log; returns the number of the last.
async fn append(
    connection: &mut SqliteConnection,
    topic: &str,
    decision: &Decision,
) -> Result<u64, StoreError> {
    let count = decision.events.len();
    if count == 0 {
        return Ok(0);
    }
    let last: i64 = sqlx::query_scalar(
        "INSERT INTO topics (topic, seq) VALUES (?1, ?2)
         ON CONFLICT (topic) DO UPDATE SET seq = seq + ?2 RETURNING seq",
    )
    .bind(topic)
    .bind(signed(count as u64))
    .fetch_one(&mut *connection)
    .await?;
    let last = unsigned(last)?;
    for (event, seq) in decision.events.iter().zip(last + 1 - count as u64..) {
        sqlx::query(
            "INSERT INTO pen_log (topic, seq, fence, type, rule, actor, at_ms, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(topic)
        .bind(signed(seq))
        .bind(signed(event.fence.0))
        .bind(event.kind.as_str())
        .bind(event.rule.as_str())
        .bind(event.by.as_ref().map(|by| by.id.as_str()))
        .bind(signed(event.at.0))
        .bind(Json(event))
        .execute(&mut *connection)
        .await?;
    }
    Ok(last)
}
