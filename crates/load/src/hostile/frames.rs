//! Attacks on WebSockets: frames that are none, too many, too long, too slow.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::Scene;
use crate::line::{Course, Line, Width};
use crate::sockets::{BINARY, PING, Socket, TEXT, announced, frame, handshake};

/// The server closes such a socket at once; the machine is busy.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// More sockets than one address may have.
const FLOOD: usize = 250;

/// Ends the connection while it becomes a WebSocket, or right after.
pub(crate) async fn aborted_upgrade(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    line.send(handshake(&scene.people.good(rng), "2.0.0").as_bytes()).await?;
    if rng.random() {
        line.answer().await?;
    }
    if rng.random() {
        let join = format!(r#"["1","1","{}","phx_join",{{}}]"#, scene.topic(0));
        line.send(&frame(TEXT, join.as_bytes())).await?;
    }
    Ok(())
}

/// Opens more sockets from one address than it may have, and holds those that are let in.
pub(crate) async fn socket_flood(scene: &Scene, rng: &mut StdRng) -> Course {
    let address = Ipv4Addr::new(127, 0, 0, 2 + rng.random_range(0..scene.addresses));
    let mut lines = Vec::new();
    for _ in 0..FLOOD {
        let mut line = Line::open_from(scene, address, (rng, Width::Usual)).await?;
        if line.send(handshake(&scene.people.good(rng), "2.0.0").as_bytes()).await.is_ok() {
            lines.push(line);
        }
    }
    sleep(Duration::from_millis(rng.random_range(100..3000))).await;
    Ok(())
}

pub(crate) async fn malformed(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let heartbeat = br#"[null,"1","phoenix","heartbeat",{}]"#;
    let bytes = match rng.random_range(0..12) {
        // Reserved bits, unknown opcodes, control frames that are too long or in parts.
        0 => frame(TEXT | (rng.random_range(1..8) << 4), heartbeat),
        1 => frame(0x80 | rng.random_range(3..8), b""),
        2 => frame(0x80 | rng.random_range(11..16), b""),
        3 => frame(PING, &[0; 126]),
        4 => frame(PING & 0x7f, b""),
        // Without a mask.
        5 => vec![TEXT, 2, b'[', b']'],
        6 => vec![PING, 0],
        // A continuation of nothing, a message within a message, no text.
        7 => frame(0x80, b"x"),
        8 => [frame(TEXT & 0x7f, b"["), frame(TEXT, b"[")].concat(),
        9 => frame(TEXT, b"[\"\xc3\x28\"]"),
        10 => announced(TEXT, u64::MAX),
        _ => announced(BINARY, 1 << rng.random_range(20..62)),
    };
    socket.line.send(&bytes).await?;
    socket.line.must_end("a malformed frame", CLOSE_MAX).await
}

pub(crate) async fn fragments(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let payload: &[u8] = if rng.random() { b"" } else { b" " };
    let pause = Duration::from_millis(rng.random_range(0..2000));
    socket.frame(TEXT & 0x7f, payload).await?;
    for _ in 0..100 {
        socket.frame(0, payload).await?;
        if !pause.is_zero() {
            // Reads on: the server says why it closes.
            socket.listen(pause).await?;
        }
    }
    socket.line.must_end("fragments without end", CLOSE_MAX).await
}

pub(crate) async fn pings(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let opcode = if rng.random() { PING } else { PING + 1 };
    let flood = frame(opcode, &[7; 125]).repeat(rng.random_range(20..500));
    socket.line.send(&flood).await?;
    socket.line.must_end("a flood of pings", CLOSE_MAX).await
}

pub(crate) async fn oversized(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let size = rng.random_range(65_537..2_000_000);
    socket.frame(TEXT, &vec![b' '; size]).await?;
    socket.line.must_end("an oversized message", CLOSE_MAX).await
}
