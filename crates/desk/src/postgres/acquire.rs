//! The uncontended acquire: one atomic statement.

use penholder_lease::{
    Claimant, Command, Fence, Lease, Outcome, Policy, Role, StoreMs, StoreTime, Terms, Timeline,
    decide,
};
use penholder_ticket::ticket_of;
use serde_json::json;
use sqlx::types::Json;

use super::{PostgresStore, sql};
use crate::answer::{Answered, Logged};
use crate::error::StoreError;
use crate::events::Trace;
use crate::pens::noted::new_id;
use crate::row::{signed, unsigned};

impl PostgresStore {
    /// Grants a pen that is free; returns nothing when it is not, or when the answer needs a decision.
    ///
    /// What is written is what [`decide`] says of a free pen, at a time and under a fence that only the
    /// statement learns.
    pub(super) async fn acquire_free(
        &self,
        topic: &str,
        (claimant, terms): (&Claimant, &Terms),
        policy: &Policy,
        trace: Option<&Trace>,
    ) -> Result<Option<Answered>, StoreError> {
        let command = Command::Acquire { claimant: claimant.clone(), terms: terms.clone() };
        let never = StoreTime { at: StoreMs(0), timeline: Timeline(0) };
        let mut granted = decide(&Lease::default(), &command, never, policy);
        let (Some(mut event), Ok(_)) = (granted.events.pop(), granted.outcome) else {
            return Ok(None);
        };
        let request = terms.request_id.as_ref();
        let spent =
            request.map(|id| Json(json!([{ "session": claimant.session, "request_id": id }])));
        let row: Option<(i64, i64, i64, i64, bool)> = sqlx::query_as(sql::ACQUIRE_FREE)
            .bind(topic)
            .bind(signed(granted.lease.deadline.0))
            .bind(claimant.person.id.as_str())
            .bind(Json(&granted.lease.claims))
            .bind(spent)
            .bind(Json(&event))
            .bind(new_id())
            .bind(i64::from(claimant.role != Role::Guest))
            .bind(trace.map(|trace| &trace.trace_id))
            .bind(trace.map(|trace| &trace.traceparent))
            .bind(ticket_of(topic).map(|ticket| ticket.to_string()))
            .fetch_optional(&self.pool)
            .await?;
        let Some((fence, since, deadline, seq, is_owed)) = row else { return Ok(None) };
        self.ring(is_owed);
        let (fence, at) = (Fence(unsigned(fence)?), StoreMs(unsigned(since)?));
        let deadline = StoreMs(unsigned(deadline)?);
        (event.fence, event.at) = (fence, at);
        event.pen.fence = fence;
        (event.pen.since, event.pen.deadline) = (Some(at), Some(deadline));
        Ok(Some(Answered {
            outcome: Ok(Outcome::Granted { fence, deadline }),
            pen: event.pen.clone(),
            at,
            due: Some(deadline),
            events: vec![Logged { seq: unsigned(seq)?, event }],
        }))
    }
}
