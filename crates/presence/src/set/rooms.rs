//! What is visible, by topic.
//!
//! Only entries that are shown are members here. The entries of a replica that is down are taken out,
//! so that no read can forget to leave them out.
//!
//! A session is shown once. Where several replicas hold an entry of it, since it was resumed on another
//! one, that of the largest [`Presence::rank`] is a member, and the others are in its *shadow*: they
//! stand in the index only, ready to be shown when it goes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::index::Index;
use super::slots::{Slot, Slots};
use crate::entry::Presence;
use crate::name::{Key, SessionId, Topic};
use crate::time::WallMs;

/// The number of a room.
pub(super) type RoomIx = u32;

/// Hashes with SipHash, seeded by an argument: outsiders choose keys and topics, and must not be
/// able to choose collisions. What it orders is never iterated.
#[derive(Debug, Clone)]
pub(super) struct Seeded(SipHasher13);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(SipHasher13::new_with_keys(seed, 0))
    }

    /// Returns 32 bits of the hash, for an index that looks at the name itself as well.
    pub(super) fn fingerprint(&self, name: &str) -> u32 {
        // In one go: a `Hasher` that is fed piece by piece takes twice as long.
        let hash = self.0.hash(name.as_bytes());
        u32::try_from(hash >> 32).unwrap_or_default()
    }
}

/// A topic with somebody visible.
#[derive(Debug)]
pub(super) struct Room {
    topic: Topic,
    members: BTreeSet<Member>,
    /// The members, and those in the shadow of one.
    by_key: BTreeSet<Keyed>,
    /// How many different keys they have.
    keys: u32,
}

/// The fingerprints of a key and of a session.
pub(super) type Prints = (u32, u32);

/// An entry by 20 bits of the fingerprint of its key, 12 of that of its session, and its slot: one
/// number, which is small and compares fast. Whoever finds one looks at the entry itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Keyed(u64);

impl Keyed {
    const SESSION_BITS: u32 = 12;
    const SESSION_MASK: u32 = (1 << Self::SESSION_BITS) - 1;

    fn new((key, session): Prints, slot: Slot) -> Self {
        let prints = key & !Self::SESSION_MASK | session & Self::SESSION_MASK;
        Self(u64::from(prints) << 32 | u64::from(slot))
    }

    fn slot(self) -> Slot {
        Slot::try_from(self.0 & u64::from(Slot::MAX)).unwrap_or(Slot::MAX)
    }

    /// Returns what two entries of one key have in common.
    fn key(self) -> u64 {
        self.0 >> (32 + Self::SESSION_BITS)
    }
}

/// What admitting an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It is shown.
    Shown,
    /// It is shown in the place of this one, now in its shadow.
    Over(Slot),
    /// It is in the shadow of another.
    Shadowed,
}

/// What dismissing an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dismissed {
    /// It was shown, and now this one out of its shadow, if there is one.
    Shown(Option<Slot>),
    /// It was in the shadow of another.
    Shadowed,
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
        for keyed in &self.by_key {
            let key = &slots.get(keyed.slot()).key;
            if print != Some(keyed.key()) {
                print = Some(keyed.key());
                keys.clear();
            } else if keys.contains(&key) {
                continue;
            }
            keys.push(key);
            count += 1;
        }
        count
    }

    /// Iterates over the entries of a key, those in a shadow too, in no order that means anything.
    fn of_key<'a>(
        &'a self,
        (key, print): (&Key, u32),
        slots: &'a Slots,
    ) -> impl Iterator<Item = Slot> {
        let (first, last) = (Keyed::new((print, 0), 0), Keyed::new((print, u32::MAX), Slot::MAX));
        let same_print = self.by_key.range(first..=last).map(|keyed| keyed.slot());
        same_print.filter(move |&slot| slots.get(slot).key == *key)
    }

    fn has_key(&self, key: (&Key, u32), slots: &Slots) -> bool {
        !self.by_key.is_empty() && self.of_key(key, slots).next().is_some()
    }

    /// Iterates over the entries of a session of a key, those in a shadow too.
    fn of_session<'a>(
        &'a self,
        (key, session): (&Key, &SessionId),
        prints: Prints,
        slots: &'a Slots,
    ) -> impl Iterator<Item = Slot> {
        let at = |slot| Keyed::new(prints, slot);
        let same_prints = self.by_key.range(at(0)..=at(Slot::MAX)).map(|keyed| keyed.slot());
        same_prints.filter(move |&slot| {
            let entry = slots.get(slot);
            entry.key == *key && entry.session == *session
        })
    }
}

#[derive(Debug)]
pub(super) struct Rooms {
    hasher: Seeded,
    rooms: Vec<Option<Room>>,
    free: Vec<RoomIx>,
    by_topic: Index,
    in_order: BTreeMap<Topic, RoomIx>,
    /// The entries in the shadow of another; few, while sessions move.
    shadowed: BTreeSet<Slot>,
}

impl Rooms {
    pub(super) fn new(hasher: Seeded) -> Self {
        Self {
            hasher,
            by_topic: Index::new(),
            rooms: Vec::new(),
            free: Vec::new(),
            in_order: BTreeMap::new(),
            shadowed: BTreeSet::new(),
        }
    }

    pub(super) fn find(&self, topic: &Topic) -> Option<RoomIx> {
        self.find_by(topic, self.hasher.fingerprint(topic.as_str()))
    }

