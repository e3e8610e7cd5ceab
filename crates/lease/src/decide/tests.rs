//! Every transition, one claim per test.

mod asking;
mod ending;
mod holding;
mod passing;

use std::borrow::Borrow;
use std::collections::BTreeSet;

use crate::fence::{Fence, Timeline};
use crate::pen::{Pen, PenState};
use crate::policy::Handover;
use crate::{
    Answer, Claimant, Command, EventKind, IfHeld, Kind, Lease, Outcome, Person, Policy, Recipient,
    Refusal, Role, Rule, SessionId, StoreMs, StoreTime, Terms, decide,
};

const TTL: u64 = 30_000;

/// A pen, the time, and what the last command has told.
struct Scene {
    lease: Lease,
    now: u64,
    policy: Policy,
    told: Vec<(EventKind, Rule)>,
}

impl Scene {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        Self { lease: Lease::default(), now: 1_000_000, policy, told: Vec::new() }
    }

    fn consent() -> Self {
        Self::with(Policy { handover: Handover::Consent, ..Policy::default() })
    }

    fn act(&mut self, command: impl Borrow<Command>) -> Result<Outcome, Refusal> {
        let time = StoreTime { at: StoreMs(self.now), timeline: Timeline(0) };
        let decision = decide(&self.lease, command.borrow(), time, &self.policy);
        self.lease = decision.lease;
        self.told = decision.events.iter().map(|event| (event.kind, event.rule)).collect();
        for event in &decision.events {
            assert_eq!((event.fence, event.at), (event.pen.fence, time.at));
        }
        decision.outcome
    }

    fn after(&mut self, span_ms: u64) -> &mut Self {
        self.now += span_ms;
        self
    }

    /// A scene in which somebody has the pen under fence 1.
    fn held_by(name: &str) -> Self {
        let mut scene = Self::new();
        scene.acquire(name).unwrap();
        scene
    }

    fn acquire(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.act(Command::Acquire { claimant: claimant(name), terms: Terms::default() })
    }

    fn wait(&mut self, name: &str) -> Result<Outcome, Refusal> {
        let terms = Terms { if_held: IfHeld::Wait, ..Terms::default() };
        self.act(Command::Acquire { claimant: claimant(name), terms })
    }

    fn acquire_as(&mut self, name: &str, request_id: &str) -> Result<Outcome, Refusal> {
        let terms = Terms { request_id: Some(request_id.into()), ..Terms::default() };
        self.act(Command::Acquire { claimant: claimant(name), terms })
    }

    fn renew(&mut self, name: &str, fence: u64, input_ms_ago: u64) -> Result<Outcome, Refusal> {
        self.act(Command::Renew { session: session(name), fence: Fence(fence), input_ms_ago })
    }

    fn release(&mut self, name: &str, fence: u64) -> Result<Outcome, Refusal> {
        self.act(Command::Release { session: session(name), fence: Fence(fence) })
    }

    fn request(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.act(Command::Request { claimant: claimant(name), reason: None })
    }

    fn answer(&mut self, name: &str, fence: u64, answer: Answer) -> Result<Outcome, Refusal> {
        let (session, fence) = (session(name), Fence(fence));
        self.act(Command::Answer { session, fence, answer, reason: None })
    }

    fn take_over(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.act(Command::TakeOver { claimant: claimant(name), reason: None })
    }

    fn revoke(&mut self) -> Result<Outcome, Refusal> {
        self.act(Command::Revoke { by: claimant("root").person, reason: None })
    }

    fn disconnect(&mut self, name: &str) {
        self.act(Command::Disconnect { session: session(name) }).unwrap();
    }

    fn leave(&mut self, name: &str) {
        self.act(Command::Leave { session: session(name) }).unwrap();
    }

    fn resume(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.act(Command::Resume { session: session(name) })
    }

    fn tick(&mut self) {
        assert_eq!(self.act(Command::Tick), Ok(Outcome::Settled));
    }

    fn pen(&self) -> Pen {
        self.lease.view(StoreMs(self.now))
    }

    /// The session that has the pen, and its fence.
    fn holder(&self) -> Option<(String, u64)> {
        let pen = self.pen();
        pen.session.map(|session| (session.to_string(), pen.fence.0))
    }

    fn due_in(&self) -> Option<u64> {
        self.lease.due(&self.policy).map(|due| due.0 - self.now)
    }

    fn queue(&self) -> Vec<String> {
        self.pen().queue.into_iter().map(|waiting| waiting.id.to_string()).collect()
    }
}

fn session(name: &str) -> SessionId {
    SessionId::from(name)
}

/// `ada/2` is another session of `ada`; a name that begins with `bot` is a program, one that begins with
/// `guest` a guest, everybody else an agent.
fn claimant(name: &str) -> Claimant {
    let id = name.split('/').next().unwrap_or(name);
    let kind = if id.starts_with("bot") { Kind::Ai } else { Kind::Human };
    let role = if id.starts_with("guest") { Role::Guest } else { Role::Agent };
    let person = Person { id: id.into(), name: id.to_uppercase(), kind };
    Claimant { session: session(name), person, role }
}

fn has(name: &str, fence: u64) -> Option<(String, u64)> {
    Some((name.to_owned(), fence))
}

fn granted(fence: u64, deadline: u64) -> Result<Outcome, Refusal> {
    Ok(Outcome::Granted { fence: Fence(fence), deadline: StoreMs(deadline) })
}

fn held(place: Option<usize>) -> Result<Outcome, Refusal> {
    Ok(Outcome::Held { place })
}
