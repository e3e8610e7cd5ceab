//! Directories that end with their test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use anyhow::Result;

/// A directory that is removed when dropped, if it is the test's own.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    is_own: bool,
}

impl Directory {
    /// Creates an empty one.
    ///
    /// # Errors
    ///
    /// The system's directory for such things cannot be written.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("penholder-test-{}-{}-{count}", std::process::id(), since.as_nanos());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self { path, is_own: true })
    }

    /// That of another, which is left as it is.
    #[must_use]
    pub fn borrowed(path: PathBuf) -> Self {
        Self { path, is_own: false }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_own && Path::exists(&self.path) {
            // What cannot be removed lies in the system's directory for such things.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}
