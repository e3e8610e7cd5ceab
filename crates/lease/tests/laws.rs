//! The laws of the pen, over drawn histories: commands of several people and programs, with fences that
//! are current, late or made up, and a store whose timeline changes.

#[path = "laws/history.rs"]
mod history;
#[path = "laws/ledger.rs"]
mod ledger;

use history::{Scene, Step, policies, steps};
use ledger::Ledger;
use penholder_lease::{
    Command, Event, EventKind, Fence, Kind, Lease, Outcome, PenState, Person, Policy, Refusal,
    Rule, State, StoreMs, StoreTime, Timeline, WriteCheck, WriteClaim, decide,
};
use proptest::prelude::*;

/// What one step of a history has done.
struct Turn {
    before: Lease,
    after: Lease,
    command: Command,
    time: StoreTime,
    events: Vec<Event>,
    outcome: Result<Outcome, Refusal>,
}

/// Plays a history and shows each step to a checker.
fn play(policy: &Policy, history: &[Step], mut check: impl FnMut(&Turn)) -> Scene {
    let mut scene = Scene::new();
    for step in history {
        let (time, command) = scene.next(step);
        let before = scene.lease.clone();
        let decision = decide(&before, &command, time, policy);
        scene.lease = decision.lease.clone();
        let (after, events, outcome) = (decision.lease, decision.events, decision.outcome);
        check(&Turn { before, after, command, time, events, outcome });
    }
    scene
}

/// The session that a command comes from.
fn sender(command: &Command) -> Option<&str> {
    match command {
        Command::Acquire { claimant, .. }
        | Command::Request { claimant, .. }
        | Command::TakeOver { claimant, .. } => Some(claimant.session.as_str()),
        Command::Renew { session, .. }
        | Command::Release { session, .. }
        | Command::Answer { session, .. }
        | Command::Disconnect { session }
        | Command::Leave { session }
        | Command::Resume { session } => Some(session.as_str()),
        Command::Revoke { .. } | Command::End { .. } | Command::Tick => None,
    }
}

