//! What other tables of the same database need.

use penholder_lease::StoreMs;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

use super::{PostgresStore, sql};
use crate::error::StoreError;
use crate::row::unsigned;

impl PostgresStore {
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }
}

/// Reads the clock.
pub(crate) async fn moment(connection: &mut PgConnection) -> Result<StoreMs, StoreError> {
    let at: i64 = sqlx::query_scalar(sql::CLOCK).fetch_one(connection).await?;
    Ok(StoreMs(unsigned(at)?))
}
