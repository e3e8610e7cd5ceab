//! How far it has come, for whoever waits: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines tell of each quarter.
const LINES: u64 = 4;

/// Counts tickets up to the last.
#[derive(Debug)]
pub(super) enum Progress {
    /// For people who watch.
    Bar(ProgressBar),
    /// For logs.
    Lines {
        /// How many there are.
        total: u64,
        /// How many are done.
        done: AtomicU64,
    },
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { total, done: AtomicU64::new(0) };
        }
        let bar = ProgressBar::new(total).with_message("Filling the desk");
        let style = "{msg} {wide_bar} {pos:>5}/{len} tickets {elapsed:>4}";
        bar.set_style(
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self::Bar(bar)
    }

    /// One more ticket is done.
    pub(super) fn step(&self) {
        match self {
            Self::Bar(bar) => bar.inc(1),
            Self::Lines { total, done } => {
                let now = done.fetch_add(1, Ordering::Relaxed) + 1;
                if is_told(now, *total) {
                    // Nobody may be there to read it.
                    writeln!(std::io::stderr(), "{now} of {total} tickets").ok();
                }
            }
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Whether the ticket of this number, from 1, ends a quarter.
fn is_told(now: u64, total: u64) -> bool {
    now * LINES / total > (now - 1) * LINES / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quarter_is_told_once_and_the_end_too() {
        for total in [1, 2, 3, 4, 5, 99, 200] {
            let told: Vec<u64> = (1..=total).filter(|now| is_told(*now, total)).collect();
            assert_eq!(told.len() as u64, total.min(LINES), "{total}");
            assert_eq!(told.last(), Some(&total));
        }
    }
}
