//! What the store has of the topics: where their streams are, what was told on them lately, whose they are.
//!
//! When thousands come back at once the store is read in proportion to the topics, not to the people: what was
//! read a moment ago is good enough for a join, since the shard knows what it has told since.
//!
//! A join needs two things of the store. Where the topic is, and whose, is looked up anew each second, since rights
//! end; that of many topics is one statement. The last events are read where somebody has missed some, one statement
//! for each topic, and again only when the topic has gone on.

mod looks;
mod recent;
mod stretches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use penholder_desk::{
    Entry, Happened, Logged, LoggedEvent, Look, Owned, StoreError, Tickets, Told,
};
use penholder_hub::{
    AtJoin, Audience, News, PenNews, Position, Reading, Stretch, Then, TicketNews,
};
use penholder_protocol::{Json, Namespace, Since, TopicName};
use penholder_ticket::{EventName, TicketId};
use serde::Deserialize;
use tokio::time::timeout;

use self::looks::Looks;
use self::recent::Visits;
pub(crate) use self::recent::{About, Recent, Visit};
use self::stretches::Stretches;
use crate::pens::log_away;

/// Most events that a join or a shard gets at a time.
pub(crate) const EVENTS_MAX: u32 = 200;

/// Events that are read at first where those who asked for more get only as much as fits their part.
const AT_FIRST: u32 = 8;

/// The same once it is known how long they are, at most: the next may be longer.
const AT_ONCE_MAX: u32 = 50;

/// How long a join waits for the store: of an application's topic, which is joined without it then.
const JOIN_WAIT: Duration = Duration::from_millis(500);

/// The same of a topic of tickets, which cannot be joined without the store, nor resumed.
const TICKETS_WAIT: Duration = Duration::from_secs(2);

/// The same while the store has kept somebody waiting in vain: a connection joins its topics one after the other.
const STALLED_WAIT: Duration = Duration::from_millis(20);

/// The log of all topics. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    tickets: Tickets,
    visits: Arc<Visits>,
    looks: Arc<Looks>,
    stretches: Arc<Stretches>,
}

impl Log {
    pub(crate) fn new(tickets: &Tickets) -> Self {
        Self {
            tickets: tickets.clone(),
            visits: Arc::default(),
            looks: Arc::default(),
            stretches: Arc::default(),
        }
    }

    /// Forgets what was read some time ago.
    pub(crate) fn tidy(&self) {
        self.stretches.tidy();
    }

    /// Reads a topic as it is now.
    pub(crate) async fn reading(&self, topic: &TopicName) -> Result<Reading, StoreError> {
        let ticket = ticket_of(topic);
        let look = self.tickets.look(topic.as_str(), ticket).await?;
        Ok(recent(ticket, look).reading)
    }

    /// Reads events with numbers above `after`, in order. Where some are not kept any more it begins behind them.
    pub(crate) async fn stretch(
        &self,
        topic: &TopicName,
        after: u64,
        limit: u32,
    ) -> Result<Stretch, StoreError> {
        let stretch = self.tickets.stretch(topic.as_str(), after, limit).await?;
        let news = stretch.entries.into_iter().map(|entry| match entry {
            Entry::Ticket(told) => ticket_news(told),
            Entry::Pen(logged) => pen_news(logged),
        });
        Ok(Stretch { after: position(stretch.after), news: news.collect() })
    }

    /// Returns the number for an audience after which all is kept. Where nothing is kept, all that comes is.
    pub(crate) async fn start(
        &self,
        topic: &TopicName,
        audience: Audience,
    ) -> Result<u64, StoreError> {
        Ok(self.stretch(topic, 0, 1).await?.after.number(audience))
    }

