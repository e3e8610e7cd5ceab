//! Pens: what the store is asked, and what a topic is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use penholder_hub::{
    AtJoin, HolderReply, Input, InputSeen, MemberId, News, PenAsk, PenNews, PenReply, PenRequest,
    PenTask, Position, PresenceChange, Push, Reading, Request, Source, Stretch, Then, TicketNews,
    WatcherId,
};
use penholder_lease::{
    Command, EventKind, Kind, Lease, Pen, Person, Policy, Rule, StoreMs, StoreTime, Terms,
    Timeline, decide,
};
use penholder_protocol::{Json, PenEvent, PenState, Ref, Since};
use serde_json::{Value, json};

use crate::harness::{DOC, Joining, World, claim, topic};

/// The place behind so many events of an application's topic.
fn behind(seq: u64) -> Position {
    Position { seq, staff_only: 0 }
}

/// A store of pens, whose clock is that of the world.
#[derive(Default)]
pub(crate) struct Store {
    leases: BTreeMap<String, (Lease, Vec<PenNews>)>,
}

impl Store {
    fn obey(&mut self, at: u64, name: &str, command: &Command) -> (Vec<PenNews>, bool) {
        let (lease, log) = self.leases.entry(name.to_owned()).or_default();
        let time = StoreTime { at: StoreMs(at), timeline: Timeline(0) };
        let decision = decide(lease, command, time, &Policy::default());
        *lease = decision.lease;
        let first = log.len();
        let news =
            (1..).zip(decision.events).map(|(n, event)| PenNews { seq: first as u64 + n, event });
        log.extend(news);
        (log[first..].to_vec(), decision.outcome.is_ok())
    }

    fn read(&self, at: u64, name: &str) -> Reading {
        let empty = (Lease::default(), Vec::new());
        let (lease, log) = self.leases.get(name).unwrap_or(&empty);
        Reading { at: behind(log.len() as u64), pen: lease.view(StoreMs(at)) }
    }

    fn at_join(&self, at: u64) -> AtJoin {
        AtJoin::Read { reading: self.read(at, DOC), lately: None }
    }

    /// Answers one question, as a driver with this store would.
    pub(crate) fn answer(&mut self, at: u64, ask: PenAsk) -> Input {
        let PenAsk { topic, task, asker } = ask;
        let name = topic.as_str().to_owned();
        let (source, (news, is_ok)) = match task {
            PenTask::Obey(command) => (Source::Store, self.obey(at, &name, &command)),
            PenTask::Renew { session, fence, input_ms_ago } => {
                let command = Command::Renew { session, fence, input_ms_ago };
                (Source::Store, self.obey(at, &name, &command))
            }
            PenTask::Follow(after) => {
                let log = self.leases.get(&name).map_or(&[][..], |(_, log)| log);
                let later = log.iter().filter(|news| news.seq > after).cloned().collect();
                (Source::Log(behind(after)), (later, true))
            }
            PenTask::Read => return Input::Read { reading: self.read(at, &name), topic },
            PenTask::Draft { .. } => (Source::Store, (Vec::new(), true)),
        };
        let ok = || Ok(Json::empty_object());
        let lost = || Err(penholder_protocol::ErrorCode::LeaseLost.into());
        let reply =
            asker.map(|asker| PenReply { asker, result: if is_ok { ok() } else { lost() } });
        let news = news.into_iter().map(News::Pen).collect();
        Input::News { topic, source, news, reply }
    }
}

/// Lets the store answer all that it was asked.
pub(crate) fn serve(world: &mut World, store: &mut Store) {
    while !world.asks.is_empty() {
        let ask = world.asks.remove(0);
        let input = store.answer(world.now, ask);
        world.input(input);
    }
}

/// Lets time pass in small steps, with a store that answers at once.
fn pass(world: &mut World, store: &mut Store, span_ms: u64) {
    for _ in 0..span_ms / 10 {
        world.pass(10);
        serve(world, store);
    }
}

pub(crate) fn arrive(world: &mut World, store: &mut Store, key: &str) -> MemberId {
    let member = world.join(Joining::new(DOC, key).stream(store.at_join(world.now)));
    world.settle();
    serve(world, store);
    member
}

