//! What goes into a replica, and what comes out.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::diff::Diff;
use crate::dot::{Incarnation, ReplicaId};
use crate::entry::Presence;
use crate::meta::Meta;
use crate::name::{Key, ReplicaName, SessionId, Topic};

/// A session that joins a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Where.
    pub topic: Topic,
    /// Who.
    pub key: Key,
    /// Through which connection.
    pub session: SessionId,
    /// What it says about itself.
    pub meta: Meta,
}

/// What happens to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaInput<'a> {
    /// A message of another replica, or one's own that the bus brings back. Any bytes are allowed.
    Message(&'a [u8]),
    /// A deadline has passed, or nothing has: ticking early or twice does nothing.
    Tick,
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// Every replica that listens; whether also the sender is of no matter.
    All,
    /// The replica of this name.
    One(ReplicaName),
}

/// What a driver must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaOutput {
    /// Send a message. It may be lost, late, repeated or overtaken.
    Send {
        /// To whom.
        to: Recipient,
        /// What.
        message: Bytes,
    },
    /// Tell the observers: a message or a deadline changed who is visible. Never empty.
    Changed(Diff),
    /// Untrack them: these sessions tracked here have been resumed on another replica, which shows
    /// them. Each entry is named once. Their untracking changes nothing for observers.
    Overtaken(Vec<Arc<Presence>>),
    /// Ask [`certainty`](super::Replica::certainty) again, where it was told to somebody.
    Recheck(Recheck),
    /// Stop this process: another runs under its name with a larger incarnation, and the others follow
    /// that one. Said once; nothing is sent any more.
    Superseded {
        /// The life that took its place.
        by: Incarnation,
    },
    /// Log and count it.
    Peer(PeerEvent),
}

/// Whose certainty may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recheck {
    /// That of every topic.
    All,
    /// That of these, in name order.
    Topics(Vec<Topic>),
}

/// What is thought of another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// It was heard, for the first time or again; its entries are shown.
    Up(ReplicaId),
    /// It has been silent for `down_after`; its entries are hidden.
    Down(ReplicaId),
    /// It has been silent for `permdown_after`; nothing of it is left but its incarnation.
    Gone(ReplicaId),
    /// A larger incarnation of its name took its place; the predecessor's entries are gone.
    Restarted(ReplicaId),
    /// It said that it leaves, with its entries shown for so long, in ms.
    Leaving(ReplicaId, u64),
    /// It left, and its entries are dropped.
    Left(ReplicaId),
    /// A late message of a life that is over; ignored.
    Stale(ReplicaId),
    /// A message in a version that is not known here; it was asked for what is lacking.
    UnknownVersion {
        /// Who sent it.
        from: ReplicaId,
        /// The version.
        version: u8,
    },
    /// A message that cannot be read; ignored.
    Malformed(DecodeError),
    /// This replica lacks something of `owner`, and asked for it.
    Asked {
        /// Whose operations it lacks.
        owner: ReplicaName,
        /// Whom it asked.
        of: ReplicaName,
    },
    /// This replica answered a request.
    Answered {
        /// Whose operations.
        owner: ReplicaName,
        /// By what.
        by: Answer,
        /// How many bytes the answer has.
        bytes: usize,
    },
    /// This replica itself was not scheduled for so long, in ms; it judges nobody until it has listened
    /// for a heartbeat.
    Stalled(u64),
}

/// How much a replica holds, for metrics: none of it grows with the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Entries of the set, visible or not.
    pub entries: usize,
    /// Names in the context, its own too.
    pub lives: usize,
    /// Other names known, and of those how many are hidden.
    pub peers: usize,
    /// Names hidden.
    pub down: usize,
    /// Names of which only a minimum is remembered, and farewells that are passed on.
    pub remembered: usize,
    /// Requests unanswered, and states arriving.
    pub repairs: usize,
    /// Deltas kept, at most `history_deltas_max`.
    pub history_deltas: usize,
    /// Their bytes, at most `history_bytes_max`.
    pub history_bytes: usize,
    /// Operations that not every live replica is known to have seen.
    pub unsettled: usize,
    /// Entries that others would miss if they were removed now.
    pub lingering: usize,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// By the stored deltas that are lacking.
    Deltas,
    /// By the state, in so many chunks.
    State(usize),
}
