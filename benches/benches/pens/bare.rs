//! The least that a store does for a change that must not be lost.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// A table of numbers.
#[derive(Debug)]
pub(crate) enum Bare {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

const UPDATE: &str = "UPDATE bare SET fence = fence + 1 WHERE place = $1 RETURNING fence";

impl Bare {
    /// A file with as many rows as `count`, as durable as that of pens.
    pub(crate) async fn sqlite(path: &Path, count: u64) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let pool = pool.acquire_timeout(Duration::from_secs(60)).connect_with(options).await?;
        let fill = "CREATE TABLE bare (place INTEGER PRIMARY KEY, fence INTEGER NOT NULL) STRICT;
            INSERT INTO bare WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n LIMIT $1)
                SELECT n, 0 FROM n";
        sqlx::query(fill).bind(i64::try_from(count)?).execute(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    /// A table with as many rows as `count`.
    pub(crate) async fn postgres(url: &str, connections: u32, count: u64) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(connections).test_before_acquire(false);
        let pool = pool.acquire_timeout(Duration::from_secs(60)).connect(url).await?;
        let table = "CREATE TABLE bare (place bigint PRIMARY KEY, fence bigint NOT NULL)";
        sqlx::query(table).execute(&pool).await?;
        sqlx::query("INSERT INTO bare SELECT n, 0 FROM generate_series(0, $1 - 1) AS n")
            .bind(i64::try_from(count)?)
            .execute(&pool)
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// Changes a row for good.
    pub(crate) async fn update(&self, place: u64) -> Result<i64> {
        let place = i64::try_from(place)?;
        Ok(match self {
            Self::Sqlite(pool) => sqlx::query_scalar(UPDATE).bind(place).fetch_one(pool).await?,
            Self::Postgres(pool) => sqlx::query_scalar(UPDATE).bind(place).fetch_one(pool).await?,
        })
    }
}

/// Appends to a file, one piece after the other on the disk; returns how long each took.
pub(crate) fn synced_writes(path: &Path, count: usize) -> Result<Vec<Duration>> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    let piece = vec![7; 4096];
    let write = || -> Result<Duration> {
        let start = Instant::now();
        file.write_all(&piece)?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    std::iter::repeat_with(write).take(count).collect()
}
