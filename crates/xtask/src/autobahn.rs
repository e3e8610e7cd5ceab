//! `cargo xtask autobahn`: the Autobahn test suite against the gateway's own sockets.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::{self, Shell};
use crate::workspace;

/// The suite, as the package index has it.
const SUITE: &str = "autobahntestsuite==25.10.1";

/// Names the server in the suite's report.
const AGENT: &str = "penholder";

/// How many cases the suite has, but for those of compression, which the gateway does not offer.
const CASES: usize = 301;

/// Cases that send a message in more than 16 fragments: the gateway closes with 1009, by design.
const OVER_BOUND: [&str; 17] = [
    "6.2.3", "6.3.2", "9.3.1", "9.3.2", "9.3.3", "9.3.4", "9.3.5", "9.3.6", "9.3.7", "9.4.1",
    "9.4.2", "9.4.3", "9.4.4", "9.4.5", "9.4.6", "9.4.7", "10.1.1",
];

/// Prints what the report says of each case, with the code that the server closed with.
const PRINT_REPORT: &str = "import json, sys\n\
    for case, found in json.load(open(sys.argv[1]))[sys.argv[2]].items():\n\
    \x20   print(';'.join(str(found[key]) if key else case for key in \
    ('', 'behavior', 'behaviorClose', 'remoteCloseCode')))";

/// Run the Autobahn test suite for RFC 6455; needs Python 2.7 with pip.
///
/// No part of `cargo xtask test`, as few systems have that Python any more. What the test run shows
/// of RFC 6455 is in tests/e2e/conformance.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Python 2.7 that runs the suite.
    #[arg(long, value_name = "PROGRAM", default_value = "python2.7")]
    python: PathBuf,
}

/// Installs the suite below the target directory, runs it, and judges its report.
///
/// # Errors
///
/// Something is missing or does not build; a case that fails is in the exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let place = workspace::target_dir()?.join("autobahn");
    fs::create_dir_all(place.join("state"))?;
    let shell = Shell::live();
    let suite = place.join("bin/wstest");
    if !suite.exists() {
        let mut pip = in_place(&args.python, &place);
        shell.run(pip.args(["-m", "pip", "install", "--quiet", "--user", SUITE]))?;
    }
    shell.run(&mut workspace::build_echo())?;

    let echo = Echo::start(&place.join("state"))?;
    let spec = format!(
        r#"{{"outdir": "{}", "servers": [{{"agent": "{AGENT}", "url": "{}"}}],
        "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {{}}}}"#,
        place.join("report").display(),
        echo.url,
    );
    let spec_file = place.join("spec.json");
    fs::write(&spec_file, spec)?;
    let mut wstest = in_place(&suite, &place);
    shell.run(wstest.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec_file))?;
    drop(echo);

    let index = place.join("report/index.json");
    let mut print = in_place(&args.python, &place);
    let report = process::output(print.args(["-c", PRINT_REPORT]).arg(index).arg(AGENT))?;
    judge(&report, &place.join("report/index.html"))
}

/// A command for which packages are installed in `place`.
fn in_place(program: &Path, place: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("PYTHONUSERBASE", place);
    command
}

/// A running echo; killed when dropped.
struct Echo {
    child: Child,
    url: String,
}

impl Echo {
    fn start(state: &Path) -> Result<Self> {
        let program = workspace::profile_dir("debug")?.join("examples/echo");
        let mut child = Command::new(program).arg(state).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut echo = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ");
        url.with_context(|| format!("the echo says {line:?}"))?.clone_into(&mut echo.url);
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// Passed, though the fault could have been found earlier.
    NonStrict,
    /// The standard leaves it open.
    Informational,
    /// More fragments than we take, and told so.
    OverBound,
    Failed,
}

fn verdict(case: &str, behavior: &str, close: &str, code: &str) -> Verdict {
    match (behavior, close) {
        _ if OVER_BOUND.contains(&case) && code == "1009" => Verdict::OverBound,
        ("OK", "OK") => Verdict::Passed,
        ("NON-STRICT", "OK") => Verdict::NonStrict,
        ("INFORMATIONAL", _) => Verdict::Informational,
        _ => Verdict::Failed,
    }
}

fn judge(report: &str, page: &Path) -> Result<ExitCode> {
    let mut verdicts = Vec::new();
    for line in report.lines() {
        let words: Vec<_> = line.split(';').collect();
        let [case, behavior, close, code] = words[..] else { continue };
        let verdict = verdict(case, behavior, close, code);
        if verdict != Verdict::Passed {
            println!("{case:<8} {verdict:?}: {behavior}, close {close}, code {code}");
        }
        verdicts.push(verdict);
    }
    ensure!(verdicts.len() == CASES, "{} cases in the report, not {CASES}", verdicts.len());
    let count = |of| verdicts.iter().filter(|verdict| **verdict == of).count();
    println!(
        "{} passed, {} non-strict, {} informational, {} over the bound of fragments, {} failed: {}",
        count(Verdict::Passed),
        count(Verdict::NonStrict),
        count(Verdict::Informational),
        count(Verdict::OverBound),
        count(Verdict::Failed),
        workspace::shown(page),
    );
    let has_failed = verdicts.contains(&Verdict::Failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_with_1009_excuses_a_case_over_the_bound() {
        assert_eq!(verdict("9.3.1", "FAILED", "FAILED", "1009"), Verdict::OverBound);
        assert_eq!(verdict("9.3.1", "FAILED", "FAILED", "1002"), Verdict::Failed);
        assert_eq!(verdict("9.3.9", "FAILED", "FAILED", "1009"), Verdict::Failed);
    }

    #[test]
    fn an_answer_with_a_wrong_close_has_failed() {
        assert_eq!(verdict("1.1.1", "OK", "OK", "1000"), Verdict::Passed);
        assert_eq!(verdict("1.1.1", "OK", "WRONG CODE", "1002"), Verdict::Failed);
        assert_eq!(verdict("6.4.3", "NON-STRICT", "OK", "1007"), Verdict::NonStrict);
        assert_eq!(verdict("1.1.1", "UNIMPLEMENTED", "OK", "None"), Verdict::Failed);
    }

    #[test]
    fn a_report_that_lacks_cases_is_none() {
        assert!(judge("1.1.1;OK;OK;1000", Path::new("report")).is_err());
    }
}
