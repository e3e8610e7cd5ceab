//! A client of Penholder for Rust: one socket, many channels, and presence folded from what they say.
//!
//! [`Socket::connect`] opens a connection and starts the one task that owns it. [`Socket::join`]
//! enters a topic; the [`Channel`] it returns pushes, and yields what the server says of its own
//! accord. [`presence::Fold`] turns those events into the list of who is present.
//!
//! ```no_run
//! use penholder_client::presence::Fold;
//! use penholder_client::{ChannelEvent, Options, Socket};
//! use penholder_protocol::JoinPayload;
//!
//! # async fn example(token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { token: Some(token), ..Options::default() };
//! let socket = Socket::connect("ws://127.0.0.1:4000/socket", options).await?;
//! let (mut channel, joined) = socket.join("doc:42", JoinPayload::default()).await?;
//! println!("here as {} in session {}", joined.key, joined.session);
//!
//! let mut here = Fold::default();
//! while let Some(event) = channel.next_event().await {
//!     if let ChannelEvent::Message { event, payload } = event {
//!         here.apply(&event, &payload)?;
//!         println!("{} present", here.keys().count());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Pusher::wait_for_pen`] and its like get the pen of a topic; [`Pen`] keeps it, and gives its fence to each save.
//!
//! Every queue is bounded. A push waits for room in the queue to the socket's task. That task never
//! waits for whoever reads a channel: a channel that is not read overflows, and ends with
//! [`ChannelEnd::Overflow`]. TLS is left to a proxy: only `ws://` is spoken here.

mod backoff;
mod channel;
mod connection;
mod driver;
mod error;
mod membership;
mod options;
mod pen;
pub mod presence;
mod socket;

pub use channel::{Channel, ChannelEnd, ChannelEvent, Pusher};
pub use error::{ConnectError, Disconnect, JoinError, PushError};
pub use options::{Options, Reconnect};
pub use pen::{Acquired, Attention, Pen, PenEvents, PenLost, PenNews, PenTerms};
pub use socket::Socket;
