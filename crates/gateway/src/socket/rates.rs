//! How often a client may do what.

use std::num::NonZeroU32;
use std::time::Instant;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::Limits;

/// How many messages a limited client may still send before it is closed.
const IGNORED_MAX: u32 = 100;

/// Pings of a client: not configurable, for no honest client needs more.
const PINGS_PER_SECOND: u32 = 2;
const PINGS_BURST: u32 = 10;

/// Fresh tokens of a client, each of which is asked about every topic: not configurable, as a token lasts for
/// minutes.
const TOKENS_PER_SECOND: u32 = 1;
const TOKENS_BURST: u32 = 10;

/// One rate. Not with the library's own clock: to make one asks the processor what it is, which takes tens
/// of microseconds in a virtual machine.
type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

/// The rates of one socket.
#[derive(Debug)]
pub(super) struct SocketRates {
    messages: Limiter,
    joins: Limiter,
    pings: Limiter,
    tokens: Limiter,
    ignored: u32,
}

/// Too much in too short a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limited {
    /// Try again after so long.
    Retry { after_ms: u64 },
    /// The client was told often enough.
    Flood,
}

impl SocketRates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            messages: limiter(limits.messages_per_second.as_u32(), limits.messages_burst.as_u32()),
            joins: limiter(limits.joins_per_second.as_u32(), limits.joins_burst.as_u32()),
            pings: limiter(PINGS_PER_SECOND, PINGS_BURST),
            tokens: limiter(TOKENS_PER_SECOND, TOKENS_BURST),
            ignored: 0,
        }
    }

    /// Counts a message.
    pub(super) fn message(&mut self) -> Result<(), Limited> {
        let checked = check(&self.messages);
        self.count(checked)
    }

    /// Counts a join.
    pub(super) fn join(&mut self) -> Result<(), Limited> {
        let checked = check(&self.joins);
        self.count(checked)
    }

    /// Takes note of who goes on in spite of being limited.
    fn count(&mut self, checked: Result<(), Limited>) -> Result<(), Limited> {
        match checked {
            Ok(()) => {
                // One by one: among a thousand messages in a second, one is always in time.
                self.ignored = self.ignored.saturating_sub(1);
                Ok(())
            }
            Err(_) if self.ignored >= IGNORED_MAX => Err(Limited::Flood),
            Err(limited) => {
                self.ignored += 1;
                Err(limited)
            }
        }
    }

    /// Counts a ping of the client.
    pub(super) fn ping(&self) -> Result<(), Limited> {
        check(&self.pings)
    }

    /// Counts a token that differs from the one before.
    pub(super) fn token(&self) -> Result<(), Limited> {
        check(&self.tokens)
    }
}

/// The rate of presence updates of one session.
#[derive(Debug)]
pub(super) struct UpdateRate(Limiter);

impl UpdateRate {
    pub(super) fn new(limits: &Limits) -> Self {
        let (rate, burst) = (limits.presence_updates_per_second, limits.presence_updates_burst);
        Self(limiter(rate.as_u32(), burst.as_u32()))
    }

    /// Counts an update.
    pub(super) fn update(&self) -> Result<(), Limited> {
        check(&self.0)
    }
}

/// The configuration admits no zero.
fn limiter(per_second: u32, burst: u32) -> Limiter {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
    RateLimiter::direct_with_clock(quota, MonotonicClock)
}

fn check(limiter: &Limiter) -> Result<(), Limited> {
    limiter.check().map_err(|not_until| {
        let wait = not_until.wait_time_from(MonotonicClock.now());
        // A wait of part of a millisecond is still a wait.
        Limited::Retry { after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) + 1 }
    })
}