pub(crate) fn ask(world: &mut World, member: MemberId, request: PenRequest) {
    let reference = Some(Ref::counter(1_000 + world.now));
    world.input(Input::Push(Push { member, reference, request: Request::Pen(request) }));
}

pub(crate) fn acquire() -> PenRequest {
    PenRequest::Acquire(Terms::default())
}

fn events(world: &World, member: MemberId) -> Vec<PenEvent> {
    let frames = world[member].frames.iter().filter(|frame| frame.event == "pen");
    frames.map(|frame| serde_json::from_value(frame.payload.clone()).expect("an event")).collect()
}

pub(crate) fn kinds(world: &World, member: MemberId) -> Vec<(u64, String)> {
    events(world, member).iter().map(|event| (event.seq, event.kind.to_string())).collect()
}

fn pen(store: &Store, world: &World) -> Pen {
    store.read(world.now, DOC).pen
}

fn touch(world: &mut World, member: MemberId) {
    world.update(member, PresenceChange { input: Some(InputSeen), ..PresenceChange::default() });
}

fn reply(world: &World, member: MemberId) -> Value {
    world[member]
        .frames
        .iter()
        .find(|frame| frame.event == "phx_reply")
        .expect("an answer")
        .payload
        .clone()
}

#[test]
fn what_the_store_says_is_what_the_protocol_has() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    let frame = world[ada].frames.iter().find(|frame| frame.event == "pen").unwrap();
    let event: PenEvent = serde_json::from_value(frame.payload.clone()).unwrap();
    assert_eq!(serde_json::to_value(&event).unwrap(), frame.payload);
    assert_eq!(event.pen.state, PenState::Held);
    assert_eq!(event.pen.session.as_deref(), Some("s1"));
    assert_eq!(event.pen.holder.unwrap().id, "ada");
    // Every word that the store has is one of the protocol, and the other way round.
    for kind in EventKind::ALL {
        assert!(kind.as_str().parse::<penholder_protocol::PenChange>().is_ok(), "{kind}");
    }
    for rule in Rule::ALL {
        assert!(rule.as_str().parse::<penholder_protocol::PenRule>().is_ok(), "{rule}");
    }
}

#[test]
fn a_holder_hears_that_the_pen_is_gone_before_the_topic_is() {
    let (mut world, mut store) = (World::new(), Store::default());
    let (ada, bob) = (arrive(&mut world, &mut store, "ada"), arrive(&mut world, &mut store, "bob"));
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    world.clear();
    let by = Person { id: "eve".into(), name: "Eve".to_owned(), kind: Kind::Human };
    let (ended, _) = store.obey(world.now, DOC, &Command::End { by });
    let seq = ended[0].seq + 1;
    let payload = || Json::of(&json!({ "seq": seq, "event": "ticket_deleted" }));
    let (staff, public) = (payload(), Some((seq, payload())));
    let name = "ticket_deleted".to_owned();
    let last = News::Ticket(TicketNews { seq, name, staff, public, then: Then::Ends });
    let news = ended.into_iter().map(News::Pen).chain([last]).collect();
    let (topic, source) = (topic(DOC), Source::Store);
    world.input(Input::News { topic, source, news, reply: None });
    for member in [ada, bob] {
        assert_eq!(kinds(&world, member), [(2, "revoked".to_owned())]);
        let mut frames = world.events(member);
        frames.retain(|event| !event.starts_with("presence"));
        assert_eq!(frames, ["pen", "ticket_deleted", "phx_close"]);
    }
    // The store hears that the holder has gone, of which nothing comes, and nothing else.
    assert!(matches!(&world.asks[..], [PenAsk { task: PenTask::Obey(Command::Leave { .. }), .. }]));
    pass(&mut world, &mut store, 60_000);
    assert_eq!(store.leases[DOC].1.len(), 2);
    assert_eq!((world.hub.census().rooms, world.hub.census().timers), (0, 0));
}

#[test]
fn events_are_told_once_and_in_order() {
    let (mut world, mut store) = (World::new(), Store::default());
    let (ada, bob) = (arrive(&mut world, &mut store, "ada"), arrive(&mut world, &mut store, "bob"));
    ask(&mut world, ada, acquire());
    let granted = store.answer(world.now, world.asks.remove(0));
    let Input::News { topic, news, .. } = &granted else { panic!() };
    let again = Input::News {
        topic: topic.clone(),
        source: Source::Store,
        news: news.clone(),
        reply: None,
    };
    world.clear();
    world.input(granted);
    world.input(again);
    assert_eq!(kinds(&world, ada), [(1, "granted".to_owned())]);
    assert_eq!(kinds(&world, bob), [(1, "granted".to_owned())]);
    // First everybody hears of it, then who asked is answered.
    let order: Vec<_> = world[ada].frames.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(order, ["pen", "phx_reply"]);
}

