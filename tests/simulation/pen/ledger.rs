//! What was granted, ended and written, judged by a knowledge of the rules of its own.

use std::collections::BTreeMap;

use penholder_lease::{
    Command, Event, EventKind, Fence, Outcome, PersonId, Policy, Refusal, RequestId, Rule as By,
    SPENT_LEN_MAX, SessionId, StoreMs,
};

use crate::violation::{Checked, Rule, ensure};

/// Of how many tenures the deadline is remembered: more than anybody may still believe in.
const TENURES_MAX: usize = 50;

/// A tenure, as events tell of it.
#[derive(Clone, Debug)]
struct Tenure {
    session: SessionId,
    person: PersonId,
    deadline: StoreMs,
    /// When the first who asked may have it, and when the one who takes it over.
    answer_by: Option<StoreMs>,
    drained_at: Option<StoreMs>,
    /// Until when it may last at most; later than the deadline when the clock was set back.
    latest: StoreMs,
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    policy: Policy,
    tenure: Option<Tenure>,
    /// The largest fence that anybody was ever given, also by a store that is no more.
    largest: Fence,
    /// The fence of the last tenure that this store knows.
    fence: Fence,
    /// The last fence that a write carried.
    written: Fence,
    /// What each request was answered with.
    granted: BTreeMap<(SessionId, RequestId), (Fence, usize)>,
    /// How many requests and places in the queue were answered with a grant.
    answers: usize,
    /// The last deadline of each tenure, also of those that a store has lost.
    pub(crate) deadlines: BTreeMap<Fence, StoreMs>,
}

