//! What a seed draws before a run of several replicas begins.

use std::collections::BTreeMap;

use penholder_hub::{Config, QueueLimits, TopicOptions};
use penholder_presence::{
    Company, Incarnation, LivenessConfig, PriorityPolicy, ReplicaConfig, ReplicaId,
};
use penholder_protocol::Limits;

use super::extras::Extras;
use crate::plan::Reading;
use crate::rng::Rng;

/// The size of a run, its spans, and which faults exist in it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) replicas: usize,
    pub(crate) topics: u64,
    pub(crate) people: u64,
    pub(crate) clients: u64,
    pub(crate) steps: u64,
    pub(crate) window_ms: u64,
    pub(crate) grace_ms: u64,
    pub(crate) gossip: ReplicaConfig,
    /// One client in so many reads slowly.
    pub(crate) slow_one_in: u64,
    /// Messages are under way for at most so long.
    pub(crate) delay_max_ms: u64,
    /// Whether a message may overtake another of the same link.
    pub(crate) reorders: bool,
    /// One message in so many comes twice.
    pub(crate) repeat_one_in: u64,
    /// One message in so many is lost.
    pub(crate) loss_one_in: u64,
    /// How far a clock runs ahead or behind at most, in parts per million.
    pub(crate) drift_ppm: u64,
    pub(crate) jumps: bool,
    pub(crate) partitions: bool,
    pub(crate) crashes: bool,
    pub(crate) retires: bool,
    /// The longest pause of a replica; 0: none.
    pub(crate) pause_max_ms: u64,
    pub(crate) extras: Extras,
}

const NEVER: u64 = u64::MAX;

