//! Who asks for a pen.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the name as a string slice.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A session: one client connection's membership in the topic, or a caller over HTTP.
    SessionId
}
name! {
    /// A person, human or program; the same in all sessions of theirs.
    PersonId
}
name! {
    /// What a client calls one attempt to acquire, so that it can repeat it.
    /// At most [`REQUEST_ID_BYTES_MAX`](crate::REQUEST_ID_BYTES_MAX) bytes.
    RequestId
}

/// Whether somebody is a human or a program that acts on its own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A human.
    #[default]
    Human,
    /// A program.
    Ai,
}

/// What somebody is to the application, as the token says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the place.
    Admin,
    /// Works there.
    Agent,
    /// Is served there.
    #[default]
    Customer,
    /// Looks on.
    Viewer,
    /// Is not known by name.
    Guest,
}

/// Somebody as others see them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// A name to show.
    pub name: String,
    /// Human or program.
    pub kind: Kind,
}

/// Somebody in one session, who may edit the topic: the caller has seen to that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claimant {
    /// The session that would hold the pen.
    pub session: SessionId,
    /// Whose session it is.
    pub person: Person,
    /// What that person may do by policy.
    pub role: Role,
}

impl Claimant {
    /// Returns whether both are sessions of one person.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.person.id == other.person.id
    }
}
