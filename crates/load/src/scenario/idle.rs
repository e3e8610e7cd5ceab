//! Many connections, ten on each topic, that do nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::{Bench, Stage};
use crate::client::Nobody;
use crate::figures::{Run, Scenario, Unit, count};
use crate::fleet::{Fleet, Joining};
use crate::goals;
use crate::target::Tuning;
use crate::usage::Memory;

/// People on one topic.
pub(super) const SEATS: u32 = 10;

/// How long a fresh server is left alone before its memory is read.
const BASELINE: Duration = Duration::from_secs(1);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    let clients = bench.sizes.idle / SEATS * SEATS;
    let title = format!("idle, {clients} connections on {} topics", clients / SEATS);
    let mut stage = Stage::begin(bench, (Scenario::Idle, clients), title, Tuning::default())?;
    let endpoint = stage.server.endpoint();
    let mut fleet =
        Fleet::new(endpoint, (clients / SEATS, SEATS), Arc::new(Nobody), Joining::AtOnce);
    tokio::time::sleep(BASELINE.min(bench.sizes.settle)).await;
    let before = stage.server.memory();

    let start = stage.sampler.mark();
    fleet.come_in(&stage.progress).await?;
    let all_in = stage.sampler.mark();
    fleet.settle().await;
    let quiet = stage.sampler.mark();
    let settle = bench.sizes.settle;
    stage.progress.during("settles", settle, tokio::time::sleep(settle)).await;
    let rested = stage.sampler.mark();

    if let Some((before, after)) = before.zip(stage.server.memory()) {
        memory(&mut stage, clients, before, after);
    }
    let coming = start.until(&quiet);
    if let Some(cpu) = coming.server_cpu {
        let per_join = cpu.as_secs_f64() * 1000.0 / f64::from(clients);
        stage.figure(goals::JOIN_CPU, per_join, Unit::Milliseconds);
    }
    let until_in = start.until(&all_in);
    stage.figure("connect and join of all", until_in.wall.as_secs_f64(), Unit::Seconds);
    let idle = quiet.until(&rested);
    if let Some(cpu) = idle.server_cpu {
        stage.figure("server CPU while idle", idle.load(cpu) * 100.0, Unit::Percent);
    }
    stage.look_around("connect and join", &until_in);
    Ok(vec![stage.finish(fleet).await])
}

fn memory(stage: &mut Stage, clients: u32, before: Memory, after: Memory) {
    let grown = |bytes: u64| count(bytes) - count(before.rss);
    stage.figure(goals::MEMORY, grown(after.rss) / f64::from(clients), Unit::Bytes);
    let peak = grown(after.peak) / grown(after.rss).max(1.0);
    stage.figure(goals::PEAK, peak, Unit::Number);
    stage.figure("server before anybody came", count(before.rss), Unit::Bytes);
    let private = 100.0 * count(after.private) / count(after.rss).max(1.0);
    stage.figure("of its memory private", private, Unit::Percent);
}
