//! The checkers of what replicas keep and spend: it follows what is there, not what has been.

use penholder_presence::{Answer, Footprint, ReplicaId};

use super::world::World;
use crate::violation::{Checked, Rule, ensure};

/// How many entries a merge looks at, at most, for each that it brings, adds or removes.
const EFFORT_MAX: u64 = 8;

/// An answer is small, and not worth looking for a smaller one, that fills no more than this part of
/// a message.
const SMALL_PART: usize = 8;

/// Whether those who are gone have been gone for longer than anybody remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Fresh,
    Faded,
}

impl World {
    /// P2, P6: nothing is kept of who is gone, and of those who are there no more than is there.
    pub(crate) fn check_footprints(&self, memory: Memory) -> Checked {
        let (running, shown) = (self.running(), self.tenancy.shown().count());
        for &node in &running {
            let life = self.nodes[node].running().expect("it runs");
            let kept = life.hub.footprint();
            let place = || {
                let name = &self.nodes[node].name;
                format!("{name} at {}: {kept:?}, {shown} sessions of {running:?}", self.now)
            };
            let Footprint { entries, lives, peers, down, remembered, repairs, .. } = kept;
            let is_exact = (lives, peers, down) == (running.len(), running.len() - 1, 0);
            ensure(is_exact && entries == shown, Rule::NoGhost, place)?;
            // What an older replica does not understand, it never knows to be known to all.
            let is_settled = kept.unsettled == 0 || self.plan.extras.upgrades;
            let is_forgotten = remembered == 0 || memory == Memory::Fresh;
            ensure(is_forgotten && is_settled && repairs == 0, Rule::Bounded, place)?;
            let deltas_max = self.plan.history_deltas_max(&self.nodes[node].name);
            ensure(kept.history_deltas <= deltas_max, Rule::Bounded, place)?;
            let effort = life.hub.effort();
            ensure(effort <= EFFORT_MAX, Rule::Cost, || format!("{}: effort {effort}", place()))?;
        }
        Ok(())
    }

    /// A lack is answered by what is lacking, wherever that is kept: a replica that has never had to
    /// throw a delta away answers for itself by deltas, as long as all of them are few.
    pub(crate) fn check_answer(&self, node: usize, owner: &str, answer: Answer) -> Checked {
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let name = &self.nodes[node].name;
        let is_complete = self.intervals <= self.plan.history_deltas_max(name);
        let small = (self.plan.gossip.chunk_bytes_max - 256) / SMALL_PART;
        let is_due = owner == name && is_complete && life.told_bytes <= small;
        ensure(!is_due || answer == Answer::Deltas, Rule::Cost, || {
            format!("{name} at {} answers for itself by {answer:?}", self.now)
        })
    }

    /// Whether everybody hears enough of a life to know that it is there.
    pub(crate) fn is_audible(&self, id: &ReplicaId) -> bool {
        let mut nodes = self.nodes.iter();
        let Some(node) = nodes.find(|node| node.name == id.name.as_str()) else { return false };
        let is_it = node.life.as_ref().is_some_and(|life| life.incarnation == id.incarnation);
        let recent_ms = 2 * self.plan.gossip.down_after_ms;
        let is_awake = node.running().is_some() && node.stood_until + recent_ms < self.now;
        is_it && (self.plan.is_gentle() || self.plan.carries_all() && is_awake)
    }
}
