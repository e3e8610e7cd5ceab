use bytes::Bytes;

use super::*;
use crate::diff::Diff;
use crate::meta::Status;
use crate::time::WallMs;

fn set(name: &str, incarnation: u64) -> PresenceSet {
    PresenceSet::new(ReplicaId::new(name, Incarnation(incarnation)), 7)
}

fn meta(joined_at: u64) -> Meta {
    Meta { joined_at: WallMs(joined_at), ..Meta::default() }
}

fn topic() -> Topic {
    Topic::from("tickets:1")
}

fn join(set: &mut PresenceSet, session: &str, joined_at: u64) -> Change {
    let key = Key::from(format!("key of {session}"));
    set.track(topic(), key, SessionId::from(session), meta(joined_at)).unwrap()
}

fn leave(set: &mut PresenceSet, session: &str) -> Change {
    set.untrack(&topic(), &SessionId::from(session))
}

fn listed(set: &PresenceSet) -> Vec<&str> {
    set.list(&topic()).map(|presence| presence.session.as_str()).collect()
}

fn sessions(diff: &Diff) -> (Vec<&str>, Vec<&str>) {
    let names = |list: fn(&crate::diff::TopicDiff) -> &Vec<Arc<Presence>>| {
        diff.iter().flat_map(list).map(|presence| presence.session.as_str()).collect()
    };
    (names(|diff| &diff.joins), names(|diff| &diff.leaves))
}

#[test]
fn leave_observed_through_third_replica() {
    let (mut a, mut b, mut c) = (set("a", 1), set("b", 1), set("c", 1));
    let joined = join(&mut a, "s", 1).delta;
    let _ = b.merge(joined.clone());
    let _ = c.merge(joined);
    let _ = b.merge(leave(&mut a, "s").delta);
    let diff = c.merge(b.full_state());
    assert_eq!(sessions(&diff), (vec![], vec!["s"]));
}

#[test]
fn a_lost_leave_shows_in_the_contexts_without_a_further_change() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let _ = b.merge(join(&mut a, "s", 1).delta);
    assert!(b.context().covers(a.context()));
    let _lost = leave(&mut a, "s");
    assert!(!b.context().covers(a.context()));
}

#[test]
fn a_leave_that_overtakes_its_join_wins() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let (joined, left) = (join(&mut a, "s", 1).delta, leave(&mut a, "s").delta);
    assert!(b.merge(left).is_empty());
    assert!(b.merge(joined).is_empty());
    assert_eq!(listed(&b), [""; 0]);
    assert_eq!(b.context().life(&"a".into()), a.context().life(&"a".into()));
}

/// `s` is tracked by `a`, then resumed by `b`, and each has heard of the other.
fn taken_over() -> (PresenceSet, PresenceSet, Diff) {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let _ = b.merge(join(&mut a, "s", 2).delta);
    let resumed = Meta { generation: 1, ..meta(2) };
    let change = b.track(topic(), "key of s".into(), "s".into(), resumed).unwrap();
    assert_eq!(sessions(&change.diff), (vec!["s"], vec!["s"]), "an update to observers");
    let diff = a.merge(change.delta);
    (a, b, diff)
}

#[test]
fn a_resumed_session_is_shown_once_and_the_takeover_is_one_diff() {
    let (mut a, mut b, diff) = taken_over();
    assert_eq!(sessions(&diff), (vec!["s"], vec!["s"]), "an update to observers");
    let topic_diff = diff.topic(&topic()).unwrap();
    let (join, leave) = (&topic_diff.joins[0], &topic_diff.leaves[0]);
    assert_eq!(join.replaces.as_ref(), Some(&leave.dot), "and it says of what");
    assert_eq!(listed(&a), ["s"]);
    assert_eq!((a.count(&topic()), a.sessions_count(&topic())), (1, 1));
    let shown = a.session(&topic(), &"s".into()).unwrap();
    assert_eq!(shown.dot.replica, *b.replica());
    assert_eq!(a.by_key(&topic(), &"key of s".into()).count(), 1);
    // The replica where it was is told, and its untracking is seen by nobody.
    assert_eq!(a.overtaken(), vec![Arc::clone(leave)]);
    let change = leave_all(&mut a, "s");
    assert!(change.diff.is_empty() && b.merge(change.delta).is_empty());
    assert_eq!((a.overtaken(), a.rooms.shadowed().len()), (vec![], 0));
    assert_eq!((listed(&a), listed(&b)), (vec!["s"], vec!["s"]));
}

