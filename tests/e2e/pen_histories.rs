//! Histories of the pen, end to end: writers over HTTP and on channels, an application beside them that
//! saves under their fences, and a server that is killed and stopped at drawn moments. What everybody saw must
//! be linearizable, topic by topic, and must fit the log and what was saved.
//!
//! `PENHOLDER_HISTORY_SEED` draws other plans, `PENHOLDER_HISTORY_SECONDS` makes them longer. A seed repeats
//! what is asked and when; what the machine makes of it differs.

mod documents;
mod forged;
mod line;
mod record;
mod writer;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_evidence::{Ask, Draw, Logged, Model, Outcome, Written, judge};
use penholder_lease::EventKind;
use penholder_stores::Directory;
use penholder_tests::{Options, Server, Token};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use self::documents::Documents;
use self::line::Identity;
use self::record::{Call, Recorder, check_fences, check_reads, history};
use self::writer::{Manner, Saved, Writer};
use crate::stores::Store;

const TOPICS: [&str; 3] = ["doc:1", "doc:2", "doc:3"];
const TTL_MS: u64 = 1_000;
const DRAIN_MS: u64 = 300;

/// How long an order of the calls of one topic is looked for; it is found at once where there is one.
const SEARCH_MAX: Duration = Duration::from_secs(60);

/// Who writes, and how.
const WRITERS: [Manner; 6] =
    [Manner::Http, Manner::Channel, Manner::Http, Manner::Channel, Manner::Http, Manner::Channel];

