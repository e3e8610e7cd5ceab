use super::*;

const REQUEST_AFTER: u64 = 20_000;
const DAY: u64 = 86_400_000;

#[test]
fn released_pen_goes_through_the_queue_in_order() {
    let mut scene = Scene::held_by("ada");
    for name in ["bob", "carl", "dora"] {
        scene.wait(name).unwrap();
    }
    for (fence, name) in [(2, "bob"), (3, "carl"), (4, "dora")] {
        let (before, held) = scene.holder().unwrap();
        scene.release(&before, held).unwrap();
        assert_eq!(scene.told.last(), Some(&(EventKind::Granted, Rule::Queue)));
        assert_eq!(scene.holder(), has(name, fence));
    }
    assert!(scene.queue().is_empty());
}

#[test]
fn expired_pen_goes_to_the_next_before_anybody_new() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.after(TTL);
    assert_eq!(scene.acquire("carl"), held(None));
    assert_eq!(
        scene.told,
        [(EventKind::Expired, Rule::Expired), (EventKind::Granted, Rule::Queue)]
    );
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn releasing_after_the_pen_has_gone_on_is_too_late() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.release("ada", 1).unwrap();
    assert_eq!(scene.release("ada", 1), Err(Refusal::LeaseLost));
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn request_asks_and_waits_in_the_queue() {
    let mut scene = Scene::held_by("ada");
    let answer_by = StoreMs(scene.now + REQUEST_AFTER);
    assert_eq!(scene.request("bob"), Ok(Outcome::Asked { answer_by }));
    assert_eq!(scene.told, [(EventKind::Requested, Rule::Free)]);
    assert_eq!(scene.queue(), ["bob"]);
    assert_eq!(scene.due_in(), Some(REQUEST_AFTER));
    scene.after(1_000);
    assert_eq!(scene.request("bob"), Ok(Outcome::Asked { answer_by }), "asking again is no hurry");
    assert!(scene.told.is_empty(), "and is told once");
}

#[test]
fn pen_shows_who_of_the_waiting_has_asked() {
    let mut scene = Scene::held_by("ada");
    let answer_by = StoreMs(scene.now + REQUEST_AFTER);
    scene.wait("carl").unwrap();
    scene.request("bob").unwrap();
    let shown = |scene: &Scene| -> Vec<_> {
        scene.pen().queue.iter().map(|waiting| waiting.answer_by).collect()
    };
    assert_eq!(shown(&scene), [None, Some(answer_by)]);
    scene.answer("ada", 1, Answer::Decline).unwrap();
    assert_eq!(shown(&scene), [None, None]);
}

