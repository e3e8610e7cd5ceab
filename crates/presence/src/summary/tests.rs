use super::*;
use crate::dot::{Dot, Incarnation, ReplicaId};
use crate::meta::Meta;
use crate::name::Topic;

/// A session `key/n` that joined at a time.
fn session(name: &str, joined_at: u64, mode: Mode) -> Arc<Presence> {
    let (key, tab) = name.split_once('/').unwrap();
    let replica = Arc::new(ReplicaId::new("a", Incarnation(1)));
    let kind = if key.starts_with("ai") { Kind::Ai } else { Kind::Human };
    Arc::new(Presence {
        dot: Dot::new(replica, tab.parse().unwrap()),
        replaces: None,
        topic: Topic::from("t"),
        key: Key::from(key),
        session: SessionId::from(name),
        meta: Meta { joined_at: WallMs(joined_at), mode, kind, ..Meta::default() },
    })
}

fn edit(name: &str, joined_at: u64) -> Arc<Presence> {
    session(name, joined_at, Mode::Edit)
}

fn view(name: &str, joined_at: u64) -> Arc<Presence> {
    session(name, joined_at, Mode::View)
}

fn summary(presences: &[Arc<Presence>]) -> Summary {
    Summary::new(presences, &PriorityPolicy::default(), Certainty::Provisional)
}

fn single(presences: &[Arc<Presence>]) -> Summary {
    let policy =
        PriorityPolicy { sessions: SessionPolicy::SingleSession, ..PriorityPolicy::default() };
    Summary::new(presences, &policy, Certainty::Provisional)
}

/// Whether a session has priority, and which of the person's has it in its stead.
fn seen_by(summary: &Summary, name: &str) -> (bool, Option<String>) {
    let (key, session) = (Key::from(name.split_once('/').unwrap().0), SessionId::from(name));
    let seen = summary.view(Viewer { key: &key, session: Some(&session) });
    (seen.has_presence_edit_priority, seen.priority_in.map(ToString::to_string))
}

fn keys(summary: &Summary) -> Vec<&str> {
    summary.presences.iter().map(|user| user.key.as_str()).collect()
}

fn prior(summary: &Summary) -> Option<&str> {
    summary.prior_user_presence().map(|user| user.key.as_str())
}

#[test]
fn the_earliest_join_of_all_tabs_decides_and_the_key_breaks_ties() {
    let summary = summary(&[edit("ben/1", 5), edit("ada/2", 7), edit("ben/3", 9), edit("cy/4", 5)]);
    assert_eq!(keys(&summary), ["ben", "cy", "ada"]);
    assert_eq!((prior(&summary), summary.presences[0].active_sessions), (Some("ben"), 2));
}

#[test]
fn the_earliest_tab_has_priority_and_the_others_are_told_which() {
    let summary = summary(&[edit("ada/2", 2), edit("ada/1", 1), edit("ben/3", 3)]);
    assert_eq!(summary.prior_session, Some("ada/1".into()));
    assert_eq!(seen_by(&summary, "ada/1"), (true, None));
    assert_eq!(seen_by(&summary, "ada/2"), (false, Some("ada/1".into())));
    assert_eq!(seen_by(&summary, "ben/3"), (false, None), "another person's tab is not their own");
}

#[test]
fn an_update_does_not_hand_the_priority_to_a_tab_that_joined_in_the_same_millisecond() {
    let (first, second) = (edit("ada/1", 5), edit("ada/2", 5));
    let mut updated = Presence::clone(&first);
    updated.dot = Dot::new(Arc::clone(&first.dot.replica), 3);
    for presences in [[first, Arc::clone(&second)], [second, Arc::new(updated)]] {
        assert_eq!(seen_by(&summary(&presences), "ada/1"), (true, None));
    }
}

#[test]
fn under_single_session_two_tabs_have_priority_in_neither() {
    let two = single(&[edit("ada/1", 1), edit("ada/2", 2), edit("ben/3", 3)]);
    assert_eq!((prior(&two), two.prior_session.clone()), (Some("ada"), None));
    for name in ["ada/1", "ada/2", "ben/3"] {
        assert_eq!(seen_by(&two, name), (false, None));
    }
    let one = single(&[edit("ada/1", 1), edit("ben/3", 3)]);
    assert_eq!(one.prior_session, Some("ada/1".into()));
    assert_eq!(seen_by(&one, "ada/1"), (true, None));
}

