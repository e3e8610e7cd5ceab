//! L6: what several clients of one topic saw is what they could have seen one after the other, in an order
//! that respects who had finished before whom.
//!
//! The model is the plainest lease there is. Where a client knows by the store's clock when something was
//! done, that moment counts; else any moment between the call and its answer. What the server does by
//! itself (a holder whose connection is lost, a take-over whose drain is over) stands in the history as a
//! call of its own, at the moment that the log gives. A call without an answer stays open: it may have had
//! its effect at any later moment, or never.

use penholder_lease::{EventKind, Fence, StoreMs};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// The number of a session, and of the person behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The person's.
    pub person: u64,
    /// The session's, by which the pen is held.
    pub session: u64,
}

/// The span in which something was done, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// The first moment.
    pub from: StoreMs,
    /// The last.
    pub to: StoreMs,
}

impl Within {
    /// A moment that is known.
    #[must_use]
    pub fn at(at: StoreMs) -> Self {
        Self { from: at, to: at }
    }
}

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To have the pen.
    Acquire,
    /// To keep it.
    Renew(Fence),
    /// To give it back.
    Release(Fence),
    /// To take it over.
    TakeOver,
    /// To write where the pen is kept, and only while the fence is current.
    Write(Fence),
    /// To write elsewhere, where the largest fence is kept beside what is written.
    Save(Fence),
    /// Who has it.
    Read,
    /// Nobody asks: the server has done something by itself.
    Told(EventKind),
}

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Whose; of what the server does by itself, of the session that holds the pen after it, or held it.
    pub who: Who,
    /// What.
    pub ask: Ask,
    /// When it began at the earliest: what is known of a call that is never answered.
    pub from: StoreMs,
}

/// The answer, and when that was true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saw {
    /// When.
    pub within: Within,
    /// What.
    pub outcome: Outcome,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The pen is one's own, until then.
    Own(Fence, StoreMs),
    /// It is held by another, or taken over by one.
    Held,
    /// It is held by another until then, and one's own after that.
    Draining(StoreMs),
    /// What was asked under a fence has been done.
    Done,
    /// It has not, for the fence is not good any more.
    Lost,
    /// Which session has it, of what is read.
    Holder(Option<u64>, Fence),
}

/// A moment that is not known exactly while a call is open.
#[derive(Debug, Clone, Copy)]
struct Span {
    min: StoreMs,
    max: StoreMs,
}

/// The bits of a fence that count grants. What stands above them, the timeline, may jump between two grants; that
/// whole fences grow is for the judge of the log to say.
const COUNT: u64 = (1 << 40) - 1;

fn counted(Fence(fence): Fence) -> Fence {
    Fence(fence & COUNT)
}

impl Op {
    fn counted(self) -> Self {
        let ask = match self.ask {
            Ask::Renew(fence) => Ask::Renew(counted(fence)),
            Ask::Release(fence) => Ask::Release(counted(fence)),
            Ask::Write(fence) => Ask::Write(counted(fence)),
            Ask::Save(fence) => Ask::Save(counted(fence)),
            ask @ (Ask::Acquire | Ask::TakeOver | Ask::Read | Ask::Told(_)) => ask,
        };
        Self { ask, ..self }
    }
}

impl Saw {
    fn counted(self) -> Self {
        let outcome = match self.outcome {
            Outcome::Own(fence, until) => Outcome::Own(counted(fence), until),
            Outcome::Holder(session, fence) => Outcome::Holder(session, counted(fence)),
            outcome @ (Outcome::Held | Outcome::Draining(_) | Outcome::Done | Outcome::Lost) => {
                outcome
            }
        };
        Self { outcome, ..self }
    }
}

const NEVER: StoreMs = StoreMs(u64::MAX);

impl Span {
    fn at(at: StoreMs) -> Self {
        Self { min: at, max: at }
    }
}

/// A lease as one would draw it on a board.
#[derive(Debug, Clone)]
pub struct Model {
    ttl_ms: u64,
    drain_ms: u64,
    now: StoreMs,
    fence: Fence,
    holder: Option<Who>,
    deadline: Span,
    /// Who has the pen when it is let go, or at the deadline.
    taker: Option<Who>,
    released_by: Option<u64>,
    /// The largest fence of what was saved elsewhere.
    saved: Fence,
}

impl Model {
    /// A pen that nobody ever had.
    #[must_use]
    pub fn new(ttl_ms: u64, drain_ms: u64) -> Self {
        Self {
            ttl_ms,
            drain_ms,
            now: StoreMs(0),
            fence: Fence::NONE,
            holder: None,
            deadline: Span::at(StoreMs(0)),
            taker: None,
            released_by: None,
            saved: Fence::NONE,
        }
    }

    /// Who may have the pen at a moment.
    fn holder(&self, at: StoreMs) -> Option<Who> {
        self.holder.filter(|_| at < self.deadline.max)
    }

    fn may_own(&self, who: Who, fence: Fence, at: StoreMs) -> bool {
        self.fence == fence && self.holder(at).is_some_and(|holder| holder.session == who.session)
    }

