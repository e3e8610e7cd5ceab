//! The fencing token: a number that only ever grows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits of a fence that count grants; the timeline stands above them.
const COUNT_BITS: u32 = 40;

/// The largest timeline, so that a fence also fits the signed 64 bits of a database.
pub const TIMELINE_MAX: u32 = (1 << 23) - 1;

/// A fencing token of one topic: each grant has one that is larger than every earlier one.
///
/// Zero means that the topic never had a pen. In JSON it is a string, because it may pass 2^53, which
/// is as far as JavaScript counts.
///
/// Source: Burrows, *The Chubby lock service*, 2006 (sequencers); Kleppmann, *How to do distributed
/// locking*, 2016 (fencing tokens).
///
/// ```
/// use penholder_lease::{Fence, Timeline};
///
/// let first = Fence::NONE.next(Timeline(0));
/// assert_eq!(first.to_string(), "1");
/// // A standby that took over may have lost grants: its timeline puts it above all of them.
/// assert_eq!(first.next(Timeline(2)).0, (2 << 40) + 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fence(pub u64);

/// How often the store's history may have forked: the timeline of PostgreSQL, 0 to [`TIMELINE_MAX`].
///
/// A standby promoted before it had everything would grant the same number a second time. It does so
/// on a new timeline, which is the upper part of the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timeline(pub u32);

impl Fence {
    /// The fence of a topic that never had a pen.
    pub const NONE: Self = Self(0);

    /// Returns the fence of the next grant: one more, and on the given timeline unless this one is
    /// already beyond it.
    ///
    /// # Panics
    ///
    /// The timeline is larger than [`TIMELINE_MAX`], which no store reaches.
    #[must_use]
    pub fn next(self, timeline: Timeline) -> Self {
        assert!(timeline.0 <= TIMELINE_MAX, "timeline {} has no room in a fence", timeline.0);
        let count = self.0 & ((1 << COUNT_BITS) - 1);
        let on_timeline = (u64::from(timeline.0) << COUNT_BITS) | count;
        Self(self.0.max(on_timeline) + 1)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Not a fence: a decimal number of at most 64 bits, without sign or leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fencing token")]
pub struct NotAFence;

impl FromStr for Fence {
    type Err = NotAFence;

    fn from_str(text: &str) -> Result<Self, NotAFence> {
        let fence = text.parse().map(Self).map_err(|_| NotAFence)?;
        // One spelling each, so that a token that was compared as text compares the same.
        if fence.to_string() == text { Ok(fence) } else { Err(NotAFence) }
    }
}

impl Serialize for Fence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_larger_on_any_timeline() {
        let mut fence = Fence::NONE;
        for timeline in [0, 0, 1, 1, 7, 3, 0, TIMELINE_MAX] {
            let next = fence.next(Timeline(timeline));
            assert!(next > fence, "{fence} then {next}");
            fence = next;
        }
        assert!(i64::try_from(fence.0).is_ok());
    }

    #[test]
    fn lost_grants_of_an_old_timeline_stay_below_the_new_one() {
        let known = Fence(41).next(Timeline(1));
        let lost = (0..1000).fold(known, |fence, _| fence.next(Timeline(1)));
        assert!(known.next(Timeline(2)) > lost);
    }

    #[test]
    fn json_is_a_string_and_nothing_else() {
        let fence = Fence((1 << 53) + 1);
        let json = serde_json::to_string(&fence).unwrap();
        assert_eq!(json, "\"9007199254740993\"");
        assert_eq!(serde_json::from_str::<Fence>(&json).unwrap(), fence);
        for wrong in
            ["7", "\"-1\"", "\"+1\"", "\"01\"", "\"\"", "\"1e3\"", "\"18446744073709551616\""]
        {
            assert!(serde_json::from_str::<Fence>(wrong).is_err(), "{wrong}");
        }
    }
}
