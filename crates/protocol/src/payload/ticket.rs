//! Tickets, their comments, and what is told of them. Times are ISO 8601, UTC, milliseconds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pen::Fence;
use super::person::{PersonBrief, Role};

super::words! {
    /// Where a ticket stands.
    pub enum TicketStatus {
        /// Nobody has begun.
        Open = "open",
        /// Somebody works on it.
        InProgress = "in_progress",
        /// The customer has to answer.
        WaitingForUser = "waiting_for_user",
        /// The agent has to answer.
        WaitingForAgent = "waiting_for_agent",
        /// Done, as the agent sees it.
        Resolved = "resolved",
        /// Done, and nobody comments any more.
        Closed = "closed",
    }
}

super::words! {
    /// What a ticket is about.
    pub enum TicketCategory {
        /// Anything else.
        General = "general",
        /// Something does not work.
        Technical = "technical",
        /// Money.
        Billing = "billing",
        /// The customer's account.
        Account = "account",
        /// Something is not safe.
        Security = "security",
        /// Something is missed.
        FeatureRequest = "feature_request",
        /// Something is wrong.
        BugReport = "bug_report",
    }
}

super::words! {
    /// How soon a ticket wants somebody.
    pub enum TicketPriority {
        /// When there is time.
        Low = "low",
        /// In turn.
        Medium = "medium",
        /// Before others.
        High = "high",
        /// Now.
        Urgent = "urgent",
    }
}

/// Somebody who made a ticket without being known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketGuest {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
}

/// A ticket, as its reader may see it. The last three fields are there for the staff alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// Which.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// What is the matter.
    pub description: String,
    /// Category.
    pub category: TicketCategory,
    /// Status.
    pub status: TicketStatus,
    /// Priority.
    pub priority: TicketPriority,
    /// Its name in addresses; it stays when the title changes.
    pub slug: String,
    /// Whose it is; null when it is a guest's.
    pub user_id: Option<String>,
    /// The guest who made it.
    pub guest: Option<TicketGuest>,
    /// The name of whom it is assigned to.
    pub assignee_name: Option<String>,
    /// How many public comments it has.
    pub comment_count: u64,
    /// Since when it is resolved.
    pub resolved_at: Option<String>,
    /// Since when it is closed.
    pub closed_at: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When something was last written that the reader sees.
    pub updated_at: String,
    /// Whom it is assigned to; null for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "string | null"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false))]
    pub assigned_to_id: Option<String>,
    /// What the application keeps with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "Record<string, unknown>"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Object, required = false, nullable = false))]
    pub metadata: Option<Map<String, Value>>,
    /// One more at each write: what `If-Match` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub version: Option<u64>,
}

/// A file that belongs to a ticket or comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketAttachment {
    /// Which.
    pub id: String,
    /// Of which comment; null for the ticket's own.
    pub comment_id: Option<String>,
    /// Where it is.
    pub url: String,
    /// What it is called.
    pub name: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// Its place among those of the same ticket or comment, 0 for the first.
    pub position: u32,
}

/// A ticket with its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketDetail {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: Ticket,
    /// Its own files, at most 5.
    pub attachments: Vec<TicketAttachment>,
}

/// A comment, or a note for the staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketComment {
    /// Which.
    pub id: String,
    /// On which ticket.
    pub ticket_id: String,
    /// By whom; null when a guest wrote it.
    pub author_id: Option<String>,
    /// What it answers.
    pub parent_id: Option<String>,
    /// How many comments are above it in its thread.
    pub depth: u32,
    /// What it says.
    pub content: String,
    /// Whether it is for the staff only.
    pub is_internal: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was last written.
    pub updated_at: String,
}

/// A comment with its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketCommentDetail {
    /// The comment.
    #[serde(flatten)]
    pub comment: TicketComment,
    /// Its files, at most 3.
    pub attachments: Vec<TicketAttachment>,
}

/// One change of a ticket's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketStatusChange {
    /// The status before; null when the ticket was made.
    pub from: Option<TicketStatus>,
    /// The status after.
    pub to: TicketStatus,
    /// Why, as they said.
    pub reason: Option<String>,
    /// Who.
    pub actor: PersonBrief,
    /// When.
    pub at: String,
}

/// How many tickets there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketStats {
    /// All.
    pub total: u64,
    /// Of each status.
    pub by_status: TicketStatusCounts,
    /// Assigned to nobody.
    pub unassigned: u64,
}

/// How many tickets have each status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketStatusCounts {
    /// Nobody has begun.
    pub open: u64,
    /// Somebody works on it.
    pub in_progress: u64,
    /// The customer has to answer.
    pub waiting_for_user: u64,
    /// The agent has to answer.
    pub waiting_for_agent: u64,
    /// Done, as the agent sees it.
    pub resolved: u64,
    /// Done, and nobody comments any more.
    pub closed: u64,
}

/// Somebody who is known: to whom a ticket may be assigned, if their role is one of the staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownPerson {
    /// Who.
    pub id: String,
    /// A name to show.
    pub name: String,
    /// What they are to the application.
    pub role: Role,
}

/// What every event of a ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketEvent {
    /// Its number on the topic, for the audience of whoever hears it.
    pub seq: u64,
    /// What it is called.
    pub event: String,
    /// When it was written.
    pub occurred_at: String,
    /// Who did it.
    pub actor: PersonBrief,
    /// The ticket after it; of one that is gone, before.
    pub ticket: Ticket,
}

/// `ticket_updated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketUpdated {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// Field to its old and new value.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, [unknown, unknown]>"))]
    pub changes: Map<String, Value>,
}

/// `ticket_status_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketStatusChanged {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// The status before.
    pub old_status: TicketStatus,
    /// The status after.
    pub new_status: TicketStatus,
    /// Why, as they said.
    pub reason: Option<String>,
}

/// `ticket_assigned`. The ids are there for the staff alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketAssigned {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// The name of whoever had it.
    pub old_assignee_name: Option<String>,
    /// The name of whoever has it.
    pub new_assignee_name: Option<String>,
    /// Who had it; null for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "string | null"))]
    pub old_assignee_id: Option<String>,
    /// Who has it; null for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "string | null"))]
    pub new_assignee_id: Option<String>,
}

/// `ticket_priority_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketPriorityChanged {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// The priority before.
    pub old_priority: TicketPriority,
    /// The priority after.
    pub new_priority: TicketPriority,
}

/// `tickets_bulk_updated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketsBulkUpdated {
    /// Its number on the topic.
    pub seq: u64,
    /// `tickets_bulk_updated`.
    pub event: String,
    /// When it was written.
    pub occurred_at: String,
    /// Who did it.
    pub actor: PersonBrief,
    /// Those of the changed tickets that belong to the topic.
    pub tickets: Vec<Ticket>,
    /// Field to its new value.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, unknown>"))]
    pub changes: Map<String, Value>,
}

/// `comment_created`, `comment_updated`, `comment_deleted`, `internal_note_created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketCommentEvent {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// The comment after it; of one that is gone, before.
    pub comment: TicketComment,
}

/// `collision`: somebody wrote without the pen, which somebody else held. For the staff alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TicketCollision {
    /// What every event says.
    #[serde(flatten)]
    pub event: TicketEvent,
    /// Who holds the pen.
    pub holder: PersonBrief,
    /// Who wrote.
    pub writer: PersonBrief,
    /// The pen's fence.
    pub fence: Fence,
    /// The fence that the writer had; null without one.
    pub presented: Option<Fence>,
}
