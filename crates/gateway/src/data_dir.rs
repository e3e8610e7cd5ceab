//! The data directory: what this replica remembers from one life to the next.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use penholder_presence::Incarnation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why the data directory cannot be used. The operator must act; trying again helps when another
/// process is still stopping.
#[derive(Debug, Error)]
pub enum DataError {
    /// It cannot be created, read or written.
    #[error("data directory {}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Another process uses it.
    #[error("data directory {} is in use by another process; give each its own with --data", .0.display())]
    InUse(PathBuf),
    /// A file in it is not what this program wrote.
    #[error("{} is damaged; restore it, or remove it and lose what it kept", .0.display())]
    Damaged(PathBuf),
}

/// How many lives are remembered. A process that crashes in a row faster than its clients come back
/// has worse trouble than a place in line.
const LIVES_KEPT: usize = 8;

/// An opened data directory, locked against other processes until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    /// Signs resume tokens and, in development mode, demo tokens. 32 random bytes.
    pub secret: [u8; 32],
    /// This life.
    pub incarnation: Incarnation,
    /// The last lives before it, the latest last.
    pub previous: Vec<Incarnation>,
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Opens `path`, creates what is missing, and begins a new life.
    ///
    /// The new incarnation is `now_ms`, or one more than the last where the clock has gone back.
    ///
    /// # Errors
    ///
    /// [`DataError`].
    pub fn open(path: &Path, now_ms: u64) -> Result<Self, DataError> {
        std::fs::create_dir_all(path).map_err(io_error(path))?;
        let lock = lock(path)?;
        let secret = Self::read_secret(path)?;
        let kept = path.join("incarnation");
        let previous = read_incarnations(&kept)?;
        let last = previous.last().map_or(0, |Incarnation(last)| last.saturating_add(1));
        let next = now_ms.max(last);
        let lives = previous.iter().map(|Incarnation(life)| *life).chain([next]);
        let lines: Vec<String> = lives.map(|life| life.to_string()).collect();
        let from = lines.len().saturating_sub(LIVES_KEPT);
        write_whole(&kept, lines[from..].join("\n").as_bytes())?;
        let path = path.to_owned();
        Ok(Self { secret, incarnation: Incarnation(next), previous, path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place for what is kept under `name`.
    #[must_use]
    pub fn file(&self, name: &str) -> KeptFile {
        KeptFile::new(self.path.join(name))
    }

    /// Reads the secret of `path`, or makes one, without beginning a life: also while a server uses it.
    ///
    /// # Errors
    ///
    /// [`DataError`].
    pub fn read_secret(path: &Path) -> Result<[u8; 32], DataError> {
        std::fs::create_dir_all(path).map_err(io_error(path))?;
        secret(&path.join("secret"))
    }
}

/// A file of JSON that is replaced as a whole.
#[derive(Clone, Debug)]
pub struct KeptFile(PathBuf);

impl KeptFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads what is kept, if anything is.
    ///
    /// # Errors
    ///
    /// [`DataError`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, DataError> {
        match std::fs::read(&self.0) {
            Ok(content) => {
                let kept = serde_json::from_slice(&content);
                kept.map(Some).map_err(|_| DataError::Damaged(self.0.clone()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(io_error(&self.0)(cause)),
        }
    }

    /// Keeps `content` in the place of what was kept. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// [`DataError`]; then what was kept still is.
    pub fn write<T: Serialize>(&self, content: &T) -> Result<(), DataError> {
        let text =
            serde_json::to_vec(content).map_err(io::Error::from).map_err(io_error(&self.0))?;
        write_whole(&self.0, &text)
    }
}

fn lock(path: &Path) -> Result<File, DataError> {
    let file = path.join("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(io_error(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(DataError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(cause)) => Err(DataError::Io { path: file, cause }),
    }
}

fn secret(path: &Path) -> Result<[u8; 32], DataError> {
    match File::open(path) {
        Ok(mut file) => {
            let mut kept = Vec::new();
            file.read_to_end(&mut kept).map_err(io_error(path))?;
            kept.try_into().map_err(|_| DataError::Damaged(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh: [u8; 32] = rand::random();
            write_whole(path, &fresh)?;
            Ok(fresh)
        }
        Err(cause) => Err(DataError::Io { path: path.to_owned(), cause }),
    }
}

fn read_incarnations(path: &Path) -> Result<Vec<Incarnation>, DataError> {
    let damaged = || DataError::Damaged(path.to_owned());
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let parse = |line: &str| line.parse().map(Incarnation).map_err(|_| damaged());
            let lives: Vec<_> = text.lines().map(parse).collect::<Result<_, _>>()?;
            if lives.is_empty() { Err(damaged()) } else { Ok(lives) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(DataError::Io { path: path.to_owned(), cause: source }),
    }
}

/// Writes beside and renames, so that a crash leaves the old content or the new, never half of one.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), DataError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // Or a failure of power could bring the old name back.
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().map_err(io_error(path))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    move |cause| DataError::Io { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("penholder-{}", uuid::Uuid::new_v4())))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_secret_lasts_and_incarnations_grow_even_when_the_clock_goes_back() {
        let place = Place::new();
        let first = DataDirectory::open(&place.0, 1_000).unwrap();
        assert_eq!(first.incarnation, Incarnation(1_000));
        assert_eq!(first.previous, []);
        let secret = first.secret;
        drop(first);
        let second = DataDirectory::open(&place.0, 500).unwrap();
        assert_eq!(second.incarnation, Incarnation(1_001));
        assert_eq!(second.previous, [Incarnation(1_000)]);
        assert_eq!(second.secret, secret);
        drop(second);
        for start in 0..20 {
            drop(DataDirectory::open(&place.0, 5_000 + start).unwrap());
        }
        let last = DataDirectory::open(&place.0, 6_000).unwrap();
        assert_eq!(last.previous.len(), LIVES_KEPT);
        assert_eq!(last.previous.last(), Some(&Incarnation(5_019)));
    }

    #[test]
    fn a_directory_serves_one_process_at_a_time() {
        let place = Place::new();
        let held = DataDirectory::open(&place.0, 1).unwrap();
        assert!(matches!(DataDirectory::open(&place.0, 2), Err(DataError::InUse(_))));
        drop(held);
        assert!(DataDirectory::open(&place.0, 3).is_ok());
    }

    #[test]
    fn damage_is_told_not_overwritten() {
        let place = Place::new();
        drop(DataDirectory::open(&place.0, 1).unwrap());
        std::fs::write(place.0.join("secret"), b"short").unwrap();
        assert!(matches!(DataDirectory::open(&place.0, 2), Err(DataError::Damaged(_))));
    }
}
