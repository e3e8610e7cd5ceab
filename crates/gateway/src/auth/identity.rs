//! A person, as its token describes it.

use std::sync::Arc;

use bytes::Bytes;
use penholder_hub::Viewer;
use penholder_presence::Key;
use penholder_protocol::{Kind, Namespace, Role, TopicName, UserCard};
use penholder_ticket::{TicketId, person_of};

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

    /// Whether the person looks after the whole desk.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.card.role == Role::Admin
    }

    /// What the person may do on `topic`.
    ///
    /// `tickets` belongs to staff, and each ticket to whom the token names there too. Its owner is for the store to
    /// say. `tickets:user:{id}` is also that person's, `user:{id}` theirs alone, the id as [`person_of`] reads it;
    /// `system:summaries` is for everybody, who then sees the rows of what they may view.
    #[must_use]
    pub fn capabilities(&self, topic: &TopicName) -> Capabilities {
        let view = || Capabilities::from_iter([Capability::View]);
        let own = |id: &str| person_of(id).is_some_and(|it| it.as_str() == self.subject());
        let as_staff = || self.grants.of_role().union(self.grants.named(topic));
        let mut segments = topic.segments().skip(1);
        match topic.namespace() {
            Namespace::Application(_) => self.grants.on(topic),
            Namespace::Tickets => match (segments.next(), segments.next(), segments.next()) {
                (Some("all"), None, None) if self.grants.is_staff() => as_staff(),
                (Some("user"), Some(id), None) if self.grants.is_staff() => {
                    // Another spelling of somebody's id is nobody's, or a topic would have two names.
                    if person_of(id).is_some() { as_staff() } else { Capabilities::NONE }
                }
                (Some("user"), Some(id), None) if own(id) && self.is_known() => view(),
                (Some(id), None, None) if TicketId::parse(id).is_some() => {
                    let named = self.grants.named(topic);
                    if self.grants.is_staff() { self.grants.of_role().union(named) } else { named }
                }
                _ => Capabilities::NONE,
            },
            Namespace::User if segments.next().is_some_and(own) && segments.next().is_none() => {
                view()
            }
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

#[cfg(test)]
mod tests {
    use penholder_protocol::TOPIC_BYTES_MAX;
    use penholder_ticket::user_topic;

    use super::*;

    fn identity(subject: &str, role: Role) -> Identity {
        let card = UserCard {
            id: subject.to_owned(),
            name: subject.to_owned(),
            role,
            kind: Kind::Human,
            avatar: None,
        };
        Identity {
            card: Arc::new(card),
            grants: Arc::new(Grants::new(role, None).unwrap()),
            expires_at: 0,
            issued_at: None,
            token_id: None,
        }
    }

    #[test]
    fn everybody_may_view_their_own_topic_by_its_one_name() {
        let may = |subject: &str, role, topic: &str| {
            let topic = TopicName::parse(topic).unwrap();
            identity(subject, role).capabilities(&topic).allow(Capability::View)
        };
        for subject in ["ann", "ann@x.test", "auth0|7", "a~b", "Zoë", "a b"] {
            let topic = user_topic(&subject.into()).unwrap();
            assert!(may(subject, Role::Customer, &topic), "{subject}");
            assert!(may("sam", Role::Agent, &topic), "{subject}");
            assert!(!may("eve", Role::Customer, &topic), "{subject}");
            assert!(!may(subject, Role::Guest, &topic), "{subject}");
        }
        assert!(may("ann@x", Role::Customer, "user:ann~40x"));
        for topic in ["tickets:user:~61nn", "tickets:user:auth0~7c7", "tickets:user:~"] {
            for (subject, role) in
                [("ann", Role::Customer), ("auth0|7", Role::Customer), ("sam", Role::Agent)]
            {
                assert!(!may(subject, role, topic), "{subject} {topic}");
            }
        }
        assert_eq!(TOPIC_BYTES_MAX, penholder_ticket::TOPIC_BYTES_MAX);
    }
}
