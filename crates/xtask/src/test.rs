//! `cargo xtask test` and `cargo xtask lint`: the chosen steps, one after the other, and a summary
//! that tells which failed and why.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use crate::disk;
use crate::process::Shell;
use crate::setup::{self, Tool};
use crate::steps::Step;
use crate::workspace;

/// How much of a failed step's output the summary repeats.
const TAIL_LINES: usize = 40;

/// Install what is missing where possible, then run every test, lint and check.
///
/// A failed step does not stop the others; the summary at the end shows the last lines of each
/// that failed, and where all of its output is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps; all when none is named.
    #[arg(value_enum, value_name = "STEP")]
    steps: Vec<Step>,
    /// Leave this step out; may be given more than once.
    #[arg(long, value_enum, value_name = "STEP", hide_possible_values = true)]
    skip: Vec<Step>,
    /// List the steps in their order, and run none.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    seeds: Seeds,
}

/// Which seeds the simulation runs, alone and with its progress; what a failure prints to be replayed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Seeds {
    /// How many seeds the simulation runs.
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// The first seed of the simulation.
    #[arg(long, value_name = "SEED")]
    pub(crate) from: Option<u64>,
    /// Tell everything that happens in the one seed that --from names, for somebody who looks for a fault.
    #[arg(long, requires = "from", conflicts_with = "seeds")]
    pub(crate) story: bool,
}

/// Runs the chosen steps.
///
/// # Errors
///
/// No step is left to run, or the output cannot be kept; a failed step is in the exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in Step::value_variants() {
            println!("{:<12} {}", step.name(), step.summary());
        }
        return Ok(ExitCode::SUCCESS);
    }
    run_steps(&chosen(&args.steps, &args.skip), args.seeds)
}

/// Runs the steps that need no test to run: formatting, house rules, Clippy and its JavaScript peer.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn lint() -> Result<ExitCode> {
    run_steps(&[Step::Fmt, Step::Rules, Step::JsLint, Step::Clippy], Seeds::default())
}

/// Returns the steps to run, each once, in their own order and not the command line's.
fn chosen(named: &[Step], skipped: &[Step]) -> Vec<Step> {
    let wanted = |step: &Step| named.is_empty() || named.contains(step);
    let all = Step::value_variants().iter().copied();
    all.filter(|step| wanted(step) && !skipped.contains(step)).collect()
}

fn run_steps(steps: &[Step], seeds: Seeds) -> Result<ExitCode> {
    ensure!(!steps.is_empty(), "no step is left to run");
    let mut report = Report::default();
    let mut lacking = Vec::new();
    report.add("setup", "What the steps need, installed where possible", |shell| {
        lacking = install(steps, shell);
        let names: Vec<String> = lacking.iter().map(|(tool, _)| tool.name()).collect();
        ensure!(names.is_empty(), "missing: {}", names.join(", "));
        let scarce = disk::warning(&workspace::target_dir()?);
        if let Some(warning) = &scarce {
            shell.say(warning);
        }
        Ok(scarce)
    })?;
    for step in steps {
        report.add(&step.name(), &step.summary(), |shell| {
            if let Some((_, why)) = lacking.iter().find(|(tool, _)| step.tools().contains(tool)) {
                bail!("{why}");
            }
            step.run(shell, seeds)
        })?;
    }
    print!("\n{}", report.text());
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the steps need; returns the tools that are still missing, with the reason.
fn install(steps: &[Step], shell: &Shell) -> Vec<(Tool, String)> {
    let mut lacking = Vec::new();
    for tool in Tool::ALL {
        let needed = steps.iter().any(|step| step.tools().contains(&tool));
        if needed && let Err(error) = setup::ensure_installed(tool, shell) {
            let why = format!("{error:#}");
            shell.say(&why);
            lacking.push((tool, why));
        }
    }
    lacking
}

/// What came of all steps.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    step: String,
    took: Duration,
    /// When passed, what could not be looked at.
    result: Result<Option<String>, Failure>,
}

#[derive(Debug)]
struct Failure {
    cause: String,
    log: String,
    tail: Vec<String>,
}

