//! The same rows without Penholder: nothing is read, checked or put together.

use std::time::Duration;

use anyhow::Result;
use penholder_desk::{Pens, Storage};
use penholder_lease::Policies;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use uuid::Uuid;

use crate::site::{CONNECTIONS, Deed, Site};

/// How long a writer waits for a connection.
const WAIT: Duration = Duration::from_secs(60);

const TEXTS: &str = "SELECT data, staff_body, public_body FROM event_log WHERE event = $1 LIMIT 1";
const REPLAY: &str = "SELECT t.seq_staff, e.staff_body
    FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
    WHERE t.topic = $1 AND t.seq_staff > $2 ORDER BY t.seq_staff LIMIT $3";
const COMMENT: &str =
    "INSERT INTO comments (id, ticket_id, author_id, parent_id, depth, content, audience,
        created_ms, updated_ms) VALUES ($1, $2, 'ada', NULL, 0, $3, 'public', 0, 0)";
const COUNT: &str = "UPDATE tickets SET comment_count = comment_count + 1 WHERE id = $1";
const TITLE: &str =
    "UPDATE tickets SET title = $2, version = version + 1, folded = $3 WHERE id = $1";
const TICKET: &str =
    "INSERT INTO tickets (id, title, description, category, status, priority, slug, user_id,
        comment_count, metadata, version, created_ms, updated_ms, public_updated_ms, folded)
    VALUES ($1, 'title', $2, 'general', 'open', 'medium', $1, 'carl', 0, '{}', 1, 0, 0, 0, $2)";
const SLUG: &str = "INSERT INTO slugs (slug, count) VALUES ($1, 1)";
const HISTORY: &str =
    "INSERT INTO ticket_history (ticket_id, position, from_status, to_status, reason,
        by_person, at_ms) VALUES ($1, 0, NULL, 'open', NULL, '{}', 0)";
const COUNTER: &str = "INSERT INTO topics AS t (topic, seq, staff_only) VALUES ($1, 1, 0)
    ON CONFLICT (topic) DO UPDATE SET seq = t.seq + 1 RETURNING seq";
const EVENT: &str = "INSERT INTO event_log (id, event, entity_type, entity_id, op, data, previous_data,
        audience, identity_id, actor_kind, trace_id, traceparent, occurred_ms, staff_body, public_body,
        topic, seq, processed_ms)
    VALUES ($1, 'event', 'entity', $2, 'created', $3, NULL, 'public', 'ada', 'human', NULL, NULL, 0, $4, $5,
        $6, $7, 0)";
const TOLD: &str = "INSERT INTO event_topics (topic, seq_staff, seq_public, event_id, occurred_ms)
    VALUES ($1, $2, $2, $3, 0)";

/// The tables of tickets, and what an event of each sort says.
#[derive(Debug)]
pub(crate) struct Bare {
    pool: Pool,
    tickets: Vec<String>,
    texts: Vec<(Deed, Texts)>,
}

#[derive(Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

type Texts = (String, String, Option<String>);

enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Runs a statement in a transaction on either store.
macro_rules! run {
    ($transaction:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $transaction {
            Transaction::Sqlite(it) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **it).await.map(drop)?
            }
            Transaction::Postgres(it) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **it).await.map(drop)?
            }
        }
    };
}

