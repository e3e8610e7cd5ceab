//! The figures side by side: one column for each server, and the first one's ratio to *bare*.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::{Report, bare, names, value};
use crate::figures::{Figure, Run};

/// A line under the header and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for (title, runs) in report.groups() {
        writeln!(text, "\n{title}").ok();
        if runs.iter().any(|run| !run.figures.is_empty()) {
            writeln!(text, "{}", figures(&runs)).ok();
        }
        for run in runs {
            let target = &run.target;
            for note in &run.notes {
                writeln!(text, "  {target}: {note}").ok();
            }
            for wrong in &run.violations {
                writeln!(text, "  {target}: WRONG: {wrong}").ok();
            }
        }
    }
    text
}

fn figures(runs: &[&Run]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut header = vec![Cell::new("")];
    header.extend(runs.iter().map(|run| right(run.target.clone())));
    header.extend([right("ratio to bare".to_owned()), right("goal".to_owned()), Cell::new("")]);
    table.set_header(header);
    for name in names(runs) {
        let shown = runs.iter().map(|run| {
            let figure = run.figures.iter().find(|figure| figure.name == name);
            right(figure.map(|figure| figure.unit.show(figure.value)).unwrap_or_default())
        });
        let mut row = vec![Cell::new(name)];
        row.extend(shown);
        let first = runs[0].figures.iter().find(|figure| figure.name == name);
        let beside = bare(runs).and_then(|bare| value(bare, name));
        row.push(right(ratio(runs[0], first, beside)));
        let (goal, verdict) = judgement(runs[0], first, beside);
        row.extend([right(goal), Cell::new(verdict)]);
        table.add_row(row);
    }
    table
}

/// How many times the figure of *bare* that of `run` is.
pub(super) fn ratio(run: &Run, figure: Option<&Figure>, bare: Option<f64>) -> String {
    match (figure, bare) {
        (Some(figure), Some(bare)) if run.target != "bare" && bare > 0.0 => {
            format!("{:.2}", figure.value / bare)
        }
        _ => String::new(),
    }
}

/// The goal for a figure of Penholder, and whether it is met.
pub(super) fn judgement(
    run: &Run,
    figure: Option<&Figure>,
    bare: Option<f64>,
) -> (String, &'static str) {
    let Some((figure, goal)) = figure.and_then(|figure| Some((figure, figure.goal?))) else {
        return Default::default();
    };
    if run.target != "penholder" {
        return Default::default();
    }
    let verdict = match figure.is_met(bare) {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    (goal.show(figure.unit), verdict)
}
