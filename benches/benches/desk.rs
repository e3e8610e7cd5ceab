//! Tickets and their events: how many writes a second, how fast the log is read again, what many who come back at
//! once cost, and how long it takes from a write to the screen of somebody else.
//!
//! What is committed is on the disk, in either store, as in production. The server runs in this process, with its
//! clients. Beside our figures stand:
//!
//! - writes: *bare*, the same rows in the same tables by the same number of writers, one statement for each row, with
//!   nothing decided;
//! - replay: *bare*, one statement that reads the same texts;
//! - coming back: *new*, the same who join and have missed nothing;
//! - write to screen: *message*, which is told to the same listener and not stored.
//!
//! Command: `cargo xtask bench desk`.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

#[path = "desk/bare.rs"]
mod bare;
#[path = "desk/replays.rs"]
mod replays;
#[path = "desk/returning.rs"]
mod returning;
#[path = "desk/screen.rs"]
mod screen;
#[path = "desk/served.rs"]
mod served;
#[path = "desk/site.rs"]
mod site;
#[path = "desk/statements.rs"]
mod statements;

use std::time::Duration;

use anyhow::Result;
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_benches::writers::{self, Amount, Figures, Lap, Run};
use penholder_stores::{Directory, Durability, PostgresServer};

use self::bare::Bare;
use self::site::{Deed, Place, Site};

/// How many write where many do: no more than a store serves before their patience ends.
const MANY: u64 = 64;

fn main() -> Result<()> {
    let asked = Asked::from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = Directory::new()?;
    println!("files in {}\n", dir.path().display());
    let mut server = PostgresServer::prepare(Durability::Machine)?;
    server.go_on()?;
    runtime.block_on(async {
        let places = [Place::Sqlite(dir.path()), Place::Postgres(&server)];
        write(&asked, &places).await?;
        replays::measure(&asked, &places).await?;
        screen::measure(&asked, &places).await?;
        // Last, since statements are slower while they are counted.
        let costs = returning::measure(&asked, &places).await?;
        statements::count(&asked, &places, &costs).await
    })
}

/// A row of the table of writes.
struct Row {
    deed: Deed,
    writers: u64,
    /// Fewest a second.
    rate_min: Option<f64>,
}

fn rows(place: Place<'_>) -> [Row; 4] {
    let row = |deed, writers| Row { deed, writers, rate_min: None };
    // All are told on the topic that has everything: that is the hot one.
    let rate_min = Some(if matches!(place, Place::Sqlite(_)) { 5_000.0 } else { 2_500.0 });
    [
        Row { rate_min, ..row(Deed::Comment, MANY) },
        row(Deed::Comment, 1),
        row(Deed::Change, MANY),
        row(Deed::Ticket, MANY),
    ]
}

async fn write(asked: &Asked, places: &[Place<'_>]) -> Result<()> {
    let columns = [
        ("store", 10),
        ("write", 16),
        ("writers", 7),
        ("a second", 8),
        ("p50", 8),
        ("p99", 8),
        ("unavailable", 11),
        ("our cpu, each", 13),
        ("beside it", 12),
        ("goal", 28),
    ];
    let table = Table::new(&columns);
    for place in places {
        let site = Site::open(place.storage("writes")?, MANY).await?;
        let bare = Bare::open(&place.storage("bare")?, &site).await?;
        for row in rows(*place) {
            let name = format!("{}/{}/{}", place.name(), row.deed.name(), row.writers);
            if asked.wants(&name) {
                compare(asked, (&table, place.name()), (&site, &bare), &row).await?;
            }
        }
        bare.close().await;
        site.close().await;
    }
    println!();
    Ok(())
}

/// Measures a row and the bare store in turn, and prints the row.
async fn compare(
    asked: &Asked,
    (table, store): (&Table, &str),
    (site, bare): (&Site, &Bare),
    row: &Row,
) -> Result<()> {
    let (rounds, amount) = match asked.effort {
        Effort::Smoke => (1, Amount::Count(1)),
        Effort::Quick => (1, Amount::Span(Duration::from_secs(1))),
        Effort::Full => (3, Amount::Span(Duration::from_secs(4))),
    };
    let run = |name: &str| Run {
        title: format!("{store} {}: {name}", row.deed.name()),
        writers: row.writers,
        amount,
    };
    let (mut ours, mut beside) = (Figures::new(), Figures::new());
    for _ in 0..rounds {
        let step = async |lap: &mut Lap| lap.timed(site.write(row.deed, lap.writer)).await;
        ours.add(writers::write(&run("ours"), step).await?);
        let step = async |lap: &mut Lap| lap.timed(bare.write(row.deed, lap.writer)).await;
        beside.add(writers::write(&run("bare"), step).await?);
    }
    let (p50, p99) = ours.whole();
    let goal = row.rate_min.filter(|_| asked.effort > Effort::Smoke).map(|least| {
        format!("≥ {} a second: {}", table::rate(least), verdict(least / ours.rate()))
    });
    table.row([
        store.to_owned(),
        row.deed.name().to_owned(),
        row.writers.to_string(),
        table::rate(ours.rate()),
        table::time(p50),
        table::time(p99),
        table::count(ours.unavailable),
        table::time(ours.processor_ns()),
        format!("bare {}", table::ratio(ours.rate() / beside.rate())),
        goal.unwrap_or_default(),
    ]);
    Ok(())
}

/// Says whether a goal is met, of which a figure needs so many times as much as it may.
fn verdict(times: f64) -> String {
    if times <= 1.0 { "met".to_owned() } else { format!("missed {}", table::ratio(times)) }
}
