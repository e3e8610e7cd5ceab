//! A store as the pen's contract wants it: one row, locked while it is read and written, a log, and
//! the one clock that counts. Beside them stands what the application keeps, in the same transactions.

use std::collections::VecDeque;

use penholder_lease::{
    Command, Decision, Fence, Lease, PersonId, Policy, State, StoreMs, StoreTime, Timeline,
    WriteCheck, WriteClaim, decide,
};

use super::ledger::Ledger;
use super::plan::Plan;
use super::sabotage::Sabotage;
use crate::violation::{Checked, Violation};

/// How many states are kept for a standby to lack.
const PAST_LEN_MAX: usize = 400;

pub(crate) struct Store {
    pub(crate) lease: Lease,
    policy: Policy,
    pub(crate) ledger: Ledger,
    /// How far its clock is ahead of the time that passes.
    ahead_ms: i64,
    timeline: u32,
    pub(crate) away_until: u64,
    /// What was written, each with its time.
    past: VecDeque<(u64, Lease, Ledger)>,
    has_standby: bool,
    sabotage: Option<Sabotage>,
}

impl Store {
    pub(crate) fn new(plan: &Plan, sabotage: Option<Sabotage>) -> Self {
        let policy = plan.policy.clone();
        Self {
            lease: Lease::default(),
            ledger: Ledger::new(policy.clone()),
            policy,
            ahead_ms: 1_700_000_000_000,
            timeline: 1,
            away_until: 0,
            past: VecDeque::new(),
            has_standby: plan.failover_lag_ms.is_some(),
            sabotage,
        }
    }

    pub(crate) fn clock(&self, now: u64) -> StoreMs {
        StoreMs(now.saturating_add_signed(self.ahead_ms))
    }

    pub(crate) fn jump(&mut self, now: u64, by_ms: i64) {
        self.ahead_ms += by_ms;
        let at = self.clock(now);
        let past = self.past.iter_mut().map(|(.., ledger)| ledger);
        past.chain([&mut self.ledger]).for_each(|ledger| ledger.clock_was_set(by_ms, at));
    }

    pub(crate) fn is_away(&self, now: u64) -> bool {
        now < self.away_until
    }

    /// Obeys a command of somebody whose clock is `skew_ms` ahead of the store's.
    pub(crate) fn obey(
        &mut self,
        now: u64,
        command: &Command,
        skew_ms: u64,
    ) -> Result<Decision, Violation> {
        let mut at = self.clock(now);
        if self.sabotage == Some(Sabotage::AskersClock) {
            at = at.after(skew_ms);
        }
        let time = StoreTime { at, timeline: Timeline(self.timeline) };
        let decision = decide(&self.lease, &self.tampered(command), time, &self.policy);
        for event in &decision.events {
            self.ledger.read(command, event, self.clock(now))?;
        }
        self.lease = decision.lease.clone();
        let is_free = matches!(self.lease.claims.state, State::Free { .. });
        if is_free && self.sabotage == Some(Sabotage::DeleteRow) {
            self.lease = Lease::default();
        }
        self.ledger.answered(command, decision.outcome)?;
        self.keep(now);
        Ok(decision)
    }

    fn tampered(&self, command: &Command) -> Command {
        match (self.sabotage, command.clone()) {
            (Some(Sabotage::ForgetRequest), Command::Acquire { claimant, mut terms }) => {
                terms.request_id = None;
                Command::Acquire { claimant, terms }
            }
            (Some(Sabotage::AnyRelease), Command::Release { session, .. }) => {
                let holder = self.lease.claims.state.tenure().map(|tenure| &tenure.holder.session);
                let session = holder.cloned().unwrap_or(session);
                Command::Release { session, fence: self.lease.fence }
            }
            (_, command) => command,
        }
    }

    /// Judges a write, in the transaction that writes it.
    pub(crate) fn judge(&self, now: u64, by: &PersonId, fence: Fence) -> bool {
        let claim = WriteClaim { by, fence: Some(fence) };
        self.sabotage == Some(Sabotage::Unfenced)
            || self.lease.check_write(claim, self.clock(now), &self.policy) == WriteCheck::Accepted
    }

    /// Writes what was judged to be in order.
    pub(crate) fn write(&mut self, now: u64, fence: Fence) -> Checked {
        self.ledger.write(fence, self.clock(now))?;
        self.keep(now);
        Ok(())
    }

    fn keep(&mut self, now: u64) {
        if !self.has_standby {
            return;
        }
        if self.past.len() >= PAST_LEN_MAX {
            self.past.pop_front();
        }
        self.past.push_back((now, self.lease.clone(), self.ledger.clone()));
    }

    /// A standby takes over, without what was written in the last `lag_ms`.
    pub(crate) fn fail_over(&mut self, now: u64, lag_ms: u64) {
        while self.past.back().is_some_and(|(at, ..)| *at + lag_ms > now) {
            self.past.pop_back();
        }
        let (lease, ledger) = match self.past.back() {
            Some((_, lease, ledger)) => (lease.clone(), ledger.clone()),
            None => (Lease::default(), Ledger::new(self.policy.clone())),
        };
        self.lease = lease;
        self.ledger = self.ledger.fallen_back_to(ledger);
        if self.sabotage != Some(Sabotage::OneTimeline) {
            self.timeline += 1;
        }
    }

    /// When something is due, in the time that passes.
    pub(crate) fn due(&self) -> Option<u64> {
        let at = self.lease.due(&self.policy)?;
        Some(at.0.saturating_add_signed(-self.ahead_ms))
    }
}
