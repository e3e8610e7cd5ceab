//! A page with everything: what was met and missed, the figures, and how they came about.

use std::fmt::Write;

use super::Report;
use super::comparison::{Comparison, Row};
use super::plot::{Axis, Line, Plot, Style, colour};
use crate::figures::{CurveKind, Run};

const STYLE: &str = include_str!("style.css");

pub(super) fn render(report: &Report) -> String {
    let comparisons = report.comparisons();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Penholder under load</title><style>{STYLE}</style></head><body><main>\
         <h1>Penholder under load</h1>"
    );
    labels(&mut page, report);
    goals(&mut page, &comparisons);
    for comparison in &comparisons {
        section(&mut page, comparison);
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
fn goals(page: &mut String, comparisons: &[Comparison<'_>]) {
    let mut rows = String::new();
    for comparison in comparisons {
        for Row { name, values, goal, .. } in comparison.rows() {
            let Some(judged) = goal else { continue };
            write!(
                rows,
                "<tr><td>{}</td><td>{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(comparison.title),
                values[0],
                escape(&judged.goal),
                badge(judged.verdict)
            )
            .ok();
        }
    }
    if !rows.is_empty() {
        write!(
            page,
            "<section><h2>Goals</h2><div class=\"scroll\"><table class=\"goals\"><thead><tr><th>work</th>\
             <th>figure</th><th>measured</th><th>goal</th><th></th></tr></thead><tbody>{rows}</tbody>\
             </table></div></section>"
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

fn section(page: &mut String, comparison: &Comparison<'_>) {
    let Comparison { title, runs } = comparison;
    write!(page, "<section><h2>{}</h2>", escape(title)).ok();
    figures(page, comparison);
    let mut notes = String::new();
    for run in runs {
        for wrong in &run.violations {
            write!(page, "<p class=\"wrong\">{}: {}</p>", run.target, escape(wrong)).ok();
        }
        for note in &run.notes {
            write!(notes, "<li>{}: {}</li>", run.target, escape(note)).ok();
        }
    }
    if !notes.is_empty() {
        write!(page, "<ul class=\"notes\">{notes}</ul>").ok();
    }
    page.push_str("<div class=\"plots\">");
    plots(runs).iter().filter_map(Plot::svg).for_each(|svg| page.push_str(&svg));
    page.push_str("</div></section>");
}

fn figures(page: &mut String, comparison: &Comparison<'_>) {
    let rows = comparison.rows();
    let has_ratios = rows.iter().any(|row| row.ratio.is_some());
    let has_goals = rows.iter().any(|row| row.goal.is_some());
    page.push_str("<div class=\"scroll\"><table><thead><tr><th></th>");
    for Run { target, .. } in &comparison.runs {
        write!(page, "<th><i class=\"dot {}\"></i>{target}</th>", colour(target)).ok();
    }
    page.push_str(if has_ratios { "<th>ratio to bare</th>" } else { "" });
    page.push_str(if has_goals { "<th>goal</th><th></th>" } else { "" });
    page.push_str("</tr></thead><tbody>");
    for Row { name, values, ratio, goal } in rows {
        write!(page, "<tr><td>{name}</td>").ok();
        for value in values {
            write!(page, "<td>{value}</td>").ok();
        }
        if has_ratios {
            write!(page, "<td>{}</td>", ratio.unwrap_or_default()).ok();
        }
        match goal {
            Some(judged) => {
                let (goal, verdict) = (escape(&judged.goal), badge(judged.verdict));
                write!(page, "<td>{goal}</td><td>{verdict}</td>").ok();
            }
            None if has_goals => page.push_str("<td></td><td></td>"),
            None => {}
        }
        page.push_str("</tr>");
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
                CurveKind::LatencyBeside => {
                    latency.push(Line { style: Style::Dashed, ..drawn });
                }
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
    use super::super::comparison::tests::run;
    use super::*;
    use crate::figures::{Curve, Goal};

    #[test]
    fn page_shows_goals_ratios_notes_and_plots_and_loads_nothing() {
        let labels = vec![("commit".to_owned(), "abc".to_owned())];
        let mut bare = run("bare", 2.0, None);
        bare.curves.push(Curve::share("are back", vec![1.0, 2.0, 3.0], 3));
        let penholder = run("penholder", 3.0, Some(Goal::MostTimesBare(1.3)));
        let page = render(&Report::new(labels, vec![penholder, bare]));
        let line = "<path class=\"line c-bare";
        for part in ["<dd>abc</dd>", "badge missed", "<td>1.50</td>", "a &lt; b", line] {
            assert!(page.contains(part), "{part}");
        }
        for part in ["http", "src=", "<script", "@import", "NaN"] {
            assert!(!page.contains(part), "{part}");
        }
    }
}
