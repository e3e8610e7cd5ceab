//! The members of the cluster, the links between them, and what is expected of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use penholder_presence::{
    Footprint, Incarnation, Joining, Keep, Meta, MonoMs, Presence, Recipient, Replica,
    ReplicaConfig, ReplicaId, ReplicaInput, ReplicaOutput, SessionId, Topic, WallMs,
};

use super::forge::{self, Names};
use super::plan::{Plan, Speech, Step};
use super::view::View;
use crate::heap;

const MEMBERS: [&str; 3] = ["north", "south", "east!"];
const OUTSIDERS: [&str; 3] = ["x", "y", "z"];
const ALL: [&str; 6] = ["x", "y", "z", "north", "south", "east!"];

/// Short times and small messages, so that everything happens within a short input.
fn config() -> ReplicaConfig {
    ReplicaConfig {
        gossip_period_ms: 100,
        heartbeat_ms: 400,
        down_after_ms: 1_200,
        permdown_after_ms: 1_600,
        history_bytes_max: 8 << 10,
        history_deltas_max: 8,
        chunk_bytes_max: 1_024,
        request_timeout_ms: 150,
        ..ReplicaConfig::default()
    }
}

/// How long a message is under way.
const WAY_MS: u64 = 5;

/// How long an input may take in all.
const WAIT_MS_MAX: u64 = 20_000;

/// Digests within a heartbeat, requests and their repeats, the end of a farewell of 800 ms.
const HEAL_MS: u64 = 2_500;

/// Outsiders are silent for `permdown_after`, then barred for as long, and so are those whom they told of.
const FORGET_MS: u64 = 6_500;

/// Messages of members that can be heard again.
const SAID_MAX: usize = 64;

struct Member {
    replica: Replica,
    view: View,
    is_superseded: bool,
}

pub(super) struct Network {
    now: u64,
    lies: bool,
    members: Vec<Member>,
    /// How often a member has started.
    starts: u64,
    /// By the time of their arrival: to whom.
    flying: BTreeMap<(u64, u64), (usize, Bytes)>,
    sent: u64,
    cuts: BTreeSet<(usize, usize)>,
    said: Vec<Bytes>,
    /// The number of the last message, by name and incarnation.
    numbers: BTreeMap<(u8, u8), u64>,
    generations: BTreeMap<SessionId, u32>,
    /// Bytes that outsiders have said in all.
    foreign_bytes: usize,
    waited_ms: u64,
}

