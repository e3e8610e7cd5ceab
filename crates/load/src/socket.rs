//! A WebSocket client that costs little: what the server is measured with must not be what is slow.
//!
//! All clients of a thread read into one buffer and parse frames where they lie; a client keeps bytes
//! only of a frame that has not come in full. Header and handshake key are tungstenite's.

mod inbox;
mod open;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

pub(crate) use inbox::{Inbox, Part};
pub(crate) use open::{Address, open};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    half: OwnedReadHalf,
    inbox: Inbox,
    /// What came with the answer to the handshake.
    early: Vec<u8>,
}

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Writer(OwnedWriteHalf);

impl Reader {
    /// Waits for bytes and gives each part that is whole to `hear`. Returns how many bytes came; none
    /// when the connection has ended.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came is no WebSocket.
    pub(crate) async fn turn(&mut self, mut hear: impl FnMut(Part<'_>)) -> Result<usize> {
        let Self { half, inbox, early } = self;
        if !early.is_empty() {
            let early = std::mem::take(early);
            inbox.feed(&early, &mut hear)?;
            return Ok(early.len());
        }
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *half).poll_read(cx, &mut buffer))?;
                let bytes = buffer.filled();
                Poll::Ready(inbox.feed(bytes, &mut hear).map(|()| bytes.len()))
            })
        })
        .await
    }
}

impl Writer {
    /// Sends frames as [`text`] and [`pong`] make them.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.0.write_all(frames).await
    }
}

/// Appends a text frame.
pub(crate) fn text(content: &[u8], out: &mut Vec<u8>) {
    frame(OpCode::Data(Data::Text), content, out);
}

/// Appends the answer to a ping.
pub(crate) fn pong(content: &[u8], out: &mut Vec<u8>) {
    frame(OpCode::Control(Control::Pong), content, out);
}

/// The mask is all zeros: it must be there, and hides nothing that anybody could want to read.
fn frame(opcode: OpCode, content: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask: Some([0; 4]), ..FrameHeader::default() };
    // A Vec takes everything.
    header.format(content.len() as u64, out).ok();
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;

    /// Against the library that servers in Rust use: what it says is what WebSocket is.
    #[tokio::test]
    async fn frames_of_every_length_pass_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("ws://{}/socket", listener.local_addr().unwrap()));
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    socket
                        .send(Message::Ping(text[..text.len().min(9)].to_owned().into()))
                        .await
                        .unwrap();
                    socket.send(Message::Text(text)).await.unwrap();
                }
            }
        });
        let (mut reader, mut writer) = open(&address.unwrap(), "/?a=b", 0).await.unwrap();
        for length in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let sent = "x".repeat(length);
            let mut frames = Vec::new();
            text(sent.as_bytes(), &mut frames);
            writer.send(&frames).await.unwrap();
            let (mut heard, mut pinged) = (None, None);
            while heard.is_none() {
                let hear = |part: Part<'_>| match part {
                    Part::Text(text) => heard = Some(text.to_vec()),
                    Part::Ping(content) => pinged = Some(content.to_vec()),
                    other => panic!("{other:?}"),
                };
                assert!(reader.turn(hear).await.unwrap() > 0);
            }
            assert!(heard.unwrap() == sent.as_bytes(), "{length}");
            assert_eq!(pinged.unwrap().len(), length.min(9));
        }
        drop(writer);
        server.await.unwrap();
        assert_eq!(reader.turn(|part| panic!("{part:?}")).await.unwrap(), 0);
    }
}
