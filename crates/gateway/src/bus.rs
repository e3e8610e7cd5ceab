//! How the shards of several replicas reach each other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use penholder_presence::{Recipient, ReplicaName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::telemetry::metrics;

/// How many messages wait for a shard at most. What finds no room is lost, as on any bus that does
/// not store: the shards notice by themselves and ask for what they lack.
const INBOX_LEN: usize = 4096;

/// How much of an inbox events may fill. A flood of them must leave room for presence: replicas that hear
/// nothing of each other take each other for dead. Unit: bytes.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an event counts at least, so that small ones take at most half of the places. Unit: bytes.
const EVENT_BYTES_MIN: usize = EVENT_BYTES_MAX / (INBOX_LEN / 2);

/// Carries messages between the shards of the same number on several replicas, at most once each. Those of one
/// shard to another, of whichever sort, arrive in the order in which they were sent.
pub trait Bus: fmt::Debug + Send + Sync {
    /// The messages for the shard `number` whose replica is called `name`, from now on. A second
    /// subscription of a name takes the place of the first.
    fn subscribe(&self, number: u64, name: &ReplicaName) -> Inbox;

    /// Sends a message of the shard `number` of `from` to those of other replicas. Never waits.
    fn publish(&self, number: u64, from: &ReplicaName, message: &Message);
}

/// What is sent over a bus.
#[derive(Clone, Debug)]
pub struct Message {
    /// To whom.
    pub to: Recipient,
    /// Who understands it.
    pub sort: Sort,
    /// What.
    pub body: Bytes,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Presence: what is lost is asked for.
    Presence,
    /// An event that is passed on: what is lost is lost.
    Event,
}

/// The messages that wait for a shard.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Waiting>);

/// Where a bus leaves the messages for a shard.
#[derive(Debug)]
pub struct Post {
    inbox: mpsc::Sender<Waiting>,
    event_room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    sort: Sort,
    body: Bytes,
    /// The room that it takes, given back when it is read.
    _room: Option<OwnedSemaphorePermit>,
}

impl Inbox {
    /// An inbox, and where to leave messages for it.
    #[must_use]
    pub fn new() -> (Post, Self) {
        let (inbox, messages) = mpsc::channel(INBOX_LEN);
        (Post { inbox, event_room: Arc::new(Semaphore::new(EVENT_BYTES_MAX)) }, Self(messages))
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next message; none when the bus has ended. Can be dropped without loss.
    pub(crate) async fn recv(&mut self) -> Option<(Sort, Bytes)> {
        self.0.recv().await.map(|Waiting { sort, body, .. }| (sort, body))
    }

    /// The next message, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<(Sort, Bytes)> {
        self.0.try_recv().ok().map(|Waiting { sort, body, .. }| (sort, body))
    }
}

impl Post {
    /// Leaves a message; without room for it, it is lost. Never waits.
    pub fn leave(&self, sort: Sort, body: Bytes) {
        let name = match sort {
            Sort::Presence => "presence",
            Sort::Event => "event",
        };
        if self.try_leave(sort, body).is_none() {
            metrics::bus_lost(name);
        }
    }

    fn try_leave(&self, sort: Sort, body: Bytes) -> Option<()> {
        let room = match sort {
            Sort::Presence => None,
            Sort::Event => {
                let bytes = body.len().clamp(EVENT_BYTES_MIN, EVENT_BYTES_MAX);
                let bytes = u32::try_from(bytes).ok()?;
                Some(Arc::clone(&self.event_room).try_acquire_many_owned(bytes).ok()?)
            }
        };
        self.inbox.try_send(Waiting { sort, body, _room: room }).ok()
    }

    /// Whether nobody reads any more what is left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}

/// A bus within one process, for tests of several replicas. It carries bytes, as any other would, so
/// that each message is encoded and decoded.
#[derive(Debug, Default)]
pub struct LocalBus {
    posts: Mutex<BTreeMap<(u64, ReplicaName), Post>>,
}

impl Bus for LocalBus {
    fn subscribe(&self, number: u64, name: &ReplicaName) -> Inbox {
        let (post, inbox) = Inbox::new();
        self.posts.lock().insert((number, name.clone()), post);
        inbox
    }

    fn publish(&self, number: u64, from: &ReplicaName, message: &Message) {
        let is_meant = |name: &ReplicaName| match &message.to {
            Recipient::All => name != from,
            Recipient::One(one) => name == one,
        };
        let mut posts = self.posts.lock();
        posts.retain(|_, post| !post.is_closed());
        for ((shard, name), post) in posts.iter() {
            if *shard == number && is_meant(name) {
                post.leave(message.sort, message.body.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: Recipient) -> Message {
        Message { to, sort: Sort::Presence, body: Bytes::from_static(b"hello") }
    }

    fn count(inbox: &mut Inbox) -> usize {
        std::iter::from_fn(|| inbox.try_recv()).count()
    }

    #[test]
    fn a_message_reaches_the_same_shard_of_those_who_are_meant() {
        let bus = LocalBus::default();
        let names = ["a", "b", "c"].map(ReplicaName::from);
        let mut inboxes = names.clone().map(|name| bus.subscribe(1, &name));
        let mut other = bus.subscribe(2, &names[1]);
        bus.publish(1, &names[0], &message(Recipient::All));
        bus.publish(1, &names[0], &message(Recipient::One(names[2].clone())));
        assert_eq!(inboxes.each_mut().map(count), [0, 1, 2]);
        assert_eq!(count(&mut other), 0);
    }

    #[test]
    fn both_sorts_come_in_the_order_in_which_they_were_left() {
        let (post, mut inbox) = Inbox::new();
        let sorts = [Sort::Event, Sort::Presence, Sort::Event];
        sorts.into_iter().for_each(|sort| post.leave(sort, Bytes::new()));
        assert_eq!(sorts.map(|_| inbox.try_recv().map(|(sort, _)| sort)), sorts.map(Some));
    }

    #[test]
    fn a_flood_of_events_leaves_room_for_presence_and_stays_within_its_bytes() {
        for length in [1, 100_000, EVENT_BYTES_MAX + 1] {
            let (post, mut inbox) = Inbox::new();
            let body = Bytes::from(vec![0; length]);
            let events =
                (0..INBOX_LEN).filter(|_| post.try_leave(Sort::Event, body.clone()).is_some());
            let events = events.count();
            assert!((1..=INBOX_LEN / 2).contains(&events), "{events} of {length} bytes");
            assert!(events == 1 || events * length <= EVENT_BYTES_MAX);
            for _ in 0..INBOX_LEN / 2 {
                assert!(post.try_leave(Sort::Presence, Bytes::new()).is_some());
            }
            // What is read makes room again.
            assert!(inbox.try_recv().is_some());
            assert!(post.try_leave(Sort::Event, body).is_some());
        }
    }
}