#[test]
fn a_gap_is_read_from_the_log_first() {
    let (mut world, mut store) = (World::new(), Store::default());
    let (ada, bob) = (arrive(&mut world, &mut store, "ada"), arrive(&mut world, &mut store, "bob"));
    ask(&mut world, ada, acquire());
    ask(&mut world, bob, PenRequest::Request { reason: None });
    // The first answer is lost on its way.
    drop(store.answer(world.now, world.asks.remove(0)));
    let second = store.answer(world.now, world.asks.remove(0));
    // Without a reading nobody knows of a gap; here the shard knows that nothing had happened.
    world.clear();
    world.input(second);
    assert_eq!(kinds(&world, ada), []);
    assert!(
        matches!(world.asks[..], [PenAsk { task: PenTask::Follow(0), .. }]),
        "{:?}",
        world.asks
    );
    serve(&mut world, &mut store);
    let told = [(1, "granted".to_owned()), (2, "requested".to_owned())];
    assert_eq!(kinds(&world, ada), told);
    // What the log lacks is lost, and holds nobody up.
    let (_, log) = store.leases.get_mut(DOC).unwrap();
    let last = log.last().unwrap().clone();
    let late = PenNews { seq: 9, ..last };
    let (source, news) = (Source::Log(behind(8)), vec![News::Pen(late)]);
    world.input(Input::News { topic: topic(DOC), source, news, reply: None });
    assert_eq!(kinds(&world, ada).last().unwrap().0, 9);
}

#[test]
fn a_stale_reading_loses_to_news() {
    let (mut world, mut store) = (World::new(), Store::default());
    let stale = store.at_join(world.now);
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    let bob = world.join(Joining::new(DOC, "bob").stream(stale.clone()));
    let response = reply(&world, bob)["response"].clone();
    assert_eq!((&response["seq"], &response["pen"]["holder"]["id"]), (&json!(1), &json!("ada")));
    serve(&mut world, &mut store);
    // Where nobody was, what came in between is told to who has just joined.
    world.leave(ada);
    world.leave(bob);
    serve(&mut world, &mut store);
    let cid = world.join(Joining::new(DOC, "cid").stream(stale));
    assert_eq!(reply(&world, cid)["response"]["seq"], 0);
    serve(&mut world, &mut store);
    let told = [(1, "granted".to_owned()), (2, "released".to_owned())];
    assert_eq!(kinds(&world, cid), told);
}

/// Here the topic is as it was a moment ago, and its events of since then are known elsewhere.
#[test]
fn who_has_heard_of_the_pen_elsewhere_hears_what_follows() {
    let (mut elsewhere, mut store) = (World::new(), Store::default());
    let stale = store.at_join(elsewhere.now);
    let ada = arrive(&mut elsewhere, &mut store, "ada");
    ask(&mut elsewhere, ada, acquire());
    serve(&mut elsewhere, &mut store);
    elsewhere.leave(ada);
    serve(&mut elsewhere, &mut store);
    let eve = arrive(&mut elsewhere, &mut store, "eve");
    ask(&mut elsewhere, eve, acquire());
    serve(&mut elsewhere, &mut store);
    let all = ["granted", "released", "granted"].map(str::to_owned);
    let after = |since: u64| -> Vec<_> {
        (1..).zip(all.iter().cloned()).filter(|(seq, _)| *seq > since).collect()
    };
    let fresh = store.at_join(elsewhere.now);
    for since in 1..=4 {
        let mut world = World::new();
        let carl = world.join(Joining::new(DOC, "carl").stream(stale.clone()));
        let back = Joining::new(DOC, "bob").since(Since::After(since)).stream(fresh.clone());
        let bob = world.join(back);
        let response = reply(&world, bob)["response"].clone();
        let is_heard = since <= 3;
        assert_eq!(response["recovered"], is_heard, "{since}");
        assert_eq!(response["seq"], if is_heard { since } else { 0 });
        // The pen is not older than what was heard of it.
        let holder = if is_heard { json!("eve") } else { Value::Null };
        assert_eq!(response["pen"]["holder"]["id"], holder, "{since}");
        serve(&mut world, &mut store);
        assert_eq!(kinds(&world, bob), after(if is_heard { since } else { 0 }), "{since}");
        assert_eq!(kinds(&world, carl), after(0));
    }
}

