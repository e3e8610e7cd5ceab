//! What clients and operators do, one drawn action at a time, and what clients read.

use std::collections::BTreeSet;

use penholder_hub::{
    AtJoin, Audience, InputSeen, Join, MemberId, PresenceChange, SendQueue, Viewer,
};
use penholder_presence::{Activity, Kind, Mode, SessionId};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{PresenceMode, Ref, Wire};

use super::node::Command;
use super::person::Seat;
use super::sabotage::Sabotage;
use super::world::World;
use crate::observer::{Message, Observer};
use crate::plan::Reading;
use crate::truth::card;
use crate::violation::Checked;

#[derive(Clone, Copy)]
enum Action {
    Connect,
    Steal,
    Leave,
    Lose,
    Update,
    Pause,
    Cut,
    Crash,
    Retire,
    JumpClock,
    PassLong,
    Nothing,
    Kick,
    Demote,
}

const ACTIONS: [(u64, Action); 12] = [
    (20, Action::Connect),
    (1, Action::Steal),
    (4, Action::Leave),
    (7, Action::Lose),
    (10, Action::Update),
    (3, Action::Pause),
    (4, Action::Cut),
    (2, Action::Crash),
    (2, Action::Retire),
    (2, Action::JumpClock),
    (3, Action::PassLong),
    (6, Action::Nothing),
];

/// What is done beside, where administrators meddle.
const MEDDLING: [(u64, Action); 2] = [(1, Action::Kick), (2, Action::Demote)];

/// How many sessions of a crowd are on one topic.
const HALL: u64 = 20;

impl World {
    /// The replicas start, most at once, and everybody comes.
    pub(crate) fn open(&mut self) -> Checked {
        for node in 0..self.nodes.len() {
            let late_ms = if self.rng.one_in(3) { self.rng.below(400) } else { 0 };
            self.nodes[node].restart_at = Some(late_ms);
        }
        self.pass(0)?;
        for at in 0..self.people.len() {
            self.connect(at)?;
        }
        self.crowd()
    }

