//! Events of tickets and pens in one stream: what each audience is told while it is there, under which number, and in
//! which order, on this replica and on others.

use std::sync::Arc;

use penholder_hub::{
    AtJoin, Audience, Departure, Input, MemberId, News, PenAsk, PenNews, PenTask, Position, Push,
    Reading, Request, Source, Stretch, Then, TicketNews, Typing, WatcherId,
};
use penholder_lease::{Event, EventKind, Fence, Lease, Rule, StoreMs};
use penholder_protocol::{Json, Since};
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::{collection, prop_assert_eq, proptest};
use serde_json::{Value, json};

use crate::harness::{GRACE_MS, Joining, TYPING_MS, World, topic};
use crate::replicas::{AGREED_MS, pair, pass};

pub(crate) const TICKET: &str = "tickets:1";

/// Something that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Comment,
    Note,
    Pen,
    Delete,
}
use Write::{Comment, Delete, Note, Pen};

/// The log of a topic, as a store has it.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) news: Vec<News>,
    /// The place behind each, that of the start first.
    pub(crate) places: Vec<Position>,
}

impl Log {
    pub(crate) fn at(&self) -> Position {
        self.places.last().copied().unwrap_or_default()
    }

    pub(crate) fn write(&mut self, write: Write) -> News {
        let Position { seq, staff_only } = self.at();
        let at = Position { seq: seq + 1, staff_only: staff_only + u64::from(write == Note) };
        let named = |name: &str, then| {
            let payload = |seq: u64| Json::of(&json!({ "seq": seq, "event": name }));
            let public = (write != Note)
                .then(|| (at.number(Audience::Public), payload(at.number(Audience::Public))));
            let staff = payload(at.seq);
            News::Ticket(TicketNews { seq: at.seq, name: name.to_owned(), staff, public, then })
        };
        let news = match write {
            Comment => named("comment_created", Then::GoesOn),
            Note => named("internal_note_created", Then::GoesOn),
            Delete => named("ticket_deleted", Then::Ends),
            Pen => News::Pen(PenNews { seq: at.seq, event: granted() }),
        };
        self.news.push(news.clone());
        self.places.push(at);
        news
    }

    pub(crate) fn write_all(&mut self, writes: &[Write]) {
        for write in writes {
            self.write(*write);
        }
    }

    pub(crate) fn behind(&self, seq: u64) -> Position {
        let found = self.places.iter().find(|place| place.seq == seq);
        found.copied().unwrap_or_default()
    }

    pub(crate) fn stretch(&self, after: u64) -> Stretch {
        let news = self.news.iter().filter(|news| news.seq() > after).cloned();
        Stretch { after: self.behind(after), news: news.collect() }
    }

    /// What is read of it for a join, with the events after `reach`.
    pub(crate) fn at_join(&self, reach: Option<u64>) -> AtJoin {
        let reading = Reading { at: self.at(), pen: Lease::default().view(StoreMs(0)) };
        AtJoin::Read { reading, lately: reach.map(|after| Arc::new(self.stretch(after))) }
    }

    /// Answers what a shard has asked.
    pub(crate) fn serve(&self, world: &mut World) {
        for PenAsk { topic, task, .. } in std::mem::take(&mut world.asks) {
            if let PenTask::Follow(after) = task {
                let Stretch { after, news } = self.stretch(after);
                world.input(Input::News { topic, source: Source::Log(after), news, reply: None });
            }
        }
    }
}

fn granted() -> Event {
    Event {
        kind: EventKind::Granted,
        rule: Rule::Free,
        by: None,
        fence: Fence(1),
        at: StoreMs(0),
        reason: None,
        pen: Lease::default().view(StoreMs(0)),
    }
}

pub(crate) fn tell(world: &mut World, news: News) {
    let (topic, source) = (topic(TICKET), Source::Store);
    world.input(Input::News { topic, source, news: vec![news], reply: None });
}

pub(crate) fn staff(key: &str) -> Joining {
    Joining::new(TICKET, key).staff()
}

pub(crate) fn public(key: &str) -> Joining {
    Joining::new(TICKET, key)
}

/// A ticket with one of each audience on it, who have heard nothing yet.
pub(crate) fn met(log: &Log) -> (World, MemberId, MemberId) {
    let mut world = World::new();
    let eve = world.join(staff("eve").stream(log.at_join(None)));
    let carl = world.join(public("carl").stream(log.at_join(None)));
    world.settle();
    log.serve(&mut world);
    world.clear();
    (world, eve, carl)
}