fn person(id: &str) -> Person {
    Person { id: id.into(), name: id.to_owned(), kind: Kind::Human }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.claims.state.tenure().map(|tenure| tenure.holder.session.as_str())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// L1, also when the timeline of the store changes, or even falls back.
    #[test]
    fn fences_strictly_grow(policy in policies(), history in steps()) {
        let mut last = Fence::NONE;
        play(&policy, &history, |turn| {
            for event in &turn.events {
                if event.kind.is_grant() {
                    assert!(event.fence > last, "{} after {last}", event.fence);
                    last = event.fence;
                }
                assert_eq!(event.fence, last, "an event is about the last tenure");
            }
            assert_eq!(turn.after.fence, last, "no fence without its event");
            if let Ok(Outcome::Granted { fence, .. }) = turn.outcome {
                assert_eq!(fence, last, "nobody is told a fence that is not theirs");
                assert_eq!(sender(&turn.command), holder(&turn.after));
            }
        });
    }

    /// L2, against the plainest model of a guarded store: it keeps the largest fence that it was shown.
    #[test]
    fn accepted_writes_never_go_back(policy in policies(), history in steps()) {
        let mut largest = Fence::NONE;
        play(&policy, &history, |turn| {
            let by = "anybody".into();
            let known = turn.after.fence.0;
            for fence in [known, known.saturating_sub(1), known / 2, known + 1].map(Fence) {
                let claim = WriteClaim { by: &by, fence: Some(fence) };
                let check = turn.after.check_write(claim, turn.time.at, &policy);
                let held = turn.after.tenure(turn.time.at).is_some();
                assert_eq!(check == WriteCheck::Accepted, held && fence == turn.after.fence);
                if check == WriteCheck::Accepted {
                    assert!(fence >= largest, "{fence} after {largest}");
                    largest = fence;
                }
            }
        });
    }

    /// L3: every grant and every end of a tenure is due to the deadline, the holder or a rule, and
    /// [`Ledger`] knows independently when each rule may be used.
    #[test]
    fn no_grant_before_its_time(policy in policies(), history in steps()) {
        let mut ledger = Ledger::new(policy.clone());
        play(&policy, &history, |turn| {
            for event in &turn.events {
                ledger.check(&turn.command, event);
            }
            ledger.read(&turn.command, turn.time.at, &turn.after);
        });
    }

    /// L4, first half.
    #[test]
    fn repeated_acquire_gives_the_same_fence(policy in policies(), history in steps()) {
        let mut answered = std::collections::BTreeMap::new();
        play(&policy, &history, |turn| {
            let Command::Acquire { claimant, terms } = &turn.command else { return };
            let Ok(Outcome::Granted { fence, deadline }) = turn.outcome else { return };
            assert!(deadline > turn.time.at);
            let Some(request_id) = &terms.request_id else { return };
            let key = (claimant.session.clone(), request_id.clone());
            let first = *answered.entry(key).or_insert(fence);
            assert_eq!(fence, first, "a repeated request began another tenure");
        });
    }

    /// L4, second half: what is said under a fence that is not the speaker's is as if nothing were said.
    #[test]
    fn word_under_another_fence_does_nothing(policy in policies(), history in steps()) {
        play(&policy, &history, |turn| {
            let (session, fence) = match &turn.command {
                Command::Renew { session, fence, .. }
                | Command::Release { session, fence }
                | Command::Answer { session, fence, .. } => (session, *fence),
                _ => return,
            };
            let ticked = decide(&turn.before, &Command::Tick, turn.time, &policy);
            if ticked.lease.held_by(session, fence, turn.time.at).is_none() {
                assert_eq!((&turn.after, &turn.events), (&ticked.lease, &ticked.events));
                let again = matches!(&ticked.lease.claims.state,
                    State::Free { released_by: Some(by) } if by == session);
                let is_release = matches!(turn.command, Command::Release { .. });
                if !(is_release && again && fence == ticked.lease.fence) {
                    assert_eq!(turn.outcome, Err(Refusal::LeaseLost));
                }
            }
        });
    }

    /// A lease gets longer by what its own session does, and by nothing else.
    #[test]
    fn nobody_renews_the_lease_of_another(policy in policies(), history in steps()) {
        let mut furthest = StoreMs(0);
        play(&policy, &history, |turn| {
            for event in &turn.events {
                let Some(deadline) = event.pen.deadline else { continue };
                let own = sender(&turn.command) == event.pen.session.as_ref().map(|s| s.as_str());
                if event.kind.is_grant() && event.rule != Rule::SamePerson {
                    furthest = deadline;
                } else if own {
                    furthest = deadline.max(furthest);
                }
            }
            if holder(&turn.after).is_some() {
                assert!(turn.after.deadline <= furthest, "{:?}", turn.command);
            }
        });
    }

    /// Who holds the pen and asks for it gets it, whichever way.
    #[test]
    fn holder_is_never_locked_out(policy in policies(), history in steps()) {
        play(&policy, &history, |turn| {
            let Some(tenure) = turn.after.tenure(turn.time.at) else { return };
            let mut claimant = tenure.holder.clone();
            for session in [claimant.session.clone(), "quite-another".into()] {
                claimant.session = session;
                let acquire = Command::Acquire { claimant: claimant.clone(), terms: Default::default() };
                let outcome = decide(&turn.after, &acquire, turn.time, &policy).outcome;
                assert!(matches!(outcome, Ok(Outcome::Granted { .. })), "{outcome:?}");
            }
        });
    }

    /// A decision leaves nothing undone that is due: what it says is true until time passes.
    #[test]
    fn nothing_due_is_left_behind(policy in policies(), history in steps()) {
        play(&policy, &history, |turn| {
            let due = turn.after.due(&policy);
            assert!(due.is_none_or(|due| due > turn.time.at), "{:?} leaves {due:?}", turn.command);
        });
    }

    /// Reading is deciding without writing: what `view` shows is what a tick would make of it.
    #[test]
    fn expired_pen_is_never_shown_as_held(policy in policies(), history in steps(), later in 0u64..90_000) {
        let scene = play(&policy, &history, |_| {});
        let now = StoreMs(scene.now).after(later);
        let pen = scene.lease.view(now);
        let ticked = decide(&scene.lease, &Command::Tick, StoreTime { at: now, timeline: Timeline(0) }, &policy);
        if scene.lease.due(&policy).is_none_or(|due| now < due) {
            prop_assert_eq!(&ticked.lease, &scene.lease);
            prop_assert_eq!(&ticked.lease.view(now), &pen);
        } else {
            prop_assert!(!ticked.events.is_empty(), "what is due happens");
            prop_assert!(ticked.lease.due(&policy).is_none_or(|due| due > now), "all of it");
        }
        let held = pen.state != PenState::Free;
        prop_assert_eq!(held, pen.deadline.is_some_and(|deadline| deadline > now));
        prop_assert_eq!(held, pen.holder.is_some() && pen.session.is_some() && pen.since.is_some());
    }

    /// L5 in the model: with nobody saying anything more, everybody who waits gets the pen, in the order
    /// of the queue, each within a time to live of the one before.
    #[test]
    fn queue_is_served_in_order_and_in_time(policy in policies(), history in steps()) {
        let policy = Policy { ai_yields: false, ..policy };
        let mut scene = play(&policy, &history, |_| {});
        let waiting: Vec<_> = scene.lease.claims.queue.iter().map(|w| w.claimant.clone()).collect();
        let draining = match &scene.lease.claims.state {
            State::Draining { to, .. } => Some(to.clone()),
            _ => None,
        };
        let mut expected: Vec<_> = draining.iter().chain(&waiting).map(|to| to.session.clone()).collect();
        // Who takes the pen over may wait as well: they have it once.
        if let Some(to) = draining {
            let mut places = waiting.iter().position(|w| w.is_same_person(&to)).into_iter();
            places.next().map(|place| expected.remove(place + 1));
        }
        let mut served = Vec::new();
        while let Some(due) = scene.lease.due(&policy) {
            // A lease that its holder may have chosen as long as the policy lets them.
            prop_assert!(due.0 <= scene.now + policy.ttl_ms_max, "late by {}", due.0 - scene.now);
            scene.now = due.0.max(scene.now);
            let time = StoreTime { at: StoreMs(scene.now), timeline: Timeline(0) };
            let decision = decide(&scene.lease, &Command::Tick, time, &policy);
            let grants = decision.events.iter().filter(|event| event.kind.is_grant());
            served.extend(grants.filter_map(|event| event.pen.session.clone()));
            scene.lease = decision.lease;
        }
        prop_assert_eq!(served, expected);
        prop_assert_eq!(scene.lease.view(StoreMs(scene.now)).state, PenState::Free);
    }

    /// Where there is nothing to edit any more whoever had the pen has lost it, and nobody gets it, not even who had
    /// it coming; after that nothing is told, whatever anybody says.
    #[test]
    fn nothing_follows_the_end(policy in policies(), history in steps(), later in steps()) {
        let mut ledger = Ledger::new(policy.clone());
        let mut scene = play(&policy, &history, |turn| {
            turn.events.iter().for_each(|event| ledger.check(&turn.command, event));
            ledger.read(&turn.command, turn.time.at, &turn.after);
        });
        let before = scene.lease.clone();
        let (now, end) = (StoreMs(scene.now), Command::End { by: person("root") });
        let time = StoreTime { at: now, timeline: Timeline(0) };
        let decision = decide(&before, &end, time, &policy);
        decision.events.iter().for_each(|event| ledger.check(&end, event));
        let told: Vec<_> = decision.events.iter().map(|event| (event.kind, event.rule)).collect();
        match before.tenure(now) {
            Some(_) => prop_assert_eq!(told, [(EventKind::Revoked, Rule::Deleted)]),
            None => prop_assert!(told.is_empty(), "{:?}", told),
        }
        prop_assert_eq!(decision.outcome, Ok(Outcome::Ended));
        prop_assert_eq!(decision.lease.view(now), Lease { fence: before.fence, ..Lease::default() }.view(now));
        scene.lease = decision.lease.clone();
        for step in &later {
            let (time, command) = scene.next(step);
            let after = decide(&scene.lease, &command, time, &policy);
            prop_assert!(after.events.is_empty(), "{:?}", command);
            prop_assert_eq!(&after.lease, &decision.lease);
            prop_assert_eq!(after.lease.due(&policy), None);
            prop_assert!(!matches!(after.outcome, Ok(Outcome::Granted { .. })), "{:?}", command);
            prop_assert_eq!(decide(&after.lease, &end, time, &policy).lease, after.lease);
        }
    }

    #[test]
    fn row_is_bounded_and_in_order(policy in policies(), history in steps()) {
        play(&policy, &history, |turn| {
            let claims = &turn.after.claims;
            assert!(claims.spent.len() <= penholder_lease::SPENT_LEN_MAX);
            assert!(claims.queue.len() <= penholder_lease::QUEUE_LEN_MAX);
            let mut people: Vec<_> = claims.queue.iter().map(|w| &w.claimant.person.id).collect();
            match claims.state.tenure() {
                None => assert!(people.is_empty(), "nobody waits for a free pen"),
                Some(tenure) => people.push(&tenure.holder.person.id),
            }
            let count = people.len();
            people.sort();
            people.dedup();
            assert_eq!(people.len(), count, "one place per person, none for the holder");
            if let Some(event) = turn.events.last() {
                assert_eq!(event.pen.fence, turn.after.fence);
                assert_eq!(event.pen.holder, turn.after.view(turn.time.at).holder);
            }
            let kept = serde_json::to_string(&turn.after).unwrap();
            assert_eq!(serde_json::from_str::<Lease>(&kept).unwrap(), turn.after);
        });
    }

    /// What observers and the log are told is enough to know who has the pen.
    #[test]
    fn events_replay_to_the_pen(policy in policies(), history in steps()) {
        let mut told = None;
        play(&policy, &history, |turn| {
            told = turn.events.last().map(|event| event.pen.clone()).or(told.take());
            let pen = turn.after.view(turn.time.at);
            if let Some(told) = &told {
                assert_eq!((told.state, &told.session, told.fence), (pen.state, &pen.session, pen.fence));
                assert_eq!((told.since, told.deadline), (pen.since, pen.deadline));
            } else {
                assert_eq!(pen, Lease::default().view(turn.time.at));
            }
            assert!(turn.events.is_empty() || turn.before != turn.after, "told, and nothing changed");
        });
    }
}