/// The name of the first replica.
pub(crate) const FIRST: &str = "gw-0";

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let clients = 2 + rng.below(9);
        let heartbeat_ms = 60 + rng.below(80);
        let down_after_ms = heartbeat_ms * (4 + rng.below(3));
        let is_gentle = rng.one_in(3);
        let mut draw = |choices: &[(u64, u64)]| rng.weighted(choices);
        let harsh = |value| if is_gentle { NEVER } else { value };
        let loss = draw(&[(2, NEVER), (2, 10), (1, 4), (1, 50)]);
        let delay_max_ms = draw(&[(1, 1), (2, 8), (1, 25)]);
        let short = down_after_ms - heartbeat_ms - delay_max_ms - 10;
        let pause_max_ms =
            draw(&[(1, 0), (1, short), (1, harsh(down_after_ms * 3).min(short * 9))]);
        let one_in = |rng: &mut Rng, n| !is_gentle && rng.one_in(n);
        Self {
            replicas: size(draw(&[(2, 2), (3, 3), (2, 4), (1, 5), (1, 7)])),
            topics: draw(&[(3, 1), (2, 2), (1, 3)]),
            clients,
            people: clients - draw(&[(1, 0), (1, 1)]),
            steps: 40 + draw(&[(1, 0), (1, 20), (1, 60)]),
            window_ms: draw(&[(2, 0), (1, 20)]),
            grace_ms: draw(&[(2, 250), (1, 600_000)]),
            slow_one_in: draw(&[(1, 3), (2, NEVER)]),
            delay_max_ms,
            reorders: draw(&[(1, 0), (1, 1)]) == 1,
            repeat_one_in: draw(&[(1, NEVER), (1, 10)]),
            loss_one_in: harsh(loss),
            drift_ppm: draw(&[(1, 0), (1, 5_000)]),
            jumps: draw(&[(1, 0), (1, 1)]) == 1,
            pause_max_ms: if is_gentle { pause_max_ms.min(short) } else { pause_max_ms },
            gossip: ReplicaConfig {
                company: Company::Others,
                gossip_period_ms: draw(&[(1, 5), (2, 25)]),
                heartbeat_ms,
                down_after_ms,
                permdown_after_ms: down_after_ms * 4,
                history_deltas_max: size(draw(&[(1, 2), (1, 16), (1, 1_000)])),
                chunk_bytes_max: size(draw(&[(1, 1_024), (1, 4_096)])),
                request_timeout_ms: 2 * delay_max_ms + 10,
                ..ReplicaConfig::default()
            },
            partitions: one_in(rng, 2),
            crashes: one_in(rng, 2),
            retires: rng.one_in(2),
            extras: Extras::default(),
        }
    }

    pub(crate) fn with_extras(mut self, rng: Rng) -> Self {
        self.extras = Extras::draw(rng, self.is_gentle());
        if self.extras.is_uneven {
            (self.gossip.history_deltas_max, self.gossip.chunk_bytes_max) = (10_000, 48 << 10);
        }
        self
    }

    /// Whether nothing happens by which a session that goes on may be out of sight.
    pub(crate) fn is_gentle(&self) -> bool {
        let is_short = self.pause_max_ms + self.gossip.heartbeat_ms + self.delay_max_ms
            < self.gossip.down_after_ms;
        // An older replica learns late of what a newer one does, and never of its goodbye.
        self.carries_all() && !self.crashes && is_short && !self.extras.upgrades
    }

    /// Whether every message arrives, if only late.
    pub(crate) fn carries_all(&self) -> bool {
        self.loss_one_in == NEVER && !self.partitions && self.extras.inbox_max == usize::MAX
    }

    /// How many deltas a replica keeps.
    pub(crate) fn history_deltas_max(&self, name: &str) -> usize {
        let is_short = self.extras.is_uneven && name == FIRST;
        if is_short { 2 } else { self.gossip.history_deltas_max }
    }

    /// Within how long after the end of all faults everybody agrees, but for those who have said goodbye.
    pub(crate) fn bound_ms(&self) -> u64 {
        let ReplicaConfig { gossip_period_ms, heartbeat_ms, down_after_ms, .. } = self.gossip;
        let way_ms =
            4 * self.delay_max_ms + 2 * gossip_period_ms + 4 * self.gossip.request_timeout_ms;
        let grace_ms = if self.is_grace_short() { self.grace_ms } else { 0 };
        let span_ms = down_after_ms + 3 * heartbeat_ms + way_ms + 3 * self.window_ms + grace_ms;
        span_ms * 102 / 100
    }

    /// How long the others show what a replica had that has retired.
    pub(crate) fn keep_ms(&self) -> u64 {
        self.grace_ms.min(self.gossip.permdown_after_ms)
    }

    pub(crate) fn is_grace_short(&self) -> bool {
        self.grace_ms < 10_000
    }

    /// In a gentle run, within how long everybody knows of a join or leave.
    pub(crate) fn news_ms(&self) -> u64 {
        let ReplicaConfig { gossip_period_ms, heartbeat_ms, request_timeout_ms, .. } = self.gossip;
        let way_ms = gossip_period_ms + heartbeat_ms + 4 * self.delay_max_ms + request_timeout_ms;
        (way_ms * 2 + self.pause_max_ms * 3) * 102 / 100 + 10
    }

    /// The configuration of one life of a replica.
    pub(crate) fn config(
        &self,
        replica: ReplicaId,
        previous: Vec<Incarnation>,
        priority: PriorityPolicy,
    ) -> Config {
        let name = replica.name.as_str();
        let phase = name.bytes().map(u64::from).sum::<u64>() + replica.incarnation.0;
        let history_deltas_max = self.history_deltas_max(name);
        Config {
            replica,
            previous,
            seeds: (1, phase),
            gossip: ReplicaConfig { history_deltas_max, ..self.gossip.clone() },
            defaults: TopicOptions {
                diff_window_ms: self.window_ms,
                full_max: 200,
                liveness: LivenessConfig {
                    // Nobody becomes idle while it is to be quiet.
                    idle_after_ms: 10_000_000,
                    grace_ms: self.grace_ms,
                    typing_for_ms: 100,
                },
                priority,
            },
            namespaces: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn reading(&self, rng: &mut Rng) -> Reading {
        if !rng.one_in(self.slow_one_in) {
            return Reading::Promptly;
        }
        let limits = QueueLimits { frames_max: 12, bytes_max: 8_000 };
        Reading::Slowly { frames: rng.below(3), limits }
    }
}

fn size(drawn: u64) -> usize {
    usize::try_from(drawn).unwrap_or_default()
}
