//! `cargo xtask run`: the server with its console, from one command.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::npm;
use crate::process::{self, Shell};
use crate::setup::{self, Tool};
use crate::workspace;

/// Build and start Penholder in development mode, on http://127.0.0.1:4000.
///
/// Development mode listens on loopback only and hands out demo tokens. The console is built with
/// npm when its sources have changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cargo xtask run -- --listen 127.0.0.1:4100")]
pub(crate) struct Args {
    /// Build with optimisations.
    #[arg(long)]
    release: bool,
    /// Leave the console as it is; then neither Node.js nor npm is needed.
    #[arg(long)]
    no_console: bool,
    /// Arguments for `penholder run --dev`.
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// Builds what has changed, then becomes the server.
///
/// # Errors
///
/// Something is missing or does not build, or the server cannot be started.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let shell = Shell::live();
    if !args.no_console {
        setup::ensure_installed(Tool::Node, &shell)
            .and_then(|()| npm::build_console(&shell))
            .context("the console is not built (`cargo xtask run --no-console` does without)")?;
    }
    let (profile, flag) = if args.release { ("release", "--release") } else { ("debug", "") };
    shell.run(&mut workspace::build_server(flag))?;
    let mut server = Command::new(workspace::profile_dir(profile)?.join("penholder"));
    server.args(["run", "--dev"]).args(args.args);
    Err(process::replace_with(&mut server))
}
