//! TCP connections are bounded from accept on, before anything was said over them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{Options, RawSocket, Request, Server, Token, soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// In which one who is refused is told so.
const A_MOMENT: Duration = Duration::from_millis(500);

/// What is allowed from one address: two connections for each that may be a WebSocket.
const ARRIVALS_MAX: usize = 10;

const FROM_ONE_ADDRESS: &str = "penholder_http_connections_refused_total{bound=\"address\"}";
const IN_ALL: &str = "penholder_http_connections_refused_total{bound=\"replica\"}";

/// Where those who say nothing come from; the test itself asks from another address.
const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn options() -> Options {
    // Nobody is closed for saying nothing while the test runs.
    Options::default()
        .set("server.connections_per_address_max", "5")
        .set("server.header_timeout", "5m")
}

async fn connect(server: &Server, address: Ipv4Addr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address, 0).into())?;
    Ok(socket.connect(([127, 0, 0, 1], server.port()).into()).await?)
}

async fn connect_many(server: &Server, count: usize) -> Result<Vec<TcpStream>> {
    let mut silent = Vec::new();
    for _ in 0..count {
        silent.push(connect(server, SILENT).await?);
    }
    Ok(silent)
}

/// Waits until so many connections are counted, beside the one that asks.
async fn wait_for(server: &Server, count: usize) -> Result<()> {
    until(format!("{count} connections are counted"), SOON, async || {
        let counted = server.metric("penholder_http_connections").await?;
        Ok((counted.to_string() == (count + 1).to_string()).then_some(()))
    })
    .await
}

/// What is told to a client that has said nothing, until its connection is closed.
async fn told(mut stream: TcpStream) -> Result<String> {
    let mut text = String::new();
    soon("the end", SOON, async { Ok(stream.read_to_string(&mut text).await?) }).await?;
    Ok(text)
}

#[tokio::test]
async fn silent_connections_of_one_address_are_bounded_and_others_come_in() -> Result<()> {
    let server = Server::start(options()).await?;
    let mut silent = connect_many(&server, ARRIVALS_MAX).await?;
    wait_for(&server, ARRIVALS_MAX).await?;
    assert_eq!(server.metric(FROM_ONE_ADDRESS).await?, 0.0, "as many as may be");

    let refused = told(connect(&server, SILENT).await?).await?;
    ensure!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after"), "{refused}");
    assert_eq!(server.metric(FROM_ONE_ADDRESS).await?, 1.0);
    wait_for(&server, ARRIVALS_MAX).await?;

    drop(silent.pop());
    wait_for(&server, ARRIVALS_MAX - 1).await?;
    let mut next = connect(&server, SILENT).await?;
    next.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let answer = told(next).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(silent);
    wait_for(&server, 0).await
}

#[tokio::test]
async fn who_becomes_a_websocket_makes_room_for_another() -> Result<()> {
    let server = Server::start(options()).await?;
    let silent = connect_many(&server, ARRIVALS_MAX - 1).await?;
    let token = Token::of("ann").sign()?;
    let request = Request::websocket(&format!("/socket/websocket?vsn=2.0.0&token={token}"));
    let socket = TcpSocket::new_v4()?;
    socket.bind((SILENT, 0).into())?;
    let upgraded = RawSocket::handshake(socket, server.port(), &request).await?;
    let Ok(mut ann) = upgraded else { anyhow::bail!("ann is refused") };
    wait_for(&server, ARRIVALS_MAX - 1).await?;
    let last = connect(&server, SILENT).await?;
    wait_for(&server, ARRIVALS_MAX).await?;
    ann.join("doc:1").await?;
    drop((silent, last, ann));
    wait_for(&server, 0).await
}

#[tokio::test]
async fn a_trusted_proxy_is_bounded_in_all_only() -> Result<()> {
    const ALL: usize = 40;
    let options = options()
        .set("server.connections_max", "20")
        .set("server.trusted_proxies", "[\"127.0.0.2/32\"]");
    let server = Server::start(options).await?;
    // One place is left for whoever reads the metrics.
    let _silent = connect_many(&server, ALL - 1).await?;
    wait_for(&server, ALL - 1).await?;
    assert_eq!(server.metric(FROM_ONE_ADDRESS).await?, 0.0);
    // The one that has just asked for metrics may be counted for a moment longer.
    let last = until("a place is left", SOON, async || {
        let mut last = connect(&server, SILENT).await?;
        let is_held = timeout(A_MOMENT, last.read_u8()).await.is_err();
        Ok(is_held.then_some(last))
    });
    let last = last.await?;
    let refused = told(connect(&server, Ipv4Addr::LOCALHOST).await?).await?;
    ensure!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(last);
    wait_for(&server, ALL - 1).await?;
    // Who asks may be refused as well, while the one before is counted still, and then reads nothing.
    until("it is counted", SOON, async || Ok((server.metric(IN_ALL).await? >= 1.0).then_some(())))
        .await
}

/// The head of an answer to one request from `address`.
async fn ask(server: &Server, address: Ipv4Addr, headers: &str) -> Result<String> {
    let mut stream = connect(server, address).await?;
    let asked = format!("GET /v1/topics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(asked.as_bytes()).await?;
    told(stream).await
}

#[tokio::test]
async fn an_address_asks_as_often_as_it_may_and_a_backend_as_often_as_it_likes() -> Result<()> {
    const BURST: usize = 20;
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    let options = Options::default()
        .set("limits.http_requests_per_second", "1")
        .set("limits.http_requests_burst", &BURST.to_string());
    let server = Server::start(options).await?;
    for _ in 0..BURST {
        let answer = ask(&server, SILENT, "").await?;
        ensure!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let refused = until("there were too many", SOON, async || {
        let answer = ask(&server, SILENT, "authorization: ApiKey guessed\r\n").await?;
        Ok(answer.starts_with("HTTP/1.1 429 ").then_some(answer))
    });
    let refused = refused.await?;
    ensure!(refused.contains("retry-after: 1") && refused.contains("rate_limited"), "{refused}");
    for _ in 0..BURST {
        let backend = ask(&server, SILENT, "authorization: ApiKey dev\r\n").await?;
        ensure!(backend.starts_with("HTTP/1.1 200 "), "{backend}");
    }
    let other = ask(&server, OTHER, "").await?;
    ensure!(other.starts_with("HTTP/1.1 401 "), "{other}");
    Ok(())
}
