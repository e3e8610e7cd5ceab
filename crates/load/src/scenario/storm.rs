//! All join one topic at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use super::{Bench, Stage};
use crate::client::Nobody;
use crate::figures::{Curve, Run, Scenario, Unit, count, ms};
use crate::fleet::{Fleet, Joining};
use crate::goals;
use crate::target::{Kind, Target, Tuning};

/// How long it may take.
const STORM_MAX: Duration = Duration::from_secs(120);

/// How long those who have connected are left alone before they join.
const CALM: Duration = Duration::from_millis(500);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for clients in bench.sizes.storms.iter().copied() {
        let default = median(bench, clients, Tuning::default()).await?;
        let title = format!("{}, all listed", default.title);
        // Penholder lists the first of a crowd; the others list all in any case.
        let is_bounded = matches!(bench.target, Target::Program { kind: Kind::Penholder, .. });
        let full = if is_bounded {
            median(bench, clients, Tuning { list_max: Some(clients), ..Tuning::default() }).await?
        } else {
            default.clone()
        };
        runs.extend([default, Run { title, ..full }]);
    }
    Ok(runs)
}

/// The run in the middle of several; what is wrong in any of them is wrong.
async fn median(bench: &Bench, clients: u32, tuning: Tuning) -> Result<Run> {
    let mut runs = Vec::new();
    for _ in 0..bench.sizes.rounds.max(1) {
        runs.push(storm(bench, clients, tuning).await?);
    }
    let wall = |run: &Run| run.figures.first().map_or(0.0, |figure| figure.value);
    runs.sort_by(|one, other| wall(one).total_cmp(&wall(other)));
    let walls: Vec<String> = runs.iter().map(|run| Unit::Seconds.show(wall(run))).collect();
    let wrong: Vec<String> = runs.iter().flat_map(|run| run.violations.clone()).collect();
    let mut middle = runs.swap_remove(runs.len() / 2);
    middle.violations = wrong;
    if walls.len() > 1 {
        middle.notes.push(format!("the median of {}", walls.join(", ")));
    }
    Ok(middle)
}

async fn storm(bench: &Bench, clients: u32, tuning: Tuning) -> Result<Run> {
    let title = format!("storm of {clients}");
    let mut stage = Stage::begin(bench, (Scenario::Storm, clients), title, tuning)?;
    let endpoint = stage.server.endpoint();
    let mut fleet = Fleet::new(endpoint, (1, clients), Arc::new(Nobody), Joining::WhenTold);
    fleet.come_in(&stage.progress).await?;
    tokio::time::sleep(CALM.min(bench.sizes.settle)).await;

    let tally = &fleet.world.tally;
    let received = || (tally.frames.load(Ordering::Relaxed), tally.bytes.load(Ordering::Relaxed));
    let ((frames_before, bytes_before), begin_ns) = (received(), fleet.world.now_ns());
    let start = stage.sampler.mark();
    for client in &fleet.clients {
        client.join(&fleet.world).await;
    }
    fleet.wait_for("join", &tally.whole, (STORM_MAX, &stage.progress)).await?;
    let all_there = stage.sampler.mark();
    fleet.settle().await;
    let span = start.until(&stage.sampler.mark());

    let whole = fleet.clients.iter().filter_map(|client| client.seen_ns().1);
    let seconds: Vec<f64> = whole.map(|ns| ms(ns.saturating_sub(begin_ns)) / 1000.0).collect();
    let (frames, bytes) = received();
    let each = |now: u64, before: u64| count(now - before) / f64::from(clients);
    stage.figure(goals::WALL, seconds.iter().copied().fold(0.0, f64::max), Unit::Seconds);
    stage.server_cpu(goals::CPU, &span);
    stage.figure("frames per client", each(frames, frames_before), Unit::Number);
    stage.figure("received per client", each(bytes, bytes_before), Unit::Bytes);
    let all = fleet.clients.len();
    stage.curve(Curve::share("have the list", seconds, all));
    stage.look_around("join", &start.until(&all_there));
    Ok(stage.finish(fleet).await)
}
