//! The stores that a server under test may keep its pens in.

use std::path::Path;

use anyhow::Result;
use penholder_stores::PostgresServer;
use penholder_tests::Options;

/// A kind of store, with databases for as many servers as a test starts.
pub(crate) enum Store {
    /// A file in the data directory.
    Sqlite,
    /// A PostgreSQL server of the test's own.
    Postgres(PostgresServer),
}

impl Store {
    pub(crate) fn postgres() -> Result<Self> {
        Ok(Self::Postgres(PostgresServer::start()?))
    }

    /// How a server is told to keep its pens here, apart from those of other servers.
    pub(crate) fn options(&self, name: &str) -> Result<Options> {
        Ok(match self {
            Self::Sqlite => Options::default(),
            Self::Postgres(server) => {
                Options::default().set("storage.url", &server.create_database(name)?)
            }
        })
    }

    /// Where an application beside the server keeps its own, on the same kind of store.
    pub(crate) fn application(&self, dir: &Path, name: &str) -> Result<String> {
        Ok(match self {
            Self::Sqlite => format!("sqlite://{}?mode=rwc", dir.join(name).display()),
            Self::Postgres(server) => server.create_database(name)?,
        })
    }
}
