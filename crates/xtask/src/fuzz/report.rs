//! What came of each target: shown while it runs, and at the end.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::worker::{Event, Fault, News, Progress};
use crate::workspace;

/// How often progress is shown where it cannot be written over.
const SHOWN_EVERY: Duration = Duration::from_secs(10);

/// What came of all targets.
#[derive(Debug)]
pub(super) struct Report {
    rows: Vec<Row>,
    shown_at: Instant,
}

#[derive(Debug)]
struct Row {
    target: String,
    /// By process.
    progress: BTreeMap<u32, Progress>,
    running: usize,
    started_at: Option<Instant>,
    took: Duration,
    faults: Vec<Fault>,
}

impl Report {
    pub(super) fn new<'a>(targets: impl Iterator<Item = &'a str>) -> Self {
        let row = |target: &str| Row {
            target: target.to_owned(),
            progress: BTreeMap::new(),
            running: 0,
            started_at: None,
            took: Duration::ZERO,
            faults: Vec::new(),
        };
        Self { rows: targets.map(row).collect(), shown_at: Instant::now() }
    }

    /// Notes that a process of a target was started.
    pub(super) fn started(&mut self, at: usize, nth: u32) {
        let row = &mut self.rows[at];
        row.started_at.get_or_insert_with(Instant::now);
        row.running += 1;
        row.progress.insert(nth, Progress::default());
    }

    /// Notes what a process tells; returns whether it has ended.
    pub(super) fn note(&mut self, Event { of: (at, nth), news }: Event) -> bool {
        let row = &mut self.rows[at];
        match news {
            News::Progress(progress) => {
                row.progress.insert(nth, progress);
                false
            }
            News::Ended(fault) => {
                row.running -= 1;
                row.took = row.started_at.map_or(Duration::ZERO, |started| started.elapsed());
                // Processes of one target soon find the same.
                let is_new = |fault: &Fault| {
                    fault.input.is_none()
                        || row.faults.iter().all(|other| other.input != fault.input)
                };
                row.faults.extend(fault.filter(is_new));
                true
            }
        }
    }

    /// Shows how far the running targets are: on a terminal in place, else now and then.
    pub(super) fn show_progress(&mut self, time: Duration) {
        let is_terminal = io::stdout().is_terminal();
        let period = if is_terminal { Duration::from_secs(1) } else { SHOWN_EVERY };
        if self.shown_at.elapsed() < period {
            return;
        }
        self.shown_at = Instant::now();
        let running = self.rows.iter().filter(|row| row.running > 0);
        let shown: Vec<_> = running.map(|row| row.progress_text(time)).collect();
        let line = shown.join("   ");
        let mut screen = io::stdout().lock();
        // A closed screen must not end the run.
        let _ = if is_terminal {
            write!(screen, "\r\x1b[K{line}").and_then(|()| screen.flush())
        } else {
            writeln!(screen, "{line}")
        };
    }

    /// Returns whether nothing broke.
    pub(super) fn is_sound(&self) -> bool {
        self.rows.iter().all(|row| row.faults.is_empty())
    }

    /// Returns the names of the targets that broke.
    pub(super) fn broken(&self) -> Vec<&str> {
        let broken = self.rows.iter().filter(|row| !row.faults.is_empty());
        broken.map(|row| row.target.as_str()).collect()
    }

    /// Returns what broke, with what to do about it, and the table.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            for fault in &row.faults {
                text += &fault_text(&row.target, fault);
            }
        }
        text += &format!(
            "{:<10} {:<8} {:>12} {:>8} {:>8} {:>8} {:>8}\n",
            "target", "result", "executions", "a second", "edges", "inputs", "seconds"
        );
        for row in &self.rows {
            let result = if row.faults.is_empty() { "sound" } else { "BROKEN" };
            let Progress { execs, edges, inputs } = row.sum();
            let seconds = row.took.as_secs();
            let rate = execs / seconds.max(1);
            text += &format!(
                "{:<10} {result:<8} {execs:>12} {rate:>8} {edges:>8} {inputs:>8} {seconds:>8}\n",
                row.target
            );
        }
        text
    }
}

impl Row {
    /// Returns what all processes have done; they share what they find.
    fn sum(&self) -> Progress {
        let of = |of: fn(&Progress) -> u64| self.progress.values().map(of);
        Progress {
            execs: of(|progress| progress.execs).sum(),
            edges: of(|progress| progress.edges).max().unwrap_or_default(),
            inputs: of(|progress| progress.inputs).max().unwrap_or_default(),
        }
    }

    fn progress_text(&self, time: Duration) -> String {
        let Progress { execs, edges, inputs } = self.sum();
        let elapsed = self.started_at.map_or(Duration::ZERO, |started| started.elapsed());
        let left = time.saturating_sub(elapsed).as_secs();
        let target = &self.target;
        format!("{target}: {execs} executions, {edges} edges, {inputs} inputs, {left} s left")
    }
}

fn fault_text(target: &str, fault: &Fault) -> String {
    let mut text =
        format!("---- {target} broke; all of it is in {}\n", workspace::shown(&fault.log));
    for line in &fault.cause {
        text += &format!("  | {line}\n");
    }
    if let Some(input) = &fault.input {
        let input = workspace::shown(input);
        text += &format!(
            "  to repeat it: cargo xtask fuzz {target} --replay {input}\n  \
             when mended:  cp {input} tests/fuzz/corpus/{target}/NAME, where each test run tries it\n"
        );
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn processes_of_a_target_are_summed_up() {
        let mut report = Report::new(["codec", "frame"].into_iter());
        for nth in [0, 1] {
            report.started(0, nth);
            let progress = Progress { execs: 1_000, edges: 90 + u64::from(nth), inputs: 7 };
            assert!(!report.note(Event { of: (0, nth), news: News::Progress(progress) }));
            assert!(report.note(Event { of: (0, nth), news: News::Ended(None) }));
        }
        assert!(report.is_sound());
        let line = "codec      sound            2000     2000       91        7        0";
        assert!(report.text().contains(line), "{}", report.text());
    }

    #[test]
    fn what_broke_comes_with_the_command_that_repeats_it() {
        let mut report = Report::new(["codec"].into_iter());
        report.started(0, 0);
        let fault = Fault {
            cause: vec!["panicked at codec.rs:1:1:".to_owned(), "too much".to_owned()],
            input: Some(workspace::root().join("target/fuzz/artifacts/codec/crash-1")),
            log: PathBuf::from("/t/log-0"),
        };
        report.started(0, 1);
        for nth in [0, 1] {
            report.note(Event { of: (0, nth), news: News::Ended(Some(fault.clone())) });
        }
        assert!(!report.is_sound());
        assert_eq!(report.broken(), ["codec"]);
        let text = report.text();
        assert!(text.starts_with(
            "---- codec broke; all of it is in /t/log-0\n  \
             | panicked at codec.rs:1:1:\n  | too much\n  to repeat it: \
             cargo xtask fuzz codec --replay target/fuzz/artifacts/codec/crash-1\n"
        ));
        assert!(text.contains("codec      BROKEN"));
        assert_eq!(text.matches("too much").count(), 1, "once");
    }
}
