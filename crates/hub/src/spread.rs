//! One frame for many members: encoded once for each wire format and dialect in use.

use penholder_protocol::realtime::{self, Dialect};
use penholder_protocol::{Encoded, Json, TopicName, Wire, encode};

use crate::{Broadcast, Class, Content, Frame, MemberId, Output};

/// A message and the members it goes to, who all speak one dialect.
#[derive(Debug)]
pub(crate) struct Spread<'a> {
    topic: &'a TopicName,
    event: &'a str,
    content: &'a Content,
    dialect: Dialect,
    class: Class,
    v1: Vec<MemberId>,
    v2: Vec<MemberId>,
}

impl<'a> Spread<'a> {
    /// What the server itself says, which is the same in all dialects.
    pub(crate) fn new(topic: &'a TopicName, event: &'a str, content: &'a Content) -> Self {
        let (dialect, class) = (Dialect::Phoenix, Class::Vital);
        Self { topic, event, content, dialect, class, v1: Vec::new(), v2: Vec::new() }
    }

    /// What an application says, for those who speak `dialect`.
    pub(crate) fn broadcast(
        topic: &'a TopicName,
        broadcast: &'a Broadcast,
        dialect: Dialect,
    ) -> Self {
        Self { dialect, ..Self::new(topic, broadcast.event.as_str(), &broadcast.payload) }
    }

    pub(crate) fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn to(&mut self, member: MemberId, wire: Wire) {
        match wire {
            Wire::V1 => self.v1.push(member),
            Wire::V2 => self.v2.push(member),
        }
    }

    /// Encodes the message for each format that somebody speaks. A binary message does not reach
    /// those who speak V1, which has no binary frames.
    pub(crate) fn finish(mut self, outputs: &mut impl Extend<Output>) {
        let (v1, v2) = (std::mem::take(&mut self.v1), std::mem::take(&mut self.v2));
        for (wire, to) in [(Wire::V1, v1), (Wire::V2, v2)] {
            if to.is_empty() {
                continue;
            }
            if let Some(body) = self.encoded(wire) {
                outputs.extend([Output::Deliver { to, frame: Frame { body, class: self.class } }]);
            }
        }
    }

    fn encoded(&self, wire: Wire) -> Option<Encoded> {
        let (topic, event) = (self.topic.as_str(), self.event);
        match (self.content, wire, self.dialect) {
            (Content::Json(payload), _, Dialect::Phoenix) => {
                Some(encode::broadcast(wire, &encode::Message { topic, event, payload }))
            }
            (Content::Json(payload), _, Dialect::Realtime) => {
                Some(realtime::broadcast(wire, &encode::Message { topic, event, payload }))
            }
            // Names longer than a length byte can say are refused where the broadcast comes in.
            (Content::Binary(data), Wire::V2, Dialect::Phoenix) => {
                encode::binary_broadcast(topic, event, data).ok()
            }
            (Content::Binary(data), Wire::V2, Dialect::Realtime) => {
                realtime::binary_broadcast(topic, event, data).ok()
            }
            (Content::Binary(_), Wire::V1, _) => None,
        }
    }
}

impl From<Json> for Content {
    fn from(payload: Json) -> Self {
        Self::Json(payload)
    }
}
