//! Names of things, drawn by whoever keeps them.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// Makes an id of the 128 bits of a UUID.
            #[must_use]
            pub fn new(bits: u128) -> Self {
                Self(bits)
            }

            /// Reads an id as it is written: lower case, with hyphens. Any other spelling of it is none,
            /// so that a topic has one name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let id = Self(Uuid::try_parse(text).ok()?.as_u128());
                (id.to_string() == text).then_some(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_u128(self.0).as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id! {
    /// A ticket, `UUIDv7`.
    TicketId
}
id! {
    /// A comment, `UUIDv7`.
    CommentId
}
id! {
    /// An attachment, `UUIDv7`.
    AttachmentId
}
id! {
    /// A row of the event log, `UUIDv7`.
    EventId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_has_one_spelling() {
        let text = "019aa5b2-0000-7000-8000-00000000000a";
        assert_eq!(TicketId::parse(text).unwrap().to_string(), text);
        for other in [&text.to_uppercase(), &text.replace('-', ""), &format!("{{{text}}}"), ""] {
            assert_eq!(TicketId::parse(other), None, "{other}");
        }
    }
}
