//! Who is on a topic, as a client folds it from snapshots and diffs.
//!
//! Most servers send the same bytes to all, so a list is parsed once and found again by its bytes:
//! a thousand clients that each parse a list of a thousand would be measured, not the server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::Deserialize;

/// How many payloads of a topic are remembered. Clients may lag behind each other by so many.
const RECENT_MAX: usize = 16;

/// A topic and what was said on it of late.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// How many clients will be there: each has the whole list once it shows so many.
    pub(crate) seats: usize,
    recent: Mutex<VecDeque<Recent>>,
}

#[derive(Debug)]
struct Recent {
    sort: Sort,
    payload: Box<[u8]>,
    change: Arc<Change>,
}

/// Which event brought a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    State,
    Diff,
    Summary,
}

/// What a payload says.
#[derive(Debug)]
pub(crate) enum Change {
    /// The list is this.
    State(Arc<View>),
    /// Of the list, so much has changed.
    Diff { joins: Vec<(RefId, KeyId)>, leaves: Vec<RefId> },
    /// There are so many people; the list may leave some out.
    Summary { count: usize, is_full: bool },
    /// Not what it should be.
    Unreadable(String),
}

/// A name, as a number.
pub(crate) type RefId = u32;
/// A name, as a number.
pub(crate) type KeyId = u32;

/// Numbers for the refs and keys that have been seen.
#[derive(Debug, Default)]
pub(crate) struct Names {
    refs: Mutex<FxHashMap<Box<str>, RefId>>,
    keys: Mutex<FxHashMap<Box<str>, KeyId>>,
}

/// A list of who is there: their metas by `phx_ref`, as `presence.js` keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    refs: FxHashMap<RefId, KeyId>,
    keys: FxHashMap<KeyId, u32>,
}

impl Topic {
    pub(crate) fn new(name: String, seats: usize) -> Arc<Self> {
        Arc::new(Self { name, seats, recent: Mutex::default() })
    }

    /// What `payload` says, read at most once while it is recent.
    pub(crate) fn read(&self, sort: Sort, payload: &[u8], names: &Names) -> Arc<Change> {
        let mut recent = self.recent.lock();
        let known = recent.iter().rev().find(|it| it.sort == sort && *it.payload == *payload);
        if let Some(known) = known {
            return Arc::clone(&known.change);
        }
        let change = Arc::new(Change::parse(sort, payload, names));
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Recent { sort, payload: payload.into(), change: Arc::clone(&change) });
        change
    }
}

impl Names {
    pub(crate) fn key(&self, name: &str) -> KeyId {
        number(&self.keys, name)
    }

    fn reference(&self, name: &str) -> RefId {
        number(&self.refs, name)
    }
}

fn number(names: &Mutex<FxHashMap<Box<str>, u32>>, name: &str) -> u32 {
    let mut names = names.lock();
    if let Some(number) = names.get(name) {
        return *number;
    }
    let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
    names.insert(name.into(), next);
    next
}

type List = BTreeMap<String, Entry>;

#[derive(Deserialize)]
struct Entry {
    metas: Vec<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    phx_ref: String,
}

#[derive(Deserialize)]
struct Diff {
    joins: List,
    leaves: List,
}

#[derive(Deserialize)]
struct Summary {
    count: usize,
    full: bool,
}

impl Change {
    fn parse(sort: Sort, payload: &[u8], names: &Names) -> Self {
        let metas = |list: List| {
            let of_key = |(key, entry): (String, Entry)| {
                let key = names.key(&key);
                entry.metas.into_iter().map(move |meta| (meta.phx_ref, key))
            };
            let all = list.into_iter().flat_map(of_key);
            all.map(|(reference, key)| (names.reference(&reference), key)).collect::<Vec<_>>()
        };
        let parsed = match sort {
            Sort::State => serde_json::from_slice(payload).map(|list| {
                let mut view = View::default();
                metas(list).into_iter().for_each(|(reference, key)| view.join(reference, key));
                Self::State(Arc::new(view))
            }),
            Sort::Diff => serde_json::from_slice(payload).map(|Diff { joins, leaves }| {
                let leaves = metas(leaves).into_iter().map(|(reference, _)| reference).collect();
                Self::Diff { joins: metas(joins), leaves }
            }),
            Sort::Summary => serde_json::from_slice(payload)
                .map(|Summary { count, full }| Self::Summary { count, is_full: full }),
        };
        parsed.unwrap_or_else(|error| Self::Unreadable(format!("{sort:?}: {error}")))
    }
}

