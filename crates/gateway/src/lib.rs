//! Penholder's gateway: WebSocket and HTTP in front, shards behind, one process.
//!
//! The binary `penholder` is a thin shell around this library: it reads the command line and the
//! configuration, builds an [`App`], and hands its [`http::router`] to [`serve`].

// An optimised build looks deeper into futures than one that is not. With twice the room, what is too deep fails in the
// build that everybody tests first.
#![cfg_attr(not(debug_assertions), recursion_limit = "256")]

mod admission;
pub mod app;
pub mod auth;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
mod consumers;
pub mod data_dir;
mod departure;
mod grace;
pub mod http;
mod log;
mod origin;
pub mod pens;
mod people;
pub mod seed;
pub mod serve;
mod shard;
mod socket;
mod sockets;
mod stream;
mod summaries;
pub mod telemetry;
mod tickets;

pub use app::{App, Cluster, RunMode};
pub use consumers::ConsumedEvent;
pub use penholder_desk::{ConsumerError, EventFilter, InvalidFilter};
#[cfg(feature = "echo")]
pub use socket::echo_router;
