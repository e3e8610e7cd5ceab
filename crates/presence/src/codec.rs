//! Deltas as bytes.
//!
//! A version byte, and behind it [postcard](https://postcard.jamesmunns.com/wire-format) items: every
//! number a varint, every string its length and its bytes. Version 1:
//!
//! ```text
//! delta   = 1:u8  topics:[str]  keys:[str]  profiles:[bytes]  lives:[life]
//! life    = name:str  incarnation  upto  cloud:[range]  entries:[entry]      names ascend
//! range   = gap  span           first = end of the previous + 2 + gap, last = first + span
//! entry   = skip                counter = previous counter + 1 + skip
//!           flags               see `flags`
//!           topic  key          places in the tables
//!           session:str
//!           joined_at           zigzag difference from the previous entry of the life
//!           profile             0 is empty, n is place n - 1 of the table
//!           custom:bytes        with CUSTOM
//!           idle_since          with IDLE, zigzag difference from joined_at
//!           generation          with RESUMED
//!           back                with REPLACES: counter - 1 - back is the dot replaced
//!           name:str  incarnation  counter     with REPLACES_FOREIGN
//! [x]     = count, then so many x
//! ```
//!
//! Topics, keys and profiles stand in tables since many entries share them; a session belongs to one
//! entry, so its id stands there. Differences keep most numbers to one byte, and leave no way to write
//! ranges or entries out of order. Decoding checks all that merging trusts, and allocates in
//! proportion to the bytes that it has read, whatever counts they announce.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use thiserror::Error;

pub(crate) use self::decode::Reader;
pub(crate) use self::encode::{Writer, write_life};
use crate::delta::Delta;
use crate::limits::TooLong;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What stands in an entry's flags. The rare ones are high, so that flags are one byte for most.
mod flags {
    pub(super) const VIEW: u16 = 1;
    /// Two bits: [`Status`](crate::Status) by its order.
    pub(super) const STATUS_SHIFT: u32 = 1;
    /// Two bits: [`Activity`](crate::Activity) by its order.
    pub(super) const ACTIVITY_SHIFT: u32 = 3;
    pub(super) const CUSTOM: u16 = 1 << 5;
    pub(super) const REPLACES: u16 = 1 << 6;
    pub(super) const UNSAVED: u16 = 1 << 7;
    pub(super) const IDLE: u16 = 1 << 8;
    pub(super) const AI: u16 = 1 << 9;
    pub(super) const REPLACES_FOREIGN: u16 = 1 << 10;
    pub(super) const RESUMED: u16 = 1 << 11;
    pub(super) const KNOWN: u16 = (1 << 12) - 1;
}

/// Why bytes are not a delta. The sender must act, and the same bytes fail again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A message kind that its version does not have.
    #[error("message kind {kind} is not known")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// A delta in a message speaks of several replicas, or of none.
    #[error("the delta of a message is not of one replica")]
    NotOneOwner,
    /// A delta in a message speaks of other operations than the message says.
    #[error("the delta of a message is not of operations {first} to {last}")]
    WrongSpan {
        /// The first operation that the message names.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// Another version wrote it. The receiver asks for the full state in a version that both know.
    #[error("version {version} of the delta format is not known")]
    UnknownVersion {
        /// The version it claims.
        version: u8,
    },
    /// It ends too early.
    #[error("the delta is cut off")]
    Truncated,
    /// A number is out of its type's range, or a string is not UTF-8.
    #[error("the delta is malformed")]
    Malformed,
    /// Something follows it.
    #[error("{bytes} bytes follow the delta")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A name or blob is over its limit.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Replica names do not ascend, or one stands there twice.
    #[error("the replicas of the delta are out of order")]
    ReplicasOutOfOrder,
    /// A counter is zero, or beyond [`COUNTER_MAX`](crate::COUNTER_MAX).
    #[error("a counter of the delta is out of range")]
    CounterOutOfRange,
    /// An entry's dot is not covered by the delta.
    #[error("entry {counter} is not covered by the delta")]
    EntryNotCovered {
        /// The counter of the entry.
        counter: u64,
    },
    /// A place that its table does not have.
    #[error("place {place} is not in its table")]
    NoSuchPlace {
        /// The place.
        place: u32,
    },
    /// Flags that this version does not have.
    #[error("flags {flags:#x} are not known")]
    UnknownFlags {
        /// The flags.
        flags: u16,
    },
}

impl Delta {
    /// Writes it in the newest version. Equal deltas give equal bytes.
    ///
    /// Cost: in proportion to it, with a logarithm of its different names.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode::encode(self)
    }

    /// Reads a delta that [`encode`](Self::encode) wrote.
    ///
    /// Never panics, and never allocates out of proportion to the input
    /// (`decoding_any_bytes_never_panics`, `announced_counts_allocate_nothing`). The delta keeps
    /// nothing of `bytes` alive.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when it is anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode::decode(bytes)
    }
}
