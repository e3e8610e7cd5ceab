//! Slow observers behind a bounded queue, end to end.

use penholder_hub::{Broadcast, Content, Echo, QueueLimits, Request, TopicOptions};
use penholder_protocol::Json;

use crate::harness::{DOC, Joining, World, event, options};

const FEW: QueueLimits = QueueLimits { frames_max: 6, bytes_max: 1 << 20 };

fn at_once() -> World {
    World::with(TopicOptions { diff_window_ms: 0, ..options() })
}

#[test]
fn a_slow_observer_loses_presence_and_gets_it_back_whole() {
    let mut world = at_once();
    let (slow, bob) = (world.arrive("slow"), world.arrive("bob"));
    world.slow_down(slow, FEW);
    for n in 0..20 {
        world.set_custom(bob, n);
    }
    let cid = world.arrive("cid");
    world.leave(bob);
    // As it reads, the shard is asked for a snapshot, which it then reads too.
    world.catch_up(slow);
    assert!(!world[slow].overflowed);
    assert_eq!(world[slow].keys(), ["cid", "slow"]);
    world.leave(cid);
    world.catch_up(slow);
    assert_eq!(world[slow].keys(), ["slow"]);
    world.assert_folds_equal_lists();
}

#[test]
fn what_must_arrive_arrives_between_lost_presence() {
    let mut world = at_once();
    let (slow, bob) = (world.arrive("slow"), world.arrive("bob"));
    world.slow_down(slow, FEW);
    for n in 0..6 {
        world.set_custom(bob, n);
        let payload = Content::Json(Json::empty_object());
        let broadcast = Broadcast { event: event("ping"), payload };
        world.push(bob, Request::Broadcast(broadcast, Echo::Others));
    }
    world.clients.get_mut(&slow).expect("a client").frames.clear();
    world.catch_up(slow);
    let events = world.events(slow);
    assert_eq!(events.iter().filter(|event| *event == "ping").count(), 6, "{events:?}");
    world.assert_folds_equal_lists();
}

#[test]
fn a_frame_that_must_arrive_and_finds_no_room_overflows() {
    let mut world = at_once();
    let (slow, bob) = (world.arrive("slow"), world.arrive("bob"));
    world.slow_down(slow, FEW);
    for sent in 0..7 {
        assert!(!world[slow].overflowed, "after {sent}");
        let payload = Content::Json(Json::empty_object());
        let broadcast = Broadcast { event: event("ping"), payload };
        world.push(bob, Request::Broadcast(broadcast, Echo::Others));
    }
    assert!(world[slow].overflowed);
}

#[test]
fn a_topic_larger_than_the_queue_still_reaches_a_client_and_then_is_quiet() {
    for full_max in [200, 10] {
        let mut world = World::with(TopicOptions { diff_window_ms: 0, full_max, ..options() });
        for i in 0..50 {
            world.join(Joining::new(DOC, &format!("u{i}")).custom(r#"{"text":"long enough"}"#));
        }
        let slow = world.arrive("slow");
        world.slow_down(slow, QueueLimits { frames_max: 512, bytes_max: 2048 });
        world.input(penholder_hub::Input::Resync(slow));
        assert!(world.catch_up(slow) <= 3, "one repair");
        assert!(world[slow].keys().contains(&"slow"));
        if full_max == 200 {
            world.assert_folds_equal_lists();
        }
        assert_eq!(world.catch_up(slow), 0, "nothing more is asked for");
    }
}

#[test]
fn a_resync_of_one_is_seen_by_nobody_else() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    world.input(penholder_hub::Input::Resync(bob));
    world.settle();
    assert_eq!(world.events(bob), ["presence_state", "presence_summary"]);
    assert_eq!(world.events(ada), [""; 0]);
}
