//! A client: one person at one screen, on some topics, over one connection at a time.

use std::collections::BTreeMap;

use penholder_hub::{MemberId, ResumeClaim, SendQueue};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{Ref, Wire};

use crate::observer::{Message, Observer};
use crate::plan::Reading;

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: String,
    pub(crate) wire: Wire,
    pub(crate) dialect: Dialect,
    pub(crate) connection: Option<Connection>,
    /// By topic, the newest resume token that has arrived.
    pub(crate) tokens: BTreeMap<String, ResumeClaim>,
}

/// A connection, with both of its ends.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reading: Reading,
    pub(crate) queue: SendQueue,
    pub(crate) has_overflowed: bool,
    /// By topic.
    pub(crate) channels: BTreeMap<String, Channel>,
    /// A frame that a deliberate fault holds back.
    pub(crate) held: Option<Message>,
}

/// A topic that is joined.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) member: MemberId,
    pub(crate) join_ref: Ref,
    /// Whether the shard has ended it; the client learns so from a frame that may still be queued.
    pub(crate) is_over: bool,
    /// What the resume token in the join reply says.
    pub(crate) claim: ResumeClaim,
    pub(crate) observer: Observer,
}

impl Client {
    pub(crate) fn new(key: String, wire: Wire, dialect: Dialect) -> Self {
        Self { key, wire, dialect, connection: None, tokens: BTreeMap::new() }
    }

    pub(crate) fn channel(&self, topic: &str) -> Option<&Channel> {
        self.connection.as_ref()?.channels.get(topic)
    }

    /// The topics on which requests can be made.
    pub(crate) fn joined(&self) -> Vec<String> {
        let channels = self.connection.iter().flat_map(|connection| &connection.channels);
        channels.filter(|(_, channel)| !channel.is_over).map(|(topic, _)| topic.clone()).collect()
    }
}

impl Connection {
    pub(crate) fn new(reading: Reading) -> Self {
        Self {
            reading,
            queue: SendQueue::new(reading.limits()),
            has_overflowed: false,
            channels: BTreeMap::new(),
            held: None,
        }
    }
}