/// What a member was told of durable events, in short, since the last time.
pub(crate) fn told(world: &mut World, member: MemberId) -> Vec<String> {
    let frames = world.take(member).into_iter();
    let durable = frames.filter(|frame| frame.payload["seq"].is_u64());
    durable.map(|frame| format!("{} {}", frame.payload["seq"], frame.event)).collect()
}

pub(crate) fn reply(world: &World, member: MemberId) -> Value {
    let first = &world[member].frames[0];
    assert_eq!(first.event, "phx_reply", "the answer comes first");
    first.payload["response"].clone()
}

#[test]
fn each_audience_is_told_its_part_under_its_own_numbers() {
    let mut log = Log::default();
    let (mut world, eve, carl) = met(&log);
    for write in [Comment, Note, Pen, Note, Comment] {
        tell(&mut world, log.write(write));
    }
    let all = ["1 comment_created", "2 internal_note_created", "3 pen", "4 internal_note_created"];
    assert_eq!(told(&mut world, eve), [&all[..], &["5 comment_created"]].concat());
    assert_eq!(told(&mut world, carl), ["1 comment_created", "2 pen", "3 comment_created"]);
    // Who comes now is told how far the stream is for them.
    let dora = world.join(public("dora").stream(log.at_join(None)));
    let finn = world.join(staff("finn").stream(log.at_join(None)));
    assert_eq!((&reply(&world, dora)["seq"], &reply(&world, finn)["seq"]), (&json!(3), &json!(5)));
}

#[test]
fn a_frame_is_encoded_once_for_each_audience() {
    let mut log = Log::default();
    let (mut world, ..) = met(&log);
    for key in ["dora", "otto"] {
        world.join(public(key).stream(log.at_join(None)));
    }
    world.settle();
    world.clear();
    tell(&mut world, log.write(Comment));
    assert_eq!(world.encoded, 2);
    tell(&mut world, log.write(Note));
    assert_eq!(world.encoded, 3);
}

#[test]
fn what_comes_twice_or_late_is_told_once_and_what_is_missing_is_read_first() {
    let mut log = Log::default();
    let (mut world, eve, carl) = met(&log);
    let news: Vec<_> = [Comment, Note, Pen, Comment, Note, Comment].map(|it| log.write(it)).into();
    tell(&mut world, news[0].clone());
    tell(&mut world, news[3].clone());
    assert!(
        matches!(world.asks[..], [PenAsk { task: PenTask::Follow(1), .. }]),
        "{:?}",
        world.asks
    );
    // Until the log answers nothing later is told, and it is asked once.
    tell(&mut world, news[5].clone());
    assert_eq!((told(&mut world, eve).len(), world.asks.len()), (1, 1));
    // It has answered before the last was written: that is asked for.
    let mut early = log.clone();
    early.news.truncate(4);
    early.serve(&mut world);
    assert!(
        matches!(world.asks[..], [PenAsk { task: PenTask::Follow(4), .. }]),
        "{:?}",
        world.asks
    );
    log.serve(&mut world);
    news.iter().for_each(|news| tell(&mut world, news.clone()));
    assert_eq!(
        told(&mut world, eve),
        [
            "2 internal_note_created",
            "3 pen",
            "4 comment_created",
            "5 internal_note_created",
            "6 comment_created"
        ]
    );
    assert_eq!(
        told(&mut world, carl),
        ["1 comment_created", "2 pen", "3 comment_created", "4 comment_created"]
    );
    assert_eq!(world.asks.len(), 0);
}

#[test]
fn a_log_that_does_not_answer_is_asked_again() {
    let mut log = Log::default();
    let (mut world, _, carl) = met(&log);
    log.write(Note);
    log.write(Comment);
    tell(&mut world, log.write(Comment));
    for _ in 0..3 {
        assert_eq!(std::mem::take(&mut world.asks).len(), 1);
        world.pass(5_000);
    }
    log.serve(&mut world);
    assert_eq!(told(&mut world, carl), ["1 comment_created", "2 comment_created"]);
    world.pass(10_000);
    assert_eq!(world.asks.len(), 0);
}

