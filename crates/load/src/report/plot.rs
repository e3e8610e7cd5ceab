//! Line plots as SVG that stands in the page.

use std::fmt::Write;

use super::html::escape;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// About so many lines of a grid.
const TICKS: f64 = 5.0;

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// One line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Decides about the colour.
    pub(super) target: String,
    pub(super) style: Style,
    pub(super) points: Vec<(f64, f64)>,
}

/// Which line of one server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Solid,
    Dashed,
}

/// What an axis shows, and how values lie on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// From 0, evenly.
    Seconds,
    Megabytes,
    Cores,
    /// 0 to 1, as per cent.
    Share,
    /// By powers of ten.
    Milliseconds,
    /// 0 to 1, with as much room for the last tenth as for what is before it, and so on.
    Quantile,
}

/// An axis with its bounds.
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
}

impl Axis {
    fn label(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Megabytes => "MB",
            Self::Cores => "cores",
            Self::Share => "of all",
            Self::Milliseconds => "ms",
            Self::Quantile => "of the deliveries",
        }
    }

    /// Where a value lies, before it is fitted into the plot.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Seconds | Self::Megabytes | Self::Cores | Self::Share => value,
            Self::Milliseconds => value.max(1e-3).log10(),
            Self::Quantile => -(1.0 - value).max(1e-6).log10(),
        }
    }

    fn scale(self, values: impl Iterator<Item = f64> + Clone) -> Scale {
        let places = values.map(|value| self.place(value));
        let most = places.clone().fold(f64::NEG_INFINITY, f64::max);
        let least = places.fold(f64::INFINITY, f64::min);
        let (low, high) = match self {
            Self::Share => (0.0, 1.0),
            Self::Milliseconds => (least.floor(), most.ceil().max(least.floor() + 1.0)),
            Self::Quantile => (0.0, most.max(1.0)),
            // Room above, so that the line does not lie on the frame.
            Self::Megabytes | Self::Cores => (0.0, (most * 1.08).max(0.1)),
            Self::Seconds => (0.0, most.max(0.1)),
        };
        Scale { axis: self, low, high }
    }
}

