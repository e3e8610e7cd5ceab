//! When an answer is confirmed.

use super::*;

#[test]
fn an_answer_is_confirmed_when_all_have_seen_it() {
    let mut world = world(&["a", "b", "c"]);
    assert_eq!(certainty(&world, "a"), Certainty::Confirmed);
    world.join("a", "s");
    assert_eq!(certainty(&world, "a"), Certainty::Provisional, "nobody has heard of it");
    assert_eq!(
        world.at("a").replica.certainty(&"tickets:2".into()),
        Certainty::Confirmed,
        "another topic is not touched"
    );
    world.run(250 + WAY_MS);
    assert_eq!(certainty(&world, "a"), Certainty::Provisional, "nobody has said so");
    world.members.get_mut("a").unwrap().others.clear();
    world.run(1_100);
    assert_eq!(certainty(&world, "a"), Certainty::Confirmed);
    assert_eq!(certainty(&world, "c"), Certainty::Confirmed);
    let recheck = ReplicaOutput::Recheck(Recheck::Topics(vec![topic()]));
    assert_eq!(world.at("a").others, [recheck], "and whoever was told otherwise is told");
}

#[test]
fn a_suspected_replica_makes_answers_provisional_until_it_is_down() {
    let mut world = world(&["a", "b"]);
    world.kill("b");
    world.run(2_100);
    assert_eq!(certainty(&world, "a"), Certainty::Provisional);
    assert!(world.at("a").others.contains(&ReplicaOutput::Recheck(Recheck::All)));
    world.run(3_000);
    assert_eq!(certainty(&world, "a"), Certainty::Confirmed, "whoever lives has seen it");
}

#[test]
fn who_lacks_what_another_has_is_not_certain() {
    let mut world = world(&["a", "b"]);
    world.cut(|from, to, message| (from, to) != ("b", "a") || kind(message) == Kind::Heartbeat);
    world.join("b", "s");
    world.run(1_500);
    assert_eq!(world.listed("a"), [""; 0]);
    assert_eq!(certainty(&world, "a"), Certainty::Provisional);
}

/// Both sides confirm, and after the heal both name the same person: the hub has what it needs to call
/// it contested, a `Changed` with somebody earlier than the one whom it named.
#[test]
fn a_heal_that_brings_an_earlier_claimant_comes_as_a_diff() {
    let mut world = world(&["a", "b"]);
    world.cut(|_, _, _| false);
    world.join("b", "first");
    world.run(100);
    world.join("a", "second");
    world.run(8_000);
    assert_eq!(
        (certainty(&world, "a"), world.listed("a")),
        (Certainty::Confirmed, vec!["second".into()])
    );
    world.members.get_mut("a").unwrap().others.clear();
    world.cut(|_, _, _| true);
    world.run(3_000);
    assert_eq!(world.listed_everywhere(), ["first", "second"]);
    let earlier = world.at("a").others.iter().any(|output| match output {
        ReplicaOutput::Changed(diff) => diff.topic(&topic()).is_some_and(|changed| {
            changed.joins.iter().any(|join| join.session.as_str() == "first")
        }),
        _ => false,
    });
    assert!(earlier);
}

#[test]
fn a_newcomer_is_not_certain_before_it_has_listened() {
    let mut world = world(&["a"]);
    world.start("b", 1);
    assert_eq!(certainty(&world, "b"), Certainty::Provisional);
    world.run(2_500);
    assert_eq!(certainty(&world, "b"), Certainty::Confirmed);
}

#[test]
fn what_is_remembered_of_operations_is_bounded() {
    let mut unsettled = Unsettled::default();
    let owner = ReplicaName::from("a");
    for n in 1..=70_000 {
        unsettled.note(&owner, n, &Topic::from(format!("t:{}", n % 100)));
    }
    assert!(unsettled.len() <= (1 << 16) + 102 && unsettled.has_floor());
    unsettled.settle(&owner, 69_999);
    assert!(unsettled.has_floor(), "every topic waits for the operations that were not kept");
    unsettled.settle(&owner, 70_000);
    assert_eq!(unsettled.len(), 0);
}

#[test]
fn who_hides_somebody_whom_another_hears_is_not_certain_nor_is_that_one() {
    let mut world = world(&["a", "b", "c"]);
    world.cut(|from, to, _| (from, to) != ("c", "a"));
    world.run(7_500);
    assert_eq!(world.at("a").replica.live_peers().count(), 1, "c is hidden there");
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Provisional, "{name}");
    }
    world.cut(|_, _, _| true);
    world.run(3_500);
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Confirmed, "{name}");
    }
}

/// One has forgotten the dead, and learns nothing of it from others any more.
#[test]
fn what_the_dead_did_is_waited_for_by_nobody() {
    let mut world = world(&["a", "b", "d"]);
    world.cut(|from, to, _| (from, to) != ("d", "a"));
    world.run(610_000);
    world.start("c", 1);
    world.run(3_500);
    world.join("d", "s");
    world.run(500);
    world.kill("d");
    world.run(8_500);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Confirmed, "{name}");
    }
}

