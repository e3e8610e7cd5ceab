//! What a frame says, by its definition: the whole text first, then each part, each from a tree.

use std::collections::BTreeMap;

use penholder_protocol::{AnswerTo, ClientFrame, Json, JsonLimits, REF_BYTES_MAX, Ref, Wire};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::tree::Tree;

/// The parts of a text that is laid out as a frame.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    join_ref: Option<&'a RawValue>,
    reference: Option<&'a RawValue>,
    topic: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

/// Takes a text apart; none when it is no array in V2, or no object in V1.
pub(super) fn text(wire: Wire, text: &str) -> Option<Parts<'_>> {
    match wire {
        Wire::V1 => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let field = |name: &str| fields.get(name).copied();
            Some(Parts {
                join_ref: field("join_ref"),
                reference: field("ref"),
                topic: field("topic"),
                event: field("event"),
                payload: field("payload").or(Some(RawValue::NULL)),
            })
        }
        Wire::V2 => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let mut elements = elements.into_iter();
            Some(Parts {
                join_ref: elements.next(),
                reference: elements.next(),
                topic: elements.next(),
                event: elements.next(),
                payload: elements.next(),
            })
        }
    }
}

impl Parts<'_> {
    /// Returns the frame, unless a part of it is wrong.
    pub(super) fn frame(&self, limits: &JsonLimits) -> Option<ClientFrame> {
        let frame = self.without_payload()?;
        let text = self.payload?.get();
        let is_within = match text {
            "null" => true,
            text => {
                let tree = Tree::parse(text)?;
                self.rest_is_within(&frame, &tree, limits) && meta_is_within(&frame, &tree, limits)
            }
        };
        let payload = if text == "null" { Json::empty_object() } else { Json::trusted(text) };
        is_within.then_some(ClientFrame { payload: payload.into(), ..frame })
    }

    /// Returns whether all is right but the bounds of the field `meta`.
    pub(super) fn breaks_only_in_meta(&self, limits: &JsonLimits) -> bool {
        let Some(frame) = self.without_payload() else { return false };
        let Some(tree) = self.payload.and_then(|raw| Tree::parse(raw.get())) else { return false };
        self.rest_is_within(&frame, &tree, limits) && !meta_is_within(&frame, &tree, limits)
    }

    /// Returns who is told what is wrong.
    pub(super) fn answer_to(&self) -> Option<AnswerTo> {
        let reference = reference(self.reference)??;
        let join_ref = reference_or_none(self.join_ref);
        let topic = string(self.topic).unwrap_or_else(|| "phoenix".to_owned());
        Some(AnswerTo { join_ref, reference, topic })
    }

    fn without_payload(&self) -> Option<ClientFrame> {
        Some(ClientFrame {
            join_ref: reference(self.join_ref)?,
            reference: reference(self.reference)?,
            topic: string(self.topic)?,
            event: string(self.event)?,
            payload: Json::empty_object().into(),
        })
    }

    /// Returns whether all of the payload but the fields `meta` is within the limits.
    fn rest_is_within(&self, frame: &ClientFrame, tree: &Tree, limits: &JsonLimits) -> bool {
        let JsonLimits { depth_max, keys_max } = *limits;
        match tree {
            Tree::Object(fields) if has_meta(&frame.event) => {
                let mut rest = fields.iter().filter(|(name, _)| name != "meta");
                depth_max > 0
                    && fields.len() <= keys_max
                    && rest
                        .all(|(_, value)| value.depth() < depth_max && value.keys_max() <= keys_max)
            }
            tree => tree.depth() <= depth_max && tree.keys_max() <= keys_max,
        }
    }
}

/// Returns whether each field `meta` is within the limits by itself.
fn meta_is_within(frame: &ClientFrame, tree: &Tree, limits: &JsonLimits) -> bool {
    let Tree::Object(fields) = tree else { return true };
    let mut metas = fields.iter().filter(|(name, _)| has_meta(&frame.event) && name == "meta");
    metas.all(|(_, meta)| meta.depth() <= limits.depth_max && meta.keys_max() <= limits.keys_max)
}

fn has_meta(event: &str) -> bool {
    matches!(event, "phx_join" | "presence_update")
}

/// Reads a ref: none when it is wrong, and `Some(None)` when it is null or absent.
fn reference(raw: Option<&RawValue>) -> Option<Option<Ref>> {
    let Some(raw) = raw else { return Some(None) };
    match serde_json::from_str(raw.get()).ok()? {
        Value::Null => Some(None),
        Value::String(content) => Ref::string(&content).ok().map(Some),
        Value::Bool(_) | Value::Number(_) if raw.get().len() <= REF_BYTES_MAX => {
            let parsed = Ref::parse(raw.get()).ok()?;
            assert_eq!(parsed.as_ref().map(Ref::as_json), Some(raw.get()), "echoed as it came");
            Some(parsed)
        }
        _ => None,
    }
}

fn reference_or_none(raw: Option<&RawValue>) -> Option<Ref> {
    reference(raw).flatten()
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Returns whether bytes are a client's push: every name within the bytes and UTF-8, refs short.
pub(super) fn is_binary_push(bytes: &[u8]) -> bool {
    let Some((&[0, join_ref, reference, topic, event], mut rest)) = bytes.split_first_chunk()
    else {
        return false;
    };
    let lengths = [join_ref, reference, topic, event].map(usize::from);
    let refs_are_short = lengths[..2].iter().all(|&length| length <= REF_BYTES_MAX);
    refs_are_short
        && lengths.iter().all(|&length| {
            let Some((name, behind)) = rest.split_at_checked(length) else { return false };
            rest = behind;
            std::str::from_utf8(name).is_ok()
        })
}
