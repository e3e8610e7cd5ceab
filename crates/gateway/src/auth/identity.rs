//! A person, as its token describes it.

use std::sync::Arc;

use bytes::Bytes;
use penholder_hub::Viewer;
use penholder_presence::Key;
use penholder_protocol::{Kind, Namespace, Role, TopicName, UserCard};
use penholder_ticket::TicketId;

use super::{Capabilities, Capability, Grants};

/// A person or an agent with a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What others are shown.
    pub card: Arc<UserCard>,
    /// What the token grants.
    pub grants: Arc<Grants>,
    /// When the token ends, in milliseconds since the epoch.
    pub expires_at: u64,
    /// When the token was issued, in milliseconds since the epoch, if it says so.
    pub issued_at: Option<u64>,
    /// The token's id, if it has one.
    pub token_id: Option<Arc<str>>,
}

impl Identity {
    /// The token's subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.card.id
    }

    /// What the person may do on `topic`.
    ///
    /// `tickets` belongs to staff, and each ticket to whom the token names there too. Its owner is for the store to
    /// say. `tickets:user:{id}` is also that person's, `user:{id}` theirs alone; `system:summaries` is for
    /// everybody, who then sees the rows of what they may view.
    #[must_use]
    pub fn capabilities(&self, topic: &TopicName) -> Capabilities {
        let view = || Capabilities::from_iter([Capability::View]);
        let own = |id: Option<&str>| id == Some(self.subject());
        let mut segments = topic.segments().skip(1);
        match topic.namespace() {
            Namespace::Application(_) => self.grants.on(topic),
            Namespace::Tickets => match (segments.next(), segments.next(), segments.next()) {
                (Some("all"), None, None) | (Some("user"), Some(_), None)
                    if self.grants.is_staff() =>
                {
                    self.grants.of_role().union(self.grants.named(topic))
                }
                (Some("user"), id, None) if own(id) && self.is_known() => view(),
                (Some(id), None, None) if TicketId::parse(id).is_some() => {
                    let named = self.grants.named(topic);
                    if self.grants.is_staff() { self.grants.of_role().union(named) } else { named }
                }
                _ => Capabilities::NONE,
            },
            Namespace::User if own(segments.next()) && segments.next().is_none() => view(),
            Namespace::System if topic.as_str() == "system:summaries" => view(),
            Namespace::User | Namespace::System | Namespace::Phoenix => Capabilities::NONE,
        }
    }

    /// Whether the subject is somebody's own name: a guest's is not that of anybody who is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.card.role != Role::Guest
    }

    /// The person, as a shard knows it.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        let kind = match self.card.kind {
            Kind::Human => penholder_presence::Kind::Human,
            Kind::Ai => penholder_presence::Kind::Ai,
        };
        let profile = penholder_protocol::Json::of(&*self.card);
        Viewer {
            key: Key::from(self.subject()),
            kind,
            profile: Bytes::copy_from_slice(profile.as_bytes()),
        }
    }
}
