//! Many who come back at once: what that costs the store is in proportion to their topics.

use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{Options, RawSocket, until};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::desk::{Desk, heard, quietly, token};

const TOPICS: usize = 3;
const CLIENTS: usize = 20;
const COMMENTS: u64 = 5;

/// Those who come back to one topic, each with what they have heard and the number of the last event for them.
struct Client {
    socket: RawSocket,
    topic: String,
    since: u64,
    last: u64,
}

impl Client {
    async fn ask(&mut self) -> Result<()> {
        let join = json!(["1", "1", self.topic, "phx_join", quietly(Some(self.since))]);
        self.socket.send(&join.to_string()).await
    }

    /// Reads everything that was missed.
    async fn catch_up(&mut self) -> Result<()> {
        let (mut numbers, topic, last) = (Vec::new(), self.topic.clone(), self.last);
        let mut answer = Value::Null;
        let is_last = |frame: &Value| {
            if frame[3] == "phx_reply" {
                answer = frame[4].clone();
            }
            numbers.extend(heard(frame, &topic).and_then(|heard| heard.seq()));
            answer["status"] == "error" || numbers.last() == Some(&last)
        };
        self.socket.until("what was missed", is_last).await?;
        ensure!(answer["response"]["recovered"] == true, "since {}: {answer}", self.since);
        ensure!(numbers.iter().copied().eq(self.since + 1..=last), "{}: {numbers:?}", self.since);
        Ok(())
    }
}

/// How many statements of a log read a topic, whatever of it.
fn reads(log: &str) -> usize {
    // What was kept for long enough or is too much, and which pens are due, is asked for at every start.
    let upkeep = ["occurred_ms <=", "at_ms <=", "seq - pruned >", "due_ms IS NOT NULL"];
    let tables = ["topics", "event_log", "pen_log", "pens", "tickets"];
    let statements = log.lines().filter(|line| line.contains("db.statement"));
    let reads = statements.filter(|line| line.contains("SELECT"));
    reads
        .filter(|line| !upkeep.iter().any(|part| line.contains(part)))
        .filter(|line| tables.iter().any(|table| line.contains(&format!(" {table} "))))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_of_many_costs_as_much_as_their_topics() -> Result<()> {
    let mut desk = Desk::start(Options::default().log("warn,sqlx::query=debug")).await?;
    let (ada, ann) = (token("ada", "admin")?, token("ann", "customer")?);
    let mut topics = Vec::new();
    for _ in 0..TOPICS {
        let body = json!({"title": "t", "description": "d", "user_id": "ann"});
        let ticket = desk.ticket(&ada, &body).await?;
        for n in 0..COMMENTS {
            let path = format!("/v1/tickets/{ticket}/comments");
            let body = json!({"content": "hello", "is_internal": n == 0});
            desk.done(&ada, ("POST", &path), &body).await?;
        }
        topics.push(format!("tickets:{ticket}"));
    }
    // What comes now knows of nothing.
    desk.server.restart().await?;
    let mut clients = Vec::new();
    for n in 0..TOPICS * CLIENTS {
        let is_staff = n % 2 == 0;
        let socket = desk.server.socket(if is_staff { &ada } else { &ann }).await?;
        // With the ticket itself there is one event more than comments, and one of them is a note.
        let last = COMMENTS + u64::from(is_staff);
        let (topic, since) = (topics[n % TOPICS].clone(), n as u64 % last);
        clients.push(Client { socket, topic, since, last });
    }
    let begun = Instant::now();
    for client in &mut clients {
        client.ask().await?;
    }
    for client in &mut clients {
        client.catch_up().await?;
    }
    // Where this takes long, a topic is looked at once more each second, its log once more each ten seconds.
    let turns = usize::try_from(begun.elapsed().as_secs())? + 1;
    let most = TOPICS * (turns + turns.div_ceil(10));
    // Each log is read, and topics that are asked for together are looked at together.
    let logged = || async { Ok((reads(&desk.server.log()) > TOPICS).then_some(())) };
    until("the statements are in the log", Duration::from_secs(10), logged).await?;
    let count = reads(&desk.server.log());
    ensure!(count <= most, "{count} statements:\n{}", desk.server.log());
    Ok(())
}
