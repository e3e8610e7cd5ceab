//! Names: what is watched, who is present, and by which process they are seen.
//!
//! Each is an immutable string behind an [`Arc`], so that a clone costs one counter and an entry
//! shares its topic with every other entry of that topic. They are types of their own because all
//! four are strings, and a key in the place of a session is a bug that no test of either sees.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name as a string slice.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<Arc<str>> for $name {
            fn from(name: Arc<str>) -> Self {
                Self(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // Ordered and hashed as its `str`, as `Borrow` asks: the derives above forward to it.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A topic: what is watched. At most [`TOPIC_BYTES_MAX`](crate::TOPIC_BYTES_MAX) bytes.
    Topic
}
name! {
    /// A key: who is present. One person has one key in all their sessions.
    /// At most [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX) bytes.
    Key
}
name! {
    /// A session: one client connection's membership, from join to leave or the end of grace.
    /// At most [`SESSION_BYTES_MAX`](crate::SESSION_BYTES_MAX) bytes.
    SessionId
}
name! {
    /// The stable name of a process, the same after a restart.
    /// At most [`REPLICA_NAME_BYTES_MAX`](crate::REPLICA_NAME_BYTES_MAX) bytes.
    ReplicaName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_order_and_print_as_their_strings() {
        let (a, b) = (Topic::from("tickets:1"), Topic::from(String::from("tickets:2")));
        assert!(a < b);
        assert_eq!(a.to_string(), "tickets:1");
        assert_eq!(format!("{b:?}"), "\"tickets:2\"");
        assert_eq!(a.as_str(), a.as_ref());
    }
}
