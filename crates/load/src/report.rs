//! What has been found, as a table, as JSON and as a page with plots.

mod html;
mod plot;
mod table;

use anyhow::Result;
use serde::Serialize;

use crate::figures::Run;

/// All runs, and what one must know of them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Commit, machine and the like.
    labels: Vec<(String, String)>,
    command: String,
    runs: Vec<Run>,
}

/// The runs of one title: the same work on several servers.
type Group<'a> = (&'a str, Vec<&'a Run>);

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
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for run in &self.runs {
            match groups.iter_mut().find(|(title, _)| *title == run.title) {
                Some((_, runs)) => runs.push(run),
                None => groups.push((&run.title, vec![run])),
            }
        }
        groups
    }
}

/// The figure of a name, if the run has it.
fn value(run: &Run, name: &str) -> Option<f64> {
    run.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
}

/// The run that others are compared with.
fn bare<'a>(runs: &[&'a Run]) -> Option<&'a Run> {
    runs.iter().find(|run| run.target == "bare").copied()
}

/// The names of all figures of a group, in their order.
fn names<'a>(runs: &[&'a Run]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        if !names.contains(&figure.name) {
            names.push(figure.name);
        }
    }
    names
}
