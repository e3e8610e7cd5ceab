//! Several replicas under a drawn history, each with a model and an observer beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use penholder_presence::{
    Activity, Change, Delta, Diff, Incarnation, Key, Kind, Meta, Mode, Presence, PresenceSet,
    ReplicaId, ReplicaName, SessionId, Status, Topic, WallMs,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::{self, Entry, Model, Place, State};

pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Track {
        at: usize,
        topic: usize,
        key: usize,
        session: usize,
        meta: Meta,
    },
    Update {
        at: usize,
        topic: usize,
        session: usize,
        meta: Meta,
    },
    Untrack {
        at: usize,
        topic: usize,
        session: usize,
    },
    UntrackSession {
        at: usize,
        session: usize,
    },
    /// One of all deltas ever made, by any life, arrives.
    Deliver {
        at: usize,
        delta: Index,
    },
    FullState {
        from: usize,
        at: usize,
    },
    Down {
        at: usize,
        name: usize,
    },
    Up {
        at: usize,
        name: usize,
    },
    Forget {
        at: usize,
        name: usize,
    },
    /// A life says that it leaves.
    Leave {
        at: usize,
        name: usize,
    },
    /// The end of a farewell.
    Release {
        at: usize,
        life: Index,
    },
    Restart {
        at: usize,
    },
}

pub(crate) fn meta() -> impl Strategy<Value = Meta> {
    let enums = (
        prop_oneof![3 => Just(Mode::Edit), 1 => Just(Mode::View)],
        prop_oneof![3 => Just(Kind::Human), 1 => Just(Kind::Ai)],
        prop::sample::select(vec![
            Status::Active,
            Status::Idle,
            Status::Hidden,
            Status::Reconnecting,
        ]),
        prop::sample::select(vec![Activity::Viewing, Activity::Typing, Activity::Editing]),
        any::<bool>(),
    );
    let blobs = (0..3_usize, 0..3_usize, 0..3_u32);
    // Few times, so that many are equal; and the ends of the range.
    let time = || prop_oneof![8 => 0..4_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    (time(), prop::option::of(time()), enums, blobs).prop_map(|(joined_at, idle, enums, blobs)| {
        let (mode, kind, status, activity, unsaved) = enums;
        let blob = |n| Bytes::from_static([&b""[..], b"{}", b"{\"name\":\"Ada\"}"][n]);
        Meta {
            joined_at: WallMs(joined_at),
            generation: blobs.2,
            mode,
            kind,
            status,
            activity,
            unsaved,
            idle_since: idle.map(WallMs),
            profile: blob(blobs.0),
            custom: blob(blobs.1),
        }
    })
}

pub(crate) fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..NAMES.len();
    let step = prop_oneof![
        6 => (at(), 0..3_usize, 0..3_usize, 0..4_usize, meta()).prop_map(
            |(at, topic, key, session, meta)| Step::Track { at, topic, key, session, meta }
        ),
        4 => (at(), 0..3_usize, 0..4_usize, meta())
            .prop_map(|(at, topic, session, meta)| Step::Update { at, topic, session, meta }),
        3 => (at(), 0..3_usize, 0..4_usize)
            .prop_map(|(at, topic, session)| Step::Untrack { at, topic, session }),
        1 => (at(), 0..4_usize).prop_map(|(at, session)| Step::UntrackSession { at, session }),
        12 => (at(), any::<Index>()).prop_map(|(at, delta)| Step::Deliver { at, delta }),
        2 => (at(), at()).prop_map(|(from, at)| Step::FullState { from, at }),
        1 => (at(), at()).prop_map(|(at, name)| Step::Down { at, name }),
        1 => (at(), at()).prop_map(|(at, name)| Step::Up { at, name }),
        1 => (at(), at()).prop_map(|(at, name)| Step::Forget { at, name }),
        2 => (at(), at()).prop_map(|(at, name)| Step::Leave { at, name }),
        1 => (at(), any::<Index>()).prop_map(|(at, life)| Step::Release { at, life }),
        1 => at().prop_map(|at| Step::Restart { at }),
    ];
    prop::collection::vec(step, 0..length)
}

pub(crate) fn topic(n: usize) -> Topic {
    Topic::from(format!("t:{n}"))
}

pub(crate) fn key(n: usize) -> Key {
    Key::from(format!("k{n}"))
}

