//! What the others say.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Replica;
use super::history::Interval;
use super::message::{self, Body, Envelope, Farewell};
use super::output::{PeerEvent, Recipient};
use super::peers::{Opinion, Peer, Why};
use crate::codec::DecodeError;
use crate::context::Context;
use crate::delta::Delta;
use crate::dot::{Dot, ReplicaId};
use crate::name::ReplicaName;
use crate::time::MonoMs;
use crate::traps::Trap;

/// Of how many lives of one name something is shown beside the one that runs: a replica that leaves and starts
/// again and again within its farewells makes nothing grow.
const KEPT_LIVES_MAX: usize = 4;

impl Replica {
    pub(super) fn receive(&mut self, now: MonoMs, bytes: &[u8]) {
        if !self.speaks() {
            return;
        }
        let (envelope, rest) = match message::open(bytes) {
            Ok(opened) => opened,
            Err(error) => return self.event(PeerEvent::Malformed(error)),
        };
        let body = message::read(&envelope, rest);
        // Whoever cannot write a message that can be read is not there.
        if let Err(error) = body
            && !matches!(error, DecodeError::UnknownVersion { .. })
        {
            return self.event(PeerEvent::Malformed(error));
        }
        if !self.hear(now, &envelope) {
            return;
        }
        match body {
            Ok(body) => self.understand(now, &envelope, body),
            Err(_) => self.ask_in_own_version(now, &envelope),
        }
    }

    fn understand(&mut self, now: MonoMs, Envelope { from, seq, .. }: &Envelope, body: Body) {
        match body {
            Body::Ask { digest, .. } => self.answer_all(now, from, &digest),
            Body::Deltas(intervals) => {
                for (interval, delta) in intervals {
                    self.take_interval(now, interval, delta);
                }
            }
            Body::Heartbeat { digest, quiet_ms, farewells } => {
                let peer = self.peers.known.get_mut(&from.name).expect("it was heard");
                if *seq <= peer.heartbeat_seq {
                    // Repeated, or overtaken by a later one: what it says lasts shorter by now.
                    return;
                }
                peer.heartbeat_seq = *seq;
                self.take_digest(now, from, (digest, &quiet_ms));
                farewells.into_iter().for_each(|Farewell { replica, left_ms }| {
                    self.take_leave(now, Farewell { replica, left_ms });
                });
            }
            Body::Request(wants) => {
                // Once for each owner, by what was written last: an answer may be a whole state.
                let wants: BTreeMap<_, _> =
                    wants.iter().map(|want| (&want.owner.name, want)).collect();
                wants.values().for_each(|want| self.answer(now, &from.name, want));
            }
            Body::Repair(chunk) => self.take_chunk(now, from, chunk),
        }
    }

    /// Notes a sign of life, and says whether the message is of a current life of another.
    fn hear(&mut self, now: MonoMs, envelope: &Envelope) -> bool {
        let Envelope { from, seq, .. } = envelope;
        let own = self.set.replica();
        if from.name == own.name {
            if from.incarnation > own.incarnation {
                self.supersede(from.incarnation);
            }
            return false;
        }
        if let Some(barred) = self.peers.barred.get(&from.name) {
            let is_over = match from.incarnation.cmp(&barred.incarnation) {
                Ordering::Less => true,
                Ordering::Equal => barred.why == Why::Left || *seq <= barred.seq,
                Ordering::Greater => false,
            };
            if is_over {
                self.event(PeerEvent::Stale(from.clone()));
                return false;
            }
            self.peers.barred.remove(&from.name);
        }
        match self.peers.known.get(&from.name).map(|peer| peer.incarnation.cmp(&from.incarnation)) {
            Some(Ordering::Greater) if self.traps.has(Trap::UnorderedLives) => {
                let gone = self.set.forget(&from.name);
                self.report(gone);
                self.begin_life(from, now);
            }
            Some(Ordering::Greater) => {
                self.event(PeerEvent::Stale(from.clone()));
                return false;
            }
            Some(Ordering::Equal) => {}
            Some(Ordering::Less) | None => self.begin_life(from, now),
        }
        let peer = self.peers.known.get_mut(&from.name).expect("it has begun");
        if *seq <= peer.seq {
            return true;
        }
        let is_up = peer.is_down || !peer.is_heard;
        (peer.seq, peer.last, peer.is_heard, peer.is_down) = (*seq, now, true, false);
        if is_up {
            self.event(PeerEvent::Up(from.clone()));
            let diff = self.set.replica_up(&from.name);
            // While it was hidden it was of no matter who had seen what it did.
            let seen = self.seen_of(&from.name);
            diff.iter().for_each(|topic| self.unsettled.note(&from.name, seen, &topic.topic));
            self.report(diff);
            // It may lack everything, and learns what from a heartbeat.
            let soon = self.heartbeat_sent.after(self.config.gossip_period_ms);
            self.heartbeat_at = self.heartbeat_at.min(soon);
        }
        true
    }