    fn find_by(&self, topic: &Topic, print: u32) -> Option<RoomIx> {
        self.by_topic.find(print).find(|&ix| *self.room(ix).topic() == *topic)
    }

    pub(super) fn room(&self, ix: RoomIx) -> &Room {
        self.rooms[ix as usize].as_ref().expect("an index names an open room")
    }

    /// Returns the room of a topic, opened now when nobody is there.
    pub(super) fn open(&mut self, topic: Topic) -> RoomIx {
        let print = self.hasher.fingerprint(topic.as_str());
        if let Some(ix) = self.find_by(&topic, print) {
            return ix;
        }
        let ix = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            RoomIx::try_from(self.rooms.len() - 1).expect("no more rooms than entries")
        });
        let (members, by_key) = (BTreeSet::new(), BTreeSet::new());
        self.by_topic.insert(print, ix);
        self.in_order.insert(topic.clone(), ix);
        self.rooms[ix as usize] = Some(Room { topic, members, by_key, keys: 0 });
        ix
    }

    /// Shows an entry, unless its session is shown by one that ranks before it.
    pub(super) fn admit(
        &mut self,
        ix: RoomIx,
        (slot, prints): (Slot, Prints),
        slots: &Slots,
    ) -> Admitted {
        let presence = slots.get(slot);
        let rival = self.member_of(ix, (presence, prints), slots);
        let room = self.rooms[ix as usize].as_mut().expect("an index names an open room");
        let is_new = rival.is_none() && !room.has_key((&presence.key, prints.0), slots);
        room.keys += u32::from(is_new);
        room.by_key.insert(Keyed::new(prints, slot));
        let Some(rival) = rival else {
            room.members.insert(Member::new(presence));
            return Admitted::Shown;
        };
        if presence.rank() < slots.get(rival).rank() {
            self.shadowed.insert(slot);
            return Admitted::Shadowed;
        }
        room.members.remove(&Member::new(slots.get(rival)));
        room.members.insert(Member::new(presence));
        self.shadowed.insert(rival);
        Admitted::Over(rival)
    }

    /// Hides an entry. The room stays open, empty or not, until [`close_if_empty`](Self::close_if_empty).
    pub(super) fn dismiss(
        &mut self,
        ix: RoomIx,
        (slot, prints): (Slot, Prints),
        slots: &Slots,
    ) -> Dismissed {
        let presence = slots.get(slot);
        let Presence { key, session, .. } = &**presence;
        let room = self.rooms[ix as usize].as_mut().expect("an index names an open room");
        room.by_key.remove(&Keyed::new(prints, slot));
        room.keys -= u32::from(!room.has_key((key, prints.0), slots));
        if self.shadowed.remove(&slot) {
            return Dismissed::Shadowed;
        }
        room.members.remove(&Member::new(presence));
        if self.shadowed.is_empty() {
            return Dismissed::Shown(None);
        }
        let shadow = room.of_session((key, session), prints, slots);
        let next = shadow.max_by(|&a, &b| slots.get(a).rank().cmp(&slots.get(b).rank()));
        if let Some(next) = next {
            self.shadowed.remove(&next);
            room.members.insert(Member::new(slots.get(next)));
        }
        Dismissed::Shown(next)
    }

    /// Returns the entry by which the session of an entry is shown.
    pub(super) fn member_of(
        &self,
        ix: RoomIx,
        (of, prints): (&Presence, Prints),
        slots: &Slots,
    ) -> Option<Slot> {
        let room = self.room(ix);
        if room.by_key.is_empty() {
            return None;
        }
        let mut entries = room.of_session((&of.key, &of.session), prints, slots);
        entries.find(|slot| self.shadowed.is_empty() || !self.shadowed.contains(slot))
    }

    /// Returns the entries in the shadow of another, by slot.
    pub(super) fn shadowed(&self) -> &BTreeSet<Slot> {
        &self.shadowed
    }

    /// Returns the fingerprints of an entry.
    pub(super) fn prints(&self, of: &Presence) -> Prints {
        let print = |name| self.hasher.fingerprint(name);
        (print(of.key.as_str()), print(of.session.as_str()))
    }

    /// Takes out all entries of a room that are gone, and returns them in its order. Their slots have
    /// no room any more, and nobody is in a shadow. Cost: in proportion to the room, a fraction of dismissing each.
    pub(super) fn dismiss_all(
        &mut self,
        ix: RoomIx,
        slots: &Slots,
        is_gone: impl Fn(&Presence) -> bool,
    ) -> impl Iterator<Item = Member> {
        let room = self.room_mut(ix);
        room.by_key.retain(|&keyed| slots.room(keyed.slot()) == ix);
        room.keys = room.count_keys(slots);
        room.members.extract_if(.., move |member| is_gone(&member.presence))
    }

    pub(super) fn close_if_empty(&mut self, ix: RoomIx) {
        if self.room(ix).members.is_empty() {
            let room = self.rooms[ix as usize].take().expect("an index names an open room");
            self.by_topic.remove(self.hasher.fingerprint(room.topic.as_str()), ix);
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
        let of_key = self.room(ix).of_key((key, print), slots);
        let shown = of_key.filter(|slot| !self.shadowed.contains(slot));
        let mut entries: Vec<_> = shown.map(|slot| slots.get(slot)).collect();
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
