//! The log of one topic, read from its start.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_desk::Replay;
use penholder_ticket::{ALL_TOPIC, Audience};

use crate::bare::Pool;
use crate::served::Served;
use crate::site::{Place, Site};
use crate::verdict;

/// How long 10 000 events may take. Unit: ns.
const MOST: f64 = 200e6;

pub(crate) async fn measure(asked: &Asked, places: &[Place<'_>]) -> Result<()> {
    let columns = [
        ("store", 10),
        ("read again", 34),
        ("events", 6),
        ("time", 8),
        ("beside it", 12),
        ("goal", 26),
    ];
    let table = Table::new(&columns);
    for place in places.iter().filter(|place| asked.wants(&format!("{}/replay", place.name()))) {
        replay(asked, &table, *place).await?;
    }
    println!();
    Ok(())
}

async fn replay(asked: &Asked, table: &Table, place: Place<'_>) -> Result<()> {
    let (tickets, comments) = if asked.effort == Effort::Smoke { (4, 25) } else { (100, 99) };
    let site = Site::open(place.storage("replay")?, tickets).await?;
    site.fill(comments).await?;
    let (events, limit) = (site.ids.len() * (comments + 1), u32::MAX);
    let pool = Pool::open(&site.storage).await?;
    let dir = penholder_stores::Directory::new()?;
    let served = Served::start(&site.storage, dir.path()).await?;

    let bare = async || pool.replay(ALL_TOPIC, i64::from(limit)).await;
    let staff = async || match site.tickets.events((ALL_TOPIC, Audience::Staff), 0, limit).await? {
        Replay::Events { events, .. } => Ok(events.len()),
        Replay::Reset { .. } => Ok(0),
    };
    let both = async || Ok(site.tickets.stretch(ALL_TOPIC, 0, limit).await?.entries.len());
    let pages = async || served.pages(ALL_TOPIC).await;
    let sent = async || served.sent_events(ALL_TOPIC, events).await.map(|()| events);
    // In turn, so that what else the machine does falls on all of them.
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..rounds(asked) {
        times[0].push(timed(events, &bare).await?);
        times[1].push(timed(events, &staff).await?);
        times[2].push(timed(events, &both).await?);
        times[3].push(timed(events, &pages).await?);
        times[4].push(timed(events, &sent).await?);
    }
    let [bare, ours @ ..] = times.map(median);
    let names = [
        "the staff's, from the store",
        "both audiences', from the store",
        "over HTTP, 1 000 a page",
        "as server-sent events",
    ];
    for (name, time) in names.into_iter().zip(ours) {
        let goal = if asked.effort == Effort::Smoke {
            String::new()
        } else {
            format!("≤ {}: {}", table::time(MOST), verdict(time / MOST))
        };
        table.row([
            place.name().to_owned(),
            name.to_owned(),
            events.to_string(),
            table::time(time),
            format!("bare {}", table::ratio(bare / time)),
            goal,
        ]);
    }
    Ok(())
}

pub(crate) fn rounds(asked: &Asked) -> usize {
    match asked.effort {
        Effort::Smoke => 1,
        Effort::Quick => 3,
        Effort::Full => 9,
    }
}

async fn timed(events: usize, read: impl AsyncFn() -> Result<usize>) -> Result<Duration> {
    let start = Instant::now();
    let count = read().await?;
    let time = start.elapsed();
    ensure!(count == events, "{count} of {events} events");
    Ok(time)
}

/// In ns.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_nanos() as f64
}
