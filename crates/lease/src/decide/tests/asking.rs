use super::*;
use crate::command::{QUEUE_LEN_MAX, REASON_BYTES_MAX, REQUEST_ID_BYTES_MAX, SPENT_LEN_MAX};

#[test]
fn topic_without_a_pen_is_free_under_fence_zero() {
    let pen = Scene::new().pen();
    assert_eq!(
        (pen.state, pen.fence, pen.holder, pen.deadline),
        (PenState::Free, Fence(0), None, None)
    );
    let json = serde_json::to_value(Scene::new().pen()).unwrap();
    assert_eq!(json["fence"], "0");
    assert_eq!(json["state"], "free");
}

#[test]
fn free_pen_is_granted() {
    let mut scene = Scene::new();
    assert_eq!(scene.acquire("ada"), granted(1, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::Granted, Rule::Free)]);
    let pen = scene.pen();
    assert_eq!(pen.state, PenState::Held);
    assert_eq!(pen.since, Some(StoreMs(scene.now)));
    assert_eq!(pen.deadline, Some(StoreMs(scene.now + TTL)));
    assert_eq!(pen.holder.unwrap().name, "ADA");
}

#[test]
fn held_pen_is_not_granted_to_another() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL - 1);
    assert_eq!(scene.acquire("bob"), held(None));
    assert!(scene.told.is_empty());
    assert_eq!(scene.holder(), has("ada", 1));
    assert!(scene.queue().is_empty());
}

#[test]
fn nothing_that_another_does_renews_a_lease() {
    for handover in [Handover::Courtesy, Handover::Consent] {
        let mut scene = Scene::with(Policy { handover, ..Policy::default() });
        scene.acquire("ada").unwrap();
        let deadline = scene.pen().deadline;
        scene.after(1_000).acquire("bob").unwrap();
        scene.wait("bob").unwrap();
        scene.request("bob").unwrap();
        scene.renew("bob", 1, 0).unwrap_err();
        scene.release("bob", 1).unwrap_err();
        scene.answer("bob", 1, Answer::Decline).unwrap_err();
        scene.disconnect("carl");
        scene.resume("bob").unwrap_err();
        scene.take_over("guest").unwrap_err();
        scene.tick();
        assert_eq!((scene.pen().deadline, scene.holder()), (deadline, has("ada", 1)));
        scene.take_over("bob").unwrap();
        assert!(scene.pen().deadline <= deadline, "a take-over shortens at most");
    }
}

#[test]
fn pen_is_granted_again_at_its_deadline_and_not_before() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL);
    assert_eq!(scene.acquire("bob"), granted(2, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Expired), (EventKind::Granted, Rule::Free)]);
}

#[test]
fn expired_pen_is_shown_as_free_though_nobody_has_written_it_down() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL - 1);
    assert_eq!(scene.pen().state, PenState::Held);
    let pen = scene.after(1).pen();
    assert_eq!((pen.state, pen.fence), (PenState::Free, Fence(1)));
    assert_eq!((pen.holder, pen.session, pen.since, pen.deadline), (None, None, None, None));
}

#[test]
fn time_to_live_is_bounded() {
    let mut scene = Scene::new();
    let mut acquire = |ttl_ms| {
        let terms = Terms { ttl_ms: Some(ttl_ms), ..Terms::default() };
        scene.act(Command::Acquire { claimant: claimant("ada"), terms })
    };
    for wrong in [0, 999, 300_001, 1_000_000_000_000, u64::MAX] {
        assert_eq!(acquire(wrong), Err(Refusal::InvalidTtl), "{wrong}");
    }
    assert_eq!(acquire(1_000), granted(1, 1_001_000));
    let mut scene = Scene::new();
    let terms = Terms { ttl_ms: Some(300_000), ..Terms::default() };
    let outcome = scene.act(Command::Acquire { claimant: claimant("ada"), terms });
    assert_eq!(outcome, granted(1, 1_300_000));
}

