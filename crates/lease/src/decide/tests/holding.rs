use super::*;

#[test]
fn renewal_lasts_a_full_time_to_live_from_now() {
    let mut scene = Scene::held_by("ada");
    scene.after(20_000);
    let deadline = StoreMs(scene.now + TTL);
    assert_eq!(scene.renew("ada", 1, 0), Ok(Outcome::Renewed { deadline }));
    assert_eq!(scene.told, [(EventKind::Renewed, Rule::Free)]);
    assert_eq!(scene.due_in(), Some(TTL));
}

#[test]
fn renewal_at_the_deadline_is_too_late() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL);
    assert_eq!(scene.renew("ada", 1, 0), Err(Refusal::LeaseLost));
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Expired)]);
}

#[test]
fn only_the_holder_renews_and_releases_with_the_fence() {
    let mut scene = Scene::held_by("ada");
    let before = scene.lease.clone();
    for (name, fence) in [("bob", 1), ("ada", 0), ("ada", 2), ("ada/2", 1)] {
        assert_eq!(scene.renew(name, fence, 0), Err(Refusal::LeaseLost), "{name} {fence}");
        assert_eq!(scene.release(name, fence), Err(Refusal::LeaseLost), "{name} {fence}");
        let answer = Answer::HandOver(Recipient::Anybody(claimant("bob")));
        assert_eq!(scene.answer(name, fence, answer), Err(Refusal::LeaseLost), "{name} {fence}");
    }
    assert_eq!(scene.lease, before);
}

#[test]
fn holder_who_walked_away_is_not_renewed() {
    let mut scene = Scene::held_by("ada");
    let deadline = scene.pen().deadline.unwrap();
    scene.after(10_000);
    assert_eq!(scene.renew("ada", 1, 60_000), Ok(Outcome::Renewed { deadline }));
    assert!(scene.told.is_empty());
    scene.renew("ada", 1, 59_999).unwrap();
    assert_eq!(scene.told, [(EventKind::Renewed, Rule::Free)]);
}

#[test]
fn expiry_of_an_idle_holder_says_so() {
    let mut scene = Scene::held_by("ada");
    for _ in 0..3 {
        scene.after(20_000);
        let input_ms_ago = scene.now - 1_000_000;
        scene.renew("ada", 1, input_ms_ago).unwrap();
    }
    scene.after(TTL).tick();
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Idle)]);
}

#[test]
fn late_renewal_of_old_input_does_not_make_the_holder_older() {
    let mut scene = Scene::held_by("ada");
    scene.after(20_000).renew("ada", 1, 0).unwrap();
    let active_at = scene.lease.active_at;
    scene.renew("ada", 1, 15_000).unwrap();
    assert_eq!(scene.lease.active_at, active_at);
}

#[test]
fn clock_that_falls_back_leaves_a_holder_a_full_time_to_live() {
    let mut scene = Scene::held_by("ada");
    scene.now -= 5_000;
    let deadline = StoreMs(scene.now + TTL);
    assert_eq!(scene.renew("ada", 1, 0), Ok(Outcome::Renewed { deadline }));
}

#[test]
fn released_pen_is_free() {
    let mut scene = Scene::held_by("ada");
    assert_eq!(scene.release("ada", 1), Ok(Outcome::Released));
    assert_eq!(scene.told, [(EventKind::Released, Rule::Released)]);
    assert_eq!((scene.holder(), scene.due_in()), (None, None));
    assert_eq!(scene.acquire("bob"), granted(2, scene.now + TTL));
}

#[test]
fn releasing_twice_is_fine_until_somebody_else_has_it() {
    let mut scene = Scene::held_by("ada");
    scene.release("ada", 1).unwrap();
    assert_eq!(scene.release("ada", 1), Ok(Outcome::Released));
    assert!(scene.told.is_empty(), "the second time nothing happens");
    assert_eq!(scene.release("bob", 1), Err(Refusal::LeaseLost));
    assert_eq!(scene.release("ada", 2), Err(Refusal::LeaseLost));
    scene.acquire("bob").unwrap();
    assert_eq!(scene.release("ada", 1), Err(Refusal::LeaseLost));
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn release_of_an_expired_pen_is_too_late() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL);
    assert_eq!(scene.release("ada", 1), Err(Refusal::LeaseLost));
}

#[test]
fn lost_connection_keeps_the_pen_for_its_grace() {
    let mut scene = Scene::held_by("ada");
    scene.disconnect("ada");
    assert_eq!(scene.told, [(EventKind::Reserved, Rule::Disconnected)]);
    assert_eq!((scene.pen().state, scene.due_in()), (PenState::Reserved, Some(10_000)));
    assert_eq!(scene.acquire("bob"), held(None));
    scene.after(9_999);
    assert_eq!(scene.resume("ada"), granted(1, scene.now + TTL), "the same fence goes on");
    assert_eq!(scene.told, [(EventKind::Resumed, Rule::Resumed)]);
    assert_eq!(scene.pen().state, PenState::Held);
}

#[test]
fn connection_that_stays_lost_costs_the_pen() {
    let mut scene = Scene::held_by("ada");
    scene.disconnect("ada");
    scene.after(10_000);
    assert_eq!(scene.resume("ada"), Err(Refusal::LeaseLost));
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Disconnected)]);
}

