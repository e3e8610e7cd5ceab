//! The shards at work: each a task that owns its hub, fed through a bounded inbox.

mod driver;
mod feed;
mod outbox;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use penholder_hub::{Config, Evidence, Hub, Input, Join, MemberId, SignResume, WatcherId};
use penholder_presence::{MonoMs, ReplicaId, ReplicaName, SessionId};
use penholder_protocol::TopicName;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::bus::Bus;
use crate::clock::Clock;
use crate::pens::PenDesk;
use driver::{Command, Driver, Link};
pub(crate) use feed::Feed;
pub(crate) use outbox::{Batch, Ending, Outbox};

/// How many commands wait for a shard at most. A connection whose shard is behind waits with its
/// next message; the shard waits for nobody.
const INBOX_LEN: usize = 1024;

/// What stands between the name of a replica and the number of a shard, in the shard's name.
const SHARD_MARK: char = '-';

/// The shards of this process.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    inboxes: Arc<[mpsc::Sender<Command>]>,
    next: Arc<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    member: AtomicU64,
    watcher: AtomicU64,
}

/// The shard has stopped: the process is going down. Try again on another replica.
#[derive(Clone, Copy, Debug, Error)]
#[error("the shard has stopped")]
pub(crate) struct Stopped;

impl Shards {
    /// Starts `count` shards. Each gets its own replica name from `config`'s.
    pub(crate) fn start<S>(
        count: u64,
        config: &Config,
        sign: &S,
        (clock, bus, pens): (Clock, Option<Arc<dyn Bus>>, PenDesk),
    ) -> Self
    where
        S: SignResume + Clone + 'static,
    {
        let start = |number| {
            let ReplicaId { name, incarnation } = config.replica.clone();
            let replica = ReplicaId::new(format!("{name}{SHARD_MARK}{number}"), incarnation);
            let config = Config { replica, seeds: rand::random(), ..config.clone() };
            let (inbox, commands) = mpsc::channel(INBOX_LEN);
            let link = bus.as_ref().map(|bus| Link::new(bus, number, &config.replica.name));
            let hub = Hub::new(config, sign.clone(), clock.now());
            tokio::spawn(supervise(Driver::new(hub, (clock, pens.clone()), link), commands));
            inbox
        };
        Self { inboxes: (0..count).map(start).collect(), next: Arc::default() }
    }

    /// A name for a new membership.
    pub(crate) fn member(&self) -> MemberId {
        MemberId(self.next.member.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Seats a member whose frames go to `outbox`.
    pub(crate) async fn join(&self, join: Box<Join>, outbox: Arc<Outbox>) -> Result<(), Stopped> {
        let inbox = self.inbox(&join.topic);
        let command = Command::Join { join, outbox, asked_at: Instant::now() };
        inbox.send(command).await.map_err(|_| Stopped)
    }

    /// Tells the shard of `topic` what has happened.
    pub(crate) async fn tell(&self, topic: &TopicName, input: Input) -> Result<(), Stopped> {
        self.inbox(topic).send(Command::Input(input)).await.map_err(|_| Stopped)
    }

    /// Asks the shard of `topic`.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        topic: &TopicName,
        question: impl FnOnce(&Hub) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        ask(self.inbox(topic), |driver| question(&driver.hub)).await
    }

    /// Asks every shard, in order of their numbers.
    pub(crate) async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Hub) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Stopped> {
        let mut answers = Vec::with_capacity(self.inboxes.len());
        for inbox in self.inboxes.iter() {
            let question = question.clone();
            answers.push(ask(inbox, move |driver| question(&driver.hub)).await?);
        }
        Ok(answers)
    }

