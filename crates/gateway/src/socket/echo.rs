//! Every message sent back, over the very sockets that clients have.
//!
//! Suites that check WebSocket servers want nothing else of them. Compiled with the feature `echo` only,
//! and no route of the binary leads here.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::closing::{answer_close, close, code_of};
use super::handshake::HandshakeParts;
use super::upgrade::WebSocket;
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

async fn serve(mut socket: WebSocket) {
    while let Some(received) = socket.next().await {
        let sent = match received {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await,
            Ok(Message::Close(_)) => return answer_close(&mut socket).await,
            Ok(_) => socket.flush().await,
            Err(error) => {
                if let Some(code) = code_of(&error) {
                    close(&mut socket, &code.into()).await;
                }
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
