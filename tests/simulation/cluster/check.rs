//! The checkers that look at whole replicas.

use std::collections::{BTreeMap, BTreeSet};

use penholder_hub::SummaryQuery;
use penholder_presence::{Incarnation, Key, ReplicaId};
use penholder_protocol::{Certainty, Json, PresenceMode, PresenceSummary};
use serde_json::Value;

use super::world::World;
use crate::violation::{Checked, Rule, Violation, ensure};

/// A topic as a replica lists it: refs, and sessions with their keys.
#[derive(Debug, PartialEq, Eq)]
struct Listing {
    refs: BTreeSet<String>,
    sessions: BTreeSet<(String, String)>,
    /// What is told of each session.
    told: BTreeMap<String, (String, Value)>,
}

/// What a replica says of a topic when it is sure of it: all presences, and who comes first.
pub(super) type Sure = (Vec<(Key, Vec<Json>)>, PresenceSummary);

impl World {
    fn topics(&self) -> Vec<String> {
        (0..self.plan.topics).map(|topic| format!("doc:{topic}")).collect()
    }

    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].running().is_some()).collect()
    }

    fn listing(&self, node: usize, topic: &str) -> Result<Listing, Violation> {
        let life = self.nodes[node].life.as_ref().expect("it runs");
        let (keys, count) = life.hub.presences(&crate::topic(topic));
        let (mut refs, mut sessions) = (BTreeSet::new(), BTreeSet::new());
        let mut told = BTreeMap::new();
        let place = || format!("{} on {topic} at {}", self.nodes[node].name, self.now);
        ensure(keys.len() == count, Rule::Replay, || format!("{}: {count} keys", place()))?;
        for (key, metas) in keys {
            for meta in metas {
                let meta: Value = serde_json::from_str(meta.as_str()).expect("JSON");
                let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
                refs.insert(text("phx_ref"));
                told.insert(text("session"), (text("mode"), meta["n"].clone()));
                let is_new = sessions.insert((text("session"), key.as_str().to_owned()));
                ensure(is_new, Rule::NoGhost, || format!("{}: {meta} is there twice", place()))?;
            }
        }
        Ok(Listing { refs, sessions, told })
    }

    /// What holds at every step.
    pub(crate) fn check(&mut self) -> Checked {
        self.check_folds()?;
        self.check_summaries()?;
        self.check_hidden()?;
        if self.plan.is_gentle() { self.check_news() } else { Ok(()) }
    }

    /// P4: what a client has folded is what its replica lists, once the window is over.
    fn check_folds(&mut self) -> Checked {
        let mut wrong = self.wrong_folds()?;
        for _ in 0..8 {
            if wrong.is_empty() {
                return Ok(());
            }
            self.pass(self.plan.window_ms + 2)?;
            let still = self.wrong_folds()?;
            wrong.retain(|member, _| still.contains_key(member));
            if self.plan.window_ms == 0 {
                break;
            }
        }
        let found = wrong.into_values().next();
        found.map_or(Ok(()), |detail| Err(Violation { rule: Rule::Replay, detail }))
    }

    /// The members who have been told something else than what their replica lists.
    fn wrong_folds(&self) -> Result<BTreeMap<u64, String>, Violation> {
        let mut wrong = BTreeMap::new();
        for person in &self.people {
            let Some(seat) = person.seat.as_ref().filter(|seat| seat.reads_promptly()) else {
                continue;
            };
            let is_blind = seat.presence == PresenceMode::Off;
            if self.nodes[seat.node].running().is_none() || seat.claim.is_none() || is_blind {
                continue;
            }
            let listing = self.listing(seat.node, &person.topic)?;
            let told = seat.observer.refs();
            let listed = listing.refs.iter().map(String::as_str).collect();
            if told.as_ref() != Some(&listed) {
                let place = format!("{} at {} of {}", person.key, self.now, person.topic);
                wrong.insert(seat.member.0, format!("{place} knows {told:?}, not {listed:?}"));
            }
        }
        Ok(wrong)
    }

    /// P8: replicas that list the same say the same of it.
    fn check_summaries(&self) -> Checked {
        for topic in self.topics() {
            let mut known: BTreeMap<BTreeSet<String>, Value> = BTreeMap::new();
            for node in self.running() {
                let refs = self.listing(node, &topic)?.refs;
                let mut summary = self.summary(node, &topic);
                summary.as_object_mut().map(|fields| fields.remove("certainty"));
                let first = known.entry(refs).or_insert_with(|| summary.clone());
                ensure(*first == summary, Rule::SamePriority, || {
                    format!("{} says {summary} of {topic}, not {first}", self.nodes[node].name)
                })?;
            }
        }
        Ok(())
    }

    /// No two replicas are sure of different things at one time, whatever else goes on; only where neither
    /// hears the other, nobody can tell them. One has just done something, the others are as they were.
    pub(super) fn check_certainty(&mut self, node: usize) -> Checked {
        let Some(life) = self.nodes[node].running() else { return Ok(()) };
        let query = SummaryQuery::default();
        let answers = self.topics().into_iter().filter_map(|topic| {
            let name = crate::topic(&topic);
            let summary = life.hub.summary(&name, &query).summary;
            let is_sure = summary.certainty == Certainty::Confirmed;
            is_sure.then(|| (topic, (life.hub.presences(&name).0, summary)))
        });
        self.answers[node] = answers.collect();
        let this = &self.nodes[node];
        for (at, other) in self.nodes.iter().enumerate() {
            let is_split = this.is_deaf_to(other) && other.is_deaf_to(this);
            if at == node || other.running().is_none() || is_split {
                continue;
            }
            for (topic, answer) in &self.answers[node] {
                let theirs = self.answers[at].get(topic);
                ensure(theirs.is_none_or(|it| it == answer), Rule::Certain, || {
                    let place = format!("{} and {} at {}", this.name, other.name, self.now);
                    let both = [node, at].map(|at| self.listing(at, topic).map(|it| it.refs));
                    format!("{place} are sure on {topic} of {both:?}")
                })?;
            }
        }
        Ok(())
    }

    /// P2: a replica shows nothing of a life that it takes for dead. What one before it left behind
    /// with a farewell may be there.
    fn check_hidden(&self) -> Checked {
        for node in self.running() {
            let down = &self.nodes[node].running().expect("it runs").down;
            let topics = if down.is_empty() { Vec::new() } else { self.topics() };
            for topic in topics {
                let refs = self.listing(node, &topic)?.refs;
                let is_of = |dot: &str, (name, life): (&String, &Incarnation)| {
                    let replica = ReplicaId::new(name.as_str(), *life).to_string();
                    dot.rsplit_once('.').is_some_and(|(of, _)| of == replica)
                };
                let ghost = refs.iter().find(|it| down.iter().any(|life| is_of(it, life)));
                ensure(ghost.is_none(), Rule::NoGhost, || {
                    let name = &self.nodes[node].name;
                    format!("{name} on {topic} at {} shows {ghost:?} of {down:?}", self.now)
                })?;
            }
        }
        Ok(())
    }

    fn summary(&self, node: usize, topic: &str) -> Value {
        let life = self.nodes[node].life.as_ref().expect("it runs");
        let summary = life.hub.summary(&crate::topic(topic), &SummaryQuery::default());
        serde_json::to_value(summary).expect("JSON")
    }

    /// P2, P3: where nothing goes wrong, everybody knows soon who has come and gone.
    fn check_news(&self) -> Checked {
        let news_ms = self.plan.news_ms();
        let is_old = |at: u64| at + news_ms <= self.now;
        let keep_ms = if self.plan.retires { self.plan.keep_ms() * 102 / 100 } else { 0 };
        for topic in self.topics() {
            let present = self.tenancy.present(&topic);
            for node in self.running() {
                let life = self.nodes[node].running().expect("it runs");
                if !is_old(life.started) {
                    continue;
                }
                let listed = self.listing(node, &topic)?.sessions;
                let place = |id: &str| format!("{id}, {} at {}", self.nodes[node].name, self.now);
                for entry in present.difference(&listed) {
                    let since = self.tenancy.since.get(&entry.0).copied();
                    let is_due =
                        self.tenancy.has_stayed(self.now, &entry.0) && since.is_some_and(is_old);
                    ensure(!is_due, Rule::NoLostJoin, || place(&entry.0))?;
                }
                let gone = listed.difference(&present);
                for entry in gone.filter(|entry| !self.tenancy.is_kept(&entry.0)) {
                    let ended = self.tenancy.ended.get(&entry.0).copied();
                    let is_due = ended.is_none_or(|at| is_old(at + keep_ms));
                    ensure(!is_due, Rule::NoGhost, || place(&entry.0))?;
                }
            }
        }
        Ok(())
    }

    /// P1, P2, P3: every replica lists those who are there, and is sure of it.
    pub(crate) fn check_agreement(&self) -> Checked {
        for topic in self.topics() {
            let present = self.tenancy.present(&topic);
            let told = self.tenancy.told(&topic).into_iter().map(|(session, told)| {
                let custom: Value = serde_json::from_slice(&told.custom).expect("JSON");
                (session, (told.mode.as_str().to_owned(), custom["n"].clone()))
            });
            let told: BTreeMap<_, _> = told.collect();
            let mut first: Option<Listing> = None;
            for node in self.running() {
                let listing = self.listing(node, &topic)?;
                let name = &self.nodes[node].name;
                let place = |what: &str| format!("{name} on {topic} at {}: {what}", self.now);
                let lacking = present.difference(&listing.sessions).next();
                ensure(lacking.is_none(), Rule::NoLostJoin, || {
                    place(&format!("lacks {lacking:?}"))
                })?;
                let ghost = listing.sessions.difference(&present).next();
                ensure(ghost.is_none(), Rule::NoGhost, || place(&format!("shows {ghost:?}")))?;
                ensure(listing.told == told, Rule::Agreement, || {
                    place(&format!("tells {:?} instead of {told:?}", listing.told))
                })?;
                let is_same = first.as_ref().is_none_or(|first| *first == listing);
                ensure(is_same, Rule::Agreement, || {
                    place(&format!("lists {listing:?} instead of {first:?}"))
                })?;
                first = Some(listing);
                let certainty = &self.summary(node, &topic)["certainty"];
                // Contested is said of a past that somebody here has seen.
                let is_sure = certainty != "provisional" || self.is_outdated(node);
                ensure(is_sure, Rule::Certain, || place("is not sure"))?;
            }
        }
        Ok(())
    }

    /// Whether somebody speaks a version that a replica does not know: it never learns what that one
    /// has seen.
    fn is_outdated(&self, node: usize) -> bool {
        let mut newer = self.nodes.iter().map(|node| node.life.as_ref());
        let is_newer = self.nodes[node].life.as_ref().is_some_and(|life| life.is_newer);
        !is_newer && newer.any(|life| life.is_some_and(|life| life.is_newer))
    }
}
