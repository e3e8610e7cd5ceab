//! The figures of the same work side by side: one column for each server, the ratio of the first one to
//! *bare*, and the goal.

use crate::figures::{Figure, Run};

/// The runs of one title.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub(super) title: &'a str,
    pub(super) runs: Vec<&'a Run>,
}

/// One figure on all servers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    /// One for each run; empty where it has no such figure.
    pub(super) values: Vec<String>,
    /// None where there is nothing to divide.
    pub(super) ratio: Option<String>,
    pub(super) goal: Option<Judged>,
}

/// A goal, and whether it is met.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) goal: String,
    /// `met` or `missed`; empty where that cannot be told.
    pub(super) verdict: &'static str,
}

impl<'a> Comparison<'a> {
    /// The figures in the order in which the runs have them.
    pub(super) fn rows(&self) -> Vec<Row<'a>> {
        let mut rows: Vec<Row<'a>> = Vec::new();
        for figure in self.runs.iter().flat_map(|run| &run.figures) {
            if rows.iter().all(|row| row.name != figure.name) {
                rows.push(self.row(figure.name));
            }
        }
        rows
    }

    fn row(&self, name: &'a str) -> Row<'a> {
        let figure =
            |run: &&'a Run| -> Option<&'a Figure> { run.figures.iter().find(|it| it.name == name) };
        let shown = |figure: &Figure| figure.unit.show(figure.value);
        let values = self.runs.iter().map(|run| figure(run).map(shown).unwrap_or_default());
        let beside = self.runs.iter().find(|run| run.target == "bare");
        let bare = beside.and_then(figure).map(|figure| figure.value);
        let first = self.runs.first().filter(|run| run.target != "bare").and_then(figure);
        let ratio = first.zip(bare.filter(|bare| *bare > 0.0));
        Row {
            name,
            values: values.collect(),
            ratio: ratio.map(|(figure, bare)| format!("{:.2}", figure.value / bare)),
            goal: first.and_then(|figure| judge(figure, bare)),
        }
    }
}

/// Goals are Penholder's: no other server's figures have one.
fn judge(figure: &Figure, bare: Option<f64>) -> Option<Judged> {
    let goal = figure.goal?.show(figure.unit);
    let verdict = match figure.is_met(bare) {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    Some(Judged { goal, verdict })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::figures::{Goal, Scenario, Unit};

    pub(crate) fn run(target: &str, value: f64, goal: Option<Goal>) -> Run {
        Run {
            scenario: Scenario::Fanout,
            title: "fan-out to 3".to_owned(),
            target: target.to_owned(),
            figures: vec![Figure { name: "latency p50", value, unit: Unit::Milliseconds, goal }],
            notes: vec!["a < b".to_owned()],
            violations: Vec::new(),
            samples: Vec::new(),
            curves: Vec::new(),
        }
    }

    fn rows(runs: &[Run]) -> (Vec<String>, Option<String>, Option<Judged>) {
        let runs: Vec<&Run> = runs.iter().collect();
        let mut rows = Comparison { title: "t", runs }.rows();
        let Row { values, ratio, goal, .. } = rows.remove(0);
        (values, ratio, goal)
    }

    #[test]
    fn first_server_is_divided_by_bare_and_held_against_its_goal() {
        let goal = Some(Goal::MostTimesBare(1.3));
        let (values, ratio, judged) = rows(&[run("penholder", 3.0, goal), run("bare", 2.0, None)]);
        assert_eq!(values, ["3.00 ms", "2.00 ms"]);
        assert_eq!(ratio.as_deref(), Some("1.50"));
        assert_eq!(judged, Some(Judged { goal: "≤ 1.3 × bare".to_owned(), verdict: "missed" }));
    }

    #[test]
    fn bare_alone_is_divided_by_nothing() {
        assert_eq!(rows(&[run("bare", 2.0, None)]).1, None);
        let (_, ratio, judged) = rows(&[run("penholder", 3.0, Some(Goal::MostTimesBare(1.3)))]);
        assert_eq!((ratio, judged.unwrap().verdict), (None, ""));
    }

    #[test]
    fn figure_that_only_one_has_leaves_a_gap() {
        let empty = Run { figures: Vec::new(), ..run("penholder", 0.0, None) };
        assert_eq!(rows(&[empty, run("bare", 2.0, None)]).0, ["", "2.00 ms"]);
    }
}
