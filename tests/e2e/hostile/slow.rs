//! Those who take their time: each is bounded, whatever it says meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_tests::{Frame, Opcode, Request, soon};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scene::{Scene, good};

/// More than the longest of the bounds, 30 s for a request, with time to notice.
const OVER_MAX: Duration = Duration::from_secs(50);

/// Between two bytes of somebody slow.
const BYTE_EVERY: Duration = Duration::from_millis(200);

/// Runs them all at once.
pub(super) async fn run(scene: Arc<Scene>) -> Result<()> {
    let port = scene.server.port();
    let token = scene.sign(&good("slow"))?;
    let head = "GET /healthz HTTP/1.1\r\nhost: ";
    let hello = "\u{16}\u{3}\u{1}";
    let post = |authorization: &str| {
        Request::new("POST", "/v1/topics/doc:slow/broadcast")
            .authorized(authorization)
            .header("content-type", "application/json")
            .body([b' '; 4096])
            .to_bytes(port)
    };
    let (body, stranger) = (post("ApiKey dev"), post("ApiKey canary"));
    let whole = Request::new("GET", "/healthz").header("connection", "keep-alive").to_bytes(port);
    tokio::try_join!(
        silent(port, b"", None),
        silent(port, head.as_bytes(), Some(408)),
        silent(port, hello.as_bytes(), Some(400)),
        half(port, &body[..body.len() - 1]),
        silent(port, &stranger[..stranger.len() - 1], Some(401)),
        silent(port, &whole, Some(200)),
        trickling(port, &whole, Some(408)),
        trickling(port, &body, Some(408)),
        half_frame(&scene, &token),
        endless_message(&scene, &token),
    )?;
    Ok(())
}

/// Sends something, then nothing: the server answers what there is to answer, and hangs up.
async fn silent(port: u16, sent: &[u8], status: Option<u16>) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(sent).await?;
    check_over(&mut stream, status).await.map(drop)
}

/// Sends a head and a part of the body: whoever has said so much is answered as anybody is.
async fn half(port: u16, sent: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(sent).await?;
    let answer = check_over(&mut stream, Some(408)).await?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let body: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
    ensure!(body["code"] == "unavailable" && body["message"].is_string(), "{answer}");
    Ok(())
}

/// Sends one byte after another.
async fn trickling(port: u16, sent: &[u8], status: Option<u16>) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut read, mut write) = stream.into_split();
    // The head of what has a body comes at once, for else the body would not begin in time.
    let head = sent.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    let at_once = if head < sent.len() { head } else { 0 };
    write.write_all(&sent[..at_once]).await?;
    let trickle = async {
        for byte in &sent[at_once..] {
            // The server may have hung up.
            write.write_all(&[*byte]).await.ok();
            tokio::time::sleep(BYTE_EVERY).await;
        }
        anyhow::bail!("all of it was taken")
    };
    tokio::select! {
        over = check_over(&mut read, status) => over.map(drop),
        over = trickle => over,
    }
}

async fn check_over(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    status: Option<u16>,
) -> Result<String> {
    let mut answer = Vec::new();
    let read = async {
        // A connection that is reset is over too; what came before counts.
        stream.read_to_end(&mut answer).await.ok();
        Ok(())
    };
    soon("the server hangs up", OVER_MAX, read).await?;
    let answer = String::from_utf8_lossy(&answer);
    let found = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    ensure!(found == status, "{answer:?}, not {status:?}");
    Ok(answer.into_owned())
}

/// Half a frame, then nothing, not even pongs.
async fn half_frame(scene: &Scene, token: &str) -> Result<()> {
    let mut socket = scene.server.socket(token).await?;
    socket.send_bytes(&Frame::new(Opcode::Text, *b"[null").to_bytes()[..7]).await?;
    let closed = socket.closed(OVER_MAX).await?;
    ensure!(closed == (4408, "slow_consumer".to_owned()), "{closed:?}");
    Ok(())
}

/// A message that does not end, from somebody who is alive.
async fn endless_message(scene: &Scene, token: &str) -> Result<()> {
    let mut socket = scene.server.socket(token).await?;
    socket.send_all(&[Frame::new(Opcode::Text, *b"[").unfinished()]).await?;
    let ping = Frame::new(Opcode::Ping, json!({}).to_string());
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if socket.send_all(std::slice::from_ref(&ping)).await.is_err() {
            break;
        }
        if let Ok(closed) = socket.closed(Duration::from_millis(10)).await {
            ensure!(closed == (1009, "too_big".to_owned()), "{closed:?}");
            return Ok(());
        }
    }
    anyhow::bail!("it may go on and on")
}
