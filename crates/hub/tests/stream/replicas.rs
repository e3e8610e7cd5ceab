//! Two replicas of one shard: what the observers of one are told of the other.

use penholder_hub::{Config, Departure, Input, MemberId};
use penholder_presence::{Incarnation, ReplicaConfig, ReplicaId};

use crate::harness::{DOC, GRACE_MS, Joining, Received, World, config, options};

/// Longer than it takes two replicas to agree once their links are good.
pub(crate) const AGREED_MS: u64 = 5_000;

/// Two replicas whose messages all arrive, unless somebody keeps them back.
pub(crate) fn pair() -> [World; 2] {
    [("one.0", 0), ("two.0", 100)].map(|(name, first)| {
        let mut world = World::of(Config {
            replica: ReplicaId::new(name, Incarnation(7)),
            previous: Vec::new(),
            gossip: ReplicaConfig::default(),
            ..config(options())
        });
        world.next = first;
        world
    })
}

/// Lets time pass for both, and carries their messages.
pub(crate) fn pass(worlds: &mut [World; 2], span_ms: u64) {
    for _ in 0..span_ms / 10 {
        worlds.iter_mut().for_each(|world| world.pass(10));
        carry(worlds);
    }
}

/// Lets time pass for both, and loses their messages.
fn pass_apart(worlds: &mut [World; 2], span_ms: u64) {
    for _ in 0..span_ms / 10 {
        for world in worlds.iter_mut() {
            world.pass(10);
            world.published.clear();
        }
    }
}

fn carry([one, two]: &mut [World; 2]) {
    while !one.published.is_empty() || !two.published.is_empty() {
        let (from_one, from_two) =
            (std::mem::take(&mut one.published), std::mem::take(&mut two.published));
        from_one.into_iter().for_each(|message| two.input(Input::Bus(message)));
        from_two.into_iter().for_each(|message| one.input(Input::Bus(message)));
    }
}

fn certainty(world: &World, member: MemberId) -> String {
    let summaries = world[member].frames.iter().rev();
    let mut summaries = summaries.filter(|frame| frame.event == "presence_summary");
    let summary = summaries.next().expect("a summary");
    summary.payload["certainty"].as_str().expect("a word").to_owned()
}

#[test]
fn who_joins_one_replica_is_shown_on_the_other() {
    let mut worlds = pair();
    let ada = worlds[0].arrive("ada");
    let bob = worlds[1].arrive("bob");
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[0][ada].keys(), ["ada", "bob"]);
    assert_eq!(worlds[1][bob].keys(), ["ada", "bob"]);
    for (world, member) in [(&worlds[0], ada), (&worlds[1], bob)] {
        world.assert_folds_equal_lists();
        assert_eq!(certainty(world, member), "confirmed");
    }
    worlds[0].leave(ada);
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[1][bob].keys(), ["bob"]);
}

#[test]
fn a_session_resumed_on_another_replica_is_an_update_and_leaves_the_first() {
    let mut worlds = pair();
    let ada = worlds[1].arrive("ada");
    let bob = worlds[0].arrive("bob");
    pass(&mut worlds, AGREED_MS);
    let claim = worlds[0][bob].claim();
    worlds[0].lose(bob);
    pass(&mut worlds, GRACE_MS / 2);
    worlds[1].clear();
    let back = worlds[1].join(Joining::new(DOC, "bob").resume(claim.clone()));
    assert_eq!(worlds[1][back].session(), claim.session.as_str());
    assert_eq!(worlds[1][back].reply()["joined_at"], claim.joined_at.0);
    pass(&mut worlds, 2 * GRACE_MS);
    let diffs = worlds[1].take(ada);
    assert!(diffs.iter().all(|frame| {
        let changed = |side: &str| frame.payload[side].get("bob").is_some();
        frame.event != "presence_diff" || changed("joins") == changed("leaves")
    }));
    assert_eq!(worlds[1][ada].metas("bob").len(), 1);
    assert_eq!(worlds[0].hub.census().sessions, 0, "the first replica has let it go");
}

