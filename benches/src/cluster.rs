//! Several replicas in virtual time, and the network between them.
//!
//! A message takes [`LATENCY_US`] and the time that its sender's link needs for its bytes, and arrives in
//! the order in which it was sent. It is lost across a cut, and when it is told to be lost. What the
//! replicas compute takes no virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use penholder_presence::{
    Footprint, Incarnation, Joining, Meta, MonoMs, Recipient, Replica, ReplicaConfig, ReplicaId,
    ReplicaInput, ReplicaOutput,
};

use crate::people::Names;

/// How long the way is, one way.
pub const LATENCY_US: u64 = 1_000;
/// What a sender's link takes: one Gbit/s.
pub const BYTES_PER_US: u64 = 125;

/// What was sent. A message to all counts once for each that it was sent to, lost or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Heartbeats.
    pub heartbeats: u64,
    /// Their bytes.
    pub heartbeat_bytes: u64,
    /// All other messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Replicas that talk to each other.
#[derive(Debug)]
pub struct Cluster {
    config: ReplicaConfig,
    now_us: u64,
    nodes: Vec<Node>,
    under_way: BinaryHeap<Reverse<Delivery>>,
    sent: u64,
    traffic: Traffic,
    /// The nodes before this one hear none of the others.
    cut: Option<usize>,
    /// The next message but a heartbeat to this node is lost.
    lose_to: Option<usize>,
}

#[derive(Debug)]
struct Node {
    id: ReplicaId,
    /// None while the process does not run.
    replica: Option<Replica>,
    /// When its link has sent everything.
    free_at_us: u64,
}

/// Ordered by time, then by when it was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at_us: u64,
    order: u64,
    to: usize,
    message: Bytes,
}

impl Cluster {
    /// Makes a cluster without replicas.
    #[must_use]
    pub fn new(config: ReplicaConfig) -> Self {
        Self {
            config,
            now_us: 0,
            nodes: Vec::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
            traffic: Traffic::default(),
            cut: None,
            lose_to: None,
        }
    }

    /// Makes a cluster of so many that agree, started one after the other at times by this seed: those
    /// that start together go on to send their heartbeats together.
    #[must_use]
    pub fn of(count: usize, seed: u64) -> Self {
        let mut cluster = Self::new(ReplicaConfig::default());
        for node in 0..count as u64 {
            cluster.add(seed);
            cluster.run_ms((seed * 389 + node * node * 173) % 1_000);
        }
        cluster.run_ms(3_000);
        cluster
    }

    /// Starts a further replica, and returns its number.
    pub fn add(&mut self, seed: u64) -> usize {
        let node = self.nodes.len();
        let id = ReplicaId::new(format!("gw-{node}"), Incarnation(1_790_000_000_000));
        self.nodes.push(Node { id, replica: None, free_at_us: 0 });
        self.start(node, seed);
        node
    }

    /// Ends the process of a node without a word, and starts the next.
    pub fn restart(&mut self, node: usize, seed: u64) {
        self.nodes[node].id.incarnation.0 += 1;
        self.start(node, seed);
    }

    fn start(&mut self, node: usize, seed: u64) {
        let id = self.nodes[node].id.clone();
        let seeds = (42, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(node as u64));
        let replica = Replica::new(self.config.clone(), id, seeds, self.now());
        self.nodes[node].replica = Some(replica);
        self.perform(node);
    }

    /// Returns the monotonic time of all replicas.
    #[must_use]
    pub fn now(&self) -> MonoMs {
        MonoMs(self.now_us / 1_000)
    }

    /// Returns the time in µs.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Returns a replica.
    ///
    /// # Panics
    ///
    /// When there is none of this number.
    #[must_use]
    pub fn replica(&self, node: usize) -> &Replica {
        self.nodes[node].replica.as_ref().expect("it runs")
    }

    /// Tracks somebody at a node.
    ///
    /// # Panics
    ///
    /// When they are there already.
    pub fn track(&mut self, node: usize, names: Names, meta: Meta) {
        let (Names { topic, key, session }, now) = (names, self.now());
        let joining = Joining { topic, key, session, meta };
        let diff = self.running(node).track(now, joining).expect("each is tracked once");
        assert!(!diff.is_empty());
        self.perform(node);
    }

    /// Untracks somebody at a node.
    ///
    /// # Panics
    ///
    /// When they are not there.
    pub fn untrack(&mut self, node: usize, names: &Names) {
        let now = self.now();
        let diff = self.running(node).untrack(now, &names.topic, &names.session);
        assert!(!diff.is_empty());
        self.perform(node);
    }

    /// Lets the nodes before `first` and the others hear nothing of each other.
    pub fn cut_before(&mut self, first: usize) {
        self.cut = Some(first);
    }

    /// Lets all hear all.
    pub fn heal(&mut self) {
        self.cut = None;
    }

    /// Loses the next message to a node that is no heartbeat.
    pub fn lose_next_to(&mut self, node: usize) {
        self.lose_to = Some(node);
    }

