//! What can go wrong with a ticket.

use penholder_lease::Person;
use penholder_ticket::{Field, Refusal, TicketId};

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
    /// It is not to be done to some of many, and so to none of them.
    #[error("{first}")]
    RefusedOfMany {
        /// The first that is not there, or else the first that does not allow it.
        first: RefusedTicket,
        /// All of them, in the order of their ids.
        all: Vec<RefusedTicket>,
    },
    /// The page of a list is none. The caller has to say it differently.
    #[error("no such page")]
    InvalidPage,
    /// See [`StoreError`]. The work is lost.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one of many tickets is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ticket}: {why}")]
pub struct RefusedTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// Why.
    pub why: WhyNot,
}

/// What keeps one of many tickets from being changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// It is not there.
    #[error("not found")]
    NotFound,
    /// Somebody else holds its pen. They are told of it, once the work is [committed](super::Work::commit).
    #[error("somebody else holds the pen")]
    Held {
        /// Who.
        holder: Person,
    },
    /// It does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl WhyNot {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Held { .. } => "pen_held",
            Self::Refused(refusal) => refusal.code(),
        }
    }
}

impl TicketError {
    /// Returns the code that callers get.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::StaleVersion { .. } => "stale_version",
            Self::StaleFence { .. } => "stale_fence",
            Self::Refused(refusal) => refusal.code(),
            Self::RefusedOfMany { first, .. } => first.why.code(),
            Self::InvalidPage => "invalid_page",
            Self::Store(_) => "unavailable",
        }
    }

    /// The error for those of many that are refused; none where that is nobody.
    pub(super) fn of_many(mut all: Vec<RefusedTicket>) -> Option<Self> {
        all.sort_by_key(|it| it.ticket);
        let missing = all.iter().find(|it| it.why == WhyNot::NotFound);
        let first = missing.or(all.first())?.clone();
        Some(Self::RefusedOfMany { first, all })
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
