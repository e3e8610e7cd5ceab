//! Real stores for the tests: files of SQLite, and a PostgreSQL server that begins and ends with its test.

#![allow(dead_code, reason = "each test binary uses a part of it")]

mod postgres;
mod scene;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use penholder_desk::{Pens, Storage};
use penholder_lease::{Policies, Timeline};

pub(crate) use self::postgres::Server;
pub(crate) use self::scene::*;

/// An empty directory that goes when the value does.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("penholder-desk-{}-{count}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, as the test has ended either way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store that a test may open as often as it likes.
#[derive(Debug, Clone)]
pub(crate) struct Place(pub(crate) Storage);

impl Place {
    pub(crate) fn file(dir: &Path) -> Self {
        Self(Storage::Sqlite { path: dir.join("desk.sqlite"), timeline: Timeline(0) })
    }

    pub(crate) async fn open(&self, policies: Policies) -> Result<Pens> {
        Ok(Pens::open(&self.0, policies).await?)
    }
}
