//! The lease of one topic: the row that a store keeps.

use std::mem;

use serde::{Deserialize, Serialize};

use crate::claimant::{Claimant, RequestId, SessionId};
use crate::event::Rule;
use crate::fence::Fence;
use crate::pen::{InQueue, Pen, PenState};
use crate::policy::{Handover, Policy};
use crate::time::StoreMs;

/// Everything that is known of one pen.
///
/// The four numbers stand beside the state and not in it, because a store changes them by itself: a
/// grant of a free pen and the renewal of many are one statement each.
///
/// Reading the fields says what was written last. What is true *now* is in [`view`](Self::view): a
/// deadline passes without anybody writing it down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// The largest fence that was granted.
    pub fence: Fence,
    /// Since when the holder has it, or it is free.
    pub since: StoreMs,
    /// When the state ends by itself; of a free pen, when it became free.
    pub deadline: StoreMs,
    /// The last input of the holder that is known here.
    pub active_at: StoreMs,
    /// Who has it, waits for it, and was answered.
    pub claims: Claims,
}

/// The part of a lease that only [`decide`](crate::decide) changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Who has it.
    pub state: State,
    /// Who waits, one place per person, the next one first. Empty while the pen is free.
    pub queue: Vec<Waiting>,
    /// Requests that were answered, but for the holder's last one; the oldest first.
    pub spent: Vec<Spent>,
}

/// Who has a pen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nobody.
    Free {
        /// The session that gave it back, when the last tenure ended so.
        released_by: Option<SessionId>,
    },
    /// The holder.
    Held {
        /// By what right.
        tenure: Tenure,
    },
    /// The holder until the deadline, then `to`.
    Draining {
        /// By what right.
        tenure: Tenure,
        /// Who takes it over.
        to: Claimant,
        /// The deadline that the holder had before; it counts again should the other one go away.
        deadline_before: StoreMs,
    },
    /// The holder, whose connection is lost.
    Reserved {
        /// By what right.
        tenure: Tenure,
    },
    /// Nobody, for ever: what it was of is gone.
    Ended,
}

impl Default for State {
    fn default() -> Self {
        Self::Free { released_by: None }
    }
}

/// The right of a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// Whose.
    pub holder: Claimant,
    /// How long each renewal lasts.
    pub ttl_ms: u64,
    /// How they got it.
    pub rule: Rule,
    /// The last request that was answered with it.
    pub request_id: Option<RequestId>,
}

/// A place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whose.
    pub claimant: Claimant,
    /// Time to live that they want.
    pub ttl_ms: u64,
    /// The request that they wait with.
    pub request_id: Option<RequestId>,
    /// When the holder has to have answered them, if they have asked.
    pub answer_by: Option<StoreMs>,
}

/// A request that was answered with a grant, and begins no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Who made it.
    pub session: SessionId,
    /// What they called it.
    pub request_id: RequestId,
    /// What they got for it.
    pub fence: Fence,
}

impl State {
    /// Returns the right of the holder, whether or not the deadline has passed.
    #[must_use]
    pub fn tenure(&self) -> Option<&Tenure> {
        match self {
            Self::Free { .. } | Self::Ended => None,
            Self::Held { tenure } | Self::Draining { tenure, .. } | Self::Reserved { tenure } => {
                Some(tenure)
            }
        }
    }

    pub(crate) fn tenure_mut(&mut self) -> Option<&mut Tenure> {
        match self {
            Self::Free { .. } | Self::Ended => None,
            Self::Held { tenure } | Self::Draining { tenure, .. } | Self::Reserved { tenure } => {
                Some(tenure)
            }
        }
    }

    /// Takes the state apart, and leaves a free one.
    pub(crate) fn take(&mut self) -> (Option<Tenure>, Option<Claimant>) {
        match mem::take(self) {
            Self::Free { .. } | Self::Ended => (None, None),
            Self::Held { tenure } | Self::Reserved { tenure } => (Some(tenure), None),
            Self::Draining { tenure, to, .. } => (Some(tenure), Some(to)),
        }
    }
}

impl Lease {
    /// Returns the pen as it is at `now`. Whoever reads changes nothing.
    ///
    /// Cost: in proportion to the queue.
    #[must_use]
    pub fn view(&self, now: StoreMs) -> Pen {
        let tenure = self.tenure(now);
        Pen {
            state: match &self.claims.state {
                _ if tenure.is_none() => PenState::Free,
                State::Draining { .. } => PenState::Draining,
                State::Reserved { .. } => PenState::Reserved,
                State::Held { .. } | State::Free { .. } | State::Ended => PenState::Held,
            },
            holder: tenure.map(|tenure| tenure.holder.person.clone()),
            session: tenure.map(|tenure| tenure.holder.session.clone()),
            fence: self.fence,
            since: tenure.map(|_| self.since),
            deadline: tenure.map(|_| self.deadline),
            queue: self.claims.queue.iter().map(Waiting::brief).collect(),
        }
    }

    /// Returns the right of whoever has the pen at `now`.
    #[must_use]
    pub fn tenure(&self, now: StoreMs) -> Option<&Tenure> {
        self.claims.state.tenure().filter(|_| now < self.deadline)
    }

    /// Returns the right under `fence`, if that session has the pen under it at `now`.
    #[must_use]
    pub fn held_by(&self, session: &SessionId, fence: Fence, now: StoreMs) -> Option<&Tenure> {
        self.tenure(now).filter(|tenure| tenure.holder.session == *session && self.fence == fence)
    }

    /// Returns when a [`Tick`](crate::Command::Tick) has something to do; never, while nobody has the
    /// pen.
    #[must_use]
    pub fn due(&self, policy: &Policy) -> Option<StoreMs> {
        self.claims.state.tenure()?;
        Some(self.passes_on_at(policy).map_or(self.deadline, |at| at.min(self.deadline)))
    }

    /// Returns when the pen passes on because a request was not answered, if there is one.
    pub(crate) fn passes_on_at(&self, policy: &Policy) -> Option<StoreMs> {
        if matches!(self.claims.state, State::Draining { .. }) {
            return None;
        }
        let first = self.claims.queue.iter().filter_map(|waiting| waiting.answer_by).min()?;
        Some(match policy.handover {
            Handover::Courtesy => first,
            Handover::Consent => first.max(self.idle_at(policy)),
        })
    }

    /// Returns when the holder counts as idle, unless there is input before.
    pub(crate) fn idle_at(&self, policy: &Policy) -> StoreMs {
        self.active_at.after(policy.idle_after_ms)
    }
}

impl Waiting {
    fn brief(&self) -> InQueue {
        let person = &self.claimant.person;
        InQueue { id: person.id.clone(), name: person.name.clone(), answer_by: self.answer_by }
    }
}