#[test]
fn who_acquires_again_may_make_it_longer_and_never_shorter() {
    let mut scene = Scene::held_by("ada");
    let mut again = |ttl_ms| {
        let terms = Terms { ttl_ms: Some(ttl_ms), ..Terms::default() };
        scene.after(10).act(Command::Acquire { claimant: claimant("ada"), terms }).unwrap();
        scene.pen().deadline.unwrap().0 - scene.now
    };
    assert_eq!(again(1_000), TTL);
    assert_eq!(again(2 * TTL), 2 * TTL);
    scene.after(10).renew("ada", 1, 0).unwrap();
    assert_eq!(scene.pen().deadline, Some(StoreMs(scene.now + 2 * TTL)), "from now on");
}

#[test]
fn holder_is_never_locked_out_by_themselves() {
    let mut scene = Scene::held_by("ada");
    scene.after(10_000);
    assert_eq!(
        scene.acquire("ada"),
        granted(1, scene.now + TTL),
        "the same session, the same fence"
    );
    assert_eq!(scene.told, [(EventKind::Renewed, Rule::Free)]);
    assert_eq!(scene.acquire("ada/2"), granted(2, scene.now + TTL), "another tab, in one step");
    assert_eq!(scene.told, [(EventKind::Granted, Rule::SamePerson)]);
    assert_eq!(scene.renew("ada", 1, 0), Err(Refusal::LeaseLost), "the first tab has lost it");
    scene.disconnect("ada/2");
    assert_eq!(scene.acquire("ada"), granted(3, scene.now + TTL), "from a reserved one as well");
}

#[test]
fn other_tab_gets_a_draining_pen_and_the_take_over_goes_on() {
    let mut scene = Scene::held_by("ada");
    scene.take_over("bob").unwrap();
    assert_eq!(scene.acquire("ada/2"), granted(2, scene.now + 5_000));
    assert_eq!(scene.pen().state, PenState::Draining);
    scene.after(5_000).tick();
    assert_eq!(scene.holder(), has("bob", 3));
}

#[test]
fn repeated_request_never_begins_a_second_tenure() {
    let mut scene = Scene::new();
    let first = scene.acquire_as("ada", "r1");
    assert_eq!(first, granted(1, scene.now + TTL));
    scene.after(1_000);
    assert_eq!(scene.acquire_as("ada", "r1"), first, "while it lasts: the same answer");
    assert!(scene.told.is_empty());
    scene.release("ada", 1).unwrap();
    assert_eq!(scene.acquire_as("ada", "r1"), Ok(Outcome::Lapsed), "after it: nothing");
    assert_eq!(scene.holder(), None);
    assert_eq!(
        scene.acquire_as("bob", "r1"),
        granted(2, scene.now + TTL),
        "ids are a session's own"
    );
}

#[test]
fn request_that_waited_is_known_when_it_is_repeated() {
    let mut scene = Scene::held_by("ada");
    let waiting = |scene: &mut Scene| {
        let request_id = Some("r1".into());
        let terms = Terms { if_held: IfHeld::Wait, request_id, ..Terms::default() };
        scene.act(Command::Acquire { claimant: claimant("bob"), terms })
    };
    assert_eq!(waiting(&mut scene), held(Some(1)));
    assert_eq!(waiting(&mut scene), held(Some(1)));
    scene.release("ada", 1).unwrap();
    assert_eq!(waiting(&mut scene), granted(2, scene.now + TTL));
    scene.release("bob", 2).unwrap();
    assert_eq!(waiting(&mut scene), Ok(Outcome::Lapsed));
}

#[test]
fn as_many_request_ids_are_remembered_as_is_said() {
    let mut scene = Scene::new();
    for n in 0..=SPENT_LEN_MAX {
        scene.acquire_as("ada", &format!("r{n}")).unwrap();
        scene.release("ada", n as u64 + 1).unwrap();
    }
    assert_eq!(scene.lease.claims.spent.len(), SPENT_LEN_MAX);
    assert_eq!(scene.acquire_as("ada", "r1"), Ok(Outcome::Lapsed));
    assert!(matches!(scene.acquire_as("ada", "r0"), Ok(Outcome::Granted { .. })));
}