#[test]
fn an_event_that_the_log_has_lost_makes_everybody_come_back() {
    let mut log = Log::default();
    let (mut world, eve, carl) = met(&log);
    for write in [Comment, Note, Comment] {
        log.write(write);
    }
    let (source, news) = (Source::Log(log.behind(2)), log.stretch(2).news);
    world.input(Input::News { topic: topic(TICKET), source, news, reply: None });
    for member in [eve, carl] {
        let frames: Vec<_> = world.take(member).into_iter().map(|frame| frame.event).collect();
        assert_eq!(frames, ["phx_error"]);
    }
    let carl = world.join(public("carl").since(Since::After(0)).stream(log.at_join(Some(2))));
    assert_eq!(reply(&world, carl)["recovered"], false);
}

#[test]
fn a_topic_ends_with_its_last_event() {
    let mut log = Log::default();
    let (mut world, eve, carl) = met(&log);
    let otto = world.join(public("otto").stream(log.at_join(None)));
    world.lose(otto);
    let stale = log.at_join(None);
    world.input(Input::Watch { watcher: WatcherId(1), topics: vec![topic(TICKET)] });
    tell(&mut world, log.write(Delete));
    for member in [eve, carl] {
        let frames = world.events(member);
        assert_eq!(frames[frames.len() - 2..], ["ticket_deleted", "phx_close"]);
        assert_eq!(world[member].departed, Some(Departure::Expelled));
    }
    assert_eq!((world.hub.census().sessions, world.hub.census().members), (0, 0));
    // Whoever was on the way does not get in.
    let dora = world.join(public("dora").stream(stale));
    assert_eq!(world.events(dora), ["phx_reply", "phx_close"]);
    world.input(Input::Unwatch(WatcherId(1)));
    world.pass(2 * GRACE_MS);
    assert_eq!((world.hub.census().rooms, world.hub.census().timers), (0, 0));
}

/// Hands over what one replica passes on; returns how much that was.
fn carry(worlds: &mut [World; 2], from: usize) -> usize {
    let messages = std::mem::take(&mut worlds[from].relayed);
    let count = messages.len();
    for (_, message) in messages {
        worlds[1 - from].input(Input::Relayed(message));
    }
    count
}

#[test]
fn each_audience_hears_its_part_on_the_other_replica_too() {
    let mut log = Log::default();
    let mut worlds = pair();
    let carl = worlds[0].join(public("carl").stream(log.at_join(None)));
    let eve = worlds[1].join(staff("eve").stream(log.at_join(None)));
    let dora = worlds[1].join(public("dora").stream(log.at_join(None)));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(|world| log.serve(world));
    worlds.iter_mut().for_each(World::clear);
    for write in [Comment, Note, Pen] {
        tell(&mut worlds[0], log.write(write));
    }
    assert_eq!(carry(&mut worlds, 0), 3);
    assert_eq!(told(&mut worlds[0], carl), ["1 comment_created", "2 pen"]);
    assert_eq!(told(&mut worlds[1], dora), ["1 comment_created", "2 pen"]);
    let all = ["1 comment_created", "2 internal_note_created", "3 pen"];
    assert_eq!(told(&mut worlds[1], eve), all);
    assert_eq!(worlds[1].relayed.len(), 0, "nobody passes on what was passed on");
}

#[test]
fn a_gap_between_relayed_events_of_a_ticket_is_read_from_the_log() {
    let mut log = Log::default();
    let mut worlds = pair();
    worlds[0].join(public("carl").stream(log.at_join(None)));
    let dora = worlds[1].join(public("dora").stream(log.at_join(None)));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(|world| log.serve(world));
    worlds.iter_mut().for_each(World::clear);
    for write in [Comment, Note] {
        tell(&mut worlds[0], log.write(write));
    }
    worlds[0].relayed.clear();
    // Too long to be passed on: the other one hears only that it is there.
    let News::Ticket(mut long) = log.write(Comment) else { panic!("of a ticket") };
    long.staff = Json::of(&json!({ "seq": 3, "text": "x".repeat(1 << 17) }));
    tell(&mut worlds[0], News::Ticket(long));
    assert_eq!(carry(&mut worlds, 0), 1);
    assert_eq!(told(&mut worlds[1], dora), [""; 0]);
    log.serve(&mut worlds[1]);
    assert_eq!(told(&mut worlds[1], dora), ["1 comment_created", "2 comment_created"]);
    assert_eq!(worlds[1].relayed.len(), 0);
}

