//! Commands of the holder, and what befalls a session.

use super::{Turn, Why, check_reason};
use crate::claimant::{Person, SessionId};
use crate::command::{Answer, Outcome, Recipient, Refusal};
use crate::event::{EventKind, Rule};
use crate::fence::Fence;
use crate::lease::{State, Tenure, Waiting};
use crate::time::StoreMs;

impl Turn<'_> {
    pub(super) fn check_holder(
        &self,
        session: &SessionId,
        fence: Fence,
    ) -> Result<Tenure, Refusal> {
        self.lease.held_by(session, fence, self.now()).cloned().ok_or(Refusal::LeaseLost)
    }

    pub(super) fn renew(
        &mut self,
        session: &SessionId,
        fence: Fence,
        input_ms_ago: u64,
    ) -> Result<Outcome, Refusal> {
        let tenure = self.check_holder(session, fence)?;
        if input_ms_ago < self.policy.idle_after_ms {
            self.prolong(tenure, self.now().before(input_ms_ago));
        }
        Ok(Outcome::Renewed { deadline: self.lease.deadline })
    }

    /// Gives the holder a full time to live, unless they have to give way. Brings a reserved pen back:
    /// only a session that is connected renews.
    pub(super) fn prolong(&mut self, tenure: Tenure, active_at: StoreMs) {
        self.lease.active_at = self.lease.active_at.max(active_at);
        let deadline = self.lease.deadline.max(self.now().after(tenure.ttl_ms));
        self.keep(tenure, deadline);
    }

    fn keep(&mut self, tenure: Tenure, deadline: StoreMs) {
        let (kind, rule) = match self.lease.claims.state {
            State::Draining { .. } | State::Free { .. } | State::Ended => return,
            State::Held { .. } if deadline == self.lease.deadline => return,
            State::Held { .. } => (EventKind::Renewed, tenure.rule),
            State::Reserved { .. } => (EventKind::Resumed, Rule::Resumed),
        };
        let person = tenure.holder.person.clone();
        self.lease.deadline = deadline;
        self.lease.claims.state = State::Held { tenure };
        self.tell(Why::new(kind, rule, Some(&person)));
    }

    pub(super) fn release(
        &mut self,
        session: &SessionId,
        fence: Fence,
    ) -> Result<Outcome, Refusal> {
        if let Ok(tenure) = self.check_holder(session, fence) {
            self.give_back(&tenure);
            return Ok(Outcome::Released);
        }
        match &self.lease.claims.state {
            State::Free { released_by: Some(by) } if by == session && fence == self.lease.fence => {
                Ok(Outcome::Released)
            }
            _ => Err(Refusal::LeaseLost),
        }
    }

    fn give_back(&mut self, tenure: &Tenure) {
        let why = Why::new(EventKind::Released, Rule::Released, Some(&tenure.holder.person));
        self.end(why, Some(&tenure.holder.session));
    }

    pub(super) fn answer(
        &mut self,
        answer: &Answer,
        reason: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        check_reason(reason)?;
        let Some(tenure) = self.lease.claims.state.tenure().cloned() else {
            return Err(Refusal::LeaseLost);
        };
        let person = &tenure.holder.person;
        match answer {
            Answer::Decline => {
                let asked = |waiting: &&mut Waiting| waiting.answer_by.is_some();
                let mut asked = self.lease.claims.queue.iter_mut().filter(asked).peekable();
                if asked.peek().is_none() {
                    return Err(Refusal::NobodyAsked);
                }
                asked.for_each(|waiting| waiting.answer_by = None);
                let why = Why::new(EventKind::Declined, tenure.rule, Some(person));
                self.tell(why.saying(reason));
                Ok(Outcome::Declined)
            }
            // Whoever takes the pen over has it coming; the holder can only be faster.
            Answer::HandOver(_) if matches!(self.lease.claims.state, State::Draining { .. }) => {
                let (_, to) = self.lease.claims.state.clone().take();
                to.into_iter().for_each(|to| self.complete_take_over(to));
                Ok(Outcome::HandedOver)
            }
            Answer::HandOver(recipient) => {
                let seat = self.recipient(recipient, &tenure)?;
                let why = Why::new(EventKind::HandedOver, Rule::HandedOver, Some(person));
                self.grant(seat, why.saying(reason));
                Ok(Outcome::HandedOver)
            }
        }
    }

    fn recipient(&self, recipient: &Recipient, tenure: &Tenure) -> Result<Waiting, Refusal> {
        let queue = &self.lease.claims.queue;
        match recipient {
            Recipient::Asker => {
                let asker = queue.iter().find(|waiting| waiting.answer_by.is_some());
                asker.or_else(|| queue.first()).cloned().ok_or(Refusal::NobodyAsked)
            }
            Recipient::Waiting(name) => {
                let named = |waiting: &&Waiting| {
                    let claimant = &waiting.claimant;
                    claimant.session.as_str() == name || claimant.person.id.as_str() == name
                };
                queue.iter().find(named).cloned().ok_or(Refusal::UnknownRecipient)
            }
            Recipient::Anybody(claimant) if claimant.session == tenure.holder.session => {
                Err(Refusal::UnknownRecipient)
            }
            Recipient::Anybody(claimant) => Ok(self.seat(claimant.clone())),
        }
    }

    pub(super) fn disconnect(&mut self, session: &SessionId) -> Outcome {
        self.abandon_claims(session);
        let State::Held { tenure } = &self.lease.claims.state else { return Outcome::Disconnected };
        if tenure.holder.session != *session {
            return Outcome::Disconnected;
        }
        let tenure = tenure.clone();
        let person = tenure.holder.person.clone();
        // Whoever waits need not wait for longer than had the holder just stopped.
        let deadline = self.now().after(self.policy.grace_ms.min(tenure.ttl_ms));
        self.lease.deadline = self.lease.deadline.min(deadline);
        self.lease.claims.state = State::Reserved { tenure };
        if self.policy.grace_ms == 0 {
            self.expire();
        } else {
            self.tell(Why::new(EventKind::Reserved, Rule::Disconnected, Some(&person)));
        }
        Outcome::Disconnected
    }

    pub(super) fn leave(&mut self, session: &SessionId) -> Outcome {
        self.abandon_claims(session);
        let tenure = self.lease.claims.state.tenure().cloned();
        if let Some(tenure) = tenure.filter(|tenure| tenure.holder.session == *session) {
            self.give_back(&tenure);
            return Outcome::Released;
        }
        Outcome::Disconnected
    }

    /// Takes a session that has gone out of the queue, and calls its take-over off.
    fn abandon_claims(&mut self, session: &SessionId) {
        self.lease.claims.queue.retain(|waiting| waiting.claimant.session != *session);
        let state = &self.lease.claims.state;
        if let State::Draining { tenure, to, deadline_before } = state
            && to.session == *session
        {
            let (tenure, taker) = (tenure.clone(), to.person.clone());
            self.lease.deadline = *deadline_before;
            self.lease.claims.state = State::Held { tenure };
            self.tell(Why::new(EventKind::Resumed, Rule::Disconnected, Some(&taker)));
            // Requests do not pass the pen on while it drains: their time may be up meanwhile.
            self.settle();
        }
    }

    /// Forgets whoever waits for the pen, and calls a take-over off.
    pub(super) fn drop_claims(&mut self) {
        self.lease.claims.queue.clear();
        if let State::Draining { tenure, .. } = &self.lease.claims.state {
            self.lease.claims.state = State::Held { tenure: tenure.clone() };
        }
    }

    /// Takes the pen away from everybody, whose claims were [dropped](Self::drop_claims).
    pub(super) fn end_for_good(&mut self, by: &Person) -> Outcome {
        if self.lease.claims.state.tenure().is_some() {
            self.end(Why::new(EventKind::Revoked, Rule::Deleted, Some(by)), None);
        }
        self.lease.claims.state = State::Ended;
        Outcome::Ended
    }

    pub(super) fn resume(&mut self, session: &SessionId) -> Result<Outcome, Refusal> {
        let tenure = self.check_holder(session, self.lease.fence)?;
        if matches!(self.lease.claims.state, State::Reserved { .. }) {
            // Coming back is no input: a holder who was idle is idle still, and keeps nobody waiting by it.
            let is_idle = self.now() >= self.lease.idle_at(self.policy);
            if is_idle && !self.lease.claims.queue.is_empty() {
                self.keep(tenure, self.lease.deadline);
            } else {
                self.prolong(tenure, StoreMs(0));
            }
        }
        Ok(self.granted())
    }
}
