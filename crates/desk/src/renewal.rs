//! Renewals, of which there are many at once.

use penholder_lease::{Command, Fence, SessionId};

use crate::events::Trace;

/// A holder who is connected and wants to keep the pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Of which topic.
    pub topic: String,
    /// The holder's session.
    pub session: SessionId,
    /// The holder's fence.
    pub fence: Fence,
    /// How long ago the person last touched the thing.
    pub input_ms_ago: u64,
    /// The trace that it belongs to, if there is one.
    pub trace: Option<Trace>,
}

impl Renewal {
    pub(crate) fn command(&self) -> Command {
        let Self { session, fence, input_ms_ago, .. } = self;
        Command::Renew { session: session.clone(), fence: *fence, input_ms_ago: *input_ms_ago }
    }
}
