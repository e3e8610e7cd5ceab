//! From a request to a WebSocket.
//!
//! axum's own extractor gives a socket whose stream it has taken for itself; ours stays watched, see
//! [`Stream`].

use std::io;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::websocket::WebSocket;
use crate::stream::Stream;

/// Read buffer of one connection, kept as long as it is open: most messages of clients fit into it, and
/// of larger ones so much is read at a time. Unit: bytes.
const READ_BUFFER_BYTES: usize = 1024;

/// A request that asks for a WebSocket, and the answer that gives it one.
pub(super) struct Upgrade {
    answer: Response,
    upgrade: OnUpgrade,
}

impl Upgrade {
    /// Reads a request; `None` where it is no upgrade.
    pub(super) fn of(parts: &mut Parts) -> Option<Self> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        let answer = create_response(&request).ok()?.map(|()| Body::empty());
        let upgrade = parts.extensions.remove()?;
        Some(Self { answer, upgrade })
    }

    /// Returns the answer, which names the `protocol` if there is one; `serve` gets the socket, which takes
    /// messages of at most `message_max` bytes, when it has been sent.
    pub(super) fn accept<F>(
        mut self,
        protocol: Option<&'static str>,
        message_max: usize,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        if let Some(protocol) = protocol {
            let protocol = HeaderValue::from_static(protocol);
            self.answer.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(message_max))
            .max_frame_size(Some(message_max));
        tokio::spawn(async move {
            let upgraded = match self.upgrade.await {
                Ok(upgraded) => upgraded,
                Err(error) => return tracing::debug!(%error, "upgrade failed"),
            };
            let (stream, early) = match watched(upgraded) {
                Ok(watched) => watched,
                Err(error) => return tracing::debug!(%error, "socket ended before its first frame"),
            };
            let config = Some(config);
            let socket =
                WebSocketStream::from_partially_read(stream, early, Role::Server, config).await;
            serve(WebSocket::new(socket)).await;
        });
        self.answer
    }
}

/// The connection, whose frames are watched from now on, and what of them was read already. The buffer of
/// the request is given back.
fn watched(upgraded: Upgraded) -> io::Result<(Stream, Vec<u8>)> {
    let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() else {
        unreachable!("every connection is served over a watched stream");
    };
    let mut stream = parts.io.into_inner();
    stream.watch_frames(&parts.read_buf)?;
    Ok((stream, parts.read_buf.to_vec()))
}
