//! Which replica has which session, as the clients know it: from what they did and were answered.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use penholder_hub::{MemberId, PresenceChange, ResumeClaim};
use penholder_presence::{Activity, Mode};
use penholder_protocol::PresenceMode;

/// A session that a replica has taken on and not let go.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) member: Option<MemberId>,
    /// Whether others are to see it.
    pub(crate) is_shown: bool,
    pub(crate) told: Told,
    generation: u32,
    /// By the clock of the replica.
    lost_until: Option<u64>,
}

/// What others are to be told of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) mode: Mode,
    /// What it has last said of itself.
    pub(crate) custom: Bytes,
}

/// A join, as a replica has answered it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) member: MemberId,
    pub(crate) presence: PresenceMode,
    pub(crate) told: Told,
}

#[derive(Debug, Default)]
pub(crate) struct Tenancy {
    holdings: BTreeMap<(usize, String), Holding>,
    /// The largest generation of a session, and how many times it was given.
    newest: BTreeMap<String, (u32, u32)>,
    /// Since when a session is there without a break.
    pub(crate) since: BTreeMap<String, u64>,
    /// When a session last went on at another replica.
    moved: BTreeMap<String, u64>,
    /// The replicas that have had a session.
    hosts: BTreeMap<String, BTreeSet<usize>>,
    /// Sessions of replicas that have said goodbye and are over: until when others show them.
    kept: BTreeMap<String, u64>,
    /// Sessions that one replica ended while another may have had them, and when.
    lapsed: BTreeMap<String, u64>,
    /// Within how long all know of what one does; never surely, where messages are lost.
    news_ms: u64,
    /// Sessions that were nowhere at some time, and when they were last given up.
    pub(crate) ended: BTreeMap<String, u64>,
}

impl Tenancy {
    pub(crate) fn new(news_ms: u64) -> Self {
        Self { news_ms, ..Self::default() }
    }

    /// A replica has answered a join. Says whether the session came from another one.
    pub(crate) fn hold(
        &mut self,
        now: u64,
        node: usize,
        arrival: Arrival,
        claim: &ResumeClaim,
    ) -> bool {
        let session = claim.session.as_str().to_owned();
        let newest = self.newest.entry(session.clone()).or_insert((0, 0));
        match claim.generation.cmp(&newest.0) {
            std::cmp::Ordering::Greater => *newest = (claim.generation, 1),
            std::cmp::Ordering::Equal => newest.1 += 1,
            std::cmp::Ordering::Less => {}
        }
        let kept_until = self.kept.remove(&session);
        let is_from_elsewhere =
            kept_until.is_some() || self.nodes_of(&session).iter().any(|other| *other != node);
        // The farewell may be over for another before it hears of who came back at its end.
        let is_late = |until: &u64| *until <= now.saturating_add(self.news_ms);
        if let Some(until) = kept_until.filter(is_late) {
            self.lapsed.insert(session.clone(), until);
        }
        let holding = Holding {
            topic: claim.topic.as_str().to_owned(),
            key: claim.key.as_str().to_owned(),
            member: Some(arrival.member),
            is_shown: arrival.presence == PresenceMode::Show,
            told: arrival.told,
            generation: claim.generation,
            lost_until: None,
        };
        self.holdings.insert((node, session.clone()), holding);
        self.hosts.entry(session.clone()).or_default().insert(node);
        if is_from_elsewhere {
            self.moved.insert(session.clone(), now);
        }
        self.note(now, &session);
        is_from_elsewhere
    }

    /// Notes whether a session is to be seen from now on.
    fn note(&mut self, now: u64, session: &str) {
        if self.is_kept(session) || !self.nodes_of(session).is_empty() {
            self.since.entry(session.to_owned()).or_insert(now);
        } else {
            self.since.remove(session);
            self.ended.insert(session.to_owned(), now);
        }
    }

    /// The replicas that show a session to the others.
    fn nodes_of(&self, session: &str) -> BTreeSet<usize> {
        let holdings = self.holdings.iter().filter(|(_, holding)| holding.is_shown);
        holdings.filter(|((_, it), _)| it == session).map(|((node, _), _)| *node).collect()
    }

    /// Whether one of the replicas that have had a session is such.
    pub(crate) fn was_at(&self, session: &str, is_such: impl Fn(usize) -> bool) -> bool {
        self.hosts.get(session).is_some_and(|hosts| hosts.iter().any(|node| is_such(*node)))
    }

    /// Whether all replicas that show a session are such.
    pub(crate) fn is_at_all(&self, session: &str, is_such: impl Fn(usize) -> bool) -> bool {
        !self.is_kept(session) && self.nodes_of(session).into_iter().all(is_such)
    }

    pub(crate) fn of_member(&self, node: usize, member: MemberId) -> Option<String> {
        let mut holdings = self.holdings.iter();
        holdings
            .find(|((at, _), holding)| *at == node && holding.member == Some(member))
            .map(|((_, session), _)| session.clone())
    }

    pub(crate) fn lose(&mut self, node: usize, member: MemberId, lost_until: u64) {
        let Some(session) = self.of_member(node, member) else { return };
        if let Some(holding) = self.holdings.get_mut(&(node, session)) {
            (holding.member, holding.lost_until) = (None, Some(lost_until));
        }
    }