#[test]
fn what_a_replica_did_not_pass_on_is_read_when_it_is_gone() {
    let mut log = Log::default();
    let mut worlds = pair();
    worlds[0].join(public("carl").stream(log.at_join(None)));
    let dora = worlds[1].join(public("dora").stream(log.at_join(None)));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(|world| log.serve(world));
    log.write(Comment);
    worlds[1].clear();
    worlds[1].pass(60_000);
    log.serve(&mut worlds[1]);
    assert_eq!(told(&mut worlds[1], dora), ["1 comment_created"]);
}

#[test]
fn of_what_may_have_been_written_the_log_is_asked_here_and_elsewhere() {
    let mut log = Log::default();
    let mut worlds = pair();
    let carl = worlds[0].join(public("carl").stream(log.at_join(None)));
    let dora = worlds[1].join(public("dora").stream(log.at_join(None)));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(|world| log.serve(world));
    worlds.iter_mut().for_each(World::clear);
    log.write(Note);
    log.write(Comment);
    worlds[0].input(Input::At { topic: topic(TICKET), seq: 2 });
    assert_eq!(carry(&mut worlds, 0), 1);
    worlds.iter_mut().for_each(|world| log.serve(world));
    assert_eq!(told(&mut worlds[0], carl), ["1 comment_created"]);
    assert_eq!(told(&mut worlds[1], dora), ["1 comment_created"]);
}

/// Something that happens on a ticket.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(Write),
    Staff,
    Public {
        back: u64,
    },
    /// The last of the staff types a note, or stops.
    Note(Typing),
    Leave,
    Lose,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Write(Note)),
        2 => Just(Step::Write(Comment)),
        1 => Just(Step::Write(Pen)),
        1 => Just(Step::Staff),
        3 => (0..5u64).prop_map(|back| Step::Public { back }),
        3 => Just(Step::Note(Typing::ForStaff)),
        1 => Just(Step::Note(Typing::Off)),
        1 => Just(Step::Leave),
        1 => Just(Step::Lose),
        3 => (0..30u64).prop_map(Step::Pass),
        1 => Just(Step::Pass(TYPING_MS)),
    ]
}

/// All bytes that go to each of the public while this happens.
fn bytes_of_the_public(steps: &[Step]) -> Vec<Vec<bytes::Bytes>> {
    let mut log = Log::default();
    let mut world = World::new();
    let (mut everybody, mut present, mut writer) = (Vec::new(), Vec::new(), None);
    for step in steps {
        match *step {
            Step::Write(write) => tell(&mut world, log.write(write)),
            Step::Staff => {
                let member = world.join(staff("eve").stream(log.at_join(Some(0))));
                writer = Some(member);
                present.push(member);
            }
            Step::Note(typing) => {
                let push =
                    |member| Push { member, reference: None, request: Request::Typing(typing) };
                writer.map(push).into_iter().for_each(|push| world.input(Input::Push(push)));
            }
            Step::Lose => {
                if let Some(member) = present.pop() {
                    world.lose(member);
                }
            }
            Step::Public { back } => {
                let since = log.at().number(Audience::Public).saturating_sub(back);
                let joining = public("carl").since(Since::After(since));
                let member = world.join(joining.stream(log.at_join(Some(0))));
                everybody.push(member);
                present.push(member);
            }
            Step::Leave => {
                if let Some(member) = present.pop() {
                    world.leave(member);
                }
            }
            Step::Pass(span_ms) => world.pass(span_ms),
        }
        log.serve(&mut world);
    }
    world.settle();
    let bytes = |member: MemberId| world[member].frames.iter().map(|it| it.body.clone()).collect();
    everybody.into_iter().map(bytes).collect()
}

/// Whether it is of the staff alone.
fn is_note(step: Step) -> bool {
    matches!(step, Step::Write(Note) | Step::Note(_))
}

proptest! {
    #[test]
    fn the_public_hears_the_same_with_and_without_notes(steps in collection::vec(step(), 1..40)) {
        let without: Vec<_> =
            steps.iter().copied().filter(|step| !is_note(*step)).collect();
        prop_assert_eq!(bytes_of_the_public(&steps), bytes_of_the_public(&without));
    }
}
