//! A page with everything: what was met and missed, the figures, and how they came about.

use std::fmt::Write;

use super::plot::{Axis, Line, Plot, Style, colour};
use super::table::{judgement, ratio};
use super::{Group, Report, bare, names, value};
use crate::figures::{CurveKind, Run};

const STYLE: &str = include_str!("style.css");

pub(super) fn render(report: &Report) -> String {
    let groups = report.groups();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Penholder under load</title><style>{STYLE}</style></head><body><main>\
         <h1>Penholder under load</h1>"
    );
    labels(&mut page, report);
    goals(&mut page, &groups);
    for group in &groups {
        section(&mut page, group);
    }
    page.push_str("</main></body></html>\n");
    page
}

/// A text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn labels(page: &mut String, report: &Report) {
    page.push_str("<dl>");
    let command = ("command".to_owned(), report.command.clone());
    for (name, text) in report.labels.iter().chain([&command]) {
        write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(text)).ok();
    }
    page.push_str("</dl>");
}

/// All goals in one place.
fn goals(page: &mut String, groups: &[Group<'_>]) {
    let mut rows = String::new();
    for (title, runs) in groups {
        let beside = |name| bare(runs).and_then(|bare| value(bare, name));
        for figure in &runs[0].figures {
            let (goal, verdict) = judgement(runs[0], Some(figure), beside(figure.name));
            if !goal.is_empty() {
                write!(
                    rows,
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(title),
                    figure.name,
                    figure.unit.show(figure.value),
                    escape(&goal),
                    badge(verdict)
                )
                .ok();
            }
        }
    }
    if !rows.is_empty() {
        write!(
            page,
            "<section><h2>Goals</h2><div class=\"scroll\"><table><thead><tr><th>work</th><th>figure</th>\
             <th>measured</th><th>goal</th><th></th></tr></thead><tbody>{rows}</tbody></table></div></section>"
        )
        .ok();
    }
}

fn badge(verdict: &str) -> String {
    if verdict.is_empty() {
        String::new()
    } else {
        format!("<span class=\"badge {verdict}\">{verdict}</span>")
    }
}

fn section(page: &mut String, (title, runs): &Group<'_>) {
    write!(page, "<section><h2>{}</h2>", escape(title)).ok();
    figures(page, runs);
    for run in runs {
        for wrong in &run.violations {
            write!(page, "<p class=\"wrong\">{}: {}</p>", run.target, escape(wrong)).ok();
        }
    }
    let notes: Vec<String> = runs
        .iter()
        .flat_map(|run| {
            run.notes.iter().map(|note| format!("<li>{}: {}</li>", run.target, escape(note)))
        })
        .collect();
    if !notes.is_empty() {
        write!(page, "<ul class=\"notes\">{}</ul>", notes.concat()).ok();
    }
    page.push_str("<div class=\"plots\">");
    plots(runs).iter().filter_map(Plot::svg).for_each(|svg| page.push_str(&svg));
    page.push_str("</div></section>");
}

fn figures(page: &mut String, runs: &[&Run]) {
    page.push_str("<div class=\"scroll\"><table><thead><tr><th></th>");
    for run in runs {
        write!(page, "<th><i class=\"dot {}\"></i>{}</th>", colour(&run.target), run.target).ok();
    }
    page.push_str("<th>ratio to bare</th><th>goal</th><th></th></tr></thead><tbody>");
    for name in names(runs) {
        write!(page, "<tr><td>{name}</td>").ok();
        for run in runs {
            let figure = run.figures.iter().find(|figure| figure.name == name);
            let shown = figure.map(|figure| figure.unit.show(figure.value)).unwrap_or_default();
            write!(page, "<td>{shown}</td>").ok();
        }
        let first = runs[0].figures.iter().find(|figure| figure.name == name);
        let beside = bare(runs).and_then(|bare| value(bare, name));
        let (goal, verdict) = judgement(runs[0], first, beside);
        let ratio = ratio(runs[0], first, beside);
        write!(page, "<td>{ratio}</td><td>{}</td><td>{}</td></tr>", escape(&goal), badge(verdict))
            .ok();
    }
    page.push_str("</tbody></table></div>");
}

fn plots<'a>(runs: &[&Run]) -> Vec<Plot<'a>> {
    let line = |run: &Run, (name, style): (String, Style), points: Vec<(f64, f64)>| Line {
        name,
        target: run.target.clone(),
        style,
        points,
    };
    let mut memory = Vec::new();
    let mut cores = Vec::new();
    let mut latency = Vec::new();
    let mut share = Vec::new();
    for run in runs {
        let target = &run.target;
        let rss = run.samples.iter().filter_map(|it| Some((it.at, bytes(it.server_rss?) / 1e6)));
        memory.push(line(run, (target.clone(), Style::Solid), rss.collect()));
        let server = run.samples.iter().filter_map(|it| Some((it.at, it.server_cpu?)));
        cores.push(line(run, (target.clone(), Style::Solid), server.collect()));
        let client = run.samples.iter().map(|it| (it.at, it.client_cpu));
        let name = format!("client of {target}");
        cores.push(line(run, (name, Style::Dashed), client.collect()));
        for curve in &run.curves {
            let name = format!("{target}, {}", curve.name);
            let drawn = line(run, (name, Style::Solid), curve.points.clone());
            match curve.kind {
                CurveKind::Latency => latency.push(drawn),
                CurveKind::Share => share.push(drawn),
            }
        }
    }
    vec![
        Plot {
            title: "Latency of deliveries",
            x: Axis::Quantile,
            y: Axis::Milliseconds,
            lines: latency,
        },
        Plot { title: "Clients that are there", x: Axis::Seconds, y: Axis::Share, lines: share },
        Plot { title: "Memory of the server", x: Axis::Seconds, y: Axis::Megabytes, lines: memory },
        Plot { title: "Processors in use", x: Axis::Seconds, y: Axis::Cores, lines: cores },
    ]
}

fn bytes(count: u64) -> f64 {
    crate::figures::count(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Curve, Figure, Goal, Scenario, Unit};

    fn run(target: &str, value: f64) -> Run {
        let goal = Some(Goal::MostTimesBare(1.3));
        Run {
            scenario: Scenario::Fanout,
            title: "fan-out to 3".to_owned(),
            target: target.to_owned(),
            figures: vec![Figure { name: "latency p50", value, unit: Unit::Milliseconds, goal }],
            notes: vec!["a < b".to_owned()],
            violations: Vec::new(),
            samples: Vec::new(),
            curves: vec![Curve::share("are back", vec![1.0, 2.0, 3.0], 3)],
        }
    }

    #[test]
    fn page_shows_goals_ratios_notes_and_plots_and_loads_nothing() {
        let labels = vec![("commit".to_owned(), "abc".to_owned())];
        let report = Report::new(labels, vec![run("penholder", 3.0), run("bare", 2.0)]);
        let page = render(&report);
        for part in [
            "<dd>abc</dd>",
            "badge missed",
            "<td>1.50</td>",
            "a &lt; b",
            "<path class=\"line c-bare",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for part in ["http", "src=", "<script", "@import", "NaN"] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn table_shows_the_same() {
        let mut broken = run("bare", 2.0);
        broken.violations.push("2 messages did not arrive".to_owned());
        let report = Report::new(Vec::new(), vec![run("penholder", 2.0), broken]);
        assert!(!report.is_sound());
        let table = report.table();
        for part in ["latency p50", "1.00", "met", "bare: WRONG: 2 messages did not arrive"] {
            assert!(table.contains(part), "{part} in {table}");
        }
    }
}
