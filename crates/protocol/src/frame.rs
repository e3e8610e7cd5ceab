//! Frames that a client sends: which wire format they are in, and what they say.
//!
//! Reading a text frame takes two steps. The first splits it into its parts without looking into them,
//! so that the refs of a frame with a bad payload are still at hand to answer it. The second parses
//! each part under the limits.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::ClientEvent;
use crate::json::{Json, JsonLimits, Place, Rules, walk};
use crate::malformed::{AnswerTo, Field, Malformed, MalformedReason};
use crate::reference::Ref;
use crate::{binary, v1, v2};

/// The wire format of one socket, negotiated by the query parameter `vsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// JSON objects `{topic, event, payload, ref}`; no binary frames.
    V1,
    /// JSON arrays `[join_ref, ref, topic, event, payload]`, and binary frames.
    V2,
}

impl Wire {
    /// The format that `vsn` asks for: none or `1.0.x` is V1, `2.0.x` is V2.
    ///
    /// # Errors
    ///
    /// [`UnsupportedVsn`] for anything else: the client must ask for another version.
    ///
    /// ```
    /// use penholder_protocol::Wire;
    ///
    /// assert_eq!(Wire::from_vsn(None), Ok(Wire::V1));
    /// assert_eq!(Wire::from_vsn(Some("2.0.0")), Ok(Wire::V2));
    /// assert!(Wire::from_vsn(Some("3.0.0")).is_err());
    /// ```
    pub fn from_vsn(vsn: Option<&str>) -> Result<Wire, UnsupportedVsn> {
        let Some(vsn) = vsn else { return Ok(Wire::V1) };
        let (wire, patch) = if let Some(patch) = vsn.strip_prefix("1.0.") {
            (Wire::V1, patch)
        } else if let Some(patch) = vsn.strip_prefix("2.0.") {
            (Wire::V2, patch)
        } else {
            return Err(UnsupportedVsn);
        };
        let is_number = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { Ok(wire) } else { Err(UnsupportedVsn) }
    }

    /// The version that a client sends to ask for this format.
    pub fn vsn(self) -> &'static str {
        match self {
            Wire::V1 => "1.0.0",
            Wire::V2 => "2.0.0",
        }
    }
}

/// A `vsn` that Penholder does not speak; the upgrade is refused with 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protocol versions are 1.0.x and 2.0.x")]
pub struct UnsupportedVsn;

/// One frame of a client.
///
/// The names are as the client sent them: whether a topic or an event of that name exists is for
/// the reader to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFrame {
    /// Names the join that the frame belongs to; for a join, usually the same as `reference`.
    pub join_ref: Option<Ref>,
    /// Names the frame, for the reply to repeat; without one nobody waits for a reply.
    pub reference: Option<Ref>,
    /// The topic, unchecked.
    pub topic: String,
    /// The event, unchecked.
    pub event: String,
    /// What is said.
    pub payload: Payload,
}

/// The payload of a frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON, of a text frame. Usually an object; who needs one has to ask.
    Json(Json),
    /// Any bytes, of a binary frame.
    Binary(Bytes),
}

impl Payload {
    /// The JSON, unless the payload is binary.
    pub fn as_json(&self) -> Option<&Json> {
        match self {
            Payload::Json(json) => Some(json),
            Payload::Binary(_) => None,
        }
    }
}

impl From<Json> for Payload {
    fn from(json: Json) -> Payload {
        Payload::Json(json)
    }
}

/// Shows sizes only, so that bodies cannot slip into a log.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Json(json) => json.fmt(f),
            Payload::Binary(data) => write!(f, "Binary({} bytes)", data.len()),
        }
    }
}

/// Reads a text frame of a client.
///
/// V2 wants an array of at least five elements and ignores those beyond; V1 an object with at least
/// `topic` and `event`. A payload that is `null`, or in V1 absent, counts as `{}`. The payload is held to
/// `limits`; the meta in a join, in `presence_update` and in `presence` is held to them by itself,
/// counted from where it begins, because a frame whose only fault is its meta is answered otherwise.
///
/// # Errors
///
/// [`Malformed`], with the refs to answer where they could be read.
///
/// ```
/// use penholder_protocol::{JsonLimits, Wire, decode_text};
///
/// let text = r#"["1","2","doc:42","typing",{"on":true}]"#;
/// let frame = decode_text(Wire::V2, text, &JsonLimits::default())?;
/// assert_eq!((&*frame.topic, &*frame.event), ("doc:42", "typing"));
///
/// let malformed = decode_text(Wire::V2, r#"["1","2","doc:42","typing"]"#, &JsonLimits::default());
/// assert_eq!(malformed.unwrap_err().answer_to.unwrap().reference.as_json(), "\"2\"");
/// # Ok::<(), penholder_protocol::Malformed>(())
/// ```
pub fn decode_text(wire: Wire, text: &str, limits: &JsonLimits) -> Result<ClientFrame, Malformed> {
    let (parts, split) = Parts::split(wire, text);
    split
        .and_then(|()| parts.parse(limits))
        .map_err(|reason| Malformed { reason, answer_to: parts.answer_to() })
}

