//! One run: a shard, its clients and their connections, and the checkers that look on.

use std::collections::{BTreeMap, VecDeque};

use penholder_hub::{Census, Hub, Input, MemberId, Now, Output, Pushed, TopicsQuery, WatcherId};
use penholder_presence::{MonoMs, WallMs};
use penholder_protocol::TopicRow;
use penholder_protocol::realtime::Dialect;
use serde_json::Value;

use crate::client::Client;
use crate::fault::Fault;
use crate::observer::{Decoder, Message, compare};
use crate::plan::{Plan, Reading};
use crate::rng::Rng;
use crate::truth::{Time, Truth};
use crate::violation::{Checked, Rule, Violation, ensure};

/// Where the wall clock stands at first.
const EPOCH: u64 = 1_700_000_000_000;

/// The one who watches the rows of all topics.
pub(crate) const WATCHER: WatcherId = WatcherId(1);

pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) hub: Hub,
    pub(crate) truth: Truth,
    pub(crate) now: Time,
    pub(crate) clients: Vec<Client>,
    /// Which client a membership belongs to, until it departs.
    pub(crate) members: BTreeMap<MemberId, usize>,
    pub(crate) rows: BTreeMap<String, TopicRow>,
    pub(crate) is_watching: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) tally: Tally,
    decoder: Decoder,
    /// Numbers everything that needs a name.
    next: u64,
    outputs: u64,
    log: Fnv,
}

/// FNV-1a, 64 bits: the digest of everything that a run has put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// How often a run came where something can go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Checks of a topic with more people than are shown.
    pub(crate) crowds: u64,
    /// Sessions that went on over a new connection.
    pub(crate) resumes: u64,
    /// Sessions that a connection took from another.
    pub(crate) takeovers: u64,
    /// Sessions that nobody came back for.
    pub(crate) expiries: u64,
    /// Members whose presence was dropped and asked for anew.
    pub(crate) repairs: u64,
    /// Connections that were too slow for what must arrive.
    pub(crate) overflows: u64,
}

impl Tally {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            crowds: self.crowds + other.crowds,
            resumes: self.resumes + other.resumes,
            takeovers: self.takeovers + other.takeovers,
            expiries: self.expiries + other.expiries,
            repairs: self.repairs + other.repairs,
            overflows: self.overflows + other.overflows,
        }
    }
}

/// What a run that broke no promise comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The digest of the event log.
    pub(crate) digest: u64,
    pub(crate) tally: Tally,
}

/// Runs a seed to its end.
///
/// # Errors
///
/// The first promise that was found broken.
pub(crate) fn run(seed: u64, fault: Option<Fault>) -> Result<Outcome, Violation> {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let mut run = Run::new(plan, rng, fault);
    run.open()?;
    for _ in 0..run.plan.steps {
        run.act()?;
        run.read_slowly()?;
        if run.rng.one_in(4) {
            run.check_list()?;
            run.check_prompt_readers()?;
        }
    }
    run.settle()?;
    run.leave_all()?;
    Ok(Outcome { digest: run.log.0, tally: run.tally })
}

