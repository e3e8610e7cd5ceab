//! `[pen]`: how pens behave, and what they are told to the state machine that decides.

use std::collections::BTreeSet;

use penholder_lease::{DraftReaders, Handover, Policies, Policy, Role, UnfencedWrites};
use serde::{Deserialize, Deserializer};

use super::{Config, Size, Span};

/// `[pen]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pen {
    /// How long a grant lasts without renewal.
    pub ttl: Span<1_000, 300_000>,
    /// The longest that a client may ask for.
    pub ttl_max: Span<1_000, 300_000>,
    /// Without input for so long a holder is not renewed.
    pub idle_after: Span<1_000, 86_400_000>,
    /// How long a holder has to answer a request.
    pub request_after: Span<0, 3_600_000>,
    /// What happens when they do not.
    #[serde(deserialize_with = "handover")]
    pub handover: Handover,
    /// How long a holder has to save after a take-over.
    pub drain: Span<0, 300_000>,
    /// How long the pen of a lost connection is reserved.
    pub grace: Span<0, 300_000>,
    /// Who may take a pen over.
    pub take_over_roles: BTreeSet<Role>,
    /// Whether programs give way to humans at once.
    pub ai_yields: bool,
    /// What becomes of a write without a fence while somebody else has the pen.
    #[serde(deserialize_with = "unfenced_writes")]
    pub unfenced_writes: UnfencedWrites,
    /// Largest draft in escrow.
    pub draft_max: Size<0, 65_536>,
    /// How long a draft is kept.
    pub draft_keep: Span<60_000, 2_592_000_000>,
    /// Who may read a draft.
    #[serde(deserialize_with = "draft_readers")]
    pub draft_readers: DraftReaders,
}

impl Default for Pen {
    fn default() -> Self {
        Self {
            ttl: Span::of_ms::<30_000>(),
            ttl_max: Span::of_ms::<300_000>(),
            idle_after: Span::of_ms::<60_000>(),
            request_after: Span::of_ms::<20_000>(),
            handover: Handover::Courtesy,
            drain: Span::of_ms::<5_000>(),
            grace: Span::of_ms::<10_000>(),
            take_over_roles: BTreeSet::from([Role::Admin, Role::Agent]),
            ai_yields: true,
            unfenced_writes: UnfencedWrites::Flag,
            draft_max: Size::of::<65_536>(),
            draft_keep: Span::of_ms::<86_400_000>(),
            draft_readers: DraftReaders::Author,
        }
    }
}

/// Reads one of the words of a setting.
fn one_of<'de, D: Deserializer<'de>, T: Copy>(
    from: D,
    words: &'static [(&'static str, T)],
    expected: &'static str,
) -> Result<T, D::Error> {
    let word = String::deserialize(from)?;
    let found = words.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        serde::de::Error::invalid_value(serde::de::Unexpected::Str(&word), &expected)
    })
}

fn handover<'de, D: Deserializer<'de>>(from: D) -> Result<Handover, D::Error> {
    let words = &[("courtesy", Handover::Courtesy), ("consent", Handover::Consent)];
    one_of(from, words, "courtesy or consent")
}

fn unfenced_writes<'de, D: Deserializer<'de>>(from: D) -> Result<UnfencedWrites, D::Error> {
    let words = &[
        ("allow", UnfencedWrites::Allow),
        ("flag", UnfencedWrites::Flag),
        ("refuse", UnfencedWrites::Refuse),
    ];
    one_of(from, words, "allow, flag or refuse")
}

fn draft_readers<'de, D: Deserializer<'de>>(from: D) -> Result<DraftReaders, D::Error> {
    let words = &[
        ("author", DraftReaders::Author),
        ("author_and_next_holder", DraftReaders::AuthorAndNextHolder),
    ];
    one_of(from, words, "author or author_and_next_holder")
}

/// A word of a setting that a namespace may override.
macro_rules! optional {
    ($name:ident, $inner:ident, $type:ty) => {
        fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<$type>, D::Error> {
            $inner(from).map(Some)
        }
    };
}

optional!(optional_handover, handover, Handover);
optional!(optional_writes, unfenced_writes, UnfencedWrites);
optional!(optional_readers, draft_readers, DraftReaders);

