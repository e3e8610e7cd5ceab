//! The protocol that Penholder speaks with its clients: Phoenix Channels, V1 and V2, and the dialect of
//! them that [`realtime`] describes.
//!
//! No I/O happens here: frames come in as text or bytes and go out as [`encode::Encoded`]. A frame's
//! way through a server, and where each step is described:
//!
//! ```
//! use penholder_protocol::encode::{self, Message};
//! use penholder_protocol::{ClientEvent, JoinPayload, Json, JsonLimits, TopicName, Wire, decode_text};
//!
//! // Parse at the edge: the frame under limits, then the names, then the payload.
//! let text = r#"["1","1","doc:42","phx_join",{"mode":"view"}]"#;
//! let frame = decode_text(Wire::V2, text, &JsonLimits::default())?;
//! let topic = TopicName::parse(&frame.topic)?;
//! assert_eq!(ClientEvent::parse(&frame.event), ClientEvent::Join);
//! let join: JoinPayload = frame.payload.as_json().ok_or("binary")?.parse_into()?;
//! assert!(join.resume.is_none());
//!
//! // Then trust: what goes out is spliced together, encoded once for all who receive it.
//! let payload = Json::of(&penholder_protocol::TokenExpiring { at: 60_000 });
//! let message = Message { topic: topic.as_str(), event: "token_expiring", payload: &payload };
//! assert_eq!(
//!     encode::broadcast(Wire::V2, &message).as_text(),
//!     Some(r#"[null,null,"doc:42","token_expiring",{"at":60000}]"#),
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a [`Json`] is text that every parser accepts; a [`TopicName`], [`EventName`] or
//! [`ClientMeta`] has been checked; nothing here recurses deeper than its limits, and no input panics
//! (`tests/laws.rs`).

mod binary;
mod code;
pub mod encode;
mod event;
mod frame;
mod json;
mod malformed;
mod meta;
mod payload;
pub mod realtime;
mod reference;
mod server_frame;
mod topic;
#[cfg(feature = "typescript")]
mod typescript;
mod v1;
mod v2;

pub use code::{CloseCode, CloseReason, ErrorCode, ErrorReply, UnknownName};
pub use encode::{EncodeError, Encoded, ReplyStatus};
pub use event::{
    ClientEvent, EVENT_BYTES_MAX, EventName, EventNameError, ServerEvent, is_reserved_event,
};
pub use frame::{ClientFrame, Payload, UnsupportedVsn, Wire, decode_binary, decode_text};
pub use json::{Json, JsonError, JsonLimits, PayloadError};
pub use malformed::{AnswerTo, Field, Malformed, MalformedReason};
pub use meta::{
    ClientMeta, KEY_BYTES_MAX, MetaError, MetaStamp, encode_meta, is_safe_key, presence_diff,
    presence_state,
};
pub use payload::{
    Activity, Broadcast, Certainty, Fence, JoinPayload, JoinReply, Kind, KnownPerson, Limits, Mode,
    Pen, PenAcquire, PenAcquireReply, PenAnswer, PenAnswerWord, PenChange, PenDraft, PenDraftReply,
    PenEvent, PenHeld, PenReason, PenReply, PenRequestReply, PenRule, PenState, PenTakeOverReply,
    PenWaiting, PersonBrief, PresenceDiff, PresenceEntry, PresenceMeta, PresenceMode,
    PresenceState, PresenceSummary, PresenceUpdate, PresenceUpdateReply, Role, Since, Status,
    Summaries, SummariesJoin, SummaryPerson, Ticket, TicketAssigned, TicketAttachment,
    TicketCategory, TicketCollision, TicketComment, TicketCommentDetail, TicketCommentEvent,
    TicketDetail, TicketEvent, TicketGuest, TicketPriority, TicketPriorityChanged, TicketStats,
    TicketStatus, TicketStatusChange, TicketStatusChanged, TicketStatusCounts, TicketUpdated,
    TicketsBulkUpdated, TokenExpiring, TokenRefresh, TokenRefreshReply, TopicRow, TtlMs, Typing,
    TypingAudience, TypingEvent, UserCard, ViewerSummary,
};
pub use reference::{REF_BYTES_MAX, Ref, RefError};
pub use server_frame::{ServerBody, ServerFrame};
pub use topic::{Namespace, TOPIC_BYTES_MAX, TopicError, TopicName, TopicPattern};
#[cfg(feature = "typescript")]
pub use typescript::typescript_declarations;
