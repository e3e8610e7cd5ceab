//! Joining, joining again, leaving, and being removed.

use penholder_hub::{Census, Departure, Input, TopicOptions, Viewer, WatcherId};
use penholder_presence::Kind;
use penholder_protocol::{Encoded, Json, PresenceMode, Ref, Since, Wire, encode};
use serde_json::json;

use crate::harness::{DOC, EVERY_TOPIC, GRACE_MS, Joining, World, options, topic};

#[test]
fn a_join_reply_says_who_one_is_and_what_holds() {
    let mut world = World::new();
    world.arrive("ada");
    let bob = world.join(Joining::new(DOC, "bob").view());
    let reply = world[bob].reply();
    assert_eq!(reply["session"], format!("s{}", bob.0));
    assert_eq!((&reply["key"], &reply["mode"]), (&json!("bob"), &json!("view")));
    assert_eq!((&reply["seq"], &reply["pen"]), (&json!(0), &json!(null)));
    assert_eq!(reply["limits"]["topics_per_socket"], 100);
    let summary = &reply["summary"];
    assert_eq!(summary["count"], 2, "the one who joins is counted");
    assert_eq!(summary["current_user_presence"]["key"], "bob");
    assert_eq!(summary["prior_user_presence"]["key"], "ada");
    assert_eq!(summary["has_presence_edit_priority"], false);
    let join = &world[bob].frames[0];
    assert_eq!(join.reference, join.join_ref);
}

#[test]
fn recovered_says_whether_nothing_was_missed() {
    let mut world = World::new();
    let cases = [
        (None, json!(null)),
        (Some(Since::After(0)), json!(true)),
        (Some(Since::After(1)), json!(false)),
        (Some(Since::Impossible), json!(false)),
    ];
    for (since, expected) in cases {
        let joining = Joining::new(DOC, "ada");
        let joining = since.map_or(joining.clone(), |since| joining.since(since));
        let member = world.join(joining);
        assert_eq!(world[member].reply()["recovered"], expected, "{since:?}");
    }
}

#[test]
fn a_rejoin_on_one_socket_is_answered_before_the_old_channel_closes() {
    let mut world = World::new();
    let watcher = world.arrive("watcher");
    let old = world.arrive("ada");
    world.clear();
    world.log = Some(Vec::new());
    let new = world.join(Joining::new(DOC, "ada").replaces(old));
    let log = world.log.take().expect("a log");
    for (output, word) in log.iter().zip(["phx_reply", "phx_close", "Departed"]) {
        assert!(output.contains(word), "{log:#?}");
    }
    world.settle();
    let close = &world[old].frames[0];
    assert_eq!((close.event.as_str(), &close.payload), ("phx_close", &json!({})));
    assert_eq!(close.join_ref, Some(Ref::counter(old.0)));
    assert_eq!(close.reference, Some(Ref::counter(old.0)));
    assert_eq!(world[old].departed, Some(Departure::Replaced));
    assert_eq!(world.events(new), ["phx_reply", "presence_state", "presence_summary"]);
    let diff = &world.take(watcher)[0];
    assert_eq!(diff.payload["joins"]["ada"]["metas"].as_array().map(Vec::len), Some(1));
    assert_eq!(diff.payload["leaves"]["ada"]["metas"].as_array().map(Vec::len), Some(1));
    assert_eq!(world[watcher].metas("ada").len(), 1, "one session took the other's place");
    assert_eq!(world.hub.census().sessions, 2);
    world.assert_folds_equal_lists();
}

#[test]
fn a_rejoin_while_typing_is_answered_before_anything_else() {
    let mut world = World::new();
    let old = world.arrive("ada");
    world.typing(old, penholder_hub::Typing::On);
    world.settle();
    // The client of the new membership asserts that its reply comes first.
    let new = world.join(Joining::new(DOC, "ada").replaces(old));
    world.settle();
    assert_eq!(world.events(new), ["phx_reply", "presence_state", "presence_summary"]);
}

#[test]
fn a_leave_is_answered_and_then_the_channel_closes() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.leave(bob);
    let frames = world.take(bob);
    assert_eq!(frames[0].payload, json!({"status": "ok", "response": {}}));
    assert_eq!(frames[1].event, "phx_close");
    assert_eq!(frames[1].join_ref, Some(Ref::counter(bob.0)));
    assert_eq!(frames.len(), 2);
    assert_eq!(world[bob].departed, Some(Departure::Left));
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"], "a clean leave is immediate");
}

#[test]
fn a_leave_without_reference_is_immediate_and_closes_unanswered() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.input(Input::Leave { member: bob, reference: None });
    world.settle();
    assert_eq!(world.events(bob), ["phx_close"]);
    assert_eq!(world[ada].keys(), ["ada"]);
}