/// What differs from `[pen]` in one namespace; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenOverride {
    ttl: Option<Span<1_000, 300_000>>,
    ttl_max: Option<Span<1_000, 300_000>>,
    idle_after: Option<Span<1_000, 86_400_000>>,
    request_after: Option<Span<0, 3_600_000>>,
    #[serde(deserialize_with = "optional_handover")]
    handover: Option<Handover>,
    drain: Option<Span<0, 300_000>>,
    grace: Option<Span<0, 300_000>>,
    take_over_roles: Option<BTreeSet<Role>>,
    ai_yields: Option<bool>,
    #[serde(deserialize_with = "optional_writes")]
    unfenced_writes: Option<UnfencedWrites>,
    draft_max: Option<Size<0, 65_536>>,
    draft_keep: Option<Span<60_000, 2_592_000_000>>,
    #[serde(deserialize_with = "optional_readers")]
    draft_readers: Option<DraftReaders>,
}

impl PenOverride {
    /// The options of the namespace, given those of all topics.
    #[must_use]
    pub fn over(&self, base: &Pen) -> Pen {
        let roles = self.take_over_roles.as_ref();
        Pen {
            ttl: self.ttl.unwrap_or(base.ttl),
            ttl_max: self.ttl_max.unwrap_or(base.ttl_max),
            idle_after: self.idle_after.unwrap_or(base.idle_after),
            request_after: self.request_after.unwrap_or(base.request_after),
            handover: self.handover.unwrap_or(base.handover),
            drain: self.drain.unwrap_or(base.drain),
            grace: self.grace.unwrap_or(base.grace),
            take_over_roles: roles.unwrap_or(&base.take_over_roles).clone(),
            ai_yields: self.ai_yields.unwrap_or(base.ai_yields),
            unfenced_writes: self.unfenced_writes.unwrap_or(base.unfenced_writes),
            draft_max: self.draft_max.unwrap_or(base.draft_max),
            draft_keep: self.draft_keep.unwrap_or(base.draft_keep),
            draft_readers: self.draft_readers.unwrap_or(base.draft_readers),
        }
    }
}

impl Pen {
    fn policy(&self) -> Policy {
        Policy {
            ttl_ms: self.ttl.as_ms(),
            ttl_ms_max: self.ttl_max.as_ms(),
            idle_after_ms: self.idle_after.as_ms(),
            request_after_ms: self.request_after.as_ms(),
            handover: self.handover,
            drain_ms: self.drain.as_ms(),
            grace_ms: self.grace.as_ms(),
            take_over_roles: self.take_over_roles.clone(),
            ai_yields: self.ai_yields,
            unfenced_writes: self.unfenced_writes,
            draft_keep_ms: self.draft_keep.as_ms(),
            draft_readers: self.draft_readers,
        }
    }
}

impl Config {
    /// How the pens of each namespace behave.
    #[must_use]
    pub fn pen_policies(&self) -> Policies {
        let own = |(name, namespace): (&String, &super::Namespace)| {
            (name.clone(), namespace.pen.over(&self.pen).policy())
        };
        Policies {
            default: self.pen.policy(),
            by_namespace: self.namespace.iter().map(own).collect(),
        }
    }

    /// The largest draft on a topic. Unit: bytes.
    #[must_use]
    pub fn draft_bytes_max(&self, topic: &penholder_protocol::TopicName) -> usize {
        let own = self.namespace.get(topic.namespace().as_str());
        own.map_or(self.pen.draft_max, |own| own.pen.over(&self.pen).draft_max).bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_defaults_are_those_of_the_state_machine() {
        assert_eq!(Config::default().pen_policies(), Policies::default());
    }

    #[test]
    fn a_namespace_overrides_what_it_names_and_nothing_else() {
        let config = load(
            "[pen]\nttl = \"10s\"\n\
             [namespace.doc.pen]\nhandover = \"consent\"\ntake_over_roles = [\"admin\"]",
        )
        .unwrap();
        let policies = config.pen_policies();
        let doc = policies.of("doc:1");
        assert_eq!((doc.ttl_ms, doc.handover), (10_000, Handover::Consent));
        assert_eq!(doc.take_over_roles, BTreeSet::from([Role::Admin]));
        assert_eq!(policies.of("map:1").handover, Handover::Courtesy);
    }

    #[test]
    fn unknown_words_and_lengths_out_of_range_are_refused() {
        for wrong in [
            "handover = \"never\"",
            "ttl = \"999ms\"",
            "ttl_max = \"6m\"",
            "draft_max = \"65KiB\"",
            "take_over_roles = [\"boss\"]",
            "colour = 1",
        ] {
            assert!(load(&format!("[pen]\n{wrong}")).is_err(), "{wrong}");
        }
    }
}