#[test]
fn a_live_session_that_is_resumed_elsewhere_is_told_to_join_anew() {
    let mut worlds = pair();
    let bob = worlds[0].arrive("bob");
    pass(&mut worlds, AGREED_MS);
    let claim = worlds[0][bob].claim();
    worlds[0].clear();
    worlds[1].join(Joining::new(DOC, "bob").resume(claim));
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[0][bob].departed, Some(Departure::Replaced));
    assert_eq!(worlds[0].events(bob).last().map(String::as_str), Some("phx_error"));
}

#[test]
fn an_earlier_claimant_whom_a_heal_brings_contests_until_one_of_both_goes() {
    let mut worlds = pair();
    pass(&mut worlds, AGREED_MS);
    let ada = worlds[0].arrive("ada");
    pass_apart(&mut worlds, 50);
    let bob = worlds[1].arrive("bob");
    pass_apart(&mut worlds, 2 * AGREED_MS);
    assert_eq!(worlds[1].summary(None).summary.prior_user_presence.unwrap().key, "bob");
    pass(&mut worlds, AGREED_MS);
    assert_eq!(worlds[1].summary(None).summary.prior_user_presence.unwrap().key, "ada");
    assert_eq!(certainty(&worlds[1], bob), "contested");
    assert_eq!(certainty(&worlds[0], ada), "confirmed", "who was first here stayed first");
    worlds[0].leave(ada);
    pass(&mut worlds, AGREED_MS);
    assert_eq!(certainty(&worlds[1], bob), "confirmed");
}

#[test]
fn a_replica_that_retires_is_kept_for_grace() {
    let mut worlds = pair();
    let bob = worlds[0].arrive("bob");
    let ada = worlds[1].arrive("ada");
    pass(&mut worlds, AGREED_MS);
    worlds[0].lose(bob);
    worlds[0].input(Input::Retire);
    carry(&mut worlds);
    worlds[1].pass(GRACE_MS - 100);
    assert_eq!(worlds[1][ada].keys(), ["ada", "bob"]);
    worlds[1].pass(2 * AGREED_MS);
    assert_eq!(worlds[1][ada].keys(), ["ada"]);
}

#[test]
fn who_was_first_for_the_time_being_gives_way_without_a_contest() {
    let mut worlds = pair();
    pass(&mut worlds, AGREED_MS);
    worlds[0].arrive("ada");
    worlds.iter_mut().for_each(|world| world.pass(50));
    let bob = worlds[1].arrive("bob");
    assert_eq!(certainty(&worlds[1], bob), "provisional");
    pass(&mut worlds, AGREED_MS);
    assert_eq!(certainty(&worlds[1], bob), "confirmed");
}

/// A shard that stood still while its session went on elsewhere hears of that before it ends the session
/// for good, and before it judges who is there.
#[test]
fn what_waits_to_be_read_comes_before_every_judgement() {
    let mut worlds = pair();
    let ada = worlds[0].arrive("ada");
    let bob = worlds[0].arrive("bob");
    pass(&mut worlds, AGREED_MS);
    let claim = worlds[0][bob].claim();
    worlds[0].lose(bob);
    worlds[0].clear();
    // The first replica stands still from here on; what it is sent waits.
    worlds[1].pass(GRACE_MS / 2);
    worlds[1].join(Joining::new(DOC, "bob").resume(claim));
    worlds[1].pass(GRACE_MS);
    let waiting = std::mem::take(&mut worlds[1].published);
    worlds[0].now = worlds[1].now;
    for message in waiting {
        worlds[0].input(Input::Bus(message));
    }
    worlds[0].input(Input::Tick);
    let seen = worlds[0].take(ada);
    let gone = |frame: &Received| {
        let has = |side: &str| frame.payload[side].get("bob").is_some();
        frame.event == "presence_diff" && has("leaves") && !has("joins")
    };
    assert!(!seen.iter().any(gone), "{seen:?}");
    assert_eq!(worlds[0][ada].metas("bob").len(), 1);
}
