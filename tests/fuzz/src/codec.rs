//! What replicas say to each other, as bytes: deltas, and the messages around them.

use std::fmt::Debug;

use bytes::Bytes;
use penholder_presence::{DecodeError, Delta, Incarnation, Message, PresenceSet, ReplicaId};

use crate::heap;

/// The most memory that one byte of a message may cost: an empty blob in a table is one byte, and a
/// place for it in a vector that grows is the most.
const BYTES_PER_BYTE_MAX: usize = 128;

/// Reads the input as a delta, as a message, and as the delta within a message.
///
/// What can be read is the same after another journey, costs memory in proportion to its bytes, and
/// can be merged: once with an effect, again without one.
pub fn codec(data: &[u8]) {
    round_trip(data, Message::decode, Message::encode);
    let Some(delta) = round_trip(data, Delta::decode, Delta::encode) else { return };
    for entry in delta.entries() {
        assert!(delta.covers().contains(&entry.dot), "{} is not covered", entry.dot);
        assert!(entry.meta.check_limits().is_ok());
    }
    merge(&delta);
    let mut joined = delta.clone();
    joined.join(delta.clone());
    assert_eq!(joined, delta, "joining again does nothing");
}

/// Decodes, encodes, and decodes again.
fn round_trip<T: PartialEq + Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) -> Option<T> {
    let bytes_max = 1_024 + data.len() * BYTES_PER_BYTE_MAX;
    let value = heap::within(bytes_max, || decode(data)).ok()?;
    let bytes = encode(&value);
    // Tables are written in the order of their use, which may be the worse one.
    assert!(bytes.len() <= 2 * data.len(), "{} bytes from {}", bytes.len(), data.len());
    let again = decode(&bytes);
    assert_eq!(again.as_ref(), Ok(&value), "what was written reads differently");
    assert_eq!(encode(&value), bytes, "equal values give equal bytes");
    Some(value)
}

fn merge(delta: &Delta) {
    let mut set = PresenceSet::new(ReplicaId::new("reader", Incarnation(1)), 7);
    let diff = set.merge(delta.clone());
    for changed in &diff {
        let listed = set.list(&changed.topic).count();
        assert_eq!((changed.joins.len(), changed.leaves.len()), (listed, 0), "all is new");
    }
    assert!(set.merge(delta.clone()).is_empty(), "merging again does nothing");
    let state = set.full_state();
    assert_eq!(Delta::decode(&state.encode()).as_ref(), Ok(&state));
}
