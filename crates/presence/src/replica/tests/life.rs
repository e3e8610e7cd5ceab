//! Who is there: down, up, gone, restarted, leaving, stalled.

use super::*;

fn is_down(event: &PeerEvent) -> bool {
    matches!(event, PeerEvent::Down(_))
}

/// A world in which `a` has `s`, and everybody has heard of it.
fn with_one(names: &[&str]) -> World {
    let mut world = world(names);
    world.join("a", "s");
    world.run(300);
    assert_eq!(world.listed_everywhere(), ["s"]);
    world
}

/// Returns a message that a replica says to all at a time, as nobody hears it.
fn last_words(world: &mut World, name: &str) -> Vec<Bytes> {
    let a = world.members.get_mut(name).unwrap();
    a.replica.handle(MonoMs(world.now + 1_000), ReplicaInput::Tick);
    let outputs = std::iter::from_fn(|| a.replica.poll_output());
    let said = outputs.filter_map(|output| match output {
        ReplicaOutput::Send { message, .. } => Some(message),
        _ => None,
    });
    said.collect()
}

fn mentions(world: &World, name: &str, of: &str) -> bool {
    let replica = &world.at(name).replica;
    let of = ReplicaName::from(of);
    replica.set.context().life(&of).is_some()
        || replica.set.entries_of(&of).next().is_some()
        || replica.set.is_down(&of)
        || replica.peers.known.contains_key(&of)
        || replica.peers.farewells.contains_key(&of)
        || replica.history.mentions(&of)
        || replica.requests.contains_key(&of)
        || replica.staged.contains_key(&of)
        || replica.unsettled.owners().contains(&of)
        || replica
            .peers
            .known
            .values()
            .any(|peer| peer.digest.as_ref().is_some_and(|digest| digest.life(&of).is_some()))
}

#[test]
fn a_killed_replica_is_hidden_within_down_after_and_forgotten_within_permdown_after() {
    let mut world = with_one(&["a", "b", "c"]);
    world.kill("a");
    world.run(3_500);
    assert_eq!(world.listed_everywhere(), ["s"]);
    world.run(1_600);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    assert!(mentions(&world, "b", "a"));
    world.run(600_000);
    for name in ["b", "c"] {
        assert!(world.has_event(name, |event| *event == PeerEvent::Gone(id("a", 1))));
        assert!(!mentions(&world, name, "a"), "in no structure");
        assert_eq!(world.at(name).replica.peers.barred.len(), 1, "but the minimum");
    }
    world.run(601_000);
    assert!(world.at("b").replica.peers.barred.is_empty(), "and that for a time");
}

#[test]
fn a_replica_heard_again_is_shown_again() {
    let mut world = with_one(&["a", "b"]);
    world.cut(|_, _, _| false);
    world.run(6_000);
    assert_eq!(world.listed("b"), [""; 0]);
    world.cut(|_, _, _| true);
    world.run(1_000 + WAY_MS);
    assert_eq!(world.listed("b"), ["s"]);
    assert!(world.has_event("b", |event| *event == PeerEvent::Up(id("a", 1))));
    assert_eq!(world.count(Kind::Request), 0, "nothing was lacking");
}

#[test]
fn a_forgotten_replica_is_not_resurrected_by_others() {
    let mut world = with_one(&["a", "b", "c"]);
    // b hears nothing of a for longer than it takes; c does all along.
    world.cut(|from, to, _| (from, to) != ("a", "b"));
    world.run(605_000);
    assert!(world.has_event("b", |event| *event == PeerEvent::Gone(id("a", 1))));
    world.members.get_mut("b").unwrap().others.clear();
    world.join("a", "later");
    // Longer than a minimum is kept, and yet it is: somebody mentions it.
    world.run(1_300_000);
    assert!(!mentions(&world, "b", "a") || world.listed("b").is_empty());
    assert_eq!(world.listed("b"), [""; 0]);
    let changed = |output: &ReplicaOutput| matches!(output, ReplicaOutput::Changed(_));
    assert!(!world.at("b").others.iter().any(changed), "not even for a moment");
    // Heard itself, it is welcome.
    world.cut(|_, _, _| true);
    world.run(2_500);
    assert_eq!(world.listed_everywhere(), ["s", "later"]);
}

