//! Rules about crates: their direction, and what those without I/O may not use.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use super::read;
use crate::process;
use crate::workspace;

/// What each crate may depend on among ours. `tests` and `benches` may use anything and are not
/// here; nobody may depend on them, on `gateway`, `client` or `load`.
const DIRECTION: [(&str, &[&str]); 10] = [
    ("presence", &[]),
    ("lease", &[]),
    ("protocol", &[]),
    ("hub", &["presence", "lease", "protocol"]),
    ("ticket", &["lease"]),
    ("desk", &["lease", "ticket"]),
    ("client", &["protocol"]),
    ("gateway", &["presence", "lease", "hub", "protocol", "ticket", "desk"]),
    ("load", &["protocol"]),
    ("xtask", &[]),
];

/// The crates that never read a clock, draw a random number, spawn, await or touch a socket.
const NO_IO: [&str; 5] = ["presence", "lease", "ticket", "hub", "protocol"];

/// What would let such a crate do it: runtimes, sockets, randomness.
const RUNTIMES: [&str; 12] = [
    "async-executor",
    "async-io",
    "async-std",
    "fastrand",
    "futures-executor",
    "getrandom",
    "mio",
    "rand",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
];

const PREFIX: &str = "penholder-";

/// Checks every crate; returns what is wrong.
///
/// # Errors
///
/// Cargo does not understand the workspace, or a file cannot be read.
pub(super) fn check() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    let workspace_lints = read(&workspace::root().join("clippy.toml"))?;
    for name in names()? {
        // Development dependencies are left out: tests may use what they like.
        let mut tree = workspace::cargo("tree --edges normal,build --target all --all-features");
        tree.args(["--prefix", "depth", "--package", &format!("{PREFIX}{name}")]);
        let tree = process::output(&mut tree)?;
        violations.extend(direction(&name, &tree));
        if NO_IO.contains(&name.as_str()) {
            violations.extend(runtimes(&name, &tree));
            let path = format!("crates/{name}/clippy.toml");
            let lints = fs::read_to_string(workspace::root().join(&path)).unwrap_or_default();
            if !lints.starts_with(&workspace_lints) {
                violations.push(format!(
                    "{path}: must begin with all of the workspace's clippy.toml, as Clippy reads \
                     only the nearest"
                ));
            }
        }
    }
    Ok(violations)
}

/// Returns the names of the directories in `crates`, in order.
fn names() -> Result<BTreeSet<String>> {
    let dir = workspace::root().join("crates");
    fs::read_dir(&dir)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("cannot read {}", dir.display()))
        .map(|entries| {
            let crates = entries.iter().filter(|entry| entry.path().join("Cargo.toml").is_file());
            crates.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
}

/// Returns the dependencies on ours that a crate may not have.
fn direction(name: &str, tree: &str) -> Vec<String> {
    let Some((_, allowed)) = DIRECTION.iter().find(|(row, _)| *row == name) else {
        return vec![format!("crates/{name}: the house rules do not say what it may depend on")];
    };
    dependencies(tree)
        .filter(|(depth, _)| *depth == 1)
        .filter_map(|(_, dependency)| dependency.strip_prefix(PREFIX))
        .filter(|dependency| !allowed.contains(dependency))
        .map(|dependency| format!("crates/{name}: must not depend on crates/{dependency}"))
        .collect()
}

/// Returns what a crate without I/O uses, also through others, and may not.
fn runtimes(name: &str, tree: &str) -> Vec<String> {
    let used: BTreeSet<&str> = dependencies(tree).map(|(_, dependency)| dependency).collect();
    RUNTIMES
        .iter()
        .filter(|runtime| used.contains(*runtime))
        .map(|runtime| format!("crates/{name}: has no I/O and must not depend on {runtime}"))
        .collect()
}

/// Reads the lines of `cargo tree --prefix depth`, such as `1serde v1.0.229`: depth and name.
fn dependencies(tree: &str) -> impl Iterator<Item = (usize, &str)> {
    tree.lines().filter_map(|line| {
        let name = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let depth = line[..line.len() - name.len()].parse().ok()?;
        Some((depth, name.split_whitespace().next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_may_use_presence_and_presence_may_not_use_hub() {
        let tree = "0penholder-hub v0.1.0 (/x)\n1penholder-presence v0.1.0 (/x)\n2serde v1.0.229\n";
        assert!(direction("hub", tree).is_empty());
        let tree = "0penholder-presence v0.1.0 (/x)\n1penholder-hub v0.1.0 (/x)\n";
        assert_eq!(direction("presence", tree), ["crates/presence: must not depend on crates/hub"]);
    }

    #[test]
    fn what_a_dependency_uses_is_its_own_affair() {
        let tree = "0penholder-gateway v0.1.0\n1penholder-hub v0.1.0\n2penholder-client v0.1.0\n";
        assert!(direction("gateway", tree).is_empty());
    }

    #[test]
    fn new_crate_needs_a_row() {
        assert_eq!(direction("billing", "0penholder-billing v0.1.0\n").len(), 1);
    }

    #[test]
    fn runtime_is_found_at_any_depth() {
        let tree = "0penholder-hub v0.1.0\n1bytes v1.12.1\n1gossip v0.1.0\n12tokio v1.54.1 (*)\n";
        assert_eq!(runtimes("hub", tree), ["crates/hub: has no I/O and must not depend on tokio"]);
        assert!(runtimes("hub", "0penholder-hub v0.1.0\n1tokio-like v1.0.0\n").is_empty());
    }
}
