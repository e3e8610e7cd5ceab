//! What an entry says about its session.

use std::fmt;

use bytes::Bytes;

use crate::time::WallMs;

/// Declares an enum of legal states with their public words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Returns the public word, as it stands in messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a session may do with the topic.
    Mode {
        /// It may edit, and so may come first.
        #[default]
        Edit = "edit",
        /// It only looks, and never has priority while an editor is there.
        View = "view",
    }
}

words! {
    /// Who is behind a session.
    Kind {
        /// A person.
        #[default]
        Human = "human",
        /// An agent that is not a person; it comes after people unless the policy says otherwise.
        Ai = "ai",
    }
}

words! {
    /// How present a session is, the most present first.
    Status {
        /// Connected, visible, and with recent input.
        #[default]
        Active = "active",
        /// Connected and visible, without recent input.
        Idle = "idle",
        /// Connected, in a tab that is not shown.
        Hidden = "hidden",
        /// Connection lost, kept for its grace.
        Reconnecting = "reconnecting",
    }
}

words! {
    /// What a session is doing.
    Activity {
        /// Looking.
        #[default]
        Viewing = "viewing",
        /// Writing right now; ends by itself.
        Typing = "typing",
        /// At work on the thing, with or without keystrokes.
        Editing = "editing",
    }
}

/// What an entry says about its session, replaced as a whole by an update.
///
/// `Debug` shows the lengths of `profile` and `custom`, never their content, so that no log line can
/// carry what a person wrote.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// When the session joined the topic, by the wall clock of its replica. It orders the topic, and
    /// so who comes first; a resumed session brings the one it had.
    pub joined_at: WallMs,
    /// How often the session has been resumed. While the replica that had it and the one that has it now
    /// both hold an entry, the entry of the larger generation is the one that is shown.
    pub generation: u32,
    /// Whether it may edit.
    pub mode: Mode,
    /// Who is behind it.
    pub kind: Kind,
    /// How present it is.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// Whether it has changes that are not saved.
    pub unsaved: bool,
    /// Since when it has been idle, when it is.
    pub idle_since: Option<WallMs>,
    /// What is shown of the person, opaque here. Equal profiles of a delta travel once.
    /// At most [`PROFILE_BYTES_MAX`](crate::PROFILE_BYTES_MAX) bytes.
    pub profile: Bytes,
    /// What the client says about itself, opaque here.
    /// At most [`CUSTOM_BYTES_MAX`](crate::CUSTOM_BYTES_MAX) bytes.
    pub custom: Bytes,
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("joined_at", &self.joined_at)
            .field("generation", &self.generation)
            .field("mode", &self.mode)
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("activity", &self.activity)
            .field("unsaved", &self.unsaved)
            .field("idle_since", &self.idle_since)
            .field("profile_bytes", &self.profile.len())
            .field("custom_bytes", &self.custom.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        let meta = Meta {
            profile: Bytes::from_static(b"secret-name"),
            custom: Bytes::from_static(b"secret-draft"),
            ..Meta::default()
        };
        let shown = format!("{meta:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("profile_bytes: 11"), "{shown}");
    }

    #[test]
    fn statuses_order_from_most_to_least_present() {
        assert!(Status::Active < Status::Idle);
        assert!(Status::Idle < Status::Hidden);
        assert!(Status::Hidden < Status::Reconnecting);
    }
}