#[test]
fn a_restart_ends_the_life_before_it_at_once() {
    let mut world = with_one(&["a", "b", "c"]);
    world.start("a", 2);
    world.run(WAY_MS);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    assert!(world.has_event("b", |event| *event == PeerEvent::Restarted(id("a", 2))));
    assert!(!world.at("b").replica.history.mentions(&"a".into()));
    world.join("a", "again");
    world.run(1_500);
    assert_eq!(world.listed_everywhere(), ["again"]);
}

#[test]
fn a_late_message_of_the_old_life_changes_nothing() {
    let mut world = with_one(&["a", "b"]);
    world.join("a", "unsaid");
    let late = last_words(&mut world, "a");
    assert!(late.len() >= 2, "deltas and a heartbeat");
    world.start("a", 2);
    world.join("a", "new");
    world.run(300);
    late.iter().for_each(|message| world.hand("b", message));
    assert!(world.has_event("b", |event| *event == PeerEvent::Stale(id("a", 1))));
    world.run(3_000);
    assert_eq!(world.listed_everywhere(), ["new"]);
    assert!(!world.has_event("b", is_down));
}

#[test]
fn a_thousand_restarts_leave_no_trace() {
    let mut world = with_one(&["a", "b"]);
    let size = |world: &World| {
        let replica = &world.at("b").replica;
        (replica.set().full_state().encode().len(), replica.footprint())
    };
    let restart = |world: &mut World, life: u64| {
        world.start("a", 100_000 + life);
        world.join("a", "s");
        world.run(400);
    };
    restart(&mut world, 1);
    let fresh = size(&world);
    for life in 2..1_000 {
        restart(&mut world, life);
        assert_eq!(world.listed("b"), ["s"]);
        assert_eq!(size(&world).0, fresh.0);
    }
    world.run(2_000);
    restart(&mut world, 1_000);
    assert_eq!(size(&world), fresh);
}

/// P6: after 20 000 joins and leaves no more than after 1 600.
#[test]
fn joins_and_leaves_leave_no_trace() {
    let config = ReplicaConfig { history_deltas_max: 20, ..ReplicaConfig::default() };
    let mut world = World::new(&["a", "b"], config);
    let size = |world: &World, name: &str| {
        let replica = &world.at(name).replica;
        let Footprint { history_bytes, .. } = replica.footprint();
        (replica.set().full_state().encode().len(), replica.footprint(), history_bytes)
    };
    let mut fresh = None;
    for round in 0..200 {
        (0..50).for_each(|n| world.join("a", &format!("s{n}")));
        world.run(300);
        (0..50).for_each(|n| world.leave("a", &format!("s{n}")));
        world.run(300);
        if round == 15 {
            world.run(2_000);
            fresh = Some((size(&world, "a"), size(&world, "b")));
        }
        world.count(Kind::Ask);
    }
    world.run(2_000);
    let (fresh_a, fresh_b) = fresh.unwrap();
    for (now, fresh) in [(size(&world, "a"), fresh_a), (size(&world, "b"), fresh_b)] {
        assert!(now.0 <= fresh.0 + 2, "counters are longer, {} and {} bytes", now.0, fresh.0);
        assert!(now.2 * 10 <= fresh.2 * 11, "{} and {} bytes of history", now.2, fresh.2);
        let bytes_aside = |footprint| Footprint { history_bytes: 0, ..footprint };
        assert_eq!(bytes_aside(now.1), bytes_aside(fresh.1));
    }
}

