//! What can go wrong with a ticket.

use penholder_lease::Person;
use penholder_ticket::{BulkRefusal, Field, Refusal};

use crate::error::StoreError;

/// Nothing of the operation is written. What else was done in the same work stands.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// There is no such ticket or comment, or it is not for whoever asks.
    #[error("not found")]
    NotFound,
    /// The ticket is not what the caller has read. They read it again.
    #[error("the ticket is at version {version}")]
    StaleVersion {
        /// What it is at.
        version: u64,
    },
    /// The pen has gone on since. The caller has to have it again.
    #[error("the fence is stale")]
    StaleFence {
        /// Who has it now.
        holder: Option<Person>,
    },
    /// It is not to be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not to be done to one of many.
    #[error(transparent)]
    RefusedOfMany(#[from] BulkRefusal),
    /// The page of a list is none. The caller has to say it differently.
    #[error("no such page")]
    InvalidPage,
    /// See [`StoreError`]. The work is lost.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TicketError {
    /// Returns the code that callers get.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::StaleVersion { .. } => "stale_version",
            Self::StaleFence { .. } => "stale_fence",
            Self::Refused(refusal) | Self::RefusedOfMany(BulkRefusal { refusal, .. }) => {
                refusal.code()
            }
            Self::InvalidPage => "invalid_page",
            Self::Store(_) => "unavailable",
        }
    }

    pub(super) fn assignee() -> Self {
        let rule = "it has to be a known agent or administrator";
        Self::Refused(Refusal::Invalid { field: Field::Assignee, rule })
    }
}

impl From<sqlx::Error> for TicketError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
