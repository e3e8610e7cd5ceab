//! Where things are, and the cargo commands that several tasks share.
//!
//! # One set of features
//!
//! Cargo unites the features of the packages that one command selects, so `-p penholder-gateway`
//! and `--workspace` compile some dependencies twice, and all that stands on them. Every command
//! here selects the whole workspace and narrows by *target* (`--bin`, `--test`, `--example`)
//! instead: what one step has compiled, the next one reuses.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result};

/// The optional cargo feature that derives TypeScript types, in the syntax that fits `--workspace`.
const TYPESCRIPT: &str = "penholder-protocol/typescript";

/// The one that gives the gateway an echo.
const ECHO: &str = "penholder-gateway/echo";

/// The one that lets the gateway send traces.
pub(crate) const OTLP: &str = "penholder-gateway/otlp";

/// What cargo has to be told to select the simulation: optimised, with traps that can be put back.
pub(crate) const SIMULATION: &str = "--config .cargo/simulation.toml --workspace \
     --features penholder-tests/traps --test simulation";

/// Returns the root of the repository: of the one in which `cargo run` was called, since a program that another checkout
/// has compiled into the same target directory counts as fresh.
pub(crate) fn root() -> &'static Path {
    static MANIFEST_DIR: LazyLock<PathBuf> = LazyLock::new(|| {
        let compiled = || OsString::from(env!("CARGO_MANIFEST_DIR"));
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled))
    });
    MANIFEST_DIR.ancestors().nth(2).unwrap_or(&MANIFEST_DIR)
}

/// Returns a cargo command that runs in the root, with the arguments in `line`, split at spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(line.split_whitespace());
    command
}

/// Returns the command that builds the server, and with it the targets in `others`.
pub(crate) fn build_server(others: &str) -> Command {
    cargo(&format!("build --workspace --bin penholder {others}"))
}

/// Returns the command that builds the program that prints the TypeScript types.
pub(crate) fn build_typescript_printer() -> Command {
    cargo(&format!("build --workspace --features {TYPESCRIPT} --example typescript"))
}

/// Returns the command that builds the echo over the gateway's sockets.
pub(crate) fn build_echo() -> Command {
    cargo(&format!("build --workspace --features {ECHO} --example echo"))
}

/// Returns the directory that holds what a profile builds, `debug` or `release`.
///
/// It is beside the running program, which cargo has put there: right for every way of telling
/// cargo about another target directory.
///
/// # Errors
///
/// The operating system does not tell where the running program is.
pub(crate) fn profile_dir(profile: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join(profile))
}

/// Returns cargo's target directory.
///
/// # Errors
///
/// As [`profile_dir`].
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program is")?;
    let dir = program.ancestors().nth(2).context("this program was not started by cargo")?;
    Ok(dir.to_owned())
}

/// Returns a path as a person in the root would type it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
