//! `cargo xtask bench`: the micro-benchmarks, with what one must know to compare their figures.

use std::fs;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::Result;

use crate::process::{self, Shell};
use crate::workspace;

/// Run the criterion micro-benchmarks, optimised.
///
/// Prints commit, compiler and machine first, as figures mean little without. Criterion compares
/// with the run before.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cargo xtask bench presence --quick -- merge")]
pub(crate) struct Args {
    /// Benchmark targets to run, files of benches/benches; all when none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Measure for a short time only: a first impression.
    #[arg(long)]
    quick: bool,
    /// Arguments for criterion, such as the start of a benchmark's name.
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Runs the benchmarks.
///
/// # Errors
///
/// They do not build, or one fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let rustc = process::output(Command::new("rustc").arg("--version"))?;
    println!("penholder {} {}", env!("CARGO_PKG_VERSION"), commit());
    println!("compiler  {rustc}");
    println!("machine   {}", machine());
    Shell::live().run(&mut command(args))?;
    Ok(ExitCode::SUCCESS)
}

fn command(args: &Args) -> Command {
    let mut command = workspace::cargo("bench --package penholder-benches");
    if args.names.is_empty() {
        // All targets of the kind: the library's own test harness would not know criterion's flags.
        command.args(["--bench", "*"]);
    }
    for name in &args.names {
        command.args(["--bench", name]);
    }
    command.arg("--").args(args.quick.then_some("--quick")).args(&args.args);
    command
}

/// Returns the commit and whether the tree differs from it, or that it is unknown.
pub(crate) fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--always", "--dirty", "--exclude=*"]);
    process::output(&mut git).unwrap_or_else(|_| "(no commit)".to_owned())
}

/// Returns processor, cores, memory and kernel, as far as the system tells.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor").to_owned();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or("unknown").to_owned();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = process::output(Command::new("uname").arg("-sr")).unwrap_or_default();
    format!("{cpu}, {cores} cores, memory {memory}, {kernel}")
}

/// Returns the value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) =
        text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_benches_and_criterion_arguments_are_forwarded() {
        let args = Args {
            names: vec!["presence".to_owned()],
            quick: true,
            args: vec!["merge".to_owned()],
        };
        let command = command(&args);
        let words: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        assert!(words.ends_with(&["--bench", "presence", "--", "--quick", "merge"]));
    }

    #[test]
    fn field_is_found_by_its_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: Some CPU @ 2.0 GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2.0 GHz"));
        assert_eq!(field(text, "name"), None);
    }
}
