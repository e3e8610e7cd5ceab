//! The pen as everybody sees it.

use serde::{Deserialize, Serialize};

use crate::claimant::{Person, PersonId, SessionId};
use crate::fence::Fence;
use crate::time::StoreMs;

/// Whether somebody has the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PenState {
    /// Nobody has.
    Free,
    /// The holder has.
    Held,
    /// The holder has until the deadline, then somebody else.
    Draining,
    /// The holder's connection is lost; it is kept until the deadline.
    Reserved,
}

/// Somebody who waits for the pen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InQueue {
    /// Who.
    pub id: PersonId,
    /// A name to show.
    pub name: String,
    /// When the holder has to have answered them, if they have asked and were not declined since.
    pub answer_by: Option<StoreMs>,
}

/// The pen of a topic at one moment, in the form of the wire.
///
/// What it says of the holder is true until `deadline`; whoever keeps it for longer must ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pen {
    /// Whether somebody has it.
    pub state: PenState,
    /// Who has it.
    pub holder: Option<Person>,
    /// In which session.
    pub session: Option<SessionId>,
    /// The largest fence that was ever granted, "0" when none was.
    pub fence: Fence,
    /// Since when the holder has it.
    pub since: Option<StoreMs>,
    /// Until when, if nothing happens.
    pub deadline: Option<StoreMs>,
    /// Who waits, the next one first.
    pub queue: Vec<InQueue>,
}
