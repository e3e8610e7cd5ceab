//! The story of a run, for somebody who looks for a fault: everything that happens, line by line.
//!
//! Told on the standard error when `PENHOLDER_STORY` is set, which is meant for one seed at a time.

use std::env;
use std::fmt::{Debug, Display};
use std::io::{self, Write};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Story {
    is_told: bool,
}

impl Story {
    pub(crate) fn begin(plan: &impl Debug) -> Self {
        let story = Self { is_told: env::var_os("PENHOLDER_STORY").is_some() };
        story.tell(0, "plan", || format!("{plan:#?}"));
        story
    }

    /// Tells what happened, when and where.
    pub(crate) fn tell(self, now: u64, place: impl Display, what: impl FnOnce() -> String) {
        if self.is_told {
            // Past the test harness, and whoever closes the screen does not want to know.
            let _ = writeln!(io::stderr(), "{now:>6} {place}: {}", what());
        }
    }
}
