//! The durable events of a topic: told once each, in the order of their numbers, to whom they are for.
//!
//! The store numbers them and keeps them; a shard hears of each from whoever wrote it, here or on another
//! replica, and tells it on.
//!
//! - Nobody is told an event twice or after a later one, whatever comes twice or late on the way
//!   (`events_are_told_once_and_in_order`). What is missing is read from the log before anything later is told
//!   (`a_gap_is_read_from_the_log_first`).
//! - An event of the staff's alone costs the public no byte, no number and no moment: nothing else comes earlier
//!   for it (`the_public_hears_the_same_with_and_without_notes`).
//! - Whoever joins where nobody is hears what has passed since the topic was read
//!   (`what_has_passed_with_nobody_there_is_read_by_whoever_joins`).
//! - Whoever comes back gets what was missed right after the answer, or is told to fetch anew: never a part
//!   (`whoever_comes_back_hears_exactly_what_was_missed`).
//! - Whoever has heard more elsewhere than was told here hears what follows that, and nothing of it again
//!   (`whoever_has_heard_more_than_was_told_here_hears_what_follows`).
//! - After the last event of a topic nobody is on it (`a_topic_ends_with_its_last_event`).
//! - What a replica has written before it died is told on the others
//!   (`what_a_replica_did_not_pass_on_is_read_when_it_is_gone`).

use penholder_lease::Pen;
use penholder_presence::{MonoMs, SessionId};
use penholder_protocol::encode::{self, Message};
use penholder_protocol::{Json, Namespace, Since, TopicName};

use crate::hub::{Hub, Timer};
use crate::news::MISSED_BYTES_MAX;
use crate::stream::Stream;
use crate::{
    AtJoin, Join, MemberId, News, Now, PenNews, PenReply, PenTask, Position, Source, Stretch, Then,
};

/// When the log is asked again that has not answered. Unit: milliseconds.
const ASK_AGAIN_MS: u64 = 5_000;

/// Most events that whoever comes back is told at once.
const MISSED_MAX: usize = 200;

/// What a join reply says of the stream.
#[derive(Debug)]
pub(crate) struct Resumption {
    /// The number that the member hears on from.
    pub(crate) seq: u64,
    pub(crate) recovered: Option<bool>,
    /// The pen, where what is known of it here is older than what the client has heard.
    pub(crate) pen: Option<Pen>,
    /// What was missed: events, with what this audience is told.
    pub(crate) missed: Vec<(String, Json)>,
}

impl Hub {
    /// Takes what the store says: tells everybody on the topic, then answers whoever asked.
    pub(crate) fn take_news(
        &mut self,
        now: Now,
        topic: &TopicName,
        (source, news): (Source, Vec<News>),
        reply: Option<PenReply>,
    ) {
        match source {
            Source::Store => self.take_written(now, topic, news),
            Source::Log(after) => self.take_logged(now, topic, (after, news)),
        }
        if let Some(PenReply { asker, result }) = reply {
            self.respond(asker.member, asker.reference.as_ref(), result);
        }
    }

    fn take_written(&mut self, now: Now, topic: &TopicName, news: Vec<News>) {
        for news in news {
            let Some(room) = self.rooms.get_mut(topic) else {
                self.passed.note(topic, news.seq());
                continue;
            };
            let stream = match &mut room.stream {
                Some(stream) => stream,
                none => match Position::before(topic, &news) {
                    Some(before) => none.insert(Stream::behind(before)),
                    None => {
                        self.passed.note(topic, news.seq());
                        // What was the staff's alone before it is for the log to say.
                        return self.ask_pen(topic, PenTask::Follow(news.seq().saturating_sub(1)));
                    }
                },
            };
            let next = stream.at().seq + 1;
            if news.seq() > next {
                stream.hear(news.seq());
                self.follow(now, topic);
            } else if news.seq() == next {
                self.tell_news(now, topic, news);
            }
        }
    }

    fn take_logged(&mut self, now: Now, topic: &TopicName, (after, news): (Position, Vec<News>)) {
        self.go_on_from(now, topic, after);
        let place = |hub: &Self| Some(hub.rooms.get(topic)?.stream.as_ref()?.at().seq);
        let before = place(self);
        for news in news {
            if place(self).is_some_and(|seen| news.seq() == seen + 1) {
                self.tell_news(now, topic, news);
            }
        }
        let is_news = place(self) != before;
        let Some(stream) = self.rooms.get_mut(topic).and_then(|room| room.stream.as_mut()) else {
            return;
        };
        let planned = stream.ask_at.take();
        if !is_news {
            stream.give_up();
        }
        let is_behind = stream.is_behind();
        self.unplan_follow(topic, planned);
        if is_behind {
            self.follow(now, topic);
        }
    }

