//! Many who come back at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_desk::Storage;
use penholder_stores::Directory;
use penholder_tests::RawSocket;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::replays::rounds;
use crate::served::{Served, join};
use crate::site::{Place, Site};
use crate::statements;

/// How many events each has missed.
const MISSED: usize = 15;

/// What they have heard, and how many they are told.
const SINCE: (Option<u64>, usize) = (Some(EVENTS - MISSED as u64), MISSED);

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

/// How many statements it took on a store until all had come back.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) store: &'static str,
    pub(crate) statements: u64,
    pub(crate) topics: u64,
}

/// A server, and those who come back to it.
struct Crowd {
    site: Site,
    clients: Vec<Client>,
    _dir: Directory,
}

/// Measures how long it takes, and then, since statements are slower while they are counted, how many it takes.
pub(crate) async fn measure(asked: &Asked, places: &[Place<'_>]) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    let wanted = |place: &&Place<'_>| asked.wants(&format!("{}/returning", place.name()));
    let places: Vec<_> = places.iter().filter(wanted).collect();
    let (topics, count) = if asked.effort == Effort::Smoke { (4, 20) } else { (100, 10_000) };
    if places.is_empty() {
        return Ok(costs);
    }
    let count = affordable(count)?;
    time(asked, &places, (topics, count)).await?;
    for place in places {
        let crowd = Crowd::open(place.storage("returning_counted")?, (topics, count)).await?;
        // This server has read nothing yet.
        let counted = statements::counted();
        let before = counted.so_far();
        come(crowd.clients, SINCE, &mut Times::default()).await?;
        let statements = counted.so_far() - before;
        costs.push(Cost { store: place.name(), statements, topics });
        crowd.site.close().await;
    }
    Ok(costs)
}

/// As many of so many clients as may have files open: each is two, as the server is in this process.
fn affordable(clients: usize) -> Result<usize> {
    let allowed = rlimit::increase_nofile_limit(2 * clients as u64 + FILES_BESIDE)?;
    let most = usize::try_from(allowed.saturating_sub(FILES_BESIDE) / 2)?;
    anyhow::ensure!(most > 0, "{allowed} open files are not enough");
    Ok(clients.min(most))
}

async fn time(asked: &Asked, places: &[&Place<'_>], (topics, count): (u64, usize)) -> Result<()> {
    let columns = [
        ("store", 10),
        ("all at once", 34),
        ("clients", 7),
        ("topics", 6),
        ("95 %", 8),
        ("all", 8),
        ("refused", 7),
        ("beside it", 12),
    ];
    let table = Table::new(&columns);
    for place in places {
        let mut crowd = Crowd::open(place.storage("returning")?, (topics, count)).await?;
        let (mut new, mut back) = (Times::default(), Times::default());
        for _ in 0..rounds(asked) {
            crowd.clients = come(crowd.clients, (None, 0), &mut new).await?;
            crowd.clients = come(crowd.clients, SINCE, &mut back).await?;
        }
        print(&table, place.name(), (topics, count), (new, back));
        crowd.site.close().await;
    }
    println!();
    Ok(())
}

impl Crowd {
    async fn open(storage: Storage, (topics, count): (u64, usize)) -> Result<Self> {
        let site = Site::open(storage, topics).await?;
        site.fill(usize::try_from(EVENTS - 1)?).await?;
        let dir = Directory::new()?;
        let served = Served::start(&site.storage, dir.path()).await?;
        let clients = open(&served, &site, count).await?;
        Ok(Self { site, clients, _dir: dir })
    }
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

fn print(table: &Table, store: &str, (topics, clients): (u64, usize), (new, back): (Times, Times)) {
    let [new_all, back_all] = [&new.all, &back.all].map(|all| crate::replays::median(all.clone()));
    let back_name = format!("come back, {MISSED} events missed");
    let beside = format!("new {}", table::ratio(new_all / back_all));
    let rows = [("join as new", new, new_all, String::new()), (&back_name, back, back_all, beside)];
    for (name, times, all, beside) in rows {
        table.row([
            store.to_owned(),
            name.to_owned(),
            table::count(clients as u64),
            topics.to_string(),
            table::time(crate::replays::median(times.most)),
            table::time(all),
            table::count(times.refused),
            beside,
        ]);
    }
}
