//! Replicas over links that lose, repeat and reorder, or are cut; then quiet links, and equal views.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use penholder_presence::{
    Dot, Incarnation, Joining, Keep, Meta, MonoMs, Presence, PresenceSet, Recipient, Replica,
    ReplicaConfig, ReplicaId, ReplicaInput, ReplicaOutput, SessionId, Topic, WallMs,
};
use proptest::prelude::*;

use crate::fleet::{NAMES, View, fold, key, session, shown, topic};

/// Short times and small messages, so that everything happens within a few drawn steps.
fn config() -> ReplicaConfig {
    ReplicaConfig {
        permdown_after_ms: 20_000,
        chunk_bytes_max: 1_024,
        history_deltas_max: 6,
        ..ReplicaConfig::default()
    }
}

const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A session of a topic joins, or changes, or moves here from wherever it is.
    Come {
        at: usize,
        topic: usize,
        session: usize,
    },
    Go {
        at: usize,
        session: usize,
    },
    /// Many sessions join: a state of several chunks.
    Crowd {
        at: usize,
        sessions: usize,
    },
    Restart {
        at: usize,
        leaves: Option<bool>,
    },
    /// From one to another, nothing passes.
    Cut {
        from: usize,
        to: usize,
    },
    Heal,
    /// A process is not scheduled, and its inbox fills.
    Pause {
        at: usize,
        span_ms: u64,
    },
    Wait {
        span_ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..REPLICAS;
    let step = prop_oneof![
        10 => (at(), 0..2_usize, 0..5_usize)
            .prop_map(|(at, topic, session)| Step::Come { at, topic, session }),
        5 => (at(), 0..5_usize).prop_map(|(at, session)| Step::Go { at, session }),
        1 => (at(), 10..60_usize).prop_map(|(at, sessions)| Step::Crowd { at, sessions }),
        1 => (at(), any::<Option<bool>>()).prop_map(|(at, leaves)| Step::Restart { at, leaves }),
        2 => (at(), at()).prop_map(|(from, to)| Step::Cut { from, to }),
        1 => Just(Step::Heal),
        1 => (at(), 100..8_000_u64).prop_map(|(at, span_ms)| Step::Pause { at, span_ms }),
        8 => (1..600_u64).prop_map(|span_ms| Step::Wait { span_ms }),
        2 => (600..4_000_u64).prop_map(|span_ms| Step::Wait { span_ms }),
        1 => (4_000..30_000_u64).prop_map(|span_ms| Step::Wait { span_ms }),
    ];
    prop::collection::vec(step, 1..60)
}

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % end
    }
}

struct Member {
    replica: Replica,
    view: View,
    paused_until: u64,
    inbox: Vec<Bytes>,
}

/// What a replica had after each of its operations.
type States = BTreeMap<(ReplicaId, u64), BTreeSet<Dot>>;

struct Cluster {
    now: u64,
    lives: u64,
    members: Vec<Member>,
    flying: BTreeMap<(u64, u64), (usize, Bytes)>,
    sent: u64,
    cuts: BTreeSet<(usize, usize)>,
    /// In percent: lost, repeated, and held back for long.
    faults: (u64, u64, u64),
    draw: Draw,
    states: States,
    generations: BTreeMap<SessionId, u32>,
}

impl Cluster {
    fn new(seed: u64, faults: (u64, u64, u64)) -> Self {
        let mut cluster = Self {
            now: 1_000,
            lives: 0,
            members: Vec::new(),
            flying: BTreeMap::new(),
            sent: 0,
            cuts: BTreeSet::new(),
            faults,
            draw: Draw(seed),
            states: States::new(),
            generations: BTreeMap::new(),
        };
        (0..REPLICAS).for_each(|at| {
            let member = cluster.life(at);
            cluster.members.push(member);
        });
        (0..REPLICAS).for_each(|at| cluster.drain(at));
        cluster
    }