impl Report {
    /// Announces, does, times and records a step.
    fn add(
        &mut self,
        name: &str,
        summary: &str,
        work: impl FnOnce(&Shell) -> Result<Option<String>>,
    ) -> Result<()> {
        let log = workspace::target_dir()?.join(format!("xtask/{name}.log"));
        let shell = Shell::logged(log.clone())?;
        println!("\n==> {name}: {summary}");
        let start = Instant::now();
        let result = work(&shell);
        let took = start.elapsed();
        let verdict = if result.is_ok() { "passed" } else { "failed" };
        println!("<== {name} {verdict} in {:.1} s", took.as_secs_f64());
        let result = result.map_err(|error| Failure {
            cause: format!("{error:#}"),
            log: workspace::shown(&log),
            tail: shell.tail(TAIL_LINES),
        });
        self.rows.push(Row { step: name.to_owned(), took, result });
        Ok(())
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.result.is_err()).count()
    }

    /// Returns the failures with their causes, the table, and the counts alone on the last line.
    fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            if let Err(failure) = &row.result {
                text += &format!("---- {} failed; all of it is in {}\n", row.step, failure.log);
                for line in &failure.tail {
                    text += &format!("  | {line}\n");
                }
                text += &format!("  cause: {}\n\n", failure.cause);
            }
        }
        text += &format!("{:<12} {:<8} {:>8}\n", "step", "result", "seconds");
        for row in &self.rows {
            let (result, note) = match &row.result {
                Ok(None) => ("passed", ""),
                Ok(Some(note)) => ("passed", note.as_str()),
                Err(_) => ("FAILED", ""),
            };
            let seconds = row.took.as_secs_f64();
            let line = format!("{:<12} {result:<8} {seconds:>8.1}  {note}", row.step);
            text += line.trim_end();
            text.push('\n');
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        let total = total.as_secs_f64();
        text += &format!("{:<12} {:<8} {total:>8.1}\n\n", "all", "");
        let failed = self.failed();
        text + &format!("{} passed, {failed} failed\n", self.rows.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: &str, result: Result<Option<String>, Failure>) -> Row {
        Row { step: step.to_owned(), took: Duration::from_millis(1500), result }
    }

    #[test]
    fn steps_keep_their_own_order() {
        let steps = chosen(&[Step::E2e, Step::Fmt, Step::Fmt], &[]);
        assert_eq!(steps, [Step::Fmt, Step::E2e]);
    }

    #[test]
    fn skipped_steps_are_left_out_of_all_and_of_the_named() {
        assert!(!chosen(&[], &[Step::Deny]).contains(&Step::Deny));
        assert!(chosen(&[Step::Deny], &[Step::Deny]).is_empty());
    }

    #[test]
    fn summary_ends_with_the_counts_alone_on_their_line() {
        let report = Report { rows: vec![row("fmt", Ok(None)), row("clippy", Ok(None))] };
        assert_eq!(
            report.text(),
            "step         result    seconds\n\
             fmt          passed        1.5\n\
             clippy       passed        1.5\n\
             all                        3.0\n\
             \n\
             2 passed, 0 failed\n"
        );
    }

    #[test]
    fn summary_repeats_the_end_and_the_cause_of_a_failure() {
        let failure = Failure {
            cause: "`cargo clippy` failed (exit status: 101)".to_owned(),
            log: "target/xtask/clippy.log".to_owned(),
            tail: vec!["error: unused variable".to_owned()],
        };
        let report = Report { rows: vec![row("fmt", Ok(None)), row("clippy", Err(failure))] };
        let text = report.text();
        assert!(text.starts_with(
            "---- clippy failed; all of it is in target/xtask/clippy.log\n  \
             | error: unused variable\n  \
             cause: `cargo clippy` failed (exit status: 101)\n"
        ));
        assert!(text.contains("clippy       FAILED"));
        assert!(text.ends_with("\n1 passed, 1 failed\n"));
    }

    #[test]
    fn note_of_a_passed_step_is_shown_beside_it() {
        let note = "advisories not checked".to_owned();
        let report = Report { rows: vec![row("deny", Ok(Some(note)))] };
        assert!(report.text().contains("1.5  advisories not checked\n"));
    }
}
