//! Harness of the end-to-end tests: the real server as a process of its own, asked over raw HTTP and
//! raw WebSocket, so that a test decides about every byte and can be as rude as a stranger.
//!
//! ```no_run
//! use penholder_tests::{Options, Server};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let server = Server::start(Options::default()).await?;
//! let mut ann = server.socket(&server.token("ann").await?).await?;
//! ann.join("doc:1").await?;
//! assert_eq!(server.get("/v1/topics/doc:1/presence").await?.json()["count"], 1);
//! # Ok(())
//! # }
//! ```

mod canary;
mod event_source;
mod frame;
mod http;
mod process;
mod server;
mod token;
mod wait;
mod websocket;

pub use canary::CANARY;
pub use event_source::{EventSource, SentEvent};
pub use frame::{Frame, Opcode};
pub use http::{Answer, Request, exchange};
pub use penholder_stores::Directory;
pub use process::{Build, Finished, command, command_of};
pub use server::{Options, SECRET, Server};
pub use token::Token;
pub use wait::{soon, until};
pub use websocket::RawSocket;
