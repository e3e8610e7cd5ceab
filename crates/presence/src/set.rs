//! The presence set of one replica.
//!
//! The state proper is a [`Context`] and, per replica name, the live entries by counter. All else is
//! index: rooms for what is visible, and the sessions tracked here. Which replicas are *down* is this
//! replica's opinion and no part of the state: it hides entries, and never removes one.

mod changes;
mod index;
mod kept;
mod live;
mod merge;
mod rooms;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thiserror::Error;

use self::changes::Changes;
use self::index::Index;
use self::kept::Farewells;
use self::live::Live;
use self::rooms::{Prints, RoomIx, Rooms, Seeded};
use self::slots::{Slot, Slots};
use crate::context::Context;
use crate::delta::Delta;
use crate::diff::Change;
use crate::dot::{Dot, Incarnation, ReplicaId};
use crate::entry::Presence;
use crate::limits::{COUNTER_MAX, Limited, TooLong};
use crate::meta::Meta;
use crate::name::{Key, ReplicaName, SessionId, Topic};
use crate::traps::Traps;

/// The session is tracked in the topic already, by this replica. The caller decides whether it meant
/// an update; trying again cannot help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session is tracked in the topic already")]
pub struct AlreadyTracked;

/// The session is not tracked in the topic by this replica. The caller must track it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session is not tracked in the topic")]
pub struct NotTracked;

/// A topic with somebody visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicCount<'a> {
    /// The topic.
    pub topic: &'a Topic,
    /// How many different keys are there.
    pub keys: usize,
    /// How many sessions are there.
    pub sessions: usize,
}

/// Who is present, as one replica knows it: an add-wins observed-remove set that replicates by deltas.
///
/// The crate's own documentation teaches the idea and the contract of whoever drives it.
#[derive(Debug)]
pub struct PresenceSet {
    replica: Arc<ReplicaId>,
    context: Context,
    /// Live entries by counter, per name; what the state holds, visible or not.
    lives: BTreeMap<ReplicaName, Live>,
    down: BTreeSet<ReplicaName>,
    farewells: Farewells,
    superseded_by: Option<Incarnation>,
    slots: Slots,
    rooms: Rooms,
    /// The entries tracked here, by session.
    sessions: Index,
    /// Those of them that stand in the shadow of another replica's.
    overtaken: BTreeSet<Slot>,
    hasher: Seeded,
    traps: Traps,
}

impl PresenceSet {
    /// Makes the empty set of a replica.
    ///
    /// The incarnation must be larger than at every earlier start of the same name. `hash_seed` keys
    /// the hash of names that outsiders choose; it should not be guessable, and changes no result.
    ///
    /// # Panics
    ///
    /// When the replica's name is over its limit.
    #[must_use]
    pub fn new(replica: ReplicaId, hash_seed: u64) -> Self {
        if let Err(too_long) = Limited::ReplicaName.check(replica.name.as_str().len()) {
            panic!("{too_long}");
        }
        let replica = Arc::new(replica);
        let hasher = Seeded::new(hash_seed);
        // Known from the start, so that the first full state tells others that an earlier
        // incarnation is over, before anyone is tracked.
        let mut context = Context::new();
        context.begin(&replica);
        Self {
            lives: BTreeMap::from([(replica.name.clone(), Live::default())]),
            replica,
            context,
            down: BTreeSet::new(),
            farewells: Farewells::default(),
            superseded_by: None,
            slots: Slots::new(),
            rooms: Rooms::new(hasher.clone()),
            sessions: Index::new(),
            overtaken: BTreeSet::new(),
            hasher,
            traps: Traps::default(),
        }
    }

    /// Puts known traps back.
    pub(crate) fn with_traps(self, traps: Traps) -> Self {
        Self { traps, ..self }
    }

    /// Returns the replica whose set this is.
    #[must_use]
    pub fn replica(&self) -> &Arc<ReplicaId> {
        &self.replica
    }

