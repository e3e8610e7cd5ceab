//! A topic in outline: who comes first, and the first few people.

use penholder_presence::{
    Certainty, Key, PriorityPolicy, Replica, Summary, Topic, UserPresence, Viewer,
};
use penholder_protocol::{
    self as protocol, PersonBrief, PresenceSummary, SummaryPerson, TopicName, TopicRow, UserCard,
    ViewerSummary,
};

use crate::{TopicOptions, encode};

/// How many people a summary names in a crowd. In full, each would cost everybody a line whenever
/// one of hundreds comes or goes.
const CROWD_NAMED_MAX: usize = 20;

/// How many names a row shows.
const ROW_NAMES_MAX: usize = 3;

/// The summary of a topic, and whether it is a crowd.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) summary: Summary,
    count: usize,
    is_full: bool,
}

impl Outline {
    /// The outline of `topic` under `policy`. Cost: O(sessions of the topic).
    pub(crate) fn of(
        replica: &Replica,
        topic: &Topic,
        options: &TopicOptions,
        policy: &PriorityPolicy,
    ) -> Self {
        let presences = replica.set().list(topic);
        let summary = Summary::new(presences, policy, replica.certainty(topic));
        Self::summed(summary, (replica, topic), options)
    }

    /// The outline of the sessions of one person. Cost: O(these).
    pub(crate) fn of_person(
        replica: &Replica,
        topic: &Topic,
        options: &TopicOptions,
        key: &Key,
    ) -> Self {
        let presences = replica.set().by_key(topic, key);
        let summary = Summary::new(presences, &options.priority, replica.certainty(topic));
        Self::summed(summary, (replica, topic), options)
    }

    fn summed(
        summary: Summary,
        (replica, topic): (&Replica, &Topic),
        options: &TopicOptions,
    ) -> Self {
        let count = replica.set().count(topic);
        Self { summary, count, is_full: count <= options.full_max }
    }

    /// The same, where somebody earlier has come whom those here did not know of.
    pub(crate) fn contested(mut self) -> Self {
        self.summary.certainty = Certainty::Contested;
        self
    }

    /// How sure the answer is.
    pub(crate) fn certainty(&self) -> protocol::Certainty {
        certainty(self.summary.certainty)
    }

    /// What everybody on the topic is told.
    pub(crate) fn summary(&self) -> PresenceSummary {
        let named = if self.is_full { usize::MAX } else { CROWD_NAMED_MAX };
        PresenceSummary {
            presences: self.summary.presences.iter().take(named).map(person).collect(),
            prior_user_presence: self.summary.prior_user_presence().map(person),
            prior_session: self
                .summary
                .prior_session
                .as_ref()
                .map(|session| session.as_str().to_owned()),
            certainty: self.certainty(),
            count: count(self.count),
            full: self.is_full,
        }
    }

    /// One line for a list of topics.
    pub(crate) fn row(&self, topic: &TopicName, holder: Option<PersonBrief>) -> TopicRow {
        let people = self.summary.presences.iter();
        TopicRow {
            topic: topic.as_str().to_owned(),
            count: count(self.count),
            names: people.take(ROW_NAMES_MAX).filter_map(card).map(|card| card.name).collect(),
            holder,
            prior: self.summary.prior_user_presence().and_then(card).map(brief),
        }
    }

    /// Whether everybody on the topic is named.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// What the topic is to one viewer.
    pub(crate) fn view(&self, viewer: Viewer<'_>) -> ViewerSummary {
        let view = self.summary.view(viewer);
        let mut summary = self.summary();
        summary.prior_user_presence = view.prior_user_presence.map(person);
        ViewerSummary {
            summary,
            current_user_presence: view.current_user_presence.map(person),
            has_presence_edit_priority: view.has_presence_edit_priority,
            priority_in_session: view.priority_in.map(|session| session.as_str().to_owned()),
        }
    }

    /// What the topic is to one viewer, where this outline was drawn a moment ago and `alone` is that of
    /// the viewer's own sessions now. Cost: O(sessions of the viewer), however large the topic.
    pub(crate) fn view_beside(&self, alone: &Self, viewer: Viewer<'_>) -> ViewerSummary {
        let own = alone.view(viewer);
        let prior = self.summary.prior_user_presence().filter(|prior| prior.key != *viewer.key);
        let mut summary = self.summary();
        summary.count = count(alone.count);
        match prior {
            Some(_) => ViewerSummary {
                summary,
                current_user_presence: own.current_user_presence,
                has_presence_edit_priority: false,
                priority_in_session: None,
            },
            // Nobody else comes first, so the viewer's own sessions decide.
            None => {
                summary.prior_user_presence.clone_from(&own.summary.prior_user_presence);
                summary.prior_session.clone_from(&own.summary.prior_session);
                ViewerSummary { summary, ..own }
            }
        }
    }
}

fn person(presence: &UserPresence) -> SummaryPerson {
    SummaryPerson {
        key: presence.key.as_str().to_owned(),
        user: encode::text(&presence.profile),
        joined_at: presence.joined_at.0,
        active_sessions: count(presence.active_sessions),
        mode: encode::mode(presence.mode),
        status: encode::status(presence.status),
    }
}

fn certainty(certainty: Certainty) -> protocol::Certainty {
    match certainty {
        Certainty::Provisional => protocol::Certainty::Provisional,
        Certainty::Confirmed => protocol::Certainty::Confirmed,
        Certainty::Contested => protocol::Certainty::Contested,
    }
}

fn card(presence: &UserPresence) -> Option<UserCard> {
    encode::text(&presence.profile).parse_into().ok()
}

fn brief(card: UserCard) -> PersonBrief {
    PersonBrief { id: card.id, name: card.name, kind: card.kind }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