fn leave_all(set: &mut PresenceSet, session: &str) -> Change {
    set.untrack_session(&SessionId::from(session))
}

#[test]
fn what_stands_in_a_shadow_is_shown_when_the_other_goes() {
    let (mut a, mut b, _) = taken_over();
    let diff = a.replica_down(&"b".into());
    assert_eq!(sessions(&diff), (vec!["s"], vec!["s"]));
    assert_eq!((listed(&a), a.overtaken().len()), (vec!["s"], 0));
    let diff = a.replica_up(&"b".into());
    assert_eq!(sessions(&diff), (vec!["s"], vec!["s"]));
    let diff = a.merge(leave(&mut b, "s").delta);
    assert_eq!(sessions(&diff), (vec!["s"], vec!["s"]), "the older entry stands again");
    assert_eq!(sessions(&leave(&mut a, "s").diff), (vec![], vec!["s"]));
}

#[test]
fn one_session_id_of_two_keys_is_two_sessions() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let _ = a.track(topic(), "ada".into(), "s".into(), meta(1)).unwrap();
    let foreign = Meta { generation: 9, ..meta(2) };
    let forged = b.track(topic(), "bob".into(), "s".into(), foreign).unwrap();
    assert_eq!(sessions(&a.merge(forged.delta)), (vec!["s"], vec![]), "nobody is pushed out");
    assert_eq!((a.count(&topic()), a.sessions_count(&topic())), (2, 2));
}

/// Why a delta is merged only into what has everything before it, which is the work of `Replica`.
#[test]
fn a_delta_merged_before_an_earlier_one_hides_the_lack_of_it() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let _ = b.merge(join(&mut a, "s", 1).delta);
    let _lost = a.update(&topic(), &"s".into(), meta(2)).unwrap();
    let _ = b.merge(leave(&mut a, "s").delta);
    assert!(b.context().covers(a.context()), "nothing seems to be lacking");
    assert_eq!((listed(&a), listed(&b)), (vec![], vec!["s"]), "and yet a ghost stands there");
}

#[test]
fn tracking_twice_is_refused_and_untracking_twice_is_nothing() {
    let mut a = set("a", 1);
    let _ = join(&mut a, "s", 1);
    let again = a.track(topic(), "other".into(), "s".into(), meta(5));
    assert_eq!(again, Err(AlreadyTracked));
    assert!(!leave(&mut a, "s").is_empty());
    let context = a.context().clone();
    assert!(leave(&mut a, "s").is_empty());
    assert!(a.untrack_session(&"s".into()).is_empty());
    assert_eq!(a.update(&topic(), &"s".into(), meta(1)), Err(NotTracked));
    assert_eq!(*a.context(), context, "what changes nothing consumes no dot");
}

#[test]
fn nobody_is_absent_during_an_update() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let joined = join(&mut a, "s", 1);
    let _ = b.merge(joined.delta);
    let idle = Meta { status: Status::Idle, ..meta(1) };
    let change = a.update(&topic(), &"s".into(), idle.clone()).unwrap();
    for diff in [change.diff, b.merge(change.delta)] {
        assert_eq!(sessions(&diff), (vec!["s"], vec!["s"]));
        let changed = diff.topic(&topic()).unwrap();
        assert_eq!(changed.joins[0].replaces.as_ref(), Some(&changed.leaves[0].dot));
        assert_eq!(changed.joins[0].key, changed.leaves[0].key);
    }
    assert!(a.update(&topic(), &"s".into(), idle).unwrap().is_empty(), "the same meta again");
    assert_eq!(a.context().life(&"a".into()).unwrap().seen().upto(), 2);
}

