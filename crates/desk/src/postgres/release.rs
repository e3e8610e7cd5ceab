//! The plain release: one statement.

use penholder_lease::{Event, Fence, Outcome, SPENT_LEN_MAX, SessionId};
use sqlx::types::Json;

use super::{PostgresStore, sql};
use crate::answer::{Answered, Logged};
use crate::error::StoreError;
use crate::row::{signed, unsigned};

impl PostgresStore {
    /// Gives a pen back that nobody waits for; returns nothing when the answer needs a decision.
    pub(super) async fn release_plain(
        &self,
        topic: &str,
        (session, fence): (&SessionId, Fence),
    ) -> Result<Option<Answered>, StoreError> {
        let row: Option<(i64, Json<Event>)> = sqlx::query_as(sql::RELEASE)
            .bind(topic)
            .bind(session.as_str())
            .bind(signed(fence.0))
            .bind(signed(SPENT_LEN_MAX as u64))
            .fetch_optional(&self.pool)
            .await?;
        let Some((seq, Json(event))) = row else { return Ok(None) };
        Ok(Some(Answered {
            outcome: Ok(Outcome::Released),
            pen: event.pen.clone(),
            at: event.at,
            due: None,
            events: vec![Logged { seq: unsigned(seq)?, event }],
        }))
    }
}
