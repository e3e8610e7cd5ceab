//! Two or three replicas in virtual time, with links that a test cuts.

mod certainty;
mod farewell;
mod life;
mod linger;
mod links;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::dot::Dot;
use crate::time::WallMs;

/// How long a message is under way, in ms.
const WAY_MS: u64 = 5;

/// What an observer of all topics has gathered from diffs alone.
type View = BTreeMap<(Topic, SessionId, Dot), Arc<Presence>>;

struct Member {
    replica: Replica,
    view: View,
    events: Vec<PeerEvent>,
    /// Everything but sends and events, in order.
    others: Vec<ReplicaOutput>,
    /// Kinds and sizes of what it sent.
    sent: Vec<(Kind, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ask,
    Deltas,
    Heartbeat,
    Request,
    Repair,
}

fn kind(message: &[u8]) -> Kind {
    match message[1] {
        0 => Kind::Ask,
        1 => Kind::Deltas,
        2 => Kind::Heartbeat,
        3 => Kind::Request,
        _ => Kind::Repair,
    }
}

/// What becomes of a message from one to another.
type Link = dyn FnMut(&str, &str, &[u8]) -> bool;

struct World {
    now: u64,
    config: ReplicaConfig,
    members: BTreeMap<String, Member>,
    /// Under way: when it arrives, a number that keeps the order, from, to, what.
    flying: BTreeMap<(u64, u64), (String, String, Bytes)>,
    sent: u64,
    passes: Box<Link>,
}

impl World {
    fn new(names: &[&str], config: ReplicaConfig) -> Self {
        let mut world = Self {
            now: 10_000,
            config,
            members: BTreeMap::new(),
            flying: BTreeMap::new(),
            sent: 0,
            passes: Box::new(|_, _, _| true),
        };
        names.iter().for_each(|name| world.start(name, 1));
        world.run(3_000);
        for member in world.members.values_mut() {
            member.events.clear();
            member.others.clear();
            member.sent.clear();
        }
        world
    }

    fn start(&mut self, name: &str, incarnation: u64) {
        let id = ReplicaId::new(name, Incarnation(incarnation));
        let seed = incarnation * 31 + u64::from(name.as_bytes()[0]);
        let replica = Replica::new(self.config.clone(), id, (seed, seed), MonoMs(self.now));
        let (view, events, others, sent) = Default::default();
        let member = Member { replica, view, events, others, sent };
        self.members.insert(name.to_owned(), member);
        self.drain(name);
    }

    /// Performs what a replica wants done, and checks its diffs against its set.
    fn drain(&mut self, name: &str) {
        let names: Vec<String> = self.members.keys().cloned().collect();
        let member = self.members.get_mut(name).unwrap();
        while let Some(output) = member.replica.poll_output() {
            match output {
                ReplicaOutput::Send { to, message } => {
                    member.sent.push((kind(&message), message.len()));
                    let one = match &to {
                        Recipient::All => None,
                        Recipient::One(one) => Some(one.as_str()),
                    };
                    for to in names.iter().filter(|to| one.is_none_or(|one| one == *to)) {
                        if (self.passes)(name, to, &message) {
                            self.sent += 1;
                            let letter = (name.to_owned(), to.clone(), message.clone());
                            self.flying.insert((self.now + WAY_MS, self.sent), letter);
                        }
                    }
                }
                ReplicaOutput::Peer(event) => member.events.push(event),
                ReplicaOutput::Changed(diff) => {
                    fold(&mut member.view, &diff);
                    member.others.push(ReplicaOutput::Changed(diff));
                }
                other => member.others.push(other),
            }
        }
        assert_eq!(member.view, shown(member.replica.set()), "diffs replay to the list");
    }

