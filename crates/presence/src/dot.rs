//! Replicas and dots: who did something, and which of the things it did.

use std::fmt;
use std::sync::Arc;

use crate::name::ReplicaName;

/// Which life of a process this is; a later start of the same name has a larger one.
///
/// The driver chooses it, once at each start: wall milliseconds, or a stored counter. Two lives of
/// one name with the same incarnation would issue the same dots for different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

/// One life of one process: a stable name and an incarnation. Ordered by name, then incarnation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The name that a restart keeps.
    pub name: ReplicaName,
    /// The life that a restart ends.
    pub incarnation: Incarnation,
}

impl ReplicaId {
    /// Makes an id from anything that names a replica.
    #[must_use]
    pub fn new(name: impl Into<ReplicaName>, incarnation: Incarnation) -> Self {
        Self { name: name.into(), incarnation }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, Base36(self.incarnation.0))
    }
}

/// A dot: the unique name of one operation of one replica, for ever.
///
/// An entry of the set is known by the dot that added it, never by what it says, so the same person
/// tracked twice is two entries, and removing one cannot touch the other.
///
/// Ordered by replica name, incarnation and counter. `Display` is the presence ref
/// (`name.incarnation.counter`, the numbers in base 36):
///
/// ```
/// use penholder_presence::{Dot, Incarnation, ReplicaId};
///
/// let dot = Dot::new(ReplicaId::new("gw-1", Incarnation(1295)).into(), 36);
/// assert_eq!(dot.to_string(), "gw-1.zz.10");
/// ```
///
/// Source: Bieniusa et al., *An optimized conflict-free replicated set*, 2012.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The replica that did it, shared by all its dots.
    pub replica: Arc<ReplicaId>,
    /// Which of its operations this was: 1 is the first.
    pub counter: u64,
}

impl Dot {
    /// Makes a dot.
    #[must_use]
    pub fn new(replica: Arc<ReplicaId>, counter: u64) -> Self {
        Self { replica, counter }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica, Base36(self.counter))
    }
}

/// Prints a number in lowercase base 36: a ref stands in every frame, so it is kept short.
struct Base36(u64);

impl fmt::Display for Base36 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        // 36^13 > 2^64.
        let mut digits = [0; 13];
        let mut start = digits.len();
        let mut rest = self.0;
        loop {
            start -= 1;
            digits[start] = DIGITS[usize::try_from(rest % 36).unwrap_or_default()];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        f.write_str(str::from_utf8(&digits[start..]).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_prints_the_ends_of_the_number_range() {
        assert_eq!(Base36(0).to_string(), "0");
        assert_eq!(Base36(35).to_string(), "z");
        assert_eq!(Base36(u64::MAX).to_string(), "3w5e11264sgsf");
    }

    #[test]
    fn dots_order_by_name_then_incarnation_then_counter() {
        let dot = |name, incarnation, counter| {
            Dot::new(ReplicaId::new(name, Incarnation(incarnation)).into(), counter)
        };
        let ordered = [dot("a", 1, 9), dot("a", 2, 1), dot("a", 2, 10), dot("b", 1, 1)];
        assert!(ordered.is_sorted());
    }
}
