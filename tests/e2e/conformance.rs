//! RFC 6455 against the real server, byte by byte.
//!
//! The groups are those of the Autobahn test suite, whose number each case names; that suite itself runs
//! by `cargo xtask autobahn`. An echo is a broadcast that the sender asks to have back. What the server
//! bounds on purpose, fragments and size, closes with 1009.

mod closing;
mod fragments;
mod framing;
mod limits;
mod opcodes;
mod pings;
mod reserved;
mod utf8;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_tests::{Frame, Opcode, Options, RawSocket, Server};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

const TOPIC: &str = "rfc:6455";

/// What is sent to the server in one case, and what it must do.
struct Case {
    name: String,
    sent: Vec<u8>,
    /// How many bytes are sent at once.
    piece: usize,
    texts: Vec<String>,
    binaries: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
    end: End,
}

/// How a case ends.
enum End {
    /// The socket is still open, and can be closed in good order.
    Open,
    /// The server closes with this code. What was on its way then may be lost.
    Closed(u16),
    /// The server answers the close frame that was sent with one that holds this, and nothing more.
    Answered(Vec<u8>),
}

impl Case {
    /// A case in which nothing is sent, and the socket stays open.
    fn new(name: impl Into<String>) -> Self {
        let (sent, piece, end) = (Vec::new(), usize::MAX, End::Open);
        let (texts, binaries, pongs) = (Vec::new(), Vec::new(), Vec::new());
        Self { name: name.into(), sent, piece, texts, binaries, pongs, end }
    }

    /// Sends a frame.
    fn frame(self, frame: &Frame) -> Self {
        self.bytes(&frame.to_bytes())
    }

    fn frames(self, frames: &[Frame]) -> Self {
        frames.iter().fold(self, Self::frame)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.sent.extend(bytes);
        self
    }

    /// Sends a ping that must be answered.
    fn ping(self, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        self.frame(&Frame::new(Opcode::Ping, payload.clone())).ponged(payload)
    }

    /// Sends a whole message that must come back.
    fn text(self, text: &str) -> Self {
        self.frame(&Frame::new(Opcode::Text, message(text))).echoed(text)
    }

    /// What was sent comes back as this text.
    fn echoed(mut self, text: &str) -> Self {
        self.texts.push(text.to_owned());
        self
    }

    /// What was sent reaches somebody else as these bytes.
    fn relayed(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.binaries.push(data.into());
        self
    }

    fn ponged(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.pongs.push(payload.into());
        self
    }

    fn closed(mut self, code: u16) -> Self {
        self.end = End::Closed(code);
        self
    }

    /// Sends a close frame that must be answered with the same.
    fn close(self, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        self.frame(&Frame::new(Opcode::Close, payload.clone())).answered(payload)
    }

    fn answered(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.end = End::Answered(payload.into());
        self
    }

    /// Sends so many bytes at once and no more.
    fn in_pieces(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
    }

    /// The same under another name, in pieces.
    fn again_in_pieces(&self, name: impl Into<String>, bytes: usize) -> Self {
        let (sent, texts) = (self.sent.clone(), self.texts.clone());
        let (binaries, pongs) = (self.binaries.clone(), self.pongs.clone());
        let end = match &self.end {
            End::Open => End::Open,
            End::Closed(code) => End::Closed(*code),
            End::Answered(payload) => End::Answered(payload.clone()),
        };
        Self { name: name.into(), sent, piece: bytes, texts, binaries, pongs, end }
    }
}

/// A message that comes back to its sender.
fn message(text: &str) -> Vec<u8> {
    message_around(text.as_bytes())
}

/// The same around bytes that may be no text.
fn message_around(bytes: &[u8]) -> Vec<u8> {
    let whole = json!([null, null, TOPIC, "broadcast",
        {"event": "echo", "payload": {"a": "@"}, "self": true}]);
    let whole = whole.to_string();
    let (head, tail) = whole.split_once('@').unwrap_or_default();
    [head.as_bytes(), bytes, tail.as_bytes()].concat()
}

/// A text whose message has exactly this many bytes.
fn text_of(message_bytes: usize) -> String {
    "*".repeat(message_bytes - message("").len())
}

/// A binary message that reaches the others as `data`.
fn binary_message(data: &[u8]) -> Vec<u8> {
    const EVENT: &str = "broadcast:echo";
    let lengths = [0, 0, 0, TOPIC.len(), EVENT.len()];
    let lengths = lengths.map(|length| u8::try_from(length).unwrap_or(u8::MAX));
    [&lengths, TOPIC.as_bytes(), EVENT.as_bytes(), data].concat()
}

async fn joined(server: &Server, user: &str) -> Result<RawSocket> {
    let mut socket = server.socket(&server.token(user).await?).await?;
    socket.join_with(TOPIC, &json!({"presence": false})).await?;
    Ok(socket)
}

