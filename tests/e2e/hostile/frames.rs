//! Frames that break RFC 6455, or a bound of ours. All of RFC 6455 is in `conformance.rs`.

use anyhow::{Result, ensure};
use penholder_tests::{Frame, Opcode};
use serde_json::json;

use super::scene::{SOON, Scene};
use super::{Does, Row};

/// Frames, and the close that they bring about; without one the socket stays open.
pub(super) struct Sent {
    bytes: Vec<u8>,
    close: Option<(u16, &'static str)>,
}

impl Sent {
    pub(super) async fn run(&self, scene: &Scene, user: &str) -> Result<()> {
        let mut socket = scene.socket(user, "agent").await?;
        // The server may close before it has read everything.
        let sent = socket.send_bytes(&self.bytes).await;
        let Some((code, name)) = self.close else {
            sent?;
            let answer = socket.ask("phoenix", "heartbeat", &json!({})).await?;
            ensure!(answer["status"] == "ok", "{answer}");
            return Ok(());
        };
        let closed = socket.closed(SOON).await?;
        ensure!(closed == (code, name.to_owned()), "{closed:?}, not {code}");
        Ok(())
    }
}

const PROTOCOL: Option<(u16, &str)> = Some((1002, "protocol"));
const NOT_UTF8: Option<(u16, &str)> = Some((1007, "not_utf8"));
const TOO_BIG: Option<(u16, &str)> = Some((1009, "too_big"));
const TOO_MANY: Option<(u16, &str)> = Some((4429, "too_many"));

pub(super) fn rows() -> Vec<Row> {
    let rows = [wrong(), texts(), large(), floods()].concat();
    let row = |(name, frames, close): Sending| {
        let bytes = frames.iter().flat_map(Frame::to_bytes).collect();
        Row { name, does: Does::Frames(Sent { bytes, close }) }
    };
    rows.into_iter().map(row).collect()
}

type Sending = (String, Vec<Frame>, Option<(u16, &'static str)>);

fn row(name: impl Into<String>, frames: &[Frame], close: Option<(u16, &'static str)>) -> Sending {
    (name.into(), frames.to_vec(), close)
}

fn heartbeat(reference: &str) -> Vec<u8> {
    json!([null, reference, "phoenix", "heartbeat", {}]).to_string().into_bytes()
}

fn wrong() -> Vec<Sending> {
    let text = Frame::new(Opcode::Text, heartbeat("a"));
    let none = Frame::new(Opcode::Continuation, "");
    let mut rows: Vec<Sending> = (1..8)
        .map(|bits| {
            row(format!("reserved bits {bits:03b}"), &[text.clone().reserved(bits)], PROTOCOL)
        })
        .collect();
    rows.extend((3..8).chain(11..16).map(|number| {
        row(format!("opcode {number}"), &[Frame::new(Opcode::Reserved(number), "")], PROTOCOL)
    }));
    rows.extend([
        row("text without a mask", &[text.clone().unmasked()], PROTOCOL),
        row("ping without a mask", &[Frame::new(Opcode::Ping, "").unmasked()], PROTOCOL),
        row("ping of 126 bytes", &[Frame::new(Opcode::Ping, [0; 126])], PROTOCOL),
        row(
            "ping that announces 1 MiB",
            &[Frame::new(Opcode::Ping, "").announcing(1 << 20)],
            TOO_BIG,
        ),
        row("ping in fragments", &[Frame::new(Opcode::Ping, "").unfinished()], PROTOCOL),
        row("close of 126 bytes", &[Frame::close(1000, &"x".repeat(124))], PROTOCOL),
        row("close with half a code", &[Frame::new(Opcode::Close, [3])], PROTOCOL),
        row("continuation of nothing", std::slice::from_ref(&none), PROTOCOL),
        row("continuation of nothing, unfinished", &[none.unfinished()], PROTOCOL),
        row("message within a message", &[text.clone().unfinished(), text], PROTOCOL),
    ]);
    rows
}

fn texts() -> Vec<Sending> {
    let text = |bytes: &[u8]| Frame::new(Opcode::Text, bytes);
    let (first, last) = (&b"[null,\"\xc3"[..], &b"\xa9\",\"phoenix\",\"heartbeat\",{}]"[..]);
    let last = Frame::new(Opcode::Continuation, last);
    let ping = Frame::new(Opcode::Ping, "between");
    vec![
        row("character over two fragments", &[text(first).unfinished(), last.clone()], None),
        row("character around a ping", &[text(first).unfinished(), ping, last], None),
        row("continuation byte alone", &[text(b"\x80")], NOT_UTF8),
        row("two bytes of which one is ASCII", &[text(b"\xc3\x28")], NOT_UTF8),
        row("overlong slash", &[text(b"[\"\xc0\xaf\"]")], NOT_UTF8),
        row("surrogate", &[text(b"[\"\xed\xa0\x80\"]")], NOT_UTF8),
        row("above the last character", &[text(b"\xf4\x90\x80\x80")], NOT_UTF8),
        row("text that ends within a character", &[text(b"[\"\xe2\x82")], NOT_UTF8),
        row("no text in an unfinished message", &[text(b"\xff").unfinished()], NOT_UTF8),
        row(
            "close whose reason is no text",
            &[Frame::new(Opcode::Close, *b"\x0b\xb8\xff")],
            NOT_UTF8,
        ),
    ]
}

fn large() -> Vec<Sending> {
    let announced = |length: u64| Frame::new(Opcode::Text, "").announcing(length);
    let mut rows: Vec<Sending> = [65_537, 1 << 20, 1 << 32, u64::MAX >> 1, u64::MAX]
        .map(|length| row(format!("{length} bytes announced"), &[announced(length)], TOO_BIG))
        .into();
    let fragments = |count: usize, payload: &[u8]| {
        let mut frames = vec![Frame::new(Opcode::Continuation, payload).unfinished(); count];
        frames[0].opcode = Opcode::Text;
        frames
    };
    let sixteen = Frame::fragments(Opcode::Text, &[b' '; 64], 4);
    rows.extend([
        row("sixteen fragments", &sixteen, None),
        row("seventeen fragments", &fragments(17, b" "), TOO_BIG),
        row("empty fragments without end", &fragments(5000, b""), TOO_BIG),
        row("fragments of 80 KiB in all", &fragments(5, &[b' '; 0x4000]), TOO_BIG),
        row("64 KiB and a byte", &[Frame::new(Opcode::Text, vec![b' '; 65_537])], TOO_BIG),
        row("64 KiB and a byte, binary", &[Frame::new(Opcode::Binary, vec![0; 65_537])], TOO_BIG),
    ]);
    rows
}

fn floods() -> Vec<Sending> {
    let many = |opcode, count| vec![Frame::new(opcode, "canary"); count];
    let heartbeats: Vec<_> =
        (0..400).map(|_| Frame::new(Opcode::Text, heartbeat("flood"))).collect();
    vec![
        row("eight pings", &many(Opcode::Ping, 8), None),
        row("eight pongs that nobody asked for", &many(Opcode::Pong, 8), None),
        row("a flood of pings", &many(Opcode::Ping, 300), TOO_MANY),
        row("a flood of pongs", &many(Opcode::Pong, 300), TOO_MANY),
        row("a flood of heartbeats", &heartbeats, TOO_MANY),
    ]
}
