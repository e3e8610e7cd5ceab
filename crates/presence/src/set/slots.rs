//! The entries, each in a numbered place that every index refers to.
//!
//! An index entry of four bytes in the place of a pointer with its key keeps an entry of the set
//! within 400 bytes. Places are reused, so they follow the largest number of entries at one time.

use std::sync::Arc;

use crate::entry::Presence;
use crate::traps::Effort;

/// The end of the list of free places, and the room of an entry that is not shown.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The room of an entry that is not shown and never will be.
pub(super) const SPENT: u32 = u32::MAX - 1;

/// The number of a place.
pub(super) type Slot = u32;

#[derive(Debug)]
pub(super) struct Slots {
    entries: Vec<Option<Arc<Presence>>>,
    /// Of a taken place the room where it is shown; of a free one the next free place.
    rooms: Vec<u32>,
    free: Slot,
    pub(super) effort: Effort,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), rooms: Vec::new(), free: NOWHERE, effort: Effort::default() }
    }

    /// Puts an entry into a free place; it is not shown yet.
    pub(super) fn insert(&mut self, presence: Arc<Presence>) -> Slot {
        self.effort.change();
        let slot = self.free;
        if slot == NOWHERE {
            let slot = Slot::try_from(self.entries.len()).expect("fewer than 2^32 entries");
            assert!(slot < SPENT, "fewer than 2^32 - 2 entries");
            self.entries.push(Some(presence));
            self.rooms.push(NOWHERE);
            return slot;
        }
        self.free = std::mem::replace(&mut self.rooms[slot as usize], NOWHERE);
        self.entries[slot as usize] = Some(presence);
        slot
    }

    /// Frees a place.
    pub(super) fn remove(&mut self, slot: Slot) -> Arc<Presence> {
        self.effort.change();
        let presence = self.entries[slot as usize].take().expect("an index names a taken slot");
        self.rooms[slot as usize] = std::mem::replace(&mut self.free, slot);
        presence
    }

    pub(super) fn get(&self, slot: Slot) -> &Arc<Presence> {
        self.effort.look();
        self.entries[slot as usize].as_ref().expect("an index names a taken slot")
    }

    pub(super) fn room(&self, slot: Slot) -> u32 {
        self.rooms[slot as usize]
    }

    /// Returns whether an entry is shown in its room, or in the shadow of another.
    pub(super) fn has_room(&self, slot: Slot) -> bool {
        self.room(slot) < SPENT
    }

    pub(super) fn set_room(&mut self, slot: Slot, room: u32) {
        self.rooms[slot as usize] = room;
    }

    /// Returns how many places there are, taken or free.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
