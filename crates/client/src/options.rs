//! How to connect.

use std::fmt;
use std::time::Duration;

use penholder_protocol::Wire;

/// How a [`Socket`](crate::Socket) connects and behaves. Start from the default.
#[derive(Clone)]
pub struct Options {
    /// Sent as `Authorization: Bearer`; none by default.
    pub token: Option<String>,
    /// The wire format to ask for; V2 by default.
    pub wire: Wire,
    /// Further query parameters, not yet percent-encoded.
    pub params: Vec<(String, String)>,
    /// Further headers of the upgrade request, as `Origin`.
    pub headers: Vec<(String, String)>,
    /// How long connecting, a join or a push may take; default 10 s.
    pub timeout: Duration,
    /// How often a heartbeat is sent, and how long its reply may take; default 30 s. A server closes
    /// a socket that says nothing for 60 s.
    pub heartbeat: Duration,
    /// How many events of one channel wait to be read before it overflows; default 1024, range 1
    /// to 2²⁰.
    pub events_max: usize,
    /// What to do when the connection is lost; by default nothing.
    pub reconnect: Reconnect,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            token: None,
            wire: Wire::V2,
            params: Vec::new(),
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
            events_max: 1024,
            reconnect: Reconnect::Never,
        }
    }
}

/// Shows that there is a token, never which; headers and parameters may hold one too.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("wire", &self.wire)
            .field("reconnect", &self.reconnect)
            .finish_non_exhaustive()
    }
}

/// What to do when the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// The socket ends.
    Never,
    /// Connects again after 10 ms to 5 s, as npm `phoenix` does but with jitter, or when the server
    /// says; then joins every channel again, with `resume` and `since`. Ends when the server refuses
    /// the token, or closes with a code that says it will refuse again.
    Backoff,
}
