//! Who has edit priority: a deterministic function of who is present.
//!
//! Sessions are grouped by key, the groups ordered by their earliest join, and the first who may edit
//! comes first. Two replicas with the same set name the same person, whatever the order in which they
//! learned of it (`equal_sets_have_equal_summaries`). It is advice: it never authorises a write, and
//! two sides of a partition can each see themselves first, which is what [`Certainty`] is for.
//!
//! A [`Summary`] is the same for everyone and is made once; [`Summary::view`] adds the fields that
//! differ from viewer to viewer, and borrows the rest.
//!
//! Source: OpenFn Lightning's workflow editor, whose words are kept (`active_sessions`,
//! `prior_user_presence`, `current_user_presence`, `has_presence_edit_priority`). `Deviation:` a mode
//! per session, AI sessions, certainty, and [`SessionPolicy::EarliestSession`] are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::Presence;
use crate::meta::{Kind, Mode, Status};
use crate::name::{Key, SessionId};
use crate::time::WallMs;

/// Which session of the prior person has priority, when they have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionPolicy {
    /// The earliest that may edit; the others are told which it is.
    #[default]
    EarliestSession,
    /// None: a person with two tabs has priority in neither.
    SingleSession,
}

/// Where AI sessions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AiPolicy {
    /// After every person.
    #[default]
    AfterHumans,
    /// Among the people, by the time of their join.
    AmongHumans,
}

/// How a topic decides who has priority.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriorityPolicy {
    /// What several sessions of one person mean. Default: the earliest has it.
    pub sessions: SessionPolicy,
    /// Where AI sessions stand. Default: after humans.
    pub ai: AiPolicy,
    /// Keys that may only view, whatever the mode of their sessions. Default: none.
    pub view_only: BTreeSet<Key>,
}

/// How far an answer can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Certainty {
    /// A replica may know of somebody earlier.
    #[default]
    Provisional,
    /// Every live replica has seen what the answer rests on.
    Confirmed,
    /// A heal brought somebody who was first on another side.
    Contested,
}

impl Certainty {
    /// Returns the public word, as it stands in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Confirmed => "confirmed",
            Self::Contested => "contested",
        }
    }
}

/// One person in a topic: all sessions of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresence {
    /// Who.
    pub key: Key,
    /// When the earliest of the sessions joined.
    pub joined_at: WallMs,
    /// How many sessions they have here; at least one.
    pub active_sessions: usize,
    /// [`Mode::View`] when every session is.
    pub mode: Mode,
    /// What the earliest session says is behind it.
    pub kind: Kind,
    /// The most present of the sessions' statuses.
    pub status: Status,
    /// The earliest session.
    pub session: SessionId,
    /// The earliest session that may edit.
    pub edit_session: Option<SessionId>,
    /// What the earliest session shows of the person.
    pub profile: Bytes,
}

/// A topic as everyone sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Everyone, view-only people included, by (AI after humans when the policy says so,) earliest
    /// join, then key.
    pub presences: Vec<UserPresence>,
    /// The session that has priority: none when nobody may edit, or the policy is
    /// [`SessionPolicy::SingleSession`] and the prior person has several.
    pub prior_session: Option<SessionId>,
    /// How far this can be relied on; as the caller gave it.
    pub certainty: Certainty,
    policy: SessionPolicy,
    /// Where in `presences` the first stands who is not view-only.
    prior: Option<usize>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer<'a> {
    /// The person.
    pub key: &'a Key,
    /// Their session; none for a caller without one, over HTTP, who asks for the person.
    pub session: Option<&'a SessionId>,
}

/// What a [`Summary`] means to one viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewerSummary<'a> {
    /// The viewer's own group; none when they are not visible in the topic.
    pub current_user_presence: Option<&'a UserPresence>,
    /// The first who may edit. When nobody may, the viewer, so far as they are visible.
    pub prior_user_presence: Option<&'a UserPresence>,
    /// Whether the viewer has priority. True also for a viewer who is not visible where nobody may
    /// edit: there is nobody to give way to.
    pub has_presence_edit_priority: bool,
    /// The viewer's other session that has priority, when the viewer's own has not.
    pub priority_in: Option<&'a SessionId>,
}