    /// Lets time pass, each message and deadline in its turn.
    fn run(&mut self, span_ms: u64) {
        let end = self.now + span_ms;
        loop {
            let arrival = self.flying.keys().next().map(|&(at, _)| at);
            let deadlines = self.members.iter().filter_map(|(name, member)| {
                Some((member.replica.next_deadline()?.0, name.clone()))
            });
            let deadline = deadlines.min();
            let next = arrival.into_iter().chain(deadline.iter().map(|(at, _)| *at)).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let ((_, _), (_, to, message)) = self.flying.pop_first().unwrap();
                self.hand(&to, &message);
            } else if let Some((_, name)) = deadline {
                let member = self.members.get_mut(&name).unwrap();
                member.replica.handle(MonoMs(self.now), ReplicaInput::Tick);
                self.drain(&name);
            }
        }
        self.now = end;
    }

    fn hand(&mut self, to: &str, message: &[u8]) {
        if let Some(member) = self.members.get_mut(to) {
            member.replica.handle(MonoMs(self.now), ReplicaInput::Message(message));
            self.drain(to);
        }
    }

    fn join(&mut self, name: &str, session: &str) {
        self.track(name, session, 0);
    }

    fn track(&mut self, name: &str, session: &str, generation: u32) {
        let meta = Meta { joined_at: WallMs(self.now), generation, ..Meta::default() };
        let key = format!("key of {session}").into();
        let joining = Joining { topic: topic(), key, session: session.into(), meta };
        let now = MonoMs(self.now);
        let member = self.members.get_mut(name).unwrap();
        let diff = member.replica.track(now, joining).unwrap();
        fold(&mut member.view, &diff);
        self.drain(name);
    }

    fn update(&mut self, name: &str, session: &str) {
        let meta = Meta { joined_at: WallMs(self.now), ..Meta::default() };
        let now = MonoMs(self.now);
        let member = self.members.get_mut(name).unwrap();
        let diff = member.replica.update(now, (&topic(), &session.into()), meta).unwrap();
        fold(&mut member.view, &diff);
        self.drain(name);
    }

    fn leave(&mut self, name: &str, session: &str) {
        let now = MonoMs(self.now);
        let member = self.members.get_mut(name).unwrap();
        let diff = member.replica.untrack(now, &topic(), &session.into());
        fold(&mut member.view, &diff);
        self.drain(name);
    }

    /// Makes a process end at once.
    fn kill(&mut self, name: &str) {
        self.members.remove(name);
    }

    fn cut(&mut self, passes: impl FnMut(&str, &str, &[u8]) -> bool + 'static) {
        self.passes = Box::new(passes);
    }

    fn at(&self, name: &str) -> &Member {
        &self.members[name]
    }

    fn listed(&self, name: &str) -> Vec<String> {
        let set = self.at(name).replica.set();
        set.list(&topic()).map(|presence| presence.session.to_string()).collect()
    }

    fn listed_everywhere(&self) -> Vec<String> {
        let mut lists: Vec<_> = self.members.keys().map(|name| self.listed(name)).collect();
        lists.dedup();
        assert_eq!(lists.len(), 1, "equal on all");
        lists.pop().unwrap()
    }

    /// Returns how many messages of a kind were sent by anyone, and forgets about them.
    fn count(&mut self, kind: Kind) -> usize {
        let sent = self.members.values_mut().map(|member| std::mem::take(&mut member.sent));
        sent.flatten().filter(|(sent, _)| *sent == kind).count()
    }

    fn events(&self, name: &str) -> &[PeerEvent] {
        &self.at(name).events
    }

    fn has_event(&self, name: &str, is_it: impl Fn(&PeerEvent) -> bool) -> bool {
        self.events(name).iter().any(is_it)
    }
}

fn topic() -> Topic {
    Topic::from("tickets:1")
}

fn fold(view: &mut View, diff: &Diff) {
    for changed in diff {
        let at = |presence: &Arc<Presence>| {
            (changed.topic.clone(), presence.session.clone(), presence.dot.clone())
        };
        for join in &changed.joins {
            assert!(view.insert(at(join), Arc::clone(join)).is_none(), "joined twice");
        }
        for leave in &changed.leaves {
            assert!(view.remove(&at(leave)).is_some(), "left without being there");
        }
    }
}