/// Reads a binary frame of a client: a push, kind 0, or a broadcast as [`realtime`](crate::realtime)
/// sends it, kind 3, whose JSON is held to `limits`. Only V2 has them.
///
/// # Errors
///
/// [`Malformed`]: another kind, lengths that reach past the end, names that are not UTF-8, bad JSON.
pub fn decode_binary(frame: Bytes, limits: &JsonLimits) -> Result<ClientFrame, Malformed> {
    binary::decode_client(frame, limits)
}

/// The parts of a text frame, not yet parsed. What stands before a fault is there in spite of it.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) join_ref: Option<&'a RawValue>,
    pub(crate) reference: Option<&'a RawValue>,
    pub(crate) topic: Option<&'a RawValue>,
    pub(crate) event: Option<&'a RawValue>,
    pub(crate) payload: Option<&'a RawValue>,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(wire: Wire, text: &'a str) -> (Parts<'a>, Result<(), MalformedReason>) {
        let mut parts = Parts::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let split = match wire {
            Wire::V1 => v1::split(&mut deserializer, &mut parts),
            Wire::V2 => v2::split(&mut deserializer, &mut parts),
        };
        let split = split.and_then(|()| deserializer.end()).map_err(|error| {
            if error.is_data() { MalformedReason::NotAFrame } else { MalformedReason::NotJson }
        });
        (parts, split)
    }

    pub(crate) fn parse(&self, limits: &JsonLimits) -> Result<ClientFrame, MalformedReason> {
        let join_ref = parse_ref(self.join_ref)?;
        let reference = parse_ref(self.reference)?;
        let topic = parse_string(Field::Topic, self.topic)?;
        let event = parse_string(Field::Event, self.event)?;
        let payload = parse_payload(&event, self.payload, limits)?;
        Ok(ClientFrame { join_ref, reference, topic, event, payload: Payload::Json(payload) })
    }

    fn answer_to(&self) -> Option<AnswerTo> {
        let reference = parse_ref(self.reference).ok()??;
        let join_ref = parse_ref(self.join_ref).unwrap_or_default();
        let topic = parse_string(Field::Topic, self.topic);
        let topic = topic.unwrap_or_else(|_| AnswerTo::CONNECTION.to_owned());
        Some(AnswerTo { join_ref, reference, topic })
    }
}

fn parse_ref(raw: Option<&RawValue>) -> Result<Option<Ref>, MalformedReason> {
    Ok(raw.map(Ref::from_raw).transpose()?.flatten())
}

fn parse_string(field: Field, raw: Option<&RawValue>) -> Result<String, MalformedReason> {
    let raw = raw.ok_or(MalformedReason::Missing(field))?;
    String::deserialize(raw).map_err(|_| MalformedReason::NotAString(field))
}

fn parse_payload(
    event: &str,
    raw: Option<&RawValue>,
    limits: &JsonLimits,
) -> Result<Json, MalformedReason> {
    let text = raw.ok_or(MalformedReason::Missing(Field::Payload))?.get();
    if text == "null" {
        return Ok(Json::empty_object());
    }
    let mut rules = Rules::within(*limits);
    if let Some(field) = ClientEvent::parse(event).meta_field() {
        rules = rules.with_meta_in(field);
    }
    walk(text, &rules).map_err(|breach| match breach.place {
        Place::Meta => MalformedReason::Meta(breach.error),
        Place::Payload | Place::Elsewhere => MalformedReason::Payload(breach.error),
    })?;
    Ok(Json::trusted(text))
}

#[cfg(test)]
mod tests {
    use super::{UnsupportedVsn, Wire};

    #[test]
    fn vsn_chooses_the_wire() {
        for (vsn, wire) in [
            (None, Ok(Wire::V1)),
            (Some("1.0.0"), Ok(Wire::V1)),
            (Some("1.0.12"), Ok(Wire::V1)),
            (Some("2.0.0"), Ok(Wire::V2)),
            (Some("2.0.7"), Ok(Wire::V2)),
            (Some(""), Err(UnsupportedVsn)),
            (Some("2"), Err(UnsupportedVsn)),
            (Some("2.0"), Err(UnsupportedVsn)),
            (Some("2.0."), Err(UnsupportedVsn)),
            (Some("2.0.x"), Err(UnsupportedVsn)),
            (Some("2.1.0"), Err(UnsupportedVsn)),
            (Some("12.0.0"), Err(UnsupportedVsn)),
        ] {
            assert_eq!(Wire::from_vsn(vsn), wire, "{vsn:?}");
        }
        for wire in [Wire::V1, Wire::V2] {
            assert_eq!(Wire::from_vsn(Some(wire.vsn())), Ok(wire));
        }
    }
}