impl Ledger {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            tenure: None,
            largest: Fence::NONE,
            fence: Fence::NONE,
            written: Fence::NONE,
            granted: BTreeMap::new(),
            answers: 0,
            deadlines: BTreeMap::new(),
        }
    }

    /// The ledger of a standby that lacks the last of what is here; what people were told, they know.
    pub(crate) fn fallen_back_to(&self, past: Self) -> Self {
        Self { largest: self.largest, deadlines: self.deadlines.clone(), ..past }
    }

    /// The clock was set: what lasts too long by it lasts so only until somebody looks.
    pub(crate) fn clock_was_set(&mut self, by_ms: i64, now: StoreMs) {
        let Some(tenure) = &mut self.tenure else { return };
        // A full time to live from when somebody looks; the store may be away before.
        tenure.latest = now.after(self.policy.ttl_ms_max + 2 * self.policy.ttl_ms + 2_000);
        if by_ms >= 0 {
            return;
        }
        let Tenure { deadline, answer_by, drained_at, .. } = tenure;
        let times = [Some(deadline), answer_by.as_mut(), drained_at.as_mut()];
        times.into_iter().flatten().for_each(|time| *time = time.before(by_ms.unsigned_abs()));
    }

    /// Reads an event that a command has brought about, at a time by the store's clock.
    pub(crate) fn read(&mut self, command: &Command, event: &Event, now: StoreMs) -> Checked {
        if event.kind.is_grant() {
            self.answers += 1;
            self.check_grant(command, event, now)?;
        }
        if event.kind == EventKind::Released {
            self.check_release(command, event)?;
        }
        let pen = &event.pen;
        self.tenure = match (&pen.session, &pen.holder, pen.deadline) {
            (Some(session), Some(holder), Some(deadline)) => {
                let before = self.tenure.take().filter(|_| !event.kind.is_grant());
                let asked = (event.kind == EventKind::Requested)
                    .then(|| now.after(self.policy.request_after_ms));
                let known = before.as_ref().and_then(|tenure| tenure.answer_by);
                let answer_by = if event.kind == EventKind::Declined {
                    None
                } else {
                    known.into_iter().chain(asked).min()
                };
                // Who asked the holder before asks this one.
                let answer_by = if event.kind.is_grant() && !pen.queue.is_empty() {
                    Some(now.after(self.policy.request_after_ms))
                } else {
                    answer_by
                };
                let drained = before.as_ref().and_then(|tenure| tenure.drained_at);
                let drained_at =
                    if event.kind == EventKind::Draining { Some(deadline) } else { drained };
                let (session, person) = (session.clone(), holder.id.clone());
                Some(Tenure { session, person, deadline, answer_by, drained_at, latest: deadline })
            }
            _ => None,
        };
        if let Some(tenure) = &self.tenure {
            // Those of a take-over that is under way end sooner; nobody is told of it later.
            let last = self.deadlines.entry(event.fence).or_default();
            *last = tenure.deadline.max(*last);
            if self.deadlines.len() > TENURES_MAX {
                self.deadlines.pop_first();
            }
        }
        Ok(())
    }

    /// L1 and L3.
    fn check_grant(&mut self, command: &Command, event: &Event, now: StoreMs) -> Checked {
        let place = || format!("{event:?} by {command:?} at {now:?} after {:?}", self.tenure);
        ensure(event.fence > self.largest, Rule::FenceGrows, || {
            format!("{} after {}: {}", event.fence, self.largest, place())
        })?;
        let Some(before) = &self.tenure else {
            (self.largest, self.fence) = (event.fence, event.fence);
            return Ok(());
        };
        let is_past = now >= before.deadline;
        let is_of = |session: &SessionId| *session == before.session;
        let is_in_time = match event.rule {
            By::HandedOver => matches!(command, Command::Answer { session, fence, .. }
                if is_of(session) && *fence == self.fence),
            By::TakenOver => {
                let is_drained = before.drained_at.is_some_and(|at| now >= at);
                is_past
                    || is_drained
                    || self.policy.drain_ms == 0
                    || matches!(command, Command::Answer { .. })
            }
            By::SamePerson => {
                event.pen.holder.as_ref().is_some_and(|holder| holder.id == before.person)
            }
            By::AiYields => self.policy.ai_yields,
            By::RequestTimeout | By::Idle => before.answer_by.is_some_and(|at| now >= at),
            _ => is_past,
        };
        ensure(is_in_time, Rule::NoEarlyGrant, place)?;
        (self.largest, self.fence) = (event.fence, event.fence);
        Ok(())
    }

    /// A holder's pen is given back by the holder alone.
    fn check_release(&self, command: &Command, event: &Event) -> Checked {
        let is_own = |session: &SessionId| {
            self.tenure.as_ref().is_some_and(|tenure| tenure.session == *session)
        };
        let is_in_order = match command {
            Command::Release { session, fence } => is_own(session) && *fence == self.fence,
            Command::Leave { session } | Command::Disconnect { session } => is_own(session),
            _ => false,
        };
        ensure(is_in_order, Rule::OwnWord, || format!("{event:?} by {command:?}"))
    }

    /// L4.
    pub(crate) fn answered(
        &mut self,
        command: &Command,
        outcome: Result<Outcome, Refusal>,
    ) -> Checked {
        let Command::Acquire { claimant, terms } = command else { return Ok(()) };
        let Ok(Outcome::Granted { fence, .. }) = outcome else { return Ok(()) };
        let Some(request_id) = &terms.request_id else { return Ok(()) };
        let key = (claimant.session.clone(), request_id.clone());
        let first = *self.granted.entry(key.clone()).or_insert_with(|| {
            self.answers += 1;
            (fence, self.answers)
        });
        // A pen remembers no more than so many.
        let oldest = self.answers.saturating_sub(SPENT_LEN_MAX);
        self.granted.retain(|_, (_, answer)| *answer > oldest);
        let first = first.0;
        ensure(first == fence, Rule::OneGrant, || format!("{key:?} got {first} and {fence}"))
    }

    /// L2: a write is of the tenure that lives, and none goes back.
    pub(crate) fn write(&mut self, fence: Fence, now: StoreMs) -> Checked {
        let lives = self.tenure.as_ref().is_some_and(|tenure| now < tenure.latest);
        let is_current = lives && fence == self.fence && fence >= self.written;
        ensure(is_current, Rule::CurrentWrite, || {
            format!(
                "{fence} at {now:?}, after {} and in {} {:?}",
                self.written, self.fence, self.tenure
            )
        })?;
        self.written = fence;
        Ok(())
    }
}
