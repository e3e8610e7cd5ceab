//! A state-based set without an index by operation: a merge looks at every entry that it has, to find
//! those that the delta says are gone. So does Phoenix.Tracker, and so does whoever writes the rule of
//! the papers down as it stands there.
//!
//! Dots, contexts and deltas are those of the crate; a session is on one replica at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use penholder_presence::{
    Context, Dot, DotRange, Incarnation, Key, Meta, ReplicaId, ReplicaName, SessionId, Topic,
};

use crate::contender::{Presences, Replicated};
use crate::people::Names;

/// Who is where on all replicas, in standard maps.
#[derive(Debug)]
pub struct Scan {
    replica: Arc<ReplicaId>,
    clock: u64,
    seen: Context,
    topics: HashMap<Topic, HashMap<SessionId, Entry>>,
    down: BTreeSet<ReplicaName>,
}

/// One presence.
#[derive(Debug, Clone)]
pub struct Entry {
    key: Key,
    meta: Meta,
    dot: Dot,
}

/// What some operations left.
#[derive(Debug, Clone, Default)]
pub struct Fragment {
    covered: Context,
    entries: HashMap<Dot, (Names, Meta)>,
}

/// What became visible, and what ceased to be.
#[derive(Debug, Default)]
pub struct Changes {
    joins: Vec<(Names, Meta)>,
    leaves: Vec<(Names, Meta)>,
}

impl Scan {
    /// Does one operation: the dots that it removes are gone, the entry is added under its own.
    fn operate(&mut self, removed: Option<&Dot>, added: Option<(Names, Meta)>) -> Fragment {
        self.clock += 1;
        let dot = Dot::new(Arc::clone(&self.replica), self.clock);
        let mut fragment = Fragment::default();
        for dot in removed.into_iter().chain([&dot]) {
            fragment.covered.insert(dot);
            self.seen.insert(dot);
        }
        if let Some((names, meta)) = added {
            fragment.entries.insert(dot.clone(), (names.clone(), meta.clone()));
            self.insert(names, meta, dot);
        }
        fragment
    }

    fn insert(&mut self, names: Names, meta: Meta, dot: Dot) {
        let Names { topic, key, session } = names;
        self.topics.entry(topic).or_default().insert(session, Entry { key, meta, dot });
    }

    fn remove(&mut self, names: &Names) -> Option<Entry> {
        let sessions = self.topics.get_mut(&names.topic)?;
        let gone = sessions.remove(&names.session);
        if sessions.is_empty() {
            self.topics.remove(&names.topic);
        }
        gone
    }

    fn entries(&self) -> impl Iterator<Item = (&Topic, &SessionId, &Entry)> {
        self.topics.iter().flat_map(|(topic, sessions)| {
            sessions.iter().map(move |(session, entry)| (topic, session, entry))
        })
    }

    fn of_replica(&self, replica: &ReplicaName) -> Vec<(Names, Meta)> {
        let theirs = self.entries().filter(|(_, _, entry)| entry.dot.replica.name == *replica);
        theirs.map(named).collect()
    }

    fn shown<'a>(&'a self, topic: &Topic) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let sessions = self.topics.get(topic).into_iter().flat_map(HashMap::values);
        sessions.filter(|entry| !self.down.contains(&entry.dot.replica.name))
    }
}

fn named((topic, session, entry): (&Topic, &SessionId, &Entry)) -> (Names, Meta) {
    let (topic, session) = (topic.clone(), session.clone());
    (Names { topic, key: entry.key.clone(), session }, entry.meta.clone())
}

impl Presences for Scan {
    type Change = Fragment;

    fn empty(replica: &str) -> Self {
        let replica = Arc::new(ReplicaId::new(replica, Incarnation(1_790_000_000_000)));
        Self {
            replica,
            clock: 0,
            seen: Context::new(),
            topics: HashMap::new(),
            down: BTreeSet::new(),
        }
    }

    fn track(&mut self, names: Names, meta: Meta) -> Fragment {
        self.operate(None, Some((names, meta)))
    }

    fn update(&mut self, names: &Names, meta: Meta) -> Fragment {
        let old = self.remove(names).map(|entry| entry.dot);
        self.operate(old.as_ref(), Some((names.clone(), meta)))
    }

    fn untrack(&mut self, names: &Names) -> Fragment {
        let gone = self.remove(names).map(|entry| entry.dot);
        self.operate(gone.as_ref(), None)
    }

    fn list(&self, topic: &Topic) -> u64 {
        self.shown(topic).map(|entry| entry.meta.joined_at.0).fold(0, u64::wrapping_add)
    }

    fn count(&self, topic: &Topic) -> usize {
        self.shown(topic).count()
    }
}

impl Replicated for Scan {
    type Delta = Fragment;
    type Diff = Changes;

    fn gather(changes: Vec<Fragment>) -> Fragment {
        let mut all = Fragment::default();
        for change in changes {
            all.entries
                .retain(|dot, _| !change.covered.contains(dot) || change.entries.contains_key(dot));
            let new = change.entries.into_iter().filter(|(dot, _)| !all.covered.contains(dot));
            all.entries.extend(new);
            all.covered.union(&change.covered);
        }
        all
    }

