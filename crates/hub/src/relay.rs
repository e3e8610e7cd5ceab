//! Events that pass from one replica to the others: what applications broadcast, who types, what has
//! happened to pens and tickets, whom to remove.
//!
//! Presence is state: it is gossiped until all have it. An event is said once, and passed on as it is said,
//! over the same bus and through the same shard of each replica; whoever misses it has missed it. So:
//!
//! - Nobody gets an event twice, or after a later one of the same sender, whatever the bus does
//!   (`what_a_bus_repeats_or_holds_back_is_told_once_and_in_order`); nor does it come back to the replica
//!   that said it (`an_event_does_not_come_back`).
//! - A newcomer has its snapshot before any event (`a_newcomer_has_its_snapshot_before_a_relayed_event`).
//!   Others may get an event before the presence of whoever caused it, which takes a gossip period.
//! - What was missed of a pen or a ticket is read from the log with the next event
//!   (`a_gap_between_relayed_events_of_a_pen_is_read_from_the_log`,
//!   `a_gap_between_relayed_events_of_a_ticket_is_read_from_the_log`), and an older event never replaces a newer
//!   one: their numbers decide, as they do for those of the own store.

mod codec;

use std::collections::BTreeMap;

use penholder_presence::{
    Company, Incarnation, PeerEvent, Recipient, ReplicaId, ReplicaName, SessionId, Topic,
};
use penholder_protocol::{TopicName, TypingEvent};

use self::codec::{Envelope, Event, RELAY_HEAD_BYTES_MAX};
use crate::hub::Hub;
use crate::{Broadcast, News, Now, Output, Source};

/// What a shard has said and heard of events.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// How many events were said.
    said: u64,
    /// The last event of each other replica that was heard.
    heard: BTreeMap<ReplicaName, (Incarnation, u64)>,
}

impl Relay {
    /// Notes an event; returns whether it is news.
    fn hear(&mut self, from: &ReplicaId, seq: u64) -> bool {
        let heard = (from.incarnation, seq);
        let last = self.heard.entry(from.name.clone()).or_insert((Incarnation(0), 0));
        let is_news = *last < heard;
        if is_news {
            *last = heard;
        }
        is_news
    }

    /// Forgets a replica that is gone for good.
    pub(crate) fn forget(&mut self, event: &PeerEvent) {
        if let PeerEvent::Gone(replica) | PeerEvent::Left(replica) = event
            && self.heard.get(&replica.name).is_some_and(|(life, _)| *life <= replica.incarnation)
        {
            self.heard.remove(&replica.name);
        }
    }
}

impl Hub {
    pub(crate) fn relay_broadcast(&mut self, topic: &TopicName, broadcast: &Broadcast) {
        self.pass_on(Recipient::All, topic, Event::Broadcast(broadcast.clone()));
    }

    /// Passes on whether a session of this replica types: of one that has gone on elsewhere, others are told
    /// from there.
    pub(crate) fn relay_typing(&mut self, topic: &TopicName, event: &TypingEvent) {
        let session = SessionId::from(event.session.as_str());
        let shown = self.replica.set().session(&Topic::from(topic.as_str()), &session);
        if shown.is_some_and(|presence| presence.dot.replica.name == self.config.replica.name) {
            self.pass_on(Recipient::All, topic, Event::Typing(event.clone()));
        }
    }

    /// Passes on what was written here. What was read from the log has been passed on by whoever wrote it.
    pub(crate) fn relay_news(&mut self, topic: &TopicName, source: Source, news: &[News]) {
        if source != Source::Store || self.config.gossip.company == Company::Alone {
            return;
        }
        for news in news {
            let is_said = self.pass_on(Recipient::All, topic, Event::News(Box::new(news.clone())));
            if !is_said {
                self.pass_on(Recipient::All, topic, Event::At(news.seq()));
            }
        }
    }

    /// Passes on that a topic may have got to an event.
    pub(crate) fn relay_at(&mut self, topic: &TopicName, seq: u64) {
        self.pass_on(Recipient::All, topic, Event::At(seq));
    }

    /// Asks the replica that shows a session to remove it.
    pub(crate) fn relay_kick(&mut self, topic: &TopicName, id: &SessionId) {
        let shown = self.replica.set().session(&Topic::from(topic.as_str()), id);
        if let Some(presence) = shown {
            let owner = presence.dot.replica.name.clone();
            self.pass_on(Recipient::One(owner), topic, Event::Kick(id.clone()));
        }
    }

    /// Passes an event on; returns whether it was short enough.
    fn pass_on(&mut self, to: Recipient, topic: &TopicName, event: Event) -> bool {
        if self.config.gossip.company == Company::Alone {
            return true;
        }
        let seq = self.relay.said + 1;
        let from = self.config.replica.clone();
        let message = Envelope { from, seq, topic: topic.clone(), event }.encode();
        if message.len() > self.relay_bytes_max() {
            return false;
        }
        self.relay.said = seq;
        self.outputs.push_back(Output::Relay { to, message });
        true
    }

    /// Takes an event of another replica. It judges nobody and ends no session but by a `Kick`.
    pub(crate) fn take_relayed(&mut self, now: Now, message: &[u8]) {
        let read = Some(message).filter(|message| message.len() <= self.relay_bytes_max());
        let Some(Ok(Envelope { from, seq, topic, event })) = read.map(Envelope::decode) else {
            self.tally.unread += 1;
            return;
        };
        if from.name == self.config.replica.name || !self.relay.hear(&from, seq) {
            return;
        }
        match event {
            Event::Broadcast(broadcast) => self.spread(&topic, &broadcast, None),
            Event::Typing(typing) => self.typed(&topic, &typing, None),
            Event::News(news) => self.take_news(now, &topic, (Source::Store, vec![*news]), None),
            Event::At(seq) => self.catch_up(now, &topic, seq),
            Event::Kick(session) => {
                self.kick_here(now, &topic, &session);
            }
        }
        self.settle(now);
    }

    /// The longest event that is passed on or taken: what a client may say fits.
    fn relay_bytes_max(&self) -> usize {
        let message_max = usize::try_from(self.config.limits.message_max).unwrap_or(usize::MAX);
        message_max.saturating_add(RELAY_HEAD_BYTES_MAX)
    }
}
