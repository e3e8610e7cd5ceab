//! A state in chunks.
//!
//! What one replica has done up to operation `as_of` is a *snapshot*: its live entries, and the
//! knowledge that every other dot up to `as_of` is gone. Who has the state as of operation `base` has
//! the entries up to there already; the dots of those that live on are left out, so that what is sent
//! is what changed.
//!
//! A chunk speaks of a span of dots. It is taken in only together with all the others of its snapshot:
//! a removal's own dot may stand in one chunk and the dot that it removed in another, and with one of
//! them lost nothing would show that the entry is gone (`a_lost_chunk_is_asked_for_again`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::context::{Context, DotRange, Seen};
use crate::delta::Delta;
use crate::dot::ReplicaId;
use crate::entry::Presence;
use crate::time::MonoMs;

/// How many snapshots are kept for those who lack a chunk.
const SNAPSHOTS_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The last operation of the state.
    pub(super) as_of: u64,
    /// The last operation that its receiver must have.
    pub(super) base: u64,
    pub(super) span: DotRange,
    pub(super) delta: Delta,
}

/// What one replica has, at one operation.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) owner: Arc<ReplicaId>,
    pub(super) as_of: u64,
    /// In the order of their dots.
    entries: Vec<Arc<Presence>>,
}

impl Snapshot {
    pub(super) fn new(owner: Arc<ReplicaId>, as_of: u64, entries: Vec<Arc<Presence>>) -> Self {
        Self { owner, as_of, entries }
    }

    /// Returns the bytes that the chunks for `base` have at most.
    pub(super) fn estimate(&self, base: u64) -> usize {
        let mut shared = Shared::default();
        let mut bytes = 0;
        for entry in &self.entries {
            bytes += if entry.dot.counter > base { shared.entry(entry) } else { RANGE_BYTES };
        }
        bytes
    }

    /// Cuts the parts of the state within `spans` into chunks of at most so many bytes.
    pub(super) fn chunks(&self, base: u64, spans: &[DotRange], bytes_max: usize) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for &span in spans {
            let last = span.last.min(self.as_of);
            let mut first = span.first;
            while first <= last {
                let chunk = self.chunk(base, DotRange { first, last }, bytes_max);
                first = chunk.span.last + 1;
                chunks.push(chunk);
            }
        }
        chunks
    }

    /// Makes the chunk that begins with a span, and holds as much of it as there is room for.
    fn chunk(&self, base: u64, within: DotRange, bytes_max: usize) -> Chunk {
        let DotRange { first, mut last } = within;
        let mut context = Context::new();
        context.begin(&self.owner);
        let mut cover = |first: u64, last: u64| {
            if first <= last {
                context.insert_range(&self.owner, DotRange { first, last });
            }
        };
        let (mut shared, mut held) = (Shared::default(), Vec::new());
        let (mut bytes, mut next) = (0, first);
        let from = self.entries.partition_point(|entry| entry.dot.counter < first);
        for entry in &self.entries[from..] {
            let counter = entry.dot.counter;
            if counter > last {
                break;
            }
            let is_new = counter > base;
            bytes += if is_new { shared.entry(entry) } else { RANGE_BYTES };
            if bytes > bytes_max && counter > first {
                last = counter - 1;
                break;
            }
            if is_new {
                held.push(Arc::clone(entry));
            } else {
                cover(next, counter - 1);
                next = counter + 1;
            }
        }
        cover(next, last);
        let delta = Delta::new(context, held);
        Chunk { as_of: self.as_of, base, span: DotRange { first, last }, delta }
    }
}

/// What a gap between two covered ranges costs at most, for counters below 2^28.
const RANGE_BYTES: usize = 8;

/// What every entry has: counter, flags, places in the tables, lengths, and its time.
const ENTRY_BYTES: usize = 28;

/// Names that stand in the tables of a message already.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    names: BTreeSet<(u8, &'a [u8])>,
}

impl<'a> Shared<'a> {
    /// Returns the bytes that an entry adds to a message, at most.
    pub(super) fn entry(&mut self, entry: &'a Presence) -> usize {
        let Presence { replaces, topic, key, session, meta, .. } = entry;
        let tables = [topic.as_str().as_bytes(), key.as_str().as_bytes(), &meta.profile];
        let mut bytes = ENTRY_BYTES + session.as_str().len();
        for (holds, more) in [
            (!meta.custom.is_empty(), meta.custom.len() + 2),
            (meta.idle_since.is_some(), 10),
            (meta.generation > 0, 5),
            (replaces.is_some(), 9),
        ] {
            bytes += if holds { more } else { 0 };
        }
        for (table, item) in (0..).zip(tables) {
            if self.names.insert((table, item)) {
                bytes += item.len() + 3;
            }
        }
        let foreign = replaces.as_ref().filter(|dot| dot.replica.name != entry.dot.replica.name);
        bytes + foreign.map_or(0, |dot| dot.replica.name.as_str().len() + 20)
    }
}

/// The snapshots of which somebody may lack a chunk.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    kept: VecDeque<(Snapshot, MonoMs)>,
}

impl Snapshots {
    /// Keeps a snapshot until a time, in the place of the oldest when there is no room.
    pub(super) fn keep(&mut self, snapshot: Snapshot, until: MonoMs) {
        self.kept.retain(|(kept, _)| kept.owner != snapshot.owner || kept.as_of != snapshot.as_of);
        self.kept.push_back((snapshot, until));
        if self.kept.len() > SNAPSHOTS_MAX {
            self.kept.pop_front();
        }
    }

    pub(super) fn find(&self, owner: &ReplicaId, as_of: u64) -> Option<&Snapshot> {
        let snapshots = self.kept.iter().map(|(snapshot, _)| snapshot);
        snapshots.into_iter().find(|kept| *kept.owner == *owner && kept.as_of == as_of)
    }

    /// Drops those whose time is over, and those of lives that are.
    pub(super) fn retain(&mut self, now: MonoMs, is_known: impl Fn(&ReplicaId) -> bool) {
        self.kept.retain(|(snapshot, until)| now < *until && is_known(&snapshot.owner));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// A snapshot that is arriving.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) owner: Arc<ReplicaId>,
    pub(super) as_of: u64,
    spans: Seen,
    /// By the first dot of their spans.
    chunks: BTreeMap<u64, Delta>,
}

impl Staged {
    pub(super) fn new(owner: Arc<ReplicaId>, as_of: u64) -> Self {
        Self { owner, as_of, spans: Seen::default(), chunks: BTreeMap::new() }
    }

    /// Takes a chunk of this snapshot; returns whether it was new, and now all are there.
    pub(super) fn add(&mut self, chunk: Chunk) -> bool {
        if !self.spans.covers_range(chunk.span) {
            self.spans.insert(chunk.span);
            self.chunks.insert(chunk.span.first, chunk.delta);
        }
        self.spans.upto() >= self.as_of
    }

    /// Returns the ranges that are missing, the first few.
    pub(super) fn missing(&self) -> Vec<DotRange> {
        const RANGES_MAX: usize = 256;
        let mut missing = Vec::new();
        let mut next = 1;
        let end = DotRange { first: self.as_of + 1, last: self.as_of + 1 };
        for range in self.spans.ranges().chain([end]) {
            if next < range.first && missing.len() < RANGES_MAX {
                missing.push(DotRange { first: next, last: range.first - 1 });
            }
            next = range.last + 1;
        }
        missing
    }

    /// Returns the whole.
    pub(super) fn into_delta(self) -> Delta {
        let mut whole = Delta::default();
        self.chunks.into_values().for_each(|chunk| whole.join(chunk));
        whole
    }
}
