//! The decision: a lease, a command and the time in; the next lease, an outcome and events out.

mod asking;
mod holding;
#[cfg(test)]
mod tests;

use crate::claimant::{Claimant, Person, SessionId};
use crate::command::{Command, Outcome, REASON_BYTES_MAX, Refusal, SPENT_LEN_MAX};
use crate::event::{Event, EventKind, Rule};
use crate::lease::{Lease, Spent, State, Tenure, Waiting};
use crate::policy::Policy;
use crate::time::{StoreMs, StoreTime};

/// What is to be written, told and answered, all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The lease from now on.
    pub lease: Lease,
    /// What has changed, in order. Also what was due before the command came.
    pub events: Vec<Event>,
    /// What came of the command.
    pub outcome: Result<Outcome, Refusal>,
}

/// Decides what a command does to a lease. A topic without a row has the default lease.
///
/// What is due by `time` happens first, so a command never finds a holder whose deadline has passed,
/// whether or not anybody has sent a [`Tick`](Command::Tick).
///
/// Whoever calls it holds the row locked from before `time` was read until the result is written.
///
/// Cost: in proportion to the queue.
#[must_use]
pub fn decide(lease: &Lease, command: &Command, time: StoreTime, policy: &Policy) -> Decision {
    let mut turn = Turn { lease: lease.clone(), time, policy, events: Vec::new() };
    if matches!(command, Command::End { .. }) {
        // Nobody gets what is due to them of what is gone.
        turn.drop_claims();
    }
    turn.settle();
    let outcome = turn.obey(command);
    Decision { lease: turn.lease, events: turn.events, outcome }
}

/// One decision under way.
struct Turn<'a> {
    lease: Lease,
    time: StoreTime,
    policy: &'a Policy,
    events: Vec<Event>,
}

/// What an event says beside the pen.
struct Why {
    kind: EventKind,
    rule: Rule,
    by: Option<Person>,
    reason: Option<String>,
}

impl Why {
    fn new(kind: EventKind, rule: Rule, by: Option<&Person>) -> Self {
        Self { kind, rule, by: by.cloned(), reason: None }
    }

    fn saying(self, reason: Option<&String>) -> Self {
        Self { reason: reason.cloned(), ..self }
    }
}

