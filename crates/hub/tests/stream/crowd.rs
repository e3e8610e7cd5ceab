//! Topics with more people than are shown.

use penholder_hub::{MemberId, PresenceChange, TopicOptions};
use penholder_presence::Activity;

use crate::harness::{DOC, Joining, World, options};

/// A topic that shows three people, and these people on it.
fn crowd<const N: usize>(keys: [&str; N]) -> (World, [MemberId; N]) {
    let mut world = World::with(TopicOptions { full_max: 3, ..options() });
    let members = keys.map(|key| {
        world.pass(1);
        world.arrive(key)
    });
    (world, members)
}

fn edits(world: &mut World, member: MemberId) {
    let activity = Some(Activity::Editing);
    world.update(member, PresenceChange { activity, ..Default::default() });
    world.settle();
}

fn last_summary(world: &World, member: MemberId) -> serde_json::Value {
    let frames = &world[member].frames;
    let summary = frames.iter().rfind(|frame| frame.event == "presence_summary");
    summary.expect("a summary").payload.clone()
}

#[test]
fn nobodys_screen_is_emptied_one_past_the_bound() {
    let (mut world, [a, b, c]) = crowd(["a", "b", "c"]);
    assert_eq!(last_summary(&world, a)["full"], true);
    world.assert_folds_equal_lists();
    world.clear();
    let d = world.arrive("d");
    for member in [a, b, c] {
        assert_eq!(world[member].keys(), ["a", "b", "c"]);
        assert_eq!(world.events(member), ["presence_summary"], "who is shown has not changed");
    }
    let summary = last_summary(&world, d);
    assert_eq!((&summary["full"], &summary["count"]), (&false.into(), &4.into()));
    assert_eq!(world[d].keys(), ["a", "b", "c", "d"], "oneself one always sees");
}

#[test]
fn the_next_in_line_moves_up_when_somebody_leaves() {
    let (mut world, [a, b, c, d, e]) = crowd(["a", "b", "c", "d", "e"]);
    world.leave(a);
    world.settle();
    assert_eq!(world[b].keys(), ["b", "c", "d"]);
    assert_eq!(world[d].keys(), ["b", "c", "d"], "its own entry came once, and stays");
    assert_eq!(world[e].keys(), ["b", "c", "d", "e"]);
    world.leave(c);
    world.settle();
    world.assert_folds_equal_lists();
    assert_eq!(last_summary(&world, e)["full"], true);
}

#[test]
fn own_updates_are_seen_beyond_the_bound() {
    let (mut world, [a, .., e]) = crowd(["a", "b", "c", "d", "e"]);
    world.clear();
    world.set_custom(e, 9);
    world.settle();
    assert_eq!(world[e].metas("e")[0]["n"], 9);
    assert_eq!(world.events(e), ["phx_reply", "presence_diff"]);
    assert_eq!(world.events(a), [""; 0]);
}

#[test]
fn own_entries_are_all_of_ones_sessions() {
    let (mut world, [.., d]) = crowd(["a", "b", "c", "d"]);
    let tab = world.arrive("d");
    assert_eq!(world[d].metas("d").len(), 2);
    assert_eq!(world[tab].metas("d").len(), 2);
    world.leave(tab);
    world.settle();
    assert_eq!(world[d].metas("d").len(), 1);
}

#[test]
fn demotion_never_loses_ones_own_entry() {
    // A session that is resumed keeps its place, and so pushes somebody out of the first three.
    let (mut world, [a, b, c, d]) = crowd(["a", "b", "c", "d"]);
    let claim = world[a].claim();
    let hidden = Joining::new(DOC, "a").resume(claim).replaces(a);
    let hidden = world.join(hidden.presence(penholder_protocol::PresenceMode::Receive));
    world.settle();
    assert_eq!(world[b].keys(), ["b", "c", "d"], "d has moved up");
    world.join(Joining::new(DOC, "e"));
    world.settle();
    let claim = world[hidden].claim();
    world.join(Joining::new(DOC, "a").resume(claim).replaces(hidden));
    world.settle();
    assert_eq!(world[c].keys(), ["a", "b", "c"]);
    assert_eq!(world[d].keys(), ["a", "b", "c", "d"]);
}

#[test]
fn an_update_does_not_cost_ones_place_in_a_crowd() {
    // All in one millisecond, as after a restart.
    let mut world = World::with(TopicOptions { full_max: 3, ..options() });
    let [a, b, .., e] = ["a", "b", "c", "d", "e"].map(|key| world.join(Joining::new(DOC, key)));
    world.settle();
    assert_eq!(world[e].keys(), ["a", "b", "c", "e"]);
    world.set_custom(a, 1);
    world.settle();
    assert_eq!(world[b].keys(), ["a", "b", "c"]);
    assert_eq!(world[b].metas("a")[0]["n"], 1);
}

