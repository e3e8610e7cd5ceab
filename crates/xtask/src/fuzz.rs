//! `cargo xtask fuzz`: libFuzzer on the targets of `tests/fuzz`.
//!
//! The targets are built on the stable compiler: what libFuzzer needs are counters and traced
//! comparisons, which LLVM adds under flags that are stable, and its own code, which the crate
//! `libfuzzer-sys` brings along. Sanitizers would need another compiler; there is no unsafe code here
//! for them to look at.

mod report;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use self::report::Report;
use self::worker::{Limits, Worker};
use crate::process::{self, Shell};
use crate::setup::{self, Tool};
use crate::workspace::{self, cargo};

/// Where the targets are, relative to the root.
const PACKAGE: &str = "tests/fuzz";

/// What libFuzzer looks at: which edges of the code an input takes, and what it is compared with.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// How long each target runs in the test run.
const SHORT: Duration = Duration::from_secs(10);

/// Let libFuzzer look for bytes from outside that break a promise.
///
/// Builds the targets of tests/fuzz, runs each for a while from its committed corpus, and ends with a
/// table. New inputs are kept in target/fuzz/corpus, and the next run goes on from there. An input that
/// breaks something is kept too, and the command that repeats it is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz                         every target for a minute
  cargo xtask fuzz replica --time 1h       one target for an hour, on all cores
  cargo xtask fuzz frame --replay FILE     one input, with what it is and where it breaks")]
pub(crate) struct Args {
    /// Targets to run; all when none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs: 30s, 5m, 1h.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    time: Duration,
    /// Processes at once, all cores by default; several of one target share what they find.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seed of what is drawn, for the same run once more; drawn itself by default.
    #[arg(long, value_name = "SEED")]
    seed: Option<u32>,
    /// List the targets, and run none.
    #[arg(long)]
    list: bool,
    /// Run the named target on this input alone.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    replay: Option<PathBuf>,
    /// Write the seeds of the committed corpus anew, from what the code says now, and run nothing.
    #[arg(long, conflicts_with_all = ["list", "replay"])]
    seeds: bool,
}

/// A target, found by its program's source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    summary: String,
}

