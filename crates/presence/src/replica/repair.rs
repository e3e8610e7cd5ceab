//! Asking for what is lacking, and answering who asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Replica;
use super::history::Interval;
use super::message::{self, Want};
use super::output::{Answer, PeerEvent, Recipient};
use super::snapshot::{Chunk, Snapshot, Staged};
use crate::context::{Context, DotRange};
use crate::dot::ReplicaId;
use crate::name::ReplicaName;
use crate::time::MonoMs;
use crate::traps::Trap;

/// Snapshots are kept for so many timeouts of a request.
const SNAPSHOT_TIMEOUTS: u64 = 8;

/// A request that has not been answered in full. One per owner.
#[derive(Debug)]
pub(super) struct Request {
    of: ReplicaName,
    pub(super) deadline: MonoMs,
    /// Who has been asked in vain.
    tried: BTreeSet<ReplicaName>,
}

impl Replica {
    /// Asks for everything that one replica has seen and this one has not.
    pub(super) fn ask_for_lacks(&mut self, now: MonoMs, name: &ReplicaName) {
        let digest = self.peers.known.get(name).and_then(|peer| peer.digest.as_ref());
        let Some(digest) = digest else { return };
        let lacks = digest.iter().filter(|life| {
            let owner = life.replica();
            self.is_current(owner) && self.seen_of(&owner.name) < life.seen().upto()
        });
        let owners: Vec<_> = lacks.map(|life| Arc::clone(life.replica())).collect();
        owners.iter().for_each(|owner| self.ask_for(now, owner));
    }

    /// Asks for what is lacking of an owner, unless it has been asked for.
    pub(super) fn ask_for(&mut self, now: MonoMs, owner: &ReplicaId) {
        if !self.requests.contains_key(&owner.name) {
            self.ask_next(now, owner, BTreeSet::new());
        }
    }

    /// Asks the next for what the last did not answer.
    pub(super) fn ask_others(&mut self, now: MonoMs) {
        let late = self.requests.iter().filter(|(_, request)| request.deadline <= now);
        let late: Vec<ReplicaName> = late.map(|(owner, _)| owner.clone()).collect();
        for name in late {
            let Some(Request { of, mut tried, .. }) = self.requests.remove(&name) else { continue };
            let life = self.set.context().life(&name);
            let Some(owner) = life.map(|life| Arc::clone(life.replica())) else { continue };
            tried.insert(of);
            self.ask_next(now, &owner, tried);
        }
    }

    /// Notes that a part of an answer came: the rest is waited for, if there is one.
    pub(super) fn progressed(&mut self, now: MonoMs, owner: &ReplicaId) {
        let seen = self.seen_of(&owner.name);
        if self.staged.get(&owner.name).is_some_and(|staged| staged.as_of <= seen) {
            self.staged.remove(&owner.name);
        }
        if self.wanted(owner) <= seen {
            self.requests.remove(&owner.name);
        } else if let Some(request) = self.requests.get_mut(&owner.name) {
            request.deadline = now.after(self.config.request_timeout_ms);
        } else {
            self.ask_for(now, owner);
        }
    }

    /// Returns the last operation of an owner that somebody is known to have.
    fn wanted(&self, owner: &ReplicaId) -> u64 {
        let told = self.peers.known.values().filter(|peer| !peer.is_down);
        let told = told.map(|peer| peer.has(owner)).max().unwrap_or_default();
        told.max(self.history.last(owner))
    }

    fn ask_next(&mut self, now: MonoMs, owner: &ReplicaId, mut tried: BTreeSet<ReplicaName>) {
        let have = self.seen_of(&owner.name);
        if self.wanted(owner) <= have {
            return;
        }
        let of = self.candidate(owner, &tried).or_else(|| {
            tried.clear();
            self.candidate(owner, &tried)
        });
        let Some(of) = of else { return };
        let staged = self.staged.get(&owner.name);
        let staged = staged.map(|staged| (staged.as_of, staged.missing()));
        let want = Want { owner: owner.clone(), have, staged };
        self.wants.entry(of.clone()).or_default().push(want);
        let deadline = now.after(self.config.request_timeout_ms);
        self.requests.insert(owner.name.clone(), Request { of: of.clone(), deadline, tried });
        self.event(PeerEvent::Asked { owner: owner.name.clone(), of });
    }

