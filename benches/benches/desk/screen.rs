//! From a write over HTTP to the screen of somebody who listens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::table::{self, Table};
use penholder_stores::Directory;
use penholder_tests::RawSocket;
use penholder_ticket::ALL_TOPIC;
use serde_json::{Value, json};

use crate::served::{Served, join};
use crate::site::{Place, Site};

/// Where messages are told that nobody keeps.
const ROOM: &str = "room:1";

pub(crate) async fn measure(asked: &Asked, places: &[Place<'_>]) -> Result<()> {
    let columns = [
        ("store", 10),
        ("one at a time", 22),
        ("p50", 8),
        ("p99", 8),
        ("message p50, p99", 18),
        ("beside it, p50", 14),
    ];
    let table = Table::new(&columns);
    for place in places.iter().filter(|place| asked.wants(&format!("{}/screen", place.name()))) {
        listen(asked, &table, *place).await?;
    }
    println!();
    Ok(())
}

async fn listen(asked: &Asked, table: &Table, place: Place<'_>) -> Result<()> {
    let count = match asked.effort {
        Effort::Smoke => 3,
        Effort::Quick => 200,
        Effort::Full => 2_000,
    };
    let site = Site::open(place.storage("screen")?, 1).await?;
    let dir = Directory::new()?;
    let served = Served::start(&site.storage, dir.path()).await?;
    let mut socket = served.socket("bob").await?;
    for topic in [ALL_TOPIC, ROOM] {
        join(&mut socket, topic, (None, 0)).await?;
    }
    let comment = format!("/v1/tickets/{}/comments", site.ids[0]);
    let message = format!("/v1/topics/{ROOM}/broadcast");
    let (mut events, mut messages) = (Vec::new(), Vec::new());
    for n in 0..count {
        let words = format!("comment {n}");
        let request = served.request("POST", &comment, Some(&json!({"content": words})));
        let is_it = |frame: &Value| frame[4]["comment"]["content"] == *words;
        events.push(heard(&served, &mut socket, (&request, is_it)).await?);
        let words = json!({"event": "said", "payload": {"content": words}});
        let request = served.request("POST", &message, Some(&words));
        let is_it = |frame: &Value| {
            frame[2] == ROOM && frame[4].to_string().contains(&format!("comment {n}\""))
        };
        messages.push(heard(&served, &mut socket, (&request, is_it)).await?);
    }
    let (p50, p99) = quantiles(events);
    let (beside, beside_p99) = quantiles(messages);
    table.row([
        place.name().to_owned(),
        "comment to screen".to_owned(),
        table::time(p50),
        table::time(p99),
        format!("{}, {}", table::time(beside), table::time(beside_p99)),
        format!("message {}", table::ratio(beside / p50)),
    ]);
    Ok(())
}

/// Asks, and listens until it is heard; returns how long that took.
async fn heard(
    served: &Served,
    socket: &mut RawSocket,
    (request, is_it): (&[u8], impl Fn(&Value) -> bool),
) -> Result<Duration> {
    let start = Instant::now();
    let listen = async {
        socket.until("what was written", is_it).await.context("it is not told")?;
        anyhow::Ok(start.elapsed())
    };
    let (answered, time) = tokio::join!(served.ask(request), listen);
    answered?;
    time
}

/// Half of them, and all but one in a hundred, took so long at most. In ns.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_nanos() as f64;
    (at(50), at(99))
}
