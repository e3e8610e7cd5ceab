//! The WebSocket surface: handshake, then one task per connection.

mod channels;
mod closing;
mod connection;
#[cfg(feature = "echo")]
mod echo;
mod handshake;
mod membership;
mod rates;
mod requests;
mod summaries;
mod upgrade;

#[cfg(feature = "echo")]
pub use echo::echo_router;
pub(crate) use handshake::upgrade;
