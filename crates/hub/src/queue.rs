//! The bounded queue between the shards and one connection.
//!
//! A shard never waits for a session. When a queue is full, presence gives way first: what is queued
//! of it is dropped, and once the connection has caught up the topic's whole presence is sent anew.
//! A frame that must arrive and finds no room ends the connection; the client comes back and resumes.

use std::collections::{BTreeMap, VecDeque};

use crate::{Class, Frame, MemberId};

/// The bounds of one connection's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most frames; at least 6, so that a repair fits into a queue that is half empty.
    pub frames_max: usize,
    /// Most bytes; a frame of presence counts for an eighth of it at most.
    pub bytes_max: usize,
}

/// What became of a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It will be sent.
    Queued,
    /// Presence was dropped; a snapshot will make up for it.
    Deferred,
    /// There is no room for a frame that must arrive: the connection has to end.
    Overflow,
}

/// A first-in first-out queue of frames with the overflow policy of a connection.
///
/// # Invariants
///
/// - `frames_max` and `bytes_max` hold, except that a frame which must arrive may stand alone in an
///   empty queue however large it is, and that a frame of presence never counts for more than an
///   eighth of `bytes_max`. Otherwise a topic larger than the queue could never be sent: its summary
///   would push out the snapshot before it, and so would the summary of each repair.
/// - A member whose presence was dropped gets no presence frame before its next snapshot.
#[derive(Debug)]
pub struct SendQueue {
    limits: QueueLimits,
    frames: VecDeque<(MemberId, Frame)>,
    bytes: usize,
    stale: BTreeMap<MemberId, Repair>,
}

/// How far the repair of a member's presence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    Due,
    Asked,
}

/// The part of a queue's bytes that a frame of presence counts for at most. A repair is up to three
/// frames: snapshot, own entry, summary. In the free half of a queue they always fit.
const PRESENCE_SHARE: usize = 8;
const REPAIR_FRAMES: usize = 3;

/// A queue that has grown past this many slots gives its memory back when it runs empty.
const IDLE_SLOTS_MAX: usize = 32;

impl SendQueue {
    /// Creates an empty queue; it allocates nothing until the first frame.
    ///
    /// # Panics
    ///
    /// When there is no room for a repair: `frames_max` below 6.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        assert!(limits.frames_max >= 2 * REPAIR_FRAMES, "a repair fits into half of the queue");
        Self { limits, frames: VecDeque::new(), bytes: 0, stale: BTreeMap::new() }
    }

    /// Queues `frame`, which belongs to `member`. Cost: O(1), and O(queue) when it is full.
    pub fn push(&mut self, member: MemberId, frame: Frame) -> Pushed {
        match frame.class {
            Class::Vital => self.push_vital(member, frame),
            Class::Presence => self.push_presence(member, frame),
            Class::Snapshot => self.push_snapshot(member, frame),
        }
    }

    /// Takes the next frame to send.
    pub fn pop(&mut self) -> Option<Frame> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= self.cost(&frame);
        if self.frames.is_empty() && self.frames.capacity() > IDLE_SLOTS_MAX {
            self.frames = VecDeque::new();
        }
        Some(frame)
    }

    /// Members whose presence was dropped and for whom there is room again; each is named once.
    ///
    /// The caller asks the member's shard for a snapshot. It looks here after each push that was
    /// deferred as well as after taking frames: dropping can leave nothing to take.
    pub fn repairs(&mut self) -> Vec<MemberId> {
        if self.stale.is_empty() || !self.is_half_empty() {
            return Vec::new();
        }
        let due = self.stale.iter_mut().filter(|(_, repair)| **repair == Repair::Due);
        due.map(|(member, repair)| {
            *repair = Repair::Asked;
            *member
        })
        .collect()
    }

    /// Forgets a member that is gone. Its queued presence is dropped, the rest is still sent.
    pub fn forget(&mut self, member: MemberId) {
        self.drop_presence(|queued| queued == member);
        self.stale.remove(&member);
    }

    /// Takes back all that is queued of a member who has lost the right to it.
    pub fn withdraw(&mut self, member: MemberId) {
        let (limits, bytes) = (self.limits, &mut self.bytes);
        self.frames.retain(|(of, frame)| {
            let kept = *of != member;
            if !kept {
                *bytes -= cost(limits, frame);
            }
            kept
        });
        self.stale.remove(&member);
    }

    /// Takes back all that is queued.
    pub fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The number of queued frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn push_vital(&mut self, member: MemberId, frame: Frame) -> Pushed {
        if !self.has_room_for(&frame) {
            self.drop_presence(|_| true);
        }
        if !self.has_room_for(&frame) && !self.frames.is_empty() {
            return Pushed::Overflow;
        }
        self.enqueue(member, frame)
    }

    fn push_presence(&mut self, member: MemberId, frame: Frame) -> Pushed {
        if self.stale.contains_key(&member) {
            return Pushed::Deferred;
        }
        if self.has_room_for(&frame) {
            return self.enqueue(member, frame);
        }
        self.drop_presence(|queued| queued == member);
        self.stale.insert(member, Repair::Due);
        Pushed::Deferred
    }

    fn push_snapshot(&mut self, member: MemberId, frame: Frame) -> Pushed {
        if !self.has_room_for(&frame) {
            self.drop_presence(|queued| queued == member);
            self.stale.insert(member, Repair::Due);
            return Pushed::Deferred;
        }
        self.stale.remove(&member);
        self.enqueue(member, frame)
    }

    fn enqueue(&mut self, member: MemberId, frame: Frame) -> Pushed {
        self.bytes += self.cost(&frame);
        self.frames.push_back((member, frame));
        Pushed::Queued
    }

    fn has_room_for(&self, frame: &Frame) -> bool {
        self.frames.len() < self.limits.frames_max
            && self.bytes + self.cost(frame) <= self.limits.bytes_max
    }

    fn cost(&self, frame: &Frame) -> usize {
        cost(self.limits, frame)
    }

    /// Whether half of the frames and half of the bytes are free.
    #[must_use]
    pub fn is_half_empty(&self) -> bool {
        self.frames.len() <= self.limits.frames_max / 2 && self.bytes <= self.limits.bytes_max / 2
    }

    /// Drops the queued presence of every member that `is_dropped` names, and marks it stale.
    fn drop_presence(&mut self, is_dropped: impl Fn(MemberId) -> bool) {
        let (limits, stale, bytes) = (self.limits, &mut self.stale, &mut self.bytes);
        self.frames.retain(|(member, frame)| {
            let kept = frame.class == Class::Vital || !is_dropped(*member);
            if !kept {
                *bytes -= cost(limits, frame);
                stale.insert(*member, Repair::Due);
            }
            kept
        });
    }
}

/// What a frame takes of the bytes of a queue.
fn cost(limits: QueueLimits, frame: &Frame) -> usize {
    match frame.class {
        Class::Vital => frame.body.len(),
        Class::Presence | Class::Snapshot => {
            frame.body.len().min(limits.bytes_max / PRESENCE_SHARE)
        }
    }
}

#[cfg(test)]
mod tests;
