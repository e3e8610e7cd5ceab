//! How a lack is answered.

use super::*;
use crate::context::Context;

/// A config whose chunks hold a few entries.
fn small() -> ReplicaConfig {
    let history_deltas_max = 2;
    ReplicaConfig { chunk_bytes_max: 1_024, history_deltas_max, ..ReplicaConfig::default() }
}

fn answers(world: &World, name: &str) -> Vec<(Answer, usize)> {
    let answers = world.events(name).iter().filter_map(|event| match event {
        PeerEvent::Answered { by, bytes, .. } => Some((*by, *bytes)),
        _ => None,
    });
    answers.collect()
}

fn joins(world: &mut World, name: &str, range: std::ops::Range<u32>) {
    range.for_each(|n| world.join(name, &format!("s{n:03}")));
}

#[test]
fn a_short_lack_is_answered_by_its_interval_alone() {
    let mut world = world(&["a", "b"]);
    for n in 0..10 {
        joins(&mut world, "a", n * 20..n * 20 + 20);
        world.run(300);
    }
    world.cut(|_, _, message| kind(message) != Kind::Deltas);
    joins(&mut world, "a", 900..902);
    world.run(1);
    world.cut(|_, _, _| true);
    world.run(1_100);
    assert_eq!(world.listed_everywhere().len(), 202);
    let [(Answer::Deltas, bytes)] = answers(&world, "a")[..] else {
        panic!("{:?}", answers(&world, "a"));
    };
    assert!(bytes < 120, "two of 202 entries, {bytes} bytes");
}

#[test]
fn a_newcomer_gets_the_state_in_chunks_below_their_limit() {
    let mut world = World::new(&["a", "b"], small());
    joins(&mut world, "a", 0..100);
    world.run(1_000);
    for n in 0..50 {
        world.update("a", &format!("s{n:03}"));
        world.run(300);
    }
    world.count(Kind::Deltas);
    world.start("c", 1);
    world.run(1_100);
    assert_eq!(world.listed_everywhere().len(), 100);
    let [(Answer::State(chunks), bytes)] = answers(&world, "a")[..] else {
        panic!("{:?}", answers(&world, "a"));
    };
    assert!(chunks > 5, "{chunks} chunks");
    assert!(bytes < 100 * 60, "each entry once, {bytes} bytes");
    let sizes = world.at("a").sent.iter().map(|&(_, bytes)| bytes);
    assert!(sizes.max().unwrap() <= small().chunk_bytes_max);
    assert_eq!(world.at("c").replica.staged.len(), 0);
    let state = |name: &str| world.at(name).replica.set().entries_of(&"a".into()).cloned();
    assert_eq!(
        state("c").collect::<Vec<_>>(),
        state("b").collect::<Vec<_>>(),
        "both ways are equal"
    );
}

#[test]
fn a_state_leaves_out_what_its_receiver_has() {
    let config = ReplicaConfig { history_deltas_max: 2, ..ReplicaConfig::default() };
    let mut world = World::new(&["a", "b"], config);
    joins(&mut world, "a", 0..300);
    world.run(1_000);
    world.cut(|_, _, _| false);
    for n in 0..40 {
        world.leave("a", &format!("s{:03}", n * 7));
        world.join("a", &format!("t{n:03}"));
        world.run(50);
    }
    world.cut(|_, _, _| true);
    world.run(1_100);
    assert_eq!(world.listed_everywhere().len(), 300);
    let [(Answer::State(1), bytes)] = answers(&world, "a")[..] else {
        panic!("{:?}", answers(&world, "a"));
    };
    assert!(bytes < 3_500, "40 of 300 entries and what is gone, {bytes} bytes");
    let diffs = world.at("b").others.iter().filter(|o| matches!(o, ReplicaOutput::Changed(_)));
    assert_eq!(diffs.count(), 2, "the joins at first, and one for the repair");
}

#[test]
fn a_lost_chunk_is_asked_for_again() {
    let mut world = World::new(&["a", "b"], small());
    joins(&mut world, "a", 0..100);
    world.run(1_000);
    // Each third message with a chunk is lost, for ever.
    let mut n = 0;
    world.cut(move |_, _, message| {
        n += usize::from(kind(message) == Kind::Repair);
        kind(message) != Kind::Repair || n % 3 != 0
    });
    world.start("c", 1);
    world.run(1_000);
    assert_eq!(world.listed("c").len(), 0, "nothing of it before all of it");
    assert!(!world.at("c").replica.staged.is_empty());
    world.run(4_000);
    assert_eq!(world.listed_everywhere().len(), 100);
    let all: usize = answers(&world, "a").iter().chain(&answers(&world, "b")).map(|a| a.1).sum();
    assert!(all < 100 * 60 * 2, "only what was lost is sent again, {all} bytes");
    world.run(5_000);
    let snapshots = world.members.values().map(|member| member.replica.snapshots.len());
    assert_eq!(snapshots.sum::<usize>(), 0, "kept for a while");
}

