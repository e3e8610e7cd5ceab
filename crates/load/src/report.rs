//! What has been found, as a table, as JSON and as a page with plots.

mod comparison;
mod html;
mod plot;
mod table;

use anyhow::Result;
use serde::Serialize;

use self::comparison::Comparison;
use crate::figures::Run;

/// All runs, and what one must know of them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Commit, machine and the like.
    labels: Vec<(String, String)>,
    command: String,
    runs: Vec<Run>,
}

impl Report {
    pub(crate) fn new(labels: Vec<(String, String)>, runs: Vec<Run>) -> Self {
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        Self { labels, command, runs }
    }

    /// Whether nothing went wrong; a goal that is missed is not wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.runs.iter().all(|run| run.violations.is_empty())
    }

    /// The figures for a terminal.
    pub(crate) fn table(&self) -> String {
        table::render(self)
    }

    /// Everything, for programs.
    ///
    /// # Errors
    ///
    /// Never: all of it has a JSON form.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// A page that needs nothing beside itself.
    pub(crate) fn html(&self) -> String {
        html::render(self)
    }

    /// The runs by title, both in the order in which they were run.
    fn comparisons(&self) -> Vec<Comparison<'_>> {
        let mut all: Vec<Comparison<'_>> = Vec::new();
        for run in &self.runs {
            match all.iter_mut().find(|comparison| comparison.title == run.title) {
                Some(comparison) => comparison.runs.push(run),
                None => all.push(Comparison { title: &run.title, runs: vec![run] }),
            }
        }
        all
    }
}
