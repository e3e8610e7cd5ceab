//! What can be asked of a shard without changing it.

use std::collections::BTreeSet;

use penholder_presence::{
    Footprint, Key, PriorityPolicy, ReplicaName, SessionId, SessionPolicy, Topic, Viewer, WallMs,
};
use penholder_protocol::{Certainty, Json, Mode, Status, TopicName, TopicRow, ViewerSummary};
use serde::Serialize;

use crate::MemberId;
use crate::encode;
use crate::hub::Hub;
use crate::outline::Outline;
use crate::room::Room;

/// A topic with somebody present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TopicCount {
    /// The topic.
    pub topic: String,
    /// How many people (keys).
    pub count: u64,
}

/// Which topics a caller wants to know of.
#[derive(Clone, Copy)]
pub struct TopicsQuery<'a> {
    /// Only those whose names begin so.
    pub prefix: &'a str,
    /// Only those whose names come after this one.
    pub after: &'a str,
    /// At most so many.
    pub limit: usize,
    /// Only those that the caller may view.
    pub may_view: &'a dyn Fn(&TopicName) -> bool,
}

impl std::fmt::Debug for TopicsQuery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { prefix, after, limit, .. } = self;
        write!(f, "TopicsQuery({prefix:?}, after {after:?}, at most {limit})")
    }
}

/// Why a session is shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Whose session it is.
    pub key: Key,
    /// The replica that has it: this shard's, or another's.
    pub replica: ReplicaName,
    /// What only that replica knows; none when it is another.
    pub connection: Option<Connection>,
    /// When the person last touched keyboard or pointer, as far as the client told. Of a session of another
    /// replica it is known while it is shown.
    pub last_input_at: Option<WallMs>,
    /// How sure the replica is of what it shows of the topic.
    pub certainty: Certainty,
    /// What others are shown.
    pub status: Status,
    /// What it may do.
    pub mode: Mode,
}

/// How a session of this replica is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The membership it is on; none while its connection is lost.
    pub member: Option<MemberId>,
    /// When its present connection joined.
    pub connected_at: WallMs,
    /// Whether the tab is visible.
    pub visible: bool,
}

/// What a caller wants to know from a summary.
#[derive(Clone, Debug, Default)]
pub struct SummaryQuery {
    /// For whom; without: for nobody in particular.
    pub viewer: Option<Key>,
    /// People who count as view-only, whatever their mode.
    pub view_only: BTreeSet<Key>,
    /// Another policy than the topic's own.
    pub session_policy: Option<SessionPolicy>,
}

impl Hub {
    /// The presences of `topic`, as `presence_state` has them, and the number of keys.
    #[must_use]
    pub fn presences(&self, topic: &TopicName) -> (Vec<(Key, Vec<Json>)>, usize) {
        let topic = Topic::from(topic.as_str());
        let mut keys: Vec<(Key, Vec<Json>)> = Vec::new();
        let mut index = std::collections::BTreeMap::new();
        for presence in self.replica.set().list(&topic) {
            let at = *index.entry(&presence.key).or_insert_with(|| {
                keys.push((presence.key.clone(), Vec::new()));
                keys.len() - 1
            });
            keys[at].1.push(encode::meta_json(presence));
        }
        (keys, self.replica.set().count(&topic))
    }

    /// The summary of `topic` as `query` asks for it.
    #[must_use]
    pub fn summary(&self, topic: &TopicName, query: &SummaryQuery) -> ViewerSummary {
        let mut policy = self.config.options(topic).priority.clone();
        policy.sessions = query.session_policy.unwrap_or(policy.sessions);
        policy.view_only.clone_from(&query.view_only);
        let outline = self.outline(topic, &policy);
        match &query.viewer {
            Some(key) => outline.view(Viewer { key, session: None }),
            None => ViewerSummary {
                summary: outline.summary(),
                current_user_presence: None,
                has_presence_edit_priority: false,
                priority_in_session: None,
            },
        }
    }

    /// The row of `topic` in a list of topics.
    #[must_use]
    pub fn row(&self, topic: &TopicName) -> TopicRow {
        let holder = self.rooms.get(topic).and_then(|room| room.pen.as_ref()?.holder());
        self.outline(topic, &self.config.options(topic).priority).row(topic, holder)
    }