    /// Returns whom to ask: the owner while it is heard, else who has seen most; of several, the first
    /// in name order after this replica, so that not all ask the same one.
    fn candidate(&self, owner: &ReplicaId, tried: &BTreeSet<ReplicaName>) -> Option<ReplicaName> {
        let have = self.seen_of(&owner.name);
        let own = &self.set.replica().name;
        let reachable = self
            .peers
            .known
            .iter()
            .filter(|(name, peer)| peer.is_heard && !peer.is_down && !tried.contains(*name));
        let useful = reachable.filter_map(|(name, peer)| match *name == owner.name {
            true => Some((u64::MAX, name)),
            false => Some((peer.has(owner), name)).filter(|&(has, _)| has > have),
        });
        let best = useful.max_by(|(has, name), (other_has, other)| {
            let after = |name: &ReplicaName| (name < own, name.clone());
            has.cmp(other_has).then_with(|| after(other).cmp(&after(name)))
        });
        best.map(|(_, name)| name.clone())
    }

    /// Sends what was decided to be asked for, in one message to each.
    pub(super) fn send_wants(&mut self) {
        for (of, wants) in std::mem::take(&mut self.wants) {
            if self.speaks() {
                self.send(Recipient::One(of), |from| message::request(from, &wants));
            }
        }
    }

    /// Answers somebody of another version, who lacks what a digest does not have.
    pub(super) fn answer_all(&mut self, now: MonoMs, to: &ReplicaId, digest: &Context) {
        let lives: Vec<_> = self.set.context().iter().cloned().collect();
        for life in lives {
            let owner = life.replica();
            let theirs = digest.life(&owner.name).filter(|theirs| theirs.replica() == owner);
            let have = theirs.map_or(0, |theirs| theirs.seen().upto());
            if owner.name != to.name && have < life.seen().upto() {
                let owner = ReplicaId::clone(owner);
                self.answer(now, &to.name, &Want { owner, have, staged: None });
            }
        }
    }

    /// Sends somebody what they lack of an owner: the stored deltas, or the state when it is smaller
    /// or they are not stored any more.
    pub(super) fn answer(&mut self, now: MonoMs, to: &ReplicaName, want: &Want) {
        let Some(life) = self.set.context().life(&want.owner.name) else { return };
        let (owner, upto) = (Arc::clone(life.replica()), life.seen().upto());
        if owner.incarnation < want.owner.incarnation {
            return;
        }
        if owner == *self.set.replica() && self.sent < upto {
            self.send_deltas(now);
        }
        let is_same = *owner == want.owner;
        let have = if is_same { want.have } else { 0 };
        if upto <= have {
            return;
        }
        if let Some((as_of, missing)) = want.staged.as_ref().filter(|_| is_same) {
            let kept = self.snapshots.find(&owner, *as_of).cloned();
            let kept = kept.or_else(|| (*as_of == upto).then(|| self.snapshot(&owner, upto)));
            if let Some(snapshot) = kept {
                return self.answer_state(now, to, (snapshot, have, missing));
            }
        }
        let stored = self.history.cover(&owner, have + 1, upto);
        let stored: Option<Vec<Interval>> =
            stored.map(|stored| stored.into_iter().cloned().collect());
        let bytes = stored.as_ref().map(|stored| stored.iter().map(|s| s.delta.len() + 8).sum());
        // A small answer is not worth looking for a smaller one.
        let is_small = bytes.is_some_and(|bytes: usize| bytes <= self.content_bytes_max() / 8);
        if let Some(stored) = stored.as_ref().filter(|_| is_small) {
            return self.answer_deltas(to, &owner, stored);
        }
        let snapshot = self.snapshot(&owner, upto);
        match (stored, bytes) {
            (Some(stored), Some(bytes)) if bytes <= snapshot.estimate(have) => {
                self.answer_deltas(to, &owner, &stored);
            }
            _ => {
                let whole = [DotRange { first: 1, last: upto }];
                self.answer_state(now, to, (snapshot, have, &whole));
            }
        }
    }