fn shown(set: &PresenceSet) -> View {
    let topics = set.topics().flat_map(|count| set.list(count.topic));
    let places = topics.map(|presence| {
        let Presence { topic, session, dot, .. } = &**presence;
        ((topic.clone(), session.clone(), dot.clone()), Arc::clone(presence))
    });
    places.collect()
}

/// Returns who was seen leaving by a replica's observers, and not as half of an update.
fn leaves(world: &World, name: &str) -> Vec<String> {
    let changes = world.at(name).others.iter().filter_map(|output| match output {
        ReplicaOutput::Changed(diff) => diff.topic(&topic()),
        _ => None,
    });
    let gone = changes.filter(|changed| changed.joins.is_empty());
    gone.flat_map(|changed| &changed.leaves).map(|leave| leave.session.to_string()).collect()
}

/// Returns a heartbeat of a member as it would be sent now.
fn heartbeat_of(world: &mut World, name: &str) -> Bytes {
    let now = MonoMs(world.now);
    let replica = &mut world.members.get_mut(name).unwrap().replica;
    replica.send_heartbeat(now);
    let sent = std::iter::from_fn(|| replica.poll_output()).filter_map(|output| match output {
        ReplicaOutput::Send { message, .. } => Some(message),
        _ => None,
    });
    sent.last().unwrap()
}

fn certainty(world: &World, name: &str) -> Certainty {
    world.at(name).replica.certainty(&topic())
}

fn world(names: &[&str]) -> World {
    World::new(names, ReplicaConfig::default())
}

fn id(name: &str, incarnation: u64) -> ReplicaId {
    ReplicaId::new(name, Incarnation(incarnation))
}

#[test]
fn a_join_crosses_within_a_gossip_period() {
    let mut world = world(&["a", "b"]);
    world.join("a", "s");
    world.run(250 + WAY_MS);
    assert_eq!(world.listed_everywhere(), ["s"]);
    world.leave("a", "s");
    world.run(250 + WAY_MS);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    assert_eq!(world.count(Kind::Request), 0, "and nobody had to ask");
}

#[test]
fn quiet_is_quiet() {
    let mut world = world(&["a", "b", "c"]);
    (0..50).for_each(|n| world.join("a", &format!("s{n}")));
    world.run(2_000);
    world.count(Kind::Deltas);
    let before: Vec<_> = world.members.values().map(|m| m.events.len() + m.others.len()).collect();
    world.run(60_000);
    for member in world.members.values() {
        assert!(member.sent.iter().all(|&(kind, bytes)| kind == Kind::Heartbeat && bytes < 100));
        assert!((59..=61).contains(&member.sent.len()), "{} heartbeats", member.sent.len());
    }
    let after: Vec<_> = world.members.values().map(|m| m.events.len() + m.others.len()).collect();
    assert_eq!(before, after, "and nothing is told to anybody");
}

#[test]
fn nothing_is_said_by_a_replica_that_is_alone() {
    let config = ReplicaConfig::alone();
    let mut replica = Replica::new(config, id("a", 1), (1, 1), MonoMs(0));
    let joining =
        Joining { topic: topic(), key: "k".into(), session: "s".into(), meta: Meta::default() };
    assert!(!replica.track(MonoMs(0), joining).unwrap().is_empty());
    assert_eq!((replica.poll_output(), replica.next_deadline()), (None, None));
    assert_eq!(replica.certainty(&topic()), Certainty::Confirmed);
}

#[test]
fn same_inputs_same_outputs() {
    let run = || {
        let mut world = world(&["a", "b", "c"]);
        let mut n = 0_u64;
        world.cut(move |_, _, _| {
            n += 1;
            !split_mix_64(n).is_multiple_of(4)
        });
        for n in 0..40 {
            world.join(["a", "b", "c"][n % 3], &format!("s{n}"));
            world.run(97);
        }
        world.run(5_000);
        let member =
            |member: &Member| (format!("{:?}", member.others), format!("{:?}", member.events));
        let flying = format!("{:?}", world.flying);
        (world.members.values().map(member).collect::<Vec<_>>(), flying)
    };
    assert_eq!(run(), run());
}
