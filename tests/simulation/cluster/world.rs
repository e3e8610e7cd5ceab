//! Replicas, network and clients, and how one moment follows the other.

use std::collections::BTreeMap;

use bytes::Bytes;
use penholder_hub::{Departure, Input, MemberId, Output, Push, Pushed, Request};
use penholder_presence::{Answer, PeerEvent, PriorityPolicy, Recipient, ReplicaId, SessionPolicy};
use penholder_protocol::PresenceMode;

use super::check::Sure;
use super::network::{Flight, Network};
use super::node::{Clock, Command, Node};
use super::person::Person;
use super::plan::Plan;
use super::sabotage::Sabotage;
use super::tally::Tally;
use super::tenancy::{Arrival, Tenancy, Told};
use crate::observer::Decoder;
use crate::rng::Rng;
use crate::run::Fnv;
use crate::story::Story;
use crate::violation::{Checked, Rule, Violation, ensure};

/// A kind of message: the second byte of the envelope, which no version changes.
const HEARTBEAT: u8 = 2;
const DELTAS: u8 = 1;

/// A version that no replica knows.
const NEWER: u8 = 2;

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) people: Vec<Person>,
    /// Whose a membership is, until it departs.
    pub(crate) members: BTreeMap<MemberId, usize>,
    pub(crate) tenancy: Tenancy,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) tally: Tally,
    /// Who only fills the replicas, and where.
    pub(crate) crowd: Vec<(usize, MemberId)>,
    /// How many times a replica has told all others what it did.
    pub(crate) intervals: usize,
    pub(crate) decoder: Decoder,
    pub(crate) log: Fnv,
    /// Everything but heartbeats that was put out.
    pub(crate) stir: Vec<String>,
    /// Everything that was said of the forgotten.
    pub(crate) ghosts: Vec<String>,
    pub(crate) is_quiet: bool,
    /// Whether the dead are forgotten: their names are named no more.
    pub(crate) is_forgetful: bool,
    pub(crate) is_healed: bool,
    /// When the last goodbye is over.
    pub(crate) farewell_until: u64,
    /// What each replica is sure of, by topic, as of what it last did.
    pub(super) answers: Vec<BTreeMap<String, Sure>>,
    pub(crate) story: Story,
    next: u64,
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut rng = Rng::new(seed);
        let mut plan = Plan::draw(&mut rng).with_extras(Rng::new(!seed));
        plan.gossip.traps = sabotage.map(Sabotage::traps).unwrap_or_default();
        let nodes: Vec<_> = (0..plan.replicas)
            .map(|at| {
                let ppm = 1_000_000 + rng.below(2 * plan.drift_ppm + 1) - plan.drift_ppm;
                let wall = 1_700_000_000_000 + rng.below(100);
                let start = rng.below(10_000);
                let is_wall = sabotage == Some(Sabotage::WallClock);
                Node::new(format!("gw-{at}"), Clock { start, ppm, wall, is_wall })
            })
            .collect();
        let people = (0..plan.clients)
            .map(|_| {
                let v1 = rng.one_in(4);
                let wire = [penholder_protocol::Wire::V2, penholder_protocol::Wire::V1];
                Person {
                    key: format!("u{}", rng.below(plan.people)),
                    topic: format!("doc:{}", rng.below(plan.topics)),
                    wire: wire[usize::from(v1)],
                    seat: None,
                    token: None,
                }
            })
            .collect();
        let story = Story::begin(&plan);
        let news_ms = if plan.is_gentle() { plan.news_ms() } else { u64::MAX };
        Self {
            plan,
            rng,
            now: 0,
            answers: vec![BTreeMap::new(); nodes.len()],
            nodes,
            net: Network::default(),
            people,
            members: BTreeMap::new(),
            tenancy: Tenancy::new(news_ms),
            sabotage,
            tally: Tally::default(),
            crowd: Vec::new(),
            intervals: 0,
            decoder: Decoder::default(),
            log: Fnv::new(),
            stir: Vec::new(),
            ghosts: Vec::new(),
            is_quiet: false,
            is_forgetful: false,
            is_healed: false,
            farewell_until: 0,
            story,
            next: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn start(&mut self, node: usize) -> Checked {
        let is_odd = self.sabotage == Some(Sabotage::Favour) && node == 0;
        let mut priority = PriorityPolicy::default();
        if is_odd {
            priority.sessions = SessionPolicy::SingleSession;
        }
        let is_second = self.sabotage == Some(Sabotage::SecondLife);
        let is_newer = self.plan.extras.upgrades && self.rng.one_in(3);
        self.nodes[node].start(self.now, &self.plan, (priority, is_second, is_newer));
        self.drain(node)
    }

    /// A process ends at once; nobody is told.
    pub(crate) fn kill(&mut self, node: usize) {
        self.story.tell(self.now, &self.nodes[node].name, || "ends".to_owned());
        let life = self.nodes[node].life.take();
        // Where messages are lost, a goodbye is as well, and its replica is taken for dead.
        let life = life.filter(|_| self.plan.is_gentle());
        self.answers[node].clear();
        self.tenancy.clear(self.now, node, life.map_or(0, |life| life.kept_until));
        for person in &mut self.people {
            if let Some(seat) = person.seat.take_if(|seat| seat.node == node) {
                self.members.remove(&seat.member);
            }
        }
    }

    /// Hands a command to a replica, now or when it goes on.
    pub(crate) fn submit(&mut self, node: usize, command: Command) -> Checked {
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        if life.paused_until.is_some() {
            let is_bus = matches!(command, Command::Bus(_));
            if is_bus && life.inbox.len() >= self.plan.extras.inbox_max {
                return self.count(|tally| &mut tally.dropped);
            }
            life.inbox.push_back(command);
            return Ok(());
        }
        self.execute(node, command)?;
        self.let_read()
    }

    fn execute(&mut self, node: usize, command: Command) -> Checked {
        let now = self.nodes[node].clock.read(self.now);
        self.tenancy.expire(self.now, node, now.mono.0);
        let name = &self.nodes[node].name;
        self.story.tell(self.now, name, || format!("takes {command:?}"));
        let mut joined = None;
        let forgets = |sabotage| self.sabotage == Some(sabotage);
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        let input = match command {
            Command::Bus(message) => Input::Bus(message),
            Command::Tick => Input::Tick,
            Command::Retire => Input::Retire,
            Command::Resync(member) => Input::Resync(member),
            Command::Join(join) => {
                let told = Told { mode: join.mode, custom: join.custom.clone() };
                joined = Some(Arrival { member: join.member, presence: join.presence, told });
                Input::Join(join)
            }
            Command::Leave(member) => {
                if let Some(session) = self.tenancy.of_member(node, member) {
                    self.tenancy.give_up(self.now, node, &session);
                }
                if forgets(Sabotage::ForgetLeave) {
                    return Ok(());
                }
                Input::Leave { member, reference: None }
            }
            Command::Lost(member) => {
                let until = now.mono.0 + self.plan.grace_ms;
                self.tenancy.lose(node, member, until);
                if forgets(Sabotage::ForgetLoss) {
                    return Ok(());
                }
                Input::Lost(member)
            }
            Command::Kick(topic, session) => {
                self.tenancy.give_up(self.now, node, session.as_str());
                self.tally.kicks += 1;
                Input::Kick { topic, session }
            }
            Command::Demote(member) => {
                self.tenancy.demote(node, member);
                self.tally.demotions += 1;
                Input::Demote(member)
            }
            Command::Update(member, change) => {
                self.tenancy.update(node, member, &change);
                let request = Request::Presence(change);
                Input::Push(Push { member, reference: None, request })
            }
        };
        life.hub.handle(now, input);
        if let Some(arrival) = joined {
            let claim = life.signed.lock().expect("one thread").take().expect("it was answered");
            let member = arrival.member;
            self.tally.hidden += u64::from(arrival.presence != PresenceMode::Show);
            let is_move = self.tenancy.hold(self.now, node, arrival, &claim);
            self.tally.moves += u64::from(is_move);
            let person = self.members.get(&member).map(|person| &mut self.people[*person]);
            let seat = person.and_then(|person| person.seat.as_mut());
            if let Some(seat) = seat.filter(|seat| seat.member == member) {
                seat.claim = Some(claim);
            }
        }
        self.drain(node)?;
        self.notice_yields(node);
        self.check_certainty(node)
    }

    /// Performs what a replica has put out.
    fn drain(&mut self, node: usize) -> Checked {
        loop {
            let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
            let Some(output) = life.hub.poll_output() else { return Ok(()) };
            self.log.add(format!("{} {node} ", self.now).as_bytes());
            self.perform(node, output)?;
        }
    }

    fn perform(&mut self, node: usize, output: Output) -> Checked {
        match output {
            Output::Deliver { to, frame } => {
                self.log.add(format!("{to:?}").as_bytes());
                self.log.add(frame.body.as_bytes());
                let body = || String::from_utf8_lossy(frame.body.as_bytes());
                self.story
                    .tell(self.now, &self.nodes[node].name, || format!("to {to:?}: {}", body()));
                if self.is_quiet {
                    self.stir.push(format!("a frame to {to:?}"));
                }
                for member in to {
                    let Some(person) = self.members.get(&member) else { continue };
                    let Some(seat) = &mut self.people[*person].seat else { continue };
                    if seat.member == member {
                        let pushed = seat.queue.push(member, frame.clone());
                        seat.has_overflowed |= pushed == Pushed::Overflow;
                        if self.sabotage == Some(Sabotage::AwaitReaders) && seat.is_behind() {
                            self.nodes[node].stand_still(self.now, u64::MAX);
                        }
                    }
                }
                Ok(())
            }
            Output::Departed { member, departure } => self.depart(node, member, departure),
            Output::Publish { to, message } => {
                self.log.add(&message);
                self.publish(node, &to, &message);
                Ok(())
            }
            // Nobody listens to events here.
            Output::Relay { .. } => Ok(()),
            Output::Peer(event) => self.hear_of(node, &event),
            Output::Superseded { by } => {
                let name = &self.nodes[node].name;
                let detail = format!("{name} takes itself for superseded by {by:?}");
                Err(Violation { rule: Rule::OneLife, detail })
            }
            Output::Row { .. } | Output::Pen(_) => panic!("nobody watches"),
        }
    }

    /// Sends a message to those who are meant.
    fn publish(&mut self, node: usize, to: &Recipient, message: &Bytes) {
        self.note_message(node, to, message);
        let is_mute = self.is_healed && self.sabotage == Some(Sabotage::Mute) && node == 0;
        for other in (0..self.nodes.len()).filter(|_| !is_mute) {
            let is_meant = match to {
                Recipient::All => other != node,
                Recipient::One(name) => name.as_str() == self.nodes[other].name,
            };
            let is_swallowed =
                self.sabotage.is_some_and(|it| it.swallows(self.now, (node, other), message));
            if is_meant && !is_swallowed {
                let message = self.spoken(node, other, (to, message));
                let message = match self.sabotage {
                    Some(sabotage) => sabotage.garble(node, &message),
                    None => message,
                };
                let flight = Flight { from: node, to: other, message };
                self.net.send(self.now, flight, (&self.plan, &mut self.rng));
            }
        }
    }

    fn note_message(&mut self, node: usize, to: &Recipient, message: &[u8]) {
        let kind = message.get(1);
        if kind == Some(&DELTAS) && *to == Recipient::All {
            self.intervals += 1;
            let life = self.nodes[node].life.as_mut().expect("it speaks");
            life.told_bytes += message.len();
        }
        let name = &self.nodes[node].name;
        // An older replica goes on asking, and may be told of the dead until all have forgotten them.
        let is_chatter = self.plan.extras.upgrades && *to != Recipient::All;
        if self.is_quiet && kind != Some(&HEARTBEAT) && !is_chatter {
            self.stir.push(format!("{name} publishes to {to:?}"));
        }
        if self.is_forgetful {
            let dead = self.nodes.iter().filter(|node| node.life.is_none());
            let mut names = dead.map(|node| node.name.as_bytes());
            let is_named = |name: &[u8]| message.windows(name.len()).any(|part| part == name);
            if let Some(dead) = names.find(|dead| is_named(dead)) {
                self.ghosts.push(format!("{name} names {}", String::from_utf8_lossy(dead)));
            }
        }
    }

    /// A message in the words of its sender: what a newer replica says to all is in a version that
    /// older ones do not know. To one it speaks as that one does.
    fn spoken(&self, node: usize, other: usize, (to, message): (&Recipient, &Bytes)) -> Bytes {
        let is_newer = |at: usize| self.nodes[at].life.as_ref().is_some_and(|life| life.is_newer);
        if *to != Recipient::All || !is_newer(node) || is_newer(other) {
            return message.clone();
        }
        let mut message = message.to_vec();
        message[0] = NEWER;
        message.into()
    }

    fn hear_of(&mut self, node: usize, event: &PeerEvent) -> Checked {
        self.log.add(format!("{event:?}").as_bytes());
        let now = self.now;
        self.story.tell(now, &self.nodes[node].name, || format!("{event:?}"));
        let is_upheaval = matches!(
            event,
            PeerEvent::Down(_) | PeerEvent::Gone(_) | PeerEvent::Left(_) | PeerEvent::Restarted(_)
        );
        if let Some(life) = &mut self.nodes[node].life {
            if is_upheaval {
                life.upheaval = now;
            }
            life.note_judgement(event);
        }
        if let PeerEvent::Up(other) = event {
            // What it shows of old comes back at once, and what has become of it after that. And who
            // was not heard could not ask for what it lacked.
            let name = self.nodes[node].name.clone();
            let both = [name.as_str(), other.name.as_str()];
            let nodes = self.nodes.iter_mut().filter(|node| both.contains(&node.name.as_str()));
            for life in nodes.filter_map(|node| node.life.as_mut()) {
                life.upheaval = now + self.plan.news_ms();
            }
        }
        let place = || format!("{} at {now}: {event:?}", self.nodes[node].name);
        match event {
            PeerEvent::Down(id) => {
                self.tally.downs += 1;
                ensure(!self.is_audible(id), Rule::NoGap, place)
            }
            PeerEvent::Up(id) => self.see(node, id),
            PeerEvent::Gone(_) => self.count(|tally| &mut tally.gone),
            PeerEvent::Restarted(id) => {
                self.tally.restarts += 1;
                self.see(node, id)
            }
            PeerEvent::Leaving(..) => self.count(|tally| &mut tally.farewells),
            PeerEvent::Stalled(_) => self.count(|tally| &mut tally.stalls),
            PeerEvent::Answered { owner, by, .. } => {
                self.tally.states += u64::from(*by != Answer::Deltas);
                self.check_answer(node, owner.as_str(), *by)
            }
            PeerEvent::UnknownVersion { version: NEWER, .. } if self.plan.extras.upgrades => {
                self.count(|tally| &mut tally.unknown)
            }
            PeerEvent::Malformed(_) | PeerEvent::UnknownVersion { .. } => {
                Err(Violation { rule: Rule::Delivery, detail: place() })
            }
            _ => Ok(()),
        }
    }

    /// A replica takes a life for running: none before the latest that it has taken for it.
    fn see(&mut self, node: usize, id: &ReplicaId) -> Checked {
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        let latest = life.latest.entry(id.name.as_str().to_owned()).or_insert(id.incarnation);
        let before = std::mem::replace(latest, id.incarnation);
        ensure(before <= id.incarnation, Rule::OneLife, || {
            format!("{} at {}: {id:?} after {before:?}", self.nodes[node].name, self.now)
        })
    }

    fn count(&mut self, field: impl FnOnce(&mut Tally) -> &mut u64) -> Checked {
        *field(&mut self.tally) += 1;
        Ok(())
    }

    /// A membership is over.
    fn depart(&mut self, node: usize, member: MemberId, departure: Departure) -> Checked {
        self.log.add(format!("{member:?} {departure:?}").as_bytes());
        let person = self.members.remove(&member);
        if let Some(session) = self.tenancy.of_member(node, member) {
            ensure(self.tenancy.may_yield(node, &session), Rule::Resume, || {
                format!("{} lets {session} go for nobody", self.nodes[node].name)
            })?;
            self.tenancy.end(self.now, node, &session);
            self.tally.yields += 1;
        }
        if let Some(person) = person.map(|person| &mut self.people[person])
            && person.seat.as_ref().is_some_and(|seat| seat.member == member)
        {
            // It joins again with a session of its own.
            (person.seat, person.token) = (None, None);
        }
        Ok(())
    }

    /// Sees which sessions without a connection a replica has let go to another.
    fn notice_yields(&mut self, node: usize) {
        let Some(life) = &self.nodes[node].life else { return };
        let waiting = self.tenancy.of_node(node).filter(|(_, holding)| holding.member.is_none());
        let gone = waiting.filter(|(session, holding)| {
            let topic = crate::topic(&holding.topic);
            let why = life.hub.why(&topic, &session.as_str().into());
            self.tenancy.may_yield(node, session)
                && why.is_none_or(|evidence| evidence.connection.is_none())
        });
        let gone: Vec<String> = gone.map(|(session, _)| session.clone()).collect();
        for session in gone {
            self.tenancy.end(self.now, node, &session);
            self.tally.yields += 1;
        }
    }

    /// Lets time pass; everything happens when it is due.
    pub(crate) fn pass(&mut self, span_ms: u64) -> Checked {
        let end = self.now + span_ms;
        loop {
            let nodes = self.nodes.iter().enumerate();
            let due = nodes.filter_map(|(at, node)| Some((node.next_event()?, 1 + at)));
            let arrival = self.net.next_arrival().map(|at| (at, 0));
            let Some((at, what)) = due.chain(arrival).min().filter(|(at, _)| *at <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = at.max(self.now);
            if what > 0 {
                self.wake(what - 1)?;
            } else if let Some(flight) = self.net.arrived(self.now) {
                self.submit(flight.to, Command::Bus(flight.message))?;
            }
        }
    }

    /// Does what is due at a replica.
    fn wake(&mut self, node: usize) -> Checked {
        let Some(life) = &mut self.nodes[node].life else { return self.start(node) };
        if life.stops_at.is_some_and(|at| at <= self.now) {
            self.kill(node);
            return Ok(());
        }
        if life.paused_until.take().is_some() {
            self.nodes[node].stood_until = self.now;
            let life = self.nodes[node].life.as_mut().expect("it stood still");
            let stood_ms = self.now - life.paused_from;
            let is_long = stood_ms > self.plan.gossip.down_after_ms;
            // What other replicas have said comes before all else, and all before the clock.
            let is_bus = |command: &Command| matches!(command, Command::Bus(_));
            let (said, rest): (Vec<_>, Vec<_>) = life.inbox.drain(..).partition(is_bus);
            if self.plan.extras.clock_first && is_long {
                self.execute(node, Command::Tick)?;
            }
            for command in said.into_iter().chain(rest) {
                self.execute(node, command)?;
            }
        }
        self.execute(node, Command::Tick)?;
        self.let_read()
    }
}
