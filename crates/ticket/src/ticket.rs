//! The ticket, and what each audience sees of it.

use penholder_lease::{PersonId, StoreMs};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::TicketId;
use crate::moment::Moment;
use crate::person::{Assignee, Audience};
use crate::status::Status;
use crate::word::words;

words! {
    /// What a ticket is about.
    Category {
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

words! {
    /// How soon a ticket wants somebody.
    Priority {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
}

/// A ticket, as it is kept. What may leave is a [`view`](Self::view) of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which.
    pub id: TicketId,
    /// What it is about.
    pub title: String,
    /// What is the matter.
    pub description: String,
    /// Category.
    pub category: Category,
    /// Status.
    pub status: Status,
    /// Priority.
    pub priority: Priority,
    /// Its name in addresses; it stays when the title changes.
    pub slug: String,
    /// Whose it is; nobody's, when it is a guest's.
    pub user_id: Option<PersonId>,
    /// The guest who made it.
    pub guest: Option<Guest>,
    /// Whom it is assigned to.
    pub assignee: Option<Assignee>,
    /// How many public comments it has. Counting them is no write to the ticket: it moves neither the version
    /// nor the time of the last change, or the next comment would refuse whatever an agent has typed.
    pub comment_count: u64,
    /// What the application keeps with it. For the staff.
    pub metadata: Map<String, Value>,
    /// One more at each write, 1 at first. For the staff.
    pub version: u64,
    /// Since when it is resolved.
    pub resolved_at: Option<StoreMs>,
    /// Since when it is closed.
    pub closed_at: Option<StoreMs>,
    /// When it was made.
    pub created_at: StoreMs,
    /// When it was last written.
    pub updated_at: StoreMs,
    /// When something was last written that the public sees.
    pub public_updated_at: StoreMs,
}

/// What an audience sees of a ticket, ready to be written as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct TicketView<'a> {
    id: TicketId,
    title: &'a str,
    description: &'a str,
    category: Category,
    status: Status,
    priority: Priority,
    slug: &'a str,
    user_id: Option<&'a PersonId>,
    guest: Option<&'a Guest>,
    assignee_name: Option<&'a str>,
    comment_count: u64,
    resolved_at: Option<Moment>,
    closed_at: Option<Moment>,
    created_at: Moment,
    updated_at: Moment,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    staff: Option<StaffOnly<'a>>,
}

/// What only the staff sees of a ticket.
#[derive(Debug, Clone, Serialize)]
struct StaffOnly<'a> {
    assigned_to_id: Option<&'a PersonId>,
    metadata: &'a Map<String, Value>,
    version: u64,
}

impl Ticket {
    /// Returns what an audience sees of the ticket. A new field is seen by nobody until it is named here.
    #[must_use]
    pub fn view(&self, audience: Audience) -> TicketView<'_> {
        let (updated_at, staff) = match audience {
            Audience::Public => (self.public_updated_at, None),
            Audience::Staff => (self.updated_at, Some(self.staff_only())),
        };
        TicketView {
            id: self.id,
            title: &self.title,
            description: &self.description,
            category: self.category,
            status: self.status,
            priority: self.priority,
            slug: &self.slug,
            user_id: self.user_id.as_ref(),
            guest: self.guest.as_ref(),
            assignee_name: self.assignee.as_ref().map(|assignee| assignee.name.as_str()),
            comment_count: self.comment_count,
            resolved_at: self.resolved_at.map(Moment),
            closed_at: self.closed_at.map(Moment),
            created_at: Moment(self.created_at),
            updated_at: Moment(updated_at),
            staff,
        }
    }

    fn staff_only(&self) -> StaffOnly<'_> {
        StaffOnly {
            assigned_to_id: self.assignee.as_ref().map(|assignee| &assignee.id),
            metadata: &self.metadata,
            version: self.version,
        }
    }

    /// Returns the topic of the ticket.
    #[must_use]
    pub fn topic(&self) -> String {
        crate::route::ticket_topic(self.id)
    }
}
