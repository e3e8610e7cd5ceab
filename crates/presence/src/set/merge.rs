//! What other replicas say, and what is thought of them.

use std::cmp::Ordering;
use std::sync::Arc;

use super::PresenceSet;
use super::changes::Changes;
use super::live::Live;
use super::rooms::{Admitted, Dismissed, Member, Prints, RoomIx};
use super::slots::{NOWHERE, Slot};
use crate::context::{Context, Life};
use crate::delta::Delta;
use crate::diff::Diff;
use crate::dot::ReplicaId;
use crate::entry::Presence;
use crate::name::ReplicaName;
use crate::traps::Trap;

impl PresenceSet {
    /// Merges a delta, or a full state, and returns what became visible and what ceased to be.
    ///
    /// Deltas may come in any order, repeated, through anyone, or cut otherwise than they were made;
    /// the set that has received *all* of them is the same. Before that, one that was merged ahead of an
    /// earlier one of its replica may hide that it is lacking
    /// (`a_delta_merged_before_an_earlier_one_hides_the_lack_of_it`): where messages are lost, a
    /// [`Replica`](crate::Replica) merges them in order. Costs in proportion to the delta and to
    /// what it removes, with a logarithm of the state, whatever the size of the state.
    ///
    /// An entry is kept when both sides hold it, or when one holds it and the other has not seen its
    /// dot; contexts are united. (Almeida et al. 2018, section 7.3.)
    pub fn merge(&mut self, delta: Delta) -> Diff {
        let (context, entries) = delta.into_parts();
        self.slots.effort.begin(entries.len());
        let mut changes = Changes::with_capacity(entries.len());
        let mut entries = entries.into_iter().peekable();
        for life in &context {
            let name = &life.replica().name;
            // Both are in name order, and every entry's dot is in the context.
            let mine =
                std::iter::from_fn(|| entries.next_if(|entry| entry.dot.replica.name == *name));
            self.merge_life(life, mine.collect(), &mut changes);
        }
        self.slots.effort.end();
        changes.finish(&mut self.rooms)
    }

    /// Returns the whole state as a delta: what a replica that knows nothing has to merge.
    /// Cost: in proportion to the state.
    #[must_use]
    pub fn full_state(&self) -> Delta {
        let live = self.lives.values().flat_map(Live::slots);
        let entries = live.map(|slot| Arc::clone(self.slots.get(slot))).collect();
        Delta::new(self.context.clone(), entries)
    }

    /// Hides the entries of a replica thought to be down, and those it will be said to have, until it
    /// is [up](Self::replica_up) again. Does nothing for this set's own name.
    ///
    /// Only what is visible changes: the state keeps the entries, and passes them on.
    /// Cost: in proportion to the entries of the replica.
    pub fn replica_down(&mut self, name: &ReplicaName) -> Diff {
        if *name == self.replica.name
            || self.traps.has(Trap::UnfilteredReads)
            || !self.down.insert(name.clone())
        {
            return Diff::default();
        }
        let live = self.live_slots(name).into_iter().filter(|&slot| self.slots.has_room(slot));
        // Room by room, which finds each in the cache but the first time.
        let mut live: Vec<_> = live.map(|slot| (self.slots.room(slot), slot)).collect();
        live.sort_unstable();
        let mut changes = Changes::with_capacity(live.len());
        for gone in live.chunk_by(|a, b| a.0 == b.0) {
            self.hide_in_room(gone, name, &mut changes);
        }
        changes.finish(&mut self.rooms)
    }

    /// Shows the entries of a replica again. Cost: in proportion to them.
    pub fn replica_up(&mut self, name: &ReplicaName) -> Diff {
        if !self.down.remove(name) {
            return Diff::default();
        }
        let live = self.live_slots(name).into_iter();
        let live: Vec<_> = live.filter(|&slot| self.slots.room(slot) == NOWHERE).collect();
        let mut changes = Changes::with_capacity(live.len());
        for slot in live {
            let room = self.rooms.open(self.slots.get(slot).topic.clone());
            self.show((slot, self.prints(slot)), room, &mut changes);
        }
        changes.finish(&mut self.rooms)
    }

    /// Returns whether the replica's entries are hidden.
    #[must_use]
    pub fn is_down(&self, name: &ReplicaName) -> bool {
        self.down.contains(name)
    }

    /// Forgets a replica in every structure: entries, context, and that it was down. Does nothing
    /// for this set's own name. Cost: in proportion to its entries.
    ///
    /// A delta that still mentions it brings it back. The driver forgets only who has been silent for
    /// long enough that every replica will.
    pub fn forget(&mut self, name: &ReplicaName) -> Diff {
        if *name == self.replica.name {
            return Diff::default();
        }
        let live = self.lives.remove(name).unwrap_or_default();
        let mut changes = Changes::with_capacity(live.len());
        for slot in live.slots() {
            self.remove(slot, &mut changes);
        }
        self.context.forget(name);
        self.down.remove(name);
        self.farewells.forget(name);
        changes.finish(&mut self.rooms)
    }