    /// Reads what an audience has heard after a number, up to the end of a part.
    pub(crate) async fn replay(
        &self,
        topic: &TopicName,
        (audience, after): (Audience, u64),
        part: Part,
    ) -> Result<Replay, StoreError> {
        let audience = match audience {
            // Elsewhere both hear the same.
            Audience::Public if topic.namespace() == Namespace::Tickets => {
                penholder_ticket::Audience::Public
            }
            Audience::Public | Audience::Staff => penholder_ticket::Audience::Staff,
        };
        let (mut all, mut bytes) = (Vec::new(), 0);
        loop {
            let told = all.last().map_or(after, |last: &Heard| last.seq);
            let left = part.events_max.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
            let limit = left.min(part.at_once(all.len(), bytes));
            let read = self.tickets.events((topic.as_str(), audience), told, limit).await?;
            let (events, last) = match read {
                penholder_desk::Replay::Events { events, last } => (events, last),
                // Forgotten in between: whoever asks for what follows is told so.
                penholder_desk::Replay::Reset { last } if !all.is_empty() => (Vec::new(), last),
                penholder_desk::Replay::Reset { last } => return Ok(Replay::Reset { last }),
            };
            let is_read = events.len() < limit as usize || left == limit;
            for event in events {
                let heard = heard(event);
                bytes += heard.payload.as_bytes().len();
                all.push(heard);
                if bytes >= part.bytes_max {
                    break;
                }
            }
            if is_read || bytes >= part.bytes_max {
                let next = all.last().map(|heard| heard.seq).filter(|seq| *seq < last);
                return Ok(Replay::Heard { heard: all, next });
            }
        }
    }

    /// Looks at a topic as it was a moment ago, so that many who ask at once cost one read; none while the
    /// store is away. Whoever says what they have `heard` is shown the topic as it was later than that, if there ever
    /// was so much to hear.
    pub(crate) async fn visit(
        &self,
        topic: &TopicName,
        heard: Option<(Audience, u64)>,
    ) -> Option<Visit> {
        let reaches = |recent: &Recent| {
            heard.is_none_or(|(audience, since)| since <= recent.reading.at.number(audience))
        };
        let visit = self.visits.visit(topic, reaches, || {
            let (log, topic) = (self.clone(), topic.clone());
            async move {
                let looks = Arc::clone(&log.looks);
                looks.look(topic, move |topics| log.clone().look(topics)).await
            }
        });
        self.in_time(topic, visit).await
    }

    /// Waits for what is read for a join.
    async fn in_time<T>(
        &self,
        topic: &TopicName,
        read: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        let wait = self.patience(topic, Instant::now());
        let read = timeout(wait, read).await;
        if read.is_err() {
            self.waited_in_vain(wait, Instant::now());
        }
        read.ok().flatten()
    }

    /// How long whoever joins a topic waits for the store.
    fn patience(&self, topic: &TopicName, now: Instant) -> Duration {
        match topic.namespace() {
            _ if self.visits.are_stalled(now) => STALLED_WAIT,
            Namespace::Tickets => TICKETS_WAIT,
            _ => JOIN_WAIT,
        }
    }

    /// Notes that somebody has waited for so long. Whoever hardly did knows no more of the store than before.
    fn waited_in_vain(&self, wait: Duration, now: Instant) {
        if wait > STALLED_WAIT {
            self.visits.stall(now);
        }
    }

    /// All of it is of one moment: a ticket that is deleted after it was seen has its last event behind the reading.
    async fn look(self, topics: Vec<TopicName>) -> Vec<Option<Recent>> {
        let asked = || topics.iter().map(|topic| (topic.as_str(), ticket_of(topic)));
        match self.tickets.looks(&asked().collect::<Vec<_>>()).await {
            Ok(found) => {
                let read = |((_, ticket), look): (_, Result<_, _>)| {
                    look.inspect_err(log_away).ok().map(|look| recent(ticket, look))
                };
                asked().zip(found).map(read).collect()
            }
            Err(error) => {
                log_away(&error);
                vec![None; topics.len()]
            }
        }
    }

    /// What was read of a topic for somebody who joins it and has heard all until `since`.
    pub(crate) async fn at_join(
        &self,
        topic: &TopicName,
        visit: Option<&Visit>,
        (audience, since): (Audience, Option<Since>),
    ) -> AtJoin {
        let Some(visit) = visit else { return AtJoin::Away };
        let Recent { reading, .. } = visit.recent();
        let is_behind =
            matches!(since, Some(Since::After(after)) if after < reading.at.number(audience));
        let lately = async {
            let read = || {
                let (log, topic, last) = (self.clone(), topic.clone(), reading.at.seq);
                async move { log.lately(&topic, last).await }
            };
            if is_behind { visit.lately(read).await } else { None }
        };
        let lately = self.in_time(topic, lately).await;
        AtJoin::Read { reading: reading.clone(), lately }
    }

