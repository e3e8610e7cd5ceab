//! What is allowed, per namespace of topics.

use std::collections::{BTreeMap, BTreeSet};

use crate::claimant::Role;

/// What happens when the holder does not answer a request in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handover {
    /// The pen passes on in any case.
    #[default]
    Courtesy,
    /// The pen passes on only when the holder has been idle.
    Consent,
}

/// What happens to a write that carries no fence while somebody else holds the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnfencedWrites {
    /// It is written.
    Allow,
    /// It is written and marked.
    #[default]
    Flag,
    /// It is refused.
    Refuse,
}

/// Who may read a draft that was left in escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DraftReaders {
    /// Who left it.
    #[default]
    Author,
    /// Who left it, and who holds the pen.
    AuthorAndNextHolder,
}

/// The options of the pen in one namespace. Spans are milliseconds of the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a grant lasts without renewal, 1 s to 5 min. Too short, and a stalled network loses pens;
    /// too long, and the pen of a process that died stays away for as long.
    pub ttl_ms: u64,
    /// The longest that a client may ask for.
    pub ttl_ms_max: u64,
    /// Without input for so long a holder is idle, and is not renewed.
    pub idle_after_ms: u64,
    /// How long a holder has to answer a request.
    pub request_after_ms: u64,
    /// What happens when they do not.
    pub handover: Handover,
    /// How long a holder has to save after a take-over; 0 moves the pen at once.
    pub drain_ms: u64,
    /// How long the pen of a lost connection is reserved, but never longer than a `ttl`; 0 not at all.
    pub grace_ms: u64,
    /// Who may take the pen over.
    pub take_over_roles: BTreeSet<Role>,
    /// Whether programs give way to a human's request at once.
    pub ai_yields: bool,
    /// What happens to writes without a fence.
    pub unfenced_writes: UnfencedWrites,
    /// How long a draft is kept.
    pub draft_keep_ms: u64,
    /// Who may read it.
    pub draft_readers: DraftReaders,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl_ms: 30_000,
            ttl_ms_max: 300_000,
            idle_after_ms: 60_000,
            request_after_ms: 20_000,
            handover: Handover::Courtesy,
            drain_ms: 5_000,
            grace_ms: 10_000,
            take_over_roles: BTreeSet::from([Role::Admin, Role::Agent]),
            ai_yields: true,
            unfenced_writes: UnfencedWrites::Flag,
            draft_keep_ms: 24 * 60 * 60 * 1000,
            draft_readers: DraftReaders::Author,
        }
    }
}

/// The policies of all namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// Of every namespace that has none of its own.
    pub default: Policy,
    /// Of those that have.
    pub by_namespace: BTreeMap<String, Policy>,
}

impl Policies {
    /// Returns the longest time to live that any of them allows. Nothing that is due lies further ahead,
    /// unless the store's clock was set back.
    #[must_use]
    pub fn ttl_ms_max(&self) -> u64 {
        let own = self.by_namespace.values().map(|policy| policy.ttl_ms_max);
        own.max().unwrap_or_default().max(self.default.ttl_ms_max)
    }

    /// Returns the policy of a topic, by its first segment.
    #[must_use]
    pub fn of(&self, topic: &str) -> &Policy {
        let namespace = topic.split(':').next().unwrap_or_default();
        self.by_namespace.get(namespace).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_is_the_first_segment() {
        let strict = Policy { handover: Handover::Consent, ..Policy::default() };
        let policies = Policies {
            by_namespace: BTreeMap::from([("doc".to_owned(), strict.clone())]),
            ..Policies::default()
        };
        assert_eq!(*policies.of("doc:42:page:1"), strict);
        assert_eq!(*policies.of("doc"), strict);
        assert_eq!(*policies.of("docs:42"), Policy::default());
    }
}
