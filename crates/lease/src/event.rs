//! What has changed, and why: what the log keeps and observers are told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claimant::Person;
use crate::fence::Fence;
use crate::pen::Pen;
use crate::time::StoreMs;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the public word, as it stands in messages and in the log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What has happened to a pen.
    EventKind {
        /// Somebody got it.
        Granted = "granted",
        /// The holder keeps it for longer.
        Renewed = "renewed",
        /// The holder gave it back.
        Released = "released",
        /// Its deadline passed.
        Expired = "expired",
        /// Somebody asked the holder to give way.
        Requested = "requested",
        /// The holder said no.
        Declined = "declined",
        /// Somebody takes it over; the holder has until the deadline to save.
        Draining = "draining",
        /// The holder gave it to somebody, in place of `granted`.
        HandedOver = "handed_over",
        /// The take-over is done, in place of `granted`.
        TakenOver = "taken_over",
        /// It was taken away from the holder.
        Revoked = "revoked",
        /// The holder's connection was lost; it is kept for them until the deadline.
        Reserved = "reserved",
        /// The holder is back, or has it back, with the same fence.
        Resumed = "resumed",
    }
}

words! {
    /// Why it has happened. `renewed`, `requested` and `declined` repeat the rule by which the holder has
    /// the pen.
    Rule {
        /// Nobody had it.
        Free = "free",
        /// The holder gave it back.
        Released = "released",
        /// Nobody renewed it in time.
        Expired = "expired",
        /// The holder showed no input for too long.
        Idle = "idle",
        /// First in the queue.
        Queue = "queue",
        /// The holder gave it.
        HandedOver = "handed_over",
        /// The holder did not answer a request in time.
        RequestTimeout = "request_timeout",
        /// A role that may.
        TakenOver = "taken_over",
        /// Another session of the person who had it.
        SamePerson = "same_person",
        /// A program gave way to a human.
        AiYields = "ai_yields",
        /// An administrator.
        Revoked = "revoked",
        /// Back in time.
        Resumed = "resumed",
        /// A connection was lost.
        Disconnected = "disconnected",
        /// What it is of was deleted.
        Deleted = "deleted",
    }
}

impl EventKind {
    /// Returns whether the event gives the pen to a session under a new fence.
    #[must_use]
    pub fn is_grant(self) -> bool {
        matches!(self, Self::Granted | Self::HandedOver | Self::TakenOver)
    }
}

/// A change of a pen, as the log keeps it and the topic is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Why.
    pub rule: Rule,
    /// By whom; by the clock when nobody.
    pub by: Option<Person>,
    /// Which tenure it is about: the one that begins, goes on or ends.
    pub fence: Fence,
    /// When, by the store's clock.
    pub at: StoreMs,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pen right after it.
    pub pen: Pen,
}
