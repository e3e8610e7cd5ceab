//! What a replica that leaves has left behind.
//!
//! A farewell may ask that the entries of the life be shown for a while, so that its sessions can go on
//! elsewhere without anybody seeing them leave. Like being down, this is an opinion and no part of the
//! state: it changes what is shown, and nothing that is passed on.
//!
//! Two things follow. An entry of a life that leaves, once another entry shows its session, is *spent*: it
//! never comes back, or somebody who moved and then left would be seen where they were before. And a new
//! life of the name, which ends what the old one had, finds the entries *kept*: they go with the farewell's
//! end, or with the return of their sessions, whichever comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::PresenceSet;
use super::changes::Changes;
use super::rooms::Dismissed;
use super::slots::{SPENT, Slot};
use crate::context::Life;
use crate::diff::Diff;
use crate::dot::{Incarnation, ReplicaId};
use crate::name::{ReplicaName, Topic};

/// Who leaves, and what lives that are over have left behind; both empty but during restarts.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// The last life of each name that leaves.
    leaving: BTreeMap<ReplicaName, Incarnation>,
    /// What is shown of lives that are over.
    kept: BTreeMap<ReplicaId, BTreeSet<Slot>>,
}

impl Farewells {
    fn is_leaving(&self, replica: &ReplicaId) -> bool {
        self.leaving.get(&replica.name).is_some_and(|&last| replica.incarnation <= last)
    }

    /// Whether a life is over, as something of it, or of a later one of its name that is over, is shown.
    pub(super) fn has_ended(&self, replica: &ReplicaId) -> bool {
        let mut kept = self.kept.keys().filter(|life| life.name == replica.name);
        kept.any(|life| replica.incarnation <= life.incarnation)
    }

    /// Forgets who left, unless something of it is shown still.
    pub(super) fn forget(&mut self, name: &ReplicaName) {
        if !self.keeps(name) {
            self.leaving.remove(name);
        }
    }

    fn keeps(&self, name: &ReplicaName) -> bool {
        self.kept.keys().any(|life| life.name == *name)
    }

    /// Returns how many entries of ended lives are shown.
    pub(super) fn kept_count(&self) -> usize {
        self.kept.values().map(BTreeSet::len).sum()
    }
}

impl PresenceSet {
    /// Notes that a life leaves and that its entries are to be shown until they are
    /// [released](Self::release) or [forgotten](Self::forget). Does nothing for this set's own name,
    /// and for a life that is not the known one.
    pub fn replica_leaves(&mut self, replica: &ReplicaId) {
        let known = self.context.life(&replica.name).map(Life::replica);
        if replica.name == self.replica.name || known.is_none_or(|known| **known != *replica) {
            return;
        }
        self.farewells.leaving.insert(replica.name.clone(), replica.incarnation);
        let shadowed = self.rooms.shadowed().iter().copied();
        let spent: Vec<_> =
            shadowed.filter(|&slot| *self.slots.get(slot).dot.replica == *replica).collect();
        spent.into_iter().for_each(|slot| self.spend(slot));
    }

    /// Ends what is shown of a life that left and is over. Cost: in proportion to it.
    pub fn release(&mut self, replica: &ReplicaId) -> Diff {
        let kept = self.farewells.kept.remove(replica).unwrap_or_default();
        let mut changes = Changes::with_capacity(kept.len());
        for slot in kept {
            self.remove(slot, &mut changes);
        }
        let runs = self.context.life(&replica.name).map(Life::replica);
        if !runs.is_some_and(|runs| self.farewells.is_leaving(runs)) {
            self.farewells.forget(&replica.name);
        }
        changes.finish(&mut self.rooms)
    }

    /// Returns whether something of earlier lives of a name is shown.
    #[must_use]
    pub fn keeps(&self, name: &ReplicaName) -> bool {
        self.farewells.keeps(name)
    }

    /// Returns whether a topic shows something of a life that leaves or has left: others may know that
    /// it has moved and gone. Cost: in proportion to the topic, while somebody leaves.
    pub(crate) fn shows_leaver(&self, topic: &Topic) -> bool {
        !self.farewells.leaving.is_empty()
            && self.rooms.find(topic).is_some_and(|room| {
                let mut members = self.rooms.room(room).members();
                members.any(|presence| self.farewells.is_leaving(&presence.dot.replica))
            })
    }

    /// Ends a life in the place of which a new one has come: its entries go, or are kept when it left.
    pub(super) fn end_life(
        &mut self,
        replica: &ReplicaId,
        live: impl Iterator<Item = Slot>,
        changes: &mut Changes,
    ) {
        let leaves = self.farewells.is_leaving(replica);
        for slot in live {
            if leaves && self.slots.has_room(slot) {
                let kept = self.farewells.kept.entry(replica.clone()).or_default();
                kept.insert(slot);
            } else {
                self.remove(slot, changes);
            }
        }
        self.farewells.forget(&replica.name);
    }

    /// Takes an entry in the shadow of another out of it for good, if its life leaves.
    pub(super) fn spend(&mut self, slot: Slot) {
        let presence = self.slots.get(slot);
        if self.farewells.leaving.is_empty() || !self.farewells.is_leaving(&presence.dot.replica) {
            return;
        }
        let replica = Arc::clone(&presence.dot.replica);
        let room = self.slots.room(slot);
        let dismissed = self.rooms.dismiss(room, (slot, self.prints(slot)), &self.slots);
        assert_eq!(dismissed, Dismissed::Shadowed, "what is spent was in a shadow");
        self.slots.set_room(slot, SPENT);
        let Some(kept) = self.farewells.kept.get_mut(&*replica) else { return };
        kept.remove(&slot);
        if kept.is_empty() {
            self.farewells.kept.remove(&*replica);
        }
        self.slots.remove(slot);
    }
}
