//! A directory for one test, removed at its end.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// An empty directory that lives as long as this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Creates the directory; `test` names the caller and is used once per process.
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("penholder-xtask-{}-{test}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// Returns where the directory is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates an empty file, and the directories it is in.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind at worst, in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.path);
    }
}
