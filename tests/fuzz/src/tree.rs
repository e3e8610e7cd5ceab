//! JSON as a tree: the slow way to find out what a text holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value. Objects keep repeated keys.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A value without parts.
    Leaf,
    /// An array.
    Array(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a text; none when it is not JSON, or more than 127 deep.
    pub(crate) fn parse(text: &str) -> Option<Tree> {
        serde_json::from_str(text).ok()
    }

    /// Returns how many arrays and objects are open at the deepest point.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Tree::Leaf => 0,
            parent => 1 + parent.children().map(Tree::depth).max().unwrap_or_default(),
        }
    }

    /// Returns the number of keys of the object that has most.
    pub(crate) fn keys_max(&self) -> usize {
        let own = if let Tree::Object(fields) = self { fields.len() } else { 0 };
        self.children().map(Tree::keys_max).max().unwrap_or_default().max(own)
    }

    /// Returns whether a key anywhere fulfils a condition.
    pub(crate) fn has_key(&self, is_it: fn(&str) -> bool) -> bool {
        let own = match self {
            Tree::Object(fields) => fields.iter().any(|(name, _)| is_it(name)),
            _ => false,
        };
        own || self.children().any(|child| child.has_key(is_it))
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Tree> + '_> {
        match self {
            Tree::Leaf => Box::new(std::iter::empty()),
            Tree::Array(elements) => Box::new(elements.iter()),
            Tree::Object(fields) => Box::new(fields.iter().map(|(_, value)| value)),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut read = Vec::new();
        while let Some(element) = elements.next_element()? {
            read.push(element);
        }
        Ok(Tree::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut read = Vec::new();
        while let Some(field) = fields.next_entry()? {
            read.push(field);
        }
        Ok(Tree::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn depth_and_keys_are_those_of_the_worst_part() {
        let tree = Tree::parse(r#"{"a":[1,{"b":2,"b":3,"c":[]}]}"#).unwrap();
        assert_eq!((tree.depth(), tree.keys_max()), (4, 3));
        assert!(tree.has_key(|key| key == "c") && !tree.has_key(|key| key == "d"));
        assert!(Tree::parse(r#""\ud800""#).is_none() && Tree::parse("1e999").is_none());
    }
}
