//! Many small topics, events on all of them, and people who come and go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Bench, Stage};
use crate::figures::{Curve, Run, Scenario, Unit, count, ms};
use crate::fleet::{Fleet, Joining};
use crate::goals;
use crate::ledger::{Ledger, Seating, Slots};
use crate::sampler::Span;
use crate::target::Tuning;

/// The grain of the schedule. Events due within it are sent together.
const TICK: Duration = Duration::from_millis(1);

/// When the schedule is kept to this, an event counts from when it was sent; else from when it was due,
/// so that a stall of the server that holds up the sender is not left out.
const LATE: Duration = Duration::from_millis(3);

/// How long those who leave stay away.
const AWAY: Duration = Duration::from_secs(1);

/// Topics are taken in turn with this stride, so that neighbours in time are not neighbours in number.
const STRIDE: u32 = 617;

/// Who publishes next: every topic in turn, then the next seat of each; never the first one, who comes
/// and goes.
pub(super) struct Turns {
    pub(super) topics: u32,
    pub(super) seats: u32,
    pub(super) next: u32,
}

impl Turns {
    pub(super) fn next(&mut self) -> u32 {
        let Self { topics, seats, next } = self;
        let topic = next.wrapping_mul(STRIDE) % *topics;
        let seat = 1 + *next / *topics % (*seats - 1);
        *next = next.wrapping_add(1);
        topic * *seats + seat
    }
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Run>> {
    let (topics, seats) = (bench.sizes.topics, bench.sizes.viewers);
    let title = format!("desk, {topics} topics with {seats} viewers");
    let clients = topics * seats;
    let mut stage = Stage::begin(bench, (Scenario::Desk, clients), title, Tuning::default())?;
    let seating = Seating { topics, seats, senders: seats, first_comes_and_goes: true };
    let (ledger, mut slots) = Ledger::new(seating, bench.window);
    let audience = Arc::clone(&ledger);
    let mut fleet = Fleet::new(stage.server.endpoint(), (topics, seats), audience, Joining::AtOnce);
    fleet.come_in(&stage.progress).await?;
    fleet.settle().await;

    let mut turns = Turns { topics, seats, next: 0 };
    at_a_rate(bench, &mut stage, (&fleet, &ledger, &mut turns)).await?;
    fleet.settle().await;
    saturated(bench, &mut stage, (&fleet, &ledger, &mut turns, &mut slots)).await?;
    fleet.settle().await;
    stage.run.violations.extend(ledger.violations());
    Ok(vec![stage.finish(fleet).await])
}

/// Events at their rate, and churn.
async fn at_a_rate(
    bench: &Bench,
    stage: &mut Stage,
    (fleet, ledger, turns): (&Fleet, &Ledger, &mut Turns),
) -> Result<()> {
    ledger.latencies.reset();
    let before = ledger.delivered.load(Ordering::Relaxed);
    let start = stage.sampler.mark();
    let span = bench.sizes.span;
    let work = async {
        let events = publish_at_rate(bench, fleet, (ledger, turns));
        let (published, ()) = tokio::join!(events, churn(bench, fleet));
        published
    };
    let step = format!("{} events a second", bench.sizes.events);
    let late = stage.progress.during(&step, span, work).await;
    let used = start.until(&stage.sampler.mark());
    fleet.wait_for("come back", &fleet.world.tally.joined, (AWAY * 10, &stage.progress)).await?;
    let delivered = ledger.delivered.load(Ordering::Relaxed) - before;
    rate_figures(stage, ledger, (delivered, &used));
    if late > LATE {
        stage.run.notes.push(format!("the client published up to {late:.0?} late"));
    }
    Ok(())
}

fn rate_figures(stage: &mut Stage, ledger: &Ledger, (delivered, used): (u64, &Span)) {
    let latencies = ledger.latencies.total();
    stage.figure(goals::P50, ms(latencies.value_at_quantile(0.5)), Unit::Milliseconds);
    stage.figure(goals::P99, ms(latencies.value_at_quantile(0.99)), Unit::Milliseconds);
    let rate = count(delivered) / used.wall.as_secs_f64();
    stage.figure("deliveries at that rate", rate, Unit::PerSecond);
    if let Some(cpu) = used.server_cpu {
        stage.figure(goals::SERVER_LOAD, used.load(cpu) * 100.0, Unit::Percent);
    }
    let client = used.load(used.client_cpu) * 100.0;
    stage.figure("client CPU at that rate", client, Unit::Percent);
    stage.curve(Curve::latency("at the rate", &latencies));
    stage.look_around("at the rate", used);
}

/// Publishes by the clock, whatever the server does; returns how late it was at most.
pub(super) async fn publish_at_rate(
    bench: &Bench,
    fleet: &Fleet,
    (ledger, turns): (&Ledger, &mut Turns),
) -> Duration {
    let each = Duration::from_secs(1) / bench.sizes.events.max(1);
    let (start, span) = (Instant::now(), bench.sizes.span);
    let start_ns = fleet.world.now_ns();
    let (mut due, mut latest) = (Duration::ZERO, Duration::ZERO);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while due < span {
        ticks.tick().await;
        while due <= start.elapsed() && due < span {
            let late = start.elapsed().saturating_sub(due);
            latest = latest.max(late);
            let due_ns = start_ns + u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            let sent_ns = if late > LATE { due_ns } else { fleet.world.now_ns() };
            let sender = turns.next();
            publish(fleet, ledger.next(sender, None, sent_ns), sender).await;
            due += each;
        }
    }
    latest
}

/// The first of each topic in turn leaves, and comes back after a while.
pub(super) async fn churn(bench: &Bench, fleet: &Fleet) {
    let Some(each) = Duration::from_secs(1).checked_div(bench.sizes.churn) else { return };
    let end = Instant::now() + bench.sizes.span;
    let firsts = fleet.clients.chunks(usize::try_from(bench.sizes.viewers).unwrap_or(1).max(1));
    let mut firsts = firsts.map(|topic| &topic[0]).cycle();
    let mut away = VecDeque::new();
    let most_away = fleet.clients.len() / usize::try_from(bench.sizes.viewers).unwrap_or(1).max(1);
    let mut every = interval(each);
    while Instant::now() < end {
        every.tick().await;
        while away.front().is_some_and(|(left, _): &(Instant, _)| left.elapsed() >= AWAY) {
            if let Some((_, client)) = away.pop_front() {
                come_back(fleet, client).await;
            }
        }
        // In a small run the turn comes round before they are back.
        if let Some(client) = firsts.next().filter(|_| away.len() < most_away) {
            client.leave(&fleet.world).await;
            away.push_back((Instant::now(), client));
        }
    }
    for (left, client) in away {
        tokio::time::sleep_until(left + AWAY).await;
        come_back(fleet, client).await;
    }
}

async fn come_back(fleet: &Fleet, client: &crate::client::Client) {
    client.join(&fleet.world).await;
}

/// Keeps as many events under way as the window holds.
async fn saturated(
    bench: &Bench,
    stage: &mut Stage,
    (fleet, ledger, turns, slots): (&Fleet, &Ledger, &mut Turns, &mut Slots),
) -> Result<()> {
    let delivered = || ledger.delivered.load(Ordering::Relaxed);
    let (start, before) = (stage.sampler.mark(), delivered());
    let end = Instant::now() + bench.sizes.span;
    let work = async {
        while Instant::now() < end {
            for slot in slots.take(usize::MAX).await? {
                let sender = turns.next();
                let note = ledger.next(sender, Some(slot), fleet.world.now_ns());
                publish(fleet, note, sender).await;
            }
        }
        let (mark, after) = (stage.sampler.mark(), delivered());
        slots.all_free(ledger).await?;
        anyhow::Ok((mark, after))
    };
    let (mark, after) = stage.progress.during("saturated", bench.sizes.span, work).await?;
    let used = start.until(&mark);
    let rate = count(after - before) / used.wall.as_secs_f64();
    stage.figure(goals::SATURATED, rate, Unit::PerSecond);
    if let Some(cpu) = used.server_cpu {
        stage.figure("server CPU, saturated", used.load(cpu) * 100.0, Unit::Percent);
    }
    stage.figure("client CPU, saturated", used.load(used.client_cpu) * 100.0, Unit::Percent);
    stage.look_around("saturated", &used);
    Ok(())
}

async fn publish(fleet: &Fleet, note: crate::note::Note, sender: u32) {
    if let Some(client) = usize::try_from(sender).ok().and_then(|sender| fleet.clients.get(sender))
    {
        client.publish(&fleet.world, [note]).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_seat_but_the_first_of_every_topic_has_its_turn() {
        let mut turns = Turns { topics: 5, seats: 4, next: 0 };
        let senders: BTreeSet<u32> = (0..15).map(|_| turns.next()).collect();
        let expected = (0..20).filter(|client| client % 4 != 0).collect();
        assert_eq!(senders, expected);
    }
}
