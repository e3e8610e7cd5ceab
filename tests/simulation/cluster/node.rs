//! One replica: a process with a hub of one shard, its clocks, and an inbox that fills while it stands
//! still.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use penholder_hub::{Hub, Join, MemberId, Now, PresenceChange, ResumeClaim};
use penholder_presence::{
    Incarnation, MonoMs, PeerEvent, PriorityPolicy, ReplicaId, SessionId, WallMs,
};
use penholder_protocol::TopicName;

use super::plan::Plan;

/// Something for a replica to do.
#[derive(Debug)]
pub(crate) enum Command {
    Bus(Bytes),
    Join(Box<Join>),
    Leave(MemberId),
    Lost(MemberId),
    Update(MemberId, PresenceChange),
    Demote(MemberId),
    Kick(TopicName, SessionId),
    Resync(MemberId),
    Retire,
    Tick,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    /// The process, while it runs.
    pub(crate) life: Option<Life>,
    /// Earlier lives, the latest last.
    lives: Vec<Incarnation>,
    pub(crate) restart_at: Option<u64>,
    /// When it last stood still.
    pub(crate) stood_until: u64,
}

/// A process.
pub(crate) struct Life {
    pub(crate) hub: Hub,
    pub(crate) incarnation: Incarnation,
    pub(crate) started: u64,
    pub(crate) paused_until: Option<u64>,
    pub(crate) paused_from: u64,
    pub(crate) inbox: VecDeque<Command>,
    /// When it stops, since it has said goodbye.
    pub(crate) stops_at: Option<u64>,
    /// Until when others show what it has, since it has said goodbye.
    pub(crate) kept_until: u64,
    /// When it last learned that a whole replica has come or gone.
    pub(crate) upheaval: u64,
    /// The last resume token it has signed.
    pub(crate) signed: Arc<Mutex<Option<ResumeClaim>>>,
    /// Whether it speaks a version that older lives do not know.
    pub(crate) is_newer: bool,
    /// The bytes in which it has told all others of what it did.
    pub(crate) told_bytes: usize,
    /// The latest life of each other replica that it has taken for running.
    pub(crate) latest: BTreeMap<String, Incarnation>,
    /// The replicas that it takes for dead, each with its life.
    pub(crate) down: BTreeMap<String, Incarnation>,
    /// The replicas that it hears, each with its life.
    heard: BTreeMap<String, Incarnation>,
}

/// A monotonic clock that is too fast or too slow, and a wall clock that jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) start: u64,
    pub(crate) ppm: u64,
    pub(crate) wall: u64,
    /// Whether the one on the wall stands in for the other.
    pub(crate) is_wall: bool,
}

impl Clock {
    pub(crate) fn mono(self, now: u64) -> u64 {
        if self.is_wall {
            return self.wall + now;
        }
        self.start + now * self.ppm / 1_000_000
    }

    /// When this clock shows `mono` at the earliest.
    fn instant(self, mono: u64) -> u64 {
        if self.is_wall {
            return mono.saturating_sub(self.wall);
        }
        (mono.saturating_sub(self.start) * 1_000_000).div_ceil(self.ppm)
    }

    pub(crate) fn read(self, now: u64) -> Now {
        Now { mono: MonoMs(self.mono(now)), wall: WallMs(self.wall + now) }
    }
}

impl Life {
    /// Notes whom it takes for dead.
    pub(crate) fn note_judgement(&mut self, event: &PeerEvent) {
        let name = |id: &ReplicaId| id.name.as_str().to_owned();
        match event {
            PeerEvent::Down(id) => {
                self.down.insert(name(id), id.incarnation);
                self.heard.remove(id.name.as_str());
            }
            PeerEvent::Up(id) => {
                self.down.remove(id.name.as_str());
                self.heard.insert(name(id), id.incarnation);
            }
            // What a life before has left behind is gone; the one after it may be hidden still.
            PeerEvent::Left(id) if self.down.get(id.name.as_str()) > Some(&id.incarnation) => {}
            // Who leaves is shown again, silent or not.
            PeerEvent::Gone(id)
            | PeerEvent::Leaving(id, _)
            | PeerEvent::Restarted(id)
            | PeerEvent::Left(id) => {
                self.down.remove(id.name.as_str());
            }
            _ => {}
        }
    }
}

impl Node {
    pub(crate) fn new(name: String, clock: Clock) -> Self {
        Self { name, clock, life: None, lives: Vec::new(), restart_at: None, stood_until: 0 }
    }

    /// Starts a process with an incarnation larger than any before it.
    pub(crate) fn start(
        &mut self,
        now: u64,
        plan: &Plan,
        (priority, is_second, is_newer): (PriorityPolicy, bool, bool),
    ) {
        let after_last = self.lives.last().map_or(0, |last| last.0 + 1);
        let incarnation = match self.lives.last() {
            Some(last) if is_second => Incarnation(last.0 - 1),
            _ => Incarnation(after_last.max(self.clock.wall + now)),
        };
        let id = ReplicaId::new(self.name.as_str(), incarnation);
        let config = plan.config(id, self.lives.clone(), priority);
        let signed = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&signed);
        let sign = move |claim: &ResumeClaim| {
            *slot.lock().expect("one thread") = Some(claim.clone());
            format!("{claim:?}")
        };
        self.lives.push(incarnation);
        self.restart_at = None;
        self.life = Some(Life {
            hub: Hub::new(config, sign, self.clock.read(now)),
            incarnation,
            started: now,
            paused_until: None,
            paused_from: now,
            inbox: VecDeque::new(),
            stops_at: None,
            kept_until: 0,
            upheaval: now,
            signed,
            is_newer,
            told_bytes: 0,
            latest: BTreeMap::new(),
            down: BTreeMap::new(),
            heard: BTreeMap::new(),
        });
    }

    /// Lets the process stand still until a time.
    pub(crate) fn stand_still(&mut self, now: u64, until: u64) {
        if let Some(life) = &mut self.life {
            (life.paused_from, life.paused_until) = (now, Some(until));
        }
    }

    /// Whether clients can come here.
    pub(crate) fn is_open(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.stops_at.is_none())
    }

    /// Whether it runs and does not hear another that runs.
    pub(crate) fn is_deaf_to(&self, other: &Self) -> bool {
        let (Some(life), Some(theirs)) = (&self.life, &other.life) else { return false };
        self.name != other.name && life.heard.get(&other.name) != Some(&theirs.incarnation)
    }

    /// The process, unless it stands still.
    pub(crate) fn running(&self) -> Option<&Life> {
        self.life.as_ref().filter(|life| life.paused_until.is_none())
    }

    /// Until when it tells its clients what came of the last replica that came or went.
    pub(crate) fn tells_until(&self, window_ms: u64) -> u64 {
        let Some(life) = &self.life else { return 0 };
        let told = life.upheaval + window_ms + 2;
        // It may have stood still before it came to that.
        if life.paused_from <= told { told.max(self.stood_until + 2) } else { told }
    }

    /// When something is due here next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let Some(life) = &self.life else { return self.restart_at };
        let work = match life.paused_until {
            Some(until) => Some(until),
            None => life.hub.next_deadline().map(|at| self.clock.instant(at.0)),
        };
        [work, life.stops_at].into_iter().flatten().min()
    }
}
