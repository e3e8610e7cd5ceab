//! Histories of tickets: writers over HTTP on a few tickets, who also get in each other's way, and readers who lose
//! their connections and come back with `since` at drawn moments. Nothing is killed here, so nothing may be missing
//! for a moment: a stream that breaks off fails the test.
//!
//! What the store has in the end is the truth. Each stream is that, number by number, for everybody and in every
//! connection; what was answered is in it, and what was refused is not.
//!
//! `PENHOLDER_HISTORY_SEED` draws other plans, `PENHOLDER_HISTORY_SECONDS` makes them longer.

mod reader;
mod truth;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_evidence::Draw;
use penholder_tests::{CANARY, Options};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::reader::{Reader, Story};
use self::truth::Truth;
use self::writer::{Asked, Outcome, Writer};
use crate::desk::{Desk, named, token};
use crate::stores::Store;

/// Those who write, and whom tickets are assigned to.
const AGENTS: [&str; 4] = ["agent-0", "agent-1", "agent-2", "agent-3"];

/// The owners of the tickets: one has two, one is a guest.
const OWNERS: [Option<&str>; 4] = [Some("ann"), Some("cat"), None, Some("ann")];

#[tokio::test(flavor = "multi_thread")]
async fn streams_on_sqlite_are_the_log() -> Result<()> {
    run(&Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_on_postgres_are_the_log() -> Result<()> {
    run(&Store::postgres()?).await
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn run(store: &Store) -> Result<()> {
    let seed = number("PENHOLDER_HISTORY_SEED", 1);
    let span = Duration::from_secs(number("PENHOLDER_HISTORY_SECONDS", 6));
    let replay = || format!("replay with PENHOLDER_HISTORY_SEED={seed}");
    let desk = Arc::new(Desk::start(options(store.options("tickets")?)).await?);
    let tickets = tickets(&desk).await?;

    let (finish, finished) = watch::channel(None);
    let mut readers = JoinSet::new();
    for (n, (person, topic)) in (0..).zip(audience(&tickets)?) {
        let draw = Draw(seed << 16 | 0x100 | n);
        let reader = Reader::new(&desk, (person, topic), draw);
        readers.spawn(reader.read(finished.clone()));
    }
    let end = Instant::now() + span;
    let mut writers = JoinSet::new();
    for (n, user) in (0..).zip(AGENTS.into_iter().chain(["ann", "cat"])) {
        let own = tickets.iter().zip(OWNERS).filter(|(_, owner)| n < 4 || *owner == Some(user));
        let own = own.map(|(id, _)| id.clone()).collect();
        let role = if n < 4 { "agent" } else { "customer" };
        let writer = Writer::new(n, &desk, (token(user, role)?, own), Draw(seed << 16 | n));
        writers.spawn(writer.write_until(end));
    }
    let mut asked = Vec::new();
    while let Some(written) = writers.join_next().await {
        asked.extend(written?.with_context(replay)?);
    }
    let truth = Truth::read(store, &desk.server).await.with_context(replay)?;
    finish.send(Some(truth.last()))?;
    let mut stories = Vec::new();
    while let Some(story) = readers.join_next().await {
        stories.push(story?.with_context(replay)?);
    }
    let tried = judge(&asked, &truth, &stories).with_context(replay)?;
    // A store may be too slow, but never hold what the server cannot read.
    ensure!(!desk.server.log().contains("cannot be read"), "{}", desk.server.log());
    let line = format!("seed {seed}: {tried:?}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?;
    let counts = [
        tried.done,
        tried.events,
        tried.returns,
        tried.refused,
        tried.conflicts,
        tried.heard,
        tried.missed,
    ];
    let is_enough = counts.iter().all(|count| *count > 0) && tried.unknown < tried.done;
    ensure!(is_enough, "too little was tried: {line}");
    Ok(())
}

fn options(options: Options) -> Options {
    options.set("storage.retention_per_topic", "1000000")
}

/// The tickets that are there before anything is written.
async fn tickets(desk: &Desk) -> Result<Vec<String>> {
    for agent in AGENTS {
        desk.meet(agent, "agent").await?;
    }
    let mut tickets = Vec::new();
    for owner in OWNERS {
        let guest = owner.is_none().then(|| json!({"name": "Gus", "email": "gus@example.org"}));
        let body = json!({"title": "t", "description": "d", "user_id": owner, "guest": guest,
            "metadata": {"m": CANARY}});
        tickets.push(desk.ticket(&token("agent-0", "agent")?, &body).await?);
    }
    Ok(tickets)
}

/// Who reads which topic.
fn audience(tickets: &[String]) -> Result<Vec<(String, String)>> {
    let topics: Vec<String> = tickets.iter().map(|id| format!("tickets:{id}")).collect();
    let (ann, cat, sam) =
        (token("ann", "customer")?, token("cat", "customer")?, token("sam", "admin")?);
    let (first, second, guests) = (&*topics[0], &*topics[1], &*topics[2]);
    let readers = [
        (&sam, "tickets:all"),
        (&sam, "tickets:all"),
        (&sam, first),
        (&sam, guests),
        (&sam, "tickets:user:ann"),
        (&token("agent-0", "agent")?, "tickets:user:agent-0"),
        (&ann, first),
        (&ann, "tickets:user:ann"),
        (&ann, "tickets:user:ann"),
        (&cat, second),
        (&named("vic", "viewer", first)?, first),
        (&named("gus", "guest", guests)?, guests),
    ];
    Ok(readers.map(|(token, topic)| (token.clone(), topic.to_owned())).into())
}

/// How much has been tried: a run in which nothing happened shows nothing.
#[derive(Debug, Default)]
struct Tried {
    done: usize,
    refused: usize,
    /// Of these, writes to a version that was not the last any more.
    conflicts: usize,
    /// Not answered in time by the store.
    unknown: usize,
    events: usize,
    heard: usize,
    /// Of these, after a return.
    missed: usize,
    returns: usize,
    /// How often somebody was told to fetch the state anew.
    resets: usize,
}

fn judge(asked: &[Asked], truth: &Truth, stories: &[Story]) -> Result<Tried> {
    truth.check_routes()?;
    let mut tried = Tried { events: truth.writes.values().map(Vec::len).sum(), ..Tried::default() };
    for asked in asked {
        let written = truth.writes.get(&asked.trace).map(Vec::as_slice).unwrap_or_default();
        ensure!(asked.is_in(written), "the log has {written:#?} of {asked:?}");
        match asked.outcome {
            Outcome::Done => tried.done += 1,
            Outcome::Refused(status) => {
                tried.refused += 1;
                tried.conflicts += usize::from(status == 412);
            }
            Outcome::Unknown => tried.unknown += 1,
        }
    }
    let known: std::collections::BTreeSet<_> = asked.iter().map(|it| &it.trace).collect();
    let unknown = truth.writes.iter().find(|(trace, _)| {
        // Those of before have traces of the server's own.
        trace.starts_with(writer::TRACES) && !known.contains(trace)
    });
    ensure!(unknown.is_none(), "nobody has asked for {unknown:?}");
    for story in stories {
        let context = || format!("{} as {:?}", story.topic, story.audience);
        story.check(truth).with_context(context)?;
        tried.heard += story.heard.len();
        tried.missed += story.missed;
        tried.returns += story.returns;
        tried.resets += story.resets;
    }
    Ok(tried)
}
