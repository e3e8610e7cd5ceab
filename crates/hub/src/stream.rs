//! Where a topic's stream is, and what was told of it lately.

use std::collections::{BTreeMap, VecDeque};

use penholder_presence::MonoMs;
use penholder_protocol::{Json, TopicName};

use crate::{Audience, News, Position, Stretch, Then};

/// Most events of one topic that are kept for those who come back soon. They only have to reach back to what
/// was read of the topic a moment ago; what is older comes from the log.
const KEPT_MAX: usize = 64;

/// Most events that a shard keeps of all its topics.
const LATELY_MAX: usize = 8_192;

/// Most bytes of them.
const LATELY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A topic's stream as far as it was told here.
#[derive(Debug)]
pub(crate) struct Stream {
    at: Position,
    then: Then,
    /// The largest number that was heard of.
    heard: u64,
    /// When the log is asked for what is missing once more; none when it was not asked, or has answered.
    pub(crate) ask_at: Option<MonoMs>,
    /// Where what is kept begins; it ends at `at`.
    kept_after: Position,
    kept: VecDeque<News>,
}

impl Stream {
    pub(crate) fn behind(at: Position) -> Self {
        Self {
            at,
            then: Then::GoesOn,
            heard: at.seq,
            ask_at: None,
            kept_after: at,
            kept: VecDeque::new(),
        }
    }

    pub(crate) fn at(&self) -> Position {
        self.at
    }

    pub(crate) fn is_over(&self) -> bool {
        self.then == Then::Ends
    }

    /// Notes that there is an event of this number; returns whether something is missing before its end.
    pub(crate) fn hear(&mut self, seq: u64) -> bool {
        self.heard = self.heard.max(seq);
        self.at.seq < self.heard
    }

    /// The log has told all it has: what else was heard of is not there.
    pub(crate) fn give_up(&mut self) {
        self.heard = self.at.seq;
    }

    /// The largest number that was heard of.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Whether something is missing that was heard of.
    pub(crate) fn is_behind(&self) -> bool {
        self.at.seq < self.heard
    }

    /// Goes on behind the next event.
    pub(crate) fn advance(&mut self, at: Position, then: Then) {
        (self.at, self.then) = (at, then);
        self.heard = self.heard.max(at.seq);
    }

    /// Keeps the event that it has just gone on behind; returns how many bytes that takes, and how many are free
    /// for it.
    pub(crate) fn keep(&mut self, news: News) -> (usize, usize) {
        let bytes = news.cost();
        self.kept.push_back(news);
        (bytes, if self.kept.len() > KEPT_MAX { self.forget() } else { 0 })
    }

    /// Forgets the event of this number, if it is the oldest that is kept; returns how many bytes that were.
    pub(crate) fn forget_oldest(&mut self, seq: u64) -> usize {
        let is_oldest = self.kept.front().is_some_and(|oldest| oldest.seq() == seq);
        if is_oldest { self.forget() } else { 0 }
    }

    fn forget(&mut self) -> usize {
        let Some(oldest) = self.kept.pop_front() else { return 0 };
        self.kept_after = self.kept_after.behind(&oldest);
        oldest.cost()
    }

    /// What an audience was told after the number `since`, with what was read of it for a join; none when
    /// that does not reach back so far.
    pub(crate) fn since(
        &self,
        lately: Option<&Stretch>,
        audience: Audience,
        since: u64,
    ) -> Option<Vec<(String, Json)>> {
        if self.kept_after.number(audience) <= since {
            return Some(told(self.kept_after, self.kept.iter(), (audience, since)));
        }
        let Stretch { after, news } = lately?;
        let end = news.last().map_or(after.seq, News::seq);
        if after.number(audience) > since || end < self.kept_after.seq {
            return None;
        }
        let read = news.iter().take_while(|news| news.seq() <= self.at.seq);
        let newer = self.kept.iter().filter(|news| news.seq() > end);
        Some(told(*after, read.chain(newer), (audience, since)))
    }
}

fn told<'a>(
    mut at: Position,
    news: impl Iterator<Item = &'a News>,
    (audience, since): (Audience, u64),
) -> Vec<(String, Json)> {
    let mut told = Vec::new();
    for news in news {
        at = at.behind(news);
        if at.number(audience) > since
            && let Some(payload) = news.payload(audience, at)
        {
            told.push((news.name().to_owned(), payload));
        }
    }
    told
}

/// The events that are kept of all topics, the oldest first, so that they have a bound together.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    /// The topic and the number of each, and of some that are gone already.
    events: VecDeque<(TopicName, u64)>,
    bytes: usize,
}

impl Lately {
    /// Notes an event that takes so many bytes, for which so many are free again.
    pub(crate) fn note(&mut self, event: (TopicName, u64), (bytes, freed): (usize, usize)) {
        self.events.push_back(event);
        self.bytes += bytes;
        self.give_back(freed);
    }

    /// The event that has to go.
    pub(crate) fn surplus(&mut self) -> Option<(TopicName, u64)> {
        let is_over = self.events.len() > LATELY_MAX || self.bytes > LATELY_BYTES_MAX;
        if is_over { self.events.pop_front() } else { None }
    }

    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A stream is not kept any more.
    pub(crate) fn drop_of(&mut self, stream: &Stream) {
        self.give_back(stream.kept.iter().map(News::cost).sum());
    }
}

/// How many topics are remembered that have gone on with nobody there.
const PASSED_MAX: usize = 8_192;

/// How old what was read for a join may be. Unit: milliseconds.
const READING_AGE_MS: u64 = 60_000;

/// How far topics have got that nobody is on: what was read of a topic before that, for somebody who joins after it, is
/// not all there is. So a topic that begins where it was read costs the log nothing when nothing has passed in between.
#[derive(Debug)]
pub(crate) struct Passed {
    now: MonoMs,
    /// By topic, when it was heard of last, and how far it was.
    last: BTreeMap<TopicName, (MonoMs, u64)>,
    /// The same in order of time, and some that are gone already.
    order: VecDeque<(MonoMs, TopicName)>,
    /// When a topic was forgotten before its time.
    forgot_at: Option<MonoMs>,
}

impl Passed {
    pub(crate) fn new(now: MonoMs) -> Self {
        Self { now, last: BTreeMap::new(), order: VecDeque::new(), forgot_at: None }
    }

    /// Notes what time it is.
    pub(crate) fn tick(&mut self, now: MonoMs) {
        self.now = now;
    }

    /// Notes that a topic has got to this event, with nobody there.
    pub(crate) fn note(&mut self, topic: &TopicName, seq: u64) {
        let before = self.last.get(topic).copied();
        let last = before.map_or(seq, |(_, last)| seq.max(last));
        self.last.insert(topic.clone(), (self.now, last));
        if before.is_some_and(|(at, _)| at == self.now) {
            return;
        }
        self.order.push_back((self.now, topic.clone()));
        while let Some((at, topic)) = self.order.front() {
            let is_old = self.now.since(*at) > READING_AGE_MS;
            if !is_old && self.order.len() <= PASSED_MAX {
                return;
            }
            if self.last.get(topic).is_some_and(|(last, _)| last == at) {
                self.last.remove(topic);
                self.forgot_at = if is_old { self.forgot_at } else { Some(self.now) };
            }
            self.order.pop_front();
        }
    }

    /// Whether a topic may have gone on after this event since it was read.
    pub(crate) fn may_follow(&self, topic: &TopicName, seq: u64) -> bool {
        self.forgot_at.is_some_and(|at| self.now.since(at) <= READING_AGE_MS)
            || self.last.get(topic).is_some_and(|(_, last)| *last > seq)
    }
}
