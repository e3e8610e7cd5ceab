//! V1 text: `{"topic", "event", "payload", "ref"}`; a client may add `join_ref`, the server never does.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::encode::{Sender, Text, write_json};
use crate::frame::Parts;

/// Splits a frame; a missing field stays `None`, but a missing payload counts as null. Of a repeated
/// field the last counts.
pub(crate) fn split<'de, D: Deserializer<'de>>(
    deserializer: D,
    parts: &mut Parts<'de>,
) -> Result<(), D::Error> {
    deserializer.deserialize_map(Fields(&mut *parts))?;
    parts.payload.get_or_insert(RawValue::NULL);
    Ok(())
}

/// Appends a frame.
pub(crate) fn write(text: &Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"topic\":");
    write_json(text.topic, out);
    out.extend_from_slice(b",\"event\":");
    write_json(text.event, out);
    out.extend_from_slice(b",\"payload\":");
    text.body.write(out);
    out.extend_from_slice(b",\"ref\":");
    text.write_ref(text.reference, out);
    if text.sender == Sender::Client {
        out.extend_from_slice(b",\"join_ref\":");
        text.write_ref(text.join_ref, out);
    }
    out.push(b'}');
}

struct Fields<'a, 'de>(&'a mut Parts<'de>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    JoinRef,
    Ref,
    Topic,
    Event,
    Payload,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with topic, event, payload and ref")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key()? {
            let part = match name {
                Name::JoinRef => &mut self.0.join_ref,
                Name::Ref => &mut self.0.reference,
                Name::Topic => &mut self.0.topic,
                Name::Event => &mut self.0.event,
                Name::Payload => &mut self.0.payload,
                Name::Other => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *part = Some(fields.next_value()?);
        }
        Ok(())
    }
}
