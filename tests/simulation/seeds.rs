//! Runs many seeds on all processors, shows how far that is, and names the first seed that fails.
//!
//! `PENHOLDER_SEEDS` says how many seeds are run, `PENHOLDER_SEED_FROM` which is the first,
//! `PENHOLDER_COMMIT` of which commit the program is. Progress is shown only where the number of
//! seeds was asked for: as a bar on a terminal, else as a line from time to time. Both go past the
//! test harness, which would keep them until the end.

use std::any::Any;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::violation::{Rule, Violation};

/// How many seeds are run.
const SEEDS: &str = "PENHOLDER_SEEDS";

/// The time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Panics when a seed breaks a promise, and says how to see it again.
pub(crate) fn keep_every_promise<T>(
    name: &'static str,
    count_unless_told: u64,
    run: impl Fn(u64) -> Result<T, Violation> + Sync,
) {
    let from = from_env("PENHOLDER_SEED_FROM").unwrap_or_default();
    let asked = from_env(SEEDS);
    let count = asked.unwrap_or(count_unless_told);
    let progress = Progress::new(name, asked);
    let broken = first_broken(from..from.saturating_add(count), |seed| {
        let result = attempt(seed, &run);
        progress.step();
        result
    });
    progress.end();
    expect_none(broken);
}

/// The same for seeds that found faults once.
pub(crate) fn keep_promises_of<T>(
    pinned: &[u64],
    run: impl Fn(u64) -> Result<T, Violation> + Sync,
) {
    let mut seeds = pinned.to_vec();
    seeds.sort_unstable();
    let seed_at = |at: u64| seeds[usize::try_from(at).expect("an index")];
    let broken = first_broken(0..seeds.len() as u64, |at| attempt(seed_at(at), &run));
    expect_none(broken.map(|(at, why)| (seed_at(at), why)));
}

/// Runs a seed, and says what is wrong with it.
fn attempt<T>(seed: u64, run: impl Fn(u64) -> Result<T, Violation>) -> Result<(), String> {
    // What the code under test asserts has a seed too.
    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(violation)) => Err(format!("breaks a promise: {violation}")),
        Err(panic) => Err(format!("panics: {}", message(&*panic))),
    }
}

fn expect_none(broken: Option<(u64, String)>) {
    if let Some((seed, why)) = broken {
        panic!(
            "seed {seed} {why}\n\
             of commit {}\n\
             replay it: cargo xtask test simulation --seeds 1 --from {seed}",
            commit()
        );
    }
}

/// Returns the smallest of the seeds that are broken, and how it is.
pub(crate) fn first_broken<E: Ord + Send>(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<(), E> + Sync,
) -> Option<(u64, E)> {
    let (next, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    // In their order, and what is begun is finished: so nobody skips one before the first.
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return None;
            }
            if let Err(error) = run(seed) {
                is_over.store(true, Ordering::Relaxed);
                return Some((seed, error));
            }
        }
        None
    };
    let hands = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let hands: Vec<_> = (0..hands).map(|_| scope.spawn(work)).collect();
        let found = hands.into_iter().map(|hand| hand.join().expect("a run does not panic"));
        found.flatten().min()
    })
}

/// Returns whether one of the seeds breaks a promise by this rule.
pub(crate) fn breaks<T>(
    rule: Rule,
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, Violation> + Sync,
) -> bool {
    let found = first_broken(seeds, |seed| match run(seed) {
        Err(violation) if violation.rule == rule => Err(()),
        _ => Ok(()),
    });
    found.is_some()
}

fn from_env(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The commit that is tested, as `xtask` has found it at the start, or as it is now.
fn commit() -> String {
    let now = || {
        let mut git = Command::new("git");
        git.args(["describe", "--always", "--dirty", "--exclude=*"]);
        let output = git.current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(text.trim().to_owned())
    };
    env::var("PENHOLDER_COMMIT").ok().or_else(now).unwrap_or_else(|| "unknown".to_owned())
}

/// Shows somebody who waits how far it is.
enum Progress {
    Silent,
    Bar(ProgressBar),
    Lines { name: &'static str, all: u64, start: Instant, done: AtomicU64, next: Mutex<Duration> },
}

impl Progress {
    fn new(name: &'static str, asked: Option<u64>) -> Self {
        match asked {
            None => Self::Silent,
            Some(all) if io::stderr().is_terminal() => Self::Bar(bar(name, all)),
            Some(all) => Self::Lines {
                name,
                all,
                start: Instant::now(),
                done: AtomicU64::new(0),
                next: Mutex::new(LINE_EVERY),
            },
        }
    }

    /// A seed is done.
    fn step(&self) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.inc(1),
            Self::Lines { name, all, start, done, next } => {
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                let elapsed = start.elapsed();
                let mut next = next.lock().expect("nobody panics here");
                if elapsed >= *next || done == *all {
                    *next = elapsed + LINE_EVERY;
                    say(&line(name, (done, *all), elapsed));
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
            say("");
        }
    }
}

fn bar(name: &'static str, all: u64) -> ProgressBar {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be drawn is not worth a run.
        let _ = write!(out, "{:.0} a second", state.per_sec());
    };
    let template = "{prefix} [{bar:30}] {pos} of {len} seeds, {rate}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is right");
    // Below what the test harness has begun to write.
    say("");
    let bar = ProgressBar::new(all).with_prefix(name);
    bar.with_style(style.with_key("rate", rate).progress_chars("=> "))
}

/// Returns how far it is, how fast, and how much longer at that speed.
fn line(name: &str, (done, all): (u64, u64), elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1_000) / millis;
    let left_s = (all - done).saturating_mul(millis) / done.max(1) / 1_000;
    let (min, s) = (left_s / 60, left_s % 60);
    format!("{name}: {done} of {all} seeds, {rate} a second, {min}:{s:02} left")
}

/// Writes a line that the test harness does not keep back.
fn say(line: &str) {
    // Who closes the screen does not want to know.
    let _ = writeln!(io::stderr(), "{line}");
}

#[test]
fn the_smallest_broken_seed_is_found() {
    let run = |seed| if seed % 7 == 3 { Err(seed * 2) } else { Ok(()) };
    assert_eq!(first_broken(4..1_000, run), Some((10, 20)));
    assert_eq!(first_broken(4..10, run), None);
}

#[test]
fn a_line_tells_how_far_it_is_and_how_much_longer() {
    let told = line("hub", (1_500, 10_000), Duration::from_secs(15));
    assert_eq!(told, "hub: 1500 of 10000 seeds, 100 a second, 1:25 left");
    let told = line("hub", (10_000, 10_000), Duration::ZERO);
    assert_eq!(told, "hub: 10000 of 10000 seeds, 10000000 a second, 0:00 left");
}
