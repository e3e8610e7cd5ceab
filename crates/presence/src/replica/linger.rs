//! Entries that have been removed here and that others would still miss.
//!
//! A session that goes on at another replica is shown by that one's entry. The old owner removes its own,
//! and its word may reach a third replica before the new owner's does: there the session would be gone
//! for a moment. So the old entry, which stands in the shadow of the new one here, lingers until every
//! other replica has said that it has seen the new one, for `down_after` at least.

use std::collections::BTreeMap;

use super::Replica;
use crate::dot::Dot;
use crate::name::{SessionId, Topic};
use crate::time::MonoMs;

/// The entries that linger, each since when; all are tracked here. Few, while sessions move.
#[derive(Debug, Default)]
pub(super) struct Lingering(BTreeMap<(Topic, SessionId), MonoMs>);

impl Lingering {
    pub(super) fn add(&mut self, now: MonoMs, topic: &Topic, session: &SessionId) {
        self.0.entry((topic.clone(), session.clone())).or_insert(now);
    }

    /// Takes an entry back, whose session is here again; says whether it lingered.
    pub(super) fn revive(&mut self, topic: &Topic, session: &SessionId) -> bool {
        !self.0.is_empty() && self.0.remove(&(topic.clone(), session.clone())).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Replica {
    /// Returns whether somebody would miss a session whose entry here were removed now, and which was
    /// given up here at a time.
    pub(super) fn must_linger(
        &self,
        now: MonoMs,
        (topic, session): (&Topic, &SessionId),
        since: MonoMs,
    ) -> bool {
        let overtaker = self.set.overtaker(topic, session).filter(|_| self.speaks());
        // Longer than it takes to hear from everybody, or to hide who is silent.
        let is_new = now.since(since) < self.config.down_after_ms;
        overtaker.is_some_and(|overtaker| !self.is_known(&overtaker.dot, is_new))
    }

    /// Removes what nobody would miss any more: all have heard of the entry that is shown in its place,
    /// or that one is gone, and the session with it.
    pub(super) fn release(&mut self, now: MonoMs) {
        if self.lingering.0.is_empty() {
            return;
        }
        let lingering = std::mem::take(&mut self.lingering.0);
        let (kept, released): (BTreeMap<_, _>, BTreeMap<_, _>) = lingering
            .into_iter()
            .partition(|((topic, session), since)| self.must_linger(now, (topic, session), *since));
        self.lingering.0 = kept;
        for (topic, session) in released.into_keys() {
            let change = self.set.untrack(&topic, &session);
            let diff = self.changed_here(now, change);
            self.report(diff);
        }
        if now >= self.gossip_from {
            self.send_deltas(now);
        }
    }

    /// Returns whether every replica that can be heard has said that it has seen an operation. For one
    /// that cannot, but may hear others, and for one that says nothing which is understood here, since
    /// it speaks a later version, it is waited if `waits_for_all`.
    fn is_known(&self, dot: &Dot, waits_for_all: bool) -> bool {
        let mut others = self.peers.known.iter().filter(|(name, _)| **name != dot.replica.name);
        others.all(|(_, peer)| {
            let says = peer.is_live() && peer.digest.is_some();
            peer.has(&dot.replica) >= dot.counter || !says && !waits_for_all
        })
    }
}