#[test]
fn a_viewing_tab_neither_counts_as_editor_nor_takes_priority_from_the_editing_one() {
    let summary = summary(&[view("ada/1", 1), edit("ada/2", 2), edit("ben/3", 3)]);
    let ada = &summary.presences[0];
    assert_eq!(
        (ada.mode, &ada.session, &ada.edit_session),
        (Mode::Edit, &"ada/1".into(), &Some("ada/2".into()))
    );
    assert_eq!(summary.prior_session, Some("ada/2".into()));
    assert_eq!(seen_by(&summary, "ada/1"), (false, Some("ada/2".into())));
}

#[test]
fn view_only_people_stay_in_the_list_and_are_passed_over() {
    let present = [view("ada/1", 1), edit("ben/2", 2), edit("cy/3", 3)];
    let by_mode = summary(&present);
    assert_eq!((keys(&by_mode), prior(&by_mode)), (vec!["ada", "ben", "cy"], Some("ben")));
    assert_eq!(seen_by(&by_mode, "ada/1"), (false, None));

    let policy =
        PriorityPolicy { view_only: BTreeSet::from(["ben".into()]), ..PriorityPolicy::default() };
    let by_id = Summary::new(&present, &policy, Certainty::Confirmed);
    assert_eq!((prior(&by_id), by_id.certainty), (Some("cy"), Certainty::Confirmed));
    assert_eq!(seen_by(&by_id, "ben/2"), (false, None));
}

#[test]
fn where_nobody_may_edit_each_viewer_is_prior_to_themselves() {
    let summary = summary(&[view("ada/1", 1), view("ben/2", 2), view("ben/3", 3)]);
    assert_eq!((prior(&summary), summary.prior_session.clone()), (None, None));
    assert_eq!(seen_by(&summary, "ada/1"), (true, None));
    assert_eq!(seen_by(&summary, "ben/2"), (true, None));
    assert_eq!(seen_by(&summary, "ben/3"), (false, Some("ben/2".into())));
    let ben = Key::from("ben");
    let seen = summary.view(Viewer { key: &ben, session: None });
    assert_eq!(seen.prior_user_presence.map(|user| &user.key), Some(&ben));
}

#[test]
fn a_caller_without_a_session_asks_for_the_person() {
    let summary = summary(&[edit("ada/1", 1), edit("ada/2", 2), edit("ben/3", 3)]);
    let has = |key: &str| {
        let key = Key::from(key);
        let seen = summary.view(Viewer { key: &key, session: None });
        (seen.current_user_presence.is_some(), seen.has_presence_edit_priority)
    };
    assert_eq!(has("ada"), (true, true));
    assert_eq!(has("ben"), (true, false));
    assert_eq!(has("nobody"), (false, false));
}

#[test]
fn an_empty_topic_gives_way_to_whoever_asks() {
    let summary = summary(&[]);
    let key = Key::from("ada");
    let seen = summary.view(Viewer { key: &key, session: None });
    assert!(seen.has_presence_edit_priority);
    assert_eq!((seen.prior_user_presence, seen.current_user_presence), (None, None));
}

#[test]
fn ai_comes_after_humans_unless_the_policy_says_otherwise() {
    let present = [edit("ai-1/1", 1), edit("ada/2", 2)];
    assert_eq!(keys(&summary(&present)), ["ada", "ai-1"]);
    let policy = PriorityPolicy { ai: AiPolicy::AmongHumans, ..PriorityPolicy::default() };
    let among = Summary::new(&present, &policy, Certainty::Provisional);
    assert_eq!((keys(&among), prior(&among)), (vec!["ai-1", "ada"], Some("ai-1")));
    let alone = summary(&[view("ada/2", 2), edit("ai-1/1", 1)]);
    assert_eq!(prior(&alone), Some("ai-1"), "a person who only looks is passed over for it");
}
