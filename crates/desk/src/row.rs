//! Leases and events as rows.

use std::num::TryFromIntError;

use penholder_lease::{
    Claims, Decision, Event, Fence, Lease, Person, Policy, State, StoreMs, StoreTime,
};
use sqlx::types::Json;

use crate::answer::{Answered, Draft, Due, Logged, Reading};
use crate::error::StoreError;

/// The columns of a lease, in the order of every query that reads one.
pub(crate) type LeaseColumns = (i64, i64, i64, i64, Option<i64>, Json<Claims>);

/// The same of a topic that may never have had a pen.
pub(crate) type MaybeColumns =
    (Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<Json<Claims>>);

/// A topic, the clock and the columns of its lease.
pub(crate) type HeldColumns = (String, i64, i64, i64, i64, i64, Option<i64>, Json<Claims>);

impl Reading {
    pub(crate) fn read(columns: HeldColumns) -> Result<Self, StoreError> {
        let (topic, at, fence, since, deadline, active, due, claims) = columns;
        let at = StoreMs(unsigned(at)?);
        let row = Row::read((fence, since, deadline, active, due, claims))?;
        Ok(Self { topic, pen: row.lease.view(at), at })
    }
}

/// A lease as it was read, and what the index says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) lease: Lease,
    pub(crate) due: Option<StoreMs>,
}

impl Row {
    pub(crate) fn read(columns: LeaseColumns) -> Result<Self, StoreError> {
        let (fence, since, deadline, active, due, Json(claims)) = columns;
        let lease = Lease {
            fence: Fence(unsigned(fence)?),
            since: StoreMs(unsigned(since)?),
            deadline: StoreMs(unsigned(deadline)?),
            active_at: StoreMs(unsigned(active)?),
            claims,
        };
        Ok(Self { lease, due: due.map(unsigned).transpose()?.map(StoreMs) })
    }

    /// That of a ticket that is gone, or never was: nobody begins it.
    pub(crate) fn ended() -> Self {
        let claims = Claims { state: State::Ended, ..Claims::default() };
        Self { lease: Lease { claims, ..Lease::default() }, due: None }
    }

    /// Reads what there is, where there is anything.
    pub(crate) fn read_any(columns: MaybeColumns) -> Result<Self, StoreError> {
        match columns {
            (Some(fence), Some(since), Some(deadline), Some(active), due, Some(claims)) => {
                Self::read((fence, since, deadline, active, due, claims))
            }
            _ => Ok(Self::default()),
        }
    }

    /// Returns what is to be written after a decision; nothing, when it is what is there. Events come of
    /// changes only.
    pub(crate) fn after(&self, decision: &Decision, policy: &Policy) -> Option<Self> {
        let after = Self { lease: decision.lease.clone(), due: decision.lease.due(policy) };
        if after == *self {
            assert!(decision.events.is_empty(), "an event of nothing would be told and not kept");
            return None;
        }
        Some(after)
    }
}

/// A lease that is to be written.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) fence: i64,
    pub(crate) since: i64,
    pub(crate) deadline: i64,
    pub(crate) active: i64,
    pub(crate) due: Option<i64>,
    pub(crate) holder: Option<&'a str>,
    pub(crate) claims: Json<&'a Claims>,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(row: &'a Row) -> Self {
        let lease = &row.lease;
        let tenure = lease.claims.state.tenure();
        Self {
            fence: signed(lease.fence.0),
            since: signed(lease.since.0),
            deadline: signed(lease.deadline.0),
            active: signed(lease.active_at.0),
            due: row.due.map(|due| signed(due.0)),
            holder: tenure.map(|tenure| tenure.holder.person.id.as_str()),
            claims: Json(&lease.claims),
        }
    }
}

/// Puts an answer together after its decision was written; `last` is the number of its last event.
pub(crate) fn answered(
    decision: Decision,
    time: StoreTime,
    (due, last): (Option<StoreMs>, u64),
) -> Answered {
    let first = last - decision.events.len() as u64 + 1;
    let events = decision.events.into_iter().zip(first..);
    Answered {
        pen: decision.lease.view(time.at),
        outcome: decision.outcome,
        at: time.at,
        due,
        events: events.map(|(event, seq)| Logged { seq, event }).collect(),
    }
}

impl Due {
    /// Parts what is due from what will be: topics with their due times and the clock, at least one more
    /// than `limit` if there are so many. One that lies too far ahead has the clock as its time, since that
    /// must have been set back.
    pub(crate) fn sort(mut rows: Vec<(String, i64, i64)>, limit: u32) -> Result<Self, StoreError> {
        rows.sort_by_key(|(_, at, _)| *at);
        let mut due = Self { topics: Vec::new(), next_in_ms: None };
        for (topic, at, now) in rows {
            let (at, now) = (unsigned(at)?, unsigned(now)?);
            if due.topics.contains(&topic) {
                continue;
            }
            if at > now || due.topics.len() >= limit as usize {
                due.next_in_ms = Some(at.saturating_sub(now));
                break;
            }
            due.topics.push(topic);
        }
        Ok(due)
    }
}

impl Draft {
    pub(crate) fn read(
        (draft, Json(left_by), at): (Vec<u8>, Json<Person>, i64),
    ) -> Result<Self, StoreError> {
        Ok(Self { draft, left_by, at: StoreMs(unsigned(at)?) })
    }
}

/// Reads a row of the log.
pub(crate) fn logged((seq, Json(event)): (i64, Json<Event>)) -> Result<Logged, StoreError> {
    Ok(Logged { seq: unsigned(seq)?, event })
}

/// A number for a column. Those of leases fit: fences by their definition, times for as long as anybody
/// will ask.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> Result<u64, StoreError> {
    let negative = |error: TryFromIntError| sqlx::Error::Decode(Box::new(error));
    u64::try_from(number).map_err(|error| negative(error).into())
}