#[test]
fn what_names_a_member_that_is_gone_is_ignored() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.leave(bob);
    world.settle();
    world.clear();
    let before = world.outputs;
    world.leave(bob);
    world.lose(bob);
    world.input(Input::Expel(bob));
    world.input(Input::Resync(bob));
    world.input(Input::Tell { member: bob, body: news("bob") });
    world.settle();
    assert_eq!(world.outputs, before, "no output at all");
    assert_eq!(world[ada].keys(), ["ada"]);
}

#[test]
fn what_the_driver_tells_comes_after_the_answer_to_the_join() {
    let mut world = World::new();
    let ada = world.join(Joining::new(DOC, "ada"));
    world.input(Input::Tell { member: ada, body: news("ada") });
    assert_eq!(world.events(ada), ["phx_reply", "token_expiring"]);
}

fn news(key: &str) -> Encoded {
    let payload = Json::of(&json!({ "for": key }));
    let message = encode::Message { topic: DOC, event: "token_expiring", payload: &payload };
    encode::push(Wire::V2, None, &message)
}

#[test]
fn a_kick_closes_the_channel_and_leaves_no_grace() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    let session = world[bob].session();
    world.kick("doc:2", &session);
    assert_eq!(world[bob].departed, None, "another topic's administrator kicks nobody");
    world.kick(DOC, &session);
    assert_eq!(world.events(bob), ["phx_close"]);
    assert_eq!(world[bob].departed, Some(Departure::Expelled));
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    assert_eq!(world.hub.why(&topic(DOC), &session.as_str().into()), None);
}

#[test]
fn a_kick_reaches_a_session_that_waits_to_come_back() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let (session, claim) = (world[bob].session(), world[bob].claim());
    world.lose(bob);
    world.settle();
    world.kick(DOC, &session);
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    let back = world.join(Joining::new(DOC, "bob").resume(claim));
    assert_ne!(world[back].session(), session, "its resume token is worth nothing");
}

#[test]
fn who_loses_its_rights_is_closed_and_gone() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.input(Input::Expel(bob));
    world.settle();
    assert_eq!(world.events(bob), ["phx_close"]);
    assert_eq!(world[bob].departed, Some(Departure::Expelled));
    assert_eq!(world[ada].keys(), ["ada"]);
}

#[test]
fn who_only_receives_is_seen_by_nobody() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    world.clear();
    let ghost = world.join(Joining::new(DOC, "ghost").presence(PresenceMode::Receive));
    world.settle();
    assert_eq!(world.events(ada), [""; 0]);
    assert_eq!(world[ghost].keys(), ["ada"]);
    assert_eq!(world[ghost].reply()["summary"]["count"], 1);
    assert_eq!(world.set_custom(ghost, 1)["response"], json!({"ref": null}));
    world.typing(ghost, penholder_hub::Typing::On);
    world.settle();
    assert_eq!(world.events(ada), [""; 0], "nor does its typing give it away");
    world.arrive("bob");
    assert_eq!(world[ghost].keys(), ["ada", "bob"]);
}

#[test]
fn nothing_remains_after_everybody_has_left() {
    for window in [0, 20] {
        let mut world = World::with(TopicOptions { diff_window_ms: window, ..options() });
        let members: Vec<_> =
            (0..10).map(|i| world.join(Joining::new(&format!("doc:{}", i % 3), "ada"))).collect();
        world.input(Input::Watch { watcher: WatcherId(1), topics: vec![topic(DOC)] });
        world.settle();
        world.typing(members[0], penholder_hub::Typing::On);
        for (i, member) in members.into_iter().enumerate() {
            if i % 2 == 0 { world.leave(member) } else { world.lose(member) }
        }
        world.input(Input::Unwatch(WatcherId(1)));
        world.pass(GRACE_MS);
        assert_eq!(world.hub.census(), Census::default());
        assert_eq!(world.hub.topics(&EVERY_TOPIC), []);
        assert_eq!(world.hub.next_deadline(), None);
    }
}

#[test]
fn a_fresh_token_shows_others_whom_it_names_and_never_another_key() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let viewer = |key: &str, name: &str| Viewer {
        key: key.into(),
        kind: Kind::Human,
        profile: format!(
            r#"{{"id":"{key}","name":"{name}","role":"customer","kind":"human","avatar":null}}"#
        )
        .into(),
    };
    world.input(Input::Identify { member: bob, viewer: viewer("bob", "Robert") });
    world.settle();
    assert_eq!(world[ada].metas("bob")[0]["user"]["name"], "Robert");
    world.input(Input::Identify { member: bob, viewer: viewer("eve", "Eve") });
    world.settle();
    assert_eq!(world[ada].keys(), ["ada", "bob"]);
    assert_eq!(world[ada].metas("bob")[0]["user"]["name"], "Robert");
}