#[test]
fn a_clean_leave_drops_the_entries_at_once_and_for_good() {
    let mut world = with_one(&["a", "b", "c"]);
    let late = last_words(&mut world, "a");
    world.now += 1_000;
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::Nothing);
    world.drain("a");
    world.run(WAY_MS);
    assert_eq!((world.listed("b"), world.listed("c")), (vec![], vec![]));
    assert!(world.has_event("b", |event| *event == PeerEvent::Left(id("a", 1))));
    // Nor does it come back while its process goes on.
    world.run(3_000);
    assert_eq!((world.listed("b"), world.listed("c")), (vec![], vec![]));
    world.kill("a");
    // Messages that come after it do not bring it back.
    late.iter().for_each(|message| world.hand("b", message));
    world.run(20_000);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    assert!(!world.has_event("b", is_down), "who said so is not suspected");
    assert!(!mentions(&world, "b", "a"));
}

#[test]
fn a_leave_that_one_missed_is_told_by_the_others() {
    let mut world = with_one(&["a", "b", "c"]);
    world.cut(|from, to, _| (from, to) != ("a", "c"));
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::Nothing);
    world.drain("a");
    world.kill("a");
    world.run(1_000 + 2 * WAY_MS);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

/// A rolling restart: the sessions of `a` resume on `b`, and nobody sees a leave.
#[test]
fn entries_kept_through_a_leave_show_no_leave_when_their_sessions_resume() {
    let mut world = world(&["a", "b", "c"]);
    ["s1", "s2", "s3"].iter().for_each(|session| world.join("a", session));
    world.run(300);
    world.members.get_mut("c").unwrap().others.clear();
    let now = MonoMs(world.now);
    world.members.get_mut("a").unwrap().replica.leave(now, Keep::For(8_000));
    world.drain("a");
    world.kill("a");
    world.run(6_000);
    assert_eq!(world.listed_everywhere(), ["s1", "s2", "s3"], "silent, and not suspected");
    for session in ["s1", "s2"] {
        world.track("b", session, 1);
    }
    world.run(1_900);
    assert_eq!(world.listed_everywhere().len(), 3);
    world.run(200);
    assert_eq!(world.listed_everywhere(), ["s1", "s2"], "s3 came back nowhere");
    let mut leaves = Vec::new();
    for output in &world.at("c").others {
        let ReplicaOutput::Changed(diff) = output else { continue };
        for changed in diff {
            let joined = |leave: &&Arc<Presence>| {
                !changed.joins.iter().any(|join| join.session == leave.session)
            };
            leaves.extend(changed.leaves.iter().filter(joined).map(|l| l.session.to_string()));
        }
    }
    assert_eq!(leaves, ["s3"]);
    assert!(!mentions(&world, "c", "a") || world.at("c").replica.peers.known.len() == 1);
}