impl Scale {
    /// Where a value lies: 0 to 1.
    fn fit(&self, value: f64) -> f64 {
        ((self.axis.place(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Values that get a line of the grid, with their text.
    fn ticks(&self) -> Vec<(f64, String)> {
        match self.axis {
            Axis::Share => [0.0, 0.25, 0.5, 0.75, 1.0]
                .map(|share| (share, format!("{:.0} %", share * 100.0)))
                .into(),
            Axis::Milliseconds => {
                let powers = (-3..=6).map(|power| 10_f64.powi(power));
                let shown = powers
                    .filter(|value| (self.low..=self.high).contains(&self.axis.place(*value)));
                shown.map(|value| (value, format!("{value}"))).collect()
            }
            Axis::Quantile => {
                let known = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
                let shown = known.iter().filter(|share| self.axis.place(**share) <= self.high);
                shown.map(|share| (*share, percent(*share))).collect()
            }
            Axis::Seconds | Axis::Megabytes | Axis::Cores => even(self.high),
        }
    }
}

/// Values at a step of 1, 2 or 5 times a power of ten, from 0 to `high`.
fn even(high: f64) -> Vec<(f64, String)> {
    let rough = high / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(power);
    let digits = if step < 1.0 { step.log10().abs().ceil() } else { 0.0 };
    let mut ticks = Vec::new();
    let mut value = 0.0;
    while value <= high * 1.0001 {
        let text = if digits > 0.0 {
            format!("{value:.*}", if digits > 1.0 { 2 } else { 1 })
        } else {
            format!("{value:.0}")
        };
        ticks.push((value, text));
        value += step;
    }
    ticks
}

/// A share with as many digits as it needs.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Plot<'_> {
    /// The plot as an SVG element with a caption; nothing where there is no line to draw.
    pub(super) fn svg(&self) -> Option<String> {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.points.len() > 2).collect();
        if lines.is_empty() {
            return None;
        }
        let points = || lines.iter().flat_map(|line| &line.points);
        let x = self.x.scale(points().map(|(x, _)| *x));
        let y = self.y.scale(points().map(|(_, y)| *y));
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(self.title),
            escape(self.title)
        );
        grid(&mut svg, (&x, &y));
        for line in &lines {
            draw(&mut svg, line, (&x, &y));
        }
        svg.push_str("</svg>");
        legend(&mut svg, &lines);
        svg.push_str("</figure>");
        Some(svg)
    }
}

fn across(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn down(share: f64) -> f64 {
    TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
}

fn grid(svg: &mut String, (x, y): (&Scale, &Scale)) {
    let (left, right, top, bottom) = (across(0.0), across(1.0), down(1.0), down(0.0));
    for (value, text) in y.ticks() {
        let at = down(y.fit(value));
        write!(
            svg,
            "<line class=\"grid\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            left - 6.0,
            at + 3.5
        )
        .ok();
    }
    for (value, text) in x.ticks() {
        let at = across(x.fit(value));
        write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 14.0
        )
        .ok();
    }
    write!(
        svg,
        "<text class=\"axis\" x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        HEIGHT - 6.0,
        x.axis.label(),
        left + 5.0,
        top + 10.0,
        y.axis.label()
    )
    .ok();
}

fn draw(svg: &mut String, line: &Line, (x, y): (&Scale, &Scale)) {
    let mut path = String::new();
    for (index, (at, value)) in line.points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        write!(path, "{command}{:.1} {:.1}", across(x.fit(*at)), down(y.fit(*value))).ok();
    }
    write!(
        svg,
        "<path class=\"line {} {}\" d=\"{path}\"><title>{}</title></path>",
        colour(&line.target),
        line.style.class(),
        escape(&line.name)
    )
    .ok();
}

fn legend(svg: &mut String, lines: &[&Line]) {
    svg.push_str("<div class=\"legend\">");
    for line in lines {
        write!(
            svg,
            "<span><svg viewBox=\"0 0 22 8\"><path class=\"line {} {}\" d=\"M1 4L21 4\"/></svg>{}</span>",
            colour(&line.target),
            line.style.class(),
            escape(&line.name)
        )
        .ok();
    }
    svg.push_str("</div>");
}

impl Style {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
        }
    }
}

/// The class that gives a server's lines their colour, the same in all plots.
pub(super) fn colour(target: &str) -> &'static str {
    match target {
        "penholder" => "c-penholder",
        "bare" => "c-bare",
        "socket.io" => "c-socketio",
        _ => "c-server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_bounds() {
        let texts = |high| even(high).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(0.35), ["0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(texts(130.0), ["0", "50", "100"]);
    }

    #[test]
    fn quantiles_get_equal_room_for_each_nine() {
        let scale = Axis::Quantile.scale([0.0, 0.99].into_iter());
        assert!((scale.fit(0.9) - 0.5).abs() < 1e-9);
        let texts: Vec<_> = scale.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["0%", "50%", "90%", "99%"]);
    }

    #[test]
    fn latencies_lie_between_powers_of_ten() {
        let scale = Axis::Milliseconds.scale([0.2, 30.0].into_iter());
        assert!((scale.fit(1.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(scale.ticks().len(), 4);
    }

    #[test]
    fn plot_without_a_line_is_left_out_and_names_are_escaped() {
        let line = |points| Line {
            name: "<b>".to_owned(),
            target: "bare".to_owned(),
            style: Style::Solid,
            points,
        };
        let plot = |line| Plot { title: "t", x: Axis::Seconds, y: Axis::Cores, lines: vec![line] };
        assert_eq!(plot(line(vec![(0.0, 1.0)])).svg(), None);
        let svg = plot(line(vec![(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])).svg().unwrap();
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
        assert!(!svg.contains("NaN"));
    }
}
