//! Members that speak as realtime-js does: shown when they ask for it, and with broadcasts of a shape
//! of their own.

use penholder_hub::{Broadcast, Content, Echo, MemberId, PresenceChange, Request, Typing};
use penholder_presence::Activity;
use penholder_protocol::{Json, JsonLimits, PresenceMode};
use serde_json::{Value, json};

use crate::harness::{DOC, Joining, World, event};

fn track(world: &mut World, member: MemberId, meta: &str) -> Value {
    let reply = world.push(member, Request::Track(meta.to_owned().into()));
    assert_eq!(reply["status"], "ok");
    reply["response"]["ref"].clone()
}

fn untrack(world: &mut World, member: MemberId) {
    let reply = world.push(member, Request::Untrack);
    assert_eq!(reply, json!({"status": "ok", "response": {}}));
}

fn realtime(world: &mut World, key: &str) -> MemberId {
    let member = world.join(Joining::new(DOC, key).realtime());
    world.settle();
    member
}

fn moved() -> Broadcast {
    let payload = Json::parse(r#"{"x":1}"#, &JsonLimits::default()).expect("a payload");
    Broadcast { event: event("moved"), payload: Content::Json(payload) }
}

#[test]
fn a_member_is_shown_from_its_track_to_its_untrack() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    assert_eq!((world[ada].keys(), world[bob].keys()), (vec!["ada"], vec!["ada"]));
    let first = track(&mut world, bob, r#"{"n":1}"#);
    world.settle();
    assert_eq!((world[ada].keys(), world[bob].keys()), (vec!["ada", "bob"], vec!["ada", "bob"]));
    let meta = world[ada].metas("bob")[0].clone();
    assert_eq!(
        (&meta["n"], &meta["phx_ref"], &meta["phx_ref_prev"]),
        (&json!(1), &first, &Value::Null)
    );
    assert_eq!(meta["session"], world[bob].reply()["session"]);

    world.clear();
    let second = track(&mut world, bob, r#"{"n":2}"#);
    world.settle();
    assert_eq!(world.events(ada), ["presence_diff"], "one diff, and the summary is what it was");
    let meta = world[ada].metas("bob")[0].clone();
    assert_eq!((&meta["n"], &meta["phx_ref"], &meta["phx_ref_prev"]), (&json!(2), &second, &first));
    assert_eq!(track(&mut world, bob, r#"{"n":2}"#), second);
    world.settle();
    assert_eq!(world.events(ada), [""; 0], "no news");

    untrack(&mut world, bob);
    untrack(&mut world, bob);
    world.settle();
    assert_eq!((world[ada].keys(), world[bob].keys()), (vec!["ada"], vec!["ada"]));
    let third = track(&mut world, bob, "{}");
    world.settle();
    assert_eq!(world[bob].keys(), ["ada", "bob"]);
    assert_ne!(third, second);
    world.assert_folds_equal_lists();
}

#[test]
fn tracking_and_untracking_within_a_window_is_never_seen() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    world.clear();
    track(&mut world, bob, "{}");
    untrack(&mut world, bob);
    world.settle();
    assert_eq!(world.events(ada), [""; 0]);
}

#[test]
fn who_joined_without_presence_gets_it_with_its_track() {
    let mut world = World::new();
    world.arrive("ada");
    let bob = world.join(Joining::new(DOC, "bob").realtime().presence(PresenceMode::Off));
    world.settle();
    assert_eq!(world.events(bob), ["phx_reply"]);
    track(&mut world, bob, "{}");
    world.settle();
    assert_eq!(world.events(bob), ["phx_reply", "presence_state", "presence_summary"]);
    assert_eq!(world[bob].keys(), ["ada", "bob"]);
    untrack(&mut world, bob);
    world.settle();
    assert_eq!(world[bob].keys(), ["ada"], "and keeps it");
}

#[test]
fn a_lost_connection_ends_the_session_that_nobody_can_resume() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    track(&mut world, bob, "{}");
    world.settle();
    world.lose(bob);
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    assert_eq!(world.hub.census().sessions, 1);
}

#[test]
fn the_answer_to_a_join_is_that_of_the_dialect() {
    let mut world = World::new();
    let bob = realtime(&mut world, "bob");
    let reply = world[bob].reply();
    assert_eq!(reply["postgres_changes"], json!([]));
    assert_eq!((&reply["key"], reply.get("resume")), (&json!("bob"), None));
}

#[test]
fn a_broadcast_comes_to_each_in_its_dialect_encoded_once() {
    let mut world = World::new();
    let plain = [world.arrive("ada"), world.arrive("bob")];
    let old = world.join(Joining::new(DOC, "cid").v1());
    let realtimes = [realtime(&mut world, "dan"), realtime(&mut world, "eve")];
    let old_realtime = world.join(Joining::new(DOC, "fay").realtime().v1());
    world.settle();
    world.clear();
    world.push(realtimes[0], Request::Broadcast(moved(), Echo::ToSelf));
    assert_eq!(world.encoded, 5, "an answer, and two dialects over two wires");
    let frame = |member: MemberId| {
        let told = world[member].frames.iter().find(|frame| frame.event != "phx_reply");
        told.expect("everybody is told").clone()
    };
    for member in [plain[0], plain[1], old] {
        let frame = frame(member);
        assert_eq!((&*frame.event, frame.payload), ("moved", json!({"x": 1})));
    }
    for member in [realtimes[0], realtimes[1], old_realtime] {
        let frame = frame(member);
        let wrapped = json!({"type": "broadcast", "event": "moved", "payload": {"x": 1}});
        assert_eq!((&*frame.event, frame.payload), ("broadcast", wrapped));
        assert_eq!((frame.join_ref, frame.reference), (None, None));
    }
    assert_eq!(frame(plain[0]).body.as_ptr(), frame(plain[1]).body.as_ptr());
    assert_eq!(frame(realtimes[0]).body.as_ptr(), frame(realtimes[1]).body.as_ptr());
}

#[test]
fn bytes_come_to_each_in_its_dialect() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    let old = world.join(Joining::new(DOC, "cid").realtime().v1());
    world.settle();
    for sender in [ada, bob] {
        world.clear();
        let payload = Content::Binary(vec![0, 255, 7].into());
        let broadcast = Broadcast { event: event("blob"), payload };
        world.push(sender, Request::Broadcast(broadcast, Echo::ToSelf));
        let told = |member: MemberId| {
            let mut frames = world[member].frames.iter();
            frames.find(|frame| frame.event != "phx_reply").cloned()
        };
        let plain = told(ada).expect("who speaks V2 is told");
        assert_eq!((&*plain.event, plain.data.as_deref()), ("blob", Some(&[0, 255, 7][..])));
        let wrapped = told(bob).expect("who speaks V2 is told");
        assert_eq!(wrapped.payload, json!({"type": "broadcast", "event": "blob"}));
        assert_eq!(wrapped.data.as_deref(), Some(&[0, 255, 7][..]));
        assert!(told(old).is_none(), "V1 has no binary frames");
    }
}

#[test]
fn what_the_server_says_is_the_same_in_all_dialects() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let dan = realtime(&mut world, "dan");
    world.clear();
    world.typing(ada, Typing::On);
    world.settle();
    for (of_bob, of_dan) in world[bob].frames.iter().zip(&world[dan].frames) {
        assert_eq!(of_bob.body.as_ptr(), of_dan.body.as_ptr(), "{}", of_bob.event);
    }
    assert_eq!(world.events(dan), ["typing", "presence_diff"]);
}

