//! Capabilities on topics.

use std::collections::BTreeMap;

use penholder_protocol::{Role, TopicError, TopicName, TopicPattern};
use serde::{Deserialize, Serialize};

/// One thing that can be allowed on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Join it, see who is there and what happens.
    View,
    /// Count as an editor, type, take the pen.
    Edit,
    /// Broadcast events of one's own.
    Publish,
    /// Remove sessions.
    Manage,
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);
    /// Every capability.
    pub const ALL: Self = Self(0b1111);

    /// Whether `capability` is among them.
    #[must_use]
    pub fn allow(self, capability: Capability) -> bool {
        self.0 & bit(capability) != 0
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |set, capability| set | bit(capability)))
    }
}

fn bit(capability: Capability) -> u8 {
    match capability {
        Capability::View => 0b0001,
        Capability::Edit => 0b0010,
        Capability::Publish => 0b0100,
        Capability::Manage => 0b1000,
    }
}

/// What a token grants: by pattern of topics, or by role where it names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    role: Role,
    patterns: Option<Vec<Grant>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    pattern: TopicPattern,
    /// Whether the pattern spells its namespace out.
    names_namespace: bool,
    capabilities: Capabilities,
}

impl Grants {
    /// The grants of a token.
    ///
    /// # Errors
    ///
    /// A pattern that is none.
    pub fn new(
        role: Role,
        topics: Option<&BTreeMap<String, Vec<Capability>>>,
    ) -> Result<Self, TopicError> {
        let parse = |(pattern, granted): (&String, &Vec<Capability>)| {
            Ok(Grant {
                pattern: TopicPattern::parse(pattern)?,
                names_namespace: !pattern.split(':').next().unwrap_or_default().contains('*'),
                capabilities: granted.iter().copied().collect(),
            })
        };
        let patterns = topics.map(|topics| topics.iter().map(parse).collect()).transpose()?;
        Ok(Self { role, patterns })
    }

    /// Whether the role works at the desk.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Agent)
    }

    /// What the role may do where the token names no topics.
    #[must_use]
    pub fn of_role(&self) -> Capabilities {
        use Capability::{Edit, Publish, View};
        match self.role {
            Role::Admin => Capabilities::ALL,
            Role::Agent => [View, Edit, Publish].into_iter().collect(),
            Role::Viewer => [View].into_iter().collect(),
            Role::Customer | Role::Guest => Capabilities::NONE,
        }
    }

    /// What is granted on a topic of an application.
    #[must_use]
    pub fn on(&self, topic: &TopicName) -> Capabilities {
        self.patterns.as_ref().map_or_else(|| self.of_role(), |_| self.named(topic))
    }

    /// What the token's own patterns say of `topic`. A pattern whose `*` stands in the first segment
    /// does not reach into a reserved namespace: whoever means the tickets has to say so.
    #[must_use]
    pub fn named(&self, topic: &TopicName) -> Capabilities {
        let is_reserved = topic.namespace().is_reserved();
        let grants = self.patterns.iter().flatten();
        grants
            .filter(|grant| grant.pattern.matches(topic) && (grant.names_namespace || !is_reserved))
            .fold(Capabilities::NONE, |all, grant| all.union(grant.capabilities))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn grants(role: Role, topics: &[(&str, &[Capability])]) -> Grants {
        let topics = topics.iter().map(|(name, granted)| ((*name).to_owned(), granted.to_vec()));
        Grants::new(role, Some(&topics.collect())).unwrap()
    }

    #[test]
    fn a_star_stays_out_of_reserved_namespaces() {
        let grants = grants(Role::Customer, &[("*", &[Capability::View])]);
        assert!(grants.named(&topic("doc:1")).allow(Capability::View));
        assert!(!grants.named(&topic("tickets:1")).allow(Capability::View));
        let grants = super::tests::grants(Role::Customer, &[("tickets:*", &[Capability::View])]);
        assert!(grants.named(&topic("tickets:1")).allow(Capability::View));
    }

    #[test]
    fn patterns_add_up_and_replace_the_role() {
        let grants =
            grants(Role::Admin, &[("doc:*", &[Capability::View]), ("doc:1", &[Capability::Edit])]);
        let on = |name| grants.on(&topic(name));
        assert!(on("doc:1").allow(Capability::View) && on("doc:1").allow(Capability::Edit));
        assert!(!on("doc:2").allow(Capability::Edit));
        assert!(!on("note:1").allow(Capability::View));
    }

    #[test]
    fn roles_without_topics_have_what_the_role_has() {
        let on = |role| Grants::new(role, None).unwrap().on(&topic("doc:1"));
        assert!(on(Role::Admin).allow(Capability::Manage));
        assert!(
            on(Role::Agent).allow(Capability::Publish)
                && !on(Role::Agent).allow(Capability::Manage)
        );
        assert!(
            on(Role::Viewer).allow(Capability::View) && !on(Role::Viewer).allow(Capability::Edit)
        );
        assert_eq!(on(Role::Customer), Capabilities::NONE);
        assert_eq!(on(Role::Guest), Capabilities::NONE);
    }
}