    /// A crowd comes to one replica, and does nothing from then on.
    fn crowd(&mut self) -> Checked {
        let open: Vec<_> = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_open()).collect();
        let Some(node) = open.first().copied() else { return Ok(()) };
        for at in 0..self.plan.extras.crowd {
            let member = MemberId(self.number());
            let join = join(member, (format!("v{at}"), format!("hall:{}", at / HALL)));
            self.crowd.push((node, member));
            self.submit(node, Command::Join(Box::new(join)))?;
        }
        Ok(())
    }

    /// Does one thing. What cannot be done just now is not done.
    pub(crate) fn act(&mut self) -> Checked {
        let at = usize::try_from(self.rng.below(self.plan.clients)).unwrap_or_default();
        let node = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap_or_default();
        let plan = self.plan.clone();
        let meddles = plan.extras.meddles && self.rng.one_in(8);
        let actions = if meddles { MEDDLING.as_slice() } else { &ACTIONS };
        match self.rng.weighted(actions) {
            Action::Connect => self.connect(at),
            Action::Steal => self.steal(at),
            Action::Leave => self.leave(at),
            Action::Lose => self.lose(at),
            Action::Update => self.update(at),
            Action::Kick => self.kick(),
            Action::Demote => {
                let seat = self.people[at].seat.as_ref().map(|seat| (seat.node, seat.member));
                seat.map_or(Ok(()), |(node, member)| self.submit(node, Command::Demote(member)))
            }
            Action::Pause if plan.pause_max_ms > 0 => {
                let span = self.rng.below(plan.pause_max_ms + 1);
                self.pause(node, span);
                Ok(())
            }
            Action::Pause if self.sabotage == Some(Sabotage::Stall) => {
                self.pause(node, plan.gossip.down_after_ms * 2);
                Ok(())
            }
            Action::Cut if plan.partitions => {
                self.cut();
                Ok(())
            }
            Action::Crash if plan.crashes && self.nodes[node].is_open() => {
                self.kill(node);
                let after = self.rng.weighted(&[(1, 1), (2, 100), (2, 700), (1, 1_000_000)]);
                self.nodes[node].restart_at = Some(self.now + 1 + self.rng.below(after));
                Ok(())
            }
            Action::Retire if plan.retires => self.retire(node),
            Action::JumpClock if plan.jumps => {
                let jumps = [-86_400_000, -31_000, 31_000, 1_260_000, 86_400_000];
                let jump = self.rng.pick(&jumps).unwrap_or_default();
                let wall = &mut self.nodes[node].clock.wall;
                *wall = wall.saturating_add_signed(jump);
                Ok(())
            }
            Action::PassLong => {
                let span = self.rng.below(plan.gossip.down_after_ms * 2);
                self.pass(span)
            }
            _ => Ok(()),
        }
    }

    /// Connects to some replica, with the token of the session that was, if there is one.
    pub(crate) fn connect(&mut self, at: usize) -> Checked {
        let open: Vec<_> = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_open()).collect();
        let Some(node) = self.rng.pick(&open) else { return Ok(()) };
        if self.people[at].seat.is_some() {
            return Ok(());
        }
        let number = self.number();
        let member = MemberId(number);
        let join_ref = Ref::counter(number);
        let reading = self.plan.reading(&mut self.rng);
        let mode = self.rng.weighted(&[(4, Mode::Edit), (1, Mode::View)]);
        let presence = self.plan.extras.presence(&mut self.rng);
        let person = &mut self.people[at];
        let join = Join {
            wire: person.wire,
            mode,
            presence,
            resume: person.token.clone(),
            ..join(member, (person.key.clone(), person.topic.clone()))
        };
        let mut observer = Observer::of(&person.key, &person.topic);
        let is_prompt = matches!(reading, Reading::Promptly);
        observer.is_snapshot_first = is_prompt && presence != PresenceMode::Off;
        person.seat = Some(Seat {
            node,
            member,
            join_ref,
            presence,
            queue: SendQueue::new(reading.limits()),
            reading,
            has_overflowed: false,
            observer,
            claim: None,
            held: None,
        });
        self.members.insert(member, at);
        self.submit(node, Command::Join(Box::new(join)))
    }

    /// An administrator removes a session where it is, connected or waiting.
    fn kick(&mut self) -> Checked {
        let held = self.tenancy.held();
        let Some((node, topic, session)) = self.rng.pick(&held) else { return Ok(()) };
        self.submit(node, Command::Kick(crate::topic(&topic), session.into()))
    }

    /// Another client of the same person comes with the same token, as a duplicated tab does.
    fn steal(&mut self, at: usize) -> Checked {
        let (key, topic) = (self.people[at].key.clone(), self.people[at].topic.clone());
        let same = self.people.iter().filter(|it| it.key == key && it.topic == topic);
        let tokens: Vec<_> = same.filter_map(|person| person.token.clone()).collect();
        if self.people[at].seat.is_none() {
            self.people[at].token = self.rng.pick(&tokens);
        }
        self.connect(at)
    }

    pub(crate) fn leave(&mut self, at: usize) -> Checked {
        let Some(seat) = self.people[at].seat.take() else { return Ok(()) };
        self.people[at].token = None;
        self.submit(seat.node, Command::Leave(seat.member))
    }

    pub(crate) fn lose(&mut self, at: usize) -> Checked {
        let Some(seat) = self.people[at].seat.take() else { return Ok(()) };
        self.submit(seat.node, Command::Lost(seat.member))
    }

    pub(crate) fn update(&mut self, at: usize) -> Checked {
        let Some(seat) = &self.people[at].seat else { return Ok(()) };
        let (node, member, rng) = (seat.node, seat.member, &mut self.rng);
        let activities = [Activity::Viewing, Activity::Editing];
        let change = PresenceChange {
            custom: Some(format!("{{\"n\":{}}}", rng.below(1_000)).into()),
            activity: rng.one_in(3).then(|| rng.pick(&activities).unwrap_or_default()),
            unsaved: rng.one_in(4).then(|| rng.one_in(2)),
            visible: rng.one_in(4).then(|| rng.one_in(2)),
            input: rng.one_in(3).then_some(InputSeen),
        };
        self.submit(node, Command::Update(member, change))
    }

    fn pause(&mut self, node: usize, span_ms: u64) {
        let until = self.now + span_ms;
        if self.nodes[node].running().is_some_and(|life| life.stops_at.is_none()) {
            self.nodes[node].stand_still(self.now, until);
        }
    }

    /// Cuts some replicas off from others, in one direction or in both.
    fn cut(&mut self) {
        let (mut some, mut others) = (BTreeSet::new(), BTreeSet::new());
        for node in 0..self.nodes.len() {
            if self.rng.one_in(2) {
                some.insert(node)
            } else {
                others.insert(node)
            };
        }
        let until = self.now + self.rng.below(self.plan.gossip.down_after_ms * 6);
        self.net.cut(&some, &others, until);
        if self.rng.one_in(2) {
            self.net.cut(&others, &some, until);
        }
    }

    /// A replica says goodbye; its clients come to others while it drains.
    fn retire(&mut self, node: usize) -> Checked {
        if self.nodes.iter().filter(|node| node.is_open()).count() < 2 {
            return Ok(());
        }
        let drain_ms = self.plan.grace_ms.min(self.plan.gossip.down_after_ms) / 2;
        let until = self.now + drain_ms;
        let Some(life) = self.nodes[node].life.as_mut() else { return Ok(()) };
        if life.stops_at.is_some() || life.paused_until.is_some() {
            return Ok(());
        }
        life.stops_at = Some(until);
        life.kept_until = self.now + self.plan.keep_ms() * 98 / 100;
        let after = self.rng.weighted(&[(1, 1), (2, 300), (1, 1_000_000)]);
        self.nodes[node].restart_at = Some(until + 1 + self.rng.below(after));
        self.farewell_until = self.now + self.plan.keep_ms();
        self.submit(node, Command::Retire)?;
        for at in 0..self.people.len() {
            if self.people[at].seat.as_ref().is_some_and(|seat| seat.node == node) {
                self.lose(at)?;
                if !self.rng.one_in(4) {
                    self.connect(at)?;
                }
            }
        }
        Ok(())
    }

    /// Empties the queues of those who read at once.
    pub(crate) fn let_read(&mut self) -> Checked {
        for at in 0..self.people.len() {
            let seat = self.people[at].seat.as_ref();
            if seat.is_some_and(Seat::reads_promptly) {
                self.read(at, u64::MAX)?;
            }
        }
        Ok(())
    }

    /// Lets slow readers read as much as they do in a step, and ends those who were too slow.
    pub(crate) fn read_slowly(&mut self) -> Checked {
        for at in 0..self.people.len() {
            let Some(seat) = &self.people[at].seat else { continue };
            if seat.has_overflowed {
                self.lose(at)?;
            } else if let Reading::Slowly { frames, .. } = seat.reading {
                self.read(at, frames)?;
            }
        }
        if self.sabotage == Some(Sabotage::AwaitReaders) {
            self.go_on();
        }
        Ok(())
    }

    /// Lets those replicas go on that wait for nobody any more.
    fn go_on(&mut self) {
        let behind = self.people.iter().filter_map(|person| person.seat.as_ref());
        let behind: BTreeSet<_> =
            behind.filter(|seat| seat.is_behind()).map(|seat| seat.node).collect();
        let nodes = self.nodes.iter_mut().enumerate();
        for (_, node) in nodes.filter(|(at, _)| !behind.contains(at)) {
            if let Some(life) = &mut node.life {
                life.paused_until = life.paused_until.map(|until| match until {
                    u64::MAX => self.now,
                    until => until,
                });
            }
        }
    }

    /// Lets a client read; then asks for what was dropped.
    pub(super) fn read(&mut self, at: usize, frames_max: u64) -> Checked {
        for _ in 0..frames_max {
            let person = &mut self.people[at];
            let Some(seat) = &mut person.seat else { return Ok(()) };
            let Some(frame) = seat.queue.pop() else { break };
            let message = self.decoder.read(person.wire, &frame.body);
            let messages = match self.sabotage {
                Some(Sabotage::Client(fault)) => fault.tamper(message, &mut seat.held),
                _ => vec![message],
            };
            messages.iter().try_for_each(|message| self.receive(at, message))?;
        }
        let Some(seat) = &mut self.people[at].seat else { return Ok(()) };
        let (node, repairs) = (seat.node, seat.queue.repairs());
        self.tally.repairs += repairs.len() as u64;
        repairs.into_iter().try_for_each(|member| self.submit(node, Command::Resync(member)))
    }

    fn receive(&mut self, at: usize, message: &Message) -> Checked {
        let person = &mut self.people[at];
        let Some(seat) = &mut person.seat else { return Ok(()) };
        if message.event == "phx_reply" {
            if message.reference.as_ref() == Some(&seat.join_ref) {
                person.token.clone_from(&seat.claim);
                let claim = seat.claim.as_ref();
                let told = claim.map(|it| (it.session.as_str().to_owned(), it.joined_at.0));
                seat.observer.expected = told;
                return seat.observer.answer(&message.payload);
            }
            return Ok(());
        }
        let news = self.nodes[seat.node].tells_until(self.plan.window_ms);
        let (tenancy, nodes) = (&self.tenancy, &self.nodes);
        let this = &nodes[seat.node];
        let hides = |node: usize| this.is_deaf_to(&nodes[node]);
        // Who does not hear this replica does not wait until it has heard of who goes on elsewhere, and
        // cannot be asked for what is lacking here.
        let is_unheard = |node: usize| nodes[node].is_deaf_to(this);
        let (now, is_gentle) = (self.now, self.plan.is_gentle());
        let is_late = !seat.reads_promptly() || now <= news;
        seat.observer.receive(message, |session, _| {
            let is_excused = is_late || tenancy.was_at(session, is_unheard);
            // One who goes on where this replica hears nothing from is gone for it, sooner or later.
            !is_gentle && is_excused
                || !tenancy.has_stayed(now, session)
                || tenancy.is_at_all(session, hides)
        })
    }
}

/// A first join of a person to a topic, seen and seeing.
fn join(member: MemberId, (key, topic): (String, String)) -> Join {
    let reference = Some(Ref::counter(member.0));
    Join {
        member,
        wire: Wire::V2,
        dialect: Dialect::Phoenix,
        topic: crate::topic(&topic),
        join_ref: reference.clone(),
        reference,
        replaces: None,
        viewer: Viewer {
            key: key.as_str().into(),
            kind: Kind::Human,
            profile: card(&key).to_string().into(),
        },
        mode: Mode::Edit,
        presence: PresenceMode::Show,
        custom: "{}".into(),
        session: SessionId::from(format!("s{}", member.0)),
        resume: None,
        since: None,
        audience: Audience::Public,
        stream: AtJoin::None,
    }
}
