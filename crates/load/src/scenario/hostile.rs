//! A desk that goes on while attackers do everything hostile at once.
//!
//! Windows with and without attackers take turns, so that what else the machine does falls on both alike. The
//! attackers are processes of their own (`penholder-hostile`), and come from other addresses. In each quiet
//! window the server must have become what it was: nobody there but the well-behaved, no more open files, and
//! over the hour no growth of memory.

mod attackers;
mod bystanders;
mod remains;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep};

use self::attackers::Attackers;
use self::bystanders::Bystanders;
use self::remains::Remains;
use super::desk::{self, Turns};
use super::{Bench, Siege, Sizes, Stage};
use crate::figures::{Curve, CurveKind, Run, Scenario, Unit, count, ms};
use crate::fleet::{Fleet, Joining};
use crate::ledger::{Ledger, Seating};
use crate::sampler::Sample;
use crate::tally::empty_histogram;
use crate::target::{Bounds, Kind, Target, Tuning};

/// The desk: well below every limit of the server, for all come from one address.
const TOPICS: u32 = 10;
const VIEWERS: u32 = 10;
const EVENTS_PER_SECOND: u32 = 100;
const CHURN_PER_SECOND: u32 = 5;

/// So many points of memory and processors are kept: enough for a plot of an hour.
const SAMPLES_MAX: usize = 1200;

/// What was measured in all windows of one sort.
struct Phase {
    name: &'static str,
    /// Messages, pages, newcomers: from asking to having.
    latencies: [Histogram<u64>; 3],
    cpu: Duration,
    wall: Duration,
}

impl Phase {
    fn new(name: &'static str) -> Self {
        let latencies = std::array::from_fn(|_| empty_histogram());
        Self { name, latencies, cpu: Duration::ZERO, wall: Duration::ZERO }
    }
}

/// Those who must not notice anything.
struct Desk {
    bench: Bench,
    fleet: Fleet,
    ledger: Arc<Ledger>,
    turns: Turns,
    bystanders: Bystanders,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    if !matches!(bench.target, Target::Program { kind: Kind::Penholder, .. }) {
        // Others promise nothing of the sort.
        return Ok(Vec::new());
    }
    let Siege { attacks, window, attackers, .. } = bench.sizes.siege;
    let title = format!("hostile, {attacks} × {window:?} with {attackers} attackers");
    let tuning = Tuning { bounds: Bounds::Usual, ..Tuning::default() };
    let clients = TOPICS * VIEWERS;
    let mut stage = Stage::begin(bench, (Scenario::Hostile, clients), title, tuning)?;
    let mut desk = Desk::open(bench, &stage).await?;
    let server = desk.fleet.world.endpoint.address.socket;
    let mut attackers = Attackers::new(server, (TOPICS, bench.sizes.siege))?;
    let pid = stage.server.pid().context("the server has no process")?;
    let mut remains = Remains::begin(pid, desk.bystanders.http()?, window)?;
    let mut phases = [Phase::new("alone"), Phase::new("attacked")];

    for number in 0..=attacks {
        desk.work(&stage, (&mut phases[0], "alone")).await?;
        if !remains.take_stock(&desk.fleet).await? || number == attacks || desk.has_failed() {
            break;
        }
        let attack = attackers.attack(window)?;
        desk.work(&stage, (&mut phases[1], "attacked")).await?;
        attackers.end(attack).await?;
        let rest = remains.return_of(&desk.fleet);
        if !stage.progress.during("recovers", remains::RETURN_MAX, rest).await? {
            break;
        }
    }
    desk.report(&mut stage, &phases);
    attackers.report(&mut stage);
    remains.report(&mut stage);
    let mut run = stage.finish(desk.fleet).await;
    run.samples = thinned(&run.samples);
    Ok(vec![run])
}

impl Desk {
    async fn open(bench: &Bench, stage: &Stage) -> Result<Self> {
        let sizes = Sizes {
            topics: TOPICS,
            viewers: VIEWERS,
            events: EVENTS_PER_SECOND,
            churn: CHURN_PER_SECOND,
            span: bench.sizes.siege.window,
            ..bench.sizes.clone()
        };
        let bench = Bench { sizes, ..bench.clone() };
        let seating = Seating {
            topics: TOPICS,
            seats: VIEWERS,
            senders: VIEWERS,
            first_comes_and_goes: true,
        };
        let (ledger, _slots) = Ledger::new(seating, 0);
        let endpoint = stage.server.endpoint();
        let bystanders = Bystanders::new(endpoint.clone());
        let audience = Arc::clone(&ledger);
        let mut fleet = Fleet::new(endpoint, (TOPICS, VIEWERS), audience, Joining::AtOnce);
        fleet.come_in(&stage.progress).await?;
        let turns = Turns { topics: TOPICS, seats: VIEWERS, next: 0 };
        Ok(Self { bench, fleet, ledger, turns, bystanders })
    }

