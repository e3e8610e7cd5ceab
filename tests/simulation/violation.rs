//! What a checker says when it has found something.

use std::fmt;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// P2: nobody who is gone is shown, and nothing of them is kept.
    NoGhost,
    /// P3: whoever is there is shown.
    NoLostJoin,
    /// P4: snapshot plus diffs is the list; a join at most once, a leave only of who is present.
    Replay,
    /// P5, P9: nobody who stays is absent in between.
    NoGap,
    /// P7: nothing is sent when nothing has changed.
    Quiet,
    /// P8: the same set has the same summary, whatever its history.
    SamePriority,
    /// What must arrive arrives once and in order.
    Delivery,
    /// A session goes on exactly when its token stands.
    Resume,
    /// P1: with all links up and nothing happening, every replica has the same set.
    Agreement,
    /// With all links up and nothing happening, every replica is sure of what it says.
    Certain,
    /// P6: what is kept follows what is there, not what has been.
    Bounded,
    /// What is done costs in proportion to what has changed.
    Cost,
    /// L1: fences of a topic strictly grow.
    FenceGrows,
    /// L2: what is written carries the fence of a tenure that lives, and none goes back.
    CurrentWrite,
    /// L3: nobody gets the pen before its time.
    NoEarlyGrant,
    /// L4: a repeated request is answered with the same fence.
    OneGrant,
    /// L4: a late word under an old fence does nothing.
    OwnWord,
    /// L5: what is due happens, and who waits gets the pen.
    PassedOn,
    /// Nobody believes that they hold the pen after its deadline.
    Belief,
    /// A replica of the latest incarnation is not taken for an earlier one.
    OneLife,
}

/// A broken promise, and how it showed.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

pub(crate) type Checked = Result<(), Violation>;

/// Breaks off with a violation of `rule` unless `holds`.
pub(crate) fn ensure(holds: bool, rule: Rule, detail: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { rule, detail: detail() }) }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}
