//! Who acts, and who sees what.

use penholder_lease::{Person, PersonId, Role, StoreMs};
use serde::Serialize;

use crate::word::words;

words! {
    /// Who may see something.
    Audience {
        /// Those who work here.
        Staff = "staff",
        /// Everybody who may see the ticket at all.
        Public = "public",
    }
}

/// Somebody who does something, as the caller has made sure of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub person: Person,
    /// What they are here.
    pub role: Role,
}

impl Actor {
    /// Returns what they may see.
    #[must_use]
    pub fn audience(&self) -> Audience {
        if is_staff(self.role) { Audience::Staff } else { Audience::Public }
    }
}

/// Returns whether a role works here.
#[must_use]
pub fn is_staff(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Agent)
}

/// Whom a ticket is assigned to. The public gets the name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assignee {
    /// Who.
    pub id: PersonId,
    /// Their name.
    pub name: String,
}

/// By whom and when something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion<'a> {
    /// By whom.
    pub by: &'a Actor,
    /// When, by the store's clock.
    pub at: StoreMs,
}