#[test]
fn typing_is_told_of_those_who_are_shown_only() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    world.typing(bob, Typing::On);
    track(&mut world, bob, "{}");
    world.settle();
    assert!(!world.events(ada).contains(&"typing".to_owned()));
    assert_eq!(world[ada].metas("bob")[0]["activity"], "viewing", "nobody would hear of its end");

    world.typing(bob, Typing::On);
    world.settle();
    world.clear();
    untrack(&mut world, bob);
    world.settle();
    let told: Vec<_> = world.take(ada).into_iter().map(|it| (it.event, it.payload)).collect();
    assert_eq!((&*told[0].0, &told[0].1["on"]), ("typing", &json!(false)));
    assert_eq!(told[1].0, "presence_diff");
}

#[test]
fn what_was_said_while_hidden_shows_with_the_track() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), realtime(&mut world, "bob"));
    world.clear();
    let change = PresenceChange { activity: Some(Activity::Editing), ..PresenceChange::default() };
    let reply = world.update(bob, change);
    assert_eq!(reply["response"], json!({"ref": null}));
    world.settle();
    assert_eq!(world.events(ada), [""; 0]);
    track(&mut world, bob, "{}");
    world.settle();
    assert_eq!(world[ada].metas("bob")[0]["activity"], "editing");
}