    /// Asks the log for what is missing, until it answers.
    pub(crate) fn follow(&mut self, now: Now, topic: &TopicName) {
        let Some(stream) = self.rooms.get_mut(topic).and_then(|room| room.stream.as_mut()) else {
            return;
        };
        if stream.ask_at.is_some() {
            return;
        }
        let (seen, again_at) = (stream.at().seq, now.mono.after(ASK_AGAIN_MS));
        stream.ask_at = Some(again_at);
        self.timers.insert((again_at, Timer::Follow(topic.clone())));
        self.ask_pen(topic, PenTask::Follow(seen));
    }

    /// A replica is gone, and may have written what it did not pass on: the log knows.
    pub(crate) fn follow_all(&mut self, now: Now) {
        let used = self.rooms.iter().filter(|(_, room)| !room.seats.is_empty());
        let topics: Vec<TopicName> = used.map(|(topic, _)| topic.clone()).collect();
        topics.iter().for_each(|topic| self.follow(now, topic));
    }

    /// The log has not answered.
    pub(crate) fn follow_again(&mut self, now: Now, topic: &TopicName) {
        if let Some(stream) = self.rooms.get_mut(topic).and_then(|room| room.stream.as_mut()) {
            stream.ask_at = None;
            self.follow(now, topic);
        }
    }

    pub(crate) fn unplan_follow(&mut self, topic: &TopicName, at: Option<MonoMs>) {
        if let Some(at) = at {
            self.timers.remove(&(at, Timer::Follow(topic.clone())));
        }
    }

    /// The log goes on from here. What is missing before it is gone, so those who wait for it have to come
    /// back and be told so; but for an application's topic, where all there is are events of the pen, of which
    /// the last says everything.
    fn go_on_from(&mut self, now: Now, topic: &TopicName, after: Position) {
        let Some(room) = self.rooms.get_mut(topic) else { return };
        let is_gap = room.stream.as_ref().is_some_and(|stream| stream.at().seq < after.seq);
        if room.stream.is_some() && !is_gap {
            return;
        }
        let old = room.stream.replace(Stream::behind(after));
        let members: Vec<MemberId> = room.seats.keys().copied().collect();
        self.drop_stream(topic, old);
        if is_gap && topic.namespace() == Namespace::Tickets {
            for member in members {
                self.break_off(now, member);
            }
        }
    }

    /// Forgets what is kept of a stream.
    pub(crate) fn drop_stream(&mut self, topic: &TopicName, stream: Option<Stream>) {
        let Some(stream) = stream else { return };
        self.unplan_follow(topic, stream.ask_at);
        self.lately.drop_of(&stream);
    }

    fn tell_news(&mut self, now: Now, topic: &TopicName, news: News) {
        // To whoever waits for a snapshot a note is one more event that was missed. To send the snapshot for
        // it would show the public that there is one.
        if news.is_for_all() {
            self.settle_newcomers(topic);
        }
        let Some(room) = self.rooms.get_mut(topic) else { return };
        let Some(stream) = &mut room.stream else { return };
        let at = stream.at().behind(&news);
        stream.advance(at, news.then());
        let outputs = room.report(&news, at);
        self.outputs.extend(outputs);
        if let News::Pen(PenNews { event, .. }) = &news {
            self.know_pen(now, topic, event);
        }
        let then = news.then();
        self.remember(topic, news);
        if then == Then::Ends {
            self.end_topic(now, topic);
        }
    }

    /// Keeps an event for those who come back soon, in the place of the oldest of the shard where there is no
    /// room.
    fn remember(&mut self, topic: &TopicName, news: News) {
        let Some(stream) = self.rooms.get_mut(topic).and_then(|room| room.stream.as_mut()) else {
            return;
        };
        let event = (topic.clone(), news.seq());
        self.lately.note(event, stream.keep(news));
        while let Some((topic, seq)) = self.lately.surplus() {
            let stream = self.rooms.get_mut(&topic).and_then(|room| room.stream.as_mut());
            self.lately.give_back(stream.map_or(0, |stream| stream.forget_oldest(seq)));
        }
    }

    /// What a topic was about is gone: nobody stays, and nobody is waited for.
    fn end_topic(&mut self, now: Now, topic: &TopicName) {
        let room = self.rooms.get(topic);
        let members: Vec<MemberId> =
            room.into_iter().flat_map(|room| room.seats.keys().copied()).collect();
        for member in members {
            self.expel(now, member);
        }
        let left = self.sessions.iter().filter(|(_, session)| session.topic == *topic);
        let left: Vec<SessionId> = left.map(|(id, _)| id.clone()).collect();
        for session in left {
            self.end_session(now, &session);
        }
    }

