//! The set as its definition has it: sets of dots and maps, no ranges, no indexes, no sharing.

use std::collections::{BTreeMap, BTreeSet};

use penholder_presence::{Context, Dot, Key, Meta, Presence, SessionId, Topic};

/// An entry, by what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) replaces: Option<Named>,
    pub(crate) topic: Topic,
    pub(crate) key: Key,
    pub(crate) session: SessionId,
    pub(crate) meta: Meta,
}

/// A dot: name, incarnation, counter.
pub(crate) type Named = (String, u64, u64);

/// The state of one name: the newest incarnation, and of it the dots seen and those that live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) incarnation: u64,
    pub(crate) seen: BTreeSet<u64>,
    pub(crate) live: BTreeMap<u64, Entry>,
}

/// A state, or a fragment of one.
pub(crate) type State = BTreeMap<String, Life>;

/// `(joined_at, name, incarnation, counter)`: the order of a topic, and who it is.
pub(crate) type Place = (u64, String, u64, u64);

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) down: BTreeSet<String>,
    /// The last life of each name that leaves.
    pub(crate) leaving: BTreeMap<String, u64>,
    /// Entries of lives that left and are over, and are shown.
    pub(crate) kept: BTreeMap<Named, Entry>,
    /// Entries of lives that leave whose sessions have gone on elsewhere.
    spent: BTreeSet<Named>,
}

impl Model {
    pub(crate) fn new(name: &str, incarnation: u64) -> Self {
        let life = Life { incarnation, ..Life::default() };
        Self {
            name: name.into(),
            state: State::from([(name.into(), life)]),
            down: BTreeSet::new(),
            leaving: BTreeMap::new(),
            kept: BTreeMap::new(),
            spent: BTreeSet::new(),
        }
    }

    pub(crate) fn tracked(&self, topic: &Topic, session: &SessionId) -> Option<u64> {
        let live = &self.own().live;
        let found = live.iter().find(|(_, e)| e.topic == *topic && e.session == *session);
        found.map(|(&counter, _)| counter)
    }

    pub(crate) fn topics_of(&self, session: &SessionId) -> BTreeSet<Topic> {
        let mine = self.own().live.values().filter(|e| e.session == *session);
        mine.map(|e| e.topic.clone()).collect()
    }

    /// Adds an entry in the place of those that go.
    pub(crate) fn operate(&mut self, gone: Option<u64>, entry: Option<Entry>) -> State {
        let own = self.state.get_mut(&self.name).unwrap();
        let counter = own.seen.last().map_or(1, |last| last + 1);
        let mut delta = Life { incarnation: own.incarnation, ..Life::default() };
        own.seen.insert(counter);
        delta.seen.insert(counter);
        if let Some(gone) = gone {
            own.live.remove(&gone);
            delta.seen.insert(gone);
        }
        if let Some(entry) = entry {
            own.live.insert(counter, entry.clone());
            delta.live.insert(counter, entry);
        }
        self.spend();
        State::from([(self.name.clone(), delta)])
    }

    pub(crate) fn merge(&mut self, delta: &State) {
        for (name, theirs) in delta {
            let has_ended =
                |(of, incarnation, _): &Named| of == name && theirs.incarnation <= *incarnation;
            if *name == self.name || self.kept.keys().any(has_ended) {
                continue;
            }
            let ours = self
                .state
                .entry(name.clone())
                .or_insert_with(|| Life { incarnation: theirs.incarnation, ..Life::default() });
            let before = ours.clone();
            join(ours, theirs);
            if before.incarnation < theirs.incarnation {
                self.end(name, before);
            }
            self.spend();
        }
    }

    /// Ends a life in the place of which another has come.
    fn end(&mut self, name: &str, life: Life) {
        let leaves = self.leaving.get(name).is_some_and(|&last| life.incarnation <= last);
        if leaves && !self.down.contains(name) {
            for (counter, entry) in life.live {
                let dot = (name.to_owned(), life.incarnation, counter);
                if !self.spent.contains(&dot) {
                    self.kept.insert(dot, entry);
                }
            }
        }
        self.forget_farewell(name);
    }

    pub(crate) fn leave(&mut self, name: &str) {
        if name != self.name
            && let Some(life) = self.state.get(name)
        {
            self.leaving.insert(name.into(), life.incarnation);
            self.spend();
        }
    }

    /// Ends what is shown of a life that left.
    pub(crate) fn release(&mut self, (name, life): (&str, u64)) {
        self.kept.retain(|(of, incarnation, _), _| (of.as_str(), *incarnation) != (name, life));
        let runs = self.state.get(name).map(|life| life.incarnation);
        if runs.is_none_or(|runs| self.leaving.get(name).is_none_or(|&last| last < runs)) {
            self.forget_farewell(name);
        }
    }

    fn forget_farewell(&mut self, name: &str) {
        if !self.kept.keys().any(|(of, ..)| of == name) {
            self.leaving.remove(name);
        }
    }