#[test]
fn a_takeover_is_one_diff_and_the_old_owner_is_told() {
    let mut world = with_one(&["a", "b", "c"]);
    world.members.values_mut().for_each(|member| member.others.clear());
    world.track("b", "s", 1);
    world.run(300);
    let others = &world.at("c").others;
    let [ReplicaOutput::Changed(diff)] = &others[..] else { panic!("{others:?}") };
    let changed = diff.topic(&topic()).unwrap();
    assert_eq!((changed.joins.len(), changed.leaves.len()), (1, 1));
    let told = world.at("a").others.iter().filter_map(|output| match output {
        ReplicaOutput::Overtaken(entries) => Some(entries.len()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [1], "once");
    world.members.get_mut("c").unwrap().others.clear();
    world.leave("a", "s");
    world.run(2_000);
    assert_eq!(world.listed_everywhere(), ["s"]);
    let changed = |output: &ReplicaOutput| matches!(output, ReplicaOutput::Changed(_));
    assert!(!world.at("c").others.iter().any(changed), "the untracking is seen by nobody");
}

#[test]
fn a_replica_that_was_stalled_reads_its_inbox_before_it_judges() {
    let mut world = with_one(&["a", "b"]);
    // b does not run for 20 s, and its inbox fills.
    let stalled = world.members.remove("b").unwrap();
    let mut inbox = Vec::new();
    for _ in 0..20 {
        world.run(1_000);
        inbox.extend(std::mem::take(&mut world.flying));
        let said = last_words(&mut world, "a");
        inbox.extend(said.into_iter().map(|m| ((0, 0), (String::new(), String::new(), m))));
    }
    world.members.insert("b".into(), stalled);
    // Even if the driver ticks before it hands over the first message.
    let b = world.members.get_mut("b").unwrap();
    b.replica.handle(MonoMs(world.now), ReplicaInput::Tick);
    world.drain("b");
    for (_, (_, _, message)) in inbox {
        world.hand("b", &message);
    }
    world.run(3_000);
    assert!(world.has_event("b", |event| matches!(event, PeerEvent::Stalled(_))));
    assert!(!world.has_event("b", is_down), "{:?}", world.events("b"));
    assert_eq!(world.listed("b"), ["s"]);
}

#[test]
fn a_stall_does_not_excuse_the_dead_for_long() {
    let mut world = with_one(&["a", "b"]);
    world.kill("a");
    let now = MonoMs(world.now + 20_000);
    let b = world.members.get_mut("b").unwrap();
    b.replica.handle(now, ReplicaInput::Tick);
    world.now = now.0;
    world.drain("b");
    assert_eq!(world.listed("b"), ["s"]);
    world.run(1_000);
    assert_eq!(world.listed("b"), [""; 0]);
}

#[test]
fn a_replica_that_was_replaced_says_so_once_and_nothing_more() {
    let mut world = with_one(&["a", "b"]);
    let newer = Replica::new(world.config.clone(), id("a", 2), (1, 1), MonoMs(world.now));
    let mut newer = newer;
    let Some(ReplicaOutput::Send { message, .. }) = newer.poll_output() else {
        panic!("announces")
    };
    world.hand("a", &message);
    world.hand("b", &message);
    world.run(10_000);
    let superseded = ReplicaOutput::Superseded { by: Incarnation(2) };
    let told = world.at("a").others.iter().filter(|output| **output == superseded);
    assert_eq!(told.count(), 1);
    assert_eq!(world.at("a").replica.next_deadline(), None);
    world.count(Kind::Heartbeat);
    world.members.get_mut("a").unwrap().others.clear();
    world.join("a", "t");
    world.run(3_000);
    assert_eq!(world.at("a").sent.len(), 0);
    assert_eq!(world.listed("b"), [""; 0]);
}

#[test]
fn being_replaced_is_learned_from_others_too() {
    let mut world = with_one(&["a", "b"]);
    world.cut(|from, _, _| from == "b");
    let newer = Replica::new(world.config.clone(), id("a", 2), (1, 1), MonoMs(world.now));
    let mut newer = newer;
    let Some(ReplicaOutput::Send { message, .. }) = newer.poll_output() else {
        panic!("announces")
    };
    world.hand("b", &message);
    world.run(1_500);
    let superseded = ReplicaOutput::Superseded { by: Incarnation(2) };
    assert!(world.at("a").others.contains(&superseded), "by b's digest");
}

#[test]
fn a_leave_is_told_for_a_time_only() {
    // A bar that ends before everybody has stopped to tell of the leave.
    let config = ReplicaConfig {
        down_after_ms: 3_000,
        permdown_after_ms: 3_100,
        ..ReplicaConfig::default()
    };
    let mut world = World::new(&["a", "b", "c"], config);
    world.join("a", "s");
    world.run(300);
    world.members.get_mut("a").unwrap().replica.leave(MonoMs(world.now), Keep::Nothing);
    world.drain("a");
    world.kill("a");
    world.run(20_000);
    for name in ["b", "c"] {
        assert!(!mentions(&world, name, "a"));
        assert_eq!(world.at(name).replica.footprint().remembered, 0);
    }
}