#[test]
fn who_comes_back_gets_what_was_missed_or_is_told_to_fetch_anew() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    ask(&mut world, ada, PenRequest::Request { reason: None });
    serve(&mut world, &mut store);
    let reading = store.read(world.now, DOC);
    assert_eq!(reading.at, behind(1));
    let news: Vec<_> = store.leases[DOC].1.iter().cloned().map(News::Pen).collect();
    let stretch = |news: &[News]| Some(Arc::new(Stretch { after: behind(0), news: news.to_vec() }));
    let away = Joining::new(DOC, "bob").stream(AtJoin::Away);
    let reads = |lately| AtJoin::Read { reading: reading.clone(), lately };
    for (since, stream, recovered, told) in [
        (Since::After(0), reads(stretch(&news)), true, 1),
        (Since::After(0), reads(None), false, 0),
        (Since::After(0), reads(stretch(&[])), false, 0),
        (Since::After(1), reads(None), true, 0),
        (Since::After(2), reads(stretch(&news)), false, 0),
        (Since::Impossible, reads(stretch(&news)), false, 0),
        (Since::After(0), AtJoin::Away, false, 0),
        (Since::After(1), AtJoin::Away, false, 0),
    ] {
        // Nobody was there.
        let mut world = World::new();
        let bob = world.join(Joining::new(DOC, "bob").since(since).stream(stream));
        assert_eq!(reply(&world, bob)["response"]["recovered"], recovered, "{since:?}");
        assert_eq!(events(&world, bob).len(), told, "{since:?}");
    }
    // Where somebody was, the shard knows itself what it has just told.
    for (since, recovered, told) in [(0, true, 1), (1, true, 0), (2, false, 0)] {
        let bob = world.join(away.clone().since(Since::After(since)));
        assert_eq!(reply(&world, bob)["response"]["recovered"], recovered, "{since}");
        assert_eq!(events(&world, bob).len(), told, "{since}");
    }
}

#[test]
fn who_only_views_asks_for_nothing() {
    let (mut world, store) = (World::new(), Store::default());
    let eve = world.join(Joining::new(DOC, "eve").view().stream(store.at_join(0)));
    world.asks.clear();
    world.clear();
    ask(&mut world, eve, acquire());
    ask(&mut world, eve, PenRequest::Draft(None));
    assert!(world.asks.is_empty());
    let replies = world[eve].frames.iter().map(|frame| &frame.payload["response"]["code"]);
    assert_eq!(replies.collect::<Vec<_>>(), ["forbidden", "forbidden"]);
}

#[test]
fn a_connected_holder_is_renewed_in_time() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    let fence = pen(&store, &world).fence;
    for _ in 0..20 {
        pass(&mut world, &mut store, 5_000);
        touch(&mut world, ada);
        let pen = pen(&store, &world);
        assert_eq!((pen.fence, pen.session.is_some()), (fence, true));
        // Two renewals in a row may be lost.
        assert!(pen.deadline.unwrap().0 - world.now > 15_000, "{pen:?}");
    }
    // Without input for so long that the policy calls it idle, the pen runs down.
    pass(&mut world, &mut store, 100_000);
    assert_eq!(pen(&store, &world).session, None);
}

#[test]
fn an_idle_holder_who_comes_back_in_time_keeps_it() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    pass(&mut world, &mut store, 76_000);
    let left = pen(&store, &world).deadline.unwrap().0 - world.now;
    assert!(left < 5_000, "{left}");
    touch(&mut world, ada);
    pass(&mut world, &mut store, 1_100);
    assert!(pen(&store, &world).deadline.unwrap().0 - world.now > 25_000);
}