/// One way is cut for so long that the one who does not hear forgets.
#[test]
fn who_has_forgotten_somebody_whom_others_show_is_not_certain_nor_are_they() {
    let mut world = world(&["a", "b", "c"]);
    world.join("c", "s");
    world.run(3_000);
    world.cut(|from, to, _| (from, to) != ("c", "a"));
    world.run(620_000);
    assert_eq!((world.listed("a"), world.listed("b")), (vec![], vec!["s".to_owned()]));
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Provisional, "{name}");
    }
    world.cut(|_, _, _| true);
    world.run(3_500);
    for name in ["a", "b", "c"] {
        assert_eq!(certainty(&world, name), Certainty::Confirmed, "{name}");
    }
}

#[test]
fn nobody_is_certain_beside_a_newcomer_who_knows_nothing_yet() {
    let mut world = world(&["a", "b"]);
    world.join("a", "s");
    world.run(3_000);
    world.cut(|_, to, _| to != "n");
    world.start("n", 1);
    world.run(3_000);
    world.join("n", "z");
    world.run(3_000);
    for name in ["a", "b"] {
        assert_eq!(certainty(&world, name), Certainty::Provisional, "{name}");
    }
}

/// Lets time pass; at no time are two certain of different things.
fn run_agreed(world: &mut World, span_ms: u64) {
    for _ in 0..span_ms {
        world.run(1);
        let names = world.members.keys();
        let sure = names.filter(|name| certainty(world, name) == Certainty::Confirmed);
        let answers: Vec<_> = sure.map(|name| (name, world.listed(name))).collect();
        let is_one = answers.windows(2).all(|pair| pair[0].1 == pair[1].1);
        assert!(is_one, "{answers:?} at {}", world.now);
    }
}

#[test]
fn who_is_not_heard_is_certain_of_nothing_before_it_is_hidden() {
    let mut world = world(&["a", "b"]);
    world.join("b", "s");
    world.run(3_000);
    world.cut(|from, _, _| from == "a");
    run_agreed(&mut world, 9_000);
    assert_eq!((world.listed("a"), world.listed("b")), (vec![], vec!["s".to_owned()]));
    assert_eq!(certainty(&world, "a"), Certainty::Confirmed);
}

#[test]
fn who_leaves_is_certain_of_nothing_since_nobody_waits_for_it() {
    let mut world = world(&["a", "b"]);
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    assert!(world.at("a").others.contains(&ReplicaOutput::Recheck(Recheck::All)));
    world.run(2 * WAY_MS);
    world.cut(|from, _, _| from == "a");
    world.join("b", "s");
    run_agreed(&mut world, 5_000);
    assert_eq!(certainty(&world, "b"), Certainty::Confirmed);
}

#[test]
fn nobody_is_certain_beside_one_who_shows_an_earlier_life() {
    let mut world = world(&["a", "b", "c"]);
    world.join("c", "s");
    world.run(3_000);
    world.cut(|_, to, _| to != "a");
    world.start("c", 2);
    run_agreed(&mut world, 1_000);
    assert_eq!((world.listed("a"), world.listed("b")), (vec!["s".to_owned()], vec![]));
}

/// A replica asks in its own version with each heartbeat of a later one; the question may come first.
#[test]
fn a_heartbeat_overtaken_by_another_message_is_the_last_word_still() {
    let mut world = world(&["a", "b"]);
    world.cut(|from, _, message| from != "b" || kind(message) != Kind::Heartbeat);
    for _ in 0..4 {
        world.run(900);
        let b = &mut world.members.get_mut("b").unwrap().replica;
        b.send_heartbeat(MonoMs(world.now));
        let Some(ReplicaOutput::Send { message, .. }) = b.poll_output() else { panic!("it beats") };
        b.send(Recipient::All, |from| message::deltas(from, &[]));
        world.drain("b");
        world.run(WAY_MS);
        world.hand("a", &message);
        assert_eq!(certainty(&world, "a"), Certainty::Confirmed);
    }
}

/// `b` stands still, and reads when it goes on what has waited for it.
#[test]
fn what_has_waited_to_be_read_is_no_news_of_who_hears_whom() {
    let mut world = world(&["a", "b"]);
    world.join("b", "s");
    world.run(3_000);
    let beat = heartbeat_of(&mut world, "a");
    let mut b = world.members.remove("b").unwrap();
    world.run(4_000);
    b.replica.handle(MonoMs(world.now), ReplicaInput::Message(&beat));
    world.members.insert("b".into(), b);
    world.drain("b");
    world.cut(|_, _, _| false);
    run_agreed(&mut world, 3_000);
}
