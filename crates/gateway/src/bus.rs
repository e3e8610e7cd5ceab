//! How the shards of several replicas reach each other.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use parking_lot::Mutex;
use penholder_presence::{Recipient, ReplicaName};
use tokio::sync::mpsc;

/// How many messages wait for a shard at most. What finds no room is lost, as on any bus that does
/// not store: the shards notice by themselves and ask for what they lack.
const INBOX_LEN: usize = 4096;

/// Carries messages between the shards of the same number on several replicas, at most once each.
pub trait Bus: fmt::Debug + Send + Sync {
    /// The messages for the shard `number` whose replica is called `name`, from now on. A second
    /// subscription of a name takes the place of the first.
    fn subscribe(&self, number: u64, name: &ReplicaName) -> mpsc::Receiver<Bytes>;

    /// Sends a message of the shard `number` of `from` to those of other replicas. Never waits.
    fn publish(&self, number: u64, from: &ReplicaName, sent: (&Recipient, &Bytes));
}

/// A bus within one process, for tests of several replicas. It carries bytes, as any other would, so
/// that each message is encoded and decoded.
#[derive(Debug, Default)]
pub struct LocalBus {
    inboxes: Mutex<BTreeMap<(u64, ReplicaName), mpsc::Sender<Bytes>>>,
}

impl Bus for LocalBus {
    fn subscribe(&self, number: u64, name: &ReplicaName) -> mpsc::Receiver<Bytes> {
        let (inbox, messages) = mpsc::channel(INBOX_LEN);
        self.inboxes.lock().insert((number, name.clone()), inbox);
        messages
    }

    fn publish(&self, number: u64, from: &ReplicaName, (to, message): (&Recipient, &Bytes)) {
        let is_meant = |name: &ReplicaName| match to {
            Recipient::All => name != from,
            Recipient::One(one) => name == one,
        };
        let mut inboxes = self.inboxes.lock();
        inboxes.retain(|_, inbox| !inbox.is_closed());
        for ((shard, name), inbox) in inboxes.iter() {
            if *shard == number && is_meant(name) {
                // Full: lost, and healed by the next heartbeat.
                inbox.try_send(message.clone()).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_the_same_shard_of_those_who_are_meant() {
        let bus = LocalBus::default();
        let names = ["a", "b", "c"].map(ReplicaName::from);
        let mut inboxes = names.clone().map(|name| bus.subscribe(1, &name));
        let mut other = bus.subscribe(2, &names[1]);
        let message = Bytes::from_static(b"hello");
        bus.publish(1, &names[0], (&Recipient::All, &message));
        bus.publish(1, &names[0], (&Recipient::One(names[2].clone()), &message));
        let counts =
            inboxes.each_mut().map(|inbox| std::iter::from_fn(|| inbox.try_recv().ok()).count());
        assert_eq!(counts, [0, 1, 2]);
        assert!(other.try_recv().is_err());
    }
}
