//! What events say: one struct per payload, unknown fields ignored.
//!
//! Times are milliseconds since the Unix epoch. Refs and session ids are opaque strings. Where the
//! server has something already encoded, a person's card or a meta, the field is
//! a [`Json`](crate::Json) and is spliced; the TypeScript type shows its real shape.

mod join;
mod pen;
mod person;
mod presence;
mod push;
mod summary;
mod ticket;

pub use join::{JoinPayload, JoinReply, Limits, PresenceMode, Since, SummariesJoin};
pub use pen::{
    Fence, Pen, PenAcquire, PenAcquireReply, PenAnswer, PenAnswerWord, PenChange, PenDraft,
    PenDraftReply, PenEvent, PenHeld, PenReason, PenReply, PenRequestReply, PenRule, PenState,
    PenTakeOverReply, PenWaiting, TtlMs,
};
pub use person::{Kind, PersonBrief, Role, UserCard};
pub use presence::{
    Activity, Mode, PresenceDiff, PresenceEntry, PresenceMeta, PresenceState, Status,
};
pub use push::{
    Broadcast, PresenceUpdate, PresenceUpdateReply, TokenExpiring, TokenRefresh, TokenRefreshReply,
    Typing, TypingAudience, TypingEvent,
};
pub use summary::{Certainty, PresenceSummary, Summaries, SummaryPerson, TopicRow, ViewerSummary};
pub use ticket::{
    KnownPerson, Ticket, TicketAssigned, TicketAttachment, TicketCategory, TicketCollision,
    TicketComment, TicketCommentDetail, TicketCommentEvent, TicketDetail, TicketEvent, TicketGuest,
    TicketPriority, TicketPriorityChanged, TicketStats, TicketStatus, TicketStatusChange,
    TicketStatusChanged, TicketStatusCounts, TicketUpdated, TicketsBulkUpdated,
};

/// Derives what every enum of words on the wire has, and the word itself. Words are taken as tokens: what a
/// macro has read as a literal is none to the derive of the OpenAPI schema.
macro_rules! words {
    (
        $(#[$outer:meta])* pub enum $name:ident {
            $($(#[$inner:meta])* $variant:ident = $word:tt,)+
        }
    ) => {
        $(#[$outer])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$inner])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::code::UnknownName;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err(crate::code::UnknownName),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
use words;

#[cfg(test)]
mod tests;
