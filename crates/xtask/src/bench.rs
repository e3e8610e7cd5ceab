//! `cargo xtask bench`: the benchmarks, with what one must know to compare their figures.

use std::fs;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::Result;
use clap::ValueEnum;

use crate::load;
use crate::process::{self, Shell};
use crate::workspace;

/// Run the benchmarks, optimised.
///
/// Prints commit, compiler, machine and load first, as figures mean little without. Each figure has
/// something beside it that ran in the same process; compare ratios, and instructions where they are
/// counted. docs/PERFORMANCE.md keeps the results.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:
  cargo xtask bench presence --quick -- merge  only the rows with `merge` in their name
  cargo xtask bench presence -- track/1000     at one size
  cargo xtask bench memory convergence
  cargo xtask bench load --help                the server under load, from outside
  cargo xtask bench hostile --help             the server under attack, for an hour",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Benchmarks to run; all when none is named.
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Benchmark>,
    /// Measure for a short time only: a first impression.
    #[arg(long)]
    quick: bool,
    /// Count instructions in the place of time: steady however busy the machine is. Needs valgrind;
    /// `presence` and `hub`.
    #[arg(long)]
    instructions: bool,
    /// List the benchmarks, and run none.
    #[arg(long)]
    list: bool,
    /// Only the rows of `presence` and `hub` that have one of these in their name.
    #[arg(last = true, value_name = "ROW")]
    rows: Vec<String>,
}

/// A benchmark: a file of benches/benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// The presence set and its replica: time of each operation, bytes that travel
    Presence,
    /// Bytes of memory per presence, fresh and after much has come and gone
    Memory,
    /// Time, messages and bytes until replicas agree, in virtual time
    Convergence,
    /// One shard: joins and broadcasts
    Hub,
    /// Pens on SQLite and PostgreSQL: commands a second, and how long one takes
    Pens,
    /// Tickets on SQLite and PostgreSQL: writes a second, replay, many who come back, write to screen
    Desk,
}

impl Benchmark {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn summary(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Returns whether it measures time, for which instructions can stand.
    fn counts_instructions(self) -> bool {
        matches!(self, Self::Presence | Self::Hub)
    }
}

/// Benchmarks of another kind.
#[derive(Debug, clap::Subcommand)]
enum Other {
    Load(load::Args),
    Hostile(load::Siege),
}

/// Runs the benchmarks.
///
/// # Errors
///
/// They do not build, or one fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for benchmark in Benchmark::value_variants() {
            println!("{:<12} {}", benchmark.name(), benchmark.summary());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let facts = facts()?;
    for (name, fact) in &facts {
        println!("{name:<9} {fact}");
    }
    match &args.other {
        Some(Other::Load(args)) => load::run(args, &facts)?,
        Some(Other::Hostile(args)) => load::siege(args, &facts)?,
        None => Shell::live().run(&mut command(args))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what one must know to compare figures.
fn facts() -> Result<[(&'static str, String); 3]> {
    Ok([
        ("penholder", format!("{} {}", env!("CARGO_PKG_VERSION"), commit())),
        ("compiler", process::output(Command::new("rustc").arg("--version"))?),
        ("machine", machine()),
    ])
}

fn command(args: &Args) -> Command {
    let chosen = |benchmark: &&Benchmark| {
        let is_named = args.names.is_empty() || args.names.contains(benchmark);
        is_named && (benchmark.counts_instructions() || !args.instructions)
    };
    let mut command = workspace::cargo("bench --package penholder-benches");
    for benchmark in Benchmark::value_variants().iter().filter(chosen) {
        command.args(["--bench", &benchmark.name()]);
    }
    command.arg("--").args(&args.rows);
    command.args(args.quick.then_some("--quick"));
    command.args(args.instructions.then_some("--instructions"));
    command
}

/// Returns the commit and whether the tree differs from it, or that it is unknown.
pub(crate) fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--always", "--dirty", "--exclude=*"]);
    process::output(&mut git).unwrap_or_else(|_| "(no commit)".to_owned())
}

/// Returns processor, cores, memory, kernel and load, as far as the system tells.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor").to_owned();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or("unknown").to_owned();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = process::output(Command::new("uname").arg("-sr")).unwrap_or_default();
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned();
    format!("{cpu}, {cores} cores, memory {memory}, {kernel}, load {load}")
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

    /// The words that follow the program.
    fn words(args: &Args) -> String {
        let command = command(args);
        let words: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    fn args() -> Args {
        Args {
            other: None,
            names: Vec::new(),
            quick: false,
            instructions: false,
            list: false,
            rows: Vec::new(),
        }
    }

    #[test]
    fn named_benchmarks_and_rows_are_forwarded() {
        let (names, rows) = (vec![Benchmark::Presence], vec!["merge".to_owned()]);
        let words = words(&Args { names, rows, quick: true, ..args() });
        assert!(words.ends_with("penholder-benches --bench presence -- merge --quick"), "{words}");
    }

    #[test]
    fn all_run_when_none_is_named_and_only_those_with_time_are_counted() {
        assert!(words(&args()).contains("--bench memory --bench convergence"));
        let words = words(&Args { instructions: true, ..args() });
        assert!(words.ends_with("--bench presence --bench hub -- --instructions"), "{words}");
    }

    #[test]
    fn every_benchmark_is_a_target_and_says_what_it_measures() {
        let manifest = fs::read_to_string(workspace::root().join("benches/Cargo.toml")).unwrap();
        for benchmark in Benchmark::value_variants() {
            assert!(manifest.contains(&format!("name = \"{}\"", benchmark.name())));
            assert!(!benchmark.summary().is_empty());
        }
        assert_eq!(manifest.matches("[[bench]]").count(), Benchmark::value_variants().len());
    }

    #[test]
    fn field_is_found_by_its_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: Some CPU @ 2.0 GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2.0 GHz"));
        assert_eq!(field(text, "name"), None);
    }
}
