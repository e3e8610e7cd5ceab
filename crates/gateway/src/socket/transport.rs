//! What carries the frames of a connection: a WebSocket, or requests that take turns.

use axum::body::Bytes;
use penholder_protocol::{CloseCode, Encoded};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::shard::{Batch, Ending, Outbox};

/// What a client did.
#[derive(Debug)]
pub(super) enum Heard {
    /// It sent a text frame.
    Text(Utf8Bytes),
    /// It sent a binary frame.
    Binary(Bytes),
    /// It sent a frame that says only that it is there.
    Control,
    /// It did what shows that it is there, and what costs nothing to speak of.
    Sign,
    /// It ended the connection, and its sessions.
    Goodbye,
    /// It is gone.
    Lost,
    /// It broke a rule of the transport.
    Broken(CloseCode),
}

/// The client can not be reached any more.
#[derive(Debug)]
pub(super) struct Gone;

/// Carries frames to a client and back.
pub(super) trait Transport: Send {
    /// Waits for what the client does next. Can be dropped and called again without loss.
    fn hear(&mut self) -> impl Future<Output = Heard> + Send;

    /// Takes what is to be done next from the outbox, with the frames to [write](Self::write). Where the client fetches
    /// frames itself they stay there.
    fn take(&self, outbox: &Outbox) -> Batch;

    /// Hands frames over, in order; waits while the client takes none.
    fn write(&mut self, frames: Vec<Encoded>) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Asks for a sign of life.
    fn ping(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Tells the client that, and why, the connection ends. Takes some seconds at most.
    fn close(&mut self, ending: &Ending) -> impl Future<Output = ()> + Send;

    /// Answers the client that has ended the connection itself. Takes some seconds at most.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
}
