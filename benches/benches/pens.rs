//! The pen on both stores: how many commands a second, and how long one takes.
//!
//! What is committed is on the disk, in either store, as in production. Beside each figure stands *bare*: the
//! same number of writers on the same store, who change one row per transaction with `UPDATE … RETURNING` for
//! each command, and keep no log. Both run in turn.
//!
//! Command: `cargo xtask bench pens`.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

#[path = "pens/bare.rs"]
mod bare;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_benches::writers::{self, Amount, Figures, Lap, Run};
use penholder_desk::{Pens, Renewal, Storage};
use penholder_lease::{
    Claimant, Fence, Kind, Outcome, Person, Policies, Role, SessionId, Terms, Timeline,
};
use penholder_stores::{Directory, Durability, PostgresServer};
use tokio::runtime::Runtime;

use self::bare::Bare;

/// Connections to PostgreSQL: as many as the gateway has.
const CONNECTIONS: u32 = 8;

/// How many write where many do: editors of a busy office, each of whom waits for an answer.
const MANY: u64 = 256;

/// How many renewals the gateway puts into one transaction.
const BATCH: u64 = 256;

/// What writers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Acquire and release, each writer on topics of its own.
    Pair,
    /// The tabs of one person take the pen of one topic from each other: each grant is an event.
    HotGrant,
    /// Renew one pen.
    Renewal,
    /// Renew 256 pens at once.
    Batch,
}

/// A row of the table.
struct Row {
    work: Work,
    name: &'static str,
    writers: u64,
    /// Fewest a second.
    rate_min: Option<f64>,
    /// The longest that half of them may take, in ns.
    p50_max: Option<f64>,
}

/// A store, and the same database without pens.
struct Site {
    name: &'static str,
    /// How many pens there are where they are many.
    topics: u64,
    pens: Pens,
    bare: Bare,
}

fn main() -> Result<()> {
    let asked = Asked::from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = Directory::new()?;
    println!("files in {}", dir.path().display());
    disk(&asked, &dir)?;
    let columns = [
        ("store", 10),
        ("work", 24),
        ("writers", 7),
        ("a second", 9),
        ("p50", 8),
        ("p99", 8),
        ("unavailable", 11),
        ("our cpu, each", 13),
        ("beside it", 12),
        ("goal", 36),
    ];
    let table = Table::new(&columns);
    let path = dir.path().join("pens.sqlite");
    let storage = Storage::Sqlite { path, timeline: Timeline(0) };
    let topics = match asked.effort {
        Effort::Smoke => 2 * BATCH,
        Effort::Quick => 4 * BATCH,
        Effort::Full => 10_000,
    };
    let bare = runtime.block_on(Bare::sqlite(&dir.path().join("bare.sqlite"), topics))?;
    measure(&asked, &runtime, &table, ("SQLite", topics, &storage, bare))?;
    let mut server = PostgresServer::prepare(Durability::Machine)?;
    server.go_on()?;
    let storage = Storage::Postgres { url: server.url(), connections: CONNECTIONS };
    let bare = runtime.block_on(Bare::postgres(&server.url(), CONNECTIONS, topics))?;
    measure(&asked, &runtime, &table, ("PostgreSQL", topics, &storage, bare))
}

/// Prints what a commit costs at least: the disk alone.
fn disk(asked: &Asked, dir: &Directory) -> Result<()> {
    let count = if asked.effort == Effort::Smoke { 3 } else { 300 };
    let mut times = bare::synced_writes(&dir.path().join("synced"), count)?;
    times.sort();
    let shown = |time: Duration| table::time(time.as_nanos() as f64);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("4 KiB appended and on the disk: p50 {}, p99 {}\n", shown(p50), shown(p99));
    Ok(())
}