#[test]
fn untracking_a_session_takes_all_its_topics_in_name_order() {
    let mut a = set("a", 1);
    for name in ["t:2", "t:3", "t:1"] {
        let _ = a.track(name.into(), "k".into(), "s".into(), meta(1)).unwrap();
        let _ = a.track(name.into(), "k".into(), "other".into(), meta(1)).unwrap();
    }
    let change = a.untrack_session(&"s".into());
    let topics: Vec<_> = change.diff.iter().map(|diff| diff.topic.as_str()).collect();
    assert_eq!(topics, ["t:1", "t:2", "t:3"]);
    assert_eq!(a.topics().map(|count| count.sessions).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(a.context().life(&"a".into()).unwrap().seen().upto(), 9, "a dot for each removal");
}

#[test]
fn a_replica_that_is_down_is_hidden_and_passed_on() {
    let (mut a, mut b, mut c) = (set("a", 1), set("b", 1), set("c", 1));
    let _ = b.merge(join(&mut a, "early", 1).delta);
    let _ = join(&mut b, "own", 2);
    assert_eq!(sessions(&b.replica_down(&"a".into())), (vec![], vec!["early"]));
    assert!(b.is_down(&"a".into()) && b.replica_down(&"a".into()).is_empty());
    assert!(b.merge(join(&mut a, "late", 3).delta).is_empty(), "merged while down stays hidden");
    assert_eq!((listed(&b), b.count(&topic())), (vec!["own"], 1));
    assert_eq!(b.session(&topic(), &"early".into()), None);
    assert_eq!(b.by_key(&topic(), &"key of early".into()).count(), 0);

    let _ = c.merge(b.full_state());
    assert_eq!(listed(&c), ["early", "own", "late"], "down is an opinion of one replica");
    assert_eq!(sessions(&b.replica_up(&"a".into())), (vec!["early", "late"], vec![]));
    assert!(b.replica_up(&"a".into()).is_empty());
    assert_eq!(listed(&b), listed(&c));
}

#[test]
fn a_few_of_a_crowd_go_down_alone() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    for n in 0..20 {
        let _ = join(&mut b, &format!("b{n:02}"), n);
    }
    let _ = b.merge(join(&mut a, "of a", 5).delta);
    assert_eq!(sessions(&b.replica_down(&"a".into())), (vec![], vec!["of a"]));
    assert_eq!((b.count(&topic()), listed(&b).len()), (20, 20));
}

#[test]
fn a_restart_replaces_its_predecessor_at_once() {
    let (mut old, mut b) = (set("a", 1), set("b", 1));
    let joined = join(&mut old, "s", 1).delta;
    let _ = b.merge(joined.clone());
    let new = set("a", 2);
    assert_eq!(
        sessions(&b.merge(new.full_state())),
        (vec![], vec!["s"]),
        "it has done nothing yet"
    );
    assert!(b.merge(joined).is_empty(), "a late delta of the old life is ignored");
    assert!(b.merge(join(&mut old, "ghost", 1).delta).is_empty());
    assert_eq!(b.context().iter().count(), 2);
}

#[test]
fn what_a_forgotten_life_has_left_is_not_shown_twice() {
    let (mut old, mut b) = (set("a", 1), set("b", 1));
    let joined = join(&mut old, "s", 1).delta;
    let _ = b.merge(joined.clone());
    b.replica_leaves(&ReplicaId::new("a", Incarnation(1)));
    assert!(b.merge(join(&mut set("a", 2), "t", 1).delta).topic(&topic()).is_some());
    assert_eq!(sessions(&b.forget(&"a".into())), (vec![], vec!["t"]));
    assert_eq!(listed(&b), ["s"], "it is kept until it is released");
    assert!(b.merge(joined).is_empty(), "it is shown already");
    assert_eq!(sessions(&b.release(&ReplicaId::new("a", Incarnation(1)))), (vec![], vec!["s"]));
    assert!(listed(&b).is_empty());
}

#[test]
fn forgetting_leaves_nothing() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    let _ = join(&mut b, "own", 1);
    let fresh = format!("{:?}", (b.full_state(), &b.rooms, &b.lives, &b.down));
    for n in 0..50 {
        let _ = b.merge(join(&mut a, &format!("s{n}"), n).delta);
    }
    let _ = b.replica_down(&"a".into());
    assert!(b.forget(&"a".into()).is_empty(), "hidden before, so nobody sees it go");
    assert_eq!(format!("{:?}", (b.full_state(), &b.rooms, &b.lives, &b.down)), fresh);
    assert!(!b.is_down(&"a".into()));

    let _ = b.merge(a.full_state());
    assert_eq!(b.forget(&"a".into()).topic(&topic()).unwrap().leaves.len(), 50);
}

