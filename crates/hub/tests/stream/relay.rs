//! Events between two replicas of one shard: who is told, how often, and in which order.

use bytes::Bytes;
use penholder_hub::{
    Broadcast, Content, Departure, Echo, Input, MemberId, News, PenAsk, PenRequest, PenTask,
    Request, Typing,
};
use penholder_presence::{Recipient, SessionId};
use penholder_protocol::{Json, JsonLimits, Status};
use serde_json::json;

use crate::harness::{DOC, Joining, World, event, topic};
use crate::pens::{Store, acquire, arrive, ask, kinds, serve};
use crate::replicas::{AGREED_MS, pair, pass};

fn say(world: &mut World, member: MemberId, n: u64) {
    let payload = Json::parse(format!(r#"{{"n":{n}}}"#), &JsonLimits::default());
    let broadcast =
        Broadcast { event: event("cursor"), payload: Content::Json(payload.expect("JSON")) };
    world.push(member, Request::Broadcast(broadcast, Echo::Others));
}

/// What there is of `n` in the cursors that a client was told of.
fn heard(world: &mut World, member: MemberId) -> Vec<u64> {
    let frames = world.take(member).into_iter().filter(|frame| frame.event == "cursor");
    frames.map(|frame| frame.payload["n"].as_u64().expect("a number")).collect()
}

/// Takes what a world passes on, and to whom.
fn passed(world: &mut World) -> Vec<(Recipient, Bytes)> {
    std::mem::take(&mut world.relayed)
}

/// Hands over what a world passes on, and tells how much that was.
fn carry(worlds: &mut [World; 2], from: usize) -> usize {
    let messages = passed(&mut worlds[from]);
    for (_, message) in &messages {
        worlds[1 - from].input(Input::Relayed(message.clone()));
    }
    messages.len()
}

/// Ada on the first replica, bob on the second, who know each other.
fn met() -> ([World; 2], MemberId, MemberId) {
    let mut worlds = pair();
    let (ada, bob) = (worlds[0].arrive("ada"), worlds[1].arrive("bob"));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(World::clear);
    (worlds, ada, bob)
}

#[test]
fn a_broadcast_and_typing_reach_the_members_of_the_other_replica() {
    let (mut worlds, ada, bob) = met();
    say(&mut worlds[0], ada, 1);
    worlds[0].typing(ada, Typing::On);
    let binary = Content::Binary(vec![0, 255].into());
    let binary = Broadcast { event: event("ink"), payload: binary };
    worlds[0].input(Input::Publish { topic: topic(DOC), broadcast: binary });
    assert_eq!(carry(&mut worlds, 0), 3);
    let told = worlds[1].take(bob);
    let events: Vec<_> = told.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(events, ["cursor", "typing", "ink"]);
    assert_eq!(told[0].payload, json!({"n": 1}));
    let session = worlds[0][ada].session();
    assert_eq!(told[1].payload, json!({"key": "ada", "session": session, "on": true}));
    assert_eq!(told[2].data.as_deref(), Some(&[0, 255][..]));
    assert_eq!(passed(&mut worlds[1]), [], "nobody passes on what was passed on");
}

#[test]
fn an_event_does_not_come_back() {
    let (mut worlds, ada, _) = met();
    say(&mut worlds[0], ada, 1);
    let (_, message) = worlds[0].relayed.remove(0);
    worlds[0].clear();
    worlds[0].input(Input::Relayed(message));
    assert!(heard(&mut worlds[0], ada).is_empty());
}

#[test]
fn what_a_bus_repeats_or_holds_back_is_told_once_and_in_order() {
    let (mut worlds, ada, bob) = met();
    for n in 1..=3 {
        say(&mut worlds[0], ada, n);
    }
    let said = passed(&mut worlds[0]);
    for at in [0, 0, 2, 1, 2, 0] {
        worlds[1].input(Input::Relayed(said[at].1.clone()));
    }
    assert_eq!(heard(&mut worlds[1], bob), [1, 3]);
}

#[test]
fn a_newcomer_has_its_snapshot_before_a_relayed_event() {
    let (mut worlds, ada, _) = met();
    let cid = worlds[1].join(Joining::new(DOC, "cid"));
    say(&mut worlds[0], ada, 1);
    carry(&mut worlds, 0);
    let events = worlds[1].events(cid);
    assert_eq!(events, ["phx_reply", "presence_state", "presence_summary", "cursor"]);
}

#[test]
fn who_is_alone_passes_nothing_on() {
    let mut world = World::new();
    let ada = world.arrive("ada");
    say(&mut world, ada, 1);
    world.typing(ada, Typing::On);
    world.kick(DOC, "nobody");
    assert_eq!(world.relayed, []);
}

#[test]
fn what_cannot_be_read_is_counted_and_ignored() {
    let (mut worlds, ada, bob) = met();
    say(&mut worlds[0], ada, 1);
    let (_, message) = worlds[0].relayed.remove(0);
    let mut later = message.to_vec();
    later[0] += 1;
    let long = vec![1; 1 << 20];
    for unread in [later, message[..message.len() - 1].to_vec(), Vec::new(), long] {
        worlds[1].input(Input::Relayed(unread.into()));
    }
    assert_eq!(worlds[1].hub.tally().unread, 4);
    assert!(heard(&mut worlds[1], bob).is_empty());
    worlds[1].input(Input::Relayed(message));
    assert_eq!(heard(&mut worlds[1], bob), [1]);
}

#[test]
fn nobody_is_told_by_its_old_replica_that_a_session_types_no_more() {
    let (mut worlds, ada, _) = met();
    worlds[0].typing(ada, Typing::On);
    pass(&mut worlds, AGREED_MS);
    let claim = worlds[0][ada].claim();
    worlds[1].join(Joining::new(DOC, "ada").resume(claim));
    passed(&mut worlds[0]);
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[0].hub.census().sessions, 0, "it has been let go");
    assert_eq!(passed(&mut worlds[0]), []);
}

#[test]
fn a_session_of_another_replica_is_removed_there() {
    let (mut worlds, ada, bob) = met();
    let session = worlds[0][ada].session();
    worlds[1].kick(DOC, &session);
    let asked: Vec<_> = worlds[1].relayed.iter().map(|(to, _)| to.clone()).collect();
    assert_eq!(asked, [Recipient::One("one.0".into())]);
    carry(&mut worlds, 1);
    assert_eq!(worlds[0][ada].departed, Some(Departure::Expelled));
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[1][bob].keys(), ["bob"]);
    // Nobody knows where it is any more, and nobody is asked.
    worlds[1].kick(DOC, &session);
    assert_eq!(worlds[1].relayed, []);
}