impl Summary {
    /// Sums up the entries of one topic, given in any order.
    ///
    /// `certainty` is the caller's knowledge of the other replicas and passed on as it is. Cost: in
    /// proportion to the entries, with a logarithm.
    pub fn new<'a>(
        presences: impl IntoIterator<Item = &'a Arc<Presence>>,
        policy: &PriorityPolicy,
        certainty: Certainty,
    ) -> Self {
        let mut groups: BTreeMap<&Key, Group<'a>> = BTreeMap::new();
        for presence in presences {
            groups
                .entry(&presence.key)
                .and_modify(|group| group.add(presence))
                .or_insert_with(|| Group::new(presence));
        }
        let mut presences: Vec<_> = groups.into_values().map(Group::into_user_presence).collect();
        let comes_after = |kind| policy.ai == AiPolicy::AfterHumans && kind == Kind::Ai;
        // Stable, and the groups come in key order.
        presences.sort_by_key(|user| (comes_after(user.kind), user.joined_at));
        let prior = presences
            .iter()
            .position(|user| user.mode == Mode::Edit && !policy.view_only.contains(&user.key));
        let prior_session = prior
            .map(|at| &presences[at])
            .filter(|user| policy.sessions.allows(user))
            .and_then(|user| user.edit_session.clone());
        Self { presences, prior_session, certainty, policy: policy.sessions, prior }
    }

    /// Returns the first who is not view-only; none when there is nobody, which makes each viewer the
    /// prior one in their own view.
    #[must_use]
    pub fn prior_user_presence(&self) -> Option<&UserPresence> {
        self.prior.map(|at| &self.presences[at])
    }

    /// Returns what this means to one viewer. Cost: in proportion to the people.
    #[must_use]
    pub fn view<'a>(&'a self, viewer: Viewer<'_>) -> ViewerSummary<'a> {
        let current = self.presences.iter().find(|user| user.key == *viewer.key);
        let prior = self.prior_user_presence().or(current);
        let is_prior = prior.is_none_or(|user| user.key == *viewer.key);
        // When nobody may edit, the viewer's earliest session stands in for the one that may.
        let session = match (self.prior, current) {
            (None, Some(user)) if self.policy.allows(user) => Some(&user.session),
            (None, _) => None,
            (Some(_), _) => self.prior_session.as_ref(),
        };
        let has_priority = is_prior
            && match (self.policy, current) {
                (_, None) => true,
                (SessionPolicy::SingleSession, Some(user)) => self.policy.allows(user),
                (SessionPolicy::EarliestSession, Some(_)) => {
                    viewer.session.is_none_or(|own| session == Some(own))
                }
            };
        ViewerSummary {
            current_user_presence: current,
            prior_user_presence: prior,
            has_presence_edit_priority: has_priority,
            priority_in: session.filter(|_| is_prior && !has_priority),
        }
    }
}

impl SessionPolicy {
    /// Returns whether any session of this person can have priority.
    fn allows(self, user: &UserPresence) -> bool {
        match self {
            Self::EarliestSession => true,
            Self::SingleSession => user.active_sessions <= 1,
        }
    }
}

/// A person's sessions, as far as they have been counted.
struct Group<'a> {
    earliest: &'a Presence,
    earliest_editor: Option<&'a Presence>,
    sessions: usize,
    status: Status,
}

impl<'a> Group<'a> {
    fn new(presence: &'a Presence) -> Self {
        let editor = (presence.meta.mode == Mode::Edit).then_some(presence);
        let status = presence.meta.status;
        Self { earliest: presence, earliest_editor: editor, sessions: 1, status }
    }

    fn add(&mut self, presence: &'a Presence) {
        // By session where they joined together, not by dot: an update has a new dot, and must not
        // hand the priority to the person's other tab.
        let rank = |presence: &Presence| (presence.meta.joined_at, presence.session.clone());
        let is_earlier = |other: &Presence| rank(presence) < rank(other);
        if is_earlier(self.earliest) {
            self.earliest = presence;
        }
        if presence.meta.mode == Mode::Edit && self.earliest_editor.is_none_or(is_earlier) {
            self.earliest_editor = Some(presence);
        }
        self.sessions += 1;
        self.status = self.status.min(presence.meta.status);
    }

    fn into_user_presence(self) -> UserPresence {
        let Presence { key, session, meta, .. } = self.earliest;
        UserPresence {
            key: key.clone(),
            joined_at: meta.joined_at,
            active_sessions: self.sessions,
            mode: if self.earliest_editor.is_some() { Mode::Edit } else { Mode::View },
            kind: meta.kind,
            status: self.status,
            session: session.clone(),
            edit_session: self.earliest_editor.map(|editor| editor.session.clone()),
            profile: meta.profile.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
