//! Many who come back at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_stores::Directory;
use penholder_tests::RawSocket;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::replays::rounds;
use crate::served::{Served, join};
use crate::site::{Place, Site};
use crate::statements;

/// How many events each has missed.
const MISSED: u64 = 15;

/// How many are told on each topic altogether.
const EVENTS: u64 = 20;

/// People who come back; each with many tabs.
const PEOPLE: usize = 100;

/// Sockets that are opened at the same time: opening them is not what is measured.
const OPENING_MAX: usize = 64;

/// How long a topic that was read is not read again for a join. Only those who come after that find it unread.
const FRESH_FOR: Duration = Duration::from_millis(1_100);

/// Files beside those of the clients.
const FILES_BESIDE: u64 = 200;

/// Somebody's socket, and the topic that they are on.
struct Client {
    socket: RawSocket,
    topic: String,
}

/// How long it took until 95 % were told everything, and all.
#[derive(Debug, Default)]
struct Times {
    most: Vec<Duration>,
    all: Vec<Duration>,
    /// How often somebody was told that the store is away, and came again.
    refused: u64,
}

/// Measures; returns how many statements it took, and how many topics there were.
pub(crate) async fn measure(asked: &Asked, place: Place<'_>) -> Result<Option<(u64, u64)>> {
    if !asked.wants("returning") {
        return Ok(None);
    }
    let (topics, count) = if asked.effort == Effort::Smoke { (4, 20) } else { (100, 5_000) };
    let needed = 2 * count as u64 + FILES_BESIDE;
    let allowed = rlimit::increase_nofile_limit(needed)?;
    anyhow::ensure!(allowed >= needed, "{needed} open files are needed, and {allowed} allowed");

    let site = Site::open(place.storage("returning")?, topics).await?;
    site.fill(usize::try_from(EVENTS - 1)?).await?;
    let dir = Directory::new()?;
    let served = Served::start(&site.storage, dir.path()).await?;
    let mut clients = open(&served, &site, count).await?;
    let (mut new, mut back) = (Times::default(), Times::default());
    let since = (Some(EVENTS - MISSED), usize::try_from(MISSED)?);
    for _ in 0..rounds(asked) {
        clients = come(clients, (None, 0), &mut new).await?;
        clients = come(clients, since, &mut back).await?;
    }
    print(count, topics, (new, back));
    let counted = statements::counted();
    let before = counted.so_far();
    come(clients, since, &mut Times::default()).await?;
    Ok(Some((counted.so_far() - before, topics)))
}

async fn open(served: &Served, site: &Site, count: usize) -> Result<Vec<Client>> {
    let doors = Arc::new(Semaphore::new(OPENING_MAX));
    let mut opening = JoinSet::new();
    for n in 0..count {
        let permit = Arc::clone(&doors).acquire_owned().await?;
        let (served, topic) = (served.clone(), format!("tickets:{}", site.ids[n % site.ids.len()]));
        opening.spawn(async move {
            let socket = served.socket(&format!("agent-{}", n % PEOPLE)).await?;
            drop(permit);
            anyhow::Ok(Client { socket, topic })
        });
    }
    let mut clients = Vec::new();
    while let Some(opened) = opening.join_next().await {
        clients.push(opened??);
    }
    Ok(clients)
}

/// Lets all join at once.
async fn come(
    clients: Vec<Client>,
    since: (Option<u64>, usize),
    times: &mut Times,
) -> Result<Vec<Client>> {
    tokio::time::sleep(FRESH_FOR).await;
    let start = Arc::new(Barrier::new(clients.len() + 1));
    let mut coming = JoinSet::new();
    for mut client in clients {
        let start = Arc::clone(&start);
        coming.spawn(async move {
            start.wait().await;
            let refused = join(&mut client.socket, &client.topic, since).await?;
            anyhow::Ok((client, Instant::now(), refused))
        });
    }
    start.wait().await;
    let begun = Instant::now();
    let (mut clients, mut ends) = (Vec::new(), Vec::new());
    while let Some(came) = coming.join_next().await {
        let (client, end, refused) = came??;
        times.refused += refused;
        clients.push(client);
        ends.push(end.saturating_duration_since(begun));
    }
    ends.sort();
    times.most.push(ends[(ends.len() * 95).div_ceil(100) - 1]);
    times.all.push(*ends.last().context("somebody came")?);
    Ok(clients)
}

fn print(clients: usize, topics: u64, (new, back): (Times, Times)) {
    let columns = [
        ("all at once", 34),
        ("clients", 7),
        ("topics", 6),
        ("95 %", 8),
        ("all", 8),
        ("refused", 7),
        ("beside it", 12),
    ];
    let table = Table::new(&columns);
    let [new_all, back_all] = [&new.all, &back.all].map(|all| crate::replays::median(all.clone()));
    let back_name = format!("come back, {MISSED} events missed");
    let beside = format!("new {}", table::ratio(new_all / back_all));
    let rows = [("join as new", new, new_all, String::new()), (&back_name, back, back_all, beside)];
    for (name, times, all, beside) in rows {
        table.row([
            name.to_owned(),
            table::count(clients as u64),
            topics.to_string(),
            table::time(crate::replays::median(times.most)),
            table::time(all),
            table::count(times.refused),
            beside,
        ]);
    }
    println!();
}