    /// Begins a new life of a name, heard or heard of at a time, in the place of an older one.
    fn begin_life(&mut self, replica: &ReplicaId, last: MonoMs) {
        let peer = Peer::new(replica.incarnation, last);
        let old = self.peers.known.insert(replica.name.clone(), peer);
        self.peers.barred.remove(&replica.name);
        if old.is_some() {
            self.requests.remove(&replica.name);
            self.staged.remove(&replica.name);
            self.history.forget(&replica.name);
            self.unsettled.settle(&replica.name, u64::MAX);
            self.event(PeerEvent::Restarted(replica.clone()));
        }
        let begun = self.set.begin(replica.clone());
        self.report(begun);
        match old.and_then(|old| Some((old.incarnation, old.leaves_at?))) {
            Some((incarnation, until)) if self.set.keeps(&replica.name) => {
                let left = ReplicaId { name: replica.name.clone(), incarnation };
                self.peers.kept.insert(left, until);
                self.release_oldest(&replica.name);
            }
            // What a life before left behind may be shown still, and others must hear of it.
            _ if self.set.keeps(&replica.name) => {}
            _ => _ = self.peers.farewells.remove(&replica.name),
        }
        let diff = self.set.replica_up(&replica.name);
        self.report(diff);
    }

    /// Ends what is shown of the oldest life of a name, when it is of more than may be.
    fn release_oldest(&mut self, name: &ReplicaName) {
        let mut of_name = self.peers.kept.keys().filter(|left| left.name == *name);
        let (oldest, others) = (of_name.next().cloned(), of_name.count());
        if let Some(oldest) = oldest.filter(|_| others >= KEPT_LIVES_MAX) {
            self.peers.kept.remove(&oldest);
            let diff = self.set.release(&oldest);
            self.event(PeerEvent::Left(oldest));
            self.report(diff);
        }
    }

    /// Takes what a replica has seen, and asks for what is new here.
    fn take_digest(
        &mut self,
        now: MonoMs,
        from: &ReplicaId,
        (digest, quiet_ms): (Context, &[u64]),
    ) {
        let bar_until = now.after(self.config.permdown_after_ms);
        let mut opinions = Vec::new();
        // A message is under way for half a heartbeat at most, as far as certainty goes.
        let way_ms = self.config.heartbeat_ms / 2;
        let waited_ms = if now < self.behind.0 { self.behind.1 } else { 0 };
        let doubt_ms = self.config.down_after_ms.saturating_sub(way_ms + waited_ms);
        let mut holds_ms = self.patience_ms();
        for (life, &quiet_ms) in digest.iter().zip(quiet_ms) {
            let replica = life.replica();
            let is_silent = quiet_ms >= self.config.down_after_ms;
            if !is_silent && !self.is_leaving(replica) {
                holds_ms = holds_ms.min(doubt_ms.saturating_sub(quiet_ms));
            }
            opinions.push(Opinion { of: Arc::clone(replica), is_silent });
            if replica.name == self.set.replica().name {
                if replica.incarnation > self.set.replica().incarnation {
                    return self.supersede(replica.incarnation);
                }
            } else if self.peers.is_barred(replica) {
                self.peers.mentioned(replica, bar_until);
            } else if life.seen().upto() > 0 {
                let heard = MonoMs(now.0.saturating_sub(quiet_ms));
                self.learn_of(now, replica, heard);
            }
        }
        let peer = self.peers.known.get_mut(&from.name).expect("it was heard");
        (peer.digest, peer.opinions) = (Some(digest), opinions);
        peer.holds_until = now.after(holds_ms);
        if !self.traps.has(Trap::DeafToDigests) {
            self.ask_for_lacks(now, &from.name);
        }
    }

