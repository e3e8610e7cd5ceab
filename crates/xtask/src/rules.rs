//! The house rules that a machine can check and Clippy does not.
//!
//! - [`source`]: length of files, names, unfinished work, tests that do not run.
//! - [`crates`]: which crate may depend on which, and what the crates without I/O may not use.

mod crates;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::process::Shell;
use crate::workspace;

/// Checks every rule and prints each violation, with its place.
///
/// # Errors
///
/// There are violations, or something cannot be read.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let mut violations = sources()?;
    violations.extend(crates::check()?);
    for violation in &violations {
        shell.say(violation);
    }
    ensure!(violations.is_empty(), "house rules broken: {}", violations.len());
    Ok(())
}

fn sources() -> Result<Vec<String>> {
    let mut paths = Vec::new();
    files::walk(workspace::root(), &mut |path| paths.push(path.to_owned()))?;
    let mut violations = Vec::new();
    for path in paths.iter().filter(|path| path.is_file() && source::is_checked(path)) {
        let text = read(path)?;
        violations.extend(source::violations(&workspace::shown(path), &text));
    }
    Ok(violations)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
