//! Deliberate faults of the network and the driver, to show that each checker bites.

use bytes::Bytes;
use penholder_presence::{Trap, Traps};

use super::plan;
use crate::fault::Fault;

/// Kinds of messages.
const DELTAS: u8 = 1;
const REPAIR: u8 = 4;

/// The first replica, and where a name stands in a message: all are of one length.
const FIRST: &[u8] = plan::FIRST.as_bytes();
const NAME_AT: usize = 3;

/// What goes wrong that no plan allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Nothing of the first replica ever reaches the second, nor does the network tell.
    Swallow,
    /// What the first replica does is never told to the second any more, by anybody.
    SwallowOwner,
    /// The first replica falls silent at the end of all faults.
    Mute,
    /// A replica is not told that somebody has left.
    ForgetLeave,
    /// A replica is not told that a connection is lost.
    ForgetLoss,
    /// A replica stands still for longer than `down_after`, though nothing of the kind is planned.
    Stall,
    /// Somebody changes something while all is to be quiet.
    Fidget,
    /// The first replica has another policy than the others.
    Favour,
    /// A replica starts anew with a smaller incarnation than the last one.
    SecondLife,
    /// A replica makes a mistake that others have made before.
    Trap(Trap),
    /// Who is there is judged by the clock on the wall.
    WallClock,
    /// A replica waits for a client that does not read.
    AwaitReaders,
    /// A message of the first replica arrives without its end.
    Truncate,
    /// A client is sent something else than what it was due.
    Client(Fault),
}

impl Sabotage {
    /// The mistakes that the replicas make.
    pub(crate) fn traps(self) -> Traps {
        match self {
            Self::Trap(trap) => Traps::of(&[trap]),
            _ => Traps::default(),
        }
    }

    /// What arrives of a message.
    pub(crate) fn garble(self, from: usize, message: &Bytes) -> Bytes {
        let is_cut = self == Self::Truncate && from == 0;
        message.slice(..message.len() - usize::from(is_cut))
    }

    /// Whether a message from one replica to another vanishes.
    pub(crate) fn swallows(self, now: u64, (from, to): (usize, usize), message: &[u8]) -> bool {
        // Version, kind, then the sender's name with its length.
        let is_news = matches!(message.get(1), Some(&DELTAS | &REPAIR));
        let content = message.get(NAME_AT + FIRST.len()..).unwrap_or_default();
        let names_first = || content.windows(FIRST.len()).any(|part| part == FIRST);
        match self {
            Self::Swallow => (from, to) == (0, 1),
            Self::SwallowOwner => to == 1 && now > 500 && is_news && names_first(),
            _ => false,
        }
    }
}
