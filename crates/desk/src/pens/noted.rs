//! What the log has of an event of a pen beside what its topic is told.
//!
//! Pens are the rows of the log that are written most often, so they have a part of it to themselves, `pen_log`, which
//! the topic and its consumers both read: the view `written` has it beside `event_log`.

use penholder_lease::{
    Claimant, Command, Event, Fence, Lease, Pen, PersonId, Role, State, StoreMs,
};
use serde::Serialize;
use uuid::Uuid;

/// What is kept of an event, as consumers are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Noted {
    /// The event's id.
    pub(crate) id: String,
    /// What was done to the pen: `created` with the first event of all, else `updated`, also at its end.
    pub(crate) op: &'static str,
    /// The pen right before it; none where it is new.
    pub(crate) previous: Option<Pen>,
    /// 0 where a guest did it.
    pub(crate) is_signed_in: i64,
}

/// Returns what is kept of the events of a decision, in order.
pub(crate) fn noted(before: &Lease, command: &Command, events: &[Event]) -> Vec<Noted> {
    let pens = events.iter().map(|event| &event.pen);
    // What nobody has written down is still so: a deadline that has passed ends with the event that says it.
    let first = (before.fence != Fence::NONE).then(|| before.view(StoreMs(0)));
    let previous = std::iter::once(first).chain(pens.map(|pen| Some(pen.clone())));
    let note = |(event, previous): (&Event, Option<Pen>)| Noted {
        id: new_id(),
        op: if previous.is_some() { "updated" } else { "created" },
        is_signed_in: event
            .by
            .as_ref()
            .map_or(1, |by| i64::from(!is_guest(&by.id, before, command))),
        previous,
    };
    events.iter().zip(previous).map(note).collect()
}

/// Returns the id of an event that is about to be written.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().as_hyphenated().to_string()
}

/// Whether somebody who has done something is a guest.
fn is_guest(person: &PersonId, before: &Lease, command: &Command) -> bool {
    let asks = match command {
        Command::Acquire { claimant, .. }
        | Command::Request { claimant, .. }
        | Command::TakeOver { claimant, .. } => Some(claimant),
        _ => None,
    };
    let claims = &before.claims;
    let takes = match &claims.state {
        State::Draining { to, .. } => Some(to),
        _ => None,
    };
    let holds = claims.state.tenure().map(|tenure| &tenure.holder);
    let waits = claims.queue.iter().map(|waiting| &waiting.claimant);
    let is_guest = |it: &Claimant| it.person.id == *person && it.role == Role::Guest;
    asks.into_iter().chain(takes).chain(holds).chain(waits).any(is_guest)
}
