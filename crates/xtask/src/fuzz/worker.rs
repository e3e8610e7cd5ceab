//! One process that runs a target, and what libFuzzer writes about it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long one input may take. What takes so long is found as a fault.
const INPUT_SECONDS_MAX: u32 = 10;

/// How much memory a process may take. The targets themselves hold each input to much less.
const MEMORY_MIB_MAX: u32 = 1_024;

/// How long, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) time: Duration,
    /// The seed of the first process; 0 draws one.
    pub(super) seed: u32,
}

/// How processes of a target are started.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) target: String,
    /// Inputs that were found worth keeping, here and by others.
    pub(super) kept: PathBuf,
    /// Inputs to begin with; nothing is written there.
    pub(super) committed: PathBuf,
    pub(super) dictionary: Option<PathBuf>,
    /// Inputs that broke something.
    pub(super) artifacts: PathBuf,
    pub(super) limits: Limits,
}

/// What a process has to tell.
#[derive(Debug)]
pub(super) struct Event {
    /// The place of its target, and which of the target's processes it is.
    pub(super) of: (usize, u32),
    pub(super) news: News,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// How far it is.
    Progress(Progress),
    /// It is over: nothing was found, or what was.
    Ended(Option<Fault>),
}

/// What a process has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) execs: u64,
    /// Edges of the code that were taken.
    pub(super) edges: u64,
    /// Inputs that each take another way through the code.
    pub(super) inputs: u64,
}

/// What broke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// What the target or libFuzzer says of it.
    pub(super) cause: Vec<String>,
    /// Where the input is.
    pub(super) input: Option<PathBuf>,
    pub(super) log: PathBuf,
}

impl Worker {
    /// Starts a process, which tells `news` how it goes.
    ///
    /// # Errors
    ///
    /// It cannot be started, or a directory that it needs not be made.
    pub(super) fn start(&self, dir: &Path, of: (usize, u32), news: &Sender<Event>) -> Result<()> {
        for needed in [&self.kept, &self.artifacts] {
            fs::create_dir_all(needed)
                .with_context(|| format!("cannot create {}", needed.display()))?;
        }
        let log = self.artifacts.join(format!("log-{}", of.1));
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = self.command(dir, of.1);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = child.spawn().with_context(|| format!("cannot start fuzz-{}", self.target))?;
        let news = news.clone();
        thread::spawn(move || {
            let news = |it| news.send(Event { of, news: it }).is_ok();
            let fault = follow(child, file, &mut |progress| news(News::Progress(progress)));
            news(News::Ended(fault.map(|fault| Fault { log, ..fault })))
        });
        Ok(())
    }

    fn command(&self, dir: &Path, nth: u32) -> Command {
        let mut command = Command::new(dir.join(format!("fuzz-{}", self.target)));
        let Limits { time, seed } = self.limits;
        let seed = if seed == 0 { 0 } else { seed.wrapping_add(nth) };
        command.args([
            format!("-max_total_time={}", time.as_secs()),
            format!("-seed={seed}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            format!("-artifact_prefix={}/", self.artifacts.display()),
            "-print_final_stats=1".to_owned(),
        ]);
        command.args(self.dictionary.iter().map(|path| format!("-dict={}", path.display())));
        command.args([&self.kept, &self.committed]);
        // One line of a panic says enough; the input can be run again with all.
        command.env("RUST_BACKTRACE", "0");
        command
    }
}

/// Reads what a process writes until it ends, and keeps it; returns what broke.
fn follow(
    mut child: Child,
    mut log: File,
    tell: &mut impl FnMut(Progress) -> bool,
) -> Option<Fault> {
    let mut reading = Reading::default();
    if let Some(stderr) = child.stderr.take() {
        // Inputs are shown as bytes, which need not be text.
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // The log is for a person; without it the run is as good.
            let _ = writeln!(log, "{line}");
            if reading.line(&line) {
                tell(reading.progress);
            }
        }
    }
    match child.wait() {
        Ok(status) if status.success() => None,
        Ok(status) => {
            let mut fault = reading.fault;
            if fault.cause.is_empty() {
                fault.cause.push(status.to_string());
            }
            Some(fault)
        }
        Err(error) => Some(Fault { cause: vec![error.to_string()], ..reading.fault }),
    }
}

