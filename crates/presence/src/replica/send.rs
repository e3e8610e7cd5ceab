//! What a replica says of itself: deltas and heartbeats.

use bytes::Bytes;

use super::history::Interval;
use super::message::{self, Farewell};
use super::output::{Recipient, ReplicaOutput};
use super::snapshot::Shared;
use super::{Replica, Standing};
use crate::delta::Delta;
use crate::dot::ReplicaId;
use crate::time::MonoMs;

/// What a message has beside its content, at most: the envelope, and lengths.
const OVERHEAD_BYTES: usize = 256;

impl Replica {
    /// Returns the bytes that the content of a message may have.
    pub(super) fn content_bytes_max(&self) -> usize {
        self.config.chunk_bytes_max - OVERHEAD_BYTES
    }

    pub(super) fn send(
        &mut self,
        to: Recipient,
        write: impl FnOnce((&ReplicaId, u64)) -> Bytes,
    ) -> usize {
        self.seq += 1;
        let message = write((self.set.replica(), self.seq));
        let bytes = message.len();
        self.outputs.push_back(ReplicaOutput::Send { to, message });
        bytes
    }

    /// Sends the own operations that were not sent, and keeps them for those who miss them.
    pub(super) fn send_deltas(&mut self, now: MonoMs) {
        if self.unsent.is_empty() {
            return;
        }
        self.gossip_from = now.after(self.config.gossip_period_ms);
        let bytes_max = self.content_bytes_max();
        let (mut gathered, mut bytes) = (Vec::new(), 0);
        for (last, delta) in std::mem::take(&mut self.unsent) {
            let more = estimate(&delta);
            // Between operations only: an operation and what it removed stay together.
            if bytes + more > bytes_max && !gathered.is_empty() {
                self.send_interval(std::mem::take(&mut gathered));
                bytes = 0;
            }
            bytes += more;
            gathered.push((last, delta));
        }
        self.send_interval(gathered);
    }

    fn send_interval(&mut self, gathered: Vec<(u64, Delta)>) {
        let Some(&(last, _)) = gathered.last() else { return };
        let first = self.sent + 1;
        self.sent = last;
        let delta = Delta::gather(gathered.into_iter().map(|(_, delta)| delta).collect());
        let interval = Interval { first, last, delta: delta.encode() };
        self.send(Recipient::All, |from| message::deltas(from, &[&interval]));
        self.history.insert(self.set.replica(), interval);
    }

    /// Says what has been seen, after everything that was done.
    pub(super) fn send_heartbeat(&mut self, now: MonoMs) {
        self.send_deltas(now);
        let period = self.config.heartbeat_ms;
        let next = self.heartbeat_at.after(period);
        self.heartbeat_at = if next > now { next } else { now.after(period) };
        self.heartbeat_sent = now;
        let digest = self.set.context().clone();
        let quiet_ms: Vec<_> = digest
            .iter()
            .map(|life| self.peers.known.get(&life.replica().name))
            .map(|peer| peer.map_or(0, |peer| now.since(peer.last)))
            .collect();
        let farewells = self.farewells(now);
        self.send(Recipient::All, |from| message::heartbeat(from, &digest, &quiet_ms, &farewells));
    }

    /// Returns who is leaving or has left, this replica too.
    fn farewells(&self, now: MonoMs) -> Vec<Farewell> {
        let own = match self.standing {
            Standing::Leaving(until) => {
                let replica = ReplicaId::clone(self.set.replica());
                Some(Farewell { replica, left_ms: until.since(now) })
            }
            _ => None,
        };
        let others = self.peers.farewells.iter().map(|(name, &(incarnation, until, _))| {
            let replica = ReplicaId { name: name.clone(), incarnation };
            Farewell { replica, left_ms: until.since(now) }
        });
        own.into_iter().chain(others).collect()
    }
}

/// Returns the bytes that a delta of one operation adds to a message, at most.
fn estimate(delta: &Delta) -> usize {
    let ranges = delta.covers().iter().map(|life| life.seen().ranges().count()).sum::<usize>();
    let mut shared = Shared::default();
    let entries = delta.entries().iter().map(|entry| shared.entry(entry)).sum::<usize>();
    ranges * 20 + entries
}
