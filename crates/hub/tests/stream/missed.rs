//! What whoever joins the topic of a ticket, or comes back to it, is told of what was before: by the shard, by what was
//! read for the join, or by the log.

use std::sync::Arc;

use penholder_hub::{AtJoin, Audience, Input, News, Position, Stretch, Then, TicketNews};
use penholder_protocol::{Json, Since};
use serde_json::json;

use crate::harness::{World, topic};
use crate::tickets::Write::{Comment, Delete, Note, Pen};
use crate::tickets::{Log, TICKET, met, public, reply, staff, tell, told};

/// What an audience has to hear after a number.
fn numbers(log: &Log, audience: Audience, since: u64) -> Vec<String> {
    let all = log.news.iter().zip(&log.places);
    let heard = all.filter(|(news, at)| news.payload(audience, **at).is_some());
    let numbered = heard.map(|(news, at)| (at.number(audience), news.name().to_owned()));
    numbered.filter(|(seq, _)| *seq > since).map(|(seq, name)| format!("{seq} {name}")).collect()
}

#[test]
fn where_nothing_was_read_the_first_event_says_where_the_stream_is_or_the_log_does() {
    let mut log = Log::default();
    log.write_all(&[Note, Comment, Note]);
    let mut world = World::new();
    let carl = world.join(public("carl").stream(AtJoin::Away));
    world.settle();
    tell(&mut world, log.write(Pen));
    assert_eq!(told(&mut world, carl), [""; 0], "how many notes there were is for the log to say");
    log.serve(&mut world);
    assert_eq!(told(&mut world, carl), ["2 pen"]);
    let mut world = World::new();
    let dora = world.join(public("dora").stream(AtJoin::Away));
    world.settle();
    tell(&mut world, log.write(Comment));
    tell(&mut world, log.write(Note));
    tell(&mut world, log.write(Pen));
    assert_eq!(told(&mut world, dora), ["3 comment_created", "4 pen"]);
    assert_eq!(world.asks.len(), 0);
}

#[test]
fn whoever_comes_back_hears_exactly_what_was_missed() {
    let mut log = Log::default();
    log.write_all(&[Comment, Note, Pen, Note, Comment, Comment]);
    let mut later = log.clone();
    let news = [Note, Pen, Comment].map(|write| later.write(write));
    let join = |audience, stream: AtJoin, since| {
        let joining = if audience == Audience::Staff { staff("eve") } else { public("carl") };
        joining.since(Since::After(since)).stream(stream)
    };
    for audience in [Audience::Staff, Audience::Public] {
        let last = later.at().number(audience);
        for (reach, since) in
            (0..=6).flat_map(|reach| (0..=last + 1).map(move |since| (reach, since)))
        {
            // The first who comes: all is what the log has had.
            let mut world = World::new();
            let first = world.join(join(audience, log.at_join(Some(reach)), since));
            let known = log.behind(reach).number(audience)..=log.at().number(audience);
            let recovered = known.contains(&since);
            assert_eq!(
                reply(&world, first)["recovered"],
                recovered,
                "{audience:?} {reach} {since}"
            );
            let expected = if recovered { numbers(&log, audience, since) } else { Vec::new() };
            assert_eq!(told(&mut world, first), expected, "{audience:?} {reach} {since}");
            // What has happened since was told here, and is behind what was read a moment ago.
            log.serve(&mut world);
            news.iter().for_each(|news| tell(&mut world, news.clone()));
            let second = world.join(join(audience, log.at_join(Some(reach)), since));
            let recovered = (*known.start()..=last).contains(&since);
            assert_eq!(
                reply(&world, second)["recovered"],
                recovered,
                "{audience:?} {reach} {since}"
            );
            assert_eq!(reply(&world, second)["seq"], last);
            let expected = if recovered { numbers(&later, audience, since) } else { Vec::new() };
            assert_eq!(told(&mut world, second), expected, "{audience:?} {reach} {since}");
            // What was read is ahead of what was told here: the rest comes to all.
            let mut world = World::new();
            let first = world.join(join(audience, log.at_join(None), log.at().number(audience)));
            let second = world.join(join(audience, later.at_join(Some(0)), 0));
            assert_eq!(reply(&world, second)["seq"], log.at().number(audience));
            later.serve(&mut world);
            assert_eq!(told(&mut world, second), numbers(&later, audience, 0));
            assert_eq!(
                told(&mut world, first),
                numbers(&later, audience, log.at().number(audience))
            );
        }
    }
}