    /// Topics with somebody present that `query` asks for, in order of name.
    #[must_use]
    pub fn topics(&self, query: &TopicsQuery<'_>) -> Vec<TopicCount> {
        let &TopicsQuery { prefix, after, limit, may_view } = query;
        let start = prefix.max(after);
        self.replica
            .set()
            .topics_from(start)
            .take_while(|count| count.topic.as_str().starts_with(prefix))
            .filter(|count| count.topic.as_str() > after)
            .filter(|count| {
                TopicName::parse(count.topic.as_str()).is_ok_and(|name| may_view(&name))
            })
            .take(limit)
            .map(|count| TopicCount {
                topic: count.topic.as_str().to_owned(),
                count: u64::try_from(count.keys).unwrap_or(u64::MAX),
            })
            .collect()
    }

    /// Why `session` is shown on `topic` as it is. Of one that another replica has, what that replica tells
    /// of it; nothing, when it is not shown.
    #[must_use]
    pub fn why(&self, topic: &TopicName, session: &SessionId) -> Option<Evidence> {
        let own = self.sessions.get(session).filter(|session| session.topic == *topic);
        let Some(session) = own else { return self.why_elsewhere(topic, session) };
        Some(Evidence {
            key: session.viewer.key.clone(),
            replica: self.config.replica.name.clone(),
            connection: Some(Connection {
                member: session.member,
                connected_at: session.connected_at,
                visible: !session.liveness.is_hidden(),
            }),
            last_input_at: Some(session.last_input_at),
            certainty: self.certainty(topic),
            status: encode::status(session.liveness.shown().status),
            mode: encode::mode(session.mode),
        })
    }

    fn why_elsewhere(&self, topic: &TopicName, session: &SessionId) -> Option<Evidence> {
        let shown = self.replica.set().session(&Topic::from(topic.as_str()), session)?;
        Some(Evidence {
            key: shown.key.clone(),
            replica: shown.dot.replica.name.clone(),
            connection: None,
            last_input_at: shown.meta.idle_since,
            certainty: self.certainty(topic),
            status: encode::status(shown.meta.status),
            mode: encode::mode(shown.meta.mode),
        })
    }

    /// Whether another replica is heard and stays: what it showed and does not show any more has ended there.
    #[must_use]
    pub fn hears(&self, replica: &ReplicaName) -> bool {
        self.replica.live_peers().any(|(name, _)| name == replica)
    }

    fn certainty(&self, topic: &TopicName) -> Certainty {
        self.outline(topic, &self.config.options(topic).priority).certainty()
    }

    /// How much the shard keeps, for metrics and leak tests.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census {
            rooms: self.rooms.len(),
            sessions: self.sessions.len(),
            waiting: self.sessions.values().filter(|session| session.member.is_none()).count(),
            members: self.members.len(),
            timers: self.timers_len(),
            ..Census::default()
        };
        for (name, room) in &self.rooms {
            if room.is_contested() {
                census.contested += 1;
            } else if self.replica.certainty(&Topic::from(name.as_str()))
                != penholder_presence::Certainty::Confirmed
            {
                census.provisional += 1;
            }
        }
        census
    }

    /// What has happened since the start, for metrics.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How much the shard keeps to be in step with other replicas.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        self.replica.footprint()
    }

    /// The most entries that a merge has looked at for each that it brought, added or removed.
    #[cfg(feature = "traps")]
    #[must_use]
    pub fn effort(&self) -> u64 {
        self.replica.set().effort()
    }

    fn outline(&self, topic: &TopicName, policy: &PriorityPolicy) -> Outline {
        let options = self.config.options(topic);
        let outline = Outline::of(&self.replica, &Topic::from(topic.as_str()), options, policy);
        let is_contested = self.rooms.get(topic).is_some_and(Room::is_contested);
        if is_contested { outline.contested() } else { outline }
    }
}

/// How much a shard keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Topics that somebody is on or watches.
    pub rooms: usize,
    /// Sessions, lost ones included.
    pub sessions: usize,
    /// Sessions without a connection, which may come back.
    pub waiting: usize,
    /// Topics whose answers other replicas may not share yet.
    pub provisional: usize,
    /// Topics of which something else was said with certainty before.
    pub contested: usize,
    /// Memberships of connections.
    pub members: usize,
    /// Planned deadlines.
    pub timers: usize,
}

/// What has happened in a shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that a join went on with.
    pub resumed: u64,
    /// Resume tokens that did not count any more: their sessions began anew.
    pub not_resumed: u64,
    /// Sessions that were lost and did not come back within `grace`.
    pub expired: u64,
    /// Events that another replica passed on and that could not be read.
    pub unread: u64,
}