    /// What is read now has what came after the reading as well: a topic that was begun by whoever came later begins
    /// behind it. What was read before may end with the reading; whoever meets both fetches anew.
    async fn lately(&self, topic: &TopicName, last: u64) -> Option<Arc<Stretch>> {
        let known = self.stretches.up_to(topic, last);
        if known.is_some() {
            return known;
        }
        let after = last.saturating_sub(u64::from(EVENTS_MAX));
        let stretch = self.stretch(topic, after, 2 * EVENTS_MAX).await;
        let stretch = Arc::new(stretch.inspect_err(log_away).ok()?.shortened());
        self.stretches.keep(topic, &stretch);
        Some(stretch)
    }

    /// Notes what has just been written to a pen.
    pub(crate) fn put(&self, topic: &TopicName, reading: impl FnOnce() -> Reading) {
        if topic.namespace() == Namespace::Tickets {
            // How much of it is the staff's alone was not read.
            return self.forget(topic);
        }
        self.visits.put(topic, Recent { reading: reading(), about: About::Other });
    }

    /// Whoever looks at the topic from now on reads it anew.
    pub(crate) fn forget(&self, topic: &TopicName) {
        self.visits.forget(topic);
    }
}

/// How much of a log is read for somebody, who asks again for what follows: nobody knows how long events are, and
/// whoever is to get them may take their time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Most events.
    pub(crate) events_max: u32,
    /// It ends with the event that makes it as long as this. Unit: bytes.
    pub(crate) bytes_max: usize,
}

impl Part {
    /// How many events are read next, where so many had so many bytes.
    fn at_once(self, events: usize, bytes: usize) -> u32 {
        let left = self.bytes_max.saturating_sub(bytes).saturating_mul(events);
        let fit = left.checked_div(bytes).map(|fit| u32::try_from(fit).unwrap_or(u32::MAX));
        fit.map_or(AT_FIRST, |fit| fit.saturating_add(1).min(AT_ONCE_MAX))
    }
}

/// What the log has after a number.
#[derive(Debug)]
pub(crate) enum Replay {
    /// The events that follow, without a gap.
    Heard {
        /// In order, at least one where there is any.
        heard: Vec<Heard>,
        /// After which number there is more; none where this was all.
        next: Option<u64>,
    },
    /// They are not all kept any more, or the topic was never so far.
    Reset {
        /// The number of its last event.
        last: u64,
    },
}

/// An event as an audience has heard it.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Its number for them.
    pub(crate) seq: u64,
    /// What it is called.
    pub(crate) name: String,
    /// What the channel says.
    pub(crate) payload: Json,
}

fn heard(LoggedEvent { seq, what }: LoggedEvent) -> Heard {
    match what {
        Happened::Pen(event) => heard_of_pen(&Logged { seq, event: *event }),
        Happened::Ticket(payload) => {
            let payload = Json::trusted(payload);
            Heard { seq, name: event_of(&payload), payload }
        }
    }
}

fn heard_of_pen(logged: &Logged) -> Heard {
    Heard { seq: logged.seq, name: "pen".to_owned(), payload: Json::of(logged) }
}

/// What an event of a ticket calls itself.
fn event_of(payload: &Json) -> String {
    #[derive(Deserialize)]
    struct Named {
        event: String,
    }
    payload.parse_into().map_or_else(|_| String::new(), |named: Named| named.event)
}

/// Whether a topic has a pen: one of an application has, and a ticket's own.
pub(crate) fn has_pen(topic: &TopicName) -> bool {
    !topic.namespace().is_reserved() || ticket_of(topic).is_some()
}

/// The ticket that a topic is of.
pub(crate) fn ticket_of(topic: &TopicName) -> Option<TicketId> {
    penholder_ticket::ticket_of(topic.as_str())
}

