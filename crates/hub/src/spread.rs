//! One frame for many members: encoded once for each wire format in use.

use penholder_protocol::{Encoded, Json, TopicName, Wire, encode};

use crate::{Class, Content, Frame, MemberId, Output};

/// A message and the members it goes to.
#[derive(Debug)]
pub(crate) struct Spread<'a> {
    topic: &'a TopicName,
    event: &'a str,
    content: &'a Content,
    class: Class,
    v1: Vec<MemberId>,
    v2: Vec<MemberId>,
}

impl<'a> Spread<'a> {
    pub(crate) fn new(topic: &'a TopicName, event: &'a str, content: &'a Content) -> Self {
        Self { topic, event, content, class: Class::Vital, v1: Vec::new(), v2: Vec::new() }
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
    pub(crate) fn finish(self, outputs: &mut impl Extend<Output>) {
        for (wire, to) in [(Wire::V1, self.v1), (Wire::V2, self.v2)] {
            if to.is_empty() {
                continue;
            }
            if let Some(body) = encoded(wire, self.topic, self.event, self.content) {
                outputs.extend([Output::Deliver { to, frame: Frame { body, class: self.class } }]);
            }
        }
    }
}

fn encoded(wire: Wire, topic: &TopicName, event: &str, content: &Content) -> Option<Encoded> {
    let topic = topic.as_str();
    match (content, wire) {
        (Content::Json(payload), _) => {
            Some(encode::broadcast(wire, &encode::Message { topic, event, payload }))
        }
        // Names longer than a length byte can say are refused where the broadcast comes in.
        (Content::Binary(data), Wire::V2) => encode::binary_broadcast(topic, event, data).ok(),
        (Content::Binary(_), Wire::V1) => None,
    }
}

impl From<Json> for Content {
    fn from(payload: Json) -> Self {
        Self::Json(payload)
    }
}
