//! Fragments of a state, which are themselves states.
//!
//! A delta is entries together with the context that they cover. It says of each dot in its context
//! either *this is the entry* or *there is none any more*, and of other dots nothing. So one track is
//! `{n | entry}`, the removal of dot `d` by operation `n` is `{d, n | nothing}`, an update is
//! `{d, n | entry n}`, and the full state is a delta as well: the one that covers everything.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::context::{Context, DotRange};
use crate::dot::{Dot, ReplicaId};
use crate::entry::Presence;
use crate::name::ReplicaName;

/// A mergeable fragment of a presence set: entries, and the context of dots that they cover.
///
/// Deltas are a join semilattice like the set itself: [`join`](Self::join) commutes, associates and
/// is idempotent, so a driver may gather many into one, in any order, before it sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    context: Context,
    /// In the order of their dots; each dot is in `context`.
    entries: Vec<Arc<Presence>>,
}

impl Delta {
    /// Returns whether it says nothing of anyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.context.is_empty()
    }

    /// Returns the dots of which it speaks.
    #[must_use]
    pub fn covers(&self) -> &Context {
        &self.context
    }

    /// Returns its entries, in the order of their dots.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Presence>] {
        &self.entries
    }

    /// Joins `other` into this delta, which then says what both say.
    ///
    /// Cost: in proportion to `other`, with a logarithm of this one, when `other` is the newer
    /// fragment, as in gathering; a sort of both at worst.
    pub fn join(&mut self, other: Delta) {
        for life in &other.context {
            let replica = life.replica();
            let known = self.context.life(&replica.name).map(|life| life.replica().incarnation);
            match known.map(|known| known.cmp(&replica.incarnation)) {
                None | Some(Ordering::Greater) => {}
                Some(Ordering::Less) => self.drop_life(&replica.name),
                Some(Ordering::Equal) => {
                    for range in life.seen().ranges() {
                        self.drop_removed(replica, range, &other);
                    }
                }
            }
        }
        let Delta { context, mut entries } = other;
        entries.retain(|entry| !self.context.contains(&entry.dot));
        self.context.union(&context);
        if entries.is_empty() {
            return;
        }
        let sorted = match (self.entries.last(), entries.first()) {
            (Some(last), Some(first)) => last.dot < first.dot,
            _ => true,
        };
        self.entries.append(&mut entries);
        if !sorted {
            self.entries.sort_by(|a, b| a.dot.cmp(&b.dot));
        }
    }

    /// Makes a delta of its parts. The caller answers for the order of `entries`, and for each dot
    /// being in `context`: merging trusts both.
    pub(crate) fn new(context: Context, entries: Vec<Arc<Presence>>) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| a.dot < b.dot));
        debug_assert!(entries.iter().all(|entry| context.contains(&entry.dot)));
        Self { context, entries }
    }

    /// Joins the deltas of operations that one replica did in a row.
    ///
    /// The same as [`join`](Self::join)ing them in order, but in proportion to all of them, with a
    /// logarithm: one by one, each removal would move all that are behind it.
    pub(crate) fn gather(deltas: Vec<Self>) -> Self {
        let (mut entries, mut dead, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        let mut context = Context::new();
        for delta in deltas {
            for life in &delta.context {
                context.begin(life.replica());
                for range in life.seen().ranges() {
                    ranges.push((Arc::clone(life.replica()), range));
                    let held = |counter: &u64| {
                        delta.entries.iter().any(|entry| entry.dot.counter == *counter)
                    };
                    dead.extend((range.first..=range.last).filter(|counter| !held(counter)));
                }
            }
            entries.extend(delta.entries);
        }
        dead.sort_unstable();
        entries.retain(|entry| dead.binary_search(&entry.dot.counter).is_err());
        ranges.sort_unstable_by_key(|(_, range)| range.first);
        for (replica, range) in ranges {
            context.insert_range(&replica, range);
        }
        Self::new(context, entries)
    }

    /// Takes it apart.
    pub(crate) fn into_parts(self) -> (Context, Vec<Arc<Presence>>) {
        (self.context, self.entries)
    }

    /// Adds to the covered dots one that has no entry.
    pub(crate) fn cover(&mut self, dot: &Dot) {
        self.context.insert(dot);
    }

    /// Adds an entry whose dot is covered, and newer than every dot that has an entry.
    pub(crate) fn hold(&mut self, presence: Arc<Presence>) {
        debug_assert!(self.context.contains(&presence.dot));
        debug_assert!(self.entries.last().is_none_or(|last| last.dot < presence.dot));
        self.entries.reserve_exact(1);
        self.entries.push(presence);
    }

    fn drop_life(&mut self, name: &ReplicaName) {
        let from = self.entries.partition_point(|entry| entry.dot.replica.name < *name);
        let to = self.entries.partition_point(|entry| entry.dot.replica.name <= *name);
        self.entries.drain(from..to);
    }

    /// Drops the entries in a range that `other` covers and does not hold.
    fn drop_removed(&mut self, replica: &Arc<ReplicaId>, range: DotRange, other: &Delta) {
        let within = dots(&self.entries, replica, range);
        if within.is_empty() {
            return;
        }
        let kept: Vec<_> = self.entries[within.clone()]
            .iter()
            .filter(|entry| other.entries.binary_search_by(|held| held.dot.cmp(&entry.dot)).is_ok())
            .cloned()
            .collect();
        if kept.len() < within.len() {
            self.entries.splice(within, kept);
        }
    }
}

/// Returns where the entries of a range of one replica stand among entries in the order of dots.
fn dots(entries: &[Arc<Presence>], replica: &ReplicaId, range: DotRange) -> std::ops::Range<usize> {
    let before = |entry: &Arc<Presence>, counter: u64, or_at: Ordering| {
        let dot = &entry.dot;
        let order = (*dot.replica).cmp(replica).then(dot.counter.cmp(&counter));
        order.is_lt() || order == or_at
    };
    let from = entries.partition_point(|entry| before(entry, range.first, Ordering::Less));
    let rest = &entries[from..];
    from..from + rest.partition_point(|entry| before(entry, range.last, Ordering::Equal))
}