#[test]
fn a_lost_holder_is_reserved_and_back_with_the_same_fence() {
    let (mut world, mut store) = (World::new(), Store::default());
    let (ada, bob) = (arrive(&mut world, &mut store, "ada"), arrive(&mut world, &mut store, "bob"));
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    let token = reply(&world, ada)["response"]["resume"].as_str().unwrap().to_owned();
    world.lose(ada);
    serve(&mut world, &mut store);
    pass(&mut world, &mut store, 3_000);
    let back = Joining::new(DOC, "ada").resume(claim(&token)).stream(store.at_join(world.now));
    let ada = world.join(back);
    serve(&mut world, &mut store);
    pass(&mut world, &mut store, 40_000);
    let told: Vec<_> = kinds(&world, bob).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(told[..3], ["granted", "reserved", "resumed"]);
    assert!(told[3..].iter().all(|kind| kind == "renewed"), "{told:?}");
    assert_eq!(pen(&store, &world).fence.0, 1);
    world.leave(ada);
    serve(&mut world, &mut store);
    assert_eq!(kinds(&world, bob).last().unwrap().1, "released");
}

#[test]
fn a_session_that_has_gone_has_no_timer_and_nothing_is_left() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    world.leave(ada);
    serve(&mut world, &mut store);
    let census = world.hub.census();
    assert_eq!((census.timers, census.rooms, census.sessions), (0, 0, 0));
    // Whoever never asked costs the store nothing.
    let bob = arrive(&mut world, &mut store, "bob");
    world.lose(bob);
    assert!(world.asks.is_empty());
}

#[test]
fn who_may_no_longer_edit_gives_the_pen_back() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    world.input(Input::Demote(ada));
    serve(&mut world, &mut store);
    assert_eq!(pen(&store, &world).session, None);
}

#[test]
fn a_pen_is_handed_to_somebody_who_is_there_without_waiting() {
    let (mut world, mut store) = (World::new(), Store::default());
    let (ada, bob) = (arrive(&mut world, &mut store, "ada"), arrive(&mut world, &mut store, "bob"));
    let eve = world.join(Joining::new(DOC, "eve").view());
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    let fence = pen(&store, &world).fence;
    let to = |name: &str| HolderReply::HandOver(Some(name.to_owned()));
    let answer = |name| PenRequest::Answer { fence, reply: to(name), reason: None };
    // Who only views is nobody to hand it to.
    ask(&mut world, ada, answer("eve"));
    serve(&mut world, &mut store);
    assert_eq!(pen(&store, &world).holder.unwrap().id.as_str(), "ada");
    ask(&mut world, ada, answer("bob"));
    serve(&mut world, &mut store);
    assert_eq!(pen(&store, &world).holder.unwrap().id.as_str(), "bob");
    world.leave(bob);
    world.leave(eve);
    serve(&mut world, &mut store);
    assert_eq!(pen(&store, &world).session, None);
}

#[test]
fn a_row_names_the_holder() {
    let (mut world, mut store) = (World::new(), Store::default());
    let ada = arrive(&mut world, &mut store, "ada");
    ask(&mut world, ada, acquire());
    serve(&mut world, &mut store);
    world.input(Input::Watch { watcher: WatcherId(1), topics: vec![topic(DOC), topic("doc:2")] });
    serve(&mut world, &mut store);
    world.settle();
    let holder = |world: &World, name: &str| {
        let mut rows = world.rows.iter().rev().filter(|(_, row)| row.topic == name);
        rows.next().unwrap().1.holder.clone().map(|holder| holder.id)
    };
    assert_eq!(holder(&world, DOC).as_deref(), Some("ada"));
    assert_eq!(holder(&world, "doc:2"), None);
    // A topic that nobody is on: its pen is read, and followed.
    let elsewhere = penholder_lease::Claimant {
        session: "caller".into(),
        person: penholder_lease::Person {
            id: "bot".into(),
            name: "Bot".into(),
            kind: penholder_lease::Kind::Ai,
        },
        role: penholder_lease::Role::Agent,
    };
    let command = Command::Acquire { claimant: elsewhere, terms: Terms::default() };
    let (news, _) = store.obey(world.now, "doc:2", &command);
    let (source, news) = (Source::Store, news.into_iter().map(News::Pen).collect());
    world.input(Input::News { topic: topic("doc:2"), source, news, reply: None });
    world.settle();
    assert_eq!(holder(&world, "doc:2").as_deref(), Some("bot"));
}