impl Pool {
    /// Opens a database as durable as that of tickets.
    pub(crate) async fn open(storage: &Storage) -> Result<Self> {
        Ok(match storage {
            Storage::Sqlite { path, .. } => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
                Self::Sqlite(pool.acquire_timeout(WAIT).connect_with(options).await?)
            }
            Storage::Postgres { url, .. } => {
                let pool =
                    PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
                Self::Postgres(pool.acquire_timeout(WAIT).connect(url).await?)
            }
        })
    }

    /// What an event of this sort says.
    async fn texts(&self, event: &str) -> Result<Texts> {
        Ok(match self {
            Self::Sqlite(pool) => sqlx::query_as(TEXTS).bind(event).fetch_one(pool).await?,
            Self::Postgres(pool) => sqlx::query_as(TEXTS).bind(event).fetch_one(pool).await?,
        })
    }

    /// Reads what the staff was told on a topic; returns how many events that were.
    pub(crate) async fn replay(&self, topic: &str, limit: i64) -> Result<usize> {
        let rows: Vec<(i64, String)> = match self {
            Self::Sqlite(pool) => {
                sqlx::query_as(REPLAY).bind(topic).bind(0_i64).bind(limit).fetch_all(pool).await?
            }
            Self::Postgres(pool) => {
                sqlx::query_as(REPLAY).bind(topic).bind(0_i64).bind(limit).fetch_all(pool).await?
            }
        };
        Ok(rows.len())
    }

    async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }
}

impl Bare {
    /// Makes the tables of a site anew, with as many tickets.
    pub(crate) async fn open(storage: &Storage, site: &Site) -> Result<Self> {
        Pens::open(storage, Policies::default()).await?.close().await;
        let known = Pool::open(&site.storage).await?;
        let mut texts = Vec::new();
        let deeds = [
            (Deed::Comment, "comment_created"),
            (Deed::Change, "ticket_updated"),
            (Deed::Ticket, "ticket_created"),
        ];
        for (deed, event) in deeds {
            site.write(deed, 0).await?;
            texts.push((deed, known.texts(event).await?));
        }
        let tickets = site.ids.iter().map(ToString::to_string).collect();
        let bare = Self { pool: Pool::open(storage).await?, tickets, texts };
        for ticket in &bare.tickets {
            let mut transaction = bare.pool.begin().await?;
            run!(&mut transaction, TICKET, ticket, &bare.texts[0].1.0);
            transaction.commit().await?;
        }
        Ok(bare)
    }

    pub(crate) async fn close(self) {
        match self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Writes the rows that come of a write.
    pub(crate) async fn write(&self, deed: Deed, writer: u64) -> Result<()> {
        let mut ticket = self.tickets[usize::try_from(writer)? % self.tickets.len()].clone();
        let texts = self.texts.iter().find(|(other, _)| *other == deed).map(|(_, texts)| texts);
        let (data, staff, public) = texts.expect("there are texts of each");
        let mut transaction = self.pool.begin().await?;
        let id = Uuid::now_v7().to_string();
        match deed {
            Deed::Comment => {
                run!(&mut transaction, COMMENT, &id, &ticket, data);
                run!(&mut transaction, COUNT, &ticket);
            }
            Deed::Change => run!(&mut transaction, TITLE, &ticket, &id, data),
            Deed::Ticket => {
                ticket.clone_from(&id);
                run!(&mut transaction, SLUG, &id);
                run!(&mut transaction, TICKET, &id, data);
                run!(&mut transaction, HISTORY, &id);
            }
        }
        let topics =
            [format!("tickets:{ticket}"), "tickets:all".into(), "tickets:user:carl".into()];
        let mut numbers = Vec::new();
        for topic in &topics {
            numbers.push(transaction.count(topic).await?);
        }
        let event = Uuid::now_v7().to_string();
        run!(&mut transaction, EVENT, &event, &id, data, staff, public, &topics[0], numbers[0]);
        for (topic, number) in topics.iter().zip(numbers) {
            run!(&mut transaction, TOLD, topic, number, &event);
        }
        transaction.commit().await
    }
}

impl Transaction {
    async fn count(&mut self, topic: &str) -> Result<i64> {
        let count = sqlx::query_scalar(COUNTER).bind(topic);
        Ok(match self {
            Self::Sqlite(it) => count.fetch_one(&mut **it).await?,
            Self::Postgres(it) => {
                sqlx::query_scalar(COUNTER).bind(topic).fetch_one(&mut **it).await?
            }
        })
    }

    async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(it) => it.commit().await?,
            Self::Postgres(it) => it.commit().await?,
        }
        Ok(())
    }
}