/// Runs the chosen targets, or does what else was asked for.
///
/// # Errors
///
/// They do not build, or there is no such target; what is broken is in the exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let all = targets(&workspace::root().join(PACKAGE).join("targets"))?;
    if args.list {
        for Target { name, summary } in all {
            println!("{name:<12} {summary}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let shell = Shell::live();
    if args.seeds {
        return write_seeds(&shell).map(|()| ExitCode::SUCCESS);
    }
    let chosen = chosen(all, &args.targets)?;
    setup::ensure_installed(Tool::CxxCompiler, &shell)?;
    if let Some(input) = &args.replay {
        let [target] = &chosen[..] else { bail!("--replay wants one target") };
        return replay(&shell, target, input);
    }
    let dir = build(&shell)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(cores).max(1);
    let limits = Limits { time: args.time, seed: args.seed.unwrap_or_default() };
    let report = fuzz(&chosen, (&dir, jobs), &|target| Worker {
        kept: fuzz_dir("corpus", &target.name),
        ..worker(target, limits)
    })?;
    print!("\n{}", report.text());
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every target for some seconds, always from the same corpus and the same seed.
///
/// # Errors
///
/// The targets do not build, or one breaks; the message has the commands that repeat it.
pub(crate) fn short(shell: &Shell) -> Result<()> {
    let all = targets(&workspace::root().join(PACKAGE).join("targets"))?;
    let dir = build(shell)?;
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(all.len());
    let limits = Limits { time: SHORT, seed: 1 };
    let report = fuzz(&all, (&dir, jobs), &|target| {
        let kept = fuzz_dir("short", &target.name);
        // What an earlier run has found would make this one another.
        let _ = fs::remove_dir_all(&kept);
        Worker { kept, ..worker(target, limits) }
    })?;
    report.text().lines().for_each(|line| shell.say(line));
    ensure!(report.is_sound(), "broken: {}", report.broken().join(", "));
    Ok(())
}

/// Returns the targets whose programs are in a directory, in the order of their names.
fn targets(dir: &Path) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for file in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let summary = text.lines().next().and_then(|line| line.strip_prefix("//! "));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        targets.push(Target { name, summary: summary.unwrap_or_default().to_owned() });
    }
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

fn chosen(mut all: Vec<Target>, named: &[String]) -> Result<Vec<Target>> {
    let names: Vec<_> = all.iter().map(|target| target.name.clone()).collect();
    if let Some(unknown) = named.iter().find(|name| !names.contains(name)) {
        bail!("there is no target `{unknown}`, only {}", names.join(", "));
    }
    all.retain(|target| named.is_empty() || named.contains(&target.name));
    Ok(all)
}

/// Builds all targets, and returns the directory that they are in.
fn build(shell: &Shell) -> Result<PathBuf> {
    let version = process::output(Command::new("rustc").arg("--version").arg("--verbose"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc --version --verbose` names no host")?;
    let dir = workspace::target_dir()?.join("fuzz/build");
    // A target is named, although it is this machine, so that the flags are not for build scripts too.
    let mut build = cargo("build --package penholder-fuzz --bins --profile fuzz");
    build.args(["--features", "targets,libfuzzer-sys/link_libfuzzer", "--target", host]);
    build.arg("--target-dir").arg(&dir).env("RUSTFLAGS", RUSTFLAGS);
    shell.run(&mut build)?;
    Ok(dir.join(host).join("fuzz"))
}

fn worker(target: &Target, limits: Limits) -> Worker {
    let package = workspace::root().join(PACKAGE);
    Worker {
        target: target.name.clone(),
        kept: PathBuf::new(),
        committed: package.join("corpus").join(&target.name),
        dictionary: Some(package.join(format!("dictionaries/{}.dict", target.name)))
            .filter(|path| path.is_file()),
        artifacts: fuzz_dir("artifacts", &target.name),
        limits,
    }
}

/// Returns where something of a target is kept between runs.
fn fuzz_dir(what: &str, target: &str) -> PathBuf {
    let dir = workspace::target_dir().unwrap_or_else(|_| workspace::root().join("target"));
    dir.join("fuzz").join(what).join(target)
}

/// Runs the targets, so many processes at once, and says from time to time how far they are.
fn fuzz(
    targets: &[Target],
    (dir, jobs): (&Path, usize),
    worker: &dyn Fn(&Target) -> Worker,
) -> Result<Report> {
    // More processes than targets: each target gets its share.
    let each = (jobs / targets.len().max(1)).max(1);
    let mut waiting: Vec<(usize, u32)> = Vec::new();
    for at in (0..targets.len()).rev() {
        waiting.extend((0..u32::try_from(each)?).rev().map(|nth| (at, nth)));
    }
    let workers: Vec<_> = targets.iter().map(worker).collect();
    let mut report = Report::new(targets.iter().map(|target| target.name.as_str()));
    let (news, inbox) = mpsc::channel();
    let mut running = 0;
    loop {
        while running < jobs
            && let Some((at, nth)) = waiting.pop()
        {
            workers[at].start(dir, (at, nth), &news)?;
            report.started(at, nth);
            running += 1;
        }
        if running == 0 {
            return Ok(report);
        }
        match inbox.recv_timeout(Duration::from_secs(1)) {
            Ok(event) => running -= usize::from(report.note(event)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("nobody is left to tell"),
        }
        report.show_progress(workers[0].limits.time);
    }
}

fn replay(shell: &Shell, target: &Target, input: &Path) -> Result<ExitCode> {
    let input = fs::canonicalize(input).with_context(|| format!("no {}", input.display()))?;
    let mut program = Command::new(build(shell)?.join(format!("fuzz-{}", target.name)));
    program.current_dir(workspace::root()).arg(&input);
    program.env("RUST_BACKTRACE", "1").env("PENHOLDER_FUZZ_SHOW", "1");
    let replayed = shell.run(&mut program);
    println!();
    match replayed {
        Ok(()) => println!("{}: nothing breaks on this input", target.name),
        Err(_) => println!("{}: still breaks on this input", target.name),
    }
    Ok(if replayed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_seeds(shell: &Shell) -> Result<()> {
    shell.run(&mut cargo("build --workspace --example seeds"))?;
    let package = workspace::root().join(PACKAGE);
    for target in targets(&package.join("targets"))? {
        let Ok(files) = fs::read_dir(package.join("corpus").join(target.name)) else { continue };
        for file in files {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("seed-") {
                fs::remove_file(file.path())?;
            }
        }
    }
    let mut program = Command::new(workspace::profile_dir("debug")?.join("examples/seeds"));
    shell.run(program.arg(package.join("corpus")))
}

/// Reads a span of time such as `90s`, `5m` or `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time; write 30s, 5m or 1h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit_s = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    // libFuzzer takes 0 for no limit.
    let seconds = number.checked_mul(unit_s).filter(|seconds| (1..=604_800).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "between 1s and 168h, please".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn spans_have_a_unit_and_a_bound() {
        let seconds = |text| span(text).map(|span| span.as_secs());
        assert_eq!((seconds("90s"), seconds("5m"), seconds("1h")), (Ok(90), Ok(300), Ok(3_600)));
        for text in ["", "60", "s", "0s", "1d", "-1s", "1.5h", "169h", "99999999999999999999s"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_the_programs_with_their_first_line() {
        let scratch = Scratch::new("fuzz-targets");
        for (name, text) in [("b.rs", "//! Second\n\nfn f() {}\n"), ("a.rs", "//! First\n")] {
            fs::write(scratch.file(name), text).unwrap();
        }
        let target =
            |name: &str, summary: &str| Target { name: name.into(), summary: summary.into() };
        let all = targets(scratch.path()).unwrap();
        assert_eq!(all, [target("a", "First"), target("b", "Second")]);
        assert_eq!(chosen(all.clone(), &["b".to_owned()]).unwrap(), all[1..]);
        let error = chosen(all, &["c".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no target `c`, only a, b");
    }

    #[test]
    fn every_target_is_told_apart_and_has_a_corpus() {
        let package = workspace::root().join(PACKAGE);
        let all = targets(&package.join("targets")).unwrap();
        assert!(!all.is_empty());
        for Target { name, summary } in all {
            assert!(!summary.is_empty(), "{name} has no first line");
            assert!(package.join("corpus").join(&name).is_dir(), "{name} has no corpus");
        }
    }
}
