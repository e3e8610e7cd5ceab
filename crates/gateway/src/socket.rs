//! The WebSocket surface: handshake, then one task per connection.

mod channels;
mod closing;
mod connection;
mod handshake;
mod membership;
mod rates;
mod requests;
mod summaries;
mod upgrade;

pub(crate) use handshake::upgrade;
