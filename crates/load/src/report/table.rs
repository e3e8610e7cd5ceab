//! The figures for a terminal.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::Report;
use super::comparison::{Comparison, Row};

/// A line under the header and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for comparison in report.comparisons() {
        writeln!(text, "\n{}", comparison.title).ok();
        let rows = comparison.rows();
        if !rows.is_empty() {
            writeln!(text, "{}", figures(&comparison, &rows)).ok();
        }
        for run in comparison.runs {
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

fn figures(comparison: &Comparison<'_>, rows: &[Row<'_>]) -> Table {
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let has_ratios = rows.iter().any(|row| row.ratio.is_some());
    let has_goals = rows.iter().any(|row| row.goal.is_some());
    let mut header = vec![Cell::new("")];
    header.extend(comparison.runs.iter().map(|run| right(&run.target)));
    header.extend(has_ratios.then(|| right("ratio to bare")));
    header.extend(has_goals.then(|| right("goal")));
    header.extend(has_goals.then(|| Cell::new("")));
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    for row in rows {
        let mut cells = vec![Cell::new(row.name)];
        cells.extend(row.values.iter().map(|value| right(value)));
        cells.extend(has_ratios.then(|| right(row.ratio.as_deref().unwrap_or_default())));
        if has_goals {
            let goal = row.goal.as_ref();
            cells.push(right(goal.map(|judged| &*judged.goal).unwrap_or_default()));
            cells.push(Cell::new(goal.map(|judged| judged.verdict).unwrap_or_default()));
        }
        table.add_row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::run;
    use super::*;
    use crate::figures::Goal;

    #[test]
    fn table_shows_figures_and_what_went_wrong() {
        let mut broken = run("bare", 2.0, None);
        broken.violations.push("2 messages did not arrive".to_owned());
        let goal = Some(Goal::Most(3.0));
        let report = Report::new(Vec::new(), vec![run("penholder", 2.0, goal), broken]);
        assert!(!report.is_sound());
        let table = report.table();
        for part in ["latency p50", "1.00", " met", "bare: WRONG: 2 messages did not arrive"] {
            assert!(table.contains(part), "{part} in {table}");
        }
    }

    #[test]
    fn columns_that_would_be_empty_are_left_out() {
        let report = Report::new(Vec::new(), vec![run("server", 2.0, None)]);
        let table = report.table();
        assert!(report.is_sound() && !table.contains("goal") && !table.contains("ratio"));
    }
}
