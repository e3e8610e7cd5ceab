//! Anti-entropy: what makes the sets of several processes equal, whatever happens to their messages.
//!
//! A [`Replica`] is a [`PresenceSet`] with everything that one process needs to keep it equal to the
//! others': it gathers what happened here into messages, says from time to time what it has seen, asks
//! whoever has what it lacks, answers who lacks something, and judges who is there.
//!
//! # The idea
//!
//! Each replica numbers its operations, and everybody takes in the operations of one replica *in their
//! order*: a delta that came too early waits until the gap before it is closed. So what a replica has of
//! another is always what that one was after some operation, and one number per replica says which.
//! These numbers are the digest in every heartbeat. A number that is smaller than somebody else's is a
//! lack, and is asked for; nothing else has to happen first.
//!
//! The answer is the stored deltas that are lacking, as they were sent, or where they are not stored any
//! more or are larger, the state: what lives on and what is gone, without that which the asker has. It
//! comes in chunks, and is taken in when all of them are there.
//!
//! # The run loop
//!
//! ```
//! use penholder_presence::{
//!     Incarnation, Joining, Meta, MonoMs, Replica, ReplicaConfig, ReplicaId, ReplicaInput,
//!     ReplicaOutput, Topic,
//! };
//!
//! let replica = |name| {
//!     let id = ReplicaId::new(name, Incarnation(1));
//!     Replica::new(ReplicaConfig::default(), id, (7, 11), MonoMs(0))
//! };
//! let (mut ada, mut bob) = (replica("gw-1"), replica("gw-2"));
//! let topic = Topic::from("tickets:42");
//! let joining = Joining {
//!     topic: topic.clone(),
//!     key: "ada".into(),
//!     session: "s1".into(),
//!     meta: Meta::default(),
//! };
//! let diff = ada.track(MonoMs(0), joining)?;      // for the observers here
//! assert!(!diff.is_empty());
//!
//! ada.handle(MonoMs(250), ReplicaInput::Tick);    // its deadline has passed
//! while let Some(output) = ada.poll_output() {    // drained before the next input
//!     if let ReplicaOutput::Send { message, .. } = output {
//!         bob.handle(MonoMs(900), ReplicaInput::Message(&message));
//!     }
//! }
//! assert_eq!(bob.set().list(&topic).count(), 1);
//! assert!(ada.next_deadline().is_some(), "the driver sleeps until then");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The driver's contract
//!
//! - `now` is monotonic, of one clock, and never goes back.
//! - After each call [`poll_output`](Replica::poll_output) is called until it returns none, and each
//!   output performed in order. [`next_deadline`](Replica::next_deadline) is asked again after that.
//! - Messages that wait are handed over before a `Tick`: who is judged by what the inbox holds is judged
//!   wrongly.
//! - Each start has a larger [`Incarnation`](crate::Incarnation), also after a crash.
//!
//! # Invariants, and the tests that fail without them
//!
//! - A replica's entries here are those it had after one of its operations: `any_schedule_heals`.
//! - A life that is over does not come back: `a_forgotten_replica_is_not_resurrected_by_others`,
//!   `a_late_message_of_the_old_life_changes_nothing`.
//! - Nothing grows with restarts: `a_thousand_restarts_leave_no_trace`.
//! - Same inputs and seeds, same outputs, byte for byte: `same_inputs_same_outputs`.
//!
//! # Sources
//!
//! Almeida, Shoker, Baquero, *Delta State Replicated Data Types*, 2018, section 5.2: delta-intervals,
//! and the *causal delta-merging condition*, by which one is joined only into a state that has all that
//! came before it. `Deviation:` per owner instead of per pair of replicas, so any replica can answer
//! for any other. `Deviation:` a gap is closed by asking, not by acknowledging. `Deviation:` a state is
//! sent relative to what its receiver has; the nearest in print is the digest-driven synchronisation of
//! Enes, Almeida, Baquero, Leitão, *Efficient Synchronization of State-based CRDTs*, 2019.
//!
//! Randomness: the phase of the heartbeats, drawn once by SplitMix64 (Steele, Lea, Flood, 2014).