fn recent(ticket: Option<TicketId>, look: Look) -> Recent {
    let about = match (ticket, look.ticket) {
        (None, _) => About::Other,
        (Some(_), None) => About::Nothing,
        (Some(_), Some(Owned { owner })) => About::Ticket { owner },
    };
    Recent { reading: Reading { at: position(look.at), pen: look.pen }, about }
}

fn position(position: penholder_desk::Position) -> Position {
    Position { seq: position.seq, staff_only: position.staff_only }
}

pub(crate) fn pen_news(Logged { seq, event }: Logged) -> News {
    News::Pen(PenNews { seq, event })
}

/// What a topic is told of a ticket. With the ticket its own topic ends.
pub(crate) fn ticket_news(told: Told) -> News {
    let is_own = penholder_ticket::ticket_of(&told.topic).is_some();
    let ends = told.name == EventName::TicketDeleted && is_own;
    News::Ticket(TicketNews {
        seq: told.seq_staff,
        name: told.name.as_str().to_owned(),
        staff: Json::trusted(told.staff),
        public: told.public.map(|(seq, payload)| (seq, Json::trusted(payload))),
        then: if ends { Then::Ends } else { Then::GoesOn },
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use penholder_desk::Pens;
    use penholder_lease::Policies;
    use penholder_ticket::Rules;

    use super::*;
    use crate::log::recent::STALLED_FOR;

    const MOMENT: Duration = Duration::from_millis(1);

    /// A log whose store is away, and says so at once.
    fn log() -> Log {
        Log::new(&Tickets::new(&Pens::unopened(Policies::default()), Rules::default()))
    }

    fn topics() -> [TopicName; 2] {
        ["doc:1", "tickets:all"].map(|name| TopicName::parse(name).unwrap())
    }

    #[test]
    fn a_store_that_stalls_is_hardly_waited_for_until_somebody_finds_out_anew() {
        let (log, topics, now) = (log(), topics(), Instant::now());
        let patience = |now| topics.each_ref().map(|topic| log.patience(topic, now));
        assert_eq!(patience(now), [JOIN_WAIT, TICKETS_WAIT]);
        log.waited_in_vain(JOIN_WAIT, now);
        assert_eq!(patience(now), [STALLED_WAIT; 2]);
        // Who waited for a moment only does not make it longer.
        log.waited_in_vain(STALLED_WAIT, now + STALLED_FOR - MOMENT);
        assert_eq!(patience(now + STALLED_FOR - MOMENT), [STALLED_WAIT; 2]);
        assert_eq!(patience(now + STALLED_FOR), [JOIN_WAIT, TICKETS_WAIT]);
        log.waited_in_vain(TICKETS_WAIT, now + STALLED_FOR);
        assert_eq!(patience(now + STALLED_FOR * 2 - MOMENT), [STALLED_WAIT; 2]);
    }

    #[test]
    fn as_many_events_are_read_as_are_likely_to_fit() {
        let part = Part { events_max: 1_000, bytes_max: 1_000_000 };
        for (events, bytes, expected) in [
            (0, 0, AT_FIRST),
            (8, 800, AT_ONCE_MAX),
            (8, 800_000, 3),
            (8, 960_000, 1),
            (1, 2_000_000, 1),
        ] {
            assert_eq!(part.at_once(events, bytes), expected, "{events} of {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_store_in_vain_spares_the_others() {
        let (log, [doc, tickets], start) = (log(), topics(), Instant::now());
        assert_eq!(log.in_time(&doc, pending::<Option<()>>()).await, None);
        assert!(start.elapsed() >= JOIN_WAIT);
        // As of before the end of the wait, however long ago that is.
        assert_eq!(log.patience(&tickets, start), STALLED_WAIT);
        // What is there all the same is heard.
        assert_eq!(log.in_time(&tickets, ready(Some(1))).await, Some(1));
    }

    #[tokio::test]
    async fn a_store_that_says_that_it_is_away_has_kept_nobody_waiting() {
        let (log, topics, now) = (log(), topics(), Instant::now());
        for topic in &topics {
            assert!(log.visit(topic, None).await.is_none());
        }
        assert_eq!(topics.map(|topic| log.patience(&topic, now)), [JOIN_WAIT, TICKETS_WAIT]);
    }
}
