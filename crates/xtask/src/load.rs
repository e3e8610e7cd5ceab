//! `cargo xtask bench load` and `hostile`: the server as its clients find it, beside peers and beside
//! attackers, from one command.

use std::process::Command;

use anyhow::Result;

use crate::npm;
use crate::process::Shell;
use crate::setup::{self, Tool};
use crate::workspace;

/// The load generator, the least server to compare with, and who attacks.
const PROGRAMS: &str = "--bin penholder-load --bin penholder-bare --bin penholder-hostile";

/// Measure the server under load, beside peers, with thousands of real connections.
///
/// Builds what is needed with optimisations, starts a fresh server for each scenario, prints a table
/// and writes a report with plots. Needs Linux, and 10 200 open files for the full size.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Scenarios: idle, storm, fanout, desk, reconnect; all when none is named.\n\
                        Example: cargo xtask bench load storm --quick --peer bare --peer socketio"
)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Fewer clients and shorter spans: a first impression.
    #[arg(long)]
    quick: bool,
    /// What to measure beside it; may be repeated.
    #[arg(long, value_enum, value_name = "PEER", default_values_t = [Peer::Bare])]
    peer: Vec<Peer>,
    /// Arguments for `penholder-load`; its --help names them.
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Leave the server to attackers for an hour, and see whether others notice.
///
/// Well-behaved people publish, come and go, read pages; in two minutes of five attackers from other addresses
/// do everything hostile at once, drawn by a seed. Fails when somebody well-behaved loses a message or the
/// connection, or when files or memory do not come back. Needs Linux.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cargo xtask bench hostile --minutes 10 -- --seed 7")]
pub(crate) struct Siege {
    /// How long: a minute alone, a minute attacked, half a minute to recover, again and again.
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: u32,
    /// Arguments for `penholder-load`; its --help names them.
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// A server that does the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    /// The least Rust server that sends the same frames
    Bare,
    /// npm socket.io; needs Node.js
    Socketio,
}

/// Builds and measures; `facts` are shown in the report.
///
/// # Errors
///
/// Something does not build, or a run went wrong: a message was lost, a list was not right.
pub(crate) fn run(args: &Args, facts: &[(&str, String)]) -> Result<()> {
    let shell = Shell::live();
    if args.peer.contains(&Peer::Socketio) {
        setup::ensure_installed(Tool::Node, &shell)?;
        setup::ensure_installed(Tool::Packages(npm::SOCKETIO), &shell)?;
    }
    shell.run(&mut workspace::build_server(&format!("--release {PROGRAMS}")))?;
    let mut command = tool("release", &args.peer)?;
    command.args(&args.scenarios).args(args.quick.then_some("--quick"));
    report(&mut command, "report", facts)?;
    shell.run(command.args(&args.args))
}

/// Builds and attacks; `facts` are shown in the report.
///
/// # Errors
///
/// Something does not build, or attackers were noticed.
pub(crate) fn siege(args: &Siege, facts: &[(&str, String)]) -> Result<()> {
    let shell = Shell::live();
    shell.run(&mut workspace::build_server(&format!("--release {PROGRAMS}")))?;
    let mut command = tool("release", &[])?;
    command.args(["hostile", "--minutes", &args.minutes.to_string()]);
    report(&mut command, "hostile", facts)?;
    shell.run(command.args(&args.args))
}

/// Says where the report is to be written, and what it is to say beside figures.
fn report(command: &mut Command, name: &str, facts: &[(&str, String)]) -> Result<()> {
    for (name, fact) in facts {
        command.args(["--label", &format!("{name}={fact}")]);
    }
    let path = workspace::target_dir()?.join("load").join(name);
    command.arg("--json").arg(path.with_extension("json"));
    command.arg("--html").arg(path.with_extension("html"));
    Ok(())
}

/// Runs every scenario with a few clients: whether all works, not how fast.
///
/// # Errors
///
/// It does not.
pub(crate) fn smoke(shell: &Shell) -> Result<()> {
    shell.run(&mut workspace::build_server(PROGRAMS))?;
    shell.run(tool("debug", &[Peer::Bare])?.arg("--smoke"))
}

/// Returns the load generator with the servers that it is to measure.
fn tool(profile: &str, peers: &[Peer]) -> Result<Command> {
    let programs = workspace::profile_dir(profile)?;
    let mut command = Command::new(programs.join("penholder-load"));
    command.arg("--penholder").arg(programs.join("penholder"));
    for peer in peers {
        match peer {
            Peer::Bare => command.arg("--bare").arg(programs.join("penholder-bare")),
            Peer::Socketio => {
                command.arg("--socketio").arg(npm::SOCKETIO.path().join("server.mjs"))
            }
        };
    }
    Ok(command)
}
