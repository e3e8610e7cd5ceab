//! What is known of the other replicas, and who may not come back.
//!
//! One record per *name*. Judged by monotonic time since its current life last said something new; a
//! life that was never heard itself, by the time since another that has it heard of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::Context;
use crate::dot::{Incarnation, ReplicaId};
use crate::name::ReplicaName;
use crate::time::MonoMs;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) incarnation: Incarnation,
    /// Whether this life itself was heard.
    pub(super) is_heard: bool,
    /// When it last said something new; of a life that was never heard, when another heard it.
    pub(super) last: MonoMs,
    /// The largest `seq` of this life.
    pub(super) seq: u64,
    /// The largest `seq` of its heartbeats.
    pub(super) heartbeat_seq: u64,
    pub(super) is_down: bool,
    /// What it had seen when it last said so.
    pub(super) digest: Option<Context>,
    /// Whom it heard and whom it did not, as of then.
    pub(super) opinions: Vec<Opinion>,
    /// Until when it surely hears whom it heard then.
    pub(super) holds_until: MonoMs,
    /// When its entries are dropped, since it leaves.
    pub(super) leaves_at: Option<MonoMs>,
    /// When it was last sent an Ask.
    pub(super) asked_at: Option<MonoMs>,
}

/// What a replica thinks of another.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) of: Arc<ReplicaId>,
    /// Silent for so long that its entries are hidden.
    pub(super) is_silent: bool,
}

impl Peer {
    pub(super) fn new(incarnation: Incarnation, last: MonoMs) -> Self {
        Self {
            incarnation,
            is_heard: false,
            last,
            seq: 0,
            heartbeat_seq: 0,
            is_down: false,
            digest: None,
            opinions: Vec::new(),
            holds_until: MonoMs(0),
            leaves_at: None,
            asked_at: None,
        }
    }

    /// Returns whether it counts as running: neither hidden nor leaving.
    pub(super) fn is_live(&self) -> bool {
        !self.is_down && self.leaves_at.is_none()
    }

    /// Returns what it has seen of a life.
    pub(super) fn has(&self, owner: &ReplicaId) -> u64 {
        let life = self.digest.as_ref().and_then(|digest| digest.life(&owner.name));
        life.filter(|life| **life.replica() == *owner).map_or(0, |life| life.seen().upto())
    }
}

/// Why nothing of a life is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was silent for too long. It is welcome when it speaks itself.
    Silent,
    /// It said that it is over.
    Left,
}

/// The largest incarnation of a name that is over: a remembered minimum.
#[derive(Debug)]
pub(super) struct Barred {
    pub(super) incarnation: Incarnation,
    pub(super) why: Why,
    /// The largest `seq` that was heard of it.
    pub(super) seq: u64,
    /// When everybody has forgotten it: later than anybody has mentioned it.
    pub(super) until: MonoMs,
}

/// The table of names.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) known: BTreeMap<ReplicaName, Peer>,
    pub(super) barred: BTreeMap<ReplicaName, Barred>,
    /// Lives that are leaving or have left: when their entries go, and until when others are told.
    pub(super) farewells: BTreeMap<ReplicaName, (Incarnation, MonoMs, MonoMs)>,
    /// Lives that left and are over, of which something is shown beside the one that runs now, and until
    /// when.
    pub(super) kept: BTreeMap<ReplicaId, MonoMs>,
    /// Until when others show such that are not shown here.
    pub(super) kept_elsewhere: MonoMs,
}

impl Peers {
    /// Returns whether a life is over and may not be learned of from others.
    pub(super) fn is_barred(&self, replica: &ReplicaId) -> bool {
        let barred = self.barred.get(&replica.name);
        barred.is_some_and(|barred| replica.incarnation <= barred.incarnation)
    }

    /// Keeps the bar up for as long as somebody mentions the life behind it.
    pub(super) fn mentioned(&mut self, replica: &ReplicaId, until: MonoMs) {
        if let Some(barred) = self.barred.get_mut(&replica.name)
            && replica.incarnation <= barred.incarnation
        {
            barred.until = barred.until.max(until);
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&ReplicaName, &Peer)> {
        self.known.iter().filter(|(_, peer)| peer.is_live())
    }
}
