//! What a life that left has left behind, also beside the next one of its name.

use super::*;

/// `a` has three sessions and leaves for eight seconds; two of its people come back on `b` later.
fn where_one_leaves() -> World {
    let mut world = world(&["a", "b", "c"]);
    ["s1", "s2", "s3"].iter().for_each(|session| world.join("a", session));
    world.run(300);
    world.members.values_mut().for_each(|member| member.others.clear());
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    world.run(500);
    world
}

#[test]
fn a_new_life_leaves_in_place_what_the_farewell_asked_for() {
    let mut world = where_one_leaves();
    world.start("a", 2);
    world.run(500);
    for name in ["b", "c"] {
        assert!(world.has_event(name, |event| *event == PeerEvent::Restarted(id("a", 2))));
        assert_eq!(world.listed(name), ["s1", "s2", "s3"]);
    }
    assert_eq!(world.listed("a"), [""; 0], "the new life knows nothing of them");
    world.track("b", "s1", 1);
    world.track("a", "s2", 1);
    world.run(6_000);
    assert_eq!((leaves(&world, "b"), leaves(&world, "c")), (vec![], vec![]));
    world.run(1_500);
    assert_eq!(leaves(&world, "c"), ["s3"], "which came back nowhere");
    assert!(world.has_event("c", |event| *event == PeerEvent::Left(id("a", 1))));
    assert_eq!(world.listed_everywhere(), ["s2", "s1"], "in the order of their new entries");
    let footprints = world.members.values().map(|member| member.replica.footprint());
    assert!(footprints.into_iter().all(|it| it.entries == 2));
    world.run(10_000);
    assert!(world.members.values().all(|member| member.replica.footprint().remembered == 0));
}

#[test]
fn each_life_that_left_keeps_its_own_span() {
    let mut world = where_one_leaves();
    world.start("a", 2);
    world.join("a", "s4");
    world.run(5_000);
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    world.run(100);
    world.start("a", 3);
    world.run(100);
    assert_eq!(world.listed("c"), ["s1", "s2", "s3", "s4"]);
    world.run(3_000);
    assert_eq!(world.listed("c"), ["s4"], "the first span is over");
    world.run(5_000);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

#[test]
fn who_moved_and_left_is_not_seen_again_where_they_were() {
    let mut world = where_one_leaves();
    world.kill("a");
    world.track("b", "s1", 1);
    world.run(500);
    world.leave("b", "s1");
    world.run(500);
    assert_eq!(
        (world.listed("b"), world.listed("c")),
        (vec!["s2".into(), "s3".into()], vec!["s2".to_owned(), "s3".into()])
    );
    world.start("a", 2);
    world.run(500);
    world.track("b", "s2", 1);
    world.run(500);
    world.leave("b", "s2");
    world.run(500);
    assert_eq!(
        (world.listed("b"), world.listed("c")),
        (vec!["s3".to_owned()], vec!["s3".to_owned()])
    );
}

#[test]
fn nobody_is_certain_while_some_show_what_others_do_not() {
    let mut world = where_one_leaves();
    world.start("a", 2);
    world.run(4_000);
    assert_ne!(world.listed("a"), world.listed("b"));
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Provisional, "{name}");
    }
    let elsewhere = world.at("b").replica.certainty(&"tickets:2".into());
    assert_eq!(elsewhere, Certainty::Confirmed, "nothing is kept there");
    world.run(5_000);
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Confirmed, "{name}");
    }
}

