//! Drafts.

use penholder_lease::{Person, StoreMs};
use sqlx::types::Json;

use super::{PostgresStore, sql};
use crate::answer::Draft;
use crate::error::StoreError;
use crate::row::{signed, unsigned};

impl PostgresStore {
    pub(crate) async fn leave_draft(
        &self,
        topic: &str,
        left_by: &Person,
        draft: &[u8],
        keep_ms: u64,
    ) -> Result<StoreMs, StoreError> {
        let at: i64 = sqlx::query_scalar(sql::LEAVE_DRAFT)
            .bind(topic)
            .bind(left_by.id.as_str())
            .bind(Json(left_by))
            .bind(signed(keep_ms))
            .bind(draft)
            .fetch_one(&self.pool)
            .await?;
        Ok(StoreMs(unsigned(at)?))
    }

    pub(crate) async fn draft(
        &self,
        topic: &str,
        reader: &str,
        readers: bool,
    ) -> Result<Option<Draft>, StoreError> {
        let row = sqlx::query_as(sql::DRAFT)
            .bind(topic)
            .bind(reader)
            .bind(readers)
            .fetch_optional(&self.pool)
            .await?;
        row.map(Draft::read).transpose()
    }
}