    /// Iterates over the entries of a replica, visible or not, in the order of their dots.
    pub(crate) fn entries_of<'a>(
        &'a self,
        name: &ReplicaName,
    ) -> impl Iterator<Item = &'a Arc<Presence>> + use<'a> {
        let live = self.lives.get(name).into_iter().flat_map(Live::slots);
        live.map(|slot| self.slots.get(slot))
    }

    /// Returns how many entries of a replica there are, visible or not.
    pub(crate) fn entries_count(&self, name: &ReplicaName) -> usize {
        self.lives.get(name).map_or(0, Live::len)
    }

    /// Returns how many entries are shown of lives that are over.
    pub(crate) fn kept_count(&self) -> usize {
        self.farewells.kept_count()
    }

    /// Notes that a life of another replica has begun, which ends those before it.
    pub(crate) fn begin(&mut self, replica: ReplicaId) -> Diff {
        let mut context = Context::new();
        context.begin(&Arc::new(replica));
        self.merge(Delta::new(context, Vec::new()))
    }

    fn live_slots(&self, name: &ReplicaName) -> Vec<Slot> {
        self.lives.get(name).into_iter().flat_map(Live::slots).collect()
    }

    fn merge_life(&mut self, theirs: &Life, entries: Vec<Arc<Presence>>, changes: &mut Changes) {
        let replica = theirs.replica();
        if replica.name == self.replica.name {
            // Nobody can know more of this set's dots than the set itself.
            if self.replica.incarnation < replica.incarnation {
                self.superseded_by = self.superseded_by.max(Some(replica.incarnation));
            }
            return;
        }
        if self.farewells.has_ended(replica) {
            // Of what is shown of it there is nothing new, also where its name has been forgotten since.
            return;
        }
        let known = self.context.life(&replica.name).map(|life| life.replica().incarnation);
        let mut live = self.lives.remove(&replica.name).unwrap_or_default();
        match known.map(|known| known.cmp(&replica.incarnation)) {
            None => {}
            Some(Ordering::Greater) => {
                self.lives.insert(replica.name.clone(), live);
                return;
            }
            Some(Ordering::Equal) => self.drop_removed(&mut live, theirs, &entries, changes),
            Some(Ordering::Less) => {
                let ended = self.context.life(&replica.name).expect("it is known");
                let ended = Arc::clone(ended.replica());
                self.end_life(&ended, std::mem::take(&mut live).slots(), changes);
            }
        }
        self.context.begin(replica);
        self.add_unseen(&mut live, replica, entries, changes);
        self.context.union_life(theirs);
        self.lives.insert(replica.name.clone(), live);
    }

    /// Removes the live entries that the delta covers and does not hold.
    fn drop_removed(
        &mut self,
        live: &mut Live,
        theirs: &Life,
        entries: &[Arc<Presence>],
        changes: &mut Changes,
    ) {
        let is_held =
            |counter: &u64| entries.binary_search_by_key(counter, |e| e.dot.counter).is_ok();
        if self.traps.has(Trap::ScanPerMerge) {
            self.drop_removed_by_scan(live, theirs, &is_held, changes);
        }
        for range in theirs.seen().ranges() {
            let covered = live.range(range.first..=range.last);
            let gone: Vec<u64> =
                covered.map(|(counter, _)| counter).filter(|counter| !is_held(counter)).collect();
            for counter in gone {
                if let Some(slot) = live.remove(counter) {
                    self.remove(slot, changes);
                }
            }
        }
    }

    /// What `drop_removed` does, by a look at every live entry.
    fn drop_removed_by_scan(
        &mut self,
        live: &mut Live,
        theirs: &Life,
        is_held: &impl Fn(&u64) -> bool,
        changes: &mut Changes,
    ) {
        let all = live.slots().map(|slot| (self.slots.get(slot).dot.counter, slot));
        let is_gone = |counter: &u64| theirs.seen().contains(*counter) && !is_held(counter);
        let gone: Vec<_> = all.filter(|(counter, _)| is_gone(counter)).collect();
        for (counter, slot) in gone {
            live.remove(counter);
            self.remove(slot, changes);
        }
    }

    /// Adds the entries whose dots have not been seen. Seen and not live is removed, and stays so.
    fn add_unseen(
        &mut self,
        live: &mut Live,
        replica: &Arc<ReplicaId>,
        entries: Vec<Arc<Presence>>,
        changes: &mut Changes,
    ) {
        let is_down = self.down.contains(&replica.name);
        let ours = self.context.life(&replica.name).expect("a life begins before its entries");
        let replica = Arc::clone(ours.replica());
        let mut unseen = entries;
        unseen.retain(|entry| !ours.seen().contains(entry.dot.counter));
        let mut added = Vec::with_capacity(unseen.len());
        for mut presence in unseen {
            if self.traps.has(Trap::KeyedByName) {
                self.remove_namesake(&presence, changes);
            }
            let room = (!is_down).then(|| self.rooms.open(presence.topic.clone()));
            self.share_names(&mut presence, (&replica, room));
            let counter = presence.dot.counter;
            let slot = self.slots.insert(presence);
            added.push((counter, slot));
            if let Some(room) = room {
                self.show((slot, self.prints(slot)), room, changes);
            }
        }
        added.into_iter().for_each(|(counter, slot)| live.insert(counter, slot));
    }

    /// Removes, whatever its context says, the entry of another replica that shows the same session.
    fn remove_namesake(&mut self, presence: &Presence, changes: &mut Changes) {
        let Some(room) = self.rooms.find(&presence.topic) else { return };
        let prints = self.rooms.prints(presence);
        let rival = self.rooms.member_of(room, (presence, prints), &self.slots);
        let Some(rival) = rival else { return };
        let dot = self.slots.get(rival).dot.clone();
        if dot.replica == self.replica {
            self.remove_tracked(rival, changes);
        } else if let Some(live) = self.lives.get_mut(&dot.replica.name) {
            live.remove(dot.counter);
            self.remove(rival, changes);
        }
    }

    /// Lets an entry fresh from the wire, which has its own copies of names, use those known here.
    fn share_names(
        &self,
        presence: &mut Arc<Presence>,
        (replica, room): (&Arc<ReplicaId>, Option<RoomIx>),
    ) {
        let Some(presence) = Arc::get_mut(presence) else { return };
        if let Some(replaced) = &mut presence.replaces
            && let Some(life) = self.context.life(&replaced.replica.name)
            && *life.replica() == replaced.replica
        {
            replaced.replica = Arc::clone(life.replica());
        }
        presence.dot.replica = Arc::clone(replica);
        if let Some(room) = room {
            presence.topic = self.rooms.room(room).topic().clone();
        }
    }

    /// Shows an entry in its room, or puts it into the shadow of the one that shows its session.
    pub(super) fn show(
        &mut self,
        (slot, prints): (Slot, Prints),
        room: RoomIx,
        changes: &mut Changes,
    ) {
        self.slots.set_room(slot, room);
        match self.rooms.admit(room, (slot, prints), &self.slots) {
            Admitted::Shown => changes.join(room, self.slots.get(slot)),
            Admitted::Over(old) => {
                changes.leave(room, Member::new(self.slots.get(old)));
                changes.join(room, self.slots.get(slot));
                changes.cross();
                self.overshadow(old);
            }
            Admitted::Shadowed => {
                changes.cross();
                self.overshadow(slot);
            }
        }
    }

    /// Sees to an entry that has come into the shadow of another.
    fn overshadow(&mut self, slot: Slot) {
        if self.slots.get(slot).dot.replica == self.replica {
            self.overtaken.insert(slot);
        } else {
            self.spend(slot);
        }
    }

    pub(super) fn hide(&mut self, (slot, prints): (Slot, Prints), changes: &mut Changes) {
        let room = self.slots.room(slot);
        self.overtaken.remove(&slot);
        if let Dismissed::Shown(next) = self.rooms.dismiss(room, (slot, prints), &self.slots) {
            changes.leave(room, Member::new(self.slots.get(slot)));
            if let Some(next) = next {
                self.overtaken.remove(&next);
                changes.join(room, self.slots.get(next));
                changes.cross();
            }
        }
        self.slots.set_room(slot, NOWHERE);
    }

    pub(super) fn prints(&self, slot: Slot) -> Prints {
        self.rooms.prints(self.slots.get(slot))
    }

    /// Hides what a replica has in one room.
    fn hide_in_room(&mut self, gone: &[(RoomIx, Slot)], name: &ReplicaName, changes: &mut Changes) {
        let Some(&(room, _)) = gone.first() else { return };
        let is_few = gone.len() * 4 < self.rooms.room(room).sessions();
        if is_few || !self.rooms.shadowed().is_empty() || self.keeps(name) {
            // A few of a crowd: not in proportion to the crowd. Or while sessions move: what was in
            // the shadow of an entry has to be found, and what a life before has left stays.
            gone.iter().for_each(|&(_, slot)| self.hide((slot, self.prints(slot)), changes));
            return;
        }
        gone.iter().for_each(|&(_, slot)| self.slots.set_room(slot, NOWHERE));
        let is_whole = gone.len() == self.rooms.room(room).sessions();
        let is_gone = |presence: &Presence| is_whole || presence.dot.replica.name == *name;
        for member in self.rooms.dismiss_all(room, &self.slots, is_gone) {
            changes.leave(room, member);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot, changes: &mut Changes) {
        if self.slots.has_room(slot) {
            self.hide((slot, self.prints(slot)), changes);
        }
        self.slots.remove(slot);
    }
}
