//! Who somebody is, as the token says.

use serde::{Deserialize, Serialize};

super::words! {
    /// What somebody is to the application; decided by the token, `customer` by default.
    #[derive(Default)]
    pub enum Role {
        /// Runs the place.
        Admin = "admin",
        /// Works there.
        Agent = "agent",
        /// Is served there.
        #[default]
        Customer = "customer",
        /// Looks on.
        Viewer = "viewer",
        /// Is not known by name.
        Guest = "guest",
    }
}

super::words! {
    /// Whether somebody is a human or a program that acts on its own.
    #[derive(Default)]
    pub enum Kind {
        /// A human.
        #[default]
        Human = "human",
        /// A program.
        Ai = "ai",
    }
}

/// Identity as others see it; stamped by the server from the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserCard {
    /// The token's `sub`.
    pub id: String,
    /// A name to show.
    pub name: String,
    /// What the person is to the application.
    pub role: Role,
    /// Human or program.
    pub kind: Kind,
    /// URL of a picture.
    pub avatar: Option<String>,
}

/// As much of an identity as a list of topics shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonBrief {
    /// The token's `sub`.
    pub id: String,
    /// A name to show.
    pub name: String,
    /// Human or program.
    pub kind: Kind,
}
