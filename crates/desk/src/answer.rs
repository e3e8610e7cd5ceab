//! What a caller gets back.

use penholder_lease::{Event, Outcome, Pen, Person, Refusal, StoreMs};
use serde::Serialize;

/// An event with its number in the topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// The number: one more than that of the event before it on this topic, whatever its kind.
    pub seq: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What came of a command. It is written, so it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the events are owed to the topic"]
pub struct Answered {
    /// What came of it.
    pub outcome: Result<Outcome, Refusal>,
    /// The pen after it.
    pub pen: Pen,
    /// When, by the store's clock.
    pub at: StoreMs,
    /// When the pen wants a tick; never, while nobody has it.
    pub due: Option<StoreMs>,
    /// What the topic must be told, in order.
    pub events: Vec<Logged>,
}

/// A pen as it was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose.
    pub topic: String,
    /// The pen.
    pub pen: Pen,
    /// The moment, by the store's clock.
    pub at: StoreMs,
}

/// Which pens are to be ticked, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The topics, the longest overdue first.
    pub topics: Vec<String>,
    /// How long nothing else is due; none when nothing is foreseen. Zero when there is more than was
    /// asked for.
    pub next_in_ms: Option<u64>,
}

/// A draft from escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What was left, as it was left.
    pub draft: Vec<u8>,
    /// By whom.
    pub left_by: Person,
    /// When, by the store's clock.
    pub at: StoreMs,
}
