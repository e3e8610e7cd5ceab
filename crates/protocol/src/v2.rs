//! V2 text: `[join_ref, ref, topic, event, payload]`, further elements ignored.

use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use crate::encode::{Text, write_json};
use crate::frame::Parts;

/// Splits a frame; a missing element stays `None`.
pub(crate) fn split<'de, D: Deserializer<'de>>(
    deserializer: D,
    parts: &mut Parts<'de>,
) -> Result<(), D::Error> {
    deserializer.deserialize_seq(Elements(parts))
}

/// Appends a frame.
pub(crate) fn write(text: &Text<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    text.write_ref(text.join_ref, out);
    out.push(b',');
    text.write_ref(text.reference, out);
    out.push(b',');
    write_json(text.topic, out);
    out.push(b',');
    write_json(text.event, out);
    out.push(b',');
    text.body.write(out);
    out.push(b']');
}

struct Elements<'a, 'de>(&'a mut Parts<'de>);

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of five elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Parts { join_ref, reference, topic, event, payload } = self.0;
        for part in [join_ref, reference, topic, event, payload] {
            *part = elements.next_element()?;
            if part.is_none() {
                return Ok(());
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