pub(crate) fn session(n: usize) -> SessionId {
    SessionId::from(format!("s{n}"))
}

/// What an observer of all topics has gathered from diffs alone.
pub(crate) type View = BTreeMap<Topic, BTreeMap<Place, Entry>>;

pub(crate) struct Member {
    pub(crate) set: PresenceSet,
    pub(crate) model: Model,
    pub(crate) view: View,
}

impl Member {
    fn new(name: &str, incarnation: u64) -> Self {
        let replica = ReplicaId::new(name, Incarnation(incarnation));
        Self {
            set: PresenceSet::new(replica, incarnation.wrapping_mul(77)),
            model: Model::new(name, incarnation),
            view: View::new(),
        }
    }
}

pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) deltas: Vec<(Delta, State)>,
    lives: u64,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let members = NAMES.iter().map(|name| Member::new(name, 1)).collect();
        Self { members, deltas: Vec::new(), lives: 1 }
    }

    /// Takes one step on the sets and their models, and returns who took it.
    pub(crate) fn step(&mut self, step: Step) -> usize {
        match step {
            Step::Track { at, topic: t, key: k, session: s, meta } => {
                self.track(at, (topic(t), key(k), session(s)), meta);
                at
            }
            Step::Update { at, topic: t, session: s, meta } => {
                self.update(at, &topic(t), &session(s), meta);
                at
            }
            Step::Untrack { at, topic: t, session: s } => {
                let change = self.members[at].set.untrack(&topic(t), &session(s));
                let topics = [topic(t)];
                self.untracked(at, &topics, &session(s), change);
                at
            }
            Step::UntrackSession { at, session: s } => {
                let topics = self.members[at].model.topics_of(&session(s));
                let topics: Vec<_> = topics.into_iter().collect();
                let change = self.members[at].set.untrack_session(&session(s));
                self.untracked(at, &topics, &session(s), change);
                at
            }
            Step::Deliver { at, delta } => {
                if !self.deltas.is_empty() {
                    let (delta, state) = delta.get(&self.deltas).clone();
                    self.merge(at, delta, &state);
                }
                at
            }
            Step::FullState { from, at } => {
                let (delta, state) =
                    (self.members[from].set.full_state(), self.members[from].model.state.clone());
                self.merge(at, delta, &state);
                at
            }
            Step::Down { at, name } => {
                self.judge(at, name, PresenceSet::replica_down, |model, name| {
                    if name != model.name {
                        model.down.insert(name.into());
                    }
                })
            }
            Step::Up { at, name } => {
                self.judge(at, name, PresenceSet::replica_up, |model, name| {
                    model.down.remove(name);
                    model.spend();
                })
            }
            Step::Leave { at, name } => self.leave(at, NAMES[name]),
            Step::Release { at, life } => self.release(at, life),
            Step::Forget { at, name } => self.judge(at, name, PresenceSet::forget, Model::forget),
            Step::Restart { at } => {
                self.lives += 1;
                self.members[at] = Member::new(NAMES[at], self.lives);
                at
            }
        }
    }

    fn leave(&mut self, at: usize, name: &str) -> usize {
        let Member { set, model, .. } = &mut self.members[at];
        let life = set.context().life(&ReplicaName::from(name));
        if let Some(replica) = life.map(|life| life.replica().clone()) {
            set.replica_leaves(&replica);
            model.leave(name);
        }
        at
    }

    fn release(&mut self, at: usize, life: Index) -> usize {
        let Member { set, model, view } = &mut self.members[at];
        let kept: Vec<_> = model.kept.keys().cloned().collect();
        if !kept.is_empty() {
            let (name, incarnation, _) = life.get(&kept);
            let replica = ReplicaId::new(name.as_str(), Incarnation(*incarnation));
            fold(view, &set.release(&replica));
            model.release((name, *incarnation));
        }
        at
    }

    fn track(&mut self, at: usize, names: (Topic, Key, SessionId), meta: Meta) {
        let (topic, key, session) = names;
        let Member { set, model, .. } = &mut self.members[at];
        let was_tracked = model.tracked(&topic, &session).is_some();
        let result = set.track(topic.clone(), key.clone(), session.clone(), meta.clone());
        assert_eq!(result.is_err(), was_tracked);
        if let Ok(change) = result {
            let mut entry = Entry { replaces: None, topic, key, session, meta };
            entry.replaces = model.taken_over(&entry);
            let state = model.operate(None, Some(entry));
            self.changed(at, change, state);
        }
    }

    fn update(&mut self, at: usize, topic: &Topic, session: &SessionId, meta: Meta) {
        let Member { set, model, .. } = &mut self.members[at];
        let old = model.tracked(topic, session);
        let result = set.update(topic, session, meta.clone());
        assert_eq!(result.is_err(), old.is_none());
        let (Some(old), Ok(change)) = (old, result) else { return };
        let entry = model.state[NAMES[at]].live[&old].clone();
        if entry.meta == meta {
            assert!(change.is_empty());
            return;
        }
        let replaces = Some((NAMES[at].to_owned(), model.state[NAMES[at]].incarnation, old));
        let state = model.operate(Some(old), Some(Entry { replaces, meta, ..entry }));
        match change.diff.topic(topic).map(|diff| (diff.joins.len(), diff.leaves.len())) {
            // Another replica's entry shows the session, before and after.
            None => assert!(change.diff.is_empty()),
            halves => assert_eq!(halves, Some((1, 1)), "nobody is absent during an update"),
        }
        self.changed(at, change, state);
    }

    fn untracked(&mut self, at: usize, topics: &[Topic], session: &SessionId, change: Change) {
        let model = &mut self.members[at].model;
        let mut whole = model::Life::default();
        for topic in topics {
            let Some(gone) = model.tracked(topic, session) else { continue };
            let state = model.operate(Some(gone), None);
            whole.incarnation = state[NAMES[at]].incarnation;
            whole.seen.extend(&state[NAMES[at]].seen);
        }
        if whole.seen.is_empty() {
            assert!(change.is_empty());
        } else {
            self.changed(at, change, State::from([(NAMES[at].to_owned(), whole)]));
        }
    }

    fn changed(&mut self, at: usize, change: Change, state: State) {
        fold(&mut self.members[at].view, &change.diff);
        self.deltas.push((change.delta, state));
    }

    fn merge(&mut self, at: usize, delta: Delta, state: &State) {
        let member = &mut self.members[at];
        // Half of them as they come off the wire.
        let delta = match delta.entries().len() % 2 {
            0 => delta,
            _ => Delta::decode(&delta.encode()).unwrap(),
        };
        let diff = member.set.merge(delta);
        member.model.merge(state);
        fold(&mut member.view, &diff);
    }

    fn judge(
        &mut self,
        at: usize,
        name: usize,
        real: impl Fn(&mut PresenceSet, &ReplicaName) -> Diff,
        model: impl Fn(&mut Model, &str),
    ) -> usize {
        let member = &mut self.members[at];
        let diff = real(&mut member.set, &ReplicaName::from(NAMES[name]));
        model(&mut member.model, NAMES[name]);
        fold(&mut member.view, &diff);
        at
    }
}

