//! Many clients, and what is done with all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{self, Audience, Client, World};
use crate::endpoint::Endpoint;
use crate::presence::{KeyId, Names, Topic};
use crate::progress::Progress;
use crate::tally::{Gauge, Tally};

/// How many clients connect at once where the haste is not what is measured.
const CONNECTING_MAX: usize = 64;

/// How long clients may take to come in: the slowest server known needs a few milliseconds for each.
const COME_IN_MAX: Duration = Duration::from_secs(180);

/// What comes in late is waited for so long; when nothing has come for this time, nothing will.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_MAX: Duration = Duration::from_secs(20);

/// How often each client sends a heartbeat, as those of npm `phoenix` do.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);

/// Whether clients join when they connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    AtOnce,
    WhenTold,
}

/// The clients of one run; dropping it drops their connections.
pub(crate) struct Fleet {
    pub(crate) world: Arc<World>,
    pub(crate) clients: Vec<Arc<Client>>,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Prepares clients, `seats` on each of `topics` topics, that have not connected yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        (topics, seats): (u32, u32),
        audience: Arc<dyn Audience>,
        joining: Joining,
    ) -> Self {
        let world = World {
            endpoint,
            started: Instant::now(),
            tally: Tally::default(),
            names: Names::default(),
            audience,
            joins_at_once: joining == Joining::AtOnce,
            is_returning: AtomicBool::new(false),
        };
        let size = usize::try_from(seats).unwrap_or(usize::MAX);
        let mut clients = Vec::new();
        for topic in 0..topics {
            let name = format!("{}{topic}", world.endpoint.topic_prefix);
            let topic = Topic::new(name, size);
            for _ in 0..seats {
                let number = u32::try_from(clients.len()).unwrap_or(u32::MAX);
                clients.push(Client::new(number, Arc::clone(&topic), &world.names));
            }
        }
        Self { world: Arc::new(world), clients, tasks: JoinSet::new() }
    }

    /// Connects all, a few at a time, until all have come in: are ready, or where they join at once, have
    /// the whole list.
    ///
    /// # Errors
    ///
    /// Not all come in; the message tells what the first ones met with.
    pub(crate) async fn come_in(&mut self, progress: &Progress) -> Result<()> {
        let doors = Arc::new(Semaphore::new(CONNECTING_MAX));
        let (world, waiting) = (Arc::clone(&self.world), self.clients.clone());
        self.tasks.spawn(async move {
            let mut lives = JoinSet::new();
            for client in waiting {
                let permit = Arc::clone(&doors).acquire_owned().await.ok();
                lives.spawn(client::live(client, Arc::clone(&world), permit));
            }
            lives.join_all().await;
        });
        self.tasks.spawn(beat_all(Arc::clone(&self.world), self.clients.clone()));
        let tally = &self.world.tally;
        let gauge = if self.world.joins_at_once { &tally.whole } else { &tally.ready };
        self.wait_for("clients come in", gauge, (COME_IN_MAX, progress)).await
    }

    /// Waits until `gauge` counts all clients.
    ///
    /// # Errors
    ///
    /// It does not, in time.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        gauge: &Gauge,
        (within, progress): (Duration, &Progress),
    ) -> Result<()> {
        let all = self.clients.len() as u64;
        let tally = &self.world.tally;
        let reached = async {
            tokio::select! {
                is_reached = gauge.reach(all, within) => is_reached,
                () = tally.failed() => false,
            }
        };
        let start = Instant::now();
        let is_reached = progress.follow(what, all, || gauge.get(), reached).await;
        ensure!(
            is_reached,
            "{what}: {} of {all} after {:.1?}. {}",
            gauge.get(),
            start.elapsed(),
            tally.failures().join(". ")
        );
        Ok(())
    }

    /// Waits until nothing more comes.
    pub(crate) async fn settle(&self) {
        let frames = || self.world.tally.frames.load(Ordering::Relaxed);
        let deadline = Instant::now() + QUIET_MAX;
        loop {
            let before = frames();
            tokio::time::sleep(QUIET).await;
            if frames() == before || Instant::now() > deadline {
                return;
            }
        }
    }

    /// Returns how many clients show another list than all those of their topic.
    pub(crate) fn wrong_lists(&self) -> usize {
        let mut wrong = 0;
        for group in self.clients.chunk_by(|one, other| Arc::ptr_eq(&one.topic, &other.topic)) {
            let keys: Vec<KeyId> = group.iter().map(|client| client.key()).collect();
            // In a crowd the server shows the first ones, the client itself, and tells how many there are.
            let is_right = |client: &&Arc<Client>| {
                client.shows_exactly(&keys) || client.crowd() == Some(keys.len())
            };
            wrong += group.len() - group.iter().filter(is_right).count();
        }
        wrong
    }

    /// Ends every client and its connection.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
        for client in &self.clients {
            client.drop_connection().await;
        }
    }
}

/// Sends heartbeats, evenly spread.
async fn beat_all(world: Arc<World>, clients: Vec<Arc<Client>>) {
    let count = u32::try_from(clients.len()).unwrap_or(u32::MAX).max(1);
    let mut every = tokio::time::interval(HEARTBEAT_EVERY / count);
    every.tick().await;
    for client in clients.iter().cycle() {
        every.tick().await;
        client.beat(&world).await;
    }
}