impl Turn<'_> {
    fn obey(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::Acquire { claimant, terms } => self.acquire(claimant, terms),
            Command::Renew { session, fence, input_ms_ago } => {
                self.renew(session, *fence, *input_ms_ago)
            }
            Command::Release { session, fence } => self.release(session, *fence),
            Command::Request { claimant, reason } => self.request(claimant, reason.as_ref()),
            Command::Answer { session, fence, answer, reason } => {
                self.check_holder(session, *fence)?;
                self.answer(answer, reason.as_ref())
            }
            Command::TakeOver { claimant, reason } => self.take_over(claimant, reason.as_ref()),
            Command::Revoke { by, reason } => self.revoke(by, reason.as_ref()),
            Command::End { by } => Ok(self.end_for_good(by)),
            Command::Disconnect { session } => Ok(self.disconnect(session)),
            Command::Leave { session } => Ok(self.leave(session)),
            Command::Resume { session } => self.resume(session),
            Command::Tick => Ok(Outcome::Settled),
        }
    }

    /// Sees to it that nothing lies further ahead than its span is long. It does when the store's clock
    /// was set back, and the pen of a holder who died would be kept for as long as it was set back; or when
    /// the policy allows less than it did.
    fn keep_within_spans(&mut self) {
        let (now, lease, policy) = (self.time.at, &mut self.lease, self.policy);
        let within = |span_ms| now.after(span_ms);
        if let Some(tenure) = lease.claims.state.tenure_mut() {
            tenure.ttl_ms = tenure.ttl_ms.min(policy.ttl_ms_max);
        }
        lease.since = lease.since.min(now);
        lease.active_at = lease.active_at.min(now);
        let deadline_max = match &mut lease.claims.state {
            State::Free { .. } | State::Ended => now,
            State::Held { tenure } | State::Reserved { tenure } => within(tenure.ttl_ms),
            State::Draining { tenure, deadline_before, .. } => {
                *deadline_before = within(tenure.ttl_ms).min(*deadline_before);
                within(policy.drain_ms)
            }
        };
        lease.deadline = lease.deadline.min(deadline_max);
        let asked = lease.claims.queue.iter_mut().filter_map(|waiting| waiting.answer_by.as_mut());
        asked.for_each(|answer_by| *answer_by = within(policy.request_after_ms).min(*answer_by));
    }

    /// Does what is due. Ends, because each round takes somebody out of the queue or finds it empty.
    fn settle(&mut self) {
        let now = self.time.at;
        self.keep_within_spans();
        loop {
            let ended = now >= self.lease.deadline;
            let asked = self.lease.passes_on_at(self.policy).is_some_and(|at| now >= at);
            match &self.lease.claims.state {
                State::Draining { to, .. } if ended => {
                    let to = to.clone();
                    self.complete_take_over(to);
                }
                State::Held { .. } | State::Reserved { .. } if ended => self.expire(),
                State::Held { .. } | State::Reserved { .. } if asked => {
                    let idle = now >= self.lease.idle_at(self.policy);
                    let rule = if idle { Rule::Idle } else { Rule::RequestTimeout };
                    self.pass_on(rule, None);
                }
                _ => return,
            }
        }
    }

    fn expire(&mut self) {
        let reserved = matches!(self.lease.claims.state, State::Reserved { .. });
        let idle = self.lease.deadline >= self.lease.idle_at(self.policy);
        let rule = match (reserved, idle) {
            (true, _) => Rule::Disconnected,
            (false, true) => Rule::Idle,
            (false, false) => Rule::Expired,
        };
        self.end(Why::new(EventKind::Expired, rule, None), None);
    }

    /// Ends the tenure, and gives the pen to whom it belongs then.
    fn end(&mut self, why: Why, released_by: Option<&SessionId>) {
        let (tenure, to) = self.lease.claims.state.take();
        self.spend(tenure);
        let now = self.time.at;
        self.lease.claims.state = State::Free { released_by: released_by.cloned() };
        (self.lease.since, self.lease.deadline, self.lease.active_at) = (now, now, now);
        let by = why.by.clone();
        self.tell(why);
        match to {
            Some(to) => self.complete_take_over(to),
            None => self.pass_on(Rule::Queue, by.as_ref()),
        }
    }

    /// Gives the pen to the next in the queue, if there is one.
    fn pass_on(&mut self, rule: Rule, by: Option<&Person>) {
        let queue = &self.lease.claims.queue;
        let Some(head) = queue.first() else { return };
        // A program that is next would have to give way at once to a human who has asked.
        let human =
            queue.iter().position(|waiting| waiting.answer_by.is_some() && is_human(waiting));
        let yields = self.policy.ai_yields && !is_human(head);
        let (place, rule) = match human {
            Some(place) if yields => (place, Rule::AiYields),
            _ => (0, rule),
        };
        let next = self.lease.claims.queue.remove(place);
        self.grant(next, Why::new(EventKind::Granted, rule, by));
    }

    fn complete_take_over(&mut self, to: Claimant) {
        let why = Why::new(EventKind::TakenOver, Rule::TakenOver, Some(&to.person));
        let seat = self.seat(to);
        self.grant(seat, why);
    }

    /// Begins a tenure, whatever there was before: the only place where a fence grows.
    fn grant(&mut self, to: Waiting, why: Why) {
        let now = self.time.at;
        let (before, _) = self.lease.claims.state.take();
        self.spend(before);
        self.lease.fence = self.lease.fence.next(self.time.timeline);
        self.lease.since = now;
        self.lease.deadline = now.after(to.ttl_ms);
        self.lease.active_at = now;
        self.forget_waiting(&to.claimant);
        // Who has asked the holder before now asks this one.
        let answer_by = now.after(self.policy.request_after_ms);
        for waiting in &mut self.lease.claims.queue {
            waiting.answer_by = waiting.answer_by.map(|_| answer_by);
        }
        let Waiting { claimant: holder, ttl_ms, request_id, answer_by: _ } = to;
        let tenure = Tenure { holder, ttl_ms, rule: why.rule, request_id };
        self.lease.claims.state = State::Held { tenure };
        self.tell(why);
    }

    /// Remembers the request of a tenure that is over, or has a newer one.
    fn spend(&mut self, tenure: Option<Tenure>) {
        let Some(Tenure { holder, request_id: Some(request_id), .. }) = tenure else { return };
        let spent = &mut self.lease.claims.spent;
        spent.push(Spent { session: holder.session, request_id, fence: self.lease.fence });
        if spent.len() > SPENT_LEN_MAX {
            spent.remove(0);
        }
    }

    fn tell(&mut self, why: Why) {
        let at = self.time.at;
        self.events.push(Event {
            kind: why.kind,
            rule: why.rule,
            by: why.by,
            fence: self.lease.fence,
            at,
            reason: why.reason,
            pen: self.lease.view(at),
        });
    }

    /// A seat for somebody who has not said how they want the pen.
    fn seat(&self, claimant: Claimant) -> Waiting {
        Waiting { claimant, ttl_ms: self.policy.ttl_ms, request_id: None, answer_by: None }
    }

    fn forget_waiting(&mut self, claimant: &Claimant) {
        self.lease.claims.queue.retain(|waiting| !waiting.claimant.is_same_person(claimant));
    }

    fn granted(&self) -> Outcome {
        Outcome::Granted { fence: self.lease.fence, deadline: self.lease.deadline }
    }

    fn now(&self) -> StoreMs {
        self.time.at
    }
}

fn is_human(waiting: &Waiting) -> bool {
    waiting.claimant.person.kind == crate::claimant::Kind::Human
}

fn check_reason(reason: Option<&String>) -> Result<(), Refusal> {
    let too_long = reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX);
    if too_long { Err(Refusal::ReasonTooLong) } else { Ok(()) }
}