    /// Lets time pass to the first moment that fits; false when there is none.
    fn pass(&mut self, within: Within, not_before: StoreMs) -> bool {
        self.now = self.now.max(within.from).max(not_before);
        self.now <= within.to
    }

    /// Lets time pass to a moment at which the pen is nobody's but perhaps `who`'s under a fence that is
    /// not `fence`. None passes before the first grant: there is nothing yet that could be locked, so the clock of
    /// who is refused may be ahead of a first grant that is still being committed.
    fn pass_until_lost(&mut self, who: Who, fence: Fence, within: Within) -> bool {
        if self.fence == Fence::NONE {
            return true;
        }
        let owns =
            self.fence == fence && self.holder.is_some_and(|holder| holder.session == who.session);
        self.pass(within, if owns { self.deadline.min } else { StoreMs(0) })
    }

    fn grant(&mut self, who: Who, deadline: Span) {
        self.fence = Fence(self.fence.0 + 1);
        (self.holder, self.deadline, self.released_by) = (Some(who), deadline, None);
    }

    /// The session has the pen, newly or still.
    fn own(&mut self, who: Who, (fence, deadline): (Fence, StoreMs), within: Within) -> bool {
        let granted_at = StoreMs(deadline.0.saturating_sub(self.ttl_ms));
        let exactly = |at: StoreMs| within.from <= at && at <= within.to;
        if fence == self.fence {
            let same = self.deadline.min <= deadline && deadline <= self.deadline.max;
            let prolonged = exactly(granted_at) && self.taker.is_none();
            let not_before = if same { StoreMs(0) } else { granted_at };
            let valid = (same || (prolonged && deadline >= self.deadline.min))
                && self.pass(within, not_before)
                && (self.now <= granted_at || self.taker.is_some())
                && self.may_own(who, fence, self.now);
            self.deadline = Span::at(deadline);
            return valid;
        }
        let next = fence.0 == self.fence.0 + 1;
        if self.taker.is_some() && self.holder.is_some_and(|it| it.person == who.person) {
            // Another session of the holder: the take-over goes on.
            let same = self.deadline.min <= deadline && deadline <= self.deadline.max;
            let valid = next && same && self.pass(within, StoreMs(0)) && self.now < deadline;
            self.grant(who, Span::at(deadline));
            return valid;
        }
        let is_free = self.holder.is_none_or(|holder| {
            let moves = holder.person == who.person && holder.session != who.session;
            moves || granted_at >= self.deadline.min
        });
        let valid = next && is_free && exactly(granted_at) && self.pass(within, granted_at);
        self.grant(who, Span::at(deadline));
        valid && self.now == granted_at && self.taker.is_none()
    }

    fn step(&mut self, op: Op, saw: Saw) -> bool {
        let (Op { who, ask, .. }, Saw { within, outcome }) = (op, saw);
        match (ask, outcome) {
            (Ask::Told(kind), Outcome::Own(fence, deadline)) => {
                self.told(kind, who, (fence, deadline), within)
            }
            (Ask::Acquire | Ask::TakeOver, Outcome::Own(fence, deadline)) => {
                self.own(who, (fence, deadline), within)
            }
            (Ask::Renew(fence), Outcome::Own(same, deadline)) => {
                fence == same && fence == self.fence && self.own(who, (fence, deadline), within)
            }
            (Ask::Acquire, Outcome::Held) => {
                let valid = self.pass(within, StoreMs(0));
                valid && self.holder(self.now).is_some_and(|it| it.session != who.session)
            }
            (Ask::TakeOver, Outcome::Draining(until)) => self.drain(who, until, within),
            (Ask::TakeOver, Outcome::Held) => {
                let valid = self.pass(within, StoreMs(0)) && self.holder(self.now).is_some();
                valid && self.taker.is_some_and(|taker| taker.person != who.person)
            }
            (Ask::Release(fence), Outcome::Done) => {
                let valid = self.pass(within, StoreMs(0));
                let again = self.released_by == Some(who.session) && self.fence == fence;
                let owns = self.may_own(who, fence, self.now);
                (self.holder, self.released_by) = (None, Some(who.session));
                valid && (again || owns)
            }
            (Ask::Release(fence), Outcome::Lost) => {
                let again = self.released_by == Some(who.session) && self.fence == fence;
                !again && self.pass_until_lost(who, fence, within)
            }
            (Ask::Write(fence), Outcome::Done) => {
                self.pass(within, StoreMs(0)) && self.may_own(who, fence, self.now)
            }
            (Ask::Renew(fence) | Ask::Write(fence), Outcome::Lost) => {
                self.pass_until_lost(who, fence, within)
            }
            (Ask::Save(fence), Outcome::Done) => {
                let valid = fence >= self.saved;
                self.saved = fence;
                valid
            }
            (Ask::Save(fence), Outcome::Lost) => fence < self.saved,
            (Ask::Read, Outcome::Holder(session, fence)) => {
                self.fence == fence && self.reads(session, within)
            }
            _ => false,
        }
    }

