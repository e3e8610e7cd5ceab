//! Who calls, and what they may do.
//!
//! People and agents carry a signed token (JWT), backends an API key. What others are shown of a
//! person comes from the token alone.

mod api_key;
mod capability;
mod identity;
mod keys;
mod resume;
mod revocation;
mod token;

pub use api_key::{ApiKeys, Backend};
pub use capability::{Capabilities, Capability, Grants};
pub use identity::Identity;
pub use keys::KeyError;
pub use resume::ResumeKey;
pub use revocation::{RevocationError, Revocations, Revoked, Standing, Term};
pub use token::{Claims, TokenError, Tokens};

use penholder_protocol::TopicName;

/// Whoever makes a request over HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A person or an agent with a token.
    Person(Identity),
    /// An application's backend with an API key.
    Backend(Backend),
}

impl Caller {
    /// What the caller may do on `topic`.
    pub(crate) fn capabilities(&self, topic: &TopicName) -> Capabilities {
        match self {
            Self::Person(identity) => identity.capabilities(topic),
            Self::Backend(backend) => backend.capabilities(),
        }
    }
}
