//! Snapshot, then diffs: in order, whole, shared, and the same each time.

use penholder_hub::{Broadcast, Content, Echo, PresenceChange, Request, TopicOptions};
use penholder_protocol::{Json, PresenceMode};
use serde_json::json;

use crate::harness::{DOC, Joining, WINDOW_MS, World, config, event, options, topic};

fn at_once() -> TopicOptions {
    TopicOptions { diff_window_ms: 0, ..options() }
}

fn ping() -> Broadcast {
    Broadcast { event: event("ping"), payload: Content::Json(Json::empty_object()) }
}

#[test]
fn a_newcomer_gets_the_reply_then_the_snapshot_then_the_summary() {
    for options in [options(), at_once()] {
        let mut world = World::with(options);
        let ada = world.arrive("ada");
        assert_eq!(world.events(ada), ["phx_reply", "presence_state", "presence_summary"]);
        assert_eq!(world[ada].keys(), ["ada"], "one is in one's own snapshot");
        let bob = world.arrive("bob");
        assert_eq!(world.events(bob), ["phx_reply", "presence_state", "presence_summary"]);
        assert_eq!(world.events(ada), ["presence_diff", "presence_summary"]);
        world.assert_folds_equal_lists();
    }
}

#[test]
fn nothing_reaches_a_newcomer_between_its_reply_and_its_snapshot() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    let bob = world.join(Joining::new(DOC, "bob"));
    world.push(ada, Request::Broadcast(ping(), Echo::Others));
    assert_eq!(world.events(bob), ["phx_reply", "presence_state", "presence_summary", "ping"]);
    let eve = world.join(Joining::new(DOC, "eve"));
    world.typing(ada, penholder_hub::Typing::On);
    assert_eq!(world.events(eve), ["phx_reply", "presence_state", "presence_summary", "typing"]);
    world.settle();
    assert_eq!(world.events(eve), ["presence_diff"], "that she types");
    world.assert_folds_equal_lists();
}

#[test]
fn a_window_of_zero_sends_in_the_step_of_the_change() {
    let mut world = World::with(at_once());
    let ada = world.join(Joining::new(DOC, "ada"));
    assert_eq!(world[ada].keys(), ["ada"]);
    let bob = world.join(Joining::new(DOC, "bob"));
    assert_eq!(world[ada].keys(), ["ada", "bob"]);
    world.leave(bob);
    assert_eq!(world[ada].keys(), ["ada"]);
}

#[test]
fn a_change_is_sent_when_the_window_ends_and_not_before() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    world.clear();
    world.join(Joining::new(DOC, "bob"));
    world.pass(WINDOW_MS - 1);
    assert_eq!(world.events(ada), [""; 0]);
    world.pass(1);
    assert_eq!(world.events(ada), ["presence_diff", "presence_summary"]);
}

#[test]
fn a_join_and_its_leave_within_one_window_cancel_out() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    world.clear();
    let bob = world.join(Joining::new(DOC, "bob"));
    world.leave(bob);
    world.settle();
    assert_eq!(world.events(ada), [""; 0], "neither a diff nor a summary");
}

#[test]
fn an_update_is_one_diff() {
    for options in [options(), at_once()] {
        let mut world = World::with(options);
        let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
        world.clear();
        let before = world[ada].metas("bob")[0]["phx_ref"].clone();
        let reply = world.set_custom(bob, 5);
        world.settle();
        for member in [ada, bob] {
            let frames = world.take(member);
            let diffs: Vec<_> = frames.iter().filter(|f| f.event == "presence_diff").collect();
            assert_eq!(diffs.len(), 1);
            let new = &diffs[0].payload["joins"]["bob"]["metas"];
            let old = &diffs[0].payload["leaves"]["bob"]["metas"];
            assert_eq!(new.as_array().map(Vec::len), Some(1));
            assert_eq!(old.as_array().map(Vec::len), Some(1));
            assert_eq!(new[0]["phx_ref_prev"], old[0]["phx_ref"]);
            assert_eq!(old[0]["phx_ref"], before);
            assert_eq!(new[0]["phx_ref"], reply["response"]["ref"]);
            assert_eq!(new[0]["joined_at"], old[0]["joined_at"]);
            assert_eq!(new[0]["n"], json!(5));
        }
        assert_eq!(world[ada].returned, [""; 0]);
        world.assert_folds_equal_lists();
    }
}

#[test]
fn an_update_that_changes_nothing_is_answered_with_the_same_ref_and_no_diff() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    let first = world.set_custom(ada, 5);
    world.settle();
    world.clear();
    assert_eq!(world.set_custom(ada, 5), first);
    assert_eq!(world.update(ada, PresenceChange::default()), first);
    world.settle();
    assert_eq!(world.events(ada), ["phx_reply", "phx_reply"]);
}