#[test]
fn grace_is_never_longer_than_a_time_to_live() {
    let mut scene = Scene::new();
    let terms = Terms { ttl_ms: Some(2_000), ..Terms::default() };
    scene.act(Command::Acquire { claimant: claimant("ada"), terms }).unwrap();
    scene.disconnect("ada");
    assert_eq!(scene.due_in(), Some(2_000));
}

#[test]
fn lost_connection_prolongs_nothing() {
    let mut scene = Scene::held_by("ada");
    scene.after(TTL - 1_000).disconnect("ada");
    assert_eq!(scene.due_in(), Some(1_000));
}

#[test]
fn idle_holder_keeps_nobody_waiting_by_coming_back() {
    let mut scene = Scene::with(Policy { idle_after_ms: 5_000, ..Policy::default() });
    scene.acquire("ada").unwrap();
    scene.wait("bob").unwrap();
    for _ in 0..2 {
        scene.after(5_000).disconnect("ada");
        scene.resume("ada").unwrap();
        assert_eq!(scene.told, [(EventKind::Resumed, Rule::Resumed)]);
    }
    assert_eq!(scene.due_in(), Some(5_000), "what was left when the connection was lost first");
}

#[test]
fn without_grace_a_lost_connection_frees_the_pen() {
    let mut scene = Scene::with(Policy { grace_ms: 0, ..Policy::default() });
    scene.acquire("ada").unwrap();
    scene.wait("bob").unwrap();
    scene.disconnect("ada");
    assert_eq!(
        scene.told,
        [(EventKind::Expired, Rule::Disconnected), (EventKind::Granted, Rule::Queue)]
    );
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn lost_connection_of_a_session_without_the_pen_changes_nothing() {
    let mut scene = Scene::held_by("ada");
    let before = scene.lease.clone();
    scene.disconnect("ada/2");
    scene.leave("ada/2");
    assert_eq!(scene.lease, before);
}

#[test]
fn renewal_brings_a_reserved_pen_back() {
    let mut scene = Scene::held_by("ada");
    scene.disconnect("ada");
    scene.after(1_000).renew("ada", 1, 0).unwrap();
    assert_eq!(scene.told, [(EventKind::Resumed, Rule::Resumed)]);
    assert_eq!((scene.pen().state, scene.due_in()), (PenState::Held, Some(TTL)));
}

#[test]
fn resuming_what_was_never_lost_changes_nothing() {
    let mut scene = Scene::held_by("ada");
    let before = scene.lease.clone();
    scene.after(1_000);
    assert_eq!(scene.resume("ada"), granted(1, before.deadline.0));
    assert_eq!(scene.lease, before);
    assert_eq!(scene.resume("bob"), Err(Refusal::LeaseLost));
}

#[test]
fn resuming_is_no_input() {
    let mut scene = Scene::held_by("ada");
    scene.after(5_000).disconnect("ada");
    let active_at = scene.lease.active_at;
    scene.resume("ada").unwrap();
    assert_eq!(scene.lease.active_at, active_at);
}

#[test]
fn goodbye_frees_the_pen_and_the_place_in_the_queue() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.wait("carl").unwrap();
    scene.leave("bob");
    assert_eq!(scene.queue(), ["carl"]);
    scene.leave("ada");
    assert_eq!(
        scene.told,
        [(EventKind::Released, Rule::Released), (EventKind::Granted, Rule::Queue)]
    );
    assert_eq!(scene.holder(), has("carl", 2));
}

#[test]
fn write_needs_the_fence_of_a_living_tenure() {
    use crate::{PersonId, UnfencedWrites, WriteCheck, WriteClaim};
    let mut scene = Scene::held_by("ada");
    let check = |scene: &Scene, by: &str, fence: Option<u64>| {
        let (by, fence) = (PersonId::from(by), fence.map(Fence));
        let claim = WriteClaim { by: &by, fence };
        scene.lease.check_write(claim, StoreMs(scene.now), &scene.policy)
    };
    let ada = claimant("ada").person;
    assert_eq!(check(&scene, "ada", Some(1)), WriteCheck::Accepted);
    let stale = WriteCheck::Stale { holder: Some(ada.clone()) };
    assert_eq!(check(&scene, "bob", Some(0)), stale);
    assert_eq!(check(&scene, "bob", Some(2)), stale, "nor one that was never granted");
    assert_eq!(check(&scene, "ada", None), WriteCheck::Accepted, "the holder collides with nobody");

    let collides = |flag| WriteCheck::Collides { holder: ada.clone(), flag };
    assert_eq!(check(&scene, "bob", None), collides(true));
    scene.policy.unfenced_writes = UnfencedWrites::Allow;
    assert_eq!(check(&scene, "bob", None), collides(false));
    scene.policy.unfenced_writes = UnfencedWrites::Refuse;
    assert_eq!(check(&scene, "bob", None), WriteCheck::Unfenced { holder: ada.clone() });

    scene.disconnect("ada");
    assert_eq!(check(&scene, "ada", Some(1)), WriteCheck::Accepted, "reserved is hers still");
    scene.after(TTL);
    assert_eq!(check(&scene, "ada", Some(1)), WriteCheck::Stale { holder: None });
    assert_eq!(check(&scene, "bob", None), WriteCheck::Accepted);
}