    fn received(delta: &Fragment) -> Fragment {
        let mut replicas = HashMap::new();
        let mut copy = |dot: &Dot| {
            let id = ReplicaId::clone(&dot.replica);
            let replica = replicas.entry(id.clone()).or_insert_with(|| Arc::new(id));
            Dot::new(Arc::clone(replica), dot.counter)
        };
        let entries = delta.entries.iter().map(|(dot, (names, meta))| {
            let Names { topic, key, session } = names;
            let names = Names {
                topic: Topic::from(topic.as_str()),
                key: Key::from(key.as_str()),
                session: SessionId::from(session.as_str()),
            };
            (copy(dot), (names, meta.clone()))
        });
        let entries = entries.collect();
        let mut covered = Context::new();
        for life in &delta.covered {
            let replica = Arc::new(ReplicaId::clone(life.replica()));
            for DotRange { first, last } in life.seen().ranges() {
                covered.insert_range(&replica, DotRange { first, last });
            }
        }
        Fragment { covered, entries }
    }

    fn merge(&mut self, delta: Fragment) -> Changes {
        let Fragment { covered, entries } = delta;
        let gone = self.entries().filter(|(_, _, entry)| {
            covered.contains(&entry.dot) && !entries.contains_key(&entry.dot)
        });
        let leaves: Vec<_> = gone.map(named).collect();
        for (names, _) in &leaves {
            self.remove(names);
        }
        let mut joins = Vec::new();
        for (dot, (names, meta)) in entries {
            if !self.seen.contains(&dot) {
                joins.push((names.clone(), meta.clone()));
                self.insert(names, meta, dot);
            }
        }
        self.seen.union(&covered);
        Changes { joins, leaves }
    }

    fn full_state(&self) -> Fragment {
        let entries = self.entries().map(|entry| (entry.2.dot.clone(), named(entry))).collect();
        Fragment { covered: self.seen.clone(), entries }
    }

    fn down(&mut self, replica: &ReplicaName) -> Changes {
        let leaves = self.of_replica(replica);
        self.down.insert(replica.clone());
        Changes { leaves, ..Changes::default() }
    }

    fn up(&mut self, replica: &ReplicaName) -> Changes {
        self.down.remove(replica);
        Changes { joins: self.of_replica(replica), ..Changes::default() }
    }

    fn changes(diff: &Changes) -> usize {
        diff.joins.len() + diff.leaves.len()
    }
}

#[cfg(test)]
mod tests {
    use penholder_presence::PresenceSet;

    use super::*;
    use crate::map::Map;
    use crate::people::{meta, person, topic_name};

    const SIZE: u64 = 200;

    /// Whatever is measured beside ours does the same work: this is where that is shown.
    fn counts_after_work<S: Replicated>() -> Vec<(usize, u64)> {
        let (mut source, mut observer) = (S::empty("a"), S::empty("b"));
        let mut merged = Vec::new();
        for n in 0..SIZE {
            let mut changes = vec![source.track(person(n, SIZE), meta(n))];
            if n % 3 == 0 && n / 2 % 5 != 4 {
                changes.push(source.update(&person(n / 2, SIZE), meta(n + 1_000)));
            }
            if n % 5 == 4 {
                changes.push(source.untrack(&person(n, SIZE)));
            }
            let delta = S::gather(changes);
            let diff = observer.merge(S::received(&delta));
            merged.push((S::changes(&diff), u64::from(n % 5 == 4)));
            assert_eq!(S::changes(&observer.merge(delta)), 0, "again is nothing");
        }
        let lists = |set: &S| -> Vec<_> {
            let topics = (0..SIZE / 10).map(topic_name);
            topics.map(|topic| (set.count(&topic), set.list(&topic))).collect()
        };
        assert_eq!(lists(&source), lists(&observer));
        assert_eq!(lists(&source), lists(&source.observer()));
        let all = S::changes(&observer.down(&"a".into()));
        assert!(lists(&observer).iter().all(|&(count, _)| count == 0));
        assert_eq!(all, S::changes(&observer.up(&"a".into())));
        assert_eq!(lists(&source), lists(&observer));
        merged.extend(lists(&source));
        merged
    }

    #[test]
    fn the_naive_set_does_what_ours_does() {
        assert_eq!(counts_after_work::<Scan>(), counts_after_work::<PresenceSet>());
    }

    #[test]
    fn the_map_lists_what_ours_lists() {
        let (mut map, mut ours) = (Map::filled("a", SIZE), PresenceSet::filled("a", SIZE));
        for n in (0..SIZE).step_by(3) {
            map.untrack(&person(n, SIZE));
            let _ = Presences::untrack(&mut ours, &person(n, SIZE));
        }
        for topic in (0..SIZE / 10).map(topic_name) {
            assert_eq!(map.count(&topic), Presences::count(&ours, &topic));
            assert_eq!(map.list(&topic), Presences::list(&ours, &topic));
        }
    }
}
