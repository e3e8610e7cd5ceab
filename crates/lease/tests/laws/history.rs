//! Drawn histories of one pen.

use std::collections::BTreeSet;

use penholder_lease::{
    Answer, Claimant, Command, Fence, Handover, IfHeld, Kind, Lease, Person, Policy, Recipient,
    RequestId, Role, SessionId, StoreMs, StoreTime, Terms, Timeline,
};
use proptest::prelude::*;

/// One command, and the time before it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    after_ms: u64,
    timeline: u32,
    who: Who,
    deed: Deed,
}

/// One of three people and two programs, each in one of two sessions.
#[derive(Debug, Clone, Copy)]
struct Who {
    person: usize,
    tab: usize,
}

#[derive(Debug, Clone)]
enum Deed {
    Acquire { wait: bool, request: Option<u8>, ttl_ms: Option<u64> },
    Renew { fence: Known, input_ms_ago: u64 },
    Release { fence: Known },
    Request,
    HandOver { fence: Known, to: Option<Who>, waiting: bool },
    Decline { fence: Known },
    TakeOver,
    Revoke,
    Disconnect,
    Leave,
    Resume,
    Tick,
}

/// A fence, relative to the last.
#[derive(Debug, Clone, Copy)]
enum Known {
    Current,
    Behind(u64),
    Ahead,
}

/// A pen with its policy and time.
pub(crate) struct Scene {
    pub(crate) lease: Lease,
    pub(crate) now: u64,
    timeline: u32,
}

const CAST: [(&str, Kind, Role); 5] = [
    ("ada", Kind::Human, Role::Agent),
    ("bob", Kind::Human, Role::Agent),
    ("carl", Kind::Human, Role::Customer),
    ("bot1", Kind::Ai, Role::Agent),
    ("bot2", Kind::Ai, Role::Customer),
];

impl Scene {
    pub(crate) fn new() -> Self {
        Self { lease: Lease::default(), now: 1_000_000, timeline: 0 }
    }

    /// Moves time on and returns the command of a step.
    pub(crate) fn next(&mut self, step: &Step) -> (StoreTime, Command) {
        self.now += step.after_ms;
        self.timeline = step.timeline;
        let time = StoreTime { at: StoreMs(self.now), timeline: Timeline(self.timeline) };
        (time, self.command(step))
    }

    fn command(&self, step: &Step) -> Command {
        // Most of what only a holder may say is said by the holder, or histories would be dull.
        let holder = self.lease.claims.state.tenure().map(|tenure| tenure.holder.clone());
        let own = claimant(step.who);
        let (session, claimant) = (own.session.clone(), own);
        let speaker = match (holder, step.who.tab) {
            (Some(holder), 0) => holder.session,
            _ => session.clone(),
        };
        let at = |known: Known| match known {
            Known::Current => self.lease.fence,
            Known::Behind(by) => Fence(self.lease.fence.0.saturating_sub(by)),
            Known::Ahead => Fence(self.lease.fence.0 + 1),
        };
        match step.deed.clone() {
            Deed::Acquire { wait, request, ttl_ms } => Command::Acquire {
                claimant,
                terms: Terms {
                    ttl_ms,
                    if_held: if wait { IfHeld::Wait } else { IfHeld::Return },
                    request_id: request.map(|n| RequestId::from(format!("r{n}"))),
                    reason: None,
                },
            },
            Deed::Renew { fence, input_ms_ago } => {
                Command::Renew { session: speaker, fence: at(fence), input_ms_ago }
            }
            Deed::Release { fence } => Command::Release { session: speaker, fence: at(fence) },
            Deed::Request => Command::Request { claimant, reason: Some("please".to_owned()) },
            Deed::HandOver { fence, to, waiting } => {
                let recipient = match to {
                    None => Recipient::Asker,
                    Some(to) if waiting => {
                        Recipient::Waiting(self::claimant(to).session.to_string())
                    }
                    Some(to) => Recipient::Anybody(self::claimant(to)),
                };
                let answer = Answer::HandOver(recipient);
                Command::Answer { session: speaker, fence: at(fence), answer, reason: None }
            }
            Deed::Decline { fence } => {
                let answer = Answer::Decline;
                Command::Answer { session: speaker, fence: at(fence), answer, reason: None }
            }
            Deed::TakeOver => Command::TakeOver { claimant, reason: None },
            Deed::Revoke => Command::Revoke { by: claimant.person, reason: None },
            Deed::Disconnect => Command::Disconnect { session: speaker },
            Deed::Leave => Command::Leave { session },
            Deed::Resume => Command::Resume { session: speaker },
            Deed::Tick => Command::Tick,
        }
    }
}

fn claimant(who: Who) -> Claimant {
    let (id, kind, role) = CAST[who.person];
    let person = Person { id: id.into(), name: id.to_uppercase(), kind };
    Claimant { session: SessionId::from(format!("{id}/{}", who.tab)), person, role }
}

fn who() -> impl Strategy<Value = Who> {
    (0..CAST.len(), 0..2usize).prop_map(|(person, tab)| Who { person, tab })
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![
        6 => Just(Known::Current),
        2 => (1..4u64).prop_map(Known::Behind),
        1 => Just(Known::Ahead),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let ttl = prop::option::weighted(0.2, prop_oneof![Just(0), Just(1_000), 1_000..60_000u64]);
    let request = prop::option::weighted(0.7, 0..4u8);
    prop_oneof![
        8 => (any::<bool>(), request, ttl)
            .prop_map(|(wait, request, ttl_ms)| Deed::Acquire { wait, request, ttl_ms }),
        4 => (known(), prop_oneof![Just(0), 0..90_000u64])
            .prop_map(|(fence, input_ms_ago)| Deed::Renew { fence, input_ms_ago }),
        4 => known().prop_map(|fence| Deed::Release { fence }),
        4 => Just(Deed::Request),
        2 => (known(), prop::option::of(who()), any::<bool>())
            .prop_map(|(fence, to, waiting)| Deed::HandOver { fence, to, waiting }),
        2 => known().prop_map(|fence| Deed::Decline { fence }),
        2 => Just(Deed::TakeOver),
        1 => Just(Deed::Revoke),
        2 => Just(Deed::Disconnect),
        1 => Just(Deed::Leave),
        2 => Just(Deed::Resume),
        2 => Just(Deed::Tick),
    ]
}

/// Histories of up to 60 steps.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after_ms = prop_oneof![4 => 0..10u64, 4 => 0..6_000u64, 2 => 0..70_000u64];
    let timeline = prop_oneof![20 => Just(0), 1 => 0..4u32];
    let step = (after_ms, timeline, who(), deed())
        .prop_map(|(after_ms, timeline, who, deed)| Step { after_ms, timeline, who, deed });
    prop::collection::vec(step, 0..60)
}

/// Policies of every kind, with spans that meet each other.
pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    let spans = (1_000..40_000u64, 1_000..90_000u64, 1..40_000u64, 0..10_000u64, 0..40_000u64);
    (spans, any::<bool>(), any::<bool>()).prop_map(|(spans, consent, ai_yields)| {
        let (ttl_ms, idle_after_ms, request_after_ms, drain_ms, grace_ms) = spans;
        Policy {
            ttl_ms,
            ttl_ms_max: 60_000,
            idle_after_ms,
            request_after_ms,
            handover: if consent { Handover::Consent } else { Handover::Courtesy },
            drain_ms,
            grace_ms,
            take_over_roles: BTreeSet::from([Role::Agent]),
            ai_yields,
            ..Policy::default()
        }
    })
}