#[test]
fn a_meta_is_the_same_text_in_state_and_diff_for_every_receiver() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    world.join(Joining::new(DOC, "bob").custom(r#"{"color":"red"}"#));
    world.settle();
    let eve = world.join(Joining::new(DOC, "eve").v1());
    world.settle();
    assert_eq!(world[ada].metas("bob"), world[eve].metas("bob"), "by diff and by state");
    let meta = world[eve].metas("bob")[0];
    assert_eq!(meta["color"], "red");
    assert_eq!(meta["user"]["name"], "bob");
    assert_eq!(
        (&meta["mode"], &meta["status"], &meta["activity"]),
        (&json!("edit"), &json!("active"), &json!("viewing"))
    );
    assert_eq!((&meta["unsaved"], &meta["idle_since"]), (&json!(false), &json!(null)));
    world.assert_folds_equal_lists();
}

#[test]
fn a_frame_is_encoded_once_and_shared() {
    let mut world = World::new();
    let v2: Vec<_> = ["ada", "bob"].into_iter().map(|key| world.arrive(key)).collect();
    let v1 = ["cid", "dan"].map(|key| world.join(Joining::new(DOC, key).v1()));
    world.settle();
    world.clear();
    world.arrive("eve");
    let diff = |member| {
        let frames = &world[member].frames;
        let diff = frames.iter().find(|frame| frame.event == "presence_diff");
        diff.expect("a diff").body.as_ptr()
    };
    assert_eq!(diff(v2[0]), diff(v2[1]));
    assert_eq!(diff(v1[0]), diff(v1[1]));
    assert_ne!(diff(v1[0]), diff(v2[0]), "one per wire format");
    // Reply; diff per wire; state; summary per wire.
    assert_eq!(world.encoded, 6);
}

#[test]
fn those_who_join_within_one_window_share_one_snapshot() {
    let mut world = World::new();
    let members: Vec<_> =
        (0..300).map(|i| world.join(Joining::new(DOC, &format!("u{i}")))).collect();
    world.settle();
    // 300 replies, one state, one summary; a crowd of 300 adds an own entry for the last 100.
    assert_eq!(world.encoded, 300 + 2 + 100);
    for member in members {
        let frames = world.events(member);
        assert!(frames.len() <= 4, "frames in proportion to the windows: {frames:?}");
    }
}

#[test]
fn joins_over_many_windows_cost_each_client_frames_in_proportion_to_the_windows() {
    let mut world = World::new();
    let first = world.arrive("first");
    world.clear();
    for i in 0..100 {
        world.join(Joining::new(DOC, &format!("u{i}")));
        world.pass(1);
    }
    world.settle();
    let windows = usize::try_from(100 / WINDOW_MS).expect("few") + 1;
    let frames = world.events(first);
    assert!(frames.len() <= 2 * windows, "{} frames in {windows} windows", frames.len());
    world.assert_folds_equal_lists();
}

#[test]
fn who_does_not_want_presence_gets_none() {
    let mut world = World::new();
    let blind = world.join(Joining::new(DOC, "ada").presence(PresenceMode::Off));
    world.arrive("bob");
    assert_eq!(world[blind].reply()["summary"], json!(null));
    assert_eq!(world.events(blind), ["phx_reply"]);
    world.push(blind, Request::Broadcast(ping(), Echo::ToSelf));
    assert_eq!(world.events(blind), ["ping", "phx_reply"], "but all else");
}

#[test]
fn topics_do_not_hear_of_each_other() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    world.clear();
    let bob = world.join(Joining::new("doc:2", "bob"));
    world.settle();
    assert_eq!(world.events(ada), [""; 0]);
    assert_eq!(world[bob].keys(), ["bob"]);
}

#[test]
fn a_namespace_has_options_of_its_own() {
    let mut config = config(options());
    config.namespaces.insert("chat".to_owned(), at_once());
    let mut world = World::of(config);
    let chat = world.join(Joining::new("chat:1", "ada"));
    let doc = world.join(Joining::new(DOC, "ada"));
    assert!(world[chat].state.is_some(), "no window in the namespace chat");
    assert!(world[doc].state.is_none());
    world.settle();
    assert_eq!(world.hub.census().rooms, 2);
}

#[test]
fn the_same_inputs_give_the_same_outputs_byte_for_byte() {
    let run = || {
        let mut world = World::new();
        world.log = Some(Vec::new());
        let ada = world.arrive("ada");
        let bob = world.join(Joining::new(DOC, "bob").v1());
        world.set_custom(ada, 1);
        world.pass(7);
        world.lose(bob);
        world.pass(20_000);
        world.leave(ada);
        world.log.expect("a log")
    };
    assert_eq!(run(), run());
}

#[test]
fn waking_early_or_twice_is_a_no_op() {
    let mut world = World::new();
    world.join(Joining::new(DOC, "ada"));
    let before = world.outputs;
    for _ in 0..3 {
        world.input(penholder_hub::Input::Tick);
    }
    assert_eq!(world.outputs, before);
    world.settle();
    let after = world.outputs;
    world.input(penholder_hub::Input::Tick);
    assert_eq!(world.outputs, after);
}

#[test]
fn nobody_is_told_anything_while_nothing_happens() {
    let mut world = World::new();
    world.arrive("ada");
    world.arrive("bob");
    world.clear();
    world.pass(crate::harness::IDLE_MS - 2 * WINDOW_MS - 1);
    assert!(world.clients.values().all(|client| client.frames.is_empty()));
    let (_, count) = world.hub.presences(&topic(DOC));
    assert_eq!(count, 2);
}
