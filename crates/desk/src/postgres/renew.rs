//! Renewals of many holders: one statement.

use std::collections::{BTreeMap, BTreeSet};

use penholder_lease::{Event, Outcome, Policies};
use sqlx::types::Json;

use super::{PostgresStore, sql};
use crate::answer::{Answered, Logged};
use crate::error::StoreError;
use crate::events::Trace;
use crate::pens::noted::new_id;
use crate::renewal::Renewal;
use crate::row::{signed, unsigned};

impl PostgresStore {
    /// Renews where nobody waits and nothing else is to be decided; returns the answers by the place of
    /// their renewal.
    pub(super) async fn renew_plain(
        &self,
        renewals: &[Renewal],
        policies: &Policies,
    ) -> Result<BTreeMap<usize, Answered>, StoreError> {
        let mut seen = BTreeSet::new();
        let plain = renewals.iter().enumerate().filter(|(_, renewal)| {
            let active = renewal.input_ms_ago < policies.of(&renewal.topic).idle_after_ms;
            active && seen.insert(&renewal.topic)
        });
        let (places, plain): (Vec<usize>, Vec<&Renewal>) = plain.unzip();
        let column = |of: fn(&Renewal) -> &str| plain.iter().map(|r| of(r)).collect::<Vec<_>>();
        let number =
            |of: fn(&Renewal) -> u64| plain.iter().map(|r| signed(of(r))).collect::<Vec<_>>();
        let trace = |of: fn(&Trace) -> &str| {
            plain.iter().map(|r| r.trace.as_ref().map(of)).collect::<Vec<_>>()
        };
        let rows: Vec<(i64, i64, Json<Event>, bool)> = sqlx::query_as(sql::RENEW)
            .bind(column(|renewal| &renewal.topic))
            .bind(column(|renewal| renewal.session.as_str()))
            .bind(number(|renewal| renewal.fence.0))
            .bind(number(|renewal| renewal.input_ms_ago))
            .bind(plain.iter().map(|_| new_id()).collect::<Vec<_>>())
            .bind(trace(|trace| &trace.trace_id))
            .bind(trace(|trace| &trace.traceparent))
            .fetch_all(&self.pool)
            .await?;
        let mut renewed = BTreeMap::new();
        self.ring(rows.iter().any(|row| row.3));
        for (place, seq, Json(event), _) in rows {
            let index = usize::try_from(place - 1).unwrap_or(usize::MAX);
            let (Some(&place), Some(deadline)) = (places.get(index), event.pen.deadline) else {
                return Err(sqlx::Error::Decode("no such renewal".into()).into());
            };
            let answered = Answered {
                outcome: Ok(Outcome::Renewed { deadline }),
                pen: event.pen.clone(),
                at: event.at,
                due: Some(deadline),
                events: vec![Logged { seq: unsigned(seq)?, event }],
            };
            renewed.insert(place, answered);
        }
        Ok(renewed)
    }
}
