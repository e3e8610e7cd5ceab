//! Keys of application backends.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Capabilities, Capability};
use crate::app::RunMode;
use crate::config::{ApiKey, Scope};

/// The keys that are accepted, by their SHA-256: the key itself is kept nowhere.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(BTreeMap<String, Backend>);

/// An application's backend with a valid key.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The key's name, for logs.
    pub id: Arc<str>,
    scopes: Arc<[Scope]>,
}

impl ApiKeys {
    /// The configured keys, and in development mode the key `dev`, which may do everything.
    #[must_use]
    pub fn new(configured: &[ApiKey], mode: RunMode) -> Self {
        let mut keys = Self::default();
        for key in configured {
            keys.insert(key.sha256.to_ascii_lowercase(), &key.id, &key.scopes);
        }
        if mode == RunMode::Development {
            keys.insert(digest("dev"), "dev", &[Scope::Admin]);
        }
        keys
    }

    /// The backend that `key` belongs to.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Backend> {
        self.0.get(&digest(key)).cloned()
    }

    fn insert(&mut self, digest: String, id: &str, scopes: &[Scope]) {
        self.0.insert(digest, Backend { id: id.into(), scopes: scopes.into() });
    }
}

impl Backend {
    /// Whether the key may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    /// Whether the key may take pens, and take them away.
    #[must_use]
    pub fn is_for_pens(&self) -> bool {
        self.scopes.contains(&Scope::PensWrite) || self.is_admin()
    }

    /// Whether the key may read tickets.
    #[must_use]
    pub fn reads_tickets(&self) -> bool {
        self.scopes.contains(&Scope::TicketsRead) || self.writes_tickets()
    }

    /// Whether the key may write tickets.
    #[must_use]
    pub fn writes_tickets(&self) -> bool {
        self.scopes.contains(&Scope::TicketsWrite) || self.is_admin()
    }

    /// Whether the key may read the event log.
    #[must_use]
    pub fn reads_events(&self) -> bool {
        self.scopes.contains(&Scope::EventsRead) || self.is_admin()
    }

    /// What the key's scopes allow on every topic.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        use Capability::{Edit, Manage, Publish, View};
        let of_scope = |scope: &Scope| match scope {
            Scope::PresenceRead => Capabilities::from_iter([View]),
            Scope::PresenceWrite => Capabilities::from_iter([Publish, Manage]),
            Scope::PensWrite => Capabilities::from_iter([View, Edit]),
            Scope::TicketsRead | Scope::TicketsWrite | Scope::EventsRead => Capabilities::NONE,
            Scope::Admin => Capabilities::ALL,
        };
        self.scopes.iter().map(of_scope).fold(Capabilities::NONE, Capabilities::union)
    }
}

fn digest(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
