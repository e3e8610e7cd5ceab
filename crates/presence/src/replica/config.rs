//! What a replica is told at its start.

use crate::traps::Traps;

/// Whether other replicas exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Company {
    /// Others exist, known or not: heartbeats and deltas are sent.
    #[default]
    Others,
    /// There is one process and there will be no other: nothing is sent, every answer is confirmed.
    Alone,
}

/// How often a replica speaks, and how long it waits for others. Equal on all replicas of a cluster.
///
/// ```
/// use penholder_presence::ReplicaConfig;
///
/// let config = ReplicaConfig { gossip_period_ms: 100, ..ReplicaConfig::default() };
/// assert!(config.heartbeat_ms * 4 < config.down_after_ms);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// Whether others exist. Default: they do. Alone beside others: nobody sees anybody.
    pub company: Company,
    /// The least time between two messages with deltas, in ms. Default 250, at least 1. Too large:
    /// joins appear late elsewhere. Too small: a message per change.
    pub gossip_period_ms: u64,
    /// The time between heartbeats, in ms. Default 1 000, at least 1. Too large: what was lost is
    /// noticed late.
    pub heartbeat_ms: u64,
    /// The silence after which a replica's entries are hidden, in ms. Default 5 000, at least three
    /// heartbeats. Too small: lost heartbeats and pauses make people flicker. A pause of a process is
    /// survived unseen when it is shorter than this by a heartbeat and the way of a message.
    pub down_after_ms: u64,
    /// The silence after which a replica is forgotten, in ms. Default 600 000, more than
    /// `down_after_ms`. Too small: after a partition everything is sent again. Also how long a
    /// message may be under way without bringing back the forgotten.
    pub permdown_after_ms: u64,
    /// The most bytes of deltas kept to answer who lacks them. Default 4 MiB. Too small: a short gap
    /// costs a longer answer.
    pub history_bytes_max: usize,
    /// The most deltas kept. Default 16 384.
    pub history_deltas_max: usize,
    /// The most bytes of a message, in bytes. Default 48 KiB, at least 1 024. An entry that is larger
    /// (at most 9 KiB) still travels, in a message of its own. Larger than the bus takes: states never
    /// arrive.
    pub chunk_bytes_max: usize,
    /// How long an answer is waited for before another replica is asked, in ms. Default 500, at
    /// least 1. Shorter than the way there and back: everything is asked for twice.
    pub request_timeout_ms: u64,
    /// Known mistakes that are made on purpose. Default none.
    #[cfg(feature = "traps")]
    pub traps: Traps,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            company: Company::Others,
            gossip_period_ms: 250,
            heartbeat_ms: 1_000,
            down_after_ms: 5_000,
            permdown_after_ms: 600_000,
            history_bytes_max: 4 << 20,
            history_deltas_max: 16_384,
            chunk_bytes_max: 48 << 10,
            request_timeout_ms: 500,
            #[cfg(feature = "traps")]
            traps: Traps::default(),
        }
    }
}

impl ReplicaConfig {
    /// Returns the defaults for a process that is the only one.
    #[must_use]
    pub fn alone() -> Self {
        Self { company: Company::Alone, ..Self::default() }
    }

    #[cfg(feature = "traps")]
    pub(super) fn traps(&self) -> Traps {
        self.traps
    }

    #[cfg(not(feature = "traps"))]
    pub(super) fn traps(&self) -> Traps {
        Traps::default()
    }

    /// Panics when a field is out of its range: whoever parses a configuration has checked it.
    pub(super) fn assert_ranges(&self) {
        assert!(self.gossip_period_ms >= 1, "gossip_period_ms is at least 1");
        assert!(self.heartbeat_ms >= 1, "heartbeat_ms is at least 1");
        assert!(
            self.down_after_ms >= self.heartbeat_ms.saturating_mul(3),
            "down_after_ms is at least three heartbeats"
        );
        assert!(self.permdown_after_ms > self.down_after_ms, "permdown_after_ms > down_after_ms");
        assert!(self.chunk_bytes_max >= 1_024, "chunk_bytes_max is at least 1 024");
        assert!(self.request_timeout_ms >= 1, "request_timeout_ms is at least 1");
    }
}

/// What becomes of the entries of a replica that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The others drop them at once.
    Nothing,
    /// The others show them for so many milliseconds, at most `permdown_after_ms`, then drop them: time
    /// for the sessions to resume elsewhere, unseen by observers.
    For(u64),
}