/// What the lines so far have said.
#[derive(Debug, Default)]
struct Reading {
    progress: Progress,
    fault: Fault,
    in_panic: bool,
}

impl Reading {
    /// Reads a line; returns whether the progress is news.
    fn line(&mut self, line: &str) -> bool {
        if line.contains("panicked at ") {
            self.in_panic = true;
        } else if line.starts_with("note: run with `RUST_BACKTRACE") || line.starts_with("==") {
            self.in_panic = false;
        }
        if let Some((_, error)) = line.split_once("ERROR: libFuzzer: ") {
            // A deadly signal is what a panic looks like from outside.
            if error != "deadly signal" {
                self.fault.cause.push(error.to_owned());
            }
        } else if self.in_panic && !line.trim().is_empty() {
            self.fault.cause.push(line.to_owned());
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.fault.input = Some(PathBuf::from(path.trim()));
        } else if let Some(execs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.progress.execs = execs.trim().parse().unwrap_or(self.progress.execs);
            return true;
        } else if let Some(status) = status(line) {
            self.progress = status;
            return true;
        }
        false
    }
}

/// Reads a status line, such as `#8192 NEW    cov: 2839 ft: 7948 corp: 233/1231b lim: 8 …`.
fn status(line: &str) -> Option<Progress> {
    let execs = line.strip_prefix('#')?.split_whitespace().next()?.parse().ok()?;
    let mut words = line.split_whitespace();
    let mut after = |name: &str| {
        words.find(|word| *word == name)?;
        words.next()?.split('/').next()?.parse().ok()
    };
    Some(Progress { execs, edges: after("cov:")?, inputs: after("corp:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_status_lines_and_the_end() {
        let mut reading = Reading::default();
        assert!(!reading.line("INFO: Seed: 1"));
        assert!(!reading.line("#2\tREAD units: 4"));
        assert!(
            reading.line("#8192\tNEW    cov: 2839 ft: 7948 corp: 233/1231b lim: 8 exec/s: 210")
        );
        assert_eq!(reading.progress, Progress { execs: 8_192, edges: 2_839, inputs: 233 });
        assert!(reading.line("stat::number_of_executed_units:     11741"));
        assert_eq!(reading.progress.execs, 11_741);
        assert_eq!(reading.fault, Fault::default());
    }

    #[test]
    fn a_panic_is_told_with_its_message_and_its_input() {
        let mut reading = Reading::default();
        for line in [
            "",
            "thread '<unnamed>' (16132) panicked at tests/fuzz/src/codec.rs:27:13:",
            "assertion `left == right` failed",
            "  left: 1",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "==16132== ERROR: libFuzzer: deadly signal",
            "0x0,0x9,",
            "artifact_prefix='/t/'; Test unit written to /t/crash-9ba8",
        ] {
            assert!(!reading.line(line), "{line}");
        }
        assert_eq!(
            reading.fault.cause,
            [
                "thread '<unnamed>' (16132) panicked at tests/fuzz/src/codec.rs:27:13:",
                "assertion `left == right` failed",
                "  left: 1",
            ]
        );
        assert_eq!(reading.fault.input, Some(PathBuf::from("/t/crash-9ba8")));
    }

    #[test]
    fn too_much_time_or_memory_is_told_as_libfuzzer_says_it() {
        let mut reading = Reading::default();
        reading.line("==5== ERROR: libFuzzer: timeout after 10 seconds");
        reading.line("artifact_prefix='./'; Test unit written to ./timeout-1");
        assert_eq!(reading.fault.cause, ["timeout after 10 seconds"]);
        assert_eq!(reading.fault.input, Some(PathBuf::from("./timeout-1")));
    }
}
