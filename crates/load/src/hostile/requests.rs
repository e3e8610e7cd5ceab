//! Attacks on HTTP and on what is before it: connections, heads, bodies, floods.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::sleep;

use crate::Scene;
use crate::line::{Answer, Course, Cut, Line, Width};

/// The server waits 5 s for a head, 30 s for a body; the machine is busy.
const HEAD_MAX: Duration = Duration::from_secs(30);
const BODY_MAX: Duration = Duration::from_secs(60);

/// More connections than the server allows from one address, WebSockets and others.
const FLOOD: usize = 500;

/// Paths that cost something, and some that are none.
const PATHS: [&str; 10] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs/",
    "/v1/topics",
    "/v1/topics/load:0/presence",
    "/v1/topics/load:0/summary",
    "/no/such/%ff/path",
];

/// A request; `more` are further lines of its head.
fn request(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: penholder.example\r\n{more}\r\n")
}

/// What a client that wants a WebSocket sends.
fn upgrade(path: &str, more: &str) -> String {
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    request("GET", path, &format!("{upgrade}{more}"))
}

pub(crate) async fn silent(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    if rng.random_ratio(1, 2) {
        sleep(Duration::from_millis(rng.random_range(0..8000))).await;
        return Ok(());
    }
    line.must_end("nothing said", HEAD_MAX).await
}

pub(crate) async fn half_head(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let whole = upgrade("/socket/websocket?vsn=2.0.0", "");
    let half = rng.random_range(1..whole.len() - 1);
    line.send(&whole.as_bytes()[..half]).await?;
    line.must_end("half a head", HEAD_MAX).await
}

pub(crate) async fn slow_head(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let whole = request("GET", "/healthz", &format!("x-slow: {}\r\n", "x".repeat(5000)));
    let pause = Duration::from_millis(rng.random_range(10..400));
    // 5000 bytes at this pace take longer than the server waits.
    line.trickle(whole.as_bytes(), pause).await
}

pub(crate) async fn slow_body(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let token = scene.people.good(rng);
    let more = format!("authorization: Bearer {token}\r\ncontent-length: 1000000\r\n");
    line.send(request("POST", "/v1/topics/load:0/broadcast", &more).as_bytes()).await?;
    if rng.random_ratio(1, 2) {
        return line.must_end("no body", BODY_MAX).await;
    }
    line.trickle(&[b' '; 2000], Duration::from_millis(50)).await
}

/// Opens more connections from one address than it may have, and holds those that stay.
pub(crate) async fn connection_flood(scene: &Scene, rng: &mut StdRng) -> Course {
    let address = Ipv4Addr::new(127, 0, 0, 2 + rng.random_range(0..scene.addresses));
    let mut lines = Vec::new();
    for _ in 0..FLOOD {
        lines.push(Line::open_from(scene, address, (rng, Width::Usual)).await?);
    }
    sleep(Duration::from_millis(rng.random_range(100..3000))).await;
    Ok(())
}

pub(crate) async fn garbage(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let mut noise = vec![0; rng.random_range(1..4000)];
    rng.fill(&mut noise[..]);
    let bytes: &[u8] = match rng.random_range(0..6) {
        0 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        2 => b"GET / HTTP/9.9\r\n\r\n",
        3 => b"\r\n\r\n\r\n\r\n",
        4 => b"GET /healthz HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz",
        _ => &noise,
    };
    line.send(bytes).await?;
    line.must_end("garbage", HEAD_MAX).await
}

pub(crate) async fn bad_handshake(scene: &Scene, rng: &mut StdRng) -> Course {
    let token = scene.people.good(rng);
    let socket = format!("/socket/websocket?vsn=2.0.0&token={token}");
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let (bytes, allowed): (String, &[u16]) = match rng.random_range(0..9) {
        0 => (upgrade(&socket, "origin: https://evil.example\r\n"), &[403]),
        1 => (upgrade(&socket, "origin: null\r\norigin: null\r\n"), &[400]),
        2 => (upgrade("/socket/websocket?vsn=9.9.9", ""), &[403]),
        3 => (request("GET", &socket, ""), &[400]),
        4 => (request("POST", &socket, "content-length: 0\r\n"), &[405]),
        5 => (upgrade(&socket, &many), &[431]),
        6 => (upgrade(&socket, &format!("x-long: {}\r\n", "y".repeat(20_000))), &[431]),
        7 => (upgrade(&format!("{socket}&x={}", "y".repeat(20_000)), ""), &[414]),
        _ => (
            upgrade(&socket, &format!("authorization: Bearer {token}\r\n")),
            // The same token in two places is two tokens.
            &[400],
        ),
    };
    let answer = ask(scene, rng, &bytes).await?;
    answer.must_be("bad handshake", allowed)
}

pub(crate) async fn bad_token(scene: &Scene, rng: &mut StdRng) -> Course {
    let token = scene.people.bad(rng);
    let bytes = match rng.random_range(0..4) {
        0 => upgrade(&format!("/socket/websocket?vsn=2.0.0&token={token}"), ""),
        1 => {
            let bearer = format!("authorization: Bearer {token}\r\n");
            upgrade("/socket/websocket?vsn=2.0.0", &bearer)
        }
        2 => request("GET", "/v1/topics", &format!("authorization: Bearer {token}\r\n")),
        _ => request("GET", "/v1/topics", &format!("authorization: ApiKey {token}\r\n")),
    };
    ask(scene, rng, &bytes).await?.must_be("bad token", &[400, 401])
}

async fn ask(scene: &Scene, rng: &mut StdRng, bytes: &str) -> Result<Answer, Cut> {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    line.send(bytes.as_bytes()).await?;
    line.answer().await
}

/// Many requests without waiting for the answers.
pub(crate) async fn flood(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let token = scene.people.good(rng);
    let authorization = format!("authorization: Bearer {token}\r\n");
    let mut bytes = String::new();
    for _ in 0..rng.random_range(10..100) {
        let path = PATHS.choose(rng).copied().unwrap_or("/");
        bytes += &request("GET", path, if rng.random() { &authorization } else { "" });
    }
    line.send(bytes.as_bytes()).await?;
    let answer = line.answer().await?;
    answer.must_be("a request", &[200, 301, 302, 303, 307, 308, 400, 401, 404])?;
    line.listen(Duration::from_secs(2)).await
}

/// Asks for much and reads nothing of it.
pub(crate) async fn slow_reader(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Narrow).await?;
    let bytes = request("GET", "/openapi.json", "").repeat(rng.random_range(5..100));
    line.send(bytes.as_bytes()).await?;
    sleep(Duration::from_millis(rng.random_range(1000..15_000))).await;
    Ok(())
}

pub(crate) async fn aborted(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    let token = scene.people.good(rng);
    let more = format!("authorization: Bearer {token}\r\ncontent-length: 50000\r\n");
    let head = request("POST", "/v1/topics/load:1/broadcast", &more);
    line.send(head.as_bytes()).await?;
    line.send(&vec![b'['; rng.random_range(0..49_999)]).await?;
    sleep(Duration::from_millis(rng.random_range(0..50))).await;
    Ok(())
}