    /// Whether a reader may see this holder. No time passes: who reads holds no lock, and may see with a
    /// later clock what is just being written over.
    fn reads(&self, session: Option<u64>, within: Within) -> bool {
        match (self.holder, session) {
            (Some(holder), Some(session)) => {
                holder.session == session && within.from < self.deadline.max
            }
            (Some(_), None) => self.deadline.min <= within.to,
            (None, seen) => seen.is_none(),
        }
    }

    fn drain(&mut self, who: Who, until: StoreMs, within: Within) -> bool {
        let valid = self.pass(within, StoreMs(0))
            && self.holder(self.now).is_some_and(|holder| holder.person != who.person);
        if let Some(taker) = self.taker {
            let same = self.deadline.min <= until && until <= self.deadline.max;
            return valid && same && taker.person == who.person;
        }
        let drained = StoreMs(until.0.saturating_sub(self.drain_ms));
        let is_cut = until >= self.deadline.min && until <= self.deadline.max;
        let valid = valid && (is_cut || self.pass(within, drained) && self.now == drained);
        (self.deadline, self.taker) = (Span::at(until), Some(who));
        valid && self.now < until
    }

    /// What the server has done by itself, at a moment that is known.
    fn told(
        &mut self,
        kind: EventKind,
        who: Who,
        (fence, deadline): (Fence, StoreMs),
        within: Within,
    ) -> bool {
        let valid = self.pass(within, StoreMs(0));
        match kind {
            EventKind::TakenOver => {
                let is_due = self.holder.is_none() || self.now >= self.deadline.min;
                let is_taker = self.taker.take().is_some_and(|it| it.person == who.person);
                let next = fence.0 == self.fence.0 + 1;
                self.grant(who, Span::at(deadline));
                valid && is_due && is_taker && next
            }
            EventKind::Expired => {
                let ended = self.holder.is_some() && self.now >= self.deadline.min;
                (self.holder, self.taker, self.released_by) = (None, None, None);
                valid && ended && fence == self.fence
            }
            EventKind::Released => {
                let owns = self.may_own(who, fence, self.now);
                (self.holder, self.released_by) = (None, Some(who.session));
                valid && owns
            }
            EventKind::Renewed | EventKind::Reserved | EventKind::Resumed => {
                let owns = self.may_own(who, fence, self.now);
                self.deadline = Span::at(deadline);
                if kind == EventKind::Resumed {
                    // Whoever was to take it over is gone, or there was nobody.
                    self.taker = None;
                }
                valid && owns
            }
            _ => false,
        }
    }
}

impl SequentialSpec for Model {
    type Op = Op;
    type Ret = Option<Saw>;

    /// The effect of a call that was never answered. That it had none is tried by the tester itself.
    fn invoke(&mut self, &Op { who, ask, from }: &Op) -> Option<Saw> {
        let now = self.now.max(from);
        let holder = self.holder(now);
        let owns = holder.is_some_and(|holder| holder.session == who.session);
        match ask {
            Ask::Acquire | Ask::TakeOver if owns && self.taker.is_none() => {
                self.deadline.max = NEVER;
            }
            Ask::TakeOver if holder.is_some() && self.taker.is_none() => {
                let until = now.after(self.drain_ms).min(self.deadline.min);
                self.deadline = Span { min: until, max: self.deadline.max };
                self.taker = Some(who);
            }
            Ask::Acquire | Ask::TakeOver if self.taker.is_none() => {
                let is_own = holder.is_some_and(|holder| holder.person == who.person);
                let is_free = is_own || self.holder.is_none();
                let earliest = if is_free { now } else { now.max(self.deadline.min) };
                self.now = earliest;
                self.grant(who, Span { min: earliest.after(self.ttl_ms), max: NEVER });
            }
            Ask::Renew(fence) if self.may_own(who, fence, now) && self.taker.is_none() => {
                self.deadline.max = NEVER;
            }
            Ask::Release(fence) if self.may_own(who, fence, now) => {
                (self.holder, self.released_by) = (None, Some(who.session));
            }
            _ => {}
        }
        None
    }

    fn is_valid_step(&mut self, &op: &Op, saw: &Option<Saw>) -> bool {
        saw.is_some_and(|saw| self.step(op, saw))
    }
}

/// The calls on one topic, in the order in which they began and ended.
#[derive(Debug, Clone)]
pub struct History(LinearizabilityTester<u64, Model>);

impl History {
    /// An empty one.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self(LinearizabilityTester::new(model))
    }

    /// A call begins. A `thread` has one at a time, and none after one that is never answered.
    ///
    /// # Errors
    ///
    /// The thread has one already.
    pub fn invoke(&mut self, thread: u64, op: Op) -> Result<(), String> {
        self.0.on_invoke(thread, op.counted()).map(|_| ())
    }

    /// The call of a thread has been answered.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn complete(&mut self, thread: u64, saw: Saw) -> Result<(), String> {
        self.0.on_return(thread, Some(saw.counted())).map(|_| ())
    }

    /// Whether everything that was seen could have been seen.
    #[must_use]
    pub fn is_linearizable(&self) -> bool {
        self.0.is_consistent()
    }
}

#[cfg(test)]
mod tests;
