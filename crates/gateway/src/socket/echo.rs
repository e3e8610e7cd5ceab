//! Every message sent back, over the very sockets that clients have.
//!
//! Suites that check WebSocket servers want nothing else of them. Compiled with the feature `echo` only,
//! and no route of the binary leads here.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use penholder_protocol::Encoded;

use super::handshake::HandshakeParts;
use super::transport::{Heard, Transport};
use crate::app::App;

/// A surface of one route, `/`: makes a socket of a request, without asking whose, and sends back what
/// comes.
pub fn echo_router(app: App) -> Router {
    Router::new().route("/", get(echo)).with_state(app)
}

async fn echo(State(app): State<App>, parts: HandshakeParts) -> Response {
    let Some(upgrade) = parts.upgrade else { return StatusCode::BAD_REQUEST.into_response() };
    upgrade.accept(None, app.config.limits.message_max.bytes(), serve)
}

async fn serve(mut socket: impl Transport) {
    loop {
        let sent = match socket.hear().await {
            Heard::Text(text) => socket.write(vec![Encoded::Text(text.into())]).await,
            Heard::Binary(bytes) => socket.write(vec![Encoded::Binary(bytes)]).await,
            // What answers it is queued, and goes out with the next write.
            Heard::Control | Heard::Sign => socket.write(Vec::new()).await,
            Heard::Goodbye | Heard::Lost => return socket.finish().await,
            Heard::Broken(code) => return socket.close(&code.into()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
