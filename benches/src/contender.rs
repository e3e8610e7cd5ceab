//! What is compared: anything that keeps who is where, and what of it replicates.

use std::hint::black_box;

use penholder_presence::{
    Change, Delta, Incarnation, Meta, PresenceSet, ReplicaId, ReplicaName, Topic,
};

use crate::people::{Names, meta, person};

/// Keeps who is where.
pub trait Presences {
    /// What an operation returns.
    type Change;

    /// Makes an empty one, of the replica of this name.
    fn empty(replica: &str) -> Self;

    /// Adds somebody who is not there.
    fn track(&mut self, names: Names, meta: Meta) -> Self::Change;

    /// Replaces the meta of somebody who is there.
    fn update(&mut self, names: &Names, meta: Meta) -> Self::Change;

    /// Removes somebody who is there.
    fn untrack(&mut self, names: &Names) -> Self::Change;

    /// Looks at each presence of a topic, and returns something of all of them.
    fn list(&self, topic: &Topic) -> u64;

    /// Returns how many are in a topic.
    fn count(&self, topic: &Topic) -> usize;

    /// Makes one with so many presences of its own.
    fn filled(replica: &str, size: u64) -> Self
    where
        Self: Sized,
    {
        let mut set = Self::empty(replica);
        for n in 0..size {
            black_box(set.track(person(n, size), meta(n)));
        }
        set
    }
}

/// Presences that several replicas keep.
pub trait Replicated: Presences {
    /// What travels.
    type Delta;
    /// What a merge returns for the observers.
    type Diff;

    /// Gathers changes into one delta.
    fn gather(changes: Vec<Self::Change>) -> Self::Delta;

    /// Returns a delta as another replica gets it: with nothing shared.
    fn received(delta: &Self::Delta) -> Self::Delta;

    /// Takes in a delta, or a full state.
    fn merge(&mut self, delta: Self::Delta) -> Self::Diff;

    /// Returns the whole state.
    fn full_state(&self) -> Self::Delta;

    /// Hides what a replica has.
    fn down(&mut self, replica: &ReplicaName) -> Self::Diff;

    /// Shows what a replica has.
    fn up(&mut self, replica: &ReplicaName) -> Self::Diff;

    /// Returns how many joins and leaves a diff has.
    fn changes(diff: &Self::Diff) -> usize;

    /// Makes another replica that has merged the full state of this one.
    fn observer(&self) -> Self
    where
        Self: Sized,
    {
        let mut observer = Self::empty("observer");
        black_box(observer.merge(Self::received(&self.full_state())));
        observer
    }
}

impl Presences for PresenceSet {
    type Change = Change;

    fn empty(replica: &str) -> Self {
        PresenceSet::new(ReplicaId::new(replica, Incarnation(1_790_000_000_000)), 42)
    }

    fn track(&mut self, names: Names, meta: Meta) -> Change {
        let Names { topic, key, session } = names;
        PresenceSet::track(self, topic, key, session, meta).expect("each is tracked once")
    }

    fn update(&mut self, names: &Names, meta: Meta) -> Change {
        PresenceSet::update(self, &names.topic, &names.session, meta).expect("it is tracked")
    }

    fn untrack(&mut self, names: &Names) -> Change {
        PresenceSet::untrack(self, &names.topic, &names.session)
    }

    fn list(&self, topic: &Topic) -> u64 {
        let times = PresenceSet::list(self, topic).map(|presence| presence.meta.joined_at.0);
        times.fold(0, u64::wrapping_add)
    }

    fn count(&self, topic: &Topic) -> usize {
        self.sessions_count(topic)
    }
}

impl Replicated for PresenceSet {
    type Delta = Delta;
    type Diff = penholder_presence::Diff;

    fn gather(changes: Vec<Change>) -> Delta {
        let mut all = Delta::default();
        changes.into_iter().for_each(|change| all.join(change.delta));
        all
    }

    fn received(delta: &Delta) -> Delta {
        Delta::decode(&delta.encode()).expect("a delta survives the wire")
    }

    fn merge(&mut self, delta: Delta) -> Self::Diff {
        PresenceSet::merge(self, delta)
    }

    fn full_state(&self) -> Delta {
        PresenceSet::full_state(self)
    }

    fn down(&mut self, replica: &ReplicaName) -> Self::Diff {
        self.replica_down(replica)
    }

    fn up(&mut self, replica: &ReplicaName) -> Self::Diff {
        self.replica_up(replica)
    }

    fn changes(diff: &Self::Diff) -> usize {
        diff.iter().map(|topic| topic.joins.len() + topic.leaves.len()).sum()
    }
}
