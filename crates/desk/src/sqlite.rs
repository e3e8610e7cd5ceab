//! The store of one machine: SQLite.
//!
//! One connection writes, in transactions that begin with the right to write (`BEGIN IMMEDIATE`), so
//! they follow one another and a decision sees what the one before has written. Others read. What is
//! committed is on the disk, or the fence of a grant that was told could come a second time after a
//! power failure: hence `synchronous = FULL`. Writes that wait for one another share a commit ([`cohort`]).

mod clock;
mod cohort;
mod reading;
mod statement;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use penholder_lease::{Command, Person, Policies, Policy, StoreMs, StoreTime, Timeline};
use sqlx::SqliteConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::types::Json;
use tokio::sync::Notify;

use self::clock::Clock;
pub use self::cohort::Turn;
use self::cohort::{Cohorts, Company};
pub(crate) use self::statement::{Lite, Statement, Value};
use self::writer::{Ground, Writer};
use crate::answer::{Answered, Draft, Due, Logged, Reading};
use crate::consumers::outbox::Known;
use crate::error::StoreError;
use crate::events::Trace;
use crate::migrate;
use crate::pens::Obeyed;
use crate::renewal::Renewal;
use crate::row::{LeaseColumns, Row, logged, signed};
use crate::statement::rows;

/// How long a statement waits for another process that writes, and a caller for the writer.
const WAIT: Duration = Duration::from_secs(2);

/// Connections that read.
const READERS: u32 = 4;

/// Opens so many connections, all of them: the files that are open then are those that ever are.
async fn connect(connections: u32, options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options);
    // `min_connections` would answer while some are still being opened.
    let mut all = Vec::new();
    for _ in 0..connections {
        all.push(pool.acquire().await?);
    }
    drop(all);
    Ok(pool)
}

/// What the connection that writes keeps in memory: pages that it writes again and again, and what they were before each
/// part of a transaction. The log of SQLite goes into the file less often, as that waits for the disk as well. Statements that
/// are sent together are kept for each pair.
fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    let options = options.statement_cache_capacity(256);
    let options = options.pragma("cache_size", "-32768").pragma("temp_store", "memory");
    options.pragma("wal_autocheckpoint", "8000")
}

#[derive(Debug, Clone)]
pub(crate) struct SqliteStore {
    ground: Ground,
    writer: Writer,
    readers: SqlitePool,
    /// Who the consumers are.
    pub(crate) known: Known,
}

impl SqliteStore {
    pub(crate) async fn open(
        path: &Path,
        timeline: Timeline,
        policies: Arc<Policies>,
        news: Arc<Notify>,
    ) -> Result<Self, StoreError> {
        create_private(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT);
        let only = connect(1, writing(options.clone())).await?;
        migrate::sqlite().run(&only).await.map_err(StoreError::Schema)?;
        let readers = connect(READERS, options.read_only(true)).await?;
        let cohorts = Cohorts::start(only);
        let clock = Clock::start();
        let ground = Ground { cohorts, clock, timeline, policies, news };
        let writer = Writer::start(ground.clone());
        Ok(Self { writer, ground, readers, known: Known::default() })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.ground.cohorts.close().await;
    }

    pub(crate) async fn obey(
        &self,
        topic: &str,
        command: &Command,
        _: &Policy,
        trace: Option<&Trace>,
    ) -> Result<Answered, StoreError> {
        self.writer.ask(topic, command.clone(), trace).await?.told().await
    }

    pub(crate) async fn renew(
        &self,
        renewals: &[Renewal],
        _: &Policies,
    ) -> Result<Vec<Answered>, StoreError> {
        let mut pending = Vec::with_capacity(renewals.len());
        for renewal in renewals {
            let trace = renewal.trace.as_ref();
            pending.push(self.writer.ask(&renewal.topic, renewal.command(), trace).await?);
        }
        let mut all = Vec::with_capacity(renewals.len());
        for pending in pending {
            all.push(pending.told().await?);
        }
        Ok(all)
    }

    /// Begins a transaction that may write, and in which nobody else does.
    pub(crate) async fn begin(&self) -> Result<Turn, StoreError> {
        Ok(self.ground.cohorts.turn(Company::Alone, None).await?.begun().await?)
    }

    /// Begins one that is committed together with others.
    pub(crate) fn join(&self) -> Turn {
        self.ground.cohorts.join()
    }

    /// Reads a lease within a transaction that has the right to write.
    pub(crate) async fn locked(
        &self,
        turn: &mut Turn,
        topic: &str,
    ) -> Result<(Row, StoreTime), StoreError> {
        let row: Option<LeaseColumns> =
            rows!(&mut turn.connection(), fetch_optional, SELECT, topic);
        Ok((row.map_or_else(|| Ok(Row::default()), Row::read)?, self.ground.time()))
    }

    /// Obeys a command within a transaction in which something was read already.
    pub(crate) async fn obey_within(
        &self,
        turn: &mut Turn,
        asked: (&str, &Command),
        trace: Option<&Trace>,
    ) -> Result<Obeyed, StoreError> {
        turn.ready().await?;
        let obeyed = self.ground.obey_within(turn, asked, trace).await;
        turn.seen(obeyed)
    }

    pub(crate) async fn pen(&self, topic: &str) -> Result<Reading, StoreError> {
        // Before the row is read: what is renewed in between is not seen to have expired.
        let at = self.ground.clock.now();
        let row = select(&mut *self.readers.acquire().await?, topic).await?;
        Ok(Reading { topic: topic.to_owned(), pen: row.lease.view(at), at })
    }

    pub(crate) async fn held_by(
        &self,
        person: &str,
        limit: u32,
    ) -> Result<Vec<Reading>, StoreError> {
        let at = self.ground.clock.now();
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
        let now = self.ground.clock.now();
        // Those that lie further ahead than anything may are as good as due now.
        let due = sqlx::query_as(
            "SELECT * FROM
                 (SELECT topic, due_ms, $1 FROM pens WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT $3)
             UNION ALL SELECT * FROM
                 (SELECT topic, $1, $1 FROM pens WHERE due_ms > $2 ORDER BY due_ms DESC LIMIT $3)",
        );
        let due = due.bind(signed(now.0)).bind(signed(now.after(span_ms_max).0));
        let rows = due.bind(i64::from(limit) + 1).fetch_all(&self.readers).await?;
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
        let at = self.ground.clock.now();
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
        let at = self.ground.clock.now();
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
}

const SELECT: &str =
    "SELECT fence, since_ms, deadline_ms, active_ms, due_ms, claims FROM pens WHERE topic = $1";

async fn select(connection: &mut SqliteConnection, topic: &str) -> Result<Row, StoreError> {
    let row: Option<LeaseColumns> =
        sqlx::query_as(SELECT).bind(topic).fetch_optional(connection).await?;
    row.map_or_else(|| Ok(Row::default()), Row::read)
}

/// Creates the file for its owner alone, as drafts are in it. What the database keeps beside it has the rights of
/// the file.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
