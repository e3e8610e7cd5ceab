//! Developer commands of Penholder: `cargo xtask run`, `test`, `bench`, `fuzz` and the small ones around
//! them.
//!
//! Everything that a person, an editor or CI does with this repository goes through here, so that
//! all of them do the same. Only `anyhow` and `clap` are used: this crate compiles before any
//! other.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: printing is its output"
)]

mod autobahn;
mod bench;
mod disk;
mod files;
mod fmt;
mod fuzz;
mod load;
mod npm;
mod process;
mod python;
mod rules;
mod run;
#[cfg(test)]
mod scratch;
mod setup;
mod steps;
mod test;
mod typescript;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Penholder.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Run(run::Args),
    Test(test::Args),
    Bench(bench::Args),
    Fuzz(fuzz::Args),
    Autobahn(autobahn::Args),
    /// Check formatting, house rules and lints; runs no test
    Lint,
    /// Format the Rust and the JavaScript code
    Fmt,
    Gen(typescript::Args),
    Setup(setup::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Run(args) => run::run(args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Autobahn(args) => autobahn::run(&args),
        Task::Lint => test::lint(),
        Task::Fmt => fmt::run(),
        Task::Gen(args) => typescript::run(&args),
        Task::Setup(args) => setup::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