#[test]
fn pen_of_an_older_log_has_no_answers_to_show() {
    let read: crate::InQueue = serde_json::from_str(r#"{"id":"bob","name":"BOB"}"#).unwrap();
    assert_eq!(read.answer_by, None);
}

#[test]
fn nobody_is_asked_for_a_free_pen_or_for_ones_own() {
    let mut scene = Scene::new();
    assert_eq!(scene.request("bob"), Ok(Outcome::NobodyHolds));
    scene.acquire("ada").unwrap();
    assert_eq!(scene.request("ada/2"), Ok(Outcome::NobodyHolds));
    assert_eq!((scene.told.len(), scene.queue().len()), (0, 0));
}

#[test]
fn unanswered_request_passes_the_pen_on_by_courtesy() {
    let mut scene = Scene::held_by("ada");
    scene.request("bob").unwrap();
    scene.after(REQUEST_AFTER - 1).renew("ada", 1, 0).unwrap();
    assert_eq!(scene.holder(), has("ada", 1));
    scene.after(1).tick();
    assert_eq!(scene.told, [(EventKind::Granted, Rule::RequestTimeout)]);
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn under_consent_only_an_idle_holder_loses_it() {
    let mut scene = Scene::consent();
    scene.acquire("ada").unwrap();
    scene.request("bob").unwrap();
    scene.after(REQUEST_AFTER).tick();
    assert_eq!(scene.holder(), has("ada", 1), "she was there a moment ago");
    assert_eq!(scene.due_in(), Some(TTL - REQUEST_AFTER), "there is nothing to do before");
    // Renewed, but without new input.
    scene.renew("ada", 1, REQUEST_AFTER).unwrap();
    assert_eq!(scene.due_in(), Some(TTL));
    scene.after(20_000).renew("ada", 1, 40_000).unwrap();
    scene.after(19_999).tick();
    assert_eq!(scene.holder(), has("ada", 1));
    scene.after(1).tick();
    assert_eq!(scene.told, [(EventKind::Granted, Rule::Idle)]);
    assert_eq!(scene.holder(), has("bob", 2));
}

#[test]
fn timeout_of_a_request_serves_the_queue_in_order() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.request("carl").unwrap();
    scene.after(REQUEST_AFTER).tick();
    assert_eq!(scene.holder(), has("bob", 2), "who has waited for longer comes first");
    assert_eq!(scene.due_in(), Some(REQUEST_AFTER), "and is asked in turn");
    scene.after(REQUEST_AFTER).tick();
    assert_eq!(scene.holder(), has("carl", 3));
}

#[test]
fn declining_ends_the_request_and_keeps_the_places() {
    let mut scene = Scene::held_by("ada");
    scene.wait("carl").unwrap();
    assert_eq!(scene.answer("ada", 1, Answer::Decline), Err(Refusal::NobodyAsked));
    scene.request("bob").unwrap();
    assert_eq!(scene.answer("ada", 1, Answer::Decline), Ok(Outcome::Declined));
    assert_eq!(scene.told, [(EventKind::Declined, Rule::Free)]);
    assert_eq!(scene.queue(), ["carl", "bob"]);
    scene.after(REQUEST_AFTER).tick();
    assert_eq!(scene.holder(), has("ada", 1));
}

#[test]
fn holder_hands_over_to_whom_they_like() {
    let to = |recipient| Answer::HandOver(recipient);
    let mut scene = Scene::held_by("ada");
    assert_eq!(scene.answer("ada", 1, to(Recipient::Asker)), Err(Refusal::NobodyAsked));
    let unknown = to(Recipient::Waiting("bob".to_owned()));
    assert_eq!(scene.answer("ada", 1, unknown), Err(Refusal::UnknownRecipient));
    let own = to(Recipient::Anybody(claimant("ada")));
    assert_eq!(scene.answer("ada", 1, own), Err(Refusal::UnknownRecipient));

    for name in ["carl", "bob", "dora"] {
        scene.wait(name).unwrap();
    }
    scene.request("bob").unwrap();
    assert_eq!(scene.answer("ada", 1, to(Recipient::Asker)), Ok(Outcome::HandedOver));
    assert_eq!(scene.told, [(EventKind::HandedOver, Rule::HandedOver)]);
    assert_eq!(scene.holder(), has("bob", 2), "who asked, before who waits");
    scene.answer("bob", 2, to(Recipient::Waiting("dora".to_owned()))).unwrap();
    assert_eq!(scene.holder(), has("dora", 3), "who is named");
    scene.answer("dora", 3, to(Recipient::Anybody(claimant("eve")))).unwrap();
    assert_eq!(scene.holder(), has("eve", 4), "who did not wait at all");
    scene.answer("eve", 4, to(Recipient::Asker)).unwrap();
    assert_eq!(scene.holder(), has("carl", 5), "the first in the queue, when nobody asked");
}

#[test]
fn program_yields_to_a_human_at_once() {
    let mut scene = Scene::held_by("bot");
    assert_eq!(scene.request("bob"), granted(2, scene.now + TTL));
    assert_eq!(scene.told, [(EventKind::Granted, Rule::AiYields)]);
    assert!(scene.queue().is_empty());
}

#[test]
fn program_yields_neither_to_a_program_nor_when_it_need_not() {
    let mut scene = Scene::held_by("bot");
    assert!(matches!(scene.request("bot2"), Ok(Outcome::Asked { .. })));
    assert_eq!(scene.holder(), has("bot", 1));

    let mut scene = Scene::with(Policy { ai_yields: false, ..Policy::default() });
    scene.acquire("bot").unwrap();
    assert!(matches!(scene.request("bob"), Ok(Outcome::Asked { .. })));
    assert_eq!(scene.holder(), has("bot", 1));

    let mut scene = Scene::held_by("ada");
    assert!(matches!(scene.request("bot"), Ok(Outcome::Asked { .. })), "nor does a human");
}

#[test]
fn human_who_has_asked_comes_before_a_program_in_the_queue() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bot").unwrap();
    scene.wait("carl").unwrap();
    scene.request("bob").unwrap();
    scene.release("ada", 1).unwrap();
    assert_eq!(scene.told.last(), Some(&(EventKind::Granted, Rule::AiYields)));
    assert_eq!(scene.holder(), has("bob", 2));
    assert_eq!(scene.queue(), ["bot", "carl"]);
    scene.release("bob", 2).unwrap();
    assert_eq!(scene.holder(), has("bot", 3), "who only waits takes turns with programs");
}

