//! What a shard is told at its start.

use std::collections::BTreeMap;

use penholder_presence::{Incarnation, LivenessConfig, PriorityPolicy, ReplicaConfig, ReplicaId};
use penholder_protocol::{Limits, TopicName};

/// The configuration of one shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// The replica that this shard belongs to, with the shard's number in its name, so that presence
    /// references stay unique across the shards of one process.
    pub replica: ReplicaId,
    /// The incarnations before this one that the same data directory has seen, the latest last; each
    /// is the time of its start in milliseconds. Resume tokens of the latest, and of those that were
    /// followed by another within `grace` of this start, are honoured for `grace` after it.
    pub previous: Vec<Incarnation>,
    /// Seeds of this shard, from a random source: that of its hashers, since outsiders choose the keys,
    /// and that of the phase of its heartbeats.
    pub seeds: (u64, u64),
    /// How this shard keeps in step with the same shard of other replicas.
    pub gossip: ReplicaConfig,
    /// Options of topics whose namespace has none of its own.
    pub defaults: TopicOptions,
    /// Options by namespace, the first segment of a topic.
    pub namespaces: BTreeMap<String, TopicOptions>,
    /// The limits that bind a client, told to it in each join reply.
    pub limits: Limits,
}

impl Config {
    /// The options that hold for `topic`.
    #[must_use]
    pub fn options(&self, topic: &TopicName) -> &TopicOptions {
        self.namespaces.get(topic.namespace().as_str()).unwrap_or(&self.defaults)
    }
}

/// How one namespace of topics behaves.
#[derive(Clone, Debug)]
pub struct TopicOptions {
    /// How long changes of presence are gathered before they are sent. Unit: milliseconds; 0 sends
    /// at once. Larger values cost latency, smaller ones cost frames when many join together.
    pub diff_window_ms: u64,
    /// Above this many people (keys) a topic is shown in part.
    pub full_max: usize,
    /// When a session counts as idle, and how long a lost one is kept.
    pub liveness: LivenessConfig,
    /// Who comes first: which tab of the prior person, and whether AI agents come after humans.
    pub priority: PriorityPolicy,
}
