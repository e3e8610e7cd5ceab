//! One publishes, all others of the topic get it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use tokio::time::Instant;

use super::{Bench, Stage};
use crate::figures::{Curve, Run, Scenario, Unit, count, ms};
use crate::fleet::{Fleet, Joining};
use crate::goals;
use crate::ledger::{Ledger, Seating, Slots};
use crate::target::Tuning;

/// The client that publishes.
const PUBLISHER: u32 = 0;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    let listeners = bench.sizes.fanout;
    let title = format!("fan-out to {listeners}");
    let mut stage = Stage::begin(bench, (Scenario::Fanout, listeners), title, Tuning::default())?;
    let seats = listeners + 1;
    let seating = Seating { topics: 1, seats, senders: 1, first_comes_and_goes: false };
    let (ledger, mut slots) = Ledger::new(seating, bench.window);
    let audience = Arc::clone(&ledger);
    let mut fleet = Fleet::new(stage.server.endpoint(), (1, seats), audience, Joining::AtOnce);
    fleet.come_in(&stage.progress).await?;
    fleet.settle().await;

    saturated(bench, &mut stage, (&fleet, &ledger, &mut slots)).await?;
    fleet.settle().await;
    one_at_a_time(bench, &mut stage, (&fleet, &ledger, &mut slots)).await?;
    stage.run.violations.extend(ledger.violations());
    Ok(vec![stage.finish(fleet).await])
}

/// Keeps as many messages under way as the window holds.
async fn saturated(
    bench: &Bench,
    stage: &mut Stage,
    (fleet, ledger, slots): (&Fleet, &Ledger, &mut Slots),
) -> Result<()> {
    let delivered = || ledger.delivered.load(Ordering::Relaxed);
    let (start, before) = (stage.sampler.mark(), delivered());
    let end = Instant::now() + bench.sizes.span;
    let work = async {
        while Instant::now() < end {
            let taken = slots.take(usize::MAX).await?;
            publish(fleet, ledger, &taken).await;
        }
        let (mark, after) = (stage.sampler.mark(), delivered());
        slots.all_free(ledger).await?;
        anyhow::Ok((mark, after))
    };
    let (mark, after) = stage.progress.during("saturated", bench.sizes.span, work).await?;
    let span = start.until(&mark);
    let rate = count(after - before) / span.wall.as_secs_f64();
    stage.figure(goals::SATURATED, rate, Unit::PerSecond);
    if let Some(cpu) = span.server_cpu {
        stage.figure("server CPU, saturated", span.load(cpu) * 100.0, Unit::Percent);
    }
    stage.figure("client CPU, saturated", span.load(span.client_cpu) * 100.0, Unit::Percent);
    stage.look_around("saturated", &span);
    Ok(())
}

/// Sends a message when the one before has reached everybody.
async fn one_at_a_time(
    bench: &Bench,
    stage: &mut Stage,
    (fleet, ledger, slots): (&Fleet, &Ledger, &mut Slots),
) -> Result<()> {
    ledger.latencies.reset();
    let start = stage.sampler.mark();
    let singles = u64::from(bench.sizes.singles);
    let all = singles * u64::from(bench.sizes.fanout);
    let before = ledger.delivered.load(Ordering::Relaxed);
    let work = async {
        for _ in 0..singles {
            let slot = slots.take(1).await?;
            publish(fleet, ledger, &slot).await;
            slots.all_free(ledger).await?;
        }
        anyhow::Ok(())
    };
    let done = || ledger.delivered.load(Ordering::Relaxed) - before;
    stage.progress.follow("one at a time", all, done, work).await?;
    let latencies = ledger.latencies.total();
    stage.figure(goals::P50, ms(latencies.value_at_quantile(0.5)), Unit::Milliseconds);
    stage.figure(goals::P99, ms(latencies.value_at_quantile(0.99)), Unit::Milliseconds);
    stage.curve(Curve::latency("one at a time", &latencies));
    stage.look_around("one at a time", &start.until(&stage.sampler.mark()));
    Ok(())
}

async fn publish(fleet: &Fleet, ledger: &Ledger, slots: &[u32]) {
    let now = fleet.world.now_ns();
    let notes = slots.iter().map(|slot| ledger.next(PUBLISHER, Some(*slot), now));
    fleet.clients[0].publish(&fleet.world, notes).await;
}