    /// Works for one window.
    async fn work(&mut self, stage: &Stage, (phase, step): (&mut Phase, &str)) -> Result<()> {
        let Self { bench, fleet, ledger, turns, bystanders } = self;
        ledger.latencies.reset();
        let (start, span) = (stage.sampler.mark(), bench.sizes.span);
        let end = Instant::now() + span;
        let all = async {
            tokio::join!(
                desk::publish_at_rate(bench, fleet, (ledger, turns)),
                desk::churn(bench, fleet),
                bystanders.read_until(end, &fleet.world.tally),
                bystanders.come_until(end, &fleet.world.tally),
            )
        };
        let (_, (), pages, newcomers) = stage.progress.during(step, span, all).await;
        let used = start.until(&stage.sampler.mark());
        let measured = [ledger.latencies.total(), pages, newcomers];
        for (all, of_window) in phase.latencies.iter_mut().zip(measured) {
            all.add(of_window)?;
        }
        phase.cpu += used.server_cpu.unwrap_or_default();
        phase.wall += used.wall;
        // Those who have just come back have their lists before somebody counts.
        sleep(span.min(Duration::from_secs(1))).await;
        Ok(())
    }

    fn has_failed(&self) -> bool {
        !self.fleet.world.tally.failures().is_empty()
    }

    fn report(&self, stage: &mut Stage, phases: &[Phase; 2]) {
        const NAMES: [[[&str; 2]; 3]; 3] = [
            [
                ["message p50, alone", "message p50, attacked"],
                ["message p99, alone", "message p99, attacked"],
                ["message longest, alone", "message longest, attacked"],
            ],
            [
                ["page p50, alone", "page p50, attacked"],
                ["page p99, alone", "page p99, attacked"],
                ["page longest, alone", "page longest, attacked"],
            ],
            [
                ["connect and join p50, alone", "connect and join p50, attacked"],
                ["connect and join p99, alone", "connect and join p99, attacked"],
                ["connect and join longest, alone", "connect and join longest, attacked"],
            ],
        ];
        for (sort, names) in NAMES.iter().enumerate() {
            for (quantile, names) in [0.5, 0.99, 1.0].into_iter().zip(names) {
                for (phase, name) in phases.iter().zip(names) {
                    let latency = phase.latencies[sort].value_at_quantile(quantile);
                    stage.figure(name, ms(latency), Unit::Milliseconds);
                }
            }
        }
        let names = [
            ["messages heard, alone", "pages read, alone", "newcomers, alone"],
            ["messages heard, attacked", "pages read, attacked", "newcomers, attacked"],
        ];
        for (phase, names) in phases.iter().zip(names) {
            for (latencies, name) in phase.latencies.iter().zip(names) {
                stage.figure(name, count(latencies.len()), Unit::Number);
            }
        }
        let names = ["server CPU, alone", "server CPU, attacked"];
        for (phase, name) in phases.iter().zip(names) {
            let load = phase.cpu.as_secs_f64() / phase.wall.as_secs_f64().max(f64::EPSILON);
            stage.figure(name, load * 100.0, Unit::Percent);
        }
        let kinds = [CurveKind::LatencyBeside, CurveKind::Latency];
        for (phase, kind) in phases.iter().zip(kinds) {
            stage.curve(Curve { kind, ..Curve::latency(phase.name, &phase.latencies[0]) });
        }
        stage.run.violations.extend(self.ledger.violations());
    }
}

/// Few enough points for a plot: of each group the most memory and the mean of the rest.
fn thinned(samples: &[Sample]) -> Vec<Sample> {
    let size = samples.len().div_ceil(SAMPLES_MAX).max(1);
    let groups = samples.chunks(size).filter_map(|group| {
        let last = group.last()?;
        let mean = |value: fn(&Sample) -> Option<f64>| {
            let values: Vec<f64> = group.iter().filter_map(value).collect();
            let sum: f64 = values.iter().sum();
            (!values.is_empty()).then(|| sum / count(values.len() as u64))
        };
        Some(Sample {
            at: last.at,
            server_rss: group.iter().filter_map(|sample| sample.server_rss).max(),
            server_cpu: mean(|sample| sample.server_cpu),
            client_cpu: mean(|sample| Some(sample.client_cpu)).unwrap_or_default(),
        })
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_samples_becomes_few_and_its_peak_stays() {
        let sample = |n: u32| Sample {
            at: f64::from(n),
            server_rss: Some(u64::from(n == 7777) + 1),
            server_cpu: Some(2.0),
            client_cpu: 1.0,
        };
        let samples: Vec<Sample> = (0..18_000).map(sample).collect();
        let few = thinned(&samples);
        assert!(few.len() <= SAMPLES_MAX && few.len() > SAMPLES_MAX / 2);
        assert_eq!(few.iter().filter(|sample| sample.server_rss == Some(2)).count(), 1);
        assert!(few.iter().all(|sample| sample.server_cpu == Some(2.0)));
        assert!((few[few.len() - 1].at - 17_999.0).abs() < 1e-9);
    }
}
