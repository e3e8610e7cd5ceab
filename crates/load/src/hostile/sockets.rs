//! WebSockets without a library: frames may be anything.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::Scene;
use crate::line::{Course, Cut, Line, Width};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const PING: u8 = 0x89;

/// An open socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) line: Line,
    next_ref: u32,
}

impl Socket {
    /// Opens a socket with a good token.
    pub(crate) async fn open(scene: &Scene, rng: &mut StdRng, width: Width) -> Result<Self, Cut> {
        let mut line = Line::open(scene, rng, width).await?;
        let vsn = if rng.random_ratio(1, 4) { "1.0.0" } else { "2.0.0" };
        // Only V2 frames are sent; in V1 each of them is malformed.
        let vsn = if rng.random_ratio(1, 20) { vsn } else { "2.0.0" };
        line.send(handshake(&scene.people.good(rng), vsn).as_bytes()).await?;
        let answer = line.answer().await?;
        if answer.status != 101 {
            answer.must_be("a good handshake", &[])?;
            return Err(Cut::Short);
        }
        Ok(Self { line, next_ref: 1 })
    }

    /// Sends one frame, the first byte of which is given.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) -> Course {
        self.line.send(&frame(first, payload)).await
    }

    /// Sends a message on a topic.
    pub(crate) async fn push(&mut self, topic: &str, event: &str, payload: &Value) -> Course {
        let reference = self.next_ref.to_string();
        self.next_ref += 1;
        // The ref of the join is the topic's own name: one join of each is the present one.
        let message = json!([topic, reference, topic, event, payload]).to_string();
        self.frame(TEXT, message.as_bytes()).await
    }

    pub(crate) async fn join(&mut self, topic: &str, payload: &Value) -> Course {
        let message = json!([topic, topic, topic, "phx_join", payload]).to_string();
        self.frame(TEXT, message.as_bytes()).await
    }

    pub(crate) async fn listen(&mut self, span: Duration) -> Course {
        self.line.listen(span).await
    }
}

/// The request for a socket.
pub(crate) fn handshake(token: &str, vsn: &str) -> String {
    format!(
        "GET /socket/websocket?vsn={vsn}&token={token} HTTP/1.1\r\nhost: penholder.example\r\n\
         connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame with a mask of zeros: it must be there, and hides nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = announced(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The head of a frame that says it is so long.
pub(crate) fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => bytes.push(0x80 | short),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

    use super::*;

    #[test]
    fn heads_of_frames_are_what_a_library_reads() {
        for length in [0, 125, 126, 65_535, 65_536, 1 << 40] {
            let head = announced(TEXT, length);
            let parsed = FrameHeader::parse(&mut Cursor::new(&head)).unwrap().unwrap();
            assert_eq!((parsed.0.mask, parsed.1), (Some([0; 4]), length));
        }
        assert_eq!(frame(PING, b"ab"), [0x89, 0x82, 0, 0, 0, 0, b'a', b'b']);
    }
}