    pub(crate) fn end(&mut self, now: u64, node: usize, session: &str) {
        if self.holdings.remove(&(node, session.to_owned())).is_some() {
            self.note(now, session);
        }
    }

    /// Somebody ends a session at one replica. Should it have gone on at another already, others may be
    /// told both, in either order.
    pub(crate) fn give_up(&mut self, now: u64, node: usize, session: &str) {
        self.lapsed.insert(session.to_owned(), now);
        self.end(now, node, session);
    }

    /// A member says something of itself, which is not taken from whoever only views.
    pub(crate) fn update(&mut self, node: usize, member: MemberId, change: &PresenceChange) {
        let writes = change.activity.is_some_and(|activity| activity != Activity::Viewing);
        let Some(told) = self.told_of(node, member) else { return };
        if let Some(custom) = &change.custom
            && (told.mode == Mode::Edit || !writes && change.unsaved != Some(true))
        {
            told.custom.clone_from(custom);
        }
    }

    pub(crate) fn demote(&mut self, node: usize, member: MemberId) {
        if let Some(told) = self.told_of(node, member) {
            told.mode = Mode::View;
        }
    }

    fn told_of(&mut self, node: usize, member: MemberId) -> Option<&mut Told> {
        let session = self.of_member(node, member)?;
        self.holdings.get_mut(&(node, session)).map(|holding| &mut holding.told)
    }

    /// Ends what has waited for longer than its grace.
    pub(crate) fn expire(&mut self, now: u64, node: usize, mono: u64) {
        let past = self.kept.extract_if(.., |_, until| *until <= now);
        for (session, until) in past.collect::<Vec<_>>() {
            self.note(until, &session);
        }
        let is_over = |holding: &Holding| holding.lost_until.is_some_and(|until| until <= mono);
        let over = self.of_node(node).filter(|(_, holding)| is_over(holding));
        let over: Vec<_> = over.map(|(session, _)| session.clone()).collect();
        for session in over {
            if self.moved.get(&session).is_some_and(|at| now <= at.saturating_add(self.news_ms)) {
                self.lapsed.insert(session.clone(), now);
            }
            self.end(now, node, &session);
        }
    }

    /// A process is over with all that it had, but for what others keep until a time.
    pub(crate) fn clear(&mut self, now: u64, node: usize, kept_until: u64) {
        let over: Vec<_> = self.of_node(node).map(|(session, _)| session.clone()).collect();
        for session in over {
            if now < kept_until && self.nodes_of(&session) == BTreeSet::from([node]) {
                self.kept.insert(session.clone(), kept_until);
            }
            self.end(now, node, &session);
        }
    }

    /// Whether a session is shown still whose replica has said goodbye and is over.
    pub(crate) fn is_kept(&self, session: &str) -> bool {
        self.kept.contains_key(session)
    }

    pub(crate) fn of_node(&self, node: usize) -> impl Iterator<Item = (&String, &Holding)> {
        self.holdings
            .iter()
            .filter(move |((at, _), _)| *at == node)
            .map(|((_, session), holding)| (session, holding))
    }

    /// Whether a replica may let a session go because it goes on elsewhere.
    pub(crate) fn may_yield(&self, node: usize, session: &str) -> bool {
        let Some(holding) = self.holdings.get(&(node, session.to_owned())) else { return true };
        let (generation, times) = self.newest.get(session).copied().unwrap_or_default();
        holding.generation < generation || times > 1
    }

    /// The sessions of a topic, each with its key.
    pub(crate) fn present(&self, topic: &str) -> BTreeSet<(String, String)> {
        let on_topic = self.shown().filter(|(_, holding)| holding.topic == topic);
        on_topic.map(|((_, session), holding)| (session.clone(), holding.key.clone())).collect()
    }

    /// What others are to be told of the sessions of a topic, by whoever has taken each on last.
    pub(crate) fn told(&self, topic: &str) -> BTreeMap<String, Told> {
        let mut told: BTreeMap<String, &Holding> = BTreeMap::new();
        for ((_, session), holding) in self.shown().filter(|(_, holding)| holding.topic == topic) {
            let newest = told.entry(session.clone()).or_insert(holding);
            if newest.generation < holding.generation {
                *newest = holding;
            }
        }
        told.into_iter().map(|(session, holding)| (session, holding.told.clone())).collect()
    }

    /// The sessions that are to be seen, each as often as a replica has it.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&(usize, String), &Holding)> {
        self.holdings.iter().filter(|(_, holding)| holding.is_shown)
    }

    /// All sessions, each with its replica.
    pub(crate) fn held(&self) -> Vec<(usize, String, String)> {
        let held = self.holdings.iter();
        held.map(|((node, id), holding)| (*node, holding.topic.clone(), id.clone())).collect()
    }

    /// Whether a session is there, and was for as long as anybody may still hear of an end before.
    pub(crate) fn has_stayed(&self, now: u64, session: &str) -> bool {
        let is_past = |at: u64| at.saturating_add(self.news_ms) < now;
        self.since.get(session).is_some_and(|since| {
            let is_back = is_past(*since) || !self.ended.contains_key(session);
            is_back && self.lapsed.get(session).is_none_or(|at| is_past(*at))
        })
    }
}