#[test]
fn a_new_life_that_dies_takes_nothing_of_the_old_one_with_it() {
    let mut world = where_one_leaves();
    world.start("a", 2);
    world.join("a", "s4");
    world.run(500);
    world.kill("a");
    world.run(5_500);
    assert_eq!(world.listed_everywhere(), ["s1", "s2", "s3"], "s4 is hidden");
    world.run(2_000);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

/// The ordinary next step of a rolling deploy: another one starts, and learns of the leaver from others.
#[test]
fn a_leaver_that_was_never_heard_is_shown_as_by_all_others() {
    let mut world = where_one_leaves();
    world.kill("a");
    world.run(5_500);
    world.start("d", 1);
    world.run(1_500);
    assert_eq!(world.listed_everywhere(), ["s1", "s2", "s3"]);
    world.run(2_000);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

#[test]
fn a_farewell_shows_again_who_was_hidden() {
    let mut world = world(&["a", "b", "c"]);
    world.join("a", "s");
    world.run(300);
    world.cut(|from, to, _| (from, to) != ("a", "c"));
    world.run(6_500);
    assert_eq!((world.listed("b"), world.listed("c")), (vec!["s".to_owned()], vec![]));
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    world.run(1_200);
    world.kill("a");
    assert_eq!(
        (world.listed("b"), world.listed("c")),
        (vec!["s".to_owned()], vec!["s".to_owned()])
    );
}

#[test]
fn a_third_life_hears_what_the_first_has_left() {
    let mut world = where_one_leaves();
    world.start("a", 2);
    world.run(2_500);
    world.kill("a");
    world.run(100);
    world.start("a", 3);
    world.run(2_500);
    assert_eq!((world.listed("a"), world.listed("b").len()), (vec![], 3));
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Provisional, "{name}");
    }
}

/// `c` saw nothing of the session's time on `b`, which knows that it has gone.
#[test]
fn what_was_resumed_and_left_unseen_is_told_with_certainty_by_nobody() {
    let mut world = where_one_leaves();
    world.kill("a");
    world.join("b", "x");
    world.run(20);
    world.track("b", "s1", 1);
    world.run(20);
    world.leave("b", "s1");
    world.run(4_000);
    assert_ne!(world.listed("b"), world.listed("c"));
    assert_eq!(certainty(&world, "c"), Certainty::Provisional);
    world.run(6_000);
    assert_eq!(world.listed_everywhere(), ["x"]);
    assert_eq!(certainty(&world, "c"), Certainty::Confirmed);
}

#[test]
fn farewells_of_many_lives_do_not_add_up() {
    let mut world = world(&["a", "b"]);
    for life in 2..40 {
        (0..5).for_each(|n| world.join("a", &format!("s{life}-{n}")));
        world.run(300);
        let now = MonoMs(world.now);
        world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(600_000));
        world.drain("a");
        world.run(50);
        world.start("a", life);
        world.run(50);
    }
    let footprint = world.at("b").replica.footprint();
    assert!(footprint.entries <= 5 * 5 && footprint.remembered <= 5, "{footprint:?}");
    assert_eq!(world.listed("b").len(), 4 * 5, "those of the last lives");
}

#[test]
fn a_repeated_heartbeat_brings_no_farewell_back() {
    let mut world = where_one_leaves();
    let early = heartbeat_of(&mut world, "b");
    world.start("a", 2);
    world.run(12_000);
    assert_eq!(certainty(&world, "c"), Certainty::Confirmed, "what a left is gone everywhere");
    world.hand("c", &early);
    assert_eq!(certainty(&world, "c"), Certainty::Confirmed);
}

/// Replica a leaves for 8 s, of which c hears nothing for 4.5, and then by a heartbeat of the beginning.
fn where_one_hears_late() -> World {
    let mut world = world(&["a", "b", "c"]);
    world.join("a", "s");
    world.run(300);
    world.cut(|_, to, message| to != "c" || kind(message) == Kind::Deltas);
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    world.run(500);
    let early = heartbeat_of(&mut world, "b");
    world.run(4_000);
    world.hand("c", &early);
    world
}

#[test]
fn a_farewell_heard_late_is_over_when_it_is_for_the_others() {
    let mut world = where_one_hears_late();
    world.run(1_000);
    world.cut(|_, _, _| true);
    world.kill("a");
    world.run(2_000);
    assert_eq!(world.listed_everywhere(), ["s"]);
    world.run(600);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

/// The same where a new life runs already.
#[test]
fn what_a_farewell_heard_late_has_kept_goes_when_it_does_for_the_others() {
    let mut world = where_one_hears_late();
    world.start("a", 2);
    world.join("a", "t");
    world.run(1_000);
    assert_eq!(world.listed("c"), ["s", "t"]);
    world.cut(|_, _, _| true);
    world.run(2_600);
    assert_eq!(world.listed_everywhere(), ["t"]);
}
