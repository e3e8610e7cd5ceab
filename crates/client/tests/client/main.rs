//! The client against a server that a test scripts frame by frame.

#![allow(clippy::unwrap_used, reason = "Clippy does not see that helpers of tests are tests")]

mod pen;
mod reconnect;
mod server;
mod socket;