#[test]
fn why_tells_of_a_session_elsewhere_what_presence_says() {
    let (mut worlds, ada, _) = met();
    let session = SessionId::from(worlds[0][ada].session());
    let own = worlds[0].hub.why(&topic(DOC), &session).expect("its own");
    assert_eq!(own.connection.map(|connection| connection.member), Some(Some(ada)));
    let told = worlds[1].hub.why(&topic(DOC), &session).expect("shown here, too");
    assert_eq!((told.replica.as_str(), told.key.as_str()), ("one.0", "ada"));
    assert_eq!((told.connection, told.status, told.mode), (None, Status::Active, own.mode));
    worlds[0].leave(ada);
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[1].hub.why(&topic(DOC), &session), None);
}

/// As [`met`], with a store that both ask.
fn met_at_pens() -> ([World; 2], Store, [MemberId; 2]) {
    let (mut worlds, mut store) = (pair(), Store::default());
    let ada = arrive(&mut worlds[0], &mut store, "ada");
    let bob = arrive(&mut worlds[1], &mut store, "bob");
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(World::clear);
    (worlds, store, [ada, bob])
}

#[test]
fn what_happened_to_a_pen_is_told_on_the_other_replica_and_an_older_event_is_not() {
    let (mut worlds, mut store, [ada, bob]) = met_at_pens();
    ask(&mut worlds[0], ada, acquire());
    serve(&mut worlds[0], &mut store);
    let granted = passed(&mut worlds[0]);
    assert_eq!(granted.len(), 1);
    // The other replica has written something later, and told it already.
    worlds[1].input(Input::Relayed(granted[0].1.clone()));
    ask(&mut worlds[1], bob, PenRequest::Request { reason: None });
    serve(&mut worlds[1], &mut store);
    let told = [(1, "granted".to_owned()), (2, "requested".to_owned())];
    assert_eq!(kinds(&worlds[1], bob), told);
    assert_eq!(worlds[1].hub.row(&topic(DOC)).holder.unwrap().id, "ada");
    carry(&mut worlds, 1);
    assert_eq!(kinds(&worlds[0], ada), told, "the holder hears that somebody asks");
    worlds[1].input(Input::Relayed(granted[0].1.clone()));
    assert_eq!(kinds(&worlds[1], bob), told);
    assert_eq!(worlds[0].relayed.len() + worlds[1].relayed.len(), 0, "nothing goes in circles");
}

#[test]
fn a_gap_between_relayed_events_of_a_pen_is_read_from_the_log() {
    let (mut worlds, mut store, [ada, bob]) = met_at_pens();
    ask(&mut worlds[0], ada, acquire());
    serve(&mut worlds[0], &mut store);
    passed(&mut worlds[0]);
    let cid = arrive(&mut worlds[0], &mut store, "cid");
    ask(&mut worlds[0], cid, PenRequest::Request { reason: None });
    serve(&mut worlds[0], &mut store);
    carry(&mut worlds, 0);
    assert_eq!(kinds(&worlds[1], bob), [], "the first event was lost");
    assert!(matches!(worlds[1].asks[..], [PenAsk { task: PenTask::Follow(0), .. }]));
    serve(&mut worlds[1], &mut store);
    let told = [(1, "granted".to_owned()), (2, "requested".to_owned())];
    assert_eq!(kinds(&worlds[1], bob), told);
    assert_eq!(worlds[1].relayed, [], "what was read has been passed on by whoever wrote it");
}

#[test]
fn an_event_of_a_pen_that_is_too_long_to_be_passed_on_is_read_from_the_log() {
    let (mut worlds, mut store, [ada, bob]) = met_at_pens();
    ask(&mut worlds[0], ada, acquire());
    let Input::News { topic, source, mut news, reply } =
        store.answer(worlds[0].now, worlds[0].asks.remove(0))
    else {
        panic!("an answer to a command")
    };
    let News::Pen(granted) = &mut news[0] else { panic!("an event of the pen") };
    granted.event.reason = Some("x".repeat(1 << 17));
    worlds[0].input(Input::News { topic, source, news, reply });
    assert_eq!(carry(&mut worlds, 0), 1);
    serve(&mut worlds[1], &mut store);
    assert_eq!(kinds(&worlds[1], bob), [(1, "granted".to_owned())]);
}
