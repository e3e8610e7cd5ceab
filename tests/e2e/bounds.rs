//! Peers that hear nothing, or listen too slowly: none delays the others, and memory comes back. Those that
//! say what they should not are in `hostile.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use penholder_client::presence::Fold;
use penholder_protocol::{Json, JsonLimits};
use penholder_tests::{Options, RawSocket, Server, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const SOON: Duration = Duration::from_secs(10);

/// More than the server waits for a sign of life, with time to notice.
const SILENT_MAX: Duration = Duration::from_secs(30);

fn unlimited() -> Options {
    let mut options = Options::default();
    for limit in ["messages", "presence_updates"] {
        for unit in ["per_second", "burst"] {
            options = options.set(&format!("limits.{limit}_{unit}"), "100000");
        }
    }
    options
}

async fn count(server: &Server, topic: &str) -> Result<Value> {
    Ok(server.get(&format!("/v1/topics/{topic}/presence")).await?.json()["count"].clone())
}

#[tokio::test]
async fn a_half_open_socket_is_found_out_and_a_quiet_one_is_not() -> Result<()> {
    let server = Server::start(Options::default().set("presence.grace", "0s")).await?;
    let mut quiet = server.socket(&server.token("quiet").await?).await?;
    let mut dead = server.socket(&server.token("dead").await?).await?;
    quiet.join("doc:quiet").await?;
    dead.join("doc:dead").await?;
    let started = Instant::now();
    // It stays open, but nobody reads it and nobody answers: as a laptop whose lid was closed.
    let noticed = until("the dead one is found out", SILENT_MAX, async || {
        Ok((count(&server, "doc:dead").await? == 0).then(|| started.elapsed()))
    });
    tokio::select! {
        noticed = noticed => ensure!(noticed? > Duration::from_secs(15), "too early"),
        () = quiet.idle() => bail!("the quiet one is closed"),
    }
    assert_eq!(count(&server, "doc:quiet").await?, 1);
    drop(dead);
    Ok(())
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_closed_and_who_takes_little_is_not() -> Result<()> {
    const PIPELINED: usize = 200;
    let server = Server::start(Options::default()).await?;
    let ask = async || {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(([127, 0, 0, 1], server.port()).into()).await?;
        let asked = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(PIPELINED);
        stream.write_all(&asked).await?;
        anyhow::Ok(stream)
    };
    let (_deaf, mut slow) = (ask().await?, ask().await?);
    let connections = async || server.metric("penholder_http_connections").await;
    // The third asks for the metrics.
    until("both are there", SOON, async || Ok((connections().await? == 3.0).then_some(()))).await?;
    let started = Instant::now();
    let closed = until("one is closed", SILENT_MAX, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let read = slow.read(&mut [0; 4096]).await?;
        ensure!(read > 0, "who takes little is closed");
        Ok((connections().await? == 2.0).then(|| started.elapsed()))
    });
    ensure!(closed.await? > Duration::from_secs(15), "too early");
    ensure!(slow.read(&mut [0; 4096]).await? > 0, "who takes little is closed");
    Ok(())
}

#[tokio::test]
async fn a_slow_client_delays_nobody_and_its_memory_comes_back() -> Result<()> {
    const ROUNDS: usize = 400;
    let server = Server::start(unlimited().set("presence.grace", "0s")).await?;
    let mut slow = RawSocket::open_narrow(server.port(), &server.token("slow").await?).await?;
    let mut fast = server.socket(&server.token("fast").await?).await?;
    let mut teller = server.socket(&server.token("teller").await?).await?;
    for socket in [&mut slow, &mut fast, &mut teller] {
        socket.join("doc:1").await?;
    }
    let before = server.resident_bytes()?;
    let payload = "x".repeat(32 * 1024);
    let mut slowest = Duration::ZERO;
    let mut most = before;
    for round in 0..ROUNDS {
        let started = Instant::now();
        let said = json!({"event": "said", "payload": {"n": round, "x": payload}});
        teller.ask("doc:1", "broadcast", &said).await?;
        let is_next = |frame: &Value| frame[3] == "said" && frame[4]["n"] == round;
        fast.until("what was said", is_next).await?;
        slowest = slowest.max(started.elapsed());
        most = most.max(server.resident_bytes()?);
    }
    ensure!(slowest < Duration::from_secs(2), "{slowest:?}");
    ensure!(most < before + 32 * 1024 * 1024, "{before} grew to {most} bytes");
    // The slow one lost what may not be lost, so it is sent away.
    until("the slow one is gone", SOON, async || {
        Ok((count(&server, "doc:1").await? == 2).then_some(()))
    })
    .await?;
    assert_eq!(server.metric(SLOW).await?, 1.0);
    drop(slow);
    until("its memory is back", SOON, async || {
        let resident = server.resident_bytes()?;
        Ok((resident < before + 16 * 1024 * 1024).then_some(()))
    })
    .await
}

/// Counts the connections that the server has closed as too slow.
const SLOW: &str = "penholder_connections_closed_total{code=\"slow_consumer\"}";

/// Waits until the server sends a client away that reads nothing, then reads on to the close frame.
/// What the kernel holds comes first, and the server waits a moment for it to be read.
async fn sent_away(server: &Server, deaf: &mut RawSocket, within: Duration) -> Result<()> {
    until("the deaf one is sent away", within, async || {
        Ok((server.metric(SLOW).await? == 1.0).then_some(()))
    })
    .await?;
    assert_eq!(deaf.closed(SOON).await?, (4408, "slow_consumer".to_owned()));
    until("its session is gone", SOON, async || {
        Ok((count(server, "doc:1").await? == 1).then_some(()))
    })
    .await
}

#[tokio::test]
async fn who_reads_nothing_of_what_must_arrive_is_told_so() -> Result<()> {
    let server = Server::start(unlimited().set("presence.grace", "0s")).await?;
    let mut deaf = server.socket(&server.token("deaf").await?).await?;
    let mut teller = server.socket(&server.token("teller").await?).await?;
    deaf.join("doc:1").await?;
    teller.join("doc:1").await?;
    let said = json!({"event": "said", "payload": {"x": "x".repeat(32 * 1024)}});
    let telling = async {
        loop {
            teller.ask("doc:1", "broadcast", &said).await?;
        }
    };
    tokio::select! {
        told = telling => told,
        heard = sent_away(&server, &mut deaf, SOON) => heard,
    }
}

#[tokio::test]
async fn who_reads_nothing_of_presence_is_told_so_once_a_write_has_hung() -> Result<()> {
    const UPDATES: usize = 3000;
    let options = unlimited().set("presence.diff_window", "0ms").set("presence.grace", "0s");
    let server = Server::start(options.set("limits.send_queue_frames", "16")).await?;
    let mut deaf = RawSocket::open_narrow(server.port(), &server.token("deaf").await?).await?;
    let mut busy = server.socket(&server.token("busy").await?).await?;
    deaf.join("doc:1").await?;
    busy.join("doc:1").await?;
    let filler = "x".repeat(900);
    for n in 0..UPDATES {
        let update = json!({"meta": {"n": n, "x": filler}});
        busy.ask("doc:1", "presence_update", &update).await?;
    }
    // What does not fit is dropped and nothing overflows, so only the time tells.
    assert_eq!(server.metric(SLOW).await?, 0.0);
    tokio::select! {
        () = busy.idle() => bail!("who reads is sent away"),
        heard = sent_away(&server, &mut deaf, SILENT_MAX) => heard,
    }
}

#[tokio::test]
async fn a_slow_reader_of_presence_is_brought_up_to_date_by_a_snapshot() -> Result<()> {
    const UPDATES: usize = 3000;
    let options = unlimited().set("presence.diff_window", "0ms");
    let server = Server::start(options.set("limits.send_queue_frames", "16")).await?;
    let mut slow = RawSocket::open_narrow(server.port(), &server.token("slow").await?).await?;
    let mut busy = server.socket(&server.token("busy").await?).await?;
    slow.join("doc:1").await?;
    busy.join_with("doc:1", &json!({"presence": "receive"})).await?;
    let mut shown = server.socket(&server.token("shown").await?).await?;
    shown.join("doc:1").await?;
    let filler = "x".repeat(900);
    let mut last = Value::Null;
    for n in 0..UPDATES {
        let update = json!({"meta": {"n": n, "x": filler}});
        let reply = shown.ask("doc:1", "presence_update", &update).await?;
        last = reply["response"]["ref"].clone();
    }
    let last = last.as_str().context("no ref")?;

    let mut fold = Fold::strict();
    let mut states = 0;
    soon("the slow one knows the latest", SOON, async {
        while !fold.refs().contains(&("shown", last)) {
            let frame = slow.until("presence", |frame| frame[3] != "phx_reply").await?;
            let payload = Json::parse(frame[4].to_string(), &JsonLimits::WIDEST)?;
            match frame[3].as_str() {
                Some("presence_state") => {
                    states += 1;
                    fold.apply_state(&payload)?;
                }
                Some("presence_diff") => fold.apply_diff(&payload)?,
                _ => {}
            }
        }
        Ok(())
    })
    .await?;
    assert_eq!(fold.take_anomalies(), []);
    assert_eq!(fold.keys().collect::<Vec<_>>(), ["shown", "slow"]);
    ensure!(states >= 2, "it was never behind: {states} states");
    Ok(())
}