    /// Why `session` is shown on `topic` as it is, and when its client last sent a heartbeat, if it is
    /// connected here.
    pub(crate) async fn why(
        &self,
        topic: &TopicName,
        session: SessionId,
    ) -> Result<Option<(Evidence, Option<MonoMs>)>, Stopped> {
        let name = topic.clone();
        ask(self.inbox(topic), move |driver| {
            let evidence = driver.hub.why(&name, &session)?;
            let member = evidence.connection.and_then(|connection| connection.member);
            let heartbeat = member.and_then(|member| driver.last_heartbeat(member));
            Some((evidence, heartbeat))
        })
        .await
    }

    /// Feeds the rows of `topics` into `feed`, now and after each change, until [`Self::unwatch`].
    pub(crate) async fn watch(
        &self,
        topics: &[TopicName],
        feed: &Arc<Feed>,
    ) -> Result<WatcherId, Stopped> {
        let watcher = WatcherId(self.next.watcher.fetch_add(1, Ordering::Relaxed) + 1);
        let mut by_shard: Vec<Vec<TopicName>> = vec![Vec::new(); self.inboxes.len()];
        for topic in topics {
            by_shard[self.number(topic)].push(topic.clone());
        }
        for (inbox, topics) in self.inboxes.iter().zip(by_shard) {
            if !topics.is_empty() {
                let command = Command::Watch { watcher, topics, feed: Arc::clone(feed) };
                inbox.send(command).await.map_err(|_| Stopped)?;
            }
        }
        Ok(watcher)
    }

    /// The name of the replica that a shard of this name belongs to.
    pub(crate) fn replica_of(shard: &ReplicaName) -> &str {
        shard.as_str().rsplit_once(SHARD_MARK).map_or(shard.as_str(), |(replica, _)| replica)
    }

    /// Says goodbye to the other replicas, and returns when it is said.
    pub(crate) async fn retire(&self) {
        for inbox in self.inboxes.iter() {
            // A shard that has stopped has nobody to say goodbye to.
            inbox.send(Command::Input(Input::Retire)).await.ok();
        }
        self.ask_all(|_| ()).await.ok();
    }

    /// How many commands wait for the shard with the most of them.
    pub(crate) fn backlog(&self) -> usize {
        let waiting = |inbox: &mpsc::Sender<Command>| INBOX_LEN - inbox.capacity();
        self.inboxes.iter().map(waiting).max().unwrap_or_default()
    }

    /// Ends a watch.
    pub(crate) async fn unwatch(&self, watcher: WatcherId) {
        for inbox in self.inboxes.iter() {
            // A shard that has stopped watches nothing.
            inbox.send(Command::Unwatch(watcher)).await.ok();
        }
    }

    fn inbox(&self, topic: &TopicName) -> &mpsc::Sender<Command> {
        &self.inboxes[self.number(topic)]
    }

    /// The shard of a topic: a stable hash, the same in every version and on every replica.
    fn number(&self, topic: &TopicName) -> usize {
        let digest = Sha256::digest(topic.as_str().as_bytes());
        let head = digest.iter().take(4).fold(0, |head, byte| (head << 8) | usize::from(*byte));
        head % self.inboxes.len()
    }
}

/// Runs a shard. One that has broken an invariant of its own cannot be trusted with another answer,
/// and its topics would be dead while the rest goes on: the process ends, a supervisor starts it
/// anew, and the clients resume.
async fn supervise(driver: Driver, commands: mpsc::Receiver<Command>) {
    if AssertUnwindSafe(driver.run(commands)).catch_unwind().await.is_err() {
        tracing::error!("a shard panicked; the process ends");
        std::process::abort();
    }
}

async fn ask<T: Send + 'static>(
    inbox: &mpsc::Sender<Command>,
    question: impl FnOnce(&Driver) -> T + Send + 'static,
) -> Result<T, Stopped> {
    let (reply, answer) = oneshot::channel();
    let read = Box::new(move |driver: &Driver| {
        // Whoever asked may have gone away.
        reply.send(question(driver)).ok();
    });
    inbox.send(Command::Read(read)).await.map_err(|_| Stopped)?;
    answer.await.map_err(|_| Stopped)
}