impl Run {
    fn new(plan: Plan, mut rng: Rng, fault: Option<Fault>) -> Self {
        let clients = (0..plan.clients)
            .map(|_| {
                let key = format!("u{}", rng.below(plan.people));
                let v1 = rng.one_in(4);
                let wire =
                    if v1 { penholder_protocol::Wire::V1 } else { penholder_protocol::Wire::V2 };
                let realtime = rng.one_in(4);
                let dialect = if realtime { Dialect::Realtime } else { Dialect::Phoenix };
                Client::new(key, wire, dialect)
            })
            .collect();
        let sign = |claim: &penholder_hub::ResumeClaim| format!("{claim:?}");
        Self {
            hub: Hub::new(plan.config(), sign, Now { mono: MonoMs(0), wall: WallMs(EPOCH) }),
            truth: Truth::new(plan.liveness, plan.full_max),
            now: Time { mono: 0, wall: EPOCH },
            clients,
            members: BTreeMap::new(),
            rows: BTreeMap::new(),
            is_watching: false,
            fault,
            tally: Tally::default(),
            decoder: Decoder::default(),
            next: 0,
            outputs: 0,
            log: Fnv::new(),
            plan,
            rng,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Hands an input to the shard, performs what it answers, and lets those read who read promptly.
    pub(crate) fn input(&mut self, input: Input) -> Checked {
        self.handle(input);
        while self.read_promptly()? {}
        Ok(())
    }

    fn handle(&mut self, input: Input) {
        let now = Now { mono: MonoMs(self.now.mono), wall: WallMs(self.now.wall) };
        self.hub.handle(now, input);
        while let Some(output) = self.hub.poll_output() {
            self.log.add(format!("{} ", self.now.mono).as_bytes());
            self.outputs += 1;
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Deliver { to, frame } => {
                self.log.add(format!("{to:?}").as_bytes());
                self.log.add(frame.body.as_bytes());
                for member in to {
                    let client = &mut self.clients[self.members[&member]];
                    let Some(connection) = &mut client.connection else { continue };
                    let pushed = connection.queue.push(member, frame.clone());
                    connection.has_overflowed |= pushed == Pushed::Overflow;
                }
            }
            Output::Departed { member, .. } => {
                self.log.add(format!("departed {member:?}").as_bytes());
                let client = self.members.remove(&member).expect("departs once");
                let Some(connection) = &mut self.clients[client].connection else { return };
                connection.queue.forget(member);
                let mut channels = connection.channels.values_mut();
                if let Some(channel) = channels.find(|channel| channel.member == member) {
                    channel.is_over = true;
                }
            }
            Output::Row { row, .. } => {
                self.log.add(format!("{row:?}").as_bytes());
                self.rows.insert(row.topic.clone(), row);
            }
            // Nobody asks for a pen, and who watches hears of none.
            Output::Pen(_) => {}
            Output::Publish { .. }
            | Output::Relay { .. }
            | Output::Peer(_)
            | Output::Superseded { .. } => {
                panic!("a lone replica has nobody to talk to")
            }
        }
    }

    /// Lets time pass, serving each deadline when it is due.
    pub(crate) fn pass(&mut self, span_ms: u64) -> Checked {
        let end = self.now.mono + span_ms;
        while let Some(at) = self.hub.next_deadline().filter(|at| at.0 <= end) {
            self.advance(at.0);
            self.input(Input::Tick)?;
        }
        self.advance(end);
        Ok(())
    }

    fn advance(&mut self, mono: u64) {
        let span = mono.saturating_sub(self.now.mono);
        self.now = Time { mono: self.now.mono + span, wall: self.now.wall + span };
        self.tally.expiries += self.truth.advance(self.now);
    }

    /// Empties the queues of those who read at once. Says whether anything was asked of the shard.
    fn read_promptly(&mut self) -> Result<bool, Violation> {
        let mut is_busy = false;
        for at in 0..self.clients.len() {
            let connection = self.clients[at].connection.as_ref();
            if connection.is_some_and(|connection| matches!(connection.reading, Reading::Promptly))
            {
                is_busy |= self.read(at, u64::MAX)?;
            }
        }
        Ok(is_busy)
    }

    /// Lets slow readers read as much as they do in a step, and ends those who were too slow.
    fn read_slowly(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            let Some(connection) = &self.clients[at].connection else { continue };
            if connection.has_overflowed {
                self.tally.overflows += 1;
                self.lose(at)?;
            } else if let Reading::Slowly { frames, .. } = connection.reading {
                self.read(at, frames)?;
            }
        }
        Ok(())
    }

    /// Lets a client read; then asks for what was dropped. Says whether it asked.
    fn read(&mut self, at: usize, frames_max: u64) -> Result<bool, Violation> {
        for _ in 0..frames_max {
            let client = &mut self.clients[at];
            let Some(connection) = &mut client.connection else { return Ok(false) };
            let Some(frame) = connection.queue.pop() else { break };
            let message = self.decoder.read(client.wire, &frame.body);
            let messages = match self.fault {
                Some(fault) => fault.tamper(message, &mut connection.held),
                None => vec![message],
            };
            messages.iter().try_for_each(|message| self.receive(at, message))?;
        }
        let connection = self.clients[at].connection.as_mut();
        let repairs = connection.map(|connection| connection.queue.repairs()).unwrap_or_default();
        let is_busy = !repairs.is_empty();
        self.tally.repairs += repairs.len() as u64;
        repairs.into_iter().for_each(|member| self.handle(Input::Resync(member)));
        Ok(is_busy)
    }

    fn receive(&mut self, at: usize, message: &Message) -> Checked {
        let client = &mut self.clients[at];
        let Some(connection) = &mut client.connection else { return Ok(()) };
        let Some(channel) = connection.channels.get_mut(&message.topic) else { return Ok(()) };
        let is_of_channel = message.reference.as_ref() == Some(&channel.join_ref);
        match message.event.as_str() {
            "phx_reply" if is_of_channel => {
                if client.dialect.resumes() {
                    client.tokens.insert(message.topic.clone(), channel.claim.clone());
                }
                channel.observer.answer(&message.payload)
            }
            "phx_reply" => Ok(()),
            "phx_close" | "phx_error" if is_of_channel => {
                connection.channels.remove(&message.topic);
                Ok(())
            }
            "phx_close" | "phx_error" => Ok(()),
            _ => {
                let (truth, key) = (&self.truth, &client.key);
                // In a crowd who is not oneself may have to make room.
                let may_go = |session: &str, of: &str| {
                    let makes_room = of != key && truth.has_been_a_crowd(&message.topic);
                    !truth.has_stayed(session) || makes_room
                };
                channel.observer.receive(message, may_go)
            }
        }
    }

    /// The connection of a client ends without a goodbye.
    pub(crate) fn lose(&mut self, at: usize) -> Checked {
        let Some(connection) = self.clients[at].connection.take() else { return Ok(()) };
        let dialect = self.clients[at].dialect;
        for channel in connection.channels.into_values().filter(|channel| !channel.is_over) {
            self.truth.lose(self.now, channel.member, dialect);
            self.truth.advance(self.now);
            if self.fault != Some(Fault::ForgetLoss) {
                self.handle(Input::Lost(channel.member));
            }
        }
        self.input(Input::Tick)
    }

    /// Everybody who ought to get a broadcast on `topic`, but `except`, now waits for it.
    pub(crate) fn expect_broadcast(&mut self, topic: &str, number: u64, except: Option<MemberId>) {
        for connection in self.clients.iter_mut().filter_map(|client| client.connection.as_mut()) {
            if let Some(channel) = connection.channels.get_mut(topic)
                && !channel.is_over
                && Some(channel.member) != except
            {
                channel.observer.broadcasts.push_back(number);
            }
        }
    }

    /// The broadcasts that a channel still waits for.
    pub(crate) fn due(&self, at: usize, topic: &str) -> VecDeque<u64> {
        let channel = self.clients[at].channel(topic);
        channel.map(|channel| channel.observer.broadcasts.clone()).unwrap_or_default()
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        (0..self.plan.topics).map(|topic| format!("doc:{topic}")).collect()
    }

    /// The shard's own list is so at every step.
    fn check_list(&self) -> Checked {
        for topic in self.topics() {
            let (keys, _) = self.hub.presences(&crate::topic(&topic));
            let listed: Vec<(String, Value)> = keys
                .into_iter()
                .flat_map(|(key, metas)| {
                    let value = |meta: penholder_protocol::Json| {
                        serde_json::from_str(meta.as_str()).expect("JSON")
                    };
                    let named = move |meta| (key.as_str().to_owned(), value(meta));
                    metas.into_iter().map(named)
                })
                .collect();
            let shown = self.truth.shown(&topic);
            let places = (topic.as_str(), "the shard");
            compare(self.now, &self.truth, places, (&listed, &shown, shown.clone()))?;
        }
        Ok(())
    }

    /// After the window, whoever reads promptly knows everything.
    fn check_prompt_readers(&mut self) -> Checked {
        self.pass(self.plan.window_ms)?;
        // What changes at the end of the window is told after the next.
        while self.hub.next_deadline().is_some_and(|at| at.0 <= self.now.mono + self.plan.window_ms)
        {
            self.pass(self.plan.window_ms + 1)?;
        }
        let people = |topic: &String| self.truth.people(topic).len();
        let crowds =
            self.topics().iter().filter(|topic| people(topic) > self.plan.full_max).count();
        self.tally.crowds += crowds as u64;
        for client in &self.clients {
            let Some(connection) = &client.connection else { continue };
            if matches!(connection.reading, Reading::Promptly) {
                let mut open = connection.channels.values().filter(|channel| !channel.is_over);
                open.try_for_each(|channel| {
                    channel.observer.check(self.now, &self.truth, self.plan.full_max)
                })?;
            }
        }
        self.check_rows()
    }

    fn check_rows(&self) -> Checked {
        for (topic, row) in self.rows.iter().filter(|_| self.is_watching) {
            let expected = self.truth.outline(self.now, topic).summary;
            let names = expected["presences"].as_array().into_iter().flatten().take(3);
            let is_right = Some(row.count) == expected["count"].as_u64()
                && names.map(|person| &person["key"]).eq(row.names.iter())
                && row.prior.as_ref().map(|prior| prior.id.as_str())
                    == expected["prior_user_presence"]["key"].as_str();
            ensure(is_right, Rule::SamePriority, || format!("{row:?} instead of {expected}"))?;
        }
        Ok(())
    }

    /// Everybody reads everything; then all know the truth, and nothing more is said.
    fn settle(&mut self) -> Checked {
        for _ in 0..100 {
            self.read_slowly()?;
            let mut is_busy = false;
            for at in 0..self.clients.len() {
                is_busy |= self.read(at, u64::MAX)?;
                if let Some(connection) = &mut self.clients[at].connection {
                    connection.reading = Reading::Promptly;
                }
            }
            self.pass(self.plan.window_ms + 1)?;
            if !is_busy {
                self.check_prompt_readers()?;
                return self.check_quiet();
            }
        }
        Err(Violation { rule: Rule::Quiet, detail: "repairs never end".to_owned() })
    }

    /// While nothing changes by itself, nothing is sent.
    fn check_quiet(&mut self) -> Checked {
        let before = self.outputs;
        let span = self.truth.next_change(self.now).min(self.now.mono + 60_000) - self.now.mono;
        self.pass(span.saturating_sub(1))?;
        ensure(self.outputs == before, Rule::Quiet, || {
            format!("{} outputs in {span} quiet milliseconds", self.outputs - before)
        })
    }

    /// Everybody goes; after grace nothing of them is left.
    fn leave_all(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            if self.rng.one_in(2) { self.lose(at)? } else { self.goodbye(at)? }
        }
        self.input(Input::Unwatch(WATCHER))?;
        self.pass(self.plan.liveness.grace_ms + self.plan.window_ms)?;
        let census = self.hub.census();
        ensure(census == Census::default(), Rule::NoGhost, || format!("{census:?} remain"))?;
        let every = TopicsQuery { prefix: "", after: "", limit: usize::MAX, may_view: &|_| true };
        let topics = self.hub.topics(&every);
        ensure(topics.is_empty(), Rule::NoGhost, || format!("{topics:?} remain"))?;
        ensure(self.hub.next_deadline().is_none(), Rule::NoGhost, || "a deadline remains".into())
    }
}
