//! Who is there: judgements that time brings.
//!
//! Only a `Tick` judges, and only by monotonic time. A replica that was itself not scheduled for half of
//! `down_after` has an inbox full of signs of life that it has not read; it judges after it has listened
//! for one more heartbeat.

use super::message::Farewell;
use super::output::{PeerEvent, Recheck, ReplicaOutput};
use super::peers::{Barred, Opinion, Peer, Why};
use super::{Company, Replica, Standing};
use crate::diff::Diff;
use crate::dot::ReplicaId;
use crate::name::ReplicaName;
use crate::summary::Certainty;
use crate::time::MonoMs;
use crate::traps::Trap;

impl Replica {
    pub(super) fn notice_stall(&mut self, now: MonoMs) {
        let silent_ms = now.since(std::mem::replace(&mut self.handled_at, now));
        if silent_ms > self.config.heartbeat_ms {
            self.behind = (now.after(self.config.heartbeat_ms), silent_ms);
        }
        let is_stall = silent_ms > self.config.down_after_ms / 2;
        if is_stall && self.speaks() && !self.traps.has(Trap::NoStallGuard) {
            self.judge_from = now.after(self.config.heartbeat_ms);
            if !self.peers.known.is_empty() {
                self.event(PeerEvent::Stalled(silent_ms));
            }
        }
    }

    pub(super) fn tick(&mut self, now: MonoMs) {
        if !self.speaks() {
            return;
        }
        if now >= self.gossip_from {
            self.send_deltas(now);
        }
        if now >= self.heartbeat_at {
            self.send_heartbeat(now);
        }
        if now >= self.judge_from {
            self.judge(now);
        }
        self.expire(now);
        self.ask_others(now);
    }

    pub(super) fn next_judgement(&self) -> Option<MonoMs> {
        let peers = self.peers.known.values().map(|peer| match (peer.leaves_at, peer.is_down) {
            (Some(leaves_at), _) => leaves_at,
            (None, is_down) => {
                let silent_ms = match is_down {
                    false => self.config.down_after_ms,
                    true => self.config.permdown_after_ms,
                };
                peer.last.after(silent_ms).max(self.judge_from)
            }
        });
        // Bars, farewells and snapshots end with a heartbeat: nobody waits for it.
        let kept = self.peers.kept.values().copied();
        peers.chain(kept).chain(self.next_recheck()).min()
    }

    /// Returns when time alone changes what holds for every topic.
    fn next_recheck(&self) -> Option<MonoMs> {
        match self.basis {
            Certainty::Confirmed => self.peers.live().map(|(_, peer)| peer.holds_until).min(),
            _ => {
                let ready = self.started.after(self.patience_ms()).max(self.judge_from);
                let ready = ready.max(self.peers.kept_elsewhere);
                (ready > self.handled_at).then_some(ready)
            }
        }
    }

    fn judge(&mut self, now: MonoMs) {
        let names: Vec<ReplicaName> = self.peers.known.keys().cloned().collect();
        for name in names {
            let Some(peer) = self.peers.known.get_mut(&name) else { continue };
            if peer.leaves_at.is_some() {
                continue;
            }
            let silent_ms = now.since(peer.last);
            let replica = ReplicaId { name: name.clone(), incarnation: peer.incarnation };
            if !peer.is_down && silent_ms >= self.config.down_after_ms {
                peer.is_down = true;
                let diff = self.set.replica_down(&name);
                self.event(PeerEvent::Down(replica.clone()));
                self.report(diff);
            }
            if silent_ms >= self.config.permdown_after_ms {
                let diff = self.drop_life(now, &name, Why::Silent);
                self.event(PeerEvent::Gone(replica));
                self.report(diff);
            }
        }
    }

    /// Ends what has its own end, whether or not others can be judged.
    fn expire(&mut self, now: MonoMs) {
        let is_over = |peer: &Peer| peer.leaves_at.is_some_and(|leaves_at| leaves_at <= now);
        let over = self.peers.known.iter().filter(|(_, peer)| is_over(peer));
        let over: Vec<_> = over.map(|(name, peer)| (name.clone(), peer.incarnation)).collect();
        for (name, incarnation) in over {
            let diff = self.drop_life(now, &name, Why::Left);
            self.event(PeerEvent::Left(ReplicaId { name, incarnation }));
            self.report(diff);
        }
        let past = self.peers.kept.extract_if(.., |_, until| *until <= now);
        for replica in past.map(|(replica, _)| replica).collect::<Vec<_>>() {
            let diff = self.set.release(&replica);
            self.event(PeerEvent::Left(replica));
            self.report(diff);
        }
        let is_kept = self.traps.has(Trap::NeverForget);
        self.peers.barred.retain(|_, barred| is_kept || now < barred.until);
        self.peers.farewells.retain(|_, &mut (_, _, told_until)| now < told_until);
        let context = self.set.context();
        self.snapshots.retain(now, |owner| {
            context.life(&owner.name).is_some_and(|life| **life.replica() == *owner)
        });
    }

