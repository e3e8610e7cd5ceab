//! What is lost, repeated, reordered, or goes one way.

use super::*;

/// Loses the next messages with deltas.
fn without_deltas(world: &mut World) {
    world.cut(|_, _, message| kind(message) != Kind::Deltas);
}

fn with_all(world: &mut World) {
    world.cut(|_, _, _| true);
}

#[test]
fn a_lost_delta_is_healed_by_heartbeats_alone() {
    let mut world = world(&["a", "b"]);
    without_deltas(&mut world);
    world.join("a", "s");
    world.run(1);
    assert_eq!(world.listed("b"), [""; 0]);
    with_all(&mut world);
    world.run(1_000 + 3 * WAY_MS);
    assert_eq!(world.listed_everywhere(), ["s"]);
    assert_eq!(world.count(Kind::Request), 1);
}

#[test]
fn a_lost_removal_is_healed_by_heartbeats_alone() {
    let mut world = world(&["a", "b"]);
    world.join("a", "s");
    world.run(300);
    without_deltas(&mut world);
    world.leave("a", "s");
    world.run(300);
    assert_eq!(world.listed("b"), ["s"]);
    with_all(&mut world);
    world.run(1_000 + 3 * WAY_MS);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

/// The case in which a set alone would keep a ghost: see
/// `a_delta_merged_before_an_earlier_one_hides_the_lack_of_it`.
#[test]
fn a_delta_waits_for_those_before_it_and_the_gap_is_asked_for_at_once() {
    let mut world = world(&["a", "b"]);
    world.join("a", "s");
    world.run(300);
    without_deltas(&mut world);
    world.update("a", "s");
    world.run(300);
    with_all(&mut world);
    world.leave("a", "s");
    world.run(250 + 3 * WAY_MS);
    assert_eq!(world.listed_everywhere(), [""; 0]);
    let contexts: BTreeSet<_> =
        world.members.values().map(|m| m.replica.seen_of(&"a".into())).collect();
    assert_eq!(contexts, BTreeSet::from([3]));
}

#[test]
fn repeats_and_any_order_make_the_same_set() {
    let mut world = world(&["a", "b", "c"]);
    let mut letters: Vec<Bytes> = Vec::new();
    for n in 0..6 {
        world.join("a", &format!("s{n}"));
        world.update("a", &format!("s{n}"));
        if n % 2 == 0 {
            world.leave("a", &format!("s{n}"));
        }
        let a = world.members.get_mut("a").unwrap();
        world.now += 300;
        a.replica.handle(MonoMs(world.now), ReplicaInput::Tick);
        while let Some(output) = a.replica.poll_output() {
            if let ReplicaOutput::Send { message, .. } = output {
                letters.push(message);
            }
        }
    }
    let forwards: Vec<_> = letters.iter().chain(&letters).collect();
    let backwards: Vec<_> = letters.iter().rev().chain(letters.iter().rev()).collect();
    forwards.into_iter().for_each(|message| world.hand("b", message));
    backwards.into_iter().for_each(|message| world.hand("c", message));
    assert_eq!(world.listed("b"), ["s1", "s3", "s5"]);
    assert_eq!(world.listed_everywhere(), ["s1", "s3", "s5"]);
}

#[test]
fn a_repeated_message_is_no_sign_of_life() {
    let mut world = world(&["a", "b"]);
    world.join("a", "s");
    let a = world.members.get_mut("a").unwrap();
    a.replica.handle(MonoMs(world.now + 1_500), ReplicaInput::Tick);
    let last = std::iter::from_fn(|| a.replica.poll_output()).filter_map(|output| match output {
        ReplicaOutput::Send { message, .. } => Some(message),
        _ => None,
    });
    let last: Vec<_> = last.collect();
    last.iter().for_each(|message| world.hand("b", message));
    world.kill("a");
    for _ in 0..9 {
        world.run(600);
        last.iter().for_each(|message| world.hand("b", message));
    }
    assert!(world.has_event("b", |event| *event == PeerEvent::Down(id("a", 1))));
    assert_eq!(world.listed("b"), [""; 0]);
}

#[test]
fn what_goes_one_way_only_comes_through_the_third() {
    let mut world = world(&["a", "b", "c"]);
    world.join("a", "of a");
    world.join("b", "of b");
    world.run(300);
    // b hears nothing of a.
    world.cut(|from, to, _| (from, to) != ("a", "b"));
    world.join("a", "later");
    world.run(2_500);
    assert_eq!(world.listed("b"), ["of a", "of b", "later"], "c had it");
    world.run(4_000);
    assert_eq!(world.listed("b"), ["of b"], "and yet it is not heard, so it is down");
    assert_eq!(world.listed("a"), ["of a", "of b", "later"]);
    world.leave("a", "of a");
    world.run(2_500);
    world.cut(|_, _, _| true);
    world.run(1_000 + WAY_MS);
    assert_eq!(world.listed_everywhere(), ["of b", "later"], "what was hidden was kept equal");
}

#[test]
fn another_is_asked_when_the_first_is_silent() {
    let mut world = world(&["a", "b", "c"]);
    // b gets a's heartbeats only, and nothing of b reaches a.
    world.cut(|from, to, message| match (from, to) {
        ("a", "b") => kind(message) == Kind::Heartbeat,
        ("b", "a") => false,
        _ => true,
    });
    world.join("a", "s");
    world.run(1_000 + 500 + 500 + 5 * WAY_MS);
    assert_eq!(world.listed("b"), ["s"]);
    let asked = world.events("b").iter().filter_map(|event| match event {
        PeerEvent::Asked { of, .. } => Some(of.as_str().to_owned()),
        _ => None,
    });
    let asked: Vec<_> = asked.collect();
    assert_eq!(asked.first().map(String::as_str), Some("a"), "the owner first");
    assert_eq!(asked.last().map(String::as_str), Some("c"));
}

#[test]
fn messages_that_cannot_be_read_are_counted_and_harmless() {
    let mut world = world(&["a", "b"]);
    for bytes in [&b""[..], b"\x01", b"\x01\x09\x01a\x01\x63", b"\x01\x01\x01a\x01\x63\xff"] {
        world.hand("b", bytes);
    }
    let is_malformed = |event: &&PeerEvent| matches!(event, PeerEvent::Malformed(_));
    assert_eq!(world.events("b").iter().filter(is_malformed).count(), 4);
    world.join("a", "s");
    world.run(300);
    assert_eq!(world.listed_everywhere(), ["s"]);
}

/// What `b` broadcasts is of a version that `a` cannot read; what it answers to an Ask is not.
#[test]
fn an_unknown_version_is_asked_for_what_is_lacking() {
    let mut world = world(&["a", "b"]);
    world.join("b", "s0");
    world.run(300);
    for n in 0..3 {
        let b = world.members.get_mut("b").unwrap();
        let meta = Meta::default();
        let session = SessionId::from(format!("later {n}"));
        let joining = Joining { topic: topic(), key: "k".into(), session, meta };
        let diff = b.replica.track(MonoMs(world.now), joining).unwrap();
        fold(&mut b.view, &diff);
        for _ in 0..8 {
            world.now += 250;
            let now = MonoMs(world.now);
            for name in ["a", "b"] {
                world.members.get_mut(name).unwrap().replica.handle(now, ReplicaInput::Tick);
                let replica = &mut world.members.get_mut(name).unwrap().replica;
                let outputs: Vec<_> = std::iter::from_fn(|| replica.poll_output()).collect();
                deliver(&mut world, name, outputs);
            }
        }
        assert_eq!(world.listed("a").len(), 2 + n);
    }
    let unknown = PeerEvent::UnknownVersion { from: id("b", 1), version: 2 };
    assert!(world.has_event("a", |event| *event == unknown));
    assert!(!world.has_event("a", |event| matches!(event, PeerEvent::Down(_))), "it is alive");
}

/// Delivers at once, what `b` says to all in version 2.
fn deliver(world: &mut World, from: &str, outputs: Vec<ReplicaOutput>) {
    let to = if from == "a" { "b" } else { "a" };
    for output in outputs {
        match output {
            ReplicaOutput::Send { to: recipient, message } => {
                let mut message = message.to_vec();
                if from == "b" && recipient == Recipient::All {
                    message[0] = 2;
                }
                let now = MonoMs(world.now);
                let other = &mut world.members.get_mut(to).unwrap().replica;
                other.handle(now, ReplicaInput::Message(&message));
                let outputs: Vec<_> = std::iter::from_fn(|| other.poll_output()).collect();
                deliver(world, to, outputs);
            }
            ReplicaOutput::Changed(diff) => {
                fold(&mut world.members.get_mut(from).unwrap().view, &diff);
            }
            ReplicaOutput::Peer(event) => world.members.get_mut(from).unwrap().events.push(event),
            _ => {}
        }
    }
}
