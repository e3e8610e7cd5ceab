//! The application beside the server: documents that are saved under a fence, by the guard that
//! docs/PENS.md gives to applications.

use anyhow::Result;
use penholder_evidence::Written;
use sqlx::{PgPool, SqlitePool};

const CREATE: &str = "CREATE TABLE documents
    (id text PRIMARY KEY, body text NOT NULL, fence bigint NOT NULL, version bigint NOT NULL)";
const INSERT: &str = "INSERT INTO documents VALUES ($1, '', 0, 0)";
const SAVE: &str = "UPDATE documents SET body = $1, fence = $2, version = version + 1
    WHERE id = $3 AND fence <= $2 RETURNING version";
const READ: &str = "SELECT fence, version FROM documents WHERE id = $1";

/// Documents in either store.
#[derive(Clone)]
pub(crate) enum Documents {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Evaluates to an expression on the pool of either store.
macro_rules! either {
    ($documents:expr, $pool:ident => $body:expr) => {
        match $documents {
            Documents::Sqlite($pool) => $body,
            Documents::Postgres($pool) => $body,
        }
    };
}

impl Documents {
    pub(crate) async fn create(url: &str, ids: &[&str]) -> Result<Self> {
        let documents = match url.starts_with("sqlite:") {
            true => Self::Sqlite(SqlitePool::connect(url).await?),
            false => Self::Postgres(PgPool::connect(url).await?),
        };
        either!(&documents, pool => {
            sqlx::query(CREATE).execute(pool).await?;
            for id in ids {
                sqlx::query(INSERT).bind(*id).execute(pool).await?;
            }
        });
        Ok(documents)
    }

    /// Saves; returns the version that this is, or none where a larger fence has been here.
    pub(crate) async fn save(&self, id: &str, fence: i64, body: &str) -> Result<Option<i64>> {
        Ok(either!(self, pool => {
            sqlx::query_scalar(SAVE).bind(body).bind(fence).bind(id).fetch_optional(pool).await?
        }))
    }

    /// The last save of a document.
    pub(crate) async fn last(&self, id: &str) -> Result<Written> {
        let (fence, n) = either!(self, pool => {
            sqlx::query_as(READ).bind(id).fetch_one(pool).await?
        });
        Ok(Written { n, fence, at_ms: None })
    }
}