#[test]
fn whoever_has_heard_more_than_was_told_here_hears_what_follows() {
    let mut early = Log::default();
    early.write_all(&[Comment, Note, Pen]);
    let mut read = early.clone();
    read.write_all(&[Note, Comment, Note, Pen, Comment]);
    let mut later = read.clone();
    let news = [Note, Comment, Pen].map(|write| later.write(write));
    for audience in [Audience::Staff, Audience::Public] {
        let join = |stream: AtJoin, since| {
            let joining = if audience == Audience::Staff { staff("eve") } else { public("carl") };
            joining.since(Since::After(since)).stream(stream)
        };
        let (told_here, head) = (early.at().number(audience), read.at().number(audience));
        for since in told_here + 1..=head + 1 {
            let mut world = World::new();
            let first = world.join(join(early.at_join(None), told_here));
            let second = world.join(join(read.at_join(None), since));
            let answer = reply(&world, second);
            // What is beyond all that there is was heard by nobody.
            let is_heard = since <= head;
            assert_eq!(answer["recovered"], is_heard, "{audience:?} {since}");
            let from = if is_heard { since } else { told_here };
            assert_eq!(answer["seq"], from, "{audience:?} {since}");
            read.serve(&mut world);
            news.iter().for_each(|news| tell(&mut world, news.clone()));
            let follows = numbers(&later, audience, from);
            assert_eq!(told(&mut world, second), follows, "{audience:?} {since}");
            assert_eq!(told(&mut world, first), numbers(&later, audience, told_here));
            assert_eq!(world.asks.len(), 0);
        }
    }
}

#[test]
fn a_topic_that_begins_behind_a_reading_is_reached_by_what_was_read_further() {
    let mut log = Log::default();
    log.write_all(&[Comment, Note, Comment]);
    let AtJoin::Read { reading, .. } = log.at_join(None) else { panic!("it was read") };
    log.write_all(&[Note, Comment]);
    let mut world = World::new();
    world.join(public("dora").stream(log.at_join(None)));
    let lately = Some(Arc::new(log.stretch(0)));
    let carl = public("carl").since(Since::After(1)).stream(AtJoin::Read { reading, lately });
    let carl = world.join(carl);
    let answer = reply(&world, carl);
    assert_eq!((&answer["recovered"], &answer["seq"]), (&json!(true), &json!(3)));
    assert_eq!(told(&mut world, carl), ["2 comment_created", "3 comment_created"]);
}

#[test]
fn what_somebody_has_heard_is_for_one_seat_alone() {
    let mut log = Log::default();
    let (mut world, ..) = met(&log);
    let early = log.at_join(None);
    let news = [Comment, Note, Comment].map(|write| log.write(write));
    let ahead = world.join(public("dora").since(Since::After(2)).stream(log.at_join(None)));
    // The same socket joins anew, as somebody who has heard nothing.
    let again = public("dora").replaces(ahead).since(Since::After(0)).stream(early);
    let again = world.join(again);
    news.iter().for_each(|news| tell(&mut world, news.clone()));
    assert_eq!(told(&mut world, ahead), [""; 0]);
    assert_eq!(told(&mut world, again), ["1 comment_created", "2 comment_created"]);
}

#[test]
fn more_than_fits_a_queue_is_fetched_anew() {
    let mut log = Log::default();
    for _ in 0..201 {
        log.write(Comment);
    }
    for (since, recovered) in [(0, false), (1, true)] {
        let mut world = World::new();
        let carl =
            world.join(public("carl").since(Since::After(since)).stream(log.at_join(Some(0))));
        assert_eq!(reply(&world, carl)["recovered"], recovered);
        assert_eq!(told(&mut world, carl).len(), if recovered { 200 } else { 0 });
    }
    let long = |seq| {
        let payload = Json::of(&json!({ "seq": seq, "text": "x".repeat(50_000) }));
        let public = Some((seq, payload.clone()));
        let name = "comment_created".to_owned();
        News::Ticket(TicketNews { seq, name, staff: payload, public, then: Then::GoesOn })
    };
    let stretch = Stretch { after: Position::default(), news: (1..=9).map(long).collect() };
    let short = stretch.shortened();
    assert_eq!((short.after, short.news.len()), (Position { seq: 8, staff_only: 0 }, 1));
}