mod certainty;
mod config;
mod history;
mod judge;
mod linger;
mod message;
mod output;
mod peers;
mod receive;
mod repair;
mod send;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::certainty::Unsettled;
pub use self::config::{Company, Keep, ReplicaConfig};
use self::history::History;
use self::linger::Lingering;
#[cfg(feature = "fuzzing")]
pub use self::message::Message;
use self::message::Want;
pub use self::output::{
    Answer, Footprint, Joining, PeerEvent, Recheck, Recipient, ReplicaInput, ReplicaOutput,
};
use self::peers::Peers;
use self::repair::Request;
use self::snapshot::{Snapshots, Staged};
use crate::delta::Delta;
use crate::diff::{Change, Diff};
use crate::dot::{Incarnation, ReplicaId};
use crate::entry::Presence;
use crate::meta::Meta;
use crate::name::{ReplicaName, SessionId, Topic};
use crate::set::{AlreadyTracked, NotTracked, PresenceSet};
use crate::summary::Certainty;
use crate::time::MonoMs;
use crate::traps::{Trap, Traps};

/// How many operations are gathered at most, however late the deadline is kept.
const UNSENT_MAX: usize = 4_096;

/// One replica of the presence set: the set, and the talk that keeps it equal to the others.
///
/// The module's documentation teaches the idea and the contract of whoever drives it.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    set: PresenceSet,
    started: MonoMs,
    /// How many messages were sent.
    seq: u64,
    /// Own deltas that were not sent, each with its last operation.
    unsent: Vec<(u64, Delta)>,
    /// The last own operation that was sent.
    sent: u64,
    gossip_from: MonoMs,
    heartbeat_at: MonoMs,
    heartbeat_sent: MonoMs,
    handled_at: MonoMs,
    /// Nobody is judged before: this replica itself was not scheduled.
    judge_from: MonoMs,
    /// Until when messages are read that have waited for it, and for how long at most.
    behind: (MonoMs, u64),
    standing: Standing,
    peers: Peers,
    history: History,
    snapshots: Snapshots,
    staged: BTreeMap<ReplicaName, Staged>,
    /// Unanswered requests, by owner.
    requests: BTreeMap<ReplicaName, Request>,
    /// What is asked for at the end of an input, by whom it is asked of.
    wants: BTreeMap<ReplicaName, Vec<Want>>,
    unsettled: Unsettled,
    basis: Certainty,
    /// Own entries that were named in an `Overtaken`, by counter.
    overtaken: BTreeSet<u64>,
    lingering: Lingering,
    outputs: VecDeque<ReplicaOutput>,
    traps: Traps,
}

/// What this replica is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Member,
    /// It said so, and its entries are shown until then.
    Leaving(MonoMs),
    /// A larger incarnation of its name runs.
    Superseded,
}

impl Replica {
    /// Makes a replica that knows nobody, and announces it.
    ///
    /// `seeds` are that of the hash of outsiders' names, which should not be guessable, and that of the
    /// heartbeats' phase. The incarnation must be larger than at every earlier start of the name.
    ///
    /// # Panics
    ///
    /// When the replica's name is over its limit, or a field of the configuration out of its range.
    #[must_use]
    pub fn new(config: ReplicaConfig, id: ReplicaId, seeds: (u64, u64), now: MonoMs) -> Self {
        config.assert_ranges();
        let phase = split_mix_64(seeds.1) % config.heartbeat_ms;
        let mut replica = Self {
            set: PresenceSet::new(id, seeds.0).with_traps(config.traps()),
            traps: config.traps(),
            started: now,
            seq: 0,
            unsent: Vec::new(),
            sent: 0,
            gossip_from: now,
            heartbeat_at: now,
            heartbeat_sent: now,
            handled_at: now,
            judge_from: now,
            behind: (now, 0),
            standing: Standing::Member,
            peers: Peers::default(),
            history: History::new(config.history_bytes_max, config.history_deltas_max),
            snapshots: Snapshots::default(),
            staged: BTreeMap::new(),
            requests: BTreeMap::new(),
            wants: BTreeMap::new(),
            unsettled: Unsettled::default(),
            basis: Certainty::Provisional,
            overtaken: BTreeSet::new(),
            lingering: Lingering::default(),
            outputs: VecDeque::new(),
            config,
        };
        replica.basis = replica.find_basis(now);
        if replica.speaks() {
            replica.send_heartbeat(now);
            replica.heartbeat_at = now.after(replica.config.heartbeat_ms / 2 + phase / 2);
        }
        replica
    }

