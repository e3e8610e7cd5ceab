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
//! - Whoever comes back gets what was missed right after the answer, or is told to fetch anew: never a part
//!   (`whoever_comes_back_hears_exactly_what_was_missed`).
//! - After the last event of a topic nobody is on it (`a_topic_ends_with_its_last_event`).
//! - What a replica has written before it died is told on the others
//!   (`what_a_replica_did_not_pass_on_is_read_when_it_is_gone`).

use std::sync::Arc;

use penholder_lease::{Event, InQueue, Pen};
use penholder_presence::{MonoMs, SessionId};
use penholder_protocol::encode::{self, Message};
use penholder_protocol::{Json, Namespace, Since, TopicName};
use serde::{Deserialize, Serialize};

use crate::hub::{Hub, Timer};
use crate::stream::Stream;
use crate::{Join, MemberId, Now, PenReply, PenTask};

/// When the log is asked again that has not answered. Unit: milliseconds.
const ASK_AGAIN_MS: u64 = 5_000;

/// Most events that whoever comes back is told at once.
const MISSED_MAX: usize = 200;

/// Most bytes of them: they fit into half of what is queued for a socket, with room for the answer. It would be
/// closed for being slow otherwise, and come back for the same again.
const MISSED_BYTES_MAX: usize = 96 * 1024;

/// Who hears what of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Those who work here: everything.
    Staff,
    /// Everybody else: all but what is the staff's alone. On most topics that is everything, too.
    Public,
}

impl Audience {
    pub(crate) const ALL: [Self; 2] = [Self::Staff, Self::Public];
}

/// A place in a topic's stream: behind so many events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many there were: the number of the last for the staff.
    pub seq: u64,
    /// How many of them were the staff's alone.
    pub staff_only: u64,
}

impl Position {
    /// The number of the last event for an audience.
    #[must_use]
    pub fn number(self, audience: Audience) -> u64 {
        match audience {
            Audience::Staff => self.seq,
            Audience::Public => self.seq.saturating_sub(self.staff_only),
        }
    }

    /// The place behind one more event.
    pub(crate) fn behind(self, news: &News) -> Self {
        let seq = news.seq();
        let staff_only = match news {
            News::Pen(_) => self.staff_only,
            News::Ticket(TicketNews { public: Some((number, _)), .. }) => {
                seq.saturating_sub(*number)
            }
            News::Ticket(TicketNews { public: None, .. }) => self.staff_only + 1,
        };
        Self { seq, staff_only }
    }

    /// The place before an event, as far as it shows from the event alone.
    fn before(topic: &TopicName, news: &News) -> Option<Self> {
        let seq = news.seq().saturating_sub(1);
        match news {
            News::Ticket(TicketNews { seq: told, public: Some((number, _)), .. }) => {
                Some(Self { seq, staff_only: told.saturating_sub(*number) })
            }
            // Elsewhere nothing is the staff's alone.
            _ if topic.namespace() != Namespace::Tickets => Some(Self { seq, staff_only: 0 }),
            _ => None,
        }
    }
}

/// A durable event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Something has happened to the pen.
    Pen(PenNews),
    /// Something has happened to a ticket.
    Ticket(TicketNews),
}

/// An event of a pen with its number in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PenNews {
    /// The number for the staff.
    pub seq: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An event of a ticket, as each audience is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketNews {
    /// The number for the staff.
    pub seq: u64,
    /// What it is called.
    pub name: String,
    /// What the staff is told, with that number in it.
    pub staff: Json,
    /// The number for the public, and what it is told; none when it is the staff's alone.
    pub public: Option<(u64, Json)>,
    /// Whether the topic goes on after it.
    pub then: Then,
}

/// What becomes of a topic after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// It goes on.
    GoesOn,
    /// It ends: what it was about is gone.
    Ends,
}