    /// Learns of a life through another, which heard it at a time.
    pub(super) fn learn_of(&mut self, now: MonoMs, replica: &Arc<ReplicaId>, heard: MonoMs) {
        let known = self.peers.known.get(&replica.name).map(|peer| peer.incarnation);
        if known.is_some_and(|known| known >= replica.incarnation) {
            return;
        }
        self.begin_life(replica, heard);
        if now.since(heard) >= self.config.down_after_ms {
            // Hidden from the start: others have hidden it already.
            let peer = self.peers.known.get_mut(&replica.name).expect("it has begun");
            peer.is_down = true;
            let diff = self.set.replica_down(&replica.name);
            self.report(diff);
        }
    }

    /// Takes operations of one owner: in their order, or else for later.
    fn take_interval(&mut self, now: MonoMs, interval: Interval, mut delta: Delta) {
        let owner = message::owner(&delta);
        if owner.name == self.set.replica().name {
            // Only for the incarnation that it tells.
            let _ = self.set.merge(delta);
            return;
        }
        if self.peers.is_barred(&owner) {
            let until = now.after(self.config.permdown_after_ms);
            return self.peers.mentioned(&owner, until);
        }
        self.learn_of(now, &owner, now);
        if !self.is_current(&owner) {
            return;
        }
        let seen = self.seen_of(&owner.name);
        if interval.last <= seen {
            return;
        }
        let mut is_next = interval.first <= seen + 1;
        if !is_next && self.traps.has(Trap::GapsUnseen) {
            let gap = seen + 1..interval.first;
            gap.for_each(|counter| delta.cover(&Dot::new(Arc::clone(&owner), counter)));
            is_next = true;
        }
        self.history.insert(&owner, interval);
        if is_next {
            self.merge(&owner, delta);
            self.merge_waiting(&owner);
            self.progressed(now, &owner);
        } else {
            self.ask_for(now, &owner);
        }
    }

    pub(super) fn is_current(&self, owner: &ReplicaId) -> bool {
        let peer = self.peers.known.get(&owner.name);
        peer.is_some_and(|peer| peer.incarnation == owner.incarnation)
    }

    /// Merges what came too early, as far as it goes.
    pub(super) fn merge_waiting(&mut self, owner: &ReplicaId) {
        while let Some(waiting) = self.history.at(owner, self.seen_of(&owner.name) + 1) {
            let seen = self.seen_of(&owner.name);
            let delta = Delta::decode(&waiting.delta).expect("it was decoded when it came");
            self.merge(owner, delta);
            assert!(self.seen_of(&owner.name) > seen, "an interval covers its operations");
        }
    }

    /// Merges a delta of one owner that has nothing lacking before it.
    pub(super) fn merge(&mut self, owner: &ReplicaId, delta: Delta) {
        let diff = self.set.merge(delta);
        let seen = self.seen_of(&owner.name);
        diff.iter().for_each(|topic| self.unsettled.note(&owner.name, seen, &topic.topic));
        self.report(diff);
    }

    /// Asks a sender of an unknown version for what is lacking, at most once a heartbeat.
    fn ask_in_own_version(&mut self, now: MonoMs, envelope: &Envelope) {
        let Envelope { version, from, .. } = envelope;
        self.event(PeerEvent::UnknownVersion { from: from.clone(), version: *version });
        let peer = self.peers.known.get_mut(&from.name).expect("it was heard");
        let period = self.config.heartbeat_ms;
        if peer.asked_at.is_none_or(|asked_at| now.since(asked_at) >= period) {
            peer.asked_at = Some(now);
            let digest = self.set.context().clone();
            let to = Recipient::One(from.name.clone());
            self.send(to, |sender| message::ask(sender, &digest));
        }
    }
}