    /// Returns the set, for reads.
    #[must_use]
    pub fn set(&self) -> &PresenceSet {
        &self.set
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    /// Adds a session to a topic, as [`PresenceSet::track`], and returns what observers see.
    ///
    /// # Errors
    ///
    /// [`AlreadyTracked`], when this replica tracks the session in the topic.
    ///
    /// # Panics
    ///
    /// When a name or blob is over its [limit](crate::Limited).
    pub fn track(&mut self, now: MonoMs, joining: Joining) -> Result<Diff, AlreadyTracked> {
        let Joining { topic, key, session, meta } = joining;
        if self.lingering.revive(&topic, &session) {
            let change = self.set.update(&topic, &session, meta);
            let change = change.expect("what lingers is tracked");
            return Ok(self.changed_here(now, change));
        }
        let change = self.set.track(topic, key, session, meta)?;
        Ok(self.changed_here(now, change))
    }

    /// Replaces the meta of a session tracked here, as [`PresenceSet::update`].
    ///
    /// # Errors
    ///
    /// [`NotTracked`], when this replica does not track the session in the topic.
    ///
    /// # Panics
    ///
    /// When a blob is over its limit.
    pub fn update(
        &mut self,
        now: MonoMs,
        (topic, session): (&Topic, &SessionId),
        meta: Meta,
    ) -> Result<Diff, NotTracked> {
        if self.traps.has(Trap::UpdateInHalves) {
            let is_news = |presence: &Arc<Presence>| presence.meta != meta;
            if self.set.session(topic, session).is_some_and(is_news) {
                self.untrack(now, topic, session);
                self.send_deltas(now);
            }
        }
        let change = self.set.update(topic, session, meta)?;
        self.lingering.revive(topic, session);
        Ok(self.changed_here(now, change))
    }

    /// Removes a session tracked here from a topic; does nothing when it is not there.
    ///
    /// Where another replica shows the session already, others are told only when all of them have
    /// heard of that: before, they would take it for gone. Until then it may be tracked again.
    pub fn untrack(&mut self, now: MonoMs, topic: &Topic, session: &SessionId) -> Diff {
        if self.must_linger(now, (topic, session), now) {
            self.lingering.add(now, topic, session);
            return Diff::default();
        }
        self.lingering.revive(topic, session);
        let change = self.set.untrack(topic, session);
        self.changed_here(now, change)
    }

    /// Removes a session tracked here from all its topics, from each as [`untrack`](Self::untrack) does.
    pub fn untrack_session(&mut self, now: MonoMs, session: &SessionId) -> Diff {
        let mut topics = Vec::new();
        for topic in self.set.topics_of(session) {
            topics.extend(self.untrack(now, &topic, session));
        }
        Diff { topics }
    }

    /// Takes one input. Costs in proportion to the message, or to the replicas for a `Tick`.
    pub fn handle(&mut self, now: MonoMs, input: ReplicaInput<'_>) {
        self.notice_stall(now);
        match input {
            ReplicaInput::Message(bytes) => self.receive(now, bytes),
            ReplicaInput::Tick => self.tick(now),
        }
        self.send_wants();
        self.finish(now);
    }

    /// Returns the next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<ReplicaOutput> {
        self.outputs.pop_front()
    }