    /// Ends for good what stands behind the entry that shows its session, of lives that leave.
    pub(crate) fn spend(&mut self) {
        let visible = self.visible();
        let shown = |(name, incarnation, counter): &Named| {
            let mut places = visible.values().flat_map(BTreeMap::keys);
            places.any(|(_, of, life, at)| (of, life, at) == (name, incarnation, counter))
        };
        let leaving = self.state.iter().flat_map(|(name, life)| {
            let last = self.leaving.get(name).copied();
            let leaves = last.is_some_and(|last| life.incarnation <= last);
            let is_in = leaves && !self.down.contains(name);
            let live = life.live.keys().filter(move |_| is_in);
            live.map(|&counter| (name.clone(), life.incarnation, counter))
        });
        let behind = leaving.chain(self.kept.keys().cloned()).filter(|dot| !shown(dot));
        let behind: BTreeSet<_> = behind.collect();
        self.kept.retain(|dot, _| !behind.contains(dot));
        self.spent.extend(behind);
    }

    pub(crate) fn forget(&mut self, name: &str) {
        if name != self.name {
            self.state.remove(name);
            self.down.remove(name);
            self.spent.retain(|(of, ..)| of != name);
            self.forget_farewell(name);
        }
    }

    /// Everything visible, by topic, in order.
    pub(crate) fn visible(&self) -> BTreeMap<Topic, BTreeMap<Place, Entry>> {
        let mut topics: BTreeMap<Topic, BTreeMap<Place, Entry>> = BTreeMap::new();
        for (name, life) in self.state.iter().filter(|(name, _)| !self.down.contains(*name)) {
            for (&counter, entry) in &life.live {
                if self.spent.contains(&(name.clone(), life.incarnation, counter)) {
                    continue;
                }
                let place = (entry.meta.joined_at.0, name.clone(), life.incarnation, counter);
                topics.entry(entry.topic.clone()).or_default().insert(place, entry.clone());
            }
        }
        for ((name, incarnation, counter), entry) in self.kept.clone() {
            let place = (entry.meta.joined_at.0, name, incarnation, counter);
            topics.entry(entry.topic.clone()).or_default().insert(place, entry);
        }
        // Of the entries of one session only the one that ranks first.
        for members in topics.values_mut() {
            let all = members.clone();
            members.retain(|place, entry| {
                let mut same = all.iter().filter(|(_, other)| {
                    (&other.key, &other.session) == (&entry.key, &entry.session)
                });
                same.all(|(other_place, other)| rank(other_place, other) <= rank(place, entry))
            });
        }
        topics
    }

    /// Returns the entry that a new one of a session takes the place of.
    pub(crate) fn taken_over(&self, entry: &Entry) -> Option<Named> {
        let visible = self.visible();
        let shown = visible
            .get(&entry.topic)?
            .iter()
            .find(|(_, other)| (&other.key, &other.session) == (&entry.key, &entry.session));
        let (place, other) = shown?;
        let counter = self.own().seen.last().map_or(1, |last| last + 1);
        let own = (entry.meta.joined_at.0, self.name.clone(), self.own().incarnation, counter);
        let (_, name, incarnation, counter) = place.clone();
        (rank(place, other) < rank(&own, entry)).then_some((name, incarnation, counter))
    }

    fn own(&self) -> &Life {
        &self.state[&self.name]
    }
}

fn rank(place: &Place, entry: &Entry) -> (u32, Named) {
    let (_, name, incarnation, counter) = place.clone();
    (entry.meta.generation, (name, incarnation, counter))
}

fn named(dot: &Dot) -> Named {
    (dot.replica.name.to_string(), dot.replica.incarnation.0, dot.counter)
}

fn join(ours: &mut Life, theirs: &Life) {
    if theirs.incarnation > ours.incarnation {
        *ours = theirs.clone();
    } else if theirs.incarnation == ours.incarnation {
        ours.live.retain(|dot, _| theirs.live.contains_key(dot) || !theirs.seen.contains(dot));
        for (dot, entry) in &theirs.live {
            if !ours.seen.contains(dot) {
                ours.live.insert(*dot, entry.clone());
            }
        }
        ours.seen.extend(&theirs.seen);
    }
}

pub(crate) fn place(presence: &Presence) -> Place {
    let Dot { replica, counter } = &presence.dot;
    let joined_at = presence.meta.joined_at.0;
    (joined_at, replica.name.to_string(), replica.incarnation.0, *counter)
}

pub(crate) fn entry(presence: &Presence) -> Entry {
    Entry {
        replaces: presence.replaces.as_ref().map(named),
        topic: presence.topic.clone(),
        key: presence.key.clone(),
        session: presence.session.clone(),
        meta: presence.meta.clone(),
    }
}

/// The dots of a context, one by one.
pub(crate) fn dots(context: &Context) -> BTreeMap<String, (u64, BTreeSet<u64>)> {
    let lives = context.iter().map(|life| {
        let seen = life.seen().ranges().flat_map(|range| range.first..=range.last).collect();
        (life.replica().name.to_string(), (life.replica().incarnation.0, seen))
    });
    lives.collect()
}