    fn snapshot(&self, owner: &Arc<ReplicaId>, as_of: u64) -> Snapshot {
        let entries = self.set.entries_of(&owner.name).cloned().collect();
        Snapshot::new(Arc::clone(owner), as_of, entries)
    }

    fn answer_deltas(&mut self, to: &ReplicaName, owner: &ReplicaId, stored: &[Interval]) {
        let bytes_max = self.content_bytes_max();
        let (mut part, mut part_bytes, mut bytes) = (Vec::new(), 0, 0);
        for (at, interval) in stored.iter().enumerate() {
            part.push(interval);
            part_bytes += interval.delta.len() + 24;
            let next = stored.get(at + 1).map(|next| next.delta.len() + 24);
            if next.is_none_or(|next| part_bytes + next > bytes_max) {
                let to = Recipient::One(to.clone());
                bytes += self.send(to, |from| message::deltas(from, &part));
                part.clear();
                part_bytes = 0;
            }
        }
        let owner = owner.name.clone();
        self.event(PeerEvent::Answered { owner, by: Answer::Deltas, bytes });
    }

    fn answer_state(
        &mut self,
        now: MonoMs,
        to: &ReplicaName,
        (snapshot, base, spans): (Snapshot, u64, &[DotRange]),
    ) {
        let chunks = snapshot.chunks(base, spans, self.content_bytes_max());
        let mut bytes = 0;
        for chunk in &chunks {
            let to = Recipient::One(to.clone());
            bytes += self.send(to, |from| message::repair(from, chunk));
        }
        let (owner, by) = (snapshot.owner.name.clone(), Answer::State(chunks.len()));
        self.event(PeerEvent::Answered { owner, by, bytes });
        let until = now.after(self.config.request_timeout_ms.saturating_mul(SNAPSHOT_TIMEOUTS));
        if chunks.len() > 1 {
            self.snapshots.keep(snapshot, until);
        }
    }

    /// Takes a chunk of a state, and merges the state when it is whole.
    pub(super) fn take_chunk(&mut self, now: MonoMs, from: &ReplicaId, chunk: Chunk) {
        let owner = message::owner(&chunk.delta);
        if owner.name == self.set.replica().name || self.peers.is_barred(&owner) {
            return;
        }
        self.learn_of(now, &owner, now);
        let seen = self.seen_of(&owner.name);
        if !self.is_current(&owner) || chunk.as_of <= seen || chunk.base > seen {
            return;
        }
        let staged = self.staged.get(&owner.name).map(|staged| staged.as_of);
        let request = self.requests.get(&owner.name);
        // Where nobody was asked, as between versions, the rest of an older one may never come.
        let takes = |as_of| match request {
            Some(request) => request.of == from.name && chunk.as_of != as_of,
            None => chunk.as_of > as_of,
        };
        if staged.is_none_or(takes) {
            let staged = Staged::new(Arc::clone(&owner), chunk.as_of);
            self.staged.insert(owner.name.clone(), staged);
        }
        let Some(staged) = self.staged.get_mut(&owner.name) else { return };
        if staged.as_of != chunk.as_of {
            return;
        }
        let is_whole = staged.add(chunk);
        if is_whole && let Some(staged) = self.staged.remove(&owner.name) {
            debug_assert_eq!(*staged.owner, *owner);
            if self.traps.has(Trap::StateDropsHistory) {
                self.history.clear();
            }
            self.merge(&owner, staged.into_delta());
            self.merge_waiting(&owner);
        }
        self.progressed(now, &owner);
    }
}
