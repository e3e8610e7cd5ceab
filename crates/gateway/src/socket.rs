//! The channels: handshake, then one task per connection, over a WebSocket or long polling.

mod channels;
mod connection;
#[cfg(feature = "echo")]
mod echo;
mod handshake;
mod longpoll;
mod membership;
mod pens;
mod rates;
mod realtime;
mod requests;
mod summaries;
mod transport;
mod upgrade;
mod websocket;

#[cfg(feature = "echo")]
pub use echo::echo_router;
pub(crate) use handshake::upgrade;
pub(crate) use longpoll::{PATH as POLL_PATH, Polls, busy, poll, push};
