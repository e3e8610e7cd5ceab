//! The channels: handshake, then one task per connection, over a WebSocket or long polling.

mod channels;
mod connection;
mod handshake;
mod longpoll;
mod membership;
mod rates;
mod realtime;
mod requests;
mod summaries;
mod transport;
mod upgrade;
mod websocket;

pub(crate) use handshake::upgrade;
pub(crate) use longpoll::{Polls, poll, push};