#[test]
fn queue_holds_as_many_as_may_and_refuses_one_more() {
    let mut scene = Scene::held_by("ada");
    for n in 1..=QUEUE_LEN_MAX {
        assert_eq!(scene.wait(&format!("w{n}")), held(Some(n)));
    }
    assert_eq!(scene.wait("late"), Err(Refusal::QueueFull));
    assert_eq!(scene.request("late"), Err(Refusal::QueueFull));
    assert_eq!(scene.wait("w7"), held(Some(7)), "who is in it keeps the place");
    assert_eq!(scene.acquire("late"), held(None));
}

#[test]
fn person_has_one_place_in_the_queue_whichever_tab_asks() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.wait("carl").unwrap();
    assert_eq!(scene.wait("bob/2"), held(Some(1)));
    assert_eq!(scene.queue(), ["bob", "carl"]);
    scene.disconnect("bob");
    assert_eq!(scene.queue(), ["bob", "carl"], "the place is the other tab's now");
    scene.release("ada", 1).unwrap();
    assert_eq!(scene.holder(), has("bob/2", 2));
}

#[test]
fn too_long_texts_are_refused_and_change_nothing() {
    let mut scene = Scene::held_by("ada");
    let (fits, long) = ("x".repeat(REASON_BYTES_MAX), "x".repeat(REASON_BYTES_MAX + 1));
    let before = scene.lease.clone();
    let bob = || claimant("bob");
    let said = Some(long);
    let terms = Terms { reason: said.clone(), ..Terms::default() };
    let (session, fence) = (session("ada"), Fence(1));
    for command in [
        Command::Acquire { claimant: bob(), terms },
        Command::Request { claimant: bob(), reason: said.clone() },
        Command::TakeOver { claimant: bob(), reason: said.clone() },
        Command::Revoke { by: bob().person, reason: said.clone() },
        Command::Answer { session, fence, answer: Answer::Decline, reason: said },
    ] {
        assert_eq!(scene.act(command), Err(Refusal::ReasonTooLong));
    }
    assert_eq!(scene.lease, before);
    scene.act(Command::Request { claimant: bob(), reason: Some(fits) }).unwrap();

    let id = "x".repeat(REQUEST_ID_BYTES_MAX);
    assert!(Scene::new().acquire_as("ada", &id).is_ok());
    assert_eq!(Scene::new().acquire_as("ada", &(id + "x")), Err(Refusal::RequestIdTooLong));
}

#[test]
fn who_may_not_take_over_is_refused() {
    let mut scene = Scene::held_by("ada");
    assert_eq!(scene.take_over("guest"), Err(Refusal::NotAuthorized));
    scene.policy.take_over_roles = BTreeSet::new();
    assert_eq!(scene.take_over("bob"), Err(Refusal::NotAuthorized));
    assert_eq!(scene.holder(), has("ada", 1));
}

#[test]
fn take_over_lets_the_holder_save_first() {
    let mut scene = Scene::held_by("ada");
    let until = StoreMs(scene.now + 5_000);
    assert_eq!(scene.take_over("bob"), Ok(Outcome::Draining { until }));
    assert_eq!(scene.told, [(EventKind::Draining, Rule::TakenOver)]);
    assert_eq!(scene.due_in(), Some(5_000));
    scene.after(4_999).tick();
    assert_eq!((scene.pen().state, scene.holder()), (PenState::Draining, has("ada", 1)));
    scene.after(1).tick();
    assert_eq!(scene.told, [(EventKind::TakenOver, Rule::TakenOver)]);
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn take_over_waits_no_longer_than_the_lease_would_have() {
    let mut scene = Scene::held_by("ada");
    let deadline = scene.pen().deadline.unwrap();
    scene.after(TTL - 1_000);
    assert_eq!(scene.take_over("bob"), Ok(Outcome::Draining { until: deadline }));
    let renewed = scene.renew("ada", 1, 0);
    assert_eq!(renewed, Ok(Outcome::Renewed { deadline }), "renewing does not put it off");
    scene.after(1_000).tick();
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn take_over_without_drain_is_at_once() {
    let mut scene = Scene::with(Policy { drain_ms: 0, ..Policy::default() });
    scene.acquire("ada").unwrap();
    assert_eq!(scene.take_over("bob"), granted(2, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::TakenOver, Rule::TakenOver)]);
}

#[test]
fn take_over_of_a_free_pen_is_a_grant_and_of_ones_own_a_move() {
    let mut scene = Scene::new();
    assert_eq!(scene.take_over("ada"), granted(1, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::Granted, Rule::Free)]);
    assert_eq!(scene.take_over("ada/2"), granted(2, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::Granted, Rule::SamePerson)]);
}

