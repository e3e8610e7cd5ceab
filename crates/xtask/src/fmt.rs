//! `cargo xtask fmt`: formats everything.

use std::process::ExitCode;

use anyhow::Result;

use crate::npm;
use crate::process::Shell;
use crate::setup::{self, Tool};
use crate::workspace;

/// Formats the Rust and the JavaScript code.
///
/// # Errors
///
/// A formatter is missing or does not understand a file.
pub(crate) fn run() -> Result<ExitCode> {
    let shell = Shell::live();
    for tool in [Tool::Rustfmt, Tool::Node, Tool::Packages(npm::CLIENT)] {
        setup::ensure_installed(tool, &shell)?;
    }
    shell.run_each([
        workspace::cargo("fmt --all"),
        npm::CLIENT.npm("run format"),
        npm::E2E.npm("run format --if-present"),
    ])?;
    Ok(ExitCode::SUCCESS)
}
