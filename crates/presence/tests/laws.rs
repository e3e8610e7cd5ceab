//! The laws of the set, over drawn histories.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by it, in functions that are no tests as well"
)]

#[path = "laws/codec.rs"]
mod codec;
#[path = "laws/fleet.rs"]
mod fleet;
#[path = "laws/model.rs"]
mod model;
#[path = "laws/replicas.rs"]
mod replicas;
#[path = "laws/summary.rs"]
mod summary;

use std::collections::BTreeSet;

use fleet::{Fleet, Member, NAMES, fold, shown, steps};
use penholder_presence::{
    Delta, Incarnation, Meta, PresenceSet, ReplicaId, ReplicaName, TopicDiff,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// The deltas and full states of a drawn history.
fn fragments(history: Vec<fleet::Step>) -> Vec<Delta> {
    let mut fleet = Fleet::new();
    for step in history {
        fleet.step(step);
    }
    let full = fleet.members.iter().map(|member| member.set.full_state());
    let deltas = fleet.deltas.iter().map(|(delta, _)| delta.clone());
    deltas.chain(full).collect()
}

fn joined(deltas: &[&Delta]) -> Delta {
    let mut whole = Delta::default();
    for &delta in deltas {
        whole.join(delta.clone());
    }
    whole
}

fn observer() -> PresenceSet {
    PresenceSet::new(ReplicaId::new("observer", Incarnation(1)), 5)
}

fn check_reads(member: &Member) {
    let Member { set, model, view } = member;
    let visible = model.visible();
    assert_eq!(shown(set), visible, "the model agrees");
    assert_eq!(*view, visible, "diffs replay to the list");
    let context: std::collections::BTreeMap<_, _> = model
        .state
        .iter()
        .map(|(name, life)| (name.clone(), (life.incarnation, life.seen.clone())))
        .collect();
    assert_eq!(model::dots(set.context()), context);

    for (topic, members) in &visible {
        let keys: BTreeSet<_> = members.values().map(|entry| &entry.key).collect();
        assert_eq!(set.count(topic), keys.len());
        assert_eq!(set.sessions_count(topic), members.len());
        for key in keys {
            let found: Vec<_> = set.by_key(topic, key).map(|p| model::place(p)).collect();
            let of_key = members.iter().filter(|(_, entry)| entry.key == *key);
            assert_eq!(found, of_key.map(|(place, _)| place.clone()).collect::<Vec<_>>());
        }
        for entry in members.values() {
            let found = set.session(topic, &entry.session).map(|p| model::place(p));
            let own = members.iter().find(|((_, name, ..), other)| {
                *name == model.name && other.session == entry.session
            });
            let any = members.iter().find(|(_, other)| other.session == entry.session);
            assert_eq!(found, own.or(any).map(|(place, _)| place.clone()));
        }
    }
    let counts: Vec<_> = set.topics().map(|count| (count.topic.clone(), count.sessions)).collect();
    let expected = visible.iter().map(|(topic, members)| (topic.clone(), members.len()));
    assert_eq!(counts, expected.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also: diffs replay to the list at each step, a join is at most once, a leave only of who is
    /// present, and nobody is absent during an update (`fold` and `check_reads` assert each).
    #[test]
    fn a_naive_model_agrees(history in steps(80)) {
        let mut fleet = Fleet::new();
        for step in history {
            let at = fleet.step(step);
            check_reads(&fleet.members[at]);
        }
    }

    #[test]
    fn joining_deltas_commutes_associates_and_repeats_harmlessly(
        history in steps(60),
        picks in prop::collection::vec(any::<Index>(), 3),
        cuts in any::<u64>(),
    ) {
        let all = fragments(history);
        // Three fragments, each of several.
        let part = |n: usize| {
            let mask = cuts.rotate_left(u32::try_from(n * 21).unwrap());
            let some = all.iter().enumerate().filter(|(i, _)| mask >> (i % 64) & 1 == 1);
            let mut part = joined(&some.map(|(_, delta)| delta).collect::<Vec<_>>());
            part.join(picks[n].get(&all).clone());
            part
        };
        let (a, b, c) = (part(0), part(1), part(2));
        prop_assert_eq!(joined(&[&a, &b]), joined(&[&b, &a]));
        prop_assert_eq!(joined(&[&joined(&[&a, &b]), &c]), joined(&[&a, &joined(&[&b, &c])]));
        prop_assert_eq!(&joined(&[&a, &a]), &a);
        prop_assert_eq!(joined(&[&a, &b, &a]), joined(&[&a, &b]));
        let whole = joined(&[&a, &b]);
        prop_assert!(whole.covers().covers(a.covers()) && whole.covers().covers(b.covers()));
    }

    #[test]
    fn any_cut_order_and_repetition_of_deltas_is_the_full_state(
        history in steps(60),
        order in prop::collection::vec((any::<Index>(), any::<bool>()), 0..60),
    ) {
        let all = fragments(history);
        let mut at_once = observer();
        let _ = at_once.merge(joined(&all.iter().collect::<Vec<_>>()));

        let (mut piecewise, mut gathered) = (observer(), Delta::default());
        let mut view = fleet::View::new();
        let drawn = order.iter().map(|(pick, cut)| (pick.get(&all), *cut));
        let rest = all.iter().rev().map(|delta| (delta, true));
        for (delta, cut) in drawn.chain(rest) {
            gathered.join(delta.clone());
            if cut {
                fold(&mut view, &piecewise.merge(std::mem::take(&mut gathered)));
            }
        }
        prop_assert_eq!(piecewise.full_state(), at_once.full_state());
        prop_assert_eq!(piecewise.full_state().encode(), at_once.full_state().encode());
        prop_assert_eq!(&view, &shown(&piecewise));

        // And once more is nothing.
        for delta in all {
            prop_assert!(piecewise.merge(delta).is_empty());
        }
        prop_assert_eq!(piecewise.full_state(), at_once.full_state());
    }

    #[test]
    fn diffs_of_a_window_appended_replay_to_the_same_list(
        history in steps(60),
        windows in prop::collection::vec(1..6_usize, 1..20),
    ) {
        let all = fragments(history);
        let (mut set, mut view) = (observer(), fleet::View::new());
        let mut rest = &all[..];
        for window in windows.into_iter().cycle().take_while(|_| !all.is_empty()) {
            let (now, later) = rest.split_at(window.min(rest.len()));
            rest = later;
            let mut pending: std::collections::BTreeMap<_, TopicDiff> = Default::default();
            for delta in now {
                for diff in set.merge(delta.clone()) {
                    match pending.get_mut(&diff.topic) {
                        Some(earlier) => earlier.append(diff),
                        None => { pending.insert(diff.topic.clone(), diff); }
                    }
                }
            }
            for diff in pending.into_values() {
                let members = view.entry(diff.topic.clone()).or_default();
                for leave in &diff.leaves {
                    prop_assert!(members.remove(&model::place(leave)).is_some(), "not cancelled");
                }
                for join in &diff.joins {
                    prop_assert_eq!(members.insert(model::place(join), model::entry(join)), None);
                }
            }
            view.retain(|_, members| !members.is_empty());
            prop_assert_eq!(&view, &shown(&set));
            if rest.is_empty() {
                break;
            }
        }
    }

    #[test]
    fn same_inputs_give_the_same_bytes_whatever_the_hash_seed(history in steps(60)) {
        let all = fragments(history);
        let run = |seed| {
            let mut set = PresenceSet::new(ReplicaId::new("observer", Incarnation(1)), seed);
            let diffs: Vec<_> = all.iter().map(|delta| set.merge(delta.clone())).collect();
            (diffs, set.full_state().encode())
        };
        prop_assert_eq!(run(1), run(2));
    }
}

#[test]
fn ten_thousand_restarts_leave_one_entry() {
    let mut set = observer();
    let topic = fleet::topic(0);
    let mut sizes = BTreeSet::new();
    for incarnation in 1_000_000..1_010_000 {
        let replica = ReplicaId::new(NAMES[0], Incarnation(incarnation));
        let mut life = PresenceSet::new(replica, 1);
        let change = life.track(topic.clone(), fleet::key(0), fleet::session(0), Meta::default());
        let _ = set.merge(change.unwrap().delta);
        assert_eq!(set.sessions_count(&topic), 1);
        sizes.insert(set.full_state().encode().len());
    }
    assert_eq!(set.context().iter().count(), 2, "the observer and one life");
    assert_eq!(sizes.len(), 1, "the state after each restart is as large as after the first");
    let _ = set.forget(&ReplicaName::from(NAMES[0]));
    assert_eq!(set.full_state(), observer().full_state(), "forgotten in every structure");
}
