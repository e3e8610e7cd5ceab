//! Broadcasts: to whom, in which format, and in which order.

use penholder_hub::{Broadcast, Content, Echo, Input, MemberId, Request};
use penholder_protocol::{Json, JsonLimits, PresenceMode};
use serde_json::json;

use crate::harness::{DOC, Joining, World, event, topic};

fn text(json: &str) -> Broadcast {
    let payload = Json::parse(json, &JsonLimits::default()).expect("a payload");
    Broadcast { event: event("cursor"), payload: Content::Json(payload) }
}

fn cursors(world: &mut World, member: MemberId) -> usize {
    world.events(member).iter().filter(|event| *event == "cursor").count()
}

#[test]
fn a_broadcast_reaches_the_others_and_oneself_only_when_asked() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let cid = world.join(Joining::new(DOC, "cid").v1());
    let blind = world.join(Joining::new(DOC, "dan").presence(PresenceMode::Off));
    let far = world.join(Joining::new("doc:2", "eve"));
    for (echo, own) in [(Echo::Others, 0), (Echo::ToSelf, 1)] {
        world.settle();
        world.clear();
        let reply = world.push(ada, Request::Broadcast(text(r#"{"x":1}"#), echo));
        assert_eq!(reply, json!({"status": "ok", "response": {}}));
        let frame = world[bob].frames[0].clone();
        assert_eq!((frame.payload, frame.join_ref, frame.reference), (json!({"x": 1}), None, None));
        assert_eq!(world[bob].frames[0].body.as_ptr(), world[blind].frames[0].body.as_ptr());
        let received = [ada, bob, cid, blind, far].map(|member| cursors(&mut world, member));
        assert_eq!(received, [own, 1, 1, 1, 0]);
    }
}

#[test]
fn a_binary_broadcast_reaches_those_who_speak_v2() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let old = world.join(Joining::new(DOC, "cid").v1());
    world.settle();
    world.clear();
    let payload = Content::Binary(vec![0, 255, 7].into());
    let broadcast = Broadcast { event: event("cursor"), payload };
    world.push(ada, Request::Broadcast(broadcast, Echo::Others));
    let frame = &world[bob].frames[0];
    assert_eq!(frame.event, "cursor");
    assert_eq!(frame.data.as_deref(), Some(&[0, 255, 7][..]));
    assert_eq!(cursors(&mut world, old), 0);
}

#[test]
fn what_is_published_from_outside_reaches_everybody_on_the_topic() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.input(Input::Publish { topic: topic(DOC), broadcast: text("{}") });
    assert_eq!((cursors(&mut world, ada), cursors(&mut world, bob)), (1, 1));
    let before = world.outputs;
    world.input(Input::Publish { topic: topic("doc:2"), broadcast: text("{}") });
    assert_eq!(world.outputs, before, "nobody is there");
}

#[test]
fn broadcasts_of_one_sender_arrive_in_order() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    for x in 0..10 {
        world.push(ada, Request::Broadcast(text(&format!(r#"{{"x":{x}}}"#)), Echo::Others));
    }
    let received: Vec<_> =
        world.take(bob).into_iter().map(|frame| frame.payload["x"].as_u64()).collect();
    assert_eq!(received, (0..10).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_push_without_reference_is_done_and_not_answered() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    let request = Request::Broadcast(text("{}"), Echo::Others);
    world.input(Input::Push(penholder_hub::Push { member: ada, reference: None, request }));
    assert_eq!(world.events(ada), [""; 0]);
    assert_eq!(cursors(&mut world, bob), 1);
}