#[test]
fn tick_before_anything_is_due_changes_nothing() {
    let mut scene = Scene::held_by("ada");
    scene.request("bob").unwrap();
    let before = scene.lease.clone();
    scene.after(REQUEST_AFTER - 1).tick();
    assert_eq!((scene.lease, scene.told.len()), (before, 0));
}

#[test]
fn late_tick_grants_from_its_own_time() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.after(10 * TTL).tick();
    assert_eq!(scene.holder(), has("bob", 2), "bob could not have known before");
    assert_eq!(scene.due_in(), Some(TTL));
}

#[test]
fn events_are_written_as_the_wire_has_them() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    let time = StoreTime { at: StoreMs(scene.now + 5), timeline: Timeline(0) };
    let release = Command::Release { session: session("ada"), fence: Fence(1) };
    let events = decide(&scene.lease, &release, time, &scene.policy).events;
    let json = serde_json::to_value(&events[1]).unwrap();
    let expected = serde_json::json!({
        "type": "granted", "rule": "queue", "fence": "2", "at": 1_000_005,
        "by": { "id": "ada", "name": "ADA", "kind": "human" },
        "pen": {
            "state": "held", "holder": { "id": "bob", "name": "BOB", "kind": "human" },
            "session": "bob", "fence": "2", "since": 1_000_005, "deadline": 1_030_005, "queue": [],
        },
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<crate::Event>(json).unwrap(), events[1]);
}

/// Nobody keeps a pen for a day because the clock was set back by one.
#[test]
fn clock_that_was_set_back_makes_no_lease_longer() {
    let mut scene = Scene::held_by("ada");
    scene.now += DAY;
    scene.acquire("ada").unwrap();
    scene.request("bob").unwrap();
    scene.now -= DAY;
    scene.tick();
    scene.after(REQUEST_AFTER - 1).tick();
    assert_eq!(scene.told, []);
    scene.after(1).tick();
    assert_eq!(scene.told, [(EventKind::Granted, Rule::RequestTimeout)]);
}

#[test]
fn pen_of_a_dead_holder_ends_in_time_though_the_clock_was_set_back() {
    let mut scene = Scene::held_by("ada");
    scene.now -= DAY / 1_000;
    scene.tick();
    scene.after(TTL).tick();
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Expired)]);
}

#[test]
fn take_over_ends_in_time_though_the_clock_was_set_back() {
    let mut scene = Scene::held_by("ada");
    scene.take_over("bob").unwrap();
    scene.now -= DAY / 1_000;
    scene.tick();
    scene.after(scene.policy.drain_ms).tick();
    assert_eq!(scene.told, [(EventKind::TakenOver, Rule::TakenOver)]);
}