#[test]
fn a_set_never_judges_itself() {
    let mut a = set("a", 1);
    let _ = join(&mut a, "s", 1);
    assert!(a.replica_down(&"a".into()).is_empty() && a.forget(&"a".into()).is_empty());
    assert!(!a.is_down(&"a".into()));
    assert_eq!(listed(&a), ["s"]);
}

#[test]
fn a_set_is_told_that_its_name_lives_on() {
    let (mut old, mut new) = (set("a", 1), set("a", 2));
    let _ = join(&mut old, "s", 1);
    assert!(old.merge(join(&mut new, "t", 1).delta).is_empty());
    assert_eq!((old.superseded_by(), new.superseded_by()), (Some(Incarnation(2)), None));
    assert_eq!(listed(&old), ["s"], "it keeps the sessions that it holds");
    let _ = new.merge(old.full_state());
    assert_eq!((listed(&new), new.superseded_by()), (vec!["t"], None));
}

#[test]
fn topics_come_in_name_order_from_a_start() {
    let mut a = set("a", 1);
    for name in ["b:2", "a:1", "b:1", "c:1"] {
        let _ = a.track(name.into(), "k".into(), "s1".into(), meta(1)).unwrap();
        let _ = a.track(name.into(), "k".into(), "s2".into(), meta(1)).unwrap();
    }
    let names = |start| a.topics_from(start).map(|c| c.topic.to_string()).collect::<Vec<_>>();
    assert_eq!(names(""), ["a:1", "b:1", "b:2", "c:1"]);
    assert_eq!(names("b:"), ["b:1", "b:2", "c:1"]);
    assert_eq!(names("d"), [""; 0]);
    assert!(a.topics().all(|count| (count.keys, count.sessions) == (1, 2)));
}

#[test]
fn joins_and_leaves_leave_no_room() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    for n in 0..10_000 {
        let session = format!("s{n}");
        let _ = b.merge(join(&mut a, &session, n).delta);
        let _ = b.merge(leave(&mut a, &session).delta);
    }
    for set in [&a, &b] {
        assert_eq!((set.slots.len(), set.rooms.len()), (1, 1), "one place, used again and again");
        assert!(set.context().iter().all(|life| life.seen().cloud().is_empty()));
        assert!(set.full_state().encode().len() < 40);
    }
}

#[test]
fn names_of_the_wire_are_shared_once_merged() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    for n in 0..2 {
        let delta = join(&mut a, &format!("s{n}"), n).delta;
        let _ = b.merge(Delta::decode(&delta.encode()).unwrap());
    }
    let of_b: Vec<_> = b.list(&topic()).collect();
    assert!(std::ptr::eq(of_b[0].topic.as_str(), of_b[1].topic.as_str()));
    assert!(Arc::ptr_eq(&of_b[0].dot.replica, &of_b[1].dot.replica));
}

#[test]
#[should_panic(expected = "Custom has 4097 bytes, at most 4096 are allowed")]
fn tracking_what_no_replica_would_accept_is_a_bug() {
    let custom = Bytes::from(vec![b' '; 4097]);
    let _ = set("a", 1).track(topic(), "k".into(), "s".into(), Meta { custom, ..meta(1) });
}

/// Who resumes the sessions of a crowd looks at none of the others.
#[test]
fn only_own_entries_count_as_overtaken() {
    let (mut a, mut b) = (set("a", 1), set("b", 1));
    for n in 0..10 {
        let _ = b.merge(join(&mut a, &format!("s{n}"), n).delta);
    }
    let mut moved = Vec::new();
    for n in 0..10 {
        let meta = Meta { generation: 1, ..meta(n) };
        let session = format!("s{n}");
        let key = a.list(&topic()).find(|it| it.session.as_str() == session).unwrap().key.clone();
        moved.push(b.track(topic(), key, session.as_str().into(), meta).unwrap().delta);
    }
    assert!(b.overtaken().is_empty());
    moved.into_iter().for_each(|delta| drop(a.merge(delta)));
    assert_eq!(a.overtaken().len(), 10);
    let _ = leave(&mut a, "s3");
    assert_eq!(a.overtaken().len(), 9);
    let _ = a.replica_down(&"b".into());
    assert!(a.overtaken().is_empty());
    let _ = a.replica_up(&"b".into());
    assert_eq!(a.overtaken().len(), 9);
}
