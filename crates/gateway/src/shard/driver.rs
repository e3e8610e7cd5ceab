//! Drives one hub: inputs from the inbox, outputs to the connections, sleep until the next deadline.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use penholder_hub::{Hub, Input, Join, MemberId, Output, PenAsk, PenReply, Source, WatcherId};
use penholder_presence::{MonoMs, PeerEvent, Recipient, ReplicaName};
use penholder_protocol::TopicName;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::{Feed, Outbox};
use crate::bus::{Bus, Inbox, Message, Sort};
use crate::clock::Clock;
use crate::pens::{PenDesk, away};
use crate::telemetry::metrics::ShardMetrics;

/// What a shard is asked to do.
pub(super) enum Command {
    Join { join: Box<Join>, outbox: Arc<Outbox>, asked_at: Instant },
    Input(Input),
    Read(Box<dyn FnOnce(&Driver) + Send>),
    Watch { watcher: WatcherId, topics: Vec<TopicName>, feed: Arc<Feed> },
    Unwatch(WatcherId),
}

/// What the process ends with when another one has taken its name.
const EXIT_SUPERSEDED: i32 = 3;

/// A hub and the connections that its outputs go to.
pub(super) struct Driver {
    pub(super) hub: Hub,
    clock: Clock,
    pens: PenDesk,
    // The numbers are ours, so nobody can choose them to collide.
    outboxes: FxHashMap<MemberId, Arc<Outbox>>,
    feeds: FxHashMap<WatcherId, Arc<Feed>>,
    link: Option<Link>,
    metrics: ShardMetrics,
}

/// A shard's connection to the same shard of other replicas.
pub(super) struct Link {
    bus: Arc<dyn Bus>,
    number: u64,
    name: ReplicaName,
    inbox: Inbox,
}

impl Link {
    pub(super) fn new(bus: &Arc<dyn Bus>, number: u64, name: &ReplicaName) -> Self {
        let inbox = bus.subscribe(number, name);
        Self { bus: Arc::clone(bus), number, name: name.clone(), inbox }
    }

    fn publish(&self, to: Recipient, (sort, body): (Sort, Bytes)) {
        self.bus.publish(self.number, &self.name, &Message { to, sort, body });
    }
}

impl Driver {
    pub(super) fn new(hub: Hub, (clock, pens): (Clock, PenDesk), link: Option<Link>) -> Self {
        let (outboxes, feeds) = (FxHashMap::default(), FxHashMap::default());
        Self { hub, clock, pens, outboxes, feeds, link, metrics: ShardMetrics::new() }
    }

    /// Runs until every sender of `commands` is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.drain();
        // One timer, moved when the deadline moves, which it does not at most inputs.
        let mut tick = pin!(tokio::time::sleep_until(Instant::now().into()));
        loop {
            let deadline = self.hub.next_deadline().map(|at| self.clock.instant(at).into());
            if let Some(at) = deadline.filter(|at| *at != tick.deadline()) {
                tick.as_mut().reset(at);
            }
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.perform(command),
                    None => return,
                },
                heard = next_message(&mut self.link) => self.step(Instant::now(), heard),
                () = tick.as_mut(), if deadline.is_some() => self.handle(Input::Tick),
            }
        }
    }

    /// Hands in the messages of other replicas that wait while a deadline has passed, for the hub judges
    /// by what it has heard. No later ones, or a flood of them would keep it from its deadlines.
    fn read_waiting(&mut self) {
        let is_due = self.hub.next_deadline().is_some_and(|at| at <= self.clock.now().mono);
        let Some(link) = self.link.as_mut().filter(|_| is_due) else { return };
        for _ in 0..link.inbox.len() {
            let Some(heard) = link.inbox.try_recv() else { return };
            self.hub.handle(self.clock.now(), input(heard));
        }
    }

    /// When the client of `member` last sent a heartbeat.
    pub(super) fn last_heartbeat(&self, member: MemberId) -> Option<MonoMs> {
        self.outboxes.get(&member).map(|outbox| outbox.last_heartbeat())
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Join { join, outbox, asked_at } => {
                self.outboxes.insert(join.member, outbox);
                self.handle(Input::Join(join));
                self.metrics.join(asked_at.elapsed());
            }
            Command::Input(input) => self.handle(input),
            Command::Read(question) => question(self),
            Command::Watch { watcher, topics, feed } => {
                self.feeds.insert(watcher, feed);
                self.handle(Input::Watch { watcher, topics });
            }
            Command::Unwatch(watcher) => {
                self.feeds.remove(&watcher);
                self.handle(Input::Unwatch(watcher));
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let started = Instant::now();
        self.read_waiting();
        self.step(started, input);
    }

    /// Hands in an input. A message of another replica comes here at once: it was taken from the inbox, and
    /// must not come after those that wait there.
    fn step(&mut self, started: Instant, input: Input) {
        self.hub.handle(self.clock.now(), input);
        self.drain();
        self.metrics.step(started.elapsed());
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Pen(ask) => {
                    if let Err(ask) = self.pens.take(ask) {
                        self.turn_away(*ask);
                    }
                }
                Output::Deliver { to, frame } => {
                    self.metrics.fan_out(to.len());
                    for member in to {
                        if let Some(outbox) = self.outboxes.get(&member) {
                            outbox.push(member, frame.clone());
                        }
                    }
                }
                Output::Departed { member, .. } => {
                    if let Some(outbox) = self.outboxes.remove(&member) {
                        outbox.depart(member);
                    }
                }
                Output::Publish { to, message } => {
                    if let Some(link) = &self.link {
                        link.publish(to, (Sort::Presence, message));
                    }
                }
                Output::Relay { to, message } => {
                    if let Some(link) = &self.link {
                        link.publish(to, (Sort::Event, message));
                    }
                }
                Output::Peer(event) => tell_peer(&event),
                Output::Superseded { by } => {
                    // The others follow the newer life: whatever this one says from now on is lost.
                    tracing::error!(by = by.0, "another process runs under this replica's name");
                    std::process::exit(EXIT_SUPERSEDED);
                }
                Output::Row { to, row } => {
                    for watcher in to {
                        if let Some(feed) = self.feeds.get(&watcher) {
                            feed.put(&row);
                        }
                    }
                }
            }
        }
    }
}

impl Driver {
    /// Answers a question that too many others wait before.
    fn turn_away(&mut self, ask: PenAsk) {
        let PenAsk { topic, asker, .. } = ask;
        let reply = asker.map(|asker| PenReply { asker, result: Err(away()) });
        let (source, news) = (Source::Store, Vec::new());
        self.hub.handle(self.clock.now(), Input::News { topic, source, news, reply });
    }
}

/// The next message of another replica; never, where there is none.
async fn next_message(link: &mut Option<Link>) -> Input {
    if let Some(link) = link
        && let Some(heard) = link.inbox.recv().await
    {
        return input(heard);
    }
    std::future::pending().await
}

fn input((sort, body): (Sort, Bytes)) -> Input {
    match sort {
        Sort::Presence => Input::Bus(body),
        Sort::Event => Input::Relayed(body),
    }
}

fn tell_peer(event: &PeerEvent) {
    match event {
        PeerEvent::Up(_)
        | PeerEvent::Down(_)
        | PeerEvent::Gone(_)
        | PeerEvent::Restarted(_)
        | PeerEvent::Leaving(..)
        | PeerEvent::Left(_) => tracing::info!(?event, "peer"),
        _ => tracing::debug!(?event, "peer"),
    }
}
