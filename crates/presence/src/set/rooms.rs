//! What is visible, by topic.
//!
//! Only entries that are shown stand here. The entries of a replica that is down are taken out, so
//! that no read can forget to leave them out.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use super::slots::{Slot, Slots};
use crate::entry::Presence;
use crate::name::{Key, Topic};
use crate::time::WallMs;

/// The number of a room.
pub(super) type RoomIx = u32;

/// Hashes with SipHash, seeded by an argument: outsiders choose keys and topics, and must not be
/// able to choose collisions. What it orders is never iterated.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 32 bits of the hash, for an index that looks at the name itself as well.
    pub(super) fn fingerprint(&self, name: &str) -> u32 {
        let hash = self.hash_one(name);
        u32::try_from(hash >> 32).unwrap_or_default()
    }
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// A topic with somebody visible.
#[derive(Debug)]
pub(super) struct Room {
    topic: Topic,
    members: BTreeSet<Member>,
    /// The members by fingerprint of their key, as [`keyed`] joins it with the slot.
    by_key: BTreeSet<u64>,
    /// How many different keys they have.
    keys: u32,
}

/// An entry in the order of its room. The time stands beside the pointer so that a search follows
/// the pointer of equal times only.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) joined_at: WallMs,
    pub(super) presence: Arc<Presence>,
}

impl Member {
    pub(super) fn new(presence: &Arc<Presence>) -> Self {
        Self { joined_at: presence.meta.joined_at, presence: Arc::clone(presence) }
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        let times = self.joined_at.cmp(&other.joined_at);
        times.then_with(|| self.presence.dot.cmp(&other.presence.dot))
    }
}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Member {}

impl Room {
    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Iterates in the order of a topic.
    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Presence>> {
        self.members.iter().map(|member| &member.presence)
    }

    pub(super) fn sessions(&self) -> usize {
        self.members.len()
    }

    pub(super) fn keys(&self) -> usize {
        self.keys as usize
    }

    fn count_keys(&self, slots: &Slots) -> u32 {
        let mut count = 0;
        // The keys of the fingerprint at hand: one, but for a collision.
        let (mut print, mut keys) = (None, Vec::new());
        for &keyed in &self.by_key {
            let key = &slots.get(slot_of(keyed)).key;
            if print != Some(keyed >> 32) {
                print = Some(keyed >> 32);
                keys.clear();
            } else if keys.contains(&key) {
                continue;
            }
            keys.push(key);
            count += 1;
        }
        count
    }

    /// Iterates over the entries of a key, in no order that means anything.
    fn of_key<'a>(
        &'a self,
        (key, print): (&Key, u32),
        slots: &'a Slots,
    ) -> impl Iterator<Item = &'a Arc<Presence>> {
        let same_print = self.by_key.range(keyed(print, 0)..=keyed(print, Slot::MAX));
        same_print.map(|&keyed| slots.get(slot_of(keyed))).filter(move |entry| entry.key == *key)
    }
}

#[derive(Debug)]
pub(super) struct Rooms {
    hasher: Seeded,
    rooms: Vec<Option<Room>>,
    free: Vec<RoomIx>,
    by_topic: HashMap<Topic, RoomIx, Seeded>,
    in_order: BTreeMap<Topic, RoomIx>,
}

impl Rooms {
    pub(super) fn new(hasher: Seeded) -> Self {
        Self {
            by_topic: HashMap::with_hasher(hasher.clone()),
            hasher,
            rooms: Vec::new(),
            free: Vec::new(),
            in_order: BTreeMap::new(),
        }
    }

    pub(super) fn find(&self, topic: &Topic) -> Option<RoomIx> {
        self.by_topic.get(topic).copied()
    }

    pub(super) fn room(&self, ix: RoomIx) -> &Room {
        self.rooms[ix as usize].as_ref().expect("an index names an open room")
    }

