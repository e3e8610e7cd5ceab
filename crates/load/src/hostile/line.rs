//! One TCP connection of an attacker: bytes out, and what comes back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::Scene;

/// A receive buffer as small as the kernel allows, as a bad line has. Unit: bytes.
const NARROW_BYTES: u32 = 4096;

/// How long an answer may take. Longer than the server's own bounds: the machine is busy.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How an attack ended before its time.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The server refused, or closed the connection: as it should.
    Short,
    /// The server did what it promises not to do.
    Broken(String),
}

impl From<io::Error> for Cut {
    fn from(_: io::Error) -> Self {
        Self::Short
    }
}

/// How an attack went.
pub(crate) type Course = Result<(), Cut>;

/// How much a connection takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Usual,
    Narrow,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Line(TcpStream);

impl Line {
    /// Connects from one of the attackers' addresses.
    pub(crate) async fn open(scene: &Scene, rng: &mut StdRng, width: Width) -> Result<Self, Cut> {
        let last = 2 + rng.random_range(0..scene.addresses);
        Self::open_from(scene, Ipv4Addr::new(127, 0, 0, last), (rng, width)).await
    }

    /// Connects from a certain address. Most connections end with a reset, some in order.
    pub(crate) async fn open_from(
        scene: &Scene,
        address: Ipv4Addr,
        (rng, width): (&mut StdRng, Width),
    ) -> Result<Self, Cut> {
        let socket = TcpSocket::new_v4()?;
        if width == Width::Narrow {
            socket.set_recv_buffer_size(NARROW_BYTES)?;
        }
        socket.bind(SocketAddr::from((address, 0)))?;
        let stream = socket.connect(scene.server).await?;
        // What is sent in pieces shall arrive in pieces.
        stream.set_nodelay(true)?;
        if rng.random_ratio(4, 5) {
            stream.set_zero_linger()?;
        }
        scene.tally.connected();
        Ok(Self(stream))
    }

    /// Sends bytes. Who takes none for long is as good as gone.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Course {
        timeout(ANSWER_MAX, self.0.write_all(bytes)).await.map_err(|_| Cut::Short)??;
        Ok(())
    }

    /// Sends bytes one at a time, with a pause after each.
    pub(crate) async fn trickle(&mut self, bytes: &[u8], pause: Duration) -> Course {
        for byte in bytes.chunks(1) {
            self.send(byte).await?;
            sleep(pause).await;
        }
        Ok(())
    }

    /// Reads and throws away what comes, for so long.
    pub(crate) async fn listen(&mut self, span: Duration) -> Course {
        let (end, mut scratch) = (Instant::now() + span, [0; 4096]);
        while let Ok(read) = timeout_at(end, self.0.read(&mut scratch)).await {
            if read? == 0 {
                return Err(Cut::Short);
            }
        }
        Ok(())
    }

    /// Waits for the server to end the connection, which it must do within `within`.
    pub(crate) async fn must_end(&mut self, what: &str, within: Duration) -> Course {
        match self.listen(within).await {
            Ok(()) => Err(Cut::Broken(format!("{what}: still open after {within:?}"))),
            Err(_) => Ok(()),
        }
    }

    /// Reads the head of an answer and what came with it.
    pub(crate) async fn answer(&mut self) -> Result<Answer, Cut> {
        let mut bytes = Vec::new();
        let end = Instant::now() + ANSWER_MAX;
        loop {
            if let Some(status) = status(&bytes) {
                return Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() });
            }
            let read = timeout_at(end, self.0.read_buf(&mut bytes)).await;
            if read.map_err(|_| Cut::Broken(format!("no answer within {ANSWER_MAX:?}")))?? == 0 {
                return Err(Cut::Short);
            }
        }
    }
}

/// The head of an answer, and the part of the body that came with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// Checks that the status is one of those; a server without room may always say so.
    pub(crate) fn must_be(&self, what: &str, allowed: &[u16]) -> Course {
        if allowed.contains(&self.status) || [429, 503].contains(&self.status) {
            Ok(())
        } else {
            Err(Cut::Broken(format!("{what}: answered with {}", self.status)))
        }
    }
}

/// The status of an answer whose head is whole.
fn status(bytes: &[u8]) -> Option<u16> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_once_the_head_is_whole() {
        assert_eq!(status(b"HTTP/1.1 101 Switching Protocols\r\na: b\r\n"), None);
        assert_eq!(status(b"HTTP/1.1 429 Too Many Requests\r\n\r\nno"), Some(429));
        assert_eq!(status(b"x\r\n\r\n"), None);
    }

    #[test]
    fn a_server_without_room_breaks_no_promise() {
        let answer = |status| Answer { status, text: String::new() };
        assert!(answer(503).must_be("x", &[401]).is_ok());
        assert!(matches!(answer(101).must_be("x", &[401]), Err(Cut::Broken(_))));
    }
}