    fn life(&mut self, at: usize) -> Member {
        self.lives += 1;
        let id = ReplicaId::new(NAMES[at], Incarnation(self.lives));
        let replica = Replica::new(config(), id, (self.lives, self.lives), MonoMs(self.now));
        Member { replica, view: View::new(), paused_until: 0, inbox: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        let now = MonoMs(self.now);
        match *step {
            Step::Come { at, topic: t, session: s } => self.come(at, &topic(t), &session(s)),
            Step::Go { at, session: s } => {
                self.note_leaves(at, &session(s));
                let member = &mut self.members[at];
                fold(&mut member.view, &member.replica.untrack_session(now, &session(s)));
                self.drain(at);
            }
            Step::Crowd { at, sessions } => {
                for n in 0..sessions {
                    self.come(at, &topic(2), &SessionId::from(format!("crowd {at} {n}")));
                }
            }
            Step::Restart { at, leaves } => {
                if let Some(keeps) = leaves {
                    let keep = if keeps { Keep::For(2_000) } else { Keep::Nothing };
                    self.members[at].replica.leave(now, keep);
                    self.drain(at);
                }
                self.members[at] = self.life(at);
                self.drain(at);
            }
            Step::Cut { from, to } => {
                self.cuts.insert((from, to));
            }
            Step::Heal => self.cuts.clear(),
            Step::Pause { at, span_ms } => self.members[at].paused_until = self.now + span_ms,
            Step::Wait { span_ms } => self.run(span_ms),
        }
    }

    /// Notes what a replica will have after each operation of one step: a session leaves its topics one by one, and a
    /// message may end between them.
    fn note_leaves(&mut self, at: usize, session: &SessionId) {
        let set = self.members[at].replica.set();
        let state = set.full_state();
        let own: Vec<_> =
            state.entries().iter().filter(|entry| entry.dot.replica == *set.replica()).collect();
        let mut leaves: Vec<_> = own.iter().filter(|entry| entry.session == *session).collect();
        leaves.sort_by_key(|entry| &entry.topic);
        let mut dots: BTreeSet<_> = own.iter().map(|entry| entry.dot.clone()).collect();
        let life = state.covers().into_iter().find(|life| *life.replica() == *set.replica());
        let upto = life.map_or(0, |life| life.seen().upto());
        for (leave, operation) in leaves.into_iter().zip(upto + 1..) {
            dots.remove(&leave.dot);
            self.states.insert((ReplicaId::clone(set.replica()), operation), dots.clone());
        }
    }

    fn come(&mut self, at: usize, topic: &Topic, session: &SessionId) {
        let now = MonoMs(self.now);
        let joined_at = WallMs(self.now % 7);
        let Member { replica, view, .. } = &mut self.members[at];
        let is_here = |p: &&Arc<Presence>| p.dot.replica == *replica.set().replica();
        let mine = replica.set().session(topic, session).filter(is_here);
        let diff = match mine.map(|mine| mine.meta.clone()) {
            Some(meta) => replica.update(now, (topic, session), Meta { joined_at, ..meta }).ok(),
            None => {
                let generation = self.generations.entry(session.clone()).or_default();
                *generation += 1;
                let meta = Meta { joined_at, generation: *generation, ..Meta::default() };
                let (topic, session) = (topic.clone(), session.clone());
                let joining = Joining { topic, key: key(0), session, meta };
                // Refused where it is tracked, in the shadow of another replica's entry.
                replica.track(now, joining).ok()
            }
        };
        diff.iter().for_each(|diff| fold(view, diff));
        self.drain(at);
    }

    /// Sends what a replica wants sent, and checks what it shows.
    fn drain(&mut self, at: usize) {
        let mut overtaken = Vec::new();
        while let Some(output) = self.members[at].replica.poll_output() {
            match output {
                ReplicaOutput::Send { to, message } => {
                    assert!(message.len() <= config().chunk_bytes_max);
                    self.send(at, &to, &message);
                }
                ReplicaOutput::Changed(diff) => fold(&mut self.members[at].view, &diff),
                ReplicaOutput::Overtaken(entries) => overtaken.extend(entries),
                ReplicaOutput::Superseded { by } => panic!("no life runs twice: {by:?}"),
                ReplicaOutput::Recheck(_) | ReplicaOutput::Peer(_) => {}
            }
        }
        self.check(at);
        for entry in overtaken {
            let Member { replica, view, .. } = &mut self.members[at];
            let diff = replica.untrack(MonoMs(self.now), &entry.topic, &entry.session);
            fold(view, &diff);
            self.drain(at);
        }
    }

    fn check(&mut self, at: usize) {
        let Member { replica, view, .. } = &self.members[at];
        let set = replica.set();
        assert_eq!(*view, shown(set), "diffs replay to the list");
        let state = set.full_state();
        for life in state.covers() {
            let owner = life.replica();
            assert!(life.seen().cloud().is_empty(), "taken in in order");
            let mine = state.entries().iter().filter(|entry| entry.dot.replica == *owner);
            let dots: BTreeSet<_> = mine.map(|entry| entry.dot.clone()).collect();
            let after = (ReplicaId::clone(owner), life.seen().upto());
            if *owner == *set.replica() {
                self.states.insert(after, dots);
            } else if after.1 > 0 {
                assert_eq!(self.states[&after], dots, "what the owner had after that operation");
            }
        }
    }

    fn send(&mut self, from: usize, to: &Recipient, message: &Bytes) {
        let (lost, repeated, late) = self.faults;
        for (at, name) in NAMES.iter().enumerate().take(self.members.len()) {
            let is_to = match to {
                Recipient::All => true,
                Recipient::One(one) => one.as_str() == *name,
            };
            if !is_to || self.cuts.contains(&(from, at)) || self.draw.below(100) < lost {
                continue;
            }
            let copies = 1 + u64::from(self.draw.below(100) < repeated);
            for _ in 0..copies {
                let long = if self.draw.below(100) < late { 900 } else { 5 };
                let way = 1 + self.draw.below(long);
                self.sent += 1;
                self.flying.insert((self.now + way, self.sent), (at, message.clone()));
            }
        }
    }

    fn run(&mut self, span_ms: u64) {
        let end = self.now + span_ms;
        while self.now < end {
            let arrival = self.flying.keys().next().map(|&(at, _)| at);
            let wakes = self.members.iter().filter_map(|member| {
                let deadline = member.replica.next_deadline()?.0;
                Some(deadline.max(member.paused_until))
            });
            let next = wakes.chain(arrival).min().unwrap_or(end);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            while let Some(letter) = self.flying.first_entry() {
                if letter.key().0 > self.now {
                    break;
                }
                let (at, message) = letter.remove();
                self.members[at].inbox.push(message);
            }
            for at in 0..self.members.len() {
                if self.members[at].paused_until <= self.now {
                    self.wake(at);
                }
            }
        }
        self.now = end;
    }

    fn wake(&mut self, at: usize) {
        let now = MonoMs(self.now);
        for message in std::mem::take(&mut self.members[at].inbox) {
            self.members[at].replica.handle(now, ReplicaInput::Message(&message));
            self.drain(at);
        }
        if self.members[at].replica.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.members[at].replica.handle(now, ReplicaInput::Tick);
            self.drain(at);
        }
    }

