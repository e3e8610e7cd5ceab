//! The Python programs of the test run: Schemathesis, with everything it needs pinned, below the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process::{self, Shell};
use crate::workspace;

/// What is installed, by name and version.
const REQUIREMENTS: &str = "tests/api/requirements.txt";

/// Returns where Schemathesis is, or will be.
///
/// # Errors
///
/// The target directory cannot be told.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    Ok(place()?.join("bin/schemathesis"))
}

/// Checks that what the requirements name is installed.
///
/// # Errors
///
/// It is not, or other versions are.
pub(crate) fn find() -> Result<()> {
    let wanted = fs::read(workspace::root().join(REQUIREMENTS))?;
    let installed = fs::read(note()?).is_ok_and(|installed| installed == wanted);
    ensure!(installed, "what {REQUIREMENTS} names is not installed");
    process::output(Command::new(schemathesis()?).arg("--version")).map(drop)
}

/// Installs what the requirements name, and nothing else.
///
/// # Errors
///
/// Python or the package index is missing.
pub(crate) fn install(shell: &Shell) -> Result<()> {
    let (place, requirements) = (place()?, workspace::root().join(REQUIREMENTS));
    shell.run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let mut pip = Command::new(place.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]);
    shell.run(pip.arg(&requirements))?;
    // Last, so that an installation that was cut off does not count.
    fs::copy(&requirements, note()?)?;
    Ok(())
}

fn place() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("schemathesis"))
}

/// What was installed.
fn note() -> Result<PathBuf> {
    Ok(place()?.join("installed.txt"))
}