/// Applies a diff, and checks that it is exact: joins of the absent, leaves of the present.
pub(crate) fn fold(view: &mut View, diff: &Diff) {
    assert!(diff.iter().is_sorted_by(|a, b| a.topic < b.topic), "topics in order, none twice");
    for changed in diff {
        assert!(!changed.is_empty(), "no topic without a change");
        let members = view.entry(changed.topic.clone()).or_default();
        for list in [&changed.joins, &changed.leaves] {
            assert!(list.is_sorted_by(|a, b| a.order(b).is_lt()), "in the order of the topic");
        }
        for join in &changed.joins {
            let before = members.insert(model::place(join), model::entry(join));
            assert_eq!(before, None, "a join only of something not visible before");
        }
        for leave in &changed.leaves {
            let before = members.remove(&model::place(leave));
            assert_eq!(before, Some(model::entry(leave)), "a leave only of something visible");
        }
        if members.is_empty() {
            view.remove(&changed.topic);
        }
    }
}

/// Everything that a set shows, read through its lists.
pub(crate) fn shown(set: &PresenceSet) -> View {
    let places = |topic: &Topic| -> Vec<&Arc<Presence>> { set.list(topic).collect() };
    let topics = set.topics().map(|count| {
        let members = places(count.topic);
        assert!(members.is_sorted_by(|a, b| a.order(b).is_lt()));
        let members = members.into_iter().map(|p| (model::place(p), model::entry(p)));
        (count.topic.clone(), members.collect())
    });
    topics.collect()
}
