//! What a seed draws before a run begins.

use std::collections::BTreeMap;

use penholder_hub::{Config, QueueLimits, TopicOptions};
use penholder_presence::{Incarnation, LivenessConfig, PriorityPolicy, ReplicaConfig, ReplicaId};
use penholder_protocol::Limits;

use crate::rng::Rng;

/// The size and the spans of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) topics: u64,
    /// How many people there are; some have several clients.
    pub(crate) people: u64,
    pub(crate) clients: u64,
    pub(crate) steps: u64,
    pub(crate) window_ms: u64,
    /// Small, so that crowds happen.
    pub(crate) full_max: usize,
    pub(crate) liveness: LivenessConfig,
    /// One client in so many reads slowly.
    pub(crate) slow_one_in: u64,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let clients = 2 + rng.below(9);
        Self {
            topics: rng.weighted(&[(3, 1), (2, 2), (1, 3)]),
            people: clients - rng.below(clients) / 2,
            clients,
            steps: 60 + rng.below(120),
            window_ms: rng.weighted(&[(1, 0), (2, 20), (1, 75)]),
            full_max: rng.weighted(&[(1, 1), (2, 2), (1, 4), (4, 200)]),
            liveness: LivenessConfig {
                idle_after_ms: 2_000 + rng.below(2_000),
                grace_ms: 200 + rng.below(1_000),
                typing_for_ms: 100 + rng.below(400),
            },
            slow_one_in: rng.weighted(&[(1, 2), (1, 4), (1, u64::MAX)]),
        }
    }

    /// The configuration of the shard.
    pub(crate) fn config(&self) -> Config {
        Config {
            replica: ReplicaId::new("sim.0", Incarnation(2)),
            previous: Vec::new(),
            seeds: (1, 2),
            gossip: ReplicaConfig::alone(),
            defaults: TopicOptions {
                diff_window_ms: self.window_ms,
                full_max: self.full_max,
                liveness: self.liveness,
                priority: PriorityPolicy::default(),
            },
            namespaces: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// How a connection takes its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// At once.
    Promptly,
    /// At most so many per step, from a queue of these bounds.
    Slowly { frames: u64, limits: QueueLimits },
}

impl Reading {
    pub(crate) fn draw(rng: &mut Rng, plan: &Plan) -> Self {
        if !rng.one_in(plan.slow_one_in) {
            return Self::Promptly;
        }
        let frames_max = rng.weighted(&[(1, 6), (2, 12), (1, 40)]);
        let bytes_max = rng.weighted(&[(1, 2_000), (2, 8_000), (1, 100_000)]);
        Self::Slowly { frames: rng.below(3), limits: QueueLimits { frames_max, bytes_max } }
    }

    pub(crate) fn limits(self) -> QueueLimits {
        match self {
            Self::Promptly => QueueLimits { frames_max: 512, bytes_max: 256 * 1024 },
            Self::Slowly { limits, .. } => limits,
        }
    }
}