    /// A member's stream cannot go on: its channel crashes, and its client joins again.
    fn break_off(&mut self, now: Now, member: MemberId) {
        let frame = self
            .seat_of(member)
            .map(|(topic, seat)| encode::error(seat.wire, seat.join_ref.as_ref(), topic.as_str()));
        if let Some(frame) = frame {
            self.deliver(member, frame);
        }
        self.lose(now, member);
    }

    /// A topic has got to this event, which cannot be told from here.
    pub(crate) fn catch_up(&mut self, now: Now, topic: &TopicName, seq: u64) {
        let Some(room) = self.rooms.get_mut(topic) else { return self.passed.note(topic, seq) };
        match &mut room.stream {
            Some(stream) => {
                if stream.hear(seq) {
                    self.follow(now, topic);
                }
            }
            None => {
                self.passed.note(topic, seq);
                self.ask_pen(topic, PenTask::Follow(seq.saturating_sub(1)));
            }
        }
    }

    /// Learns from a join where the topic is. What was written between the reading and now, or before it and
    /// not told here, comes from the log, which is asked where anything was heard of that.
    pub(crate) fn join_stream(&mut self, now: Now, join: &Join) {
        let Some(reading) = join.stream.reading() else { return };
        let Some(room) = self.rooms.get_mut(&join.topic) else { return };
        let is_behind = match &mut room.stream {
            Some(stream) => stream.hear(reading.at.seq),
            None => {
                room.stream = Some(Stream::behind(reading.at));
                self.passed.may_follow(&join.topic, reading.at.seq)
            }
        };
        if is_behind {
            self.follow(now, &join.topic);
        }
    }

    /// What the reply to a join says of the stream, and what follows it.
    pub(crate) fn resumption(&self, join: &Join) -> Resumption {
        let audience = join.audience;
        let stream = self.rooms.get(&join.topic).and_then(|room| room.stream.as_ref());
        let seq = stream.map_or(0, |stream| stream.at().number(audience));
        let (pen, missed) = (None, Vec::new());
        let missed = match join.since {
            None => return Resumption { seq, recovered: None, pen, missed },
            Some(Since::Impossible) => None,
            Some(Since::After(since)) if since == seq => {
                // Of a store that is away nobody knows whether there is more.
                let is_known = stream.is_some() || !matches!(join.stream, AtJoin::Away);
                is_known.then(Vec::new)
            }
            Some(Since::After(since)) if since > seq => {
                let reading = join.stream.reading();
                let Some(reading) = reading.filter(|it| since <= it.at.number(audience)) else {
                    return Resumption { seq, recovered: Some(false), pen, missed };
                };
                // It was told elsewhere before it could be told here.
                let pen = Some(reading.pen.clone());
                return Resumption { seq: since, recovered: Some(true), pen, missed };
            }
            Some(Since::After(since)) => stream
                .and_then(|stream| stream.since(lately(join), audience, since))
                .filter(|missed| fits(missed)),
        };
        let recovered = Some(missed.is_some());
        Resumption { seq, recovered, pen, missed: missed.unwrap_or_default() }
    }

    /// Tells a newcomer what it has missed, right after the reply. What comes from now on is told from there.
    pub(crate) fn tell_missed(&mut self, join: &Join, resumption: &Resumption) {
        let room = self.rooms.get_mut(&join.topic);
        if let Some(seat) = room.and_then(|room| room.seats.get_mut(&join.member)) {
            seat.heard = resumption.seq;
        }
        for (event, payload) in &resumption.missed {
            let message = Message { topic: join.topic.as_str(), event, payload };
            let body = encode::push(join.wire, join.join_ref.as_ref(), &message);
            self.deliver(join.member, body);
        }
    }

    /// Sends a newcomer away from a topic that has ended while it was on its way.
    pub(crate) fn leave_ended(&mut self, now: Now, join: &Join) {
        let stream = self.rooms.get(&join.topic).and_then(|room| room.stream.as_ref());
        if stream.is_some_and(Stream::is_over) {
            self.expel(now, join.member);
        }
    }
}

fn lately(join: &Join) -> Option<&Stretch> {
    match &join.stream {
        AtJoin::Read { lately, .. } => lately.as_deref(),
        AtJoin::None | AtJoin::Away => None,
    }
}

fn fits(missed: &[(String, Json)]) -> bool {
    let bytes: usize = missed.iter().map(|(_, payload)| payload.as_bytes().len()).sum();
    missed.len() <= MISSED_MAX && bytes <= MISSED_BYTES_MAX
}
