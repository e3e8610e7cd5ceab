//! What a run has found: figures with their units, and the goals they are held against.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::sampler::Sample;

/// The work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// Many connections that are there and do nothing: memory of each, processor time of each join
    Idle,
    /// All join one topic at once, until each has the whole list
    Storm,
    /// One publishes, all others of the topic get it: saturated, then one message at a time
    Fanout,
    /// Many small topics with events and people who come and go: at a rate, then saturated
    Desk,
    /// All lose their connections and come back at once
    Reconnect,
    /// A desk beside attackers who do everything hostile at once, for an hour; run only when named
    Hostile,
}

/// One number of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    /// What Penholder is held to, where there is a goal for this work at this size.
    pub(crate) goal: Option<Goal>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Bytes,
    PerSecond,
    /// Of one core.
    Percent,
    Number,
}

/// A bound for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    Most(f64),
    Least(f64),
    /// So many times what *bare* needs in the same run, at most.
    MostTimesBare(f64),
}

/// A line of a plot.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) kind: CurveKind,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What the axes of a curve are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CurveKind {
    /// Share of the deliveries, 0 to 1; latency in milliseconds.
    Latency,
    /// The same where nothing disturbs: what the other is compared with.
    LatencyBeside,
    /// Seconds; share of the clients, 0 to 1.
    Share,
}

/// One scenario at one size on one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    /// Scenario and size, the same for all servers.
    pub(crate) title: String,
    pub(crate) target: String,
    pub(crate) figures: Vec<Figure>,
    /// What one must know to read the figures.
    pub(crate) notes: Vec<String>,
    /// What is wrong: messages lost, lists that do not agree.
    pub(crate) violations: Vec<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) curves: Vec<Curve>,
}

impl Figure {
    /// Whether the goal is met; `bare` is the same figure of that server.
    pub(crate) fn is_met(&self, bare: Option<f64>) -> Option<bool> {
        match self.goal? {
            Goal::Most(bound) => Some(self.value <= bound),
            Goal::Least(bound) => Some(self.value >= bound),
            Goal::MostTimesBare(factor) => bare.map(|bare| self.value <= factor * bare),
        }
    }
}

impl Unit {
    /// The value as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Seconds if value >= 10.0 => format!("{value:.1} s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Bytes if value.abs() >= 1e6 => format!("{:.1} MB", value / 1e6),
            Self::Bytes if value.abs() >= 1e3 => format!("{:.1} kB", value / 1e3),
            Self::Bytes => format!("{value:.0} B"),
            Self::PerSecond => format!("{} /s", grouped(value)),
            Self::Percent => format!("{value:.0} %"),
            Self::Number if value >= 100.0 => grouped(value),
            Self::Number => format!("{value:.2}"),
        }
    }
}

impl Goal {
    /// The bound as people read it.
    pub(crate) fn show(self, unit: Unit) -> String {
        match self {
            Self::Most(bound) => format!("≤ {}", unit.show(bound)),
            Self::Least(bound) => format!("≥ {}", unit.show(bound)),
            Self::MostTimesBare(factor) => format!("≤ {factor} × bare"),
        }
    }
}

impl Curve {
    /// The latencies by quantile, closer and closer to all.
    pub(crate) fn latency(name: &str, latencies: &Histogram<u64>) -> Self {
        const STEPS: u32 = 5;
        let of_all = |quantile: f64| (quantile, ms(latencies.value_at_quantile(quantile)));
        let steps = (0..STEPS * 8).map(|step| 1.0 - 0.5_f64.powf(f64::from(step) / 3.0));
        let measured = steps.filter(|quantile| (1.0 - quantile) * count(latencies.len()) >= 1.0);
        Self {
            name: name.to_owned(),
            kind: CurveKind::Latency,
            points: measured.map(of_all).collect(),
        }
    }

    /// Which share of `all` had come by when; `seconds` need not be sorted.
    pub(crate) fn share(name: &str, mut seconds: Vec<f64>, all: usize) -> Self {
        /// More points than that show nothing more.
        const POINTS_MAX: usize = 200;
        seconds.sort_by(f64::total_cmp);
        let step = (seconds.len() / POINTS_MAX).max(1);
        let last = seconds.len().saturating_sub(1);
        let shown = seconds.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last);
        let share = |at: usize| count(at as u64 + 1) / count(all as u64);
        let points = shown.map(|(at, seconds)| (*seconds, share(at))).collect();
        Self { name: name.to_owned(), kind: CurveKind::Share, points }
    }
}

/// Milliseconds of so many nanoseconds.
pub(crate) fn ms(nanoseconds: u64) -> f64 {
    count(nanoseconds) / 1e6
}

/// A count as a number to reckon with; exact as far as any count here goes.
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

/// A whole number with spaces between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::empty_histogram;

    #[test]
    fn values_are_shown_in_units_that_people_read() {
        assert_eq!(Unit::Bytes.show(9_876.0), "9.9 kB");
        assert_eq!(Unit::PerSecond.show(1_234_567.4), "1 234 567 /s");
        assert_eq!(Unit::PerSecond.show(999.0), "999 /s");
        assert_eq!(Unit::Number.show(1.25), "1.25");
        assert_eq!(Goal::Most(0.5).show(Unit::Seconds), "≤ 0.50 s");
    }

    #[test]
    fn goals_hold_in_their_direction() {
        let figure = |goal| Figure { name: "x", value: 2.0, unit: Unit::Number, goal: Some(goal) };
        assert_eq!(figure(Goal::Most(2.0)).is_met(None), Some(true));
        assert_eq!(figure(Goal::Most(1.9)).is_met(None), Some(false));
        assert_eq!(figure(Goal::Least(2.1)).is_met(None), Some(false));
        assert_eq!(figure(Goal::MostTimesBare(1.3)).is_met(Some(1.6)), Some(true));
        assert_eq!(figure(Goal::MostTimesBare(1.3)).is_met(Some(1.5)), Some(false));
        assert_eq!(figure(Goal::MostTimesBare(1.3)).is_met(None), None);
    }

    #[test]
    fn latency_curve_ends_where_nothing_was_measured() {
        let mut latencies = empty_histogram();
        (1..=100).for_each(|ms| latencies.saturating_record(ms * 1_000_000));
        let curve = Curve::latency("x", &latencies);
        let (quantile, latency) = curve.points[curve.points.len() - 1];
        assert!((0.97..=0.99).contains(&quantile) && latency >= 97.0, "{quantile} {latency}");
        assert!(Curve::latency("x", &empty_histogram()).points.is_empty());
    }

    #[test]
    fn share_curve_ends_with_the_last_and_counts_the_missing() {
        let curve = Curve::share("back", vec![3.0, 1.0, 2.0], 4);
        assert_eq!(curve.points, [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75)]);
        let many = (0..1000).map(f64::from).collect();
        let curve = Curve::share("back", many, 1000);
        assert!(curve.points.len() <= 202);
        assert_eq!(curve.points.last(), Some(&(999.0, 1.0)));
    }
}
