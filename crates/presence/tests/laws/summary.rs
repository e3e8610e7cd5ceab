//! The summary against its definition in prose.

use std::collections::BTreeSet;
use std::sync::Arc;

use penholder_presence::{
    AiPolicy, Certainty, Dot, Incarnation, Key, Kind, Meta, Mode, Presence, PriorityPolicy,
    ReplicaId, SessionPolicy, Summary, Viewer,
};
use proptest::prelude::*;

use crate::fleet::{key, meta, session, topic};

fn members() -> impl Strategy<Value = Vec<Arc<Presence>>> {
    let member = (0..4_usize, meta());
    prop::collection::vec(member, 0..10).prop_map(|members| {
        let replica = Arc::new(ReplicaId::new("a", Incarnation(1)));
        let numbered = members.into_iter().zip(1..);
        let presences = numbered.map(|((who, meta), counter)| Presence {
            dot: Dot::new(Arc::clone(&replica), counter),
            replaces: None,
            topic: topic(0),
            key: key(who),
            session: session(usize::try_from(counter).unwrap()),
            meta,
        });
        presences.map(Arc::new).collect()
    })
}

fn policy() -> impl Strategy<Value = PriorityPolicy> {
    let sessions = [SessionPolicy::EarliestSession, SessionPolicy::SingleSession];
    let ai = [AiPolicy::AfterHumans, AiPolicy::AmongHumans];
    let view_only = prop::collection::btree_set((0..4_usize).prop_map(key), 0..2);
    (prop::sample::select(sessions.to_vec()), prop::sample::select(ai.to_vec()), view_only)
        .prop_map(|(sessions, ai, view_only)| PriorityPolicy { sessions, ai, view_only })
}

/// The sessions of a key, earliest first.
fn of<'a>(all: &'a [Arc<Presence>], who: &Key) -> Vec<&'a Arc<Presence>> {
    let mut of_key: Vec<_> = all.iter().filter(|presence| presence.key == *who).collect();
    of_key.sort_by_key(|presence| (presence.meta.joined_at, presence.session.clone()));
    of_key
}

/// The keys in the order of the summary.
fn ordered(all: &[Arc<Presence>], ai: AiPolicy) -> Vec<Key> {
    let keys: BTreeSet<Key> = all.iter().map(|presence| presence.key.clone()).collect();
    let mut keys: Vec<Key> = keys.into_iter().collect();
    keys.sort_by_key(|who| {
        let Meta { kind, joined_at, .. } = of(all, who)[0].meta;
        (ai == AiPolicy::AfterHumans && kind == Kind::Ai, joined_at, who.clone())
    });
    keys
}

fn may_edit(presence: &Presence) -> bool {
    presence.meta.mode == Mode::Edit
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_sets_have_equal_summaries(
        (members, shuffled) in members().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        policy in policy(),
    ) {
        let summary = |all: &[Arc<Presence>]| Summary::new(all, &policy, Certainty::Confirmed);
        prop_assert_eq!(summary(&members), summary(&shuffled));
    }

    #[test]
    fn the_summary_is_as_defined(members in members(), policy in policy()) {
        let summary = Summary::new(&members, &policy, Certainty::Contested);
        let keys = ordered(&members, policy.ai);
        let listed: Vec<_> = summary.presences.iter().map(|user| user.key.clone()).collect();
        prop_assert_eq!(&listed, &keys, "everyone stays in the list");
        for user in &summary.presences {
            let sessions = of(&members, &user.key);
            prop_assert_eq!(user.active_sessions, sessions.len());
            prop_assert_eq!(user.joined_at, sessions[0].meta.joined_at);
            prop_assert_eq!(&user.session, &sessions[0].session);
            prop_assert_eq!(&user.profile, &sessions[0].meta.profile);
            prop_assert_eq!(Some(user.status), sessions.iter().map(|s| s.meta.status).min());
            prop_assert_eq!(user.mode == Mode::View, !sessions.iter().any(|s| may_edit(s)));
        }
        let editors = |who: &&Key| {
            !policy.view_only.contains(*who) && of(&members, who).iter().any(|s| may_edit(s))
        };
        let prior = keys.iter().find(editors);
        prop_assert_eq!(summary.prior_user_presence().map(|user| &user.key), prior);
        let session = prior.and_then(|who| {
            let sessions = of(&members, who);
            let single = policy.sessions == SessionPolicy::SingleSession;
            let barred = single && sessions.len() > 1;
            sessions.into_iter().find(|s| may_edit(s) && !barred).map(|s| s.session.clone())
        });
        prop_assert_eq!(summary.prior_session, session);
        prop_assert_eq!(summary.certainty, Certainty::Contested);
    }

    #[test]
    fn at_most_one_visible_session_has_priority(members in members(), policy in policy()) {
        let summary = Summary::new(&members, &policy, Certainty::Provisional);
        let mut has_priority = Vec::new();
        for presence in &members {
            let viewer = Viewer { key: &presence.key, session: Some(&presence.session) };
            let view = summary.view(viewer);
            prop_assert_eq!(view.current_user_presence.map(|user| &user.key), Some(&presence.key));
            prop_assert!(view.prior_user_presence.is_some());
            if view.has_presence_edit_priority {
                prop_assert_eq!(view.priority_in, None);
                has_priority.push(presence);
            }
        }
        match summary.prior_user_presence() {
            Some(_) => {
                let holders: Vec<_> = has_priority.iter().map(|p| p.session.clone()).collect();
                prop_assert_eq!(holders, Vec::from_iter(summary.prior_session.clone()));
                let is_editor = |p: &&Arc<Presence>| may_edit(p) && !policy.view_only.contains(&p.key);
                prop_assert!(has_priority.iter().all(is_editor), "no view-only before an editor");
            }
            // Nobody may edit: each person is prior to themselves, in at most one session.
            None => {
                let keys: BTreeSet<_> = has_priority.iter().map(|presence| &presence.key).collect();
                prop_assert_eq!(keys.len(), has_priority.len());
            }
        }
    }
}
