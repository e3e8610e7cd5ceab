//! People, as the lease and as the protocol have them: neither knows the other.

use penholder_lease::{Claimant, Kind, Person, Role, SessionId};
use penholder_protocol::{self as protocol, PersonBrief, UserCard};

/// Returns somebody who may hold a pen in a session.
#[must_use]
pub fn claimant(session: SessionId, card: UserCard) -> Claimant {
    Claimant {
        session,
        person: Person {
            id: card.id.into(),
            name: card.name,
            kind: match card.kind {
                protocol::Kind::Human => Kind::Human,
                protocol::Kind::Ai => Kind::Ai,
            },
        },
        role: match card.role {
            protocol::Role::Admin => Role::Admin,
            protocol::Role::Agent => Role::Agent,
            protocol::Role::Customer => Role::Customer,
            protocol::Role::Viewer => Role::Viewer,
            protocol::Role::Guest => Role::Guest,
        },
    }
}

/// Returns a person as clients are told of them.
#[must_use]
pub fn brief(person: &Person) -> PersonBrief {
    PersonBrief {
        id: person.id.as_str().to_owned(),
        name: person.name.clone(),
        kind: match person.kind {
            Kind::Human => protocol::Kind::Human,
            Kind::Ai => protocol::Kind::Ai,
        },
    }
}