fn rows(store: &str) -> Vec<Row> {
    let row = |work, name, writers| Row { work, name, writers, rate_min: None, p50_max: None };
    let goal = |rate_min, row| Row { rate_min: Some(rate_min), ..row };
    let pairs = row(Work::Pair, "acquire + release", MANY);
    let alone = row(Work::Pair, "acquire + release", 1);
    let hot = row(Work::HotGrant, "grants, one hot topic", MANY);
    let (pairs, alone, hot) = match store {
        "SQLite" => (goal(5_000.0, pairs), alone, goal(5_000.0, hot)),
        _ => {
            let alone = Row { p50_max: Some(1e6), ..alone };
            (goal(1_500.0, pairs), alone, goal(2_500.0, hot))
        }
    };
    let renewals = row(Work::Renewal, "renewals, one by one", MANY);
    let batches = row(Work::Batch, "renewals, 256 at a time", 2);
    vec![pairs, alone, hot, renewals, batches]
}

fn measure(
    asked: &Asked,
    runtime: &Runtime,
    table: &Table,
    (name, topics, storage, bare): (&'static str, u64, &Storage, Bare),
) -> Result<()> {
    let pens = runtime.block_on(Pens::open(storage, Policies::default()))?;
    let site = Site { name, topics, pens, bare };
    runtime.block_on(site.fill())?;
    for row in rows(name) {
        if asked.wants(&format!("{name}/{}", row.name)) {
            runtime.block_on(compare(asked, table, &site, &row))?;
        }
    }
    runtime.block_on(site.pens.close());
    Ok(())
}

/// Measures a row and the bare store in turn, and prints the row.
async fn compare(asked: &Asked, table: &Table, site: &Site, row: &Row) -> Result<()> {
    let (rounds, amount) = match asked.effort {
        Effort::Smoke => (1, Amount::Count(1)),
        Effort::Quick => (1, Amount::Span(Duration::from_secs(1))),
        Effort::Full => (3, Amount::Span(Duration::from_secs(4))),
    };
    let run = |name: &str| Run {
        title: format!("{} {}: {name}", site.name, row.name),
        writers: row.writers,
        amount,
    };
    let fences = if row.work == Work::Pair || row.work == Work::HotGrant {
        Vec::new()
    } else {
        site.hold_all().await?
    };
    let (mut ours, mut beside) = (Figures::new(), Figures::new());
    for _ in 0..rounds {
        let step = async |lap: &mut Lap| site.step(row, &fences, lap).await;
        ours.add(writers::write(&run("ours"), step).await?);
        let step = async |lap: &mut Lap| site.bare_step(row, lap).await;
        beside.add(writers::write(&run("bare"), step).await?);
    }
    // A smoke run is not optimised.
    let is_judged = asked.effort > Effort::Smoke;
    print(table, (site.name, row), (&ours, &beside), is_judged);
    if row.work == Work::Pair {
        for (part, name) in ["acquire", "release"].into_iter().enumerate() {
            let (p50, p99) = ours.part(part);
            let (p50, p99) = (table::time(p50), table::time(p99));
            let cells = ["", name, "", "", &p50, &p99, "", "", "", ""];
            table.row(cells.map(str::to_owned));
        }
    }
    Ok(())
}

fn print(
    table: &Table,
    (store, row): (&str, &Row),
    (ours, beside): (&Figures, &Figures),
    is_judged: bool,
) {
    let (p50, p99) = ours.whole();
    let goals = [
        row.rate_min.map(|least| {
            let verdict = verdict(ours.rate() >= least, least / ours.rate());
            format!("≥ {} a second: {verdict}", table::rate(least))
        }),
        row.p50_max.map(|most| {
            let verdict = verdict(p50 <= most, p50 / most);
            format!("p50 ≤ {}: {verdict}", table::time(most))
        }),
    ];
    let goals: Vec<_> = goals.into_iter().flatten().filter(|_| is_judged).collect();
    table.row([
        store.to_owned(),
        row.name.to_owned(),
        row.writers.to_string(),
        table::rate(ours.rate()),
        table::time(p50),
        table::time(p99),
        table::count(ours.unavailable),
        table::time(ours.processor_ns()),
        format!("bare {}", table::ratio(ours.rate() / beside.rate())),
        goals.join(", "),
    ]);
}

fn verdict(is_met: bool, missed_by: f64) -> String {
    if is_met { "met".to_owned() } else { format!("missed {}", table::ratio(missed_by)) }
}

fn topic(n: u64) -> String {
    format!("doc:{n}")
}

/// A tab of the person who belongs to a writer.
fn claimant(person: u64, tab: u64) -> Claimant {
    let id = format!("p{person}");
    let name = format!("Person {person}");
    let person = Person { id: id.as_str().into(), name, kind: Kind::Human };
    Claimant { session: SessionId::from(format!("{id}/{tab}")), person, role: Role::Agent }
}

async fn acquire(pens: &Pens, topic: &str, claimant: Claimant) -> Result<Fence> {
    // Longer than a benchmark takes, so that nothing expires.
    let terms = Terms { ttl_ms: Some(300_000), ..Terms::default() };
    match pens.acquire(topic, claimant, terms).await?.outcome {
        Ok(Outcome::Granted { fence, .. }) => Ok(fence),
        other => anyhow::bail!("{topic}: {other:?}"),
    }
}

impl Site {
    /// Gives every topic a pen, which is free again.
    async fn fill(&self) -> Result<()> {
        let fences = self.hold_all().await?;
        for (chunk, first) in fences.chunks(64).zip((0..).step_by(64)) {
            let released = (first..).zip(chunk).map(async |(n, fence)| {
                self.pens.release(&topic(n), claimant(0, 0).session, *fence).await
            });
            try_join_all(released).await?;
        }
        Ok(())
    }

    /// Acquires every pen, and returns the fences in the order of topics.
    async fn hold_all(&self) -> Result<Vec<Fence>> {
        let mut fences = Vec::new();
        while fences.len() < usize::try_from(self.topics)? {
            let first = fences.len() as u64;
            let acquired = (first..self.topics.min(first + 64))
                .map(async |n| acquire(&self.pens, &topic(n), claimant(0, 0)).await);
            fences.extend(try_join_all(acquired).await?);
        }
        Ok(fences)
    }

    /// Does a writer's next step, and tells `lap` what is timed.
    async fn step(&self, row: &Row, fences: &[Fence], lap: &mut Lap) -> Result<()> {
        let pens = &self.pens;
        let own = lap.own_place(row.writers, self.topics);
        match row.work {
            Work::Pair => {
                let (topic, claimant) = (topic(own), claimant(lap.writer, 0));
                let session = claimant.session.clone();
                let fence = lap.timed(acquire(pens, &topic, claimant)).await?;
                let released = lap.timed(pens.release(&topic, session, fence)).await?;
                ensure!(released.outcome == Ok(Outcome::Released), "{:?}", released.outcome);
            }
            Work::HotGrant => {
                lap.timed(acquire(pens, "hot:1", claimant(0, lap.writer))).await?;
            }
            Work::Renewal => {
                let own = lap.own_place(row.writers, fences.len() as u64);
                let renewals = [renewal(own, fences)?];
                let renewed = lap.timed(pens.renew(&renewals)).await?;
                ensure!(renewed[0].outcome.is_ok(), "{:?}", renewed[0].outcome);
            }
            Work::Batch => {
                let own = lap.own_place(row.writers, fences.len() as u64 / BATCH);
                let places = own * BATCH..(own + 1) * BATCH;
                let renewals: Vec<_> =
                    places.map(|place| renewal(place, fences)).collect::<Result<_>>()?;
                let renewed = lap.timed(pens.renew(&renewals)).await?;
                ensure!(renewed.iter().all(|answered| answered.outcome.is_ok()), "all are held");
                lap.counts_for(BATCH);
            }
        }
        Ok(())
    }

    /// The same number of changes of a row, and nothing else.
    async fn bare_step(&self, row: &Row, lap: &mut Lap) -> Result<()> {
        let place = match row.work {
            Work::HotGrant => 0,
            _ => lap.own_place(row.writers, self.topics),
        };
        lap.timed(self.bare.update(place)).await?;
        if row.work == Work::Pair {
            lap.timed(self.bare.update(place)).await?;
        }
        Ok(())
    }
}

fn renewal(place: u64, fences: &[Fence]) -> Result<Renewal> {
    let fence = *fences.get(usize::try_from(place)?).context("no such pen")?;
    let session = claimant(0, 0).session;
    Ok(Renewal { topic: topic(place), session, fence, input_ms_ago: 0, trace: None })
}
