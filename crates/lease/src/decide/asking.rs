//! Commands of those who want the pen.

use super::{Turn, Why, check_reason};
use crate::claimant::{Claimant, Kind, Person, RequestId};
use crate::command::{
    IfHeld, Outcome, QUEUE_LEN_MAX, REQUEST_ID_BYTES_MAX, Refusal, TTL_MS_MIN, Terms,
};
use crate::event::{EventKind, Rule};
use crate::fence::Fence;
use crate::lease::{Spent, State, Tenure, Waiting};

impl Turn<'_> {
    pub(super) fn acquire(
        &mut self,
        claimant: &Claimant,
        terms: &Terms,
    ) -> Result<Outcome, Refusal> {
        check_reason(terms.reason.as_ref())?;
        let seat = self.seat_on(claimant, terms)?;
        if let Some(fence) = self.spent_on(claimant, terms.request_id.as_ref()) {
            let now = self.now();
            let lives = self.lease.held_by(&claimant.session, fence, now).is_some();
            return Ok(if lives { self.granted() } else { Outcome::Lapsed });
        }
        let Some(tenure) = self.lease.claims.state.tenure().cloned() else {
            if self.lease.claims.state == State::Ended {
                return Err(Refusal::Ended);
            }
            let why = Why::new(EventKind::Granted, Rule::Free, Some(&claimant.person));
            self.grant(seat, why.saying(terms.reason.as_ref()));
            return Ok(self.granted());
        };
        if tenure.holder.session == claimant.session {
            let repeated = terms.request_id.is_some() && terms.request_id == tenure.request_id;
            return Ok(if repeated { self.granted() } else { self.acquire_again(tenure, terms) });
        }
        if tenure.holder.is_same_person(claimant) {
            return Ok(self.move_to(seat));
        }
        if let State::Draining { to, .. } = &self.lease.claims.state
            && to.is_same_person(claimant)
        {
            return Ok(Outcome::Held { place: Some(1) });
        }
        let place = match terms.if_held {
            IfHeld::Wait => Some(self.enqueue(seat)?),
            IfHeld::Return => self.place_of(claimant),
        };
        Ok(Outcome::Held { place: place.map(|index| index + 1) })
    }

    /// The holder acquires what they hold: the same fence, for a full time to live, the longer of the two.
    fn acquire_again(&mut self, mut tenure: Tenure, terms: &Terms) -> Outcome {
        tenure.ttl_ms = tenure.ttl_ms.max(terms.ttl_ms.unwrap_or_default());
        if terms.request_id.is_some() {
            self.spend(Some(tenure.clone()));
            tenure.request_id.clone_from(&terms.request_id);
            if let Some(held) = self.lease.claims.state.tenure_mut() {
                *held = tenure.clone();
            }
        }
        self.prolong(tenure, self.now());
        self.granted()
    }

    /// Moves the pen to another session of its holder. A take-over that is under way goes on.
    fn move_to(&mut self, seat: Waiting) -> Outcome {
        let person = seat.claimant.person.clone();
        let why = |rule| Why::new(EventKind::Granted, rule, Some(&person));
        let State::Draining { to, deadline_before, .. } = self.lease.claims.state.clone() else {
            self.grant(seat, why(Rule::SamePerson));
            return self.granted();
        };
        let (deadline, told) = (self.lease.deadline, self.events.len());
        self.grant(seat, why(Rule::SamePerson));
        self.lease.deadline = deadline;
        if let (Some(tenure), _) = self.lease.claims.state.take() {
            self.lease.claims.state = State::Draining { tenure, to, deadline_before };
        }
        self.events[told].pen = self.lease.view(self.now());
        self.granted()
    }

    pub(super) fn request(
        &mut self,
        claimant: &Claimant,
        reason: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        check_reason(reason)?;
        let Some(tenure) = self.lease.claims.state.tenure().cloned() else {
            return Ok(Outcome::NobodyHolds);
        };
        if tenure.holder.is_same_person(claimant) {
            return Ok(Outcome::NobodyHolds);
        }
        if let State::Draining { to, .. } = &self.lease.claims.state {
            if to.is_same_person(claimant) {
                return Ok(Outcome::Draining { until: self.lease.deadline });
            }
        } else if self.policy.ai_yields
            && tenure.holder.person.kind == Kind::Ai
            && claimant.person.kind == Kind::Human
        {
            let seat = self.waiting(claimant).unwrap_or_else(|| self.seat(claimant.clone()));
            let seat = Waiting { claimant: claimant.clone(), ..seat };
            let why = Why::new(EventKind::Granted, Rule::AiYields, Some(&claimant.person));
            self.grant(seat, why.saying(reason));
            return Ok(self.granted());
        }
        let seat = self.waiting(claimant).unwrap_or_else(|| self.seat(claimant.clone()));
        let place = self.enqueue(Waiting { claimant: claimant.clone(), ..seat })?;
        let answer_by = self.now().after(self.policy.request_after_ms);
        let asked = &mut self.lease.claims.queue[place].answer_by;
        if let Some(answer_by) = *asked {
            // Asking again neither hurries the holder nor gives them more time.
            return Ok(Outcome::Asked { answer_by });
        }
        *asked = Some(answer_by);
        let why = Why::new(EventKind::Requested, tenure.rule, Some(&claimant.person));
        self.tell(why.saying(reason));
        Ok(Outcome::Asked { answer_by })
    }

    pub(super) fn take_over(
        &mut self,
        claimant: &Claimant,
        reason: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        check_reason(reason)?;
        if !self.policy.take_over_roles.contains(&claimant.role) {
            return Err(Refusal::NotAuthorized);
        }
        let Some(tenure) = self.lease.claims.state.tenure().cloned() else {
            return self.acquire(claimant, &Terms { reason: reason.cloned(), ..Terms::default() });
        };
        if tenure.holder.is_same_person(claimant) {
            return self.acquire(claimant, &Terms { reason: reason.cloned(), ..Terms::default() });
        }
        if let State::Draining { to, .. } = &mut self.lease.claims.state {
            if !to.is_same_person(claimant) {
                // Whoever is told when it is theirs would wait for nothing.
                return Ok(Outcome::Held { place: self.place_of(claimant).map(|index| index + 1) });
            }
            // Another session of theirs, perhaps.
            *to = claimant.clone();
            return Ok(Outcome::Draining { until: self.lease.deadline });
        }
        if self.policy.drain_ms == 0 {
            let why = Why::new(EventKind::TakenOver, Rule::TakenOver, Some(&claimant.person));
            let seat = self.seat(claimant.clone());
            self.grant(seat, why.saying(reason));
            return Ok(self.granted());
        }
        let deadline_before = self.lease.deadline;
        // Never later than without the take-over: nobody's command makes another's lease longer.
        self.lease.deadline = deadline_before.min(self.now().after(self.policy.drain_ms));
        self.lease.claims.state = State::Draining { tenure, to: claimant.clone(), deadline_before };
        let why = Why::new(EventKind::Draining, Rule::TakenOver, Some(&claimant.person));
        self.tell(why.saying(reason));
        Ok(Outcome::Draining { until: self.lease.deadline })
    }

    pub(super) fn revoke(
        &mut self,
        by: &Person,
        reason: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        check_reason(reason)?;
        if self.lease.claims.state.tenure().is_none() {
            return Ok(Outcome::NobodyHolds);
        }
        let why = Why::new(EventKind::Revoked, Rule::Revoked, Some(by));
        self.end(why.saying(reason), None);
        Ok(Outcome::Revoked)
    }

    fn seat_on(&self, claimant: &Claimant, terms: &Terms) -> Result<Waiting, Refusal> {
        let ttl_ms = terms.ttl_ms.unwrap_or(self.policy.ttl_ms);
        if terms.ttl_ms.is_some() && !(TTL_MS_MIN..=self.policy.ttl_ms_max).contains(&ttl_ms) {
            return Err(Refusal::InvalidTtl);
        }
        let request_id = terms.request_id.clone();
        if request_id.as_ref().is_some_and(|id| id.as_str().len() > REQUEST_ID_BYTES_MAX) {
            return Err(Refusal::RequestIdTooLong);
        }
        Ok(Waiting { ttl_ms, request_id, ..self.seat(claimant.clone()) })
    }

    /// Returns the fence that a request was answered with before.
    fn spent_on(&self, claimant: &Claimant, request_id: Option<&RequestId>) -> Option<Fence> {
        let mut spent = self.lease.claims.spent.iter();
        let same = |spent: &&Spent| {
            spent.session == claimant.session && Some(&spent.request_id) == request_id
        };
        spent.find(same).map(|spent| spent.fence)
    }

    /// Puts somebody into the queue, where a person has one place; returns it, counted from 0.
    fn enqueue(&mut self, seat: Waiting) -> Result<usize, Refusal> {
        let place = self.place_of(&seat.claimant);
        let queue = &mut self.lease.claims.queue;
        match place {
            Some(place) => {
                let answer_by = queue[place].answer_by;
                queue[place] = Waiting { answer_by, ..seat };
                Ok(place)
            }
            None if queue.len() >= QUEUE_LEN_MAX => Err(Refusal::QueueFull),
            None => {
                queue.push(seat);
                Ok(queue.len() - 1)
            }
        }
    }

    fn waiting(&self, claimant: &Claimant) -> Option<Waiting> {
        self.place_of(claimant).map(|place| self.lease.claims.queue[place].clone())
    }

    fn place_of(&self, claimant: &Claimant) -> Option<usize> {
        let mut queue = self.lease.claims.queue.iter();
        queue.position(|waiting| waiting.claimant.is_same_person(claimant))
    }
}