/// Chunks of one snapshot, while its owner goes on: nobody is absent between the halves of an update.
#[test]
fn a_state_that_changes_under_way_is_taken_in_whole() {
    let mut world = World::new(&["a", "b"], small());
    joins(&mut world, "a", 0..60);
    world.run(1_000);
    let mut n = 0;
    world.cut(move |_, _, message| {
        n += usize::from(kind(message) == Kind::Repair);
        kind(message) != Kind::Repair || n % 4 != 0
    });
    world.start("c", 1);
    for n in 0..20 {
        world.update("a", &format!("s{n:03}"));
        world.run(200);
    }
    world.run(2_000);
    assert_eq!(world.listed_everywhere().len(), 60);
    for output in &world.at("c").others {
        let ReplicaOutput::Changed(diff) = output else { continue };
        for changed in diff {
            let joins: BTreeSet<_> = changed.joins.iter().map(|join| &join.session).collect();
            let is_update = |leave: &Arc<Presence>| joins.contains(&leave.session);
            assert!(changed.leaves.iter().all(is_update), "nobody leaves");
        }
    }
}

#[test]
fn a_third_answers_for_an_owner_that_is_gone() {
    let mut world = World::new(&["a", "b"], small());
    joins(&mut world, "a", 0..50);
    world.run(1_000);
    world.kill("a");
    world.start("c", 1);
    world.run(1_200);
    assert_eq!(world.listed("c").len(), 50);
    // And judges it by when it was last heard of, not by when it learned of it.
    world.run(5_000 - 1_200 + 1_000);
    assert_eq!(world.listed_everywhere().len(), 0);
    world.start("d", 1);
    world.run(1_500);
    assert!(world.at("d").replica.set().is_down(&"a".into()), "learned of as down");
    assert!(world.at("d").others.iter().all(|output| !matches!(output, ReplicaOutput::Changed(_))));
}

#[test]
fn a_request_is_answered_once_for_each_owner() {
    let mut world = World::new(&["a", "b"], small());
    joins(&mut world, "a", 0..50);
    world.run(1_000);
    world.count(Kind::Repair);
    let want = |have| Want { owner: id("a", 1), have, staged: None };
    let wants: Vec<_> = (0..100).map(|_| want(0)).chain([want(49)]).collect();
    let request = message::request((&id("b", 1), 1 << 20), &wants);
    world.hand("a", &request);
    let last = world.at("a").replica.set().context().life(&"a".into()).unwrap().seen().upto();
    assert_eq!(last, 50);
    let answers = answers(&world, "a");
    assert!(matches!(answers[..], [(_, bytes)] if bytes < 200), "the last one: {answers:?}");
}

/// As between versions: what is lacking is not known, so no chunk of it is asked for.
#[test]
fn a_state_that_lacks_a_chunk_gives_way_to_a_newer_one() {
    let mut world = World::new(&["a", "b"], small());
    world.cut(|_, _, _| false);
    joins(&mut world, "b", 0..50);
    let ask = message::ask((&id("a", 1), 1_000), &Context::new());
    let mut chunks = 0;
    world.cut(move |_, _, message| {
        chunks += u32::from(kind(message) == Kind::Repair);
        kind(message) == Kind::Repair && chunks != 2
    });
    world.hand("b", &ask);
    world.run(2 * WAY_MS);
    assert!(world.listed("a").is_empty(), "a chunk is lost");
    joins(&mut world, "b", 50..51);
    world.cut(|_, _, message| kind(message) == Kind::Repair);
    world.hand("b", &ask);
    world.run(2 * WAY_MS);
    assert_eq!(world.listed("a").len(), 51);
}

#[test]
fn what_the_dead_had_is_asked_for_once() {
    let mut world = world(&["a", "b"]);
    (0..50).for_each(|n| world.join("a", &format!("s{n}")));
    world.run(1_500);
    world.kill("a");
    world.run(6_000);
    world.count(Kind::Request);
    world.start("c", 1);
    world.run(5_000);
    assert_eq!(world.count(Kind::Request), 1);
    assert_eq!(world.listed_everywhere(), [""; 0], "and not shown");
    world.run(120_000);
    assert_eq!((world.count(Kind::Request), world.count(Kind::Repair)), (0, 0));
}
