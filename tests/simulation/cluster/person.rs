//! A client: one person at one screen, on one topic, over one connection at a time.

use penholder_hub::{MemberId, ResumeClaim, SendQueue};
use penholder_protocol::{PresenceMode, Ref, Wire};

use crate::observer::{Message, Observer};
use crate::plan::Reading;

#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) key: String,
    pub(crate) topic: String,
    pub(crate) wire: Wire,
    pub(crate) seat: Option<Seat>,
    /// The newest resume token that has arrived.
    pub(crate) token: Option<ResumeClaim>,
}

/// A connection, with both of its ends.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) node: usize,
    pub(crate) member: MemberId,
    pub(crate) join_ref: Ref,
    pub(crate) presence: PresenceMode,
    pub(crate) reading: Reading,
    pub(crate) queue: SendQueue,
    pub(crate) has_overflowed: bool,
    pub(crate) observer: Observer,
    /// What the resume token in the join reply says, once there is one.
    pub(crate) claim: Option<ResumeClaim>,
    /// A frame that a deliberate fault holds back.
    pub(crate) held: Option<Message>,
}

impl Seat {
    pub(crate) fn reads_promptly(&self) -> bool {
        matches!(self.reading, Reading::Promptly)
    }

    /// Whether much waits for it to be read.
    pub(crate) fn is_behind(&self) -> bool {
        self.queue.len() >= 6
    }
}
