//! Looking at the tree of files: which there are, and which is newer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// Calls `visit` with each file and directory below `dir`, in the order of their names.
///
/// What tools make is left out: directories named `node_modules`, `dist`, `target` or `target-…`,
/// and all whose name starts with a dot.
///
/// # Errors
///
/// A directory cannot be read.
pub(crate) fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) -> Result<()> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = read().with_context(|| format!("cannot read {}", dir.display()))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let made = name == "node_modules" || name == "dist" || name.starts_with("target");
            if made || name.starts_with('.') {
                continue;
            }
            visit(&path);
            walk(&path, visit)?;
        } else {
            visit(&path);
        }
    }
    Ok(())
}

/// Returns whether `result` is missing, or older than a file or directory below `sources`.
///
/// A directory counts because its time is the only trace of a file that was removed from it.
///
/// # Errors
///
/// A directory cannot be read.
pub(crate) fn is_stale(result: &Path, sources: &Path) -> Result<bool> {
    let Some(made) = modified(result) else { return Ok(true) };
    let mut stale = false;
    walk(sources, &mut |path| stale |= modified(path).is_some_and(|changed| changed > made))?;
    Ok(stale)
}

/// Returns when a file was last changed, if it is there.
pub(crate) fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::scratch::Scratch;

    /// A new directory with empty files, each as many seconds old as told.
    fn tree(test: &str, files: &[(&str, u64)]) -> Scratch {
        let scratch = Scratch::new(test);
        for (name, age_s) in files {
            age(&scratch.file(name), *age_s);
        }
        let mut dirs = Vec::new();
        let mut visit = |path: &Path| dirs.extend(path.is_dir().then(|| path.to_owned()));
        walk(scratch.path(), &mut visit).unwrap();
        dirs.iter().for_each(|dir| age(dir, 100));
        scratch
    }

    fn is_stale_in(scratch: &Scratch) -> bool {
        is_stale(&scratch.path().join("dist/index.html"), scratch.path()).unwrap()
    }

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn newer_result_is_current() {
        let tree = tree("current", &[("src/a.ts", 50), ("dist/index.html", 10)]);
        assert!(!is_stale_in(&tree));
    }

    #[test]
    fn missing_result_is_stale() {
        let tree = tree("missing", &[("src/a.ts", 50)]);
        assert!(is_stale_in(&tree));
    }

    #[test]
    fn changed_source_makes_stale() {
        let tree = tree("changed", &[("src/deep/a.ts", 5), ("dist/index.html", 10)]);
        assert!(is_stale_in(&tree));
    }

    #[test]
    fn removed_source_makes_stale() {
        let files = [("src/a.ts", 50), ("src/b.ts", 50), ("dist/index.html", 10)];
        let tree = tree("removed", &files);
        fs::remove_file(tree.path().join("src/b.ts")).unwrap();
        assert!(is_stale_in(&tree));
    }

    #[test]
    fn what_tools_make_is_not_a_source() {
        let files =
            [("a.ts", 50), ("node_modules/x.js", 1), (".cache/x", 1), ("dist/index.html", 10)];
        let tree = tree("made", &files);
        assert!(!is_stale_in(&tree));
    }
}