#[test]
fn missed_events_come_before_the_snapshot_and_notes_hasten_nothing() {
    let mut log = Log::default();
    let (mut world, ..) = met(&log);
    tell(&mut world, log.write(Comment));
    let dora = world.join(public("dora").since(Since::After(0)).stream(log.at_join(Some(0))));
    let finn = world.join(staff("finn").since(Since::After(0)).stream(log.at_join(Some(0))));
    tell(&mut world, log.write(Note));
    assert_eq!(world.events(dora), ["phx_reply", "comment_created"]);
    world.settle();
    tell(&mut world, log.write(Comment));
    let presence = ["presence_state", "presence_summary", "comment_created"];
    assert_eq!(world.events(dora), presence);
    let first = ["phx_reply", "comment_created", "internal_note_created"];
    assert_eq!(world.events(finn), [&first[..], &presence].concat());
}

#[test]
fn whoever_joins_while_the_ticket_is_deleted_hears_it_from_the_log() {
    let mut log = Log::default();
    log.write(Comment);
    let stale = log.at_join(None);
    let mut world = World::new();
    tell(&mut world, log.write(Delete));
    let carl = world.join(public("carl").stream(stale));
    log.serve(&mut world);
    let frames = world.events(carl);
    assert_eq!(frames[frames.len() - 2..], ["ticket_deleted", "phx_close"]);
    assert_eq!((world.hub.census().rooms, world.hub.census().timers), (0, 0));
}

#[test]
fn what_has_passed_with_nobody_there_is_read_by_whoever_joins() {
    let mut log = Log::default();
    log.write(Comment);
    let stale = log.at_join(None);
    // Nothing has: it is not asked for.
    let mut world = World::new();
    world.join(public("carl").stream(stale.clone()));
    assert_eq!(world.asks.len(), 0);

    let news = [Note, Comment].map(|write| log.write(write));
    let told_here = |world: &mut World| news.iter().for_each(|it| tell(world, it.clone()));
    let perhaps = |world: &mut World| world.input(Input::At { topic: topic(TICKET), seq: 3 });
    let with_others = |world: &mut World| {
        let eve = world.join(staff("eve").stream(stale.clone()));
        news.iter().for_each(|it| tell(world, it.clone()));
        world.leave(eve);
    };
    let passes: [&dyn Fn(&mut World); 3] = [&told_here, &perhaps, &with_others];
    for pass in passes {
        let mut world = World::new();
        pass(&mut world);
        let carl = world.join(public("carl").stream(stale.clone()));
        log.serve(&mut world);
        assert_eq!(told(&mut world, carl), ["2 comment_created"]);
        // Whoever brings a newer reading has it all.
        world.leave(carl);
        world.asks.clear();
        let dora = world.join(public("dora").stream(log.at_join(None)));
        assert_eq!((world.asks.len(), &reply(&world, dora)["seq"]), (0, &json!(2)));
    }
    // Where more topics have gone on than are remembered, the log is asked, until readings are newer than that.
    let mut world = World::new();
    for n in 0..=8_192 {
        world.input(Input::At { topic: topic(&format!("tickets:{n}x")), seq: 1 });
    }
    for (wait_ms, asks) in [(0, 1), (60_001, 0)] {
        world.pass(wait_ms);
        let carl = world.join(public("carl").stream(stale.clone()));
        assert_eq!(std::mem::take(&mut world.asks).len(), asks);
        world.leave(carl);
    }
}

#[test]
fn what_is_kept_of_all_topics_has_a_bound_and_is_given_back() {
    let mut log = Log::default();
    let (mut world, eve, carl) = met(&log);
    for _ in 0..9_000 {
        tell(&mut world, log.write(Comment));
    }
    world.clear();
    // The last 64 are known here.
    for (since, recovered) in [(9_000 - 65, false), (9_000 - 64, true)] {
        let dora = world.join(public("dora").since(Since::After(since)).stream(AtJoin::Away));
        assert_eq!(reply(&world, dora)["recovered"], recovered);
        world.leave(dora);
    }
    world.leave(eve);
    world.leave(carl);
    world.settle();
    assert_eq!((world.hub.census().rooms, world.hub.census().timers), (0, 0));
}
