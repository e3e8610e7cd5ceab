//! As many connections from one address as it likes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{Options, RawSocket, Request, Server, Token, soon, until};
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::scene::SOON;

/// So often a crowd knocks.
const ATTEMPTS: usize = 5000;

/// So often a smaller one does.
const ATTEMPTS_BEHIND_PROXY: usize = 1000;

/// What the configuration allows from one address.
const ADMITTED: usize = 200;

/// So many knock at a time.
const AT_ONCE: usize = 32;

/// So often somebody else asks for something; below the limit of messages.
const TALK_EVERY: Duration = Duration::from_millis(50);

/// Another address of the same machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// People who all come from one address.
#[derive(Clone, Copy)]
struct Crowd {
    attempts: usize,
    /// What each of them says of where it comes from.
    forwarded: fn(usize) -> Option<String>,
}

/// Connects from `address` and says that it does so for `forwarded`; none if there is no room.
async fn knock(
    port: u16,
    address: Ipv4Addr,
    (user, forwarded): (&str, Option<&str>),
) -> Result<Option<RawSocket>> {
    let token = Token::of(user).sign()?;
    let mut request = Request::websocket(&format!("/socket/websocket?vsn=2.0.0&token={token}"));
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let socket = TcpSocket::new_v4()?;
    if address != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::from((address, 0)))?;
    }
    match soon("an answer", SOON, RawSocket::handshake(socket, port, &request)).await? {
        Ok(socket) => Ok(Some(socket)),
        Err(answer) => {
            // A connection that stayed open would cost the server as much as one that was let in.
            let is_over = answer.header("connection") == Some("close");
            let is_refused = answer.status == 429 && answer.header("retry-after").is_some();
            ensure!(is_over && is_refused, "{answer}");
            Ok(None)
        }
    }
}

/// Knocks again and again from one address; returns those who were let in.
async fn crowd(port: u16, crowd: Crowd) -> Result<Vec<RawSocket>> {
    let count = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let count = Arc::clone(&count);
        workers.spawn(async move {
            let mut admitted = Vec::new();
            loop {
                let n = count.fetch_add(1, Ordering::Relaxed);
                if n >= crowd.attempts {
                    return anyhow::Ok(admitted);
                }
                let (user, forwarded) = (format!("user{n}"), (crowd.forwarded)(n));
                let from = (&*user, forwarded.as_deref());
                admitted.extend(knock(port, Ipv4Addr::LOCALHOST, from).await?);
            }
        });
    }
    let mut admitted = Vec::new();
    for worker in workers.join_all().await {
        admitted.extend(worker?);
    }
    Ok(admitted)
}

/// Lets a crowd knock while somebody else talks, and somebody else comes.
async fn check(
    server: &Server,
    (elsewhere, other): (Ipv4Addr, Option<&str>),
    people: Crowd,
) -> Result<()> {
    let port = server.port();
    let Some(mut ann) = knock(port, elsewhere, ("ann", other)).await? else {
        anyhow::bail!("ann is refused");
    };
    ann.join("doc:1").await?;
    let memory = server.resident_bytes()?;
    let crowd = tokio::spawn(crowd(port, people));
    let quiet = json!({"on": false});
    while !crowd.is_finished() {
        ensure!(ann.ask("doc:1", "typing", &quiet).await?["status"] == "ok");
        tokio::time::sleep(TALK_EVERY).await;
    }
    let admitted = crowd.await??;
    ensure!(admitted.len() == ADMITTED, "{} are let in", admitted.len());
    let newcomer = knock(port, elsewhere, ("bob", other)).await?;
    ensure!(newcomer.is_some(), "whoever comes from elsewhere is refused");
    let again = knock(port, Ipv4Addr::LOCALHOST, ("one", (people.forwarded)(0).as_deref())).await?;
    ensure!(again.is_none(), "one more is let in");
    drop((admitted, newcomer));
    until("there is room again", SOON, async || {
        Ok((server.metric("penholder_connections").await? <= 1.0).then_some(()))
    })
    .await?;
    let again = knock(port, Ipv4Addr::LOCALHOST, ("one", (people.forwarded)(0).as_deref())).await?;
    ensure!(again.is_some(), "there is room, and nobody is let in");
    ensure!(ann.ask("doc:1", "typing", &quiet).await?["status"] == "ok");
    let grown = server.resident_bytes()?.saturating_sub(memory);
    ensure!(grown < 32 * 1024 * 1024, "the server has grown by {grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_from_one_address_is_refused_and_others_are_not() -> Result<()> {
    let server = Server::start(Options::default().any_request_rate()).await?;
    // Whom nobody trusts cannot come from somewhere else by saying so.
    let forwarded = |n: usize| n.is_multiple_of(2).then(|| format!("203.0.113.{}", n % 250));
    let crowd = Crowd { attempts: ATTEMPTS, forwarded };
    check(&server, (ELSEWHERE, None), crowd).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_the_address_that_it_tells_counts() -> Result<()> {
    let proxies = json!(["127.0.0.0/8"]).to_string();
    let options = Options::default().any_request_rate().set("server.trusted_proxies", &proxies);
    let server = Server::start(options).await?;
    // What stands further left was sent by the client.
    let forwarded = |n: usize| Some(format!("198.51.100.{}, 203.0.113.7", n % 250));
    let crowd = Crowd { attempts: ATTEMPTS_BEHIND_PROXY, forwarded };
    check(&server, (Ipv4Addr::LOCALHOST, Some("203.0.113.8")), crowd).await
}