    /// Returns all that has been seen.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Adds a session to a topic. Cost: a logarithm of the sessions tracked here.
    ///
    /// # Errors
    ///
    /// [`AlreadyTracked`], when this replica tracks the session in the topic. A session that another
    /// replica tracks is no error. It is shown once, by the entry of the larger
    /// [`rank`](Presence::rank), until one is removed: whoever resumes a session tracks it with the next
    /// [`generation`](Meta::generation), and observers see an update.
    ///
    /// # Panics
    ///
    /// When a name or blob is over its [limit](Limited): other replicas would refuse every delta
    /// with it. Callers check what comes from outside.
    pub fn track(
        &mut self,
        topic: Topic,
        key: Key,
        session: SessionId,
        meta: Meta,
    ) -> Result<Change, AlreadyTracked> {
        if let Err(too_long) = check_limits((&topic, &key, &session), &meta) {
            panic!("{too_long}");
        }
        // Where a session is tracked already somebody is visible: no room is opened for nothing.
        let room = self.rooms.open(topic);
        let print = |name| self.hasher.fingerprint(name);
        let prints = (print(key.as_str()), print(session.as_str()));
        if self.tracked_in(room, &session, prints.1).is_some() {
            return Err(AlreadyTracked);
        }
        let topic = self.rooms.room(room).topic().clone();
        let dot = self.next_dot();
        let (mut delta, mut changes) = (Delta::default(), Changes::with_capacity(1));
        delta.cover(&dot);
        let mut presence = Presence { dot, replaces: None, topic, key, session, meta };
        if let Some(rival) = self.rooms.member_of(room, (&presence, prints), &self.slots) {
            let rival = self.slots.get(rival);
            presence.replaces = (rival.rank() < presence.rank()).then(|| rival.dot.clone());
        }
        self.add_tracked(Arc::new(presence), (room, prints), &mut delta, &mut changes);
        Ok(Change { delta, diff: changes.finish(&mut self.rooms) })
    }

    /// Replaces the meta of a session tracked here. The same meta again changes nothing and costs no
    /// dot.
    ///
    /// The whole meta is replaced, `joined_at` too: a caller that means to keep the session's place
    /// in the order passes the time that it had. Observers see one diff with the leave of the old
    /// entry and the join of the new one (`nobody_is_absent_during_an_update`).
    ///
    /// # Errors
    ///
    /// [`NotTracked`], when this replica does not track the session in the topic.
    ///
    /// # Panics
    ///
    /// When a blob is over its limit, as in [`track`](Self::track).
    pub fn update(
        &mut self,
        topic: &Topic,
        session: &SessionId,
        meta: Meta,
    ) -> Result<Change, NotTracked> {
        if let Err(too_long) = meta.check_limits() {
            panic!("{too_long}");
        }
        let slot = self.tracked(topic, session).ok_or(NotTracked)?;
        if self.slots.get(slot).meta == meta {
            return Ok(Change::default());
        }
        let dot = self.next_dot();
        let (mut delta, mut changes) = (Delta::default(), Changes::with_capacity(2));
        let room = self.slots.room(slot);
        let (old, prints) = self.remove_tracked(slot, &mut changes);
        delta.cover(&old.dot);
        delta.cover(&dot);
        let presence = Presence {
            dot,
            replaces: Some(old.dot.clone()),
            topic: old.topic.clone(),
            key: old.key.clone(),
            session: old.session.clone(),
            meta,
        };
        self.add_tracked(Arc::new(presence), (room, prints), &mut delta, &mut changes);
        Ok(Change { delta, diff: changes.finish(&mut self.rooms) })
    }

    /// Removes a session tracked here from a topic; does nothing when it is not there.
    ///
    /// A removal is an operation with a dot of its own, so that a lost one leaves a gap in the
    /// receiver's context, and is noticed without waiting for a further change.
    pub fn untrack(&mut self, topic: &Topic, session: &SessionId) -> Change {
        match self.tracked(topic, session) {
            Some(slot) => self.untrack_slots(&[slot]),
            None => Change::default(),
        }
    }

