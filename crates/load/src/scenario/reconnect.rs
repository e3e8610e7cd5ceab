//! All lose their connections and come back at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use tokio::task::spawn_blocking;

use super::idle::SEATS;
use super::{Bench, Stage};
use crate::client::Nobody;
use crate::figures::{Curve, Run, Scenario, Unit, count, ms};
use crate::fleet::{Fleet, Joining};
use crate::goals;
use crate::sampler::Mark;
use crate::target::{Target, Tuning};

/// How long it may take until all are back.
const BACK_MAX: Duration = Duration::from_secs(120);

/// How long lists may still show the sessions of before, once all are back.
const AGREE_MAX: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What takes the connections away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Cause {
    /// The server is killed and started again
    Kill,
    /// The server is asked to stop, sends its clients away, and is started again
    Drain,
    /// The clients drop their connections
    Drop,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::Kill => "after a crash of the server",
            Self::Drain => "after a restart of the server",
            Self::Drop => "after a loss of the network",
        }
    }

    fn is_possible(self, target: &Target) -> bool {
        match target {
            Target::Program { kind, .. } => self != Self::Drain || kind.drains(),
            Target::Running { .. } => self == Self::Drop,
        }
    }
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for cause in &bench.causes {
        if cause.is_possible(&bench.target) {
            runs.push(reconnect(bench, *cause).await?);
        }
    }
    Ok(runs)
}

async fn reconnect(bench: &Bench, cause: Cause) -> Result<Run> {
    let clients = bench.sizes.reconnect / SEATS * SEATS;
    let title = format!("reconnect of {clients}, {}", cause.text());
    let mut stage = Stage::begin(bench, (Scenario::Reconnect, clients), title, Tuning::default())?;
    let endpoint = stage.server.endpoint();
    let mut fleet =
        Fleet::new(endpoint, (clients / SEATS, SEATS), Arc::new(Nobody), Joining::AtOnce);
    fleet.come_in(&stage.progress).await?;
    fleet.settle().await;

    let tally = &fleet.world.tally;
    fleet.world.is_returning.store(true, Ordering::Relaxed);
    let attempts = tally.attempts.load(Ordering::Relaxed);
    let lost_ns = fleet.world.now_ns();
    let start;
    (stage, start) = take_away(stage, &fleet, cause).await?;
    let is_back = back_by(&stage, &fleet, lost_ns).await;
    let end = stage.sampler.mark();

    let since = |ns: u64| ms(ns.saturating_sub(lost_ns)) / 1000.0;
    let seen: Vec<_> = fleet.clients.iter().map(|client| client.seen_ns()).collect();
    let mut listed: Vec<f64> = seen
        .iter()
        .filter_map(|(listed, _)| *listed)
        .filter(|ns| *ns > lost_ns)
        .map(since)
        .collect();
    listed.sort_by(f64::total_cmp);
    if is_back {
        stage.figure(goals::BACK_95, listed[(listed.len() * 95).div_ceil(100) - 1], Unit::Seconds);
        stage.figure(goals::BACK_ALL, listed[listed.len() - 1], Unit::Seconds);
        let whole = seen.iter().filter_map(|(_, whole)| *whole).map(since).fold(0.0, f64::max);
        stage.figure("all see everybody", whole, Unit::Seconds);
    } else {
        let left = fleet.clients.len() - listed.len();
        stage.run.violations.push(format!("{left} are not back after {BACK_MAX:.0?}"));
    }
    let tries = tally.attempts.load(Ordering::Relaxed) - attempts;
    stage.figure("attempts per client", count(tries) / f64::from(clients), Unit::Number);
    let used = start.until(&end);
    stage.server_cpu("server CPU", &used);
    stage.curve(Curve::share("are back", listed, fleet.clients.len()));
    stage.look_around("coming back", &used);
    agree(&fleet).await;
    Ok(stage.finish(fleet).await)
}

/// Takes the connections away; returns what had been used when the server was there again.
async fn take_away(mut stage: Stage, fleet: &Fleet, cause: Cause) -> Result<(Stage, Mark)> {
    if cause == Cause::Drop {
        let start = stage.sampler.mark();
        for client in &fleet.clients {
            client.drop_connection().await;
        }
        return Ok((stage, start));
    }
    stage.sampler.follow(None);
    let (server, restarted) = spawn_blocking(move || {
        let mut server = stage.server;
        let restarted = match cause {
            Cause::Drain => server.drain_and_restart(),
            Cause::Kill | Cause::Drop => server.restart(),
        };
        (server, restarted)
    })
    .await?;
    restarted?;
    stage.server = server;
    stage.sampler.follow(stage.server.pid());
    let start = stage.sampler.mark();
    Ok((stage, start))
}

/// Waits until everybody has lost the connection and is back with a whole list; returns whether all are.
async fn back_by(stage: &Stage, fleet: &Fleet, lost_ns: u64) -> bool {
    let all = fleet.clients.len();
    let is_back = |(_, whole): (Option<u64>, Option<u64>)| whole.is_some_and(|ns| ns > lost_ns);
    let back = || fleet.clients.iter().filter(|client| is_back(client.seen_ns())).count();
    let work = async {
        while back() < all {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let work = tokio::time::timeout(BACK_MAX, work);
    stage.progress.follow("come back", all as u64, || back() as u64, work).await.is_ok()
}

/// Waits until the sessions of before have gone from all lists.
async fn agree(fleet: &Fleet) {
    let agree = async {
        while fleet.wrong_lists() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // If they do not, that is found at the end.
    tokio::time::timeout(AGREE_MAX, agree).await.ok();
}
