//! The HTTP surface: what the channels offer, for backends and operators.

mod caller;
mod console;
mod dev;
mod error;
mod health;
mod pens;
mod presence;
mod revocations;
mod router;
mod topics;

pub(crate) use caller::{ClientAddress, Origin, Peer};
pub use router::router;