impl View {
    /// Applies a diff: joins first, as `presence.js` does.
    pub(crate) fn apply(&mut self, joins: &[(RefId, KeyId)], leaves: &[RefId]) {
        joins.iter().for_each(|(reference, key)| self.join(*reference, *key));
        leaves.iter().for_each(|reference| self.leave(*reference));
    }

    /// How many people are shown.
    pub(crate) fn people(&self) -> usize {
        self.keys.len()
    }

    /// Whether these people are shown and nobody else, each with one meta.
    pub(crate) fn is_exactly(&self, keys: &[KeyId]) -> bool {
        let (metas, people) = (self.refs.len(), self.people());
        metas == keys.len() && people == keys.len() && keys.iter().all(|key| self.shows(*key))
    }

    pub(crate) fn shows(&self, key: KeyId) -> bool {
        self.keys.contains_key(&key)
    }

    fn join(&mut self, reference: RefId, key: KeyId) {
        if self.refs.insert(reference, key).is_none() {
            *self.keys.entry(key).or_default() += 1;
        }
    }

    fn leave(&mut self, reference: RefId) {
        let Some(key) = self.refs.remove(&reference) else { return };
        let Some(metas) = self.keys.get_mut(&key) else { return };
        *metas -= 1;
        if *metas == 0 {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(topic: &Topic, sort: Sort, payload: &str, names: &Names) -> Arc<Change> {
        topic.read(sort, payload.as_bytes(), names)
    }

    fn view(change: &Change) -> View {
        let Change::State(view) = change else { panic!("{change:?}") };
        View::clone(view)
    }

    #[test]
    fn update_leaves_the_person_there_and_the_last_meta_takes_them_away() {
        let (names, topic) = (Names::default(), Topic::new("t".to_owned(), 2));
        let state =
            r#"{"ann":{"metas":[{"phx_ref":"1","x":1}]},"bob":{"metas":[{"phx_ref":"2"}]}}"#;
        let mut view = view(&read(&topic, Sort::State, state, &names));
        let both = ["ann", "bob"].map(|name| names.key(name));
        assert!(view.is_exactly(&both) && !view.is_exactly(&both[..1]));
        view.apply(&[(99, both[0])], &[]);
        assert!(!view.is_exactly(&both), "a meta of before that nobody took away");
        view.apply(&[], &[99]);
        let mut apply = |payload: &str| {
            let change = read(&topic, Sort::Diff, payload, &names);
            let Change::Diff { joins, leaves } = &*change else { panic!("{change:?}") };
            view.apply(joins, leaves);
            (view.people(), view.shows(names.key("ann")))
        };
        let update = r#"{"joins":{"ann":{"metas":[{"phx_ref":"3"}]}},
                         "leaves":{"ann":{"metas":[{"phx_ref":"1"}]}}}"#;
        assert_eq!(apply(update), (2, true));
        let leave = r#"{"joins":{},"leaves":{"ann":{"metas":[{"phx_ref":"3"}]}}}"#;
        assert_eq!(apply(leave), (1, false));
        assert_eq!(apply(leave), (1, false), "twice is once");
    }

    #[test]
    fn the_same_bytes_are_read_once_and_other_events_are_not_confused() {
        let (names, topic) = (Names::default(), Topic::new("t".to_owned(), 1));
        let first = read(&topic, Sort::State, "{}", &names);
        assert!(Arc::ptr_eq(&first, &read(&topic, Sort::State, "{}", &names)));
        assert!(matches!(&*read(&topic, Sort::Diff, "{}", &names), Change::Unreadable(_)));
        for number in 0..RECENT_MAX {
            read(&topic, Sort::State, &format!(r#"{{"{number}":{{"metas":[]}}}}"#), &names);
        }
        assert!(!Arc::ptr_eq(&first, &read(&topic, Sort::State, "{}", &names)));
        assert_eq!(topic.recent.lock().len(), RECENT_MAX);
    }

    #[test]
    fn summary_tells_how_many_and_whether_all_are_listed() {
        let (names, topic) = (Names::default(), Topic::new("t".to_owned(), 1));
        let summary = r#"{"presences":[],"count":7,"full":false}"#;
        let change = read(&topic, Sort::Summary, summary, &names);
        assert!(matches!(*change, Change::Summary { count: 7, is_full: false }));
    }
}
