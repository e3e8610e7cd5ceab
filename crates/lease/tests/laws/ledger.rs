//! Who may get the pen when, told a second time and apart from the code: from what was said and told
//! alone, without the lease.

use penholder_lease::{
    Answer, Command, Event, EventKind, Handover, Kind, Lease, Pen, Policy, Role, Rule, StoreMs,
};

/// What is known of the tenure that was told last.
pub(crate) struct Ledger {
    policy: Policy,
    pen: Option<Pen>,
    /// The first request since the tenure began or the last answer, in any tenure.
    asked_at: Option<StoreMs>,
    /// The latest input of the holder.
    active_at: StoreMs,
    /// The end of the tenure that was told last, within the same command.
    ended: Option<EventKind>,
}

impl Ledger {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, pen: None, asked_at: None, active_at: StoreMs(0), ended: None }
    }

    /// Checks that an event was allowed when it happened.
    pub(crate) fn check(&mut self, command: &Command, event: &Event) {
        let before = self.pen.clone().filter(|pen| pen.session.is_some());
        let context =
            format!("{:?} by {:?} after {before:?} on {command:?}", event.kind, event.rule);
        let passed =
            before.as_ref().and_then(|pen| pen.deadline).is_some_and(|end| event.at >= end);
        let idle = event.at >= self.active_at.after(self.policy.idle_after_ms);
        match (event.kind, event.rule) {
            (EventKind::Granted, Rule::Free) => assert!(before.is_none(), "{context}"),
            (EventKind::Granted, Rule::Queue) => {
                assert!(before.is_none() && self.ended.is_some(), "{context}");
            }
            (EventKind::Granted, Rule::SamePerson) => {
                let holder = before.as_ref().and_then(|pen| pen.holder.as_ref());
                assert_eq!(holder, event.pen.holder.as_ref(), "{context}");
            }
            (EventKind::Granted, Rule::RequestTimeout) => {
                assert!(self.policy.handover == Handover::Courtesy && !idle, "{context}");
                assert!(self.is_overdue(event.at), "{context}");
            }
            (EventKind::Granted, Rule::Idle) => {
                assert!(idle && self.is_overdue(event.at), "{context}");
            }
            (EventKind::Granted, Rule::AiYields) => {
                let holder = before.as_ref().and_then(|pen| pen.holder.as_ref());
                let yields = holder.is_some_and(|holder| holder.kind == Kind::Ai)
                    && matches!(command, Command::Request { .. });
                let next =
                    self.asked_at.is_some() && (self.ended.is_some() || self.is_overdue(event.at));
                assert!(self.policy.ai_yields && (yields || next), "{context}");
                let winner = event.pen.holder.as_ref().map(|winner| winner.kind);
                assert_eq!(winner, Some(Kind::Human), "{context}");
            }
            (EventKind::HandedOver, Rule::HandedOver) => {
                assert!(said_by_holder(command, before.as_ref()), "{context}");
                assert!(matches!(command, Command::Answer { answer: Answer::HandOver(_), .. }));
            }
            (EventKind::TakenOver, Rule::TakenOver) => {
                let at_once = self.policy.drain_ms == 0
                    && matches!(command, Command::TakeOver { claimant, .. } if claimant.role == Role::Agent);
                let done = self.ended.is_some() || said_by_holder(command, before.as_ref());
                assert!(passed || at_once || done, "{context}");
            }
            (EventKind::Expired, Rule::Disconnected) if self.policy.grace_ms == 0 => {}
            (EventKind::Expired, _) => assert!(passed, "{context}"),
            (EventKind::Released, Rule::Released) => {
                assert!(said_by_holder(command, before.as_ref()), "{context}");
            }
            (EventKind::Revoked, Rule::Revoked) => {
                assert!(matches!(command, Command::Revoke { .. }), "{context}");
            }
            (EventKind::Revoked, Rule::Deleted) => {
                assert!(matches!(command, Command::End { .. }), "{context}");
                assert!(!passed, "{context}: nothing befalls a tenure that is over");
                assert!(event.pen.queue.is_empty(), "{context}: somebody waits for what is gone");
            }
            (kind, rule) => {
                assert!(!kind.is_grant(), "{context}: {rule} grants nothing");
                assert!(!passed, "{context}: nothing befalls a tenure that is over");
            }
        }
        self.note(event);
    }

    fn note(&mut self, event: &Event) {
        let ends = [EventKind::Expired, EventKind::Released, EventKind::Revoked];
        self.ended = ends.contains(&event.kind).then_some(event.kind);
        match event.kind {
            EventKind::Requested => self.asked_at = self.asked_at.or(Some(event.at)),
            EventKind::Declined => self.asked_at = None,
            kind if kind.is_grant() => {
                self.asked_at = self.asked_at.map(|_| event.at);
                self.active_at = event.at;
            }
            _ => {}
        }
        self.pen = Some(event.pen.clone());
    }

    /// Takes in what a command says beside its events, and whether anybody is left who has asked.
    pub(crate) fn read(&mut self, command: &Command, at: StoreMs, lease: &Lease) {
        let holder = lease.tenure(at).map(|tenure| &tenure.holder.session);
        match command {
            Command::Renew { session, fence, input_ms_ago }
                if Some(session) == holder
                    && *fence == lease.fence
                    && *input_ms_ago < self.policy.idle_after_ms =>
            {
                self.active_at = self.active_at.max(at.before(*input_ms_ago));
            }
            Command::Acquire { claimant, .. } | Command::TakeOver { claimant, .. }
                if Some(&claimant.session) == holder =>
            {
                // A repeated request is no input; to know which are repeated is another law's affair.
                self.active_at = self.active_at.max(lease.active_at);
            }
            _ => {}
        }
        if lease.claims.queue.iter().all(|waiting| waiting.answer_by.is_none()) {
            self.asked_at = None;
        }
        self.ended = None;
    }

    fn is_overdue(&self, at: StoreMs) -> bool {
        self.asked_at.is_some_and(|asked| at >= asked.after(self.policy.request_after_ms))
    }
}

/// Whether the command is one by which a holder lets go.
fn said_by_holder(command: &Command, before: Option<&Pen>) -> bool {
    let session = match command {
        Command::Release { session, .. }
        | Command::Answer { session, .. }
        | Command::Leave { session } => session,
        _ => return false,
    };
    before.and_then(|pen| pen.session.as_ref()) == Some(session)
}