#[tokio::test(flavor = "multi_thread")]
async fn histories_on_sqlite_are_linearizable() -> Result<()> {
    run(&Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_on_postgres_are_linearizable() -> Result<()> {
    run(&Store::postgres()?).await
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What has been done to the server.
#[derive(Debug, Default)]
struct Faults {
    kills: u32,
    stops: u32,
}

async fn run(store: &Store) -> Result<()> {
    let seed = number("PENHOLDER_HISTORY_SEED", 1);
    let span = Duration::from_secs(number("PENHOLDER_HISTORY_SECONDS", 12));
    let replay = || format!("replay with PENHOLDER_HISTORY_SEED={seed}");
    let mut server = Server::start(options(store.options("pens")?)).await?;
    let dir = Directory::new()?;
    let documents = Documents::create(&store.application(dir.path(), "shop")?, &TOPICS).await?;
    let recorder = Recorder::start()?;

    let end = Instant::now() + span;
    let mut writers = Vec::new();
    for (n, manner) in (0..).zip(WRITERS) {
        let person = format!("w{n}");
        let token = Token::of(&person).sign()?;
        let identity = Identity { port: server.port(), person, token };
        let draw = Draw(seed << 8 | n);
        let at_hand = (draw, recorder.clone(), documents.clone());
        let writer = Writer::new(n, manner, identity, at_hand).await?;
        writers.push(tokio::spawn(writer.write_until(end)));
    }
    let faults = disturb(&mut server, Draw(seed << 8 | 0xff), end).await.with_context(replay)?;
    let mut saved = Vec::new();
    for writer in writers {
        saved.extend(writer.await?.with_context(replay)?);
    }
    let mut tried = Tried::default();
    for topic in TOPICS {
        let log = log(&server, topic).await?;
        let saves = saves(&documents, topic, &saved).await?;
        check(&recorder.calls(topic), (&log, &saves), &mut tried)
            .await
            .with_context(|| format!("on {topic}; {}", replay()))?;
    }
    tried.check(&faults, seed).with_context(replay)
}

fn options(options: Options) -> Options {
    options
        .set("pen.ttl", &format!("{TTL_MS}ms"))
        .set("pen.drain", &format!("{DRAIN_MS}ms"))
        .set("pen.grace", "600ms")
        .set("presence.grace", "2s")
        .set("limits.messages_per_second", "1000")
        .set("limits.joins_burst", "1000")
}

/// Kills the server and starts it again, or stops it for longer than a lease, until then. Once each before the
/// draws decide.
async fn disturb(server: &mut Server, mut draw: Draw, end: Instant) -> Result<Faults> {
    let mut faults = Faults::default();
    while Instant::now() < end {
        let calm = 300 + draw.below(1_200);
        sleep(Duration::from_millis(calm)).await;
        let drawn = draw.below(5) < 3;
        if faults.kills == 0 || (drawn && faults.stops > 0) {
            if faults.kills == 0 || draw.below(3) > 0 {
                // Stopped first, so that calls are under way when it dies.
                server.pause()?;
                let last = 100 + draw.below(150);
                sleep(Duration::from_millis(last)).await;
            }
            server.kill();
            let dark = draw.below(400);
            sleep(Duration::from_millis(dark)).await;
            server.restart().await?;
            faults.kills += 1;
        } else {
            server.pause()?;
            let span = TTL_MS + 100 + draw.below(TTL_MS);
            sleep(Duration::from_millis(span)).await;
            server.proceed()?;
            faults.stops += 1;
        }
    }
    Ok(faults)
}

/// Reads the whole log of a topic.
async fn log(server: &Server, topic: &str) -> Result<Vec<Logged>> {
    let (mut log, mut cursor) = (Vec::new(), 0);
    loop {
        let path = format!("/v1/pens/{topic}/log?limit=1000&cursor={cursor}");
        let page = server.get(&path).await?.json();
        let data: Vec<Logged> = serde_json::from_value(page["data"].clone())?;
        log.extend(data);
        match page["next_cursor"].as_u64() {
            Some(next) => cursor = next,
            None => return Ok(log),
        }
    }
}

/// What was saved on a topic, in the order in which it was.
async fn saves(documents: &Documents, topic: &str, saved: &[Saved]) -> Result<Vec<Written>> {
    let of_topic = saved.iter().filter(|save| save.topic == topic);
    let saves: BTreeMap<i64, i64> = of_topic.map(|save| (save.version, save.fence)).collect();
    let last = documents.last(topic).await?;
    let known = saves.last_key_value().map_or((0, 0), |(version, fence)| (*version, *fence));
    ensure!(
        known == (last.n, last.fence),
        "{topic} holds {last:?}, and the last save was {known:?}"
    );
    Ok(saves.into_iter().map(|(n, fence)| Written { n, fence, at_ms: None }).collect())
}

async fn check(
    calls: &[Call],
    (log, saves): (&[Logged], &[Written]),
    tried: &mut Tried,
) -> Result<()> {
    // Nobody waits in the queue here.
    tried.grants += judge(log, saves, 0)?.len();
    check_fences(calls, log)?;
    check_reads(calls, log)?;
    let history = history(calls, log, Model::new(TTL_MS, DRAIN_MS))?;
    let (answer, answered) = oneshot::channel();
    // A thread that nobody waits for: the search for an order that does not exist may take for ever.
    thread::spawn(move || answer.send(history.is_linearizable()));
    let seen = || format!("{calls:#?} {log:#?}");
    let searched = timeout(SEARCH_MAX, answered).await;
    let is_linearizable =
        searched.with_context(|| format!("no order found in time: {}", seen()))?;
    ensure!(is_linearizable?, "not linearizable: {}", seen());
    tried.saves += saves.len();
    tried.calls += calls.len();
    for call in calls {
        match (call.ask, call.ended) {
            (_, None) => tried.open += 1,
            (Ask::Save(_), Some((_, Outcome::Lost))) => tried.stale += 1,
            _ => {}
        }
    }
    let told = |kind| log.iter().filter(|it| it.event.kind == kind).count();
    tried.taken_over += told(EventKind::TakenOver);
    tried.reserved += told(EventKind::Reserved);
    Ok(())
}

/// How much has been tried: a run in which nothing happened shows nothing.
#[derive(Debug, Default)]
struct Tried {
    calls: usize,
    grants: usize,
    saves: usize,
    stale: usize,
    open: usize,
    taken_over: usize,
    reserved: usize,
}

impl Tried {
    fn check(&self, faults: &Faults, seed: u64) -> Result<()> {
        let line = format!("seed {seed}: {self:?} {faults:?}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?;
        let counts = [self.grants, self.saves, self.stale, self.open, self.taken_over];
        let faulty = faults.kills > 0 && faults.stops > 0;
        ensure!(faulty && counts.iter().all(|count| *count > 0), "too little was tried: {line}");
        Ok(())
    }
}