    /// Removes a session tracked here from all its topics. Cost: in proportion to them.
    pub fn untrack_session(&mut self, session: &SessionId) -> Change {
        let print = self.hasher.fingerprint(session.as_str());
        let same_print = self.sessions.find(print);
        // Their order is of no matter: the delta covers the same dots in any.
        let slots: Vec<Slot> =
            same_print.filter(|&slot| self.slots.get(slot).session == *session).collect();
        self.untrack_slots(&slots)
    }

    /// Iterates over the visible entries of a topic, earliest join first, then by dot.
    pub fn list<'a>(&'a self, topic: &Topic) -> impl Iterator<Item = &'a Arc<Presence>> + use<'a> {
        self.rooms.find(topic).into_iter().flat_map(|ix| self.rooms.room(ix).members())
    }

    /// Iterates over the visible entries of a key in a topic, in the order of [`list`](Self::list).
    /// Cost: in proportion to them.
    pub fn by_key<'a>(
        &'a self,
        topic: &Topic,
        key: &Key,
    ) -> impl Iterator<Item = &'a Arc<Presence>> + use<'a> {
        self.rooms.by_key((topic, key), &self.slots).into_iter()
    }

    /// Returns the visible entry of a session in a topic: the one tracked here when there is one,
    /// else the first in the order of the topic. Cost: a logarithm for a session tracked here, in
    /// proportion to the topic for others.
    #[must_use]
    pub fn session(&self, topic: &Topic, session: &SessionId) -> Option<&Arc<Presence>> {
        let shadowed = self.rooms.shadowed();
        match self.tracked(topic, session).filter(|slot| !shadowed.contains(slot)) {
            Some(slot) => Some(self.slots.get(slot)),
            None => self.list(topic).find(|presence| presence.session == *session),
        }
    }

    /// Returns how many different keys are visible in a topic. Constant cost.
    #[must_use]
    pub fn count(&self, topic: &Topic) -> usize {
        self.rooms.find(topic).map_or(0, |ix| self.rooms.room(ix).keys())
    }

    /// Returns how many sessions are visible in a topic. Constant cost.
    #[must_use]
    pub fn sessions_count(&self, topic: &Topic) -> usize {
        self.rooms.find(topic).map_or(0, |ix| self.rooms.room(ix).sessions())
    }

    /// Iterates over the topics with somebody visible, in name order.
    pub fn topics(&self) -> impl Iterator<Item = TopicCount<'_>> {
        self.topics_from("")
    }

    /// Iterates over the topics with somebody visible whose name is `start` or after it, in name
    /// order. A page begins where the last one ended, a family of topics at its prefix.
    pub fn topics_from<'a>(
        &'a self,
        start: &str,
    ) -> impl Iterator<Item = TopicCount<'a>> + use<'a> {
        self.rooms.from(start).map(|room| TopicCount {
            topic: room.topic(),
            keys: room.keys(),
            sessions: room.sessions(),
        })
    }

    /// Returns the newer life of this set's own name that another replica told of.
    ///
    /// Two processes run under one name, or this one was taken for dead and replaced. The others
    /// follow the newer, so the driver must stop this one.
    #[must_use]
    pub fn superseded_by(&self) -> Option<Incarnation> {
        self.superseded_by
    }

    /// Returns the entries tracked here whose sessions are shown by another replica, in the order of
    /// their dots: they were resumed there, and are to be untracked here, which no observer sees. Cost: in
    /// proportion to them.
    #[must_use]
    pub fn overtaken(&self) -> Vec<Arc<Presence>> {
        let own = self.overtaken.iter().map(|&slot| self.slots.get(slot));
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_unstable_by_key(|presence| presence.dot.counter);
        own
    }

    /// Returns the entry in whose shadow that stands which is tracked here of a session in a topic.
    pub(crate) fn overtaker(&self, topic: &Topic, session: &SessionId) -> Option<&Arc<Presence>> {
        let shadowed = self.rooms.shadowed();
        let slot = self.tracked(topic, session).filter(|slot| shadowed.contains(slot))?;
        let presence = self.slots.get(slot);
        let of = (&**presence, self.rooms.prints(presence));
        let shown = self.rooms.member_of(self.slots.room(slot), of, &self.slots)?;
        Some(self.slots.get(shown))
    }

    /// Returns the topics in which a session is tracked here.
    pub(crate) fn topics_of(&self, session: &SessionId) -> BTreeSet<Topic> {
        let same_print = self.sessions.find(self.hasher.fingerprint(session.as_str()));
        let tracked = same_print.map(|slot| self.slots.get(slot));
        tracked.filter(|it| it.session == *session).map(|it| it.topic.clone()).collect()
    }

    /// Returns the most entries that a merge has looked at for each that it brought, added or removed.
    #[cfg(feature = "traps")]
    #[must_use]
    pub fn effort(&self) -> u64 {
        self.slots.effort.worst()
    }

    fn next_dot(&self) -> Dot {
        let own = self.context.life(&self.replica.name).expect("a set's own life is known");
        let counter = own.seen().upto() + 1;
        assert!(counter <= COUNTER_MAX, "a replica restarts before its counters end");
        Dot::new(Arc::clone(own.replica()), counter)
    }

    /// Finds an entry tracked here.
    fn tracked(&self, topic: &Topic, session: &SessionId) -> Option<Slot> {
        let room = self.rooms.find(topic)?;
        self.tracked_in(room, session, self.hasher.fingerprint(session.as_str()))
    }

    fn tracked_in(&self, room: RoomIx, session: &SessionId, print: u32) -> Option<Slot> {
        // The room first: it tells apart the entries of one session without a look at any of them.
        let mut here = self.sessions.find(print).filter(|&slot| self.slots.room(slot) == room);
        here.find(|&slot| self.slots.get(slot).session == *session)
    }

    fn add_tracked(
        &mut self,
        presence: Arc<Presence>,
        (room, prints): (RoomIx, Prints),
        delta: &mut Delta,
        changes: &mut Changes,
    ) {
        let counter = presence.dot.counter;
        self.context.insert(&presence.dot);
        delta.hold(Arc::clone(&presence));
        let slot = self.slots.insert(presence);
        self.show((slot, prints), room, changes);
        self.sessions.insert(prints.1, slot);
        self.own_live().insert(counter, slot);
    }

    /// Removes an entry, and returns it with its fingerprints.
    fn remove_tracked(&mut self, slot: Slot, changes: &mut Changes) -> (Arc<Presence>, Prints) {
        let prints = self.prints(slot);
        self.hide((slot, prints), changes);
        let presence = self.slots.remove(slot);
        self.sessions.remove(prints.1, slot);
        self.own_live().remove(presence.dot.counter);
        (presence, prints)
    }

    fn untrack_slots(&mut self, slots: &[Slot]) -> Change {
        let mut delta = Delta::default();
        let mut changes = Changes::with_capacity(slots.len());
        for &slot in slots {
            let dot = self.next_dot();
            self.context.insert(&dot);
            let (gone, _) = self.remove_tracked(slot, &mut changes);
            delta.cover(&gone.dot);
            delta.cover(&dot);
        }
        Change { delta, diff: changes.finish(&mut self.rooms) }
    }

    fn own_live(&mut self) -> &mut Live {
        self.lives.get_mut(&self.replica.name).expect("a set's own life is known")
    }
}

fn check_limits(
    (topic, key, session): (&Topic, &Key, &SessionId),
    meta: &Meta,
) -> Result<(), TooLong> {
    Limited::Topic.check(topic.as_str().len())?;
    Limited::Key.check(key.as_str().len())?;
    Limited::Session.check(session.as_str().len())?;
    meta.check_limits()
}
