//! Real stores for the tests, and who uses them.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part of it")]

#[macro_use]
mod contract;
mod scene;

use std::path::Path;

use anyhow::Result;
use penholder_desk::{Pens, Storage};
use penholder_lease::{Policies, Timeline};
use penholder_stores::PostgresServer;

pub(crate) use self::contract::{Rule, holds};
pub(crate) use self::scene::*;

/// A store that a test may open as often as it likes.
#[derive(Debug, Clone)]
pub(crate) struct Place(pub(crate) Storage);

impl Place {
    pub(crate) fn file(dir: &Path) -> Self {
        Self(Storage::Sqlite { path: dir.join("desk.sqlite"), timeline: Timeline(0) })
    }

    pub(crate) fn database(server: &PostgresServer, connections: u32) -> Self {
        Self(Storage::Postgres { url: server.url(), connections })
    }

    pub(crate) async fn open(&self, policies: Policies) -> Result<Pens> {
        Ok(Pens::open(&self.0, policies).await?)
    }
}
