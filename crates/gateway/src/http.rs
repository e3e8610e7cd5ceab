//! The HTTP surface: what the channels offer, for backends and operators.

mod caller;
mod console;
mod consumers;
mod dev;
mod error;
mod health;
mod page;
mod pens;
mod presence;
mod rates;
mod revocations;
mod router;
mod topics;

pub(crate) use caller::{ClientAddress, Origin, Peer};
pub(crate) use rates::RequestRates;
pub use router::router;