impl News {
    /// Its number for the staff.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Pen(news) => news.seq,
            Self::Ticket(news) => news.seq,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Pen(_) => "pen",
            Self::Ticket(news) => &news.name,
        }
    }

    /// What an audience is told of it; `at` is the place behind it. Nothing, when it is not for them.
    #[must_use]
    pub fn payload(&self, audience: Audience, at: Position) -> Option<Json> {
        match (self, audience) {
            (Self::Ticket(news), Audience::Staff) => Some(news.staff.clone()),
            (Self::Ticket(news), Audience::Public) => {
                news.public.as_ref().map(|(_, payload)| payload.clone())
            }
            (Self::Pen(PenNews { event, .. }), _) => {
                /// [`PenNews`], with the number of who is told.
                #[derive(Serialize)]
                struct Told<'a> {
                    seq: u64,
                    #[serde(flatten)]
                    event: &'a Event,
                }
                Some(Json::of(&Told { seq: at.number(audience), event }))
            }
        }
    }

    /// What it takes to keep it. Unit: bytes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Ticket(TicketNews { staff, public, .. }) => {
                staff.as_bytes().len() + public.as_ref().map_or(0, |it| it.1.as_bytes().len())
            }
            Self::Pen(PenNews { event, .. }) => {
                let said = event.reason.as_ref().map_or(0, String::len);
                size_of_val(self) + said + event.pen.queue.len() * size_of::<InQueue>()
            }
        }
    }

    fn is_for_all(&self) -> bool {
        !matches!(self, Self::Ticket(TicketNews { public: None, .. }))
    }

    fn then(&self) -> Then {
        match self {
            Self::Pen(_) => Then::GoesOn,
            Self::Ticket(news) => news.then,
        }
    }
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// They have just been written.
    Store,
    /// They were read from the log, and follow this place: what is missing before it is lost for good.
    Log(Position),
}

/// A part of a topic's stream, without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub after: Position,
    /// What follows, in order.
    pub news: Vec<News>,
}

impl Stretch {
    /// The end of it that whoever comes back can be told: what is more is not told in part.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let mut bytes: usize = self.news.iter().map(News::cost).sum();
        // Both audiences have as much.
        let surplus = self.news.iter().take_while(|news| {
            let is_surplus = bytes > 2 * MISSED_BYTES_MAX;
            bytes -= news.cost();
            is_surplus
        });
        let count = surplus.count();
        self.after = self.news.drain(..count).fold(self.after, |at, news| at.behind(&news));
        self
    }
}

/// A topic as the store had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where its stream was, or a little before.
    pub at: Position,
    /// Its pen.
    pub pen: Pen,
}

/// What was read of a topic for a join.
#[derive(Clone, Debug, Default)]
pub enum AtJoin {
    /// Nothing is kept here.
    #[default]
    None,
    /// The store is away.
    Away,
    /// The topic, and its last events up to there, where the client said since when.
    Read {
        /// The topic.
        reading: Reading,
        /// The last events, shared by all who come back together.
        lately: Option<Arc<Stretch>>,
    },
}

impl AtJoin {
    pub(crate) fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Read { reading, .. } => Some(reading),
            Self::None | Self::Away => None,
        }
    }
}

/// What a join reply says of the stream.
#[derive(Debug)]
pub(crate) struct Resumption {
    pub(crate) seq: u64,
    pub(crate) recovered: Option<bool>,
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
            let Some(room) = self.rooms.get_mut(topic) else { return };
            let stream = match &mut room.stream {
                Some(stream) => stream,
                none => match Position::before(topic, &news) {
                    Some(before) => none.insert(Stream::behind(before)),
                    None => {
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
        let Some(room) = self.rooms.get_mut(topic) else { return };
        match &mut room.stream {
            Some(stream) => {
                if stream.hear(seq) {
                    self.follow(now, topic);
                }
            }
            None => self.ask_pen(topic, PenTask::Follow(seq.saturating_sub(1))),
        }
    }

    /// Learns from a join where the topic is. What was written between the reading and now, or before it and
    /// not told here, comes from the log.
    pub(crate) fn join_stream(&mut self, now: Now, join: &Join) {
        let Some(reading) = join.stream.reading() else { return };
        let Some(room) = self.rooms.get_mut(&join.topic) else { return };
        let is_behind = match &mut room.stream {
            Some(stream) => stream.hear(reading.at.seq),
            None => {
                room.stream = Some(Stream::behind(reading.at));
                true
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
        let missed = match join.since {
            None => return Resumption { seq, recovered: None, missed: Vec::new() },
            Some(Since::Impossible) => None,
            Some(Since::After(since)) if since == seq => {
                // Of a store that is away nobody knows whether there is more.
                let is_known = stream.is_some() || !matches!(join.stream, AtJoin::Away);
                is_known.then(Vec::new)
            }
            Some(Since::After(since)) => stream
                .filter(|_| since < seq)
                .and_then(|stream| stream.since(lately(join), audience, since))
                .filter(|missed| fits(missed)),
        };
        let recovered = Some(missed.is_some());
        Resumption { seq, recovered, missed: missed.unwrap_or_default() }
    }

    /// Tells a newcomer what it has missed, right after the reply.
    pub(crate) fn tell_missed(&mut self, join: &Join, missed: &[(String, Json)]) {
        for (event, payload) in missed {
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