    /// Hears that a replica leaves, from itself or through another.
    pub(super) fn take_leave(&mut self, now: MonoMs, farewell: Farewell) {
        let Farewell { replica, left_ms } = farewell;
        let known = self.set.context().life(&replica.name).map(|life| life.replica().incarnation);
        let left_ms = left_ms.min(self.config.permdown_after_ms);
        if known.is_some_and(|known| known > replica.incarnation) {
            let until = now.after(left_ms);
            if let Some(kept_until) = self.peers.kept.get_mut(&replica) {
                *kept_until = until.min(*kept_until);
            } else if left_ms > 0 {
                self.peers.kept_elsewhere = self.peers.kept_elsewhere.max(until);
            }
            return;
        }
        if replica.name == self.set.replica().name || self.peers.is_barred(&replica) {
            return;
        }
        if left_ms > 0 && known != Some(replica.incarnation) {
            // Nothing of it is here, and whoever has it will drop it.
            return;
        }
        let leaves_at = now.after(left_ms);
        if let Some(peer) = self.peers.known.get_mut(&replica.name)
            && let Some(known_until) = &mut peer.leaves_at
        {
            if peer.incarnation == replica.incarnation && leaves_at < *known_until {
                // What was heard of it before was late.
                *known_until = leaves_at;
                if let Some((_, until, _)) = self.peers.farewells.get_mut(&replica.name) {
                    *until = leaves_at;
                }
            }
            return;
        }
        if known.is_some() {
            // Passed on once only: who had forgotten it already would tell those who will have.
            let told_until = leaves_at.after(self.config.down_after_ms);
            let told = (replica.incarnation, leaves_at, told_until);
            self.peers.farewells.insert(replica.name.clone(), told);
        }
        if left_ms > 0 {
            if let Some(peer) = self.peers.known.get_mut(&replica.name) {
                (peer.leaves_at, peer.is_down) = (Some(leaves_at), false);
                self.set.replica_leaves(&replica);
                // Its silence was no failure: it is shown as all others show it.
                let diff = self.set.replica_up(&replica.name);
                self.event(PeerEvent::Leaving(replica, left_ms));
                self.outputs.push_back(ReplicaOutput::Recheck(Recheck::All));
                self.report(diff);
            }
            return;
        }
        let incarnation = replica.incarnation;
        let peer = Peer::new(incarnation, now);
        let peer = self.peers.known.entry(replica.name.clone()).or_insert(peer);
        peer.incarnation = incarnation;
        let diff = self.drop_life(now, &replica.name, Why::Left);
        self.event(PeerEvent::Left(replica));
        self.report(diff);
    }

    /// Forgets a life in every structure but the minimum for its name.
    fn drop_life(&mut self, now: MonoMs, name: &ReplicaName, why: Why) -> Diff {
        if let Some(Peer { incarnation, seq, .. }) = self.peers.known.remove(name) {
            let until = now.after(self.config.permdown_after_ms);
            let barred = Barred { incarnation, why, seq, until };
            self.peers.barred.insert(name.clone(), barred);
        }
        for peer in self.peers.known.values_mut() {
            if let Some(digest) = &mut peer.digest {
                digest.forget(name);
            }
        }
        self.requests.remove(name);
        self.staged.remove(name);
        self.history.forget(name);
        self.unsettled.settle(name, u64::MAX);
        if why == Why::Silent && self.traps.has(Trap::NeverForget) {
            return Diff::default();
        }
        self.set.forget(name)
    }

    /// Ends an input: tells whose certainty may have changed.
    pub(super) fn finish(&mut self, now: MonoMs) {
        self.release(now);
        if let Some(by) = self.set.superseded_by() {
            self.supersede(by);
        }
        let mut settled = Vec::new();
        for owner in self.unsettled.owners() {
            let seen_by_all = self.seen_by_all(&owner);
            settled.extend(self.unsettled.settle(&owner, seen_by_all));
        }
        let basis = self.find_basis(now);
        if basis != self.basis {
            self.basis = basis;
            self.outputs.push_back(ReplicaOutput::Recheck(Recheck::All));
        } else if !settled.is_empty() && basis == Certainty::Confirmed {
            settled.sort_unstable();
            self.outputs.push_back(ReplicaOutput::Recheck(Recheck::Topics(settled)));
        }
    }

