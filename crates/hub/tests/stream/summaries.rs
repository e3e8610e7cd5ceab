//! Summaries of a topic for those on it, and rows for those who watch from outside.

use penholder_hub::{Input, InputSeen, PresenceChange, TopicsQuery, WatcherId};
use penholder_protocol::PresenceMode;
use serde_json::json;

use crate::harness::{DOC, EVERY_TOPIC, GRACE_MS, Joining, World, topic};

const LIST: WatcherId = WatcherId(1);
const OTHER: WatcherId = WatcherId(2);

fn watch(world: &mut World, watcher: WatcherId, topics: &[&str]) {
    let topics = topics.iter().map(|name| topic(name)).collect();
    world.input(Input::Watch { watcher, topics });
}

fn counts(world: &mut World, watcher: WatcherId) -> Vec<u64> {
    let rows = std::mem::take(&mut world.rows);
    let (own, others) = rows.into_iter().partition::<Vec<_>, _>(|(of, _)| *of == watcher);
    world.rows = others;
    own.into_iter().map(|(_, row)| row.count).collect()
}

#[test]
fn a_summary_is_sent_when_it_has_changed_and_to_newcomers_always() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.set_custom(bob, 1);
    world.settle();
    assert_eq!(world.events(ada), ["presence_diff"], "a meta of one's own is in no summary");
    let ghost = world.join(Joining::new(DOC, "cid").presence(PresenceMode::Receive));
    world.settle();
    assert_eq!(world.events(ada), [""; 0]);
    assert_eq!(world.events(ghost), ["phx_reply", "presence_state", "presence_summary"]);
}

#[test]
fn priority_passes_on_when_the_prior_person_leaves() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    let viewer = world.join(Joining::new(DOC, "bob").view());
    world.settle();
    let cid = world.arrive("cid");
    let prior = |world: &World| {
        let frames = &world[cid].frames;
        let summary = frames.iter().rfind(|frame| frame.event == "presence_summary");
        summary.expect("a summary").payload.clone()
    };
    let summary = prior(&world);
    assert_eq!(summary["prior_user_presence"]["key"], "ada");
    assert_eq!(summary["prior_session"], world[ada].session());
    assert_eq!((&summary["count"], &summary["full"]), (&json!(3), &json!(true)));
    assert_eq!(summary["certainty"], "confirmed");
    world.leave(ada);
    world.settle();
    let summary = prior(&world);
    assert_eq!(summary["prior_user_presence"]["key"], "cid", "who only views is passed over");
    world.leave(viewer);
    world.settle();
    assert!(world.summary(Some("cid")).has_presence_edit_priority);
    assert!(!world.summary(Some("bob")).has_presence_edit_priority);
    assert!(!world.summary(None).has_presence_edit_priority);
}

#[test]
fn a_watcher_gets_the_first_row_and_then_changed_ones_only() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    watch(&mut world, LIST, &[DOC, "doc:2"]);
    assert_eq!(counts(&mut world, LIST), [1, 0]);
    world.set_custom(ada, 1);
    world.input(Input::Resync(ada));
    world.settle();
    assert_eq!(counts(&mut world, LIST), [0; 0], "a row does not show metas");
    let bob = world.arrive("bob");
    assert_eq!(counts(&mut world, LIST), [2]);
    world.lose(bob);
    world.pass(GRACE_MS / 2);
    assert_eq!(counts(&mut world, LIST), [0; 0], "a row does not show statuses");
    world.pass(GRACE_MS);
    assert_eq!(counts(&mut world, LIST), [1]);
}

#[test]
fn a_topic_without_members_is_watched_all_the_same() {
    let mut world = World::new();
    watch(&mut world, LIST, &[DOC]);
    assert_eq!(counts(&mut world, LIST), [0]);
    let ada = world.arrive("ada");
    assert_eq!(counts(&mut world, LIST), [1]);
    world.leave(ada);
    world.settle();
    assert_eq!(counts(&mut world, LIST), [0]);
}

#[test]
fn who_watches_in_the_middle_of_a_window_gets_no_row_twice() {
    let mut world = World::new();
    world.arrive("ada");
    watch(&mut world, LIST, &[DOC]);
    world.join(Joining::new(DOC, "bob"));
    watch(&mut world, OTHER, &[DOC]);
    world.settle();
    assert_eq!(counts(&mut world, LIST), [1, 2]);
    let other = counts(&mut world, OTHER);
    assert!(other == [2] || other == [1, 2], "{other:?}");
}

#[test]
fn who_no_longer_watches_gets_nothing() {
    let mut world = World::new();
    watch(&mut world, LIST, &[DOC]);
    watch(&mut world, OTHER, &[DOC]);
    world.input(Input::Unwatch(LIST));
    world.rows.clear();
    world.arrive("ada");
    assert_eq!(counts(&mut world, LIST), [0; 0]);
    assert_eq!(counts(&mut world, OTHER), [1]);
}

#[test]
fn a_row_names_the_first_three_and_who_comes_first() {
    let mut world = World::new();
    for key in ["ada", "bob", "cid", "dan"] {
        world.pass(1);
        world.arrive(key);
    }
    let row = world.hub.row(&topic(DOC));
    assert_eq!(
        (row.count, row.names.as_slice()),
        (4, &["ada", "bob", "cid"].map(String::from)[..])
    );
    assert_eq!(row.prior.map(|prior| prior.id).as_deref(), Some("ada"));
}

#[test]
fn topics_are_paged_in_order_of_name() {
    let mut world = World::new();
    for name in ["chat:1", "doc:1", "doc:2", "doc:3"] {
        world.join(Joining::new(name, "ada"));
    }
    world.join(Joining::new("doc:2", "bob"));
    let page = |prefix, after, limit| {
        let query = TopicsQuery { prefix, after, limit, ..EVERY_TOPIC };
        let topics = world.hub.topics(&query).into_iter();
        topics.map(|topic| (topic.topic, topic.count)).collect::<Vec<_>>()
    };
    let named = |topics: &[(&str, u64)]| {
        topics.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(page("doc:", "", 2), named(&[("doc:1", 1), ("doc:2", 2)]));
    assert_eq!(page("doc:", "doc:2", 2), named(&[("doc:3", 1)]));
    assert_eq!(page("doc:", "doc:3", 2), []);
    assert_eq!(page("", "", 9).len(), 4);
    let may_view = |name: &penholder_protocol::TopicName| name.as_str() != "doc:1";
    let query = TopicsQuery { prefix: "doc:", limit: 1, may_view: &may_view, ..EVERY_TOPIC };
    let seen = world.hub.topics(&query);
    assert_eq!(seen[0].topic, "doc:2", "what one may not view fills no page");
}

#[test]
fn a_status_is_news_in_a_summary() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.update(bob, PresenceChange { visible: Some(false), ..Default::default() });
    world.settle();
    assert_eq!(world.events(ada), ["presence_diff", "presence_summary"]);
    world.update(bob, PresenceChange { input: Some(InputSeen), ..Default::default() });
    world.settle();
    assert_eq!(world.events(ada), [""; 0], "hidden it stays, whatever the input");
}
