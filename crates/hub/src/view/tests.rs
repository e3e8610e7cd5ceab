use penholder_presence::{Incarnation, Meta, ReplicaId, SessionId};
use proptest::prelude::any;
use proptest::{collection, proptest};

use super::*;

const TOPIC: &str = "doc:1";

fn track(set: &mut PresenceSet, number: u64, activity: Activity) {
    let meta = Meta { joined_at: WallMs(number), activity, ..Meta::default() };
    let session = SessionId::from(format!("s{number}"));
    let key = Key::from(format!("u{number}"));
    let _ = set.track(Topic::from(TOPIC), key, session, meta).unwrap();
}

/// A set of as many people, those of `writing` among them typing.
fn set_of(people: u64, writing: &[u64]) -> PresenceSet {
    let mut set = PresenceSet::new(ReplicaId::new("gw", Incarnation(1)), 0);
    for number in 0..people {
        let writes = writing.contains(&number);
        track(&mut set, number, if writes { Activity::Typing } else { Activity::Viewing });
    }
    set
}

fn keys(view: &View) -> Vec<&str> {
    view.shown().iter().map(|presence| presence.key.as_str()).collect()
}

fn of(set: &PresenceSet, full_max: usize) -> View {
    View::of(set, &Topic::from(TOPIC), full_max)
}

#[test]
fn everybody_is_shown_at_the_bound_and_the_first_one_past_it() {
    assert_eq!(keys(&of(&set_of(3, &[]), 3)), ["u0", "u1", "u2"]);
    assert_eq!(keys(&of(&set_of(4, &[]), 3)), ["u0", "u1", "u2"]);
}

#[test]
fn as_many_writers_are_shown_beyond_the_bound() {
    let writing = [0, 3, 4, 5, 6];
    assert_eq!(keys(&of(&set_of(7, &writing), 2)), ["u0", "u1", "u3", "u4"]);
}

#[test]
fn a_view_finds_what_it_shows() {
    let set = set_of(5, &[4]);
    let view = of(&set, 2);
    let shown: Vec<_> =
        set.list(&Topic::from(TOPIC)).map(|presence| view.shows(presence)).collect();
    assert_eq!(shown, [true, true, false, false, true]);
}

#[test]
fn a_view_does_not_differ_from_itself() {
    let view = of(&set_of(5, &[]), 9);
    assert!(view.diff(&view).is_empty());
}

/// The presences that `pick` names, in order.
fn some(all: &[Arc<Presence>], pick: impl Fn(usize) -> bool) -> Vec<Arc<Presence>> {
    let picked = all.iter().enumerate().filter(|(at, _)| pick(*at));
    picked.map(|(_, presence)| Arc::clone(presence)).collect()
}

fn dots(presences: &[Arc<Presence>]) -> BTreeSet<u64> {
    presences.iter().map(|presence| presence.dot.counter).collect()
}

proptest! {
    /// Whoever has been shown a view and its own sessions beyond it, and gets the personal diff, has
    /// the next view and its own sessions beyond that: nobody twice, nobody missing.
    #[test]
    fn a_personal_diff_leads_from_what_one_saw_to_what_one_shall_see(
        places in collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..12),
    ) {
        let set = set_of(places.len() as u64, &[]);
        let all: Vec<_> = set.list(&Topic::from(TOPIC)).cloned().collect();
        let view = View { shown: some(&all, |at| places[at].0) };
        let next = View { shown: some(&all, |at| places[at].1) };
        let before = some(&all, |at| places[at].2 && !places[at].0);
        let after = some(&all, |at| places[at].3 && !places[at].1);

        let diff = view.diff(&next).personal(&before, &after);
        let mut seen = &dots(&view.shown) | &dots(&before);
        for joined in &diff.joins {
            assert!(seen.insert(joined.dot.counter), "joins once");
        }
        for left in &diff.leaves {
            assert!(seen.remove(&left.dot.counter), "leaves only what was seen");
        }
        assert_eq!(seen, &dots(&next.shown) | &dots(&after));
    }
}