    /// Returns the last operation of an owner that every live replica has seen. What one did that is
    /// hidden here is in no answer.
    fn seen_by_all(&self, owner: &ReplicaName) -> u64 {
        if self.peers.known.get(owner).is_some_and(|peer| peer.is_down) {
            return u64::MAX;
        }
        let Some(life) = self.set.context().life(owner) else { return u64::MAX };
        let replica = life.replica();
        let others = self.peers.live().filter(|(name, _)| *name != owner);
        let of_others = others.map(|(_, peer)| peer.has(replica)).min();
        of_others.unwrap_or(u64::MAX)
    }

    /// Returns what holds for every topic: whether everybody's knowledge is known and had.
    pub(super) fn find_basis(&self, now: MonoMs) -> Certainty {
        let is_certain = match (self.config.company, self.standing) {
            (Company::Alone, _) => true,
            // Nobody waits for who leaves.
            (_, Standing::Superseded | Standing::Leaving(_)) => false,
            (Company::Others, Standing::Member) => {
                now.since(self.started) >= self.patience_ms()
                    && now >= self.judge_from
                    && now >= self.peers.kept_elsewhere
                    && !self.unsettled.has_floor()
                    && self.peers.live().all(|(_, peer)| {
                        now < peer.holds_until
                            && !self.lacks_of(peer)
                            && self.agrees_with(peer)
                            && self.is_known_to(peer)
                    })
            }
        };
        if is_certain { Certainty::Confirmed } else { Certainty::Provisional }
    }

    /// Returns for how long what was heard of somebody is relied on.
    pub(super) fn patience_ms(&self) -> u64 {
        self.config.heartbeat_ms.saturating_mul(2)
    }

    /// Returns whether a replica hears this one, hides those who are hidden here, and nobody else.
    fn agrees_with(&self, peer: &Peer) -> bool {
        let own = self.set.replica();
        // Who does not hear this one waits for nothing that it has yet to see.
        let mut opinions = peer.opinions.iter();
        let hears_this = opinions.any(|Opinion { of, is_silent }| of == own && !is_silent);
        let is_same = |Opinion { of, is_silent }: &Opinion| {
            if of.name == own.name {
                return true;
            }
            if self.peers.is_barred(of) {
                // It may show whom this one has forgotten.
                return *is_silent;
            }
            self.peers.known.get(&of.name).is_none_or(|known| {
                let is_it = known.incarnation == of.incarnation;
                // Who leaves is shown until then, silent or not; of the hidden, nothing of any life.
                let leaves = is_it && known.leaves_at.is_some();
                leaves || if *is_silent { known.is_down } else { is_it && !known.is_down }
            })
        };
        let hears_this = hears_this || self.traps.has(Trap::UnheardCertainty);
        hears_this && peer.opinions.iter().all(is_same)
    }

    /// Returns whether a life is known to leave.
    pub(super) fn is_leaving(&self, replica: &ReplicaId) -> bool {
        let peer = self.peers.known.get(&replica.name);
        peer.is_some_and(|it| it.incarnation == replica.incarnation && it.leaves_at.is_some())
    }

    /// Returns whether a replica knows every life that is shown here and has done something. One that has
    /// forgotten it, or has yet to hear of it, may answer otherwise.
    fn is_known_to(&self, peer: &Peer) -> bool {
        let Some(digest) = &peer.digest else { return false };
        let shown = self.set.context().iter().filter(|life| {
            let name = &life.replica().name;
            life.seen().upto() > 0 && !self.set.is_down(name)
        });
        let mut shown = shown.map(|life| life.replica());
        shown.all(|of| digest.life(&of.name).is_some_and(|known| known.replica() == of))
    }

    /// Returns whether a replica has seen something that this one has not, or has not told.
    fn lacks_of(&self, peer: &Peer) -> bool {
        let Some(digest) = &peer.digest else { return true };
        digest.iter().any(|life| {
            let replica = life.replica();
            let ours = self.set.context().life(&replica.name);
            let ours = ours.filter(|ours| ours.replica().incarnation >= replica.incarnation);
            let has = ours.map_or(0, |ours| match *ours.replica() == *replica {
                true => ours.seen().upto(),
                false => u64::MAX,
            });
            has < life.seen().upto() && !self.peers.is_barred(replica)
        })
    }
}
