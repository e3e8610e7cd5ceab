//! Why something does not happen to a ticket.

use crate::status::Status;
use crate::word::words;

words! {
    /// What is not as it must be, with the code that callers get.
    Field {
        /// Title of a ticket.
        Title = "invalid_title",
        /// Description of a ticket.
        Description = "invalid_description",
        /// Category of a ticket.
        Category = "invalid_category",
        /// Priority of a ticket.
        Priority = "invalid_priority",
        /// Status of a ticket.
        Status = "invalid_status",
        /// Owner of a ticket.
        User = "invalid_user_id",
        /// Guest who made a ticket.
        Guest = "invalid_guest",
        /// Metadata of a ticket.
        Metadata = "invalid_metadata",
        /// Attachments of a ticket or comment.
        Attachments = "invalid_attachments",
        /// Reason of a change of status.
        Reason = "invalid_reason",
        /// What a comment says.
        Content = "invalid_content",
        /// What a comment answers.
        Parent = "invalid_parent",
        /// Whom a ticket is assigned to.
        Assignee = "invalid_assignee",
        /// Which tickets are changed together.
        Ids = "invalid_ids",
        /// Name of a person.
        Name = "invalid_name",
    }
}

/// Nothing has happened. The same again is refused again, unless somebody changes the ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is not as it must be; the caller has to say it differently.
    #[error("{field}: {rule}")]
    Invalid {
        /// What.
        field: Field,
        /// How it must be.
        rule: &'static str,
    },
    /// The status cannot change like that.
    #[error("a ticket that is {from} cannot become {to}")]
    InvalidTransition {
        /// The status.
        from: Status,
        /// What it should have become.
        to: Status,
    },
    /// What was done is not opened again here.
    #[error("tickets are not reopened here")]
    ReopenNotAllowed,
    /// Nobody comments on a closed ticket.
    #[error("the ticket is closed")]
    TicketClosed,
    /// That is for the author, an administrator or the staff.
    #[error("not authorized")]
    NotAuthorized,
}

impl Refusal {
    /// Returns the code that callers get.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { field, .. } => field.as_str(),
            Self::InvalidTransition { .. } => "invalid_transition",
            Self::ReopenNotAllowed => "reopen_not_allowed",
            Self::TicketClosed => "ticket_closed",
            Self::NotAuthorized => "not_authorized",
        }
    }

    pub(crate) fn invalid(field: Field, rule: &'static str) -> Self {
        Self::Invalid { field, rule }
    }
}
