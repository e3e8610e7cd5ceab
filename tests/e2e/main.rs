//! The real server from outside: HTTP, operations, and frames that no client library would send.
//!
//! What npm `phoenix` shows is in the JavaScript suites beside this file. Both need `PENHOLDER_BIN`,
//! the absolute path of the binary, and those of `traces.rs` `PENHOLDER_OTLP_BIN`, that of one with the feature
//! `otlp`; `cargo xtask test e2e` builds both and sets that.

mod arrivals;
mod bounds;
mod client;
mod cluster;
mod command;
mod conformance;
mod consumers;
mod desk;
mod errors;
mod hostile;
mod listening;
mod operations;
mod owners;
mod pen_histories;
mod pens;
mod people;
mod publishing;
mod reading;
mod returning;
mod routing;
mod saves;
mod seed;
mod sessions;
mod storage;
mod stores;
mod ticket_histories;
mod ticket_kills;
mod tickets;
mod traces;
mod unnoticed;
mod withdrawn;
