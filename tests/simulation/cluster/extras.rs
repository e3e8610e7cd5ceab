//! What half of the runs have beside their plan.
//!
//! Drawn from a stream of its own, so that the other half, and what is drawn in it, stay as they are.

use penholder_protocol::PresenceMode;

use crate::rng::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Extras {
    /// Whether administrators remove sessions and withdraw rights.
    pub(crate) meddles: bool,
    /// Whether some join unseen, or without a wish to see.
    pub(crate) hides: bool,
    /// Whether some lives speak a version that the others do not know, as in an upgrade under way.
    pub(crate) upgrades: bool,
    /// How many messages wait at most for a replica that stands still; more are lost, and nobody
    /// is told.
    pub(crate) inbox_max: usize,
    /// How many sessions a replica has from the start that do nothing, on topics of their own.
    pub(crate) crowd: u64,
    /// Whether the first replica alone keeps so little that it has to answer with states.
    pub(crate) is_uneven: bool,
    /// Whether a replica that stood still for long sees its clock before what waits for it.
    pub(crate) clock_first: bool,
}

/// A crowd that a cost in proportion to it cannot hide in.
const CROWD: u64 = 60;

impl Default for Extras {
    fn default() -> Self {
        Self {
            meddles: false,
            hides: false,
            upgrades: false,
            inbox_max: usize::MAX,
            crowd: 0,
            is_uneven: false,
            clock_first: false,
        }
    }
}

impl Extras {
    pub(crate) fn draw(mut rng: Rng, is_gentle: bool) -> Self {
        if rng.one_in(2) {
            return Self::default();
        }
        let inbox_max = rng.weighted(&[(1, usize::MAX), (1, 4), (1, 12)]);
        Self {
            meddles: rng.one_in(2),
            hides: rng.one_in(3),
            upgrades: rng.one_in(4),
            inbox_max: if is_gentle { usize::MAX } else { inbox_max },
            crowd: if rng.one_in(6) { CROWD } else { 0 },
            is_uneven: rng.one_in(3),
            clock_first: rng.one_in(2),
        }
    }

    pub(crate) fn presence(&self, rng: &mut Rng) -> PresenceMode {
        if !self.hides {
            return PresenceMode::Show;
        }
        rng.weighted(&[(6, PresenceMode::Show), (1, PresenceMode::Receive), (1, PresenceMode::Off)])
    }
}