impl Network {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut network = Self {
            now: 1_000,
            lies: plan.lies,
            members: Vec::new(),
            starts: 0,
            flying: BTreeMap::new(),
            sent: 0,
            cuts: BTreeSet::new(),
            said: Vec::new(),
            numbers: BTreeMap::new(),
            generations: BTreeMap::new(),
            foreign_bytes: 0,
            waited_ms: 0,
        };
        let members = if plan.third { 3 } else { 2 };
        (0..members).for_each(|at| network.start(at));
        network
    }

    pub(super) fn step(&mut self, step: &Step) {
        let members = self.members.len();
        let place = |at: u8| usize::from(at) % members;
        match step {
            Step::Come { at, topic, session } => {
                self.come(place(*at), &format!("t:{}", topic % 3), &format!("s{}", session % 8));
            }
            Step::Go { at, session } => self.go(place(*at), &format!("s{}", session % 8)),
            Step::Wait { units } => {
                let span_ms = (u64::from(*units) * 16).min(WAIT_MS_MAX - self.waited_ms);
                self.waited_ms += span_ms;
                self.run(span_ms);
            }
            Step::Cut { from, to } => {
                self.cuts.insert((place(*from), place(*to)));
            }
            Step::Join => self.cuts.clear(),
            Step::Lose => self.flying.clear(),
            Step::Restart { at, says } => self.restart(place(*at), *says),
            Step::Hear { at, bytes } => {
                if self.lies || !names_a_member(bytes) {
                    self.hear_outsider(place(*at), bytes);
                }
            }
            Step::Echo { at, message, edits } => self.echo(place(*at), *message, edits),
            Step::Say { at, speech } => self.say(place(*at), speech),
        }
        self.members.iter().for_each(|member| self.check(member));
    }

    /// Lets everything pass, and expects that the members heal, and then forget who is not one of them.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.run(HEAL_MS);
        if !self.lies {
            self.expect_equal_members();
        }
        self.members.iter().for_each(|member| self.check(member));
        if self.foreign_bytes > 0 {
            self.run(FORGET_MS);
            self.members.iter().for_each(|member| self.check(member));
        }
        if !self.lies {
            self.expect_only_members();
        }
    }

    fn start(&mut self, at: usize) {
        self.starts += 1;
        let id = ReplicaId::new(MEMBERS[at], Incarnation(self.starts));
        let seeds = (self.starts, self.starts);
        let replica = Replica::new(config(), id, seeds, MonoMs(self.now));
        let member = Member { replica, view: View::default(), is_superseded: false };
        if at < self.members.len() {
            self.members[at] = member;
        } else {
            self.members.push(member);
        }
        self.drain(at);
    }

    fn restart(&mut self, at: usize, says: u8) {
        let keep = match says % 3 {
            0 => None,
            1 => Some(Keep::Nothing),
            _ => Some(Keep::For(800)),
        };
        if let Some(keep) = keep {
            self.members[at].replica.leave(MonoMs(self.now), keep);
            self.drain(at);
        }
        self.start(at);
    }

    /// A session joins, or moves here from wherever it is, or changes.
    fn come(&mut self, at: usize, topic: &str, session: &str) {
        let (now, topic, session) =
            (MonoMs(self.now), Topic::from(topic), SessionId::from(session));
        let Member { replica, view, .. } = &mut self.members[at];
        let is_here = |entry: &&Arc<Presence>| entry.dot.replica == *replica.set().replica();
        let mine = replica.set().session(&topic, &session).filter(is_here);
        let joined_at = WallMs(self.now % 7);
        let diff = if let Some(mine) = mine {
            let meta = Meta { joined_at, ..mine.meta.clone() };
            replica.update(now, (&topic, &session), meta).ok()
        } else {
            let generation = self.generations.entry(session.clone()).or_default();
            *generation += 1;
            let custom = Bytes::from(vec![b'm'; 100]);
            let meta = Meta { joined_at, generation: *generation, custom, ..Meta::default() };
            // Refused where it is tracked, in the shadow of another replica's entry.
            replica.track(now, Joining { topic, key: "k0".into(), session, meta }).ok()
        };
        diff.iter().for_each(|diff| view.fold(diff));
        self.drain(at);
    }

    fn go(&mut self, at: usize, session: &str) {
        let Member { replica, view, .. } = &mut self.members[at];
        view.fold(&replica.untrack_session(MonoMs(self.now), &session.into()));
        self.drain(at);
    }

    fn say(&mut self, at: usize, speech: &Speech) {
        let outsiders: &[_] = if self.lies { &ALL } else { &OUTSIDERS };
        let names = Names { outsiders, members: &MEMBERS };
        let number = self.numbers.entry((speech.name, speech.incarnation)).or_default();
        *number += u64::from(speech.skip);
        let message = forge::message(&names, speech, *number);
        self.hear_outsider(at, &message);
    }

    fn echo(&mut self, at: usize, message: u8, edits: &[(u16, u8)]) {
        let Some(at_message) = usize::from(message).checked_rem(self.said.len()) else { return };
        let message = self.said[at_message].clone();
        if edits.is_empty() {
            // A repeated message is no lie.
            self.hear(at, &message);
        } else if self.lies {
            let mut message = message.to_vec();
            for &(place, byte) in edits {
                let place = usize::from(place) % message.len();
                message[place] = byte;
            }
            self.hear_outsider(at, &message);
        }
    }

    /// Hands a member what an outsider says, and bounds what that costs.
    fn hear_outsider(&mut self, at: usize, message: &[u8]) {
        self.foreign_bytes += message.len();
        let replica = &self.members[at].replica;
        let held = replica.set().full_state().encode().len() + replica.footprint().history_bytes;
        let heap_max = (64 << 10) + 256 * (held + message.len());
        let sent = heap::within(heap_max, || self.hear(at, message));
        // What is asked for, once; a chunk for each range that is named, however small it is.
        let sent_max = (8 << 10) + 3 * held + 32 * message.len();
        assert!(sent <= sent_max, "{sent} bytes sent for {} heard, {held} held", message.len());
    }

    fn hear(&mut self, at: usize, message: &[u8]) -> usize {
        self.members[at].replica.handle(MonoMs(self.now), ReplicaInput::Message(message));
        self.drain(at)
    }

    /// Does what a replica wants done; returns the bytes sent.
    fn drain(&mut self, at: usize) -> usize {
        let (mut sent, mut overtaken) = (0, Vec::new());
        while let Some(output) = self.members[at].replica.poll_output() {
            match output {
                ReplicaOutput::Send { to, message } => {
                    sent += message.len();
                    self.send(at, &to, &message);
                }
                ReplicaOutput::Changed(diff) => {
                    assert!(!diff.is_empty());
                    self.members[at].view.fold(&diff);
                }
                ReplicaOutput::Overtaken(entries) => overtaken.extend(entries),
                ReplicaOutput::Superseded { by } => {
                    assert!(self.lies, "{} gave way to {by:?}, which nobody is", MEMBERS[at]);
                    self.members[at].is_superseded = true;
                }
                ReplicaOutput::Recheck(_) | ReplicaOutput::Peer(_) => {}
            }
        }
        for entry in overtaken {
            let Member { replica, view, .. } = &mut self.members[at];
            view.fold(&replica.untrack(MonoMs(self.now), &entry.topic, &entry.session));
            sent += self.drain(at);
        }
        sent
    }

    /// Checks what a member shows and holds.
    fn check(&self, Member { replica, view, .. }: &Member) {
        let set = replica.set();
        assert_eq!(*view, View::of(set), "diffs replay to what is shown");
        for life in set.context() {
            assert!(life.seen().cloud().is_empty(), "{} was not taken in in order", life.replica());
        }
        let Footprint { entries, lives, peers, remembered, repairs, .. } = replica.footprint();
        let Footprint { history_deltas, history_bytes, .. } = replica.footprint();
        let names_max = MEMBERS.len() + self.foreign_bytes;
        assert!(lives <= names_max && peers <= names_max && remembered <= 2 * names_max);
        assert!(repairs <= 2 * names_max);
        // 3 topics with 8 sessions at each member, and of outsiders no more than they can have said.
        assert!(entries <= MEMBERS.len() * 24 + self.foreign_bytes / 6);
        assert!(history_deltas <= config().history_deltas_max);
        assert!(history_bytes <= config().history_bytes_max);
    }

    fn send(&mut self, from: usize, to: &Recipient, message: &Bytes) {
        if self.said.len() < SAID_MAX {
            self.said.push(message.clone());
        }
        for (at, name) in MEMBERS.iter().enumerate().take(self.members.len()) {
            let is_to = match to {
                Recipient::All => true,
                Recipient::One(one) => one.as_str() == *name,
            };
            if is_to && at != from && !self.cuts.contains(&(from, at)) {
                self.sent += 1;
                self.flying.insert((self.now + WAY_MS, self.sent), (at, message.clone()));
            }
        }
    }

    fn run(&mut self, span_ms: u64) {
        let end = self.now + span_ms;
        loop {
            let arrival = self.flying.keys().next().map(|&(at, _)| at);
            let deadlines = self.members.iter().filter_map(|member| member.replica.next_deadline());
            let next = deadlines.map(|deadline| deadline.0).chain(arrival).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(letter) = self.flying.first_entry().filter(|l| l.key().0 <= self.now) {
                let (at, message) = letter.remove();
                self.hear(at, &message);
            }
            for at in 0..self.members.len() {
                let replica = &mut self.members[at].replica;
                if replica.next_deadline().is_some_and(|deadline| deadline.0 <= self.now) {
                    replica.handle(MonoMs(self.now), ReplicaInput::Tick);
                    let next = replica.next_deadline();
                    assert!(next.is_none_or(|next| next.0 > self.now), "a tick is not enough");
                    self.drain(at);
                }
            }
        }
        self.now = end;
    }

    /// Expects that each member has of each other what that one has of itself.
    fn expect_equal_members(&self) {
        for owner in &self.members {
            let own = own_entries(owner, owner);
            for reader in &self.members {
                assert_eq!(own_entries(reader, owner), own, "the members have healed");
            }
        }
    }

    /// Expects that nothing of outsiders is left, and that all is as sure as if there had been none.
    fn expect_only_members(&self) {
        for member in &self.members {
            assert_eq!(member.view, self.members[0].view, "all show the same");
            let Footprint { lives, peers, down, remembered, repairs, unsettled, .. } =
                member.replica.footprint();
            let members = self.members.len();
            assert_eq!((lives, peers, down), (members, members - 1, 0), "lives, peers, down");
            assert_eq!(
                (remembered, repairs, unsettled),
                (0, 0, 0),
                "remembered, repairs, unsettled"
            );
            for topic in ["t:0", "t:1", "t:2"] {
                assert_eq!(member.replica.certainty(&topic.into()).as_str(), "confirmed");
            }
        }
    }
}

/// Returns what a member has of another.
fn own_entries(reader: &Member, owner: &Member) -> Vec<Arc<Presence>> {
    let name = &owner.replica.set().replica().name;
    let state = reader.replica.set().full_state();
    state.entries().iter().filter(|entry| entry.dot.replica.name == *name).cloned().collect()
}

fn names_a_member(bytes: &[u8]) -> bool {
    MEMBERS.iter().any(|name| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
}