    /// Returns the room of a topic, opened now when nobody is there.
    pub(super) fn open(&mut self, topic: Topic) -> RoomIx {
        if let Some(ix) = self.find(&topic) {
            return ix;
        }
        let ix = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            RoomIx::try_from(self.rooms.len() - 1).expect("no more rooms than entries")
        });
        let (members, by_key) = (BTreeSet::new(), BTreeSet::new());
        self.by_topic.insert(topic.clone(), ix);
        self.in_order.insert(topic.clone(), ix);
        self.rooms[ix as usize] = Some(Room { topic, members, by_key, keys: 0 });
        ix
    }

    /// Shows an entry.
    pub(super) fn admit(&mut self, ix: RoomIx, slot: Slot, slots: &Slots) {
        let presence = slots.get(slot);
        let print = self.hasher.fingerprint(presence.key.as_str());
        let room = self.room_mut(ix);
        if room.of_key((&presence.key, print), slots).next().is_none() {
            room.keys += 1;
        }
        room.by_key.insert(keyed(print, slot));
        room.members.insert(Member::new(presence));
    }

    /// Hides an entry. The room stays open, empty or not, until [`close_if_empty`](Self::close_if_empty).
    pub(super) fn dismiss(&mut self, ix: RoomIx, slot: Slot, slots: &Slots) {
        let presence = slots.get(slot);
        let print = self.hasher.fingerprint(presence.key.as_str());
        let room = self.room_mut(ix);
        room.members.remove(&Member::new(presence));
        room.by_key.remove(&keyed(print, slot));
        if room.of_key((&presence.key, print), slots).next().is_none() {
            room.keys -= 1;
        }
    }

    /// Takes out all entries of a room that are gone, and returns them in its order. Their slots have
    /// no room any more. Cost: in proportion to the room, a fraction of dismissing each.
    pub(super) fn dismiss_all(
        &mut self,
        ix: RoomIx,
        slots: &Slots,
        is_gone: impl Fn(&Presence) -> bool,
    ) -> impl Iterator<Item = Member> {
        let room = self.room_mut(ix);
        room.by_key.retain(|&keyed| slots.room(slot_of(keyed)) == ix);
        room.keys = room.count_keys(slots);
        room.members.extract_if(.., move |member| is_gone(&member.presence))
    }

    pub(super) fn close_if_empty(&mut self, ix: RoomIx) {
        if self.room(ix).members.is_empty() {
            let room = self.rooms[ix as usize].take().expect("an index names an open room");
            self.by_topic.remove(&room.topic);
            self.in_order.remove(&room.topic);
            self.free.push(ix);
        }
    }

    pub(super) fn by_key<'a>(
        &'a self,
        (topic, key): (&Topic, &Key),
        slots: &'a Slots,
    ) -> Vec<&'a Arc<Presence>> {
        let Some(ix) = self.find(topic) else { return Vec::new() };
        let print = self.hasher.fingerprint(key.as_str());
        let mut entries: Vec<_> = self.room(ix).of_key((key, print), slots).collect();
        entries.sort_unstable_by(|a, b| a.order(b));
        entries
    }

    /// Iterates over the rooms in name order, from the first not before `start`.
    pub(super) fn from<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a Room> + use<'a> {
        let range = (Bound::Included(start), Bound::Unbounded);
        self.in_order.range::<str, _>(range).map(|(_, &ix)| self.room(ix))
    }

    /// Returns how many rooms there is a place for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    fn room_mut(&mut self, ix: RoomIx) -> &mut Room {
        self.rooms[ix as usize].as_mut().expect("an index names an open room")
    }
}

/// Joins a fingerprint and a slot into one number, which compares faster than the pair.
fn keyed(print: u32, slot: Slot) -> u64 {
    u64::from(print) << 32 | u64::from(slot)
}

fn slot_of(keyed: u64) -> Slot {
    Slot::try_from(keyed & u64::from(Slot::MAX)).unwrap_or(Slot::MAX)
}
