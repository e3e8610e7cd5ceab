//! One session that wants the pen, has it, or believes so.

use penholder_lease::{Claimant, Command, Fence, Kind, Outcome, Pen, PenState, Person, Role};

use super::plan::Plan;
use crate::rng::Rng;

/// What is taken off a time to live, since the clock of an editor may be slow: in parts of a hundred.
const MARGIN: u64 = 2;

pub(crate) struct Editor {
    pub(crate) claimant: Claimant,
    /// How fast its clock is, in parts per million.
    ppm: u64,
    pub(crate) pending: Option<Pending>,
    pub(crate) belief: Option<Belief>,
    /// It was told that it has the pen, and does not know until when.
    pub(crate) told: Option<Fence>,
    /// When it comes back.
    pub(crate) lost_until: Option<u64>,
    /// It never comes back.
    pub(crate) is_gone: bool,
    /// It has had the pen since the faults ended.
    pub(crate) is_served: bool,
}

/// A request that was not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) command: Command,
    /// What its clock showed before it was sent first: a repeated request is answered with the deadline
    /// of the first.
    pub(crate) sent: u64,
    pub(crate) again_at: u64,
    pub(crate) tries: u32,
}

/// What a holder knows of its own right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Belief {
    pub(crate) fence: Fence,
    /// By its own clock.
    until: u64,
}

impl Editor {
    pub(crate) fn draw(at: u64, plan: &Plan, rng: &mut Rng) -> Self {
        let person = at % plan.people.max(1);
        let kind = if person % 3 == 2 { Kind::Ai } else { Kind::Human };
        let role = if person == 0 { Role::Admin } else { Role::Agent };
        let id = format!("u{person}");
        let person = Person { id: id.as_str().into(), name: id, kind };
        Self {
            claimant: Claimant { session: format!("s{at}").into(), person, role },
            ppm: 1_000_000 + rng.below(2 * plan.drift_ppm + 1) - plan.drift_ppm,
            pending: None,
            belief: None,
            told: None,
            lost_until: None,
            is_gone: false,
            is_served: false,
        }
    }

    /// Its own clock, which counts from somewhere.
    pub(crate) fn clock(&self, now: u64) -> u64 {
        now * self.ppm / 1_000_000
    }

    /// The fence under which it believes to hold the pen.
    pub(crate) fn holds(&self, now: u64) -> Option<Fence> {
        self.belief.filter(|belief| self.clock(now) < belief.until).map(|belief| belief.fence)
    }

    /// Whether it may speak to the store.
    pub(crate) fn is_there(&self) -> bool {
        !self.is_gone && self.lost_until.is_none()
    }

    /// Takes an answer to what it sent when its clock showed `sent`.
    pub(crate) fn answered(&mut self, sent: u64, outcome: Outcome, (pen, ttl_ms): (&Pen, u64)) {
        if pen.session.as_ref() != Some(&self.claimant.session) {
            return self.let_go(pen);
        }
        let is_prolonged = matches!(outcome, Outcome::Granted { .. } | Outcome::Renewed { .. });
        // Who has to give way is given no more time.
        if !is_prolonged || pen.state != PenState::Held {
            return;
        }
        let until = sent + ttl_ms - ttl_ms * MARGIN / 100;
        let same = self.belief.filter(|belief| belief.fence == pen.fence);
        if self.belief.is_none_or(|belief| belief.fence <= pen.fence) {
            let until = same.map_or(until, |belief| until.max(belief.until));
            self.belief = Some(Belief { fence: pen.fence, until });
            self.told = None;
        }
    }

    /// Hears of the pen as it is.
    pub(crate) fn hear(&mut self, pen: &Pen) {
        if pen.session.as_ref() != Some(&self.claimant.session) {
            return self.let_go(pen);
        }
        if self.belief.is_none_or(|belief| belief.fence < pen.fence) {
            self.belief = None;
            self.told = self.told.max(Some(pen.fence));
        }
    }

    fn let_go(&mut self, pen: &Pen) {
        self.belief = self.belief.filter(|belief| belief.fence > pen.fence);
        self.told = self.told.filter(|told| *told > pen.fence);
    }
}
