//! What other tables of the same file need.

use penholder_lease::StoreMs;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

use super::SqliteStore;
use crate::error::StoreError;

impl SqliteStore {
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    pub(crate) fn moment(&self) -> StoreMs {
        self.ground.clock.now()
    }
}