#[test]
fn who_edits_is_shown_beyond_the_bound() {
    let (mut world, [a, .., d, e]) = crowd(["a", "b", "c", "d", "e"]);
    edits(&mut world, e);
    assert_eq!(world[a].keys(), ["a", "b", "c", "e"]);
    assert_eq!(world[d].keys(), ["a", "b", "c", "d", "e"]);
    assert_eq!(world[e].keys(), ["a", "b", "c", "e"], "its own entry does not come twice");
    let activity = Some(Activity::Viewing);
    world.update(e, PresenceChange { activity, ..Default::default() });
    world.settle();
    assert_eq!(world[a].keys(), ["a", "b", "c"]);
    assert_eq!(world[e].keys(), ["a", "b", "c", "e"]);
}

#[test]
fn no_more_editors_than_the_bound_are_shown_beyond_it() {
    let (mut world, members) = crowd(["a", "b", "c", "d", "e", "f", "g"]);
    for member in &members[3..] {
        edits(&mut world, *member);
    }
    assert_eq!(world[members[0]].keys(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(world[members[6]].keys(), ["a", "b", "c", "d", "e", "f", "g"]);
    world.leave(members[4]);
    world.settle();
    assert_eq!(world[members[0]].keys(), ["a", "b", "c", "d", "f", "g"]);
}

#[test]
fn a_diff_is_shared_by_those_beyond_the_bound_too() {
    let (mut world, [a, .., d, e]) = crowd(["a", "b", "c", "d", "e"]);
    world.clear();
    world.set_custom(a, 1);
    world.settle();
    let diff = |member: MemberId| {
        let diff = world[member].frames.iter().find(|frame| frame.event == "presence_diff");
        diff.expect("a diff").body.as_ptr()
    };
    assert_eq!(diff(a), diff(d));
    assert_eq!(diff(a), diff(e));
}

#[test]
fn a_snapshot_is_shared_by_those_beyond_the_bound_too() {
    let (mut world, [..]) = crowd(["a", "b", "c"]);
    let [x, y] = ["x", "y"].map(|key| world.join(Joining::new(DOC, key)));
    world.settle();
    let state = |member: MemberId| {
        let state = world[member].frames.iter().find(|frame| frame.event == "presence_state");
        state.expect("a state").body.as_ptr()
    };
    assert_eq!(state(x), state(y));
    assert_eq!(world[x].keys(), ["a", "b", "c", "x"]);
    assert_eq!(world[y].keys(), ["a", "b", "c", "y"]);
}

#[test]
fn nothing_is_sent_to_a_crowd_while_nothing_changes() {
    let (mut world, [.., e]) = crowd(["a", "b", "c", "d", "e"]);
    world.clear();
    world.set_custom(e, 1);
    world.settle();
    world.clear();
    world.pass(1000);
    assert!(world.clients.values().all(|client| client.frames.is_empty()));
}

#[test]
fn a_crowds_summary_names_the_first_and_counts_all() {
    let mut world = World::with(TopicOptions { full_max: 30, ..options() });
    let first = world.arrive("u000");
    for i in 1..30 {
        world.pass(1);
        world.join(Joining::new(DOC, &format!("u{i:03}")));
    }
    world.settle();
    assert_eq!(last_summary(&world, first)["presences"].as_array().map(Vec::len), Some(30));
    world.join(Joining::new(DOC, "u030"));
    world.settle();
    let summary = last_summary(&world, first);
    assert_eq!(summary["presences"].as_array().map(Vec::len), Some(20));
    assert_eq!(summary["count"], 31);
}

#[test]
fn a_join_reply_in_a_crowd_knows_the_first_and_oneself() {
    let (mut world, [a, _, _]) = crowd(["a", "b", "c"]);
    let joiners = ["d", "e", "a"].map(|key| world.join(Joining::new(DOC, key)));
    let [d, e, second] = joiners;
    for (member, key, count) in [(d, "d", 4), (e, "e", 5), (second, "a", 5)] {
        let summary = &world[member].reply()["summary"];
        assert_eq!(summary["prior_user_presence"]["key"], "a");
        assert_eq!(summary["current_user_presence"]["key"], key);
        assert_eq!(summary["count"], count, "{key}");
        assert_eq!(summary["has_presence_edit_priority"], false);
    }
    let own = &world[second].reply()["summary"];
    assert_eq!(own["current_user_presence"]["active_sessions"], 2);
    assert_eq!(own["priority_in_session"], world[a].session());
}

#[test]
fn who_joins_a_crowd_of_viewers_comes_first() {
    let mut world = World::with(TopicOptions { full_max: 1, ..options() });
    for key in ["a", "b"] {
        world.join(Joining::new(DOC, key).view());
        world.settle();
    }
    let editor = world.join(Joining::new(DOC, "c"));
    let summary = &world[editor].reply()["summary"];
    assert_eq!(summary["prior_user_presence"]["key"], "c");
    assert_eq!(summary["prior_session"], world[editor].session());
    assert_eq!(summary["has_presence_edit_priority"], true);
}
