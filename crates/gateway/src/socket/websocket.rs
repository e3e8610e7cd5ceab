//! A WebSocket as the carrier of a connection.
//!
//! The library reads, and writes control frames. Messages are written here: what the shards leave is the
//! same for all who get it, so it has been looked at already, and a buffer that holds a batch is given
//! back when it has gone out.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::{SinkExt, StreamExt};
use penholder_protocol::{CloseCode, Encoded};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::transport::{Gone, Heard, Transport};
use crate::shard::{Batch, Ending, Outbox};
use crate::stream::{Excess, Stream};

/// How long the close frame may take: it is a courtesy to a peer that may not listen.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How many frames are written before the socket is flushed.
const BATCH_FRAMES: usize = 64;

/// A batch that has grown to this size is written before more is added. Unit: bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// A WebSocket on a watched connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    inner: WebSocketStream<Stream>,
    /// Frames of which the peer has taken the first `written` bytes. What is left after a write was given
    /// up goes first, or the next frame would begin within one.
    batch: Vec<u8>,
    written: usize,
}

impl WebSocket {
    pub(super) fn new(inner: WebSocketStream<Stream>) -> Self {
        Self { inner, batch: Vec::new(), written: 0 }
    }

    /// Writes the batch, and gives its buffer back. Can be dropped and called again without loss.
    async fn write_batch(&mut self) -> Result<(), Gone> {
        while self.written < self.batch.len() {
            let rest = &self.batch[self.written..];
            match self.inner.get_mut().write(rest).await {
                Ok(0) | Err(_) => return Err(Gone),
                Ok(count) => self.written += count,
            }
        }
        (self.batch, self.written) = (Vec::new(), 0);
        Ok(())
    }

    /// Sends a frame of the library's.
    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        self.write_batch().await?;
        self.inner.send(message).await.map_err(|_| Gone)
    }
}

impl Transport for WebSocket {
    fn take(&self, outbox: &Outbox) -> Batch {
        outbox.take(BATCH_FRAMES)
    }

    async fn hear(&mut self) -> Heard {
        // While it reads, the library answers pings.
        if self.write_batch().await.is_err() {
            return Heard::Lost;
        }
        match self.inner.next().await {
            Some(Ok(Message::Text(text))) => Heard::Text(text),
            Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Control,
            Some(Ok(Message::Close(Some(frame)))) if frame.code == WireCode::Normal => {
                Heard::Goodbye
            }
            Some(Ok(Message::Close(_))) | None => Heard::Lost,
            Some(Err(error)) => broken(&error),
        }
    }

    async fn write(&mut self, frames: Vec<Encoded>) -> Result<(), Gone> {
        self.write_batch().await?;
        // The library may hold part of a frame of its own.
        self.inner.flush().await.map_err(|_| Gone)?;
        let size = |frame: &Encoded| HEAD_BYTES_MAX + frame.len();
        self.batch.reserve(frames.iter().map(size).sum::<usize>().min(WRITE_BYTES));
        for frame in &frames {
            put(frame, &mut self.batch);
            if self.batch.len() >= WRITE_BYTES {
                self.write_batch().await?;
            }
        }
        self.write_batch().await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.send(Message::Ping(Bytes::new())).await
    }

    /// Sends the close frame, never with code 1000: old clients stay away after it. Then listens until
    /// the peer has closed too, for unread data would make the kernel throw the frame away.
    async fn close(&mut self, ending: &Ending) {
        let (code, reason) = (ending.code.number().into(), ending.reason().into());
        let handshake = async {
            if self.send(Message::Close(Some(CloseFrame { code, reason }))).await.is_ok() {
                while let Some(Ok(_)) = self.inner.next().await {}
            }
        };
        // Whether the peer hears it makes no difference any more.
        timeout(CLOSE_MAX, handshake).await.ok();
    }

    async fn finish(&mut self) {
        // The library has queued the answer; a client that is gone does not need it.
        timeout(CLOSE_MAX, self.inner.flush()).await.ok();
    }
}

/// What a failed read tells of the peer: that it broke the protocol or a bound of it, or is gone.
fn broken(error: &Error) -> Heard {
    match error {
        Error::Capacity(_) => Heard::Broken(CloseCode::TooBig),
        Error::Utf8(_) => Heard::Broken(CloseCode::NotUtf8),
        // A connection that broke off did nothing against the protocol.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Heard::Lost,
        Error::Protocol(_) => Heard::Broken(CloseCode::Protocol),
        Error::Io(_) if Excess::behind(error) == Some(Excess::Fragments) => {
            Heard::Broken(CloseCode::TooBig)
        }
        _ => Heard::Lost,
    }
}

/// Most bytes of the head of a frame that a server sends.
const HEAD_BYTES_MAX: usize = 10;

/// Appends a message in one frame, unmasked as a server has to.
///
/// Source: RFC 6455, section 5.2.
fn put(message: &Encoded, out: &mut Vec<u8>) {
    const LAST: u8 = 0x80;
    let opcode = match message {
        Encoded::Text(_) => 0x1,
        Encoded::Binary(_) => 0x2,
    };
    out.push(LAST | opcode);
    let payload = message.as_bytes();
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    #[test]
    fn frames_are_those_of_the_library_at_every_length_of_the_head() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            let payload = Bytes::from(vec![b'x'; length]);
            let both = [
                (Encoded::Text(payload.clone()), Data::Text),
                (Encoded::Binary(payload.clone()), Data::Binary),
            ];
            for (message, opcode) in both {
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                put(&message, &mut ours);
                let frame = Frame::message(payload.clone(), OpCode::Data(opcode), true);
                frame.format(&mut theirs).unwrap();
                assert!(ours == theirs, "{opcode:?} of {length} bytes");
                assert!(ours.len() <= HEAD_BYTES_MAX + length);
            }
        }
    }
}
