//! Reads a whole JSON text without building anything, under bounds.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{JsonError, JsonLimits};

/// serde_json itself stops at the 128th level; staying below makes the bound ours to report.
pub(super) const DEPTH_CEILING: usize = 126;

/// What a text is checked against.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    limits: JsonLimits,
    root: Place,
    meta_field: &'static str,
    key_is_safe: fn(&str) -> bool,
}

impl Rules {
    /// Bounds only.
    pub(crate) fn within(mut limits: JsonLimits) -> Rules {
        limits.depth_max = limits.depth_max.min(DEPTH_CEILING);
        Rules { limits, root: Place::Elsewhere, meta_field: "", key_is_safe: |_| true }
    }

    /// The text is a payload that has a meta in one of its fields, with bounds of its own that count
    /// from where it begins.
    pub(crate) fn with_meta_in(self, meta_field: &'static str) -> Rules {
        Rules { root: Place::Payload, meta_field, ..self }
    }

    /// Refuses keys, at any depth, for which `key_is_safe` is false.
    pub(crate) fn with_safe_keys(self, key_is_safe: fn(&str) -> bool) -> Rules {
        Rules { key_is_safe, ..self }
    }
}

/// Where in a text a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is a payload that may have a meta.
    Payload,
    /// It is that meta, or within it.
    Meta,
    /// Anything else.
    Elsewhere,
}

/// The first rule that a text breaks.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) error: JsonError,
    pub(crate) place: Place,
}

/// Checks that `text` is one JSON value that keeps `rules`.
pub(crate) fn walk(text: &str, rules: &Rules) -> Result<(), Breach> {
    let found = RefCell::new(None);
    let step = Step { rules, found: &found, place: rules.root, depth_left: rules.limits.depth_max };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = step.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    outcome.map_err(|error| {
        found.take().unwrap_or_else(|| Breach {
            error: JsonError::Syntax { detail: error.to_string() },
            place: rules.root,
        })
    })
}

/// Walks one value: how much deeper it may go, and where to leave word of a breach.
#[derive(Clone, Copy)]
struct Step<'a> {
    rules: &'a Rules,
    found: &'a RefCell<Option<Breach>>,
    place: Place,
    depth_left: usize,
}

impl Step<'_> {
    /// The step for a child; refuses to go below the depth that is left.
    fn inward<E: Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Step { depth_left, ..self }),
            None => Err(self.breach(JsonError::TooDeep { depth_max: self.rules.limits.depth_max })),
        }
    }

    /// The step for the value of `field` in this object.
    fn into_field(self, field: FieldName) -> Self {
        match (self.place, field) {
            (Place::Payload, FieldName::Meta) => {
                Step { place: Place::Meta, depth_left: self.rules.limits.depth_max, ..self }
            }
            (Place::Payload, FieldName::Other) => Step { place: Place::Elsewhere, ..self },
            (Place::Meta | Place::Elsewhere, _) => self,
        }
    }

    /// Notes the breach, and returns an error that makes serde stop.
    fn breach<E: Error>(self, error: JsonError) -> E {
        *self.found.borrow_mut() = Some(Breach { error, place: self.place });
        E::custom("a rule is broken")
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let child = self.inward()?.into_field(FieldName::Other);
        while elements.next_element_seed(child)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let child = self.inward()?;
        let keys_max = self.rules.limits.keys_max;
        let mut keys = 0;
        while let Some(field) = fields.next_key_seed(Key(self))? {
            keys += 1;
            if keys > keys_max {
                return Err(self.breach(JsonError::TooManyKeys { keys_max }));
            }
            fields.next_value_seed(child.into_field(field))?;
        }
        Ok(())
    }
}

/// As much of a key as the walk needs to know.
#[derive(Clone, Copy)]
enum FieldName {
    Meta,
    Other,
}

/// Reads one key.
struct Key<'a>(Step<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = FieldName;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldName, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = FieldName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<FieldName, E> {
        if !(self.0.rules.key_is_safe)(key) {
            return Err(self.0.breach(JsonError::UnsafeKey));
        }
        let is_meta = key == self.0.rules.meta_field;
        Ok(if is_meta { FieldName::Meta } else { FieldName::Other })
    }
}