    /// Returns whether the message that is to be lost has been.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lose_to.is_none()
    }

    /// Returns what was sent since this was asked last.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// Lets so much time pass.
    pub fn run_ms(&mut self, ms: u64) {
        let end = self.now_us + ms * 1_000;
        while self.next_us().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now_us = end;
    }

    /// Lets time pass until all have the same and hide nobody; returns how long it took, in µs.
    ///
    /// # Panics
    ///
    /// When they do not agree within so many ms.
    pub fn run_until_agreed(&mut self, ms_max: u64) -> u64 {
        let start = self.now_us;
        while !self.agrees() {
            assert!(self.now_us - start < ms_max * 1_000, "no agreement within {ms_max} ms");
            self.step();
        }
        self.now_us - start
    }

    /// Returns whether all have seen the same, of all others, and hide nobody.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let running = || self.nodes.iter().filter_map(|node| node.replica.as_ref());
        let Some(first) = running().next() else { return true };
        let seen = first.set().context();
        running().all(|replica| {
            replica.set().context() == seen
                && replica.live_peers().count() + 1 == self.nodes.len()
                && replica.footprint().down == 0
        })
    }

    /// Ends the network, and returns the replicas that run.
    #[must_use]
    pub fn into_replicas(self) -> Vec<Replica> {
        self.nodes.into_iter().filter_map(|node| node.replica).collect()
    }

    /// Returns how much a replica holds.
    #[must_use]
    pub fn footprint(&self, node: usize) -> Footprint {
        self.replica(node).footprint()
    }

    fn running(&mut self, node: usize) -> &mut Replica {
        self.nodes[node].replica.as_mut().expect("it runs")
    }

    /// Returns when something happens next.
    fn next_us(&self) -> Option<u64> {
        let arrival = self.under_way.peek().map(|Reverse(delivery)| delivery.at_us);
        arrival.into_iter().chain(self.next_deadline().map(|(at_us, _)| at_us)).min()
    }

    fn next_deadline(&self) -> Option<(u64, usize)> {
        let deadlines = self.nodes.iter().zip(0..).filter_map(|(node, number)| {
            let deadline = node.replica.as_ref()?.next_deadline()?;
            Some(((deadline.0 * 1_000).max(self.now_us), number))
        });
        deadlines.min()
    }

    /// Does what happens next: messages before a tick of the same time.
    fn step(&mut self) {
        let deadline = self.next_deadline();
        let arrives = |delivery: &Delivery| deadline.is_none_or(|(at, _)| delivery.at_us <= at);
        if self.under_way.peek().is_some_and(|Reverse(delivery)| arrives(delivery)) {
            let Some(Reverse(delivery)) = self.under_way.pop() else { return };
            self.now_us = self.now_us.max(delivery.at_us);
            self.handle(delivery.to, ReplicaInput::Message(&delivery.message));
        } else if let Some((at_us, node)) = deadline {
            self.now_us = at_us;
            self.handle(node, ReplicaInput::Tick);
        }
    }

    fn handle(&mut self, node: usize, input: ReplicaInput<'_>) {
        let now = self.now();
        if let Some(replica) = &mut self.nodes[node].replica {
            replica.handle(now, input);
            self.perform(node);
        }
    }

    /// Sends what a node has to send.
    fn perform(&mut self, node: usize) {
        while let Some(output) = self.running(node).poll_output() {
            let ReplicaOutput::Send { to, message } = output else { continue };
            for other in 0..self.nodes.len() {
                let is_meant = match &to {
                    Recipient::All => other != node,
                    Recipient::One(name) => self.nodes[other].id.name == *name,
                };
                if is_meant {
                    self.send(node, other, message.clone());
                }
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Bytes) {
        let bytes = message.len() as u64;
        // The kind stands behind the version, in the part of a message that no version changes.
        let is_heartbeat = message.get(1) == Some(&2);
        let traffic = &mut self.traffic;
        let (messages, total) = match is_heartbeat {
            true => (&mut traffic.heartbeats, &mut traffic.heartbeat_bytes),
            false => (&mut traffic.messages, &mut traffic.bytes),
        };
        (*messages, *total) = (*messages + 1, *total + bytes);
        let link = &mut self.nodes[from].free_at_us;
        *link = self.now_us.max(*link) + bytes.div_ceil(BYTES_PER_US);
        let at_us = *link + LATENCY_US;
        if self.cut.is_some_and(|first| (from < first) != (to < first)) {
            return;
        }
        if !is_heartbeat && self.lose_to == Some(to) {
            self.lose_to = None;
            return;
        }
        self.sent += 1;
        self.under_way.push(Reverse(Delivery { at_us, order: self.sent, to, message }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{meta, names, topic_name};

    #[test]
    fn a_join_crosses_in_the_time_of_the_network() {
        let mut cluster = Cluster::of(3, 1);
        assert!(cluster.agrees());
        cluster.take_traffic();
        cluster.track(0, names(1, 1), meta(1));
        assert!(!cluster.agrees());
        // Sent at once after a pause, or with the heartbeat at latest within a gossip period.
        let took_us = cluster.run_until_agreed(1_000);
        assert!((LATENCY_US..=250_000 + 2 * LATENCY_US).contains(&took_us), "{took_us}");
        assert_eq!(cluster.take_traffic().messages, 2);
        assert_eq!(cluster.replica(2).set().list(&topic_name(1)).count(), 1);
    }

    #[test]
    fn a_cut_divides_and_a_lost_message_is_lost() {
        let mut cluster = Cluster::of(2, 1);
        cluster.cut_before(1);
        cluster.run_ms(6_000);
        assert!(!cluster.agrees(), "each hides the other");
        cluster.heal();
        cluster.run_until_agreed(3_000);
        cluster.lose_next_to(1);
        cluster.track(0, names(1, 1), meta(1));
        cluster.run_ms(10);
        assert!(cluster.has_lost() && !cluster.agrees());
        cluster.run_until_agreed(3_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_traffic() {
        let traffic = |seed| {
            let mut cluster = Cluster::of(3, seed);
            cluster.track(0, names(1, 1), meta(1));
            cluster.run_ms(10_000);
            (cluster.take_traffic(), cluster.now_us())
        };
        assert_eq!(traffic(5), traffic(5));
    }
}