#[test]
fn second_take_over_does_not_displace_the_first() {
    let mut scene = Scene::held_by("ada");
    scene.take_over("bob").unwrap();
    let until = StoreMs(scene.now + 5_000);
    scene.after(1_000);
    assert_eq!(scene.take_over("carl"), held(None));
    assert_eq!(scene.wait("dora"), held(Some(1)));
    assert_eq!(scene.take_over("dora"), held(Some(1)), "who waits goes on waiting");
    assert_eq!(scene.take_over("bob/2"), Ok(Outcome::Draining { until }));
    assert_eq!(scene.acquire("bob/2"), held(Some(1)));
    scene.after(4_000).tick();
    assert_eq!(scene.holder(), has("bob/2", 2), "of the first, in the session that asked last");
}

#[test]
fn take_over_ends_early_when_the_holder_is_done() {
    for done in ["release", "leave", "hand_over"] {
        let mut scene = Scene::held_by("ada");
        scene.wait("carl").unwrap();
        scene.take_over("bob").unwrap();
        match done {
            "release" => drop(scene.release("ada", 1).unwrap()),
            "leave" => scene.leave("ada"),
            _ => drop(scene.answer("ada", 1, Answer::HandOver(Recipient::Asker)).unwrap()),
        }
        assert_eq!(scene.told.last(), Some(&(EventKind::TakenOver, Rule::TakenOver)), "{done}");
        assert_eq!(scene.holder(), has("bob", 2), "{done}");
        assert_eq!(scene.queue(), ["carl"], "{done}");
    }
}

#[test]
fn take_over_is_called_off_when_the_taker_goes_away() {
    for clean in [true, false] {
        let mut scene = Scene::held_by("ada");
        let deadline = scene.pen().deadline;
        scene.take_over("bob").unwrap();
        if clean {
            scene.leave("bob")
        } else {
            scene.disconnect("bob")
        }
        assert_eq!(scene.told, [(EventKind::Resumed, Rule::Disconnected)]);
        assert_eq!((scene.pen().state, scene.pen().deadline), (PenState::Held, deadline));
        assert_eq!(scene.holder(), has("ada", 1));
    }
}

#[test]
fn request_whose_time_is_up_passes_the_pen_on_when_a_take_over_is_called_off() {
    let mut scene = Scene::held_by("ada");
    scene.request("carl").unwrap();
    scene.after(scene.policy.request_after_ms - 1).take_over("bob").unwrap();
    scene.after(1).leave("bob");
    assert_eq!(
        scene.told,
        [(EventKind::Resumed, Rule::Disconnected), (EventKind::Granted, Rule::RequestTimeout)]
    );
    assert_eq!(scene.holder(), has("carl", 2));
}

#[test]
fn revoked_pen_is_free_at_once_and_goes_to_the_next() {
    let mut scene = Scene::held_by("ada");
    assert_eq!(scene.revoke(), Ok(Outcome::Revoked));
    assert_eq!(scene.told, [(EventKind::Revoked, Rule::Revoked)]);
    assert_eq!((scene.holder(), scene.due_in()), (None, None));
    assert_eq!(scene.renew("ada", 1, 0), Err(Refusal::LeaseLost));
    assert_eq!(scene.release("ada", 1), Err(Refusal::LeaseLost), "she did not give it back");
    assert_eq!(scene.revoke(), Ok(Outcome::NobodyHolds));
    assert!(scene.told.is_empty());

    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.revoke().unwrap();
    assert_eq!(
        scene.told,
        [(EventKind::Revoked, Rule::Revoked), (EventKind::Granted, Rule::Queue)]
    );
    assert_eq!(scene.holder(), has("bob", 2));
}
