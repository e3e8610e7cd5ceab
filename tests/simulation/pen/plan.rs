//! What a seed draws before a run of the pen begins.

use std::collections::BTreeSet;

use penholder_lease::{Handover, Policy, Role};

use crate::rng::Rng;

/// The size of a run, its spans, and which faults exist in it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    pub(crate) editors: u64,
    /// How many people they are; some have several sessions.
    pub(crate) people: u64,
    pub(crate) span_ms: u64,
    /// A message is under way for at most so long.
    pub(crate) delay_max_ms: u64,
    /// One message in so many is lost, on its way there or on its way back.
    pub(crate) loss_one_in: u64,
    /// One message in so many comes twice.
    pub(crate) repeat_one_in: u64,
    /// One message in so many waits because its sender stopped before it was sent.
    pub(crate) stop_one_in: u64,
    /// How far the clock of an editor runs ahead or behind at most, in parts per million.
    pub(crate) drift_ppm: u64,
    /// Whether the store's clock jumps.
    pub(crate) jumps: bool,
    /// Whether the store is away at times.
    pub(crate) outages: bool,
    /// Whether a standby takes over at times, that lacks up to so many ms of what was written.
    pub(crate) failover_lag_ms: Option<u64>,
}

const NEVER: u64 = u64::MAX;

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut draw = |choices: &[(u64, u64)]| rng.weighted(choices);
        let editors = draw(&[(2, 2), (3, 4), (1, 7)]);
        let ttl_ms = draw(&[(1, 1_000), (2, 3_000)]);
        let policy = Policy {
            ttl_ms,
            ttl_ms_max: ttl_ms * 4,
            idle_after_ms: ttl_ms * 2,
            request_after_ms: draw(&[(1, 500), (1, ttl_ms * 3)]),
            handover: [Handover::Courtesy, Handover::Consent][index(draw(&[(2, 0), (1, 1)]))],
            drain_ms: draw(&[(1, 0), (2, 400)]),
            grace_ms: draw(&[(1, 0), (2, 800)]),
            take_over_roles: BTreeSet::from([Role::Admin]),
            ai_yields: draw(&[(1, 0), (1, 1)]) == 1,
            ..Policy::default()
        };
        let lag = draw(&[(3, NEVER), (1, 50), (1, 2_000)]);
        Self {
            editors,
            people: editors - draw(&[(2, 0), (1, 1)]),
            span_ms: 20_000 + draw(&[(1, 0), (1, 40_000)]),
            delay_max_ms: draw(&[(1, 2), (2, 50), (1, 400)]),
            loss_one_in: draw(&[(1, NEVER), (2, 10), (1, 4)]),
            repeat_one_in: draw(&[(1, NEVER), (1, 8)]),
            stop_one_in: draw(&[(1, NEVER), (2, 12)]),
            drift_ppm: draw(&[(1, 0), (1, 5_000)]),
            jumps: draw(&[(3, 0), (1, 1)]) == 1,
            outages: draw(&[(1, 0), (1, 1)]) == 1,
            failover_lag_ms: (lag != NEVER).then_some(lag),
            policy,
        }
    }
}

fn index(drawn: u64) -> usize {
    usize::try_from(drawn).unwrap_or_default()
}
