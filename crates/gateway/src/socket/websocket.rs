//! A WebSocket as the carrier of a connection.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::{SinkExt, StreamExt};
use penholder_protocol::{CloseCode, Encoded};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::transport::{Gone, Heard, Transport};
use super::upgrade::WebSocket;
use crate::shard::Ending;
use crate::stream::Excess;

/// How long the close frame may take: it is a courtesy to a peer that may not listen.
const CLOSE_MAX: Duration = Duration::from_secs(2);

impl Transport for WebSocket {
    async fn hear(&mut self) -> Heard {
        match self.next().await {
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
        for frame in frames {
            self.feed(message(frame)).await.map_err(|_| Gone)?;
        }
        self.flush().await.map_err(|_| Gone)
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.send(Message::Ping(Bytes::new())).await.map_err(|_| Gone)
    }

    /// Sends the close frame, never with code 1000: old clients stay away after it. Then listens until
    /// the peer has closed too, for unread data would make the kernel throw the frame away.
    async fn close(&mut self, ending: &Ending) {
        let (code, reason) = (ending.code.number().into(), ending.reason().into());
        let handshake = async {
            if self.send(Message::Close(Some(CloseFrame { code, reason }))).await.is_ok() {
                while let Some(Ok(_)) = self.next().await {}
            }
        };
        // Whether the peer hears it makes no difference any more.
        timeout(CLOSE_MAX, handshake).await.ok();
    }

    async fn finish(&mut self) {
        // The library has queued the answer; a client that is gone does not need it.
        timeout(CLOSE_MAX, self.flush()).await.ok();
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

fn message(frame: Encoded) -> Message {
    match frame {
        Encoded::Text(bytes) => match Utf8Bytes::try_from(bytes) {
            Ok(text) => Message::Text(text),
            Err(error) => unreachable!("encoded text is UTF-8: {error}"),
        },
        Encoded::Binary(bytes) => Message::Binary(bytes),
    }
}