    fn heal(&mut self) {
        self.cuts.clear();
        self.faults = (0, 0, 0);
        self.members.iter_mut().for_each(|member| member.paused_until = 0);
    }

    /// Everything that is tracked anywhere, as one set would show it.
    fn truth(&self) -> View {
        let mut all = PresenceSet::new(ReplicaId::new("truth", Incarnation(1)), 1);
        for Member { replica, .. } in &self.members {
            let set = replica.set();
            // Only what the owner says of itself.
            let mut own = PresenceSet::new(ReplicaId::new("own", Incarnation(1)), 1);
            let _ = own.merge(set.full_state());
            for name in NAMES.iter().filter(|name| **name != set.replica().name.as_str()) {
                let _ = own.forget(&(*name).into());
            }
            let _ = all.merge(own.full_state());
        }
        shown(&all)
    }
}

/// Digests within a heartbeat, a request and its repeats, the end of a grace of 2 s.
const HEAL_WITHIN_MS: u64 = 4_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_heals(
        steps in steps(),
        seed in any::<u64>(),
        faults in (0..30_u64, 0..30_u64, 0..30_u64),
    ) {
        let mut cluster = Cluster::new(seed, faults);
        steps.iter().for_each(|step| cluster.step(step));
        cluster.heal();
        cluster.run(HEAL_WITHIN_MS);
        let truth = cluster.truth();
        for member in &cluster.members {
            prop_assert_eq!(&member.view, &truth);
        }
        let contexts: Vec<_> =
            cluster.members.iter().map(|member| member.replica.set().context().clone()).collect();
        prop_assert!(contexts.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", contexts);
        for _ in 0..3 {
            cluster.run(1_000);
        }
        for member in &cluster.members {
            let replica = &member.replica;
            for t in 0..3 {
                prop_assert_eq!(replica.certainty(&topic(t)).as_str(), "confirmed");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes of any sort, and messages of a cluster with a few bytes changed: refused or taken, and what
    /// is shown stays exact.
    #[test]
    fn any_message_bytes_are_harmless(
        noise in prop::collection::vec(any::<u8>(), 0..60),
        kind in 0..6_u8,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut cluster = Cluster::new(7, (0, 0, 100));
        for step in 0..30 {
            cluster.step(&Step::Come { at: step % 2, topic: 0, session: step % 7 });
            cluster.step(&Step::Wait { span_ms: 130 });
            let envelope = [1, kind, 1, b'a', 1, 200];
            let mut messages = vec![noise.clone(), [&envelope[..], &noise].concat()];
            for (_, message) in cluster.flying.values() {
                let mut bytes = message.to_vec();
                for (at, byte) in &mutations {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                messages.push(bytes);
            }
            // What it was told is not what the others did: it is no member of the cluster.
            let mut outsider = cluster.life(2);
            for bytes in &messages {
                outsider.replica.handle(MonoMs(cluster.now), ReplicaInput::Message(bytes));
                while let Some(output) = outsider.replica.poll_output() {
                    if let ReplicaOutput::Changed(diff) = output {
                        fold(&mut outsider.view, &diff);
                    }
                }
                prop_assert_eq!(&outsider.view, &shown(outsider.replica.set()));
            }
        }
    }
}