async fn run(server: &Server, case: &Case) -> Result<()> {
    let mut ann = joined(server, "ann").await?;
    let mut bob = joined(server, "bob").await?;
    for piece in case.sent.chunks(case.piece) {
        let sent = ann.send_bytes(piece).await;
        if matches!(case.end, End::Open) {
            sent?;
        }
    }
    let mut seen = Log::default();
    match &case.end {
        End::Open => {
            while seen.texts.len() < case.texts.len() || seen.pongs.len() < case.pongs.len() {
                let closed = seen.read(&mut ann).await?;
                ensure!(closed.is_none(), "closed: {closed:?}");
            }
            ann.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await?;
            let answer = seen.read_to_close(&mut ann).await?;
            ensure!(answer == 1000_u16.to_be_bytes(), "the close is answered with {answer:?}");
        }
        End::Answered(payload) => {
            let answer = seen.read_to_close(&mut ann).await?;
            ensure!(answer == *payload, "the close is answered with {answer:?}, not {payload:?}");
        }
        End::Closed(code) => {
            let closed = seen.read_to_close(&mut ann).await?;
            let found = closed.first_chunk().map(|code| u16::from_be_bytes(*code));
            ensure!(found == Some(*code), "closed with {found:?}, not {code}");
            // The server may have ended the connection by now.
            ann.send_frame(Opcode::Close, &code.to_be_bytes()).await.ok();
        }
    }
    ann.ended(SOON).await?;
    let is_whole = matches!(case.end, End::Open);
    check("text", &seen.texts, &case.texts, is_whole)?;
    check("pongs", &seen.pongs, &case.pongs, is_whole)?;
    for data in &case.binaries {
        let relayed = next_binary(&mut bob).await?;
        ensure!(relayed.ends_with(data), "{relayed:?} does not end with {data:?}");
        ensure!(relayed.len() == binary_message(data).len() - "\0\0broadcast:".len());
    }
    bob.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await
}

async fn next_binary(socket: &mut RawSocket) -> Result<Vec<u8>> {
    penholder_tests::soon("a binary broadcast", SOON, async {
        loop {
            let frame = socket.read().await?;
            if frame.opcode == Opcode::Binary {
                return Ok(frame.payload);
            }
        }
    })
    .await
}

/// Compares what came with what should have; where the socket was closed, the end may be lost.
fn check<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &[T],
    expected: &[T],
    is_whole: bool,
) -> Result<()> {
    let is_right = if is_whole { found == expected } else { expected.starts_with(found) };
    let shown = |of: &[T]| format!("{of:?}").chars().take(300).collect::<String>();
    ensure!(is_right, "{what}: {}, not {}", shown(found), shown(expected));
    Ok(())
}

/// What the server has sent.
#[derive(Default)]
struct Log {
    texts: Vec<String>,
    pongs: Vec<Vec<u8>>,
}

impl Log {
    /// Reads one frame; returns what a close frame holds.
    async fn read(&mut self, socket: &mut RawSocket) -> Result<Option<Vec<u8>>> {
        let read = async { socket.read().await.context("it breaks off") };
        let frame = penholder_tests::soon("another frame", SOON, read).await?;
        match frame.opcode {
            Opcode::Close => return Ok(Some(frame.payload)),
            Opcode::Pong => self.pongs.push(frame.payload),
            Opcode::Text => {
                let value: Value = serde_json::from_slice(&frame.payload)?;
                ensure!(value[3] == "echo", "{value}");
                self.texts.push(value[4]["a"].as_str().context("no text")?.to_owned());
            }
            other => ensure!(other == Opcode::Ping, "{other:?} comes back"),
        }
        Ok(None)
    }

    async fn read_to_close(&mut self, socket: &mut RawSocket) -> Result<Vec<u8>> {
        loop {
            if let Some(payload) = self.read(socket).await? {
                return Ok(payload);
            }
        }
    }
}

async fn run_group(cases: Vec<Case>) -> Result<()> {
    let server = Server::start(Options::default().set("presence.grace", "0s")).await?;
    let mut failed = Vec::new();
    for case in cases {
        if let Err(error) = run(&server, &case).await {
            failed.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(failed.is_empty(), "\n{}", failed.join("\n"));
    Ok(())
}

#[tokio::test]
async fn frames_of_every_length_are_read() -> Result<()> {
    run_group(framing::cases()).await
}

#[tokio::test]
async fn pings_are_answered_and_pongs_are_not() -> Result<()> {
    run_group(pings::cases()).await
}

#[tokio::test]
async fn reserved_bits_and_opcodes_are_refused() -> Result<()> {
    run_group(reserved::cases().into_iter().chain(opcodes::cases()).collect()).await
}

#[tokio::test]
async fn fragments_are_put_together() -> Result<()> {
    run_group(fragments::cases()).await
}

#[tokio::test]
async fn text_is_utf8() -> Result<()> {
    run_group(utf8::cases()).await
}

#[tokio::test]
async fn the_end_is_in_good_order() -> Result<()> {
    run_group(closing::cases()).await
}

#[tokio::test]
async fn messages_are_bounded() -> Result<()> {
    run_group(limits::cases()).await
}
