//! The plain release: one statement.

use penholder_lease::{Event, Fence, Outcome, SPENT_LEN_MAX, SessionId};
use sqlx::types::Json;

use super::{PostgresStore, sql};
use crate::answer::{Answered, Logged};
use crate::error::StoreError;
use crate::events::Trace;
use crate::pens::noted::new_id;
use crate::row::{signed, unsigned};

impl PostgresStore {
    /// Gives a pen back that nobody waits for; returns nothing when the answer needs a decision.
    pub(super) async fn release_plain(
        &self,
        topic: &str,
        (session, fence): (&SessionId, Fence),
        trace: Option<&Trace>,
    ) -> Result<Option<Answered>, StoreError> {
        let row: Option<(i64, Json<Event>, bool)> = sqlx::query_as(sql::RELEASE)
            .bind(topic)
            .bind(session.as_str())
            .bind(signed(fence.0))
            .bind(signed(SPENT_LEN_MAX as u64))
            .bind(new_id())
            .bind(trace.map(|trace| &trace.trace_id))
            .bind(trace.map(|trace| &trace.traceparent))
            .fetch_optional(&self.pool)
            .await?;
        let Some((seq, Json(event), is_owed)) = row else { return Ok(None) };
        self.ring(is_owed);
        Ok(Some(Answered {
            outcome: Ok(Outcome::Released),
            pen: event.pen.clone(),
            at: event.at,
            due: None,
            events: vec![Logged { seq: unsigned(seq)?, event }],
        }))
    }
}
