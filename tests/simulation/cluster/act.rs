//! What clients and operators do, one drawn action at a time, and what clients read.

use std::collections::BTreeSet;

use penholder_hub::{InputSeen, Join, MemberId, PresenceChange, SendQueue, Viewer};
use penholder_presence::{Activity, Kind, Mode, SessionId};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{PresenceMode, Ref};

use super::node::Command;
use super::person::Seat;
use super::sabotage::{Forgiven, Sabotage};
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
        Ok(())
    }

    /// Does one thing. What cannot be done just now is not done.
    pub(crate) fn act(&mut self) -> Checked {
        let at = usize::try_from(self.rng.below(self.plan.clients)).unwrap_or_default();
        let node = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap_or_default();
        let plan = self.plan.clone();
        match self.rng.weighted(&ACTIONS) {
            Action::Connect => self.connect(at),
            Action::Steal => self.steal(at),
            Action::Leave => self.leave(at),
            Action::Lose => self.lose(at),
            Action::Update => self.update(at),
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
        let person = &mut self.people[at];
        let join = Join {
            member,
            wire: person.wire,
            dialect: Dialect::Phoenix,
            topic: crate::topic(&person.topic),
            join_ref: Some(join_ref.clone()),
            reference: Some(join_ref.clone()),
            replaces: None,
            viewer: Viewer {
                key: person.key.as_str().into(),
                kind: Kind::Human,
                profile: card(&person.key).to_string().into(),
            },
            mode,
            presence: PresenceMode::Show,
            custom: "{}".into(),
            session: SessionId::from(format!("s{number}")),
            resume: person.token.clone(),
            since: None,
        };
        let mut observer = Observer::of(&person.key, &person.topic);
        observer.is_snapshot_first = matches!(reading, Reading::Promptly);
        person.seat = Some(Seat {
            node,
            member,
            join_ref,
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
        let rest_ms = self.plan.gossip.heartbeat_ms * 2 + self.plan.delay_max_ms;
        let is_alone = self.paused_last + rest_ms < self.now;
        if self.plan.is_gentle() && self.forgives(Forgiven::StallAfterStall) && !is_alone {
            return;
        }
        if let Some(life) = self.nodes[node].life.as_mut().filter(|life| life.stops_at.is_none())
            && life.paused_until.is_none()
        {
            life.paused_until = Some(until);
            self.paused_last = self.paused_last.max(until);
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
        let after = self.rng.weighted(&[(1, 1), (2, 300), (1, 1_000_000)]);
        self.nodes[node].restart_at = Some(until + 1 + self.rng.below(after));
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
        Ok(())
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
        let start = self.moves_count_from();
        let person = &mut self.people[at];
        let Some(seat) = &mut person.seat else { return Ok(()) };
        if message.event == "phx_reply" {
            if message.reference.as_ref() == Some(&seat.join_ref) {
                person.token.clone_from(&seat.claim);
                return seat.observer.answer(&message.payload);
            }
            return Ok(());
        }
        let life = self.nodes[seat.node].life.as_ref();
        let news = life.map_or(0, |life| life.upheaval + self.plan.window_ms + 2);
        let is_excused = !self.plan.is_gentle() && (!seat.reads_promptly() || self.now <= news);
        let tenancy = &self.tenancy;
        seat.observer.receive(message, |session, _| {
            let has_moved = tenancy.has_moved_since(session, start);
            is_excused || has_moved || !tenancy.has_stayed(session)
        })
    }
}
