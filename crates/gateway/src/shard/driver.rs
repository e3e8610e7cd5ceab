//! Drives one hub: inputs from the inbox, outputs to the connections, sleep until the next deadline.

use std::sync::Arc;

use penholder_hub::{Hub, Input, Join, MemberId, Output, WatcherId};
use penholder_presence::MonoMs;
use penholder_protocol::TopicName;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::{Feed, Outbox};
use crate::clock::Clock;

/// What a shard is asked to do.
pub(super) enum Command {
    Join(Box<Join>, Arc<Outbox>),
    Input(Input),
    Read(Box<dyn FnOnce(&Driver) + Send>),
    Watch { watcher: WatcherId, topics: Vec<TopicName>, feed: Arc<Feed> },
    Unwatch(WatcherId),
}

/// A hub and the connections that its outputs go to.
pub(super) struct Driver {
    pub(super) hub: Hub,
    clock: Clock,
    // The numbers are ours, so nobody can choose them to collide.
    outboxes: FxHashMap<MemberId, Arc<Outbox>>,
    feeds: FxHashMap<WatcherId, Arc<Feed>>,
}

impl Driver {
    pub(super) fn new(hub: Hub, clock: Clock) -> Self {
        Self { hub, clock, outboxes: FxHashMap::default(), feeds: FxHashMap::default() }
    }

    /// Runs until every sender of `commands` is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // The hub counts the grace of the life before this one from its first input.
        self.handle(Input::Tick);
        loop {
            let deadline = self.hub.next_deadline().map(|at| self.clock.instant(at));
            let tick = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.perform(command),
                    None => return,
                },
                () = tick => self.handle(Input::Tick),
            }
        }
    }

    /// When the client of `member` last sent a heartbeat.
    pub(super) fn last_heartbeat(&self, member: MemberId) -> Option<MonoMs> {
        self.outboxes.get(&member).map(|outbox| outbox.last_heartbeat())
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Join(join, outbox) => {
                self.outboxes.insert(join.member, outbox);
                self.handle(Input::Join(join));
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
        self.hub.handle(self.clock.now(), input);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Deliver { to, frame } => {
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
