//! The HTTP surface: what the channels offer, for backends and operators.

mod body;
mod caller;
mod console;
mod consumers;
mod describe;
mod dev;
mod error;
mod events;
mod health;
mod idempotency;
mod page;
mod pens;
mod presence;
mod query;
mod rates;
mod revocations;
mod router;
mod tickets;
mod topics;

pub(crate) use caller::{ClientAddress, Origin, Peer};
pub(crate) use idempotency::{KEY_HEADER, REPLAY_HEADER};
pub(crate) use rates::RequestRates;
pub use router::router;
