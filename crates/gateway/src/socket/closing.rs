//! How a WebSocket ends: the close frame and its code.
//!
//! Source: RFC 6455, section 7.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use penholder_protocol::CloseCode;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::upgrade::WebSocket;
use crate::shard::Ending;
use crate::stream::Excess;
use crate::telemetry::metrics;

/// How long the close frame may take: it is a courtesy to a peer that may not listen.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Sends the close frame, never with code 1000: old clients stay away after it. Then listens until
/// the peer has closed too, for unread data would make the kernel throw the frame away.
pub(super) async fn close(socket: &mut WebSocket, ending: &Ending) {
    metrics::closed(ending.code);
    let frame =
        CloseFrame { code: ending.code.number().into(), reason: Utf8Bytes::from(ending.reason()) };
    let handshake = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // Whether the peer hears it makes no difference any more.
    timeout(CLOSE_MAX, handshake).await.ok();
}

/// Answers the close frame of a peer. The library has queued the answer; a peer that is gone does not
/// need it.
pub(super) async fn answer_close(socket: &mut WebSocket) {
    timeout(CLOSE_MAX, socket.flush()).await.ok();
}

/// What a peer has done wrong when nothing more can be read of it; `None` when it is just gone.
pub(super) fn code_of(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::TooBig),
        Error::Utf8(_) => Some(CloseCode::NotUtf8),
        // A connection that broke off did nothing against the protocol.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Io(_) if Excess::behind(error) == Some(Excess::Fragments) => Some(CloseCode::TooBig),
        _ => None,
    }
}