    /// Returns when the next `Tick` is due; none when only a message or an operation can change
    /// anything. It may be past. Cost: in proportion to the replicas.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoMs> {
        if !self.speaks() {
            return None;
        }
        let gossip = (!self.unsent.is_empty()).then_some(self.gossip_from);
        let requests = self.requests.values().map(|request| request.deadline);
        let mine = [Some(self.heartbeat_at), gossip, self.next_judgement()];
        mine.into_iter().flatten().chain(requests).min()
    }

    /// Says that this replica leaves: the others drop its entries, at once or after a while, and do not
    /// suspect it. What was tracked stays visible here, and operations go on being sent, until the
    /// driver stops. Said again in every heartbeat, and passed on by those who hear it.
    pub fn leave(&mut self, now: MonoMs, keep: Keep) {
        if self.standing != Standing::Member || !self.speaks() {
            return;
        }
        let span_ms = match keep {
            Keep::Nothing => 0,
            Keep::For(span_ms) => span_ms.min(self.config.permdown_after_ms),
        };
        self.standing = Standing::Leaving(now.after(span_ms));
        self.send_deltas(now);
        self.send_heartbeat(now);
        self.finish(now);
    }

    /// Returns how far an answer about a topic can be relied on: confirmed when every live replica has
    /// seen the same of it as this one, and none is suspected. Never `Contested`, which needs a memory
    /// of earlier answers: it is for whoever sees a [`Changed`](ReplicaOutput::Changed) bring somebody
    /// earlier than the one whom they named.
    ///
    /// [`Recheck`](ReplicaOutput::Recheck) tells when to ask again. Cost: a logarithm of the topics
    /// that changed lately.
    #[must_use]
    pub fn certainty(&self, topic: &Topic) -> Certainty {
        match self.basis {
            Certainty::Confirmed if self.is_unsettled(topic) || self.set.shows_leaver(topic) => {
                Certainty::Provisional
            }
            basis => basis,
        }
    }

    /// Returns the lives of other replicas that are neither silent nor leaving, in name order.
    pub fn live_peers(&self) -> impl Iterator<Item = (&ReplicaName, Incarnation)> {
        self.peers.live().map(|(name, peer)| (name, peer.incarnation))
    }

    /// Returns how much it holds. Cost: in proportion to the replicas and the deltas kept.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let (history_deltas, history_bytes) = self.history.size();
        let lives = self.set.context();
        let names = lives.iter().map(|life| &life.replica().name);
        Footprint {
            entries: names.map(|name| self.set.entries_count(name)).sum::<usize>()
                + self.set.kept_count(),
            lives: lives.iter().count(),
            peers: self.peers.known.len(),
            down: self.peers.known.values().filter(|peer| peer.is_down).count(),
            remembered: self.peers.barred.len()
                + self.peers.farewells.len()
                + self.peers.kept.len(),
            repairs: self.requests.len() + self.staged.len(),
            history_deltas,
            history_bytes,
            unsettled: self.unsettled.len(),
            lingering: self.lingering.len(),
        }
    }

    /// Sends what an own operation did, in time, and returns what observers see.
    fn changed_here(&mut self, now: MonoMs, change: Change) -> Diff {
        let Change { delta, diff } = change;
        if !delta.is_empty() && self.speaks() {
            let name = self.set.replica().name.clone();
            let last = self.seen_of(&name);
            self.unsent.push((last, delta));
            if self.unsent.len() >= UNSENT_MAX {
                self.send_deltas(now);
            }
            diff.iter().for_each(|topic| self.unsettled.note(&name, last, &topic.topic));
            if self.peers.live().next().is_none() {
                self.unsettled.settle(&name, last);
            }
        }
        self.report_overtaken();
        diff
    }

    /// Tells of a diff that a message or a deadline brought.
    fn report(&mut self, diff: Diff) {
        if !diff.is_empty() {
            self.outputs.push_back(ReplicaOutput::Changed(diff));
        }
        self.report_overtaken();
    }

    fn report_overtaken(&mut self) {
        let current = self.set.overtaken();
        if current.is_empty() && self.overtaken.is_empty() {
            return;
        }
        let counters = current.iter().map(|presence| presence.dot.counter).collect();
        let known = std::mem::replace(&mut self.overtaken, counters);
        let is_new = |presence: &Arc<Presence>| !known.contains(&presence.dot.counter);
        let new: Vec<_> = current.into_iter().filter(is_new).collect();
        if !new.is_empty() {
            self.outputs.push_back(ReplicaOutput::Overtaken(new));
        }
    }

    fn event(&mut self, event: PeerEvent) {
        self.outputs.push_back(ReplicaOutput::Peer(event));
    }

    /// Returns whether this replica talks to others at all.
    fn speaks(&self) -> bool {
        self.config.company == Company::Others && self.standing != Standing::Superseded
    }

    /// Returns whether somebody may not have seen what touched a topic.
    fn is_unsettled(&self, topic: &Topic) -> bool {
        !self.unsettled.is_settled(topic) && !self.traps.has(Trap::HastyCertainty)
    }

    /// Returns the last operation in a row that is known of the current life of a name.
    fn seen_of(&self, name: &ReplicaName) -> u64 {
        self.set.context().life(name).map_or(0, |life| life.seen().upto())
    }

    /// Stops speaking: another process runs under this name.
    fn supersede(&mut self, by: Incarnation) {
        if self.standing != Standing::Superseded {
            self.standing = Standing::Superseded;
            self.unsent.clear();
            self.requests.clear();
            self.staged.clear();
            self.outputs.push_back(ReplicaOutput::Superseded { by });
        }
    }
}

/// One step of SplitMix64 from a state.
fn split_mix_64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
