//! Lost connections: grace, resume, and which token stands when.

use penholder_hub::{Config, Departure, ResumeClaim, TopicOptions};
use penholder_presence::{Incarnation, LivenessConfig, ReplicaId, WallMs};
use penholder_protocol::PresenceMode;

use crate::harness::{DOC, GRACE_MS, Joining, WINDOW_MS, World, options};

fn resume(world: &mut World, claim: ResumeClaim) -> penholder_hub::MemberId {
    let member = world.join(Joining::new(DOC, "bob").resume(claim));
    world.settle();
    member
}

#[test]
fn a_resume_within_grace_shows_no_leave() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let claim = world[bob].claim();
    let (session, joined_at) = (world[bob].session(), world[bob].reply()["joined_at"].clone());
    world.lose(bob);
    world.settle();
    assert_eq!(world[bob].departed, Some(Departure::Left));
    assert_eq!(world[ada].metas("bob")[0]["status"], "reconnecting");
    world.pass(GRACE_MS - WINDOW_MS - 1);
    let back = world.join(Joining::new(DOC, "bob").resume(claim));
    world.settle();
    assert_eq!(world[back].session(), session);
    assert_eq!(world[back].reply()["joined_at"], joined_at);
    let metas = world[ada].metas("bob");
    assert_eq!((metas.len(), &metas[0]["status"]), (1, &"active".into()));
    assert_eq!(metas[0]["joined_at"], joined_at);
    assert_eq!(world[ada].returned, [""; 0], "never absent in between");
    world.pass(2 * GRACE_MS);
    assert_eq!(world[ada].keys(), ["ada", "bob"], "the old deadline is gone");
    world.assert_folds_equal_lists();
}

#[test]
fn a_loss_and_a_resume_within_one_window_leave_no_trace_in_the_status() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let claim = world[bob].claim();
    world.clear();
    world.lose(bob);
    world.join(Joining::new(DOC, "bob").resume(claim));
    world.settle();
    let statuses = |frames: Vec<crate::harness::Received>| {
        let diffs = frames.into_iter().filter(|frame| frame.event == "presence_diff");
        diffs.map(|diff| diff.payload["joins"]["bob"]["metas"][0]["status"].clone()).collect()
    };
    let seen: Vec<_> = statuses(world.take(ada));
    assert!(seen.iter().all(|status| status == "active"), "{seen:?}");
}

#[test]
fn grace_ends_at_its_very_deadline() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let (session, claim) = (world[bob].session(), world[bob].claim());
    world.lose(bob);
    world.pass(GRACE_MS - 1);
    assert_eq!(world.hub.census().sessions, 2);
    world.pass(1);
    assert_eq!(world.hub.census().sessions, 1);
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    let late = resume(&mut world, claim);
    assert_ne!(world[late].session(), session);
    assert_ne!(world[late].reply()["joined_at"], world[bob].reply()["joined_at"]);
}

#[test]
fn a_resume_at_the_very_deadline_is_too_late_even_when_no_tick_came_before() {
    let mut world = World::new();
    let bob = world.arrive("bob");
    let (session, claim) = (world[bob].session(), world[bob].claim());
    world.lose(bob);
    world.now += GRACE_MS;
    let late = world.join(Joining::new(DOC, "bob").resume(claim));
    assert_ne!(world[late].session(), session);
}

#[test]
fn the_newest_token_takes_over_a_live_session() {
    let mut world = World::new();
    let (ada, half_open) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    let (session, claim) = (world[half_open].session(), world[half_open].claim());
    let back = resume(&mut world, claim);
    assert_eq!(world[back].session(), session);
    assert_eq!(world.events(half_open), ["phx_error"]);
    assert_eq!(world[half_open].departed, Some(Departure::Replaced));
    assert_eq!(world.events(ada), ["presence_diff"], "an update: one leaves and one joins");
    assert_eq!(world[ada].metas("bob").len(), 1);
    // The old connection ends later; its session has moved on.
    world.lose(half_open);
    world.pass(2 * GRACE_MS);
    assert_eq!(world[ada].keys(), ["ada", "bob"]);
}

#[test]
fn the_last_but_one_token_counts_only_while_the_session_is_disconnected() {
    let mut world = World::new();
    let first = world.arrive("bob");
    let (session, old) = (world[first].session(), world[first].claim());
    world.lose(first);
    let second = resume(&mut world, old.clone());
    assert_eq!(world[second].session(), session);
    let other_tab = resume(&mut world, old.clone());
    assert_ne!(world[other_tab].session(), session, "two tabs cannot push each other out in turn");
    assert_eq!(world[second].departed, None);
    // The reply to the second never arrived: its client comes with the token it had.
    world.lose(second);
    let third = resume(&mut world, old.clone());
    assert_eq!(world[third].session(), session);
    world.lose(third);
    let fourth = resume(&mut world, old);
    assert_ne!(world[fourth].session(), session, "by now it is the last but two");
}

#[test]
fn a_foreign_key_or_topic_is_refused() {
    let mut world = World::new();
    let bob = world.arrive("bob");
    let (session, claim) = (world[bob].session(), world[bob].claim());
    world.lose(bob);
    let eve = world.join(Joining::new(DOC, "eve").resume(claim.clone()));
    assert_ne!(world[eve].session(), session);
    let elsewhere = world.join(Joining::new("doc:2", "bob").resume(claim.clone()));
    assert_ne!(world[elsewhere].session(), session);
    let forged = ResumeClaim { key: "eve".into(), ..claim.clone() };
    let eve = world.join(Joining::new(DOC, "eve").resume(forged));
    assert_ne!(world[eve].session(), session);
    let bob = resume(&mut world, claim);
    assert_eq!(world[bob].session(), session, "and its own person still resumes it");
    world.assert_folds_equal_lists();
}

/// What a token of an earlier life says.
fn old_claim(incarnation: u64) -> ResumeClaim {
    ResumeClaim {
        topic: crate::harness::topic(DOC),
        key: "bob".into(),
        session: "old".into(),
        joined_at: WallMs(5),
        generation: 3,
        incarnation: Incarnation(incarnation),
    }
}

#[test]
fn lives_that_ended_within_grace_of_the_start_count_and_older_ones_do_not() {
    let start = 1_000_000;
    let lives = [start - GRACE_MS - 2, start - GRACE_MS - 1, start - 5, start - 1];
    for (life, counts) in lives.into_iter().zip([false, true, true, true]) {
        let config = Config {
            replica: ReplicaId::new("gw.0", Incarnation(start)),
            previous: lives.map(Incarnation).to_vec(),
            ..crate::harness::config(crate::harness::options())
        };
        let mut world = World::of(config);
        let back = world.join(Joining::new(DOC, "bob").resume(old_claim(life)));
        assert_eq!(world[back].session() == "old", counts, "{life}");
    }
}

#[test]
fn what_ended_in_this_life_is_not_brought_back_by_a_token_of_an_earlier_one() {
    let mut world = World::new();
    let back = world.join(Joining::new(DOC, "bob").resume(old_claim(6)));
    assert_eq!(world[back].session(), "old");
    world.kick(DOC, "old");
    world.settle();
    let again = world.join(Joining::new(DOC, "bob").resume(old_claim(6)));
    assert_ne!(world[again].session(), "old");
}

#[test]
fn what_ended_stays_ended_when_another_topic_has_no_grace() {
    let quick = TopicOptions {
        liveness: LivenessConfig { grace_ms: 0, ..options().liveness },
        ..options()
    };
    let mut world = World::of(Config {
        namespaces: [("quick".to_owned(), quick)].into(),
        ..crate::harness::config(options())
    });
    world.join(Joining::new(DOC, "bob").resume(old_claim(6)));
    world.kick(DOC, "old");
    let other = world.join(Joining::new("quick:1", "eve"));
    world.leave(other);
    let again = world.join(Joining::new(DOC, "bob").resume(old_claim(6)));
    assert_ne!(world[again].session(), "old");
}

#[test]
fn a_token_of_the_previous_life_is_good_for_grace_after_the_start() {
    let claim = old_claim;
    let mut world = World::new();
    world.pass(GRACE_MS - 1);
    let older = world.join(Joining::new(DOC, "bob").resume(claim(5)));
    assert_ne!(world[older].session(), "old", "a life that nobody remembers");
    let back = world.join(Joining::new(DOC, "bob").resume(claim(6)));
    assert_eq!(
        (world[back].session().as_str(), &world[back].reply()["joined_at"]),
        ("old", &5.into())
    );
    assert_eq!(world[back].claim().generation, 4);
    let mut world = World::new();
    world.pass(GRACE_MS);
    let late = world.join(Joining::new(DOC, "bob").resume(claim(6)));
    assert_ne!(world[late].session(), "old");
}

#[test]
fn a_rejoin_on_one_socket_can_resume_its_own_session() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.clear();
    let claim = world[bob].claim();
    let again = world.join(Joining::new(DOC, "bob").resume(claim).replaces(bob));
    world.settle();
    assert_eq!(world.events(bob), ["phx_close"], "not phx_error");
    assert_eq!(world.events(again), ["phx_reply", "presence_state", "presence_summary"]);
    assert_eq!(world.events(ada), ["presence_diff"]);
    assert_eq!(world[ada].keys(), ["ada", "bob"]);
    assert_eq!(world.hub.census().sessions, 2);
}

#[test]
fn a_session_can_come_back_unseen_and_be_seen_again() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let (joined_at, claim) = (world[bob].reply()["joined_at"].clone(), world[bob].claim());
    let hidden = world
        .join(Joining::new(DOC, "bob").resume(claim).presence(PresenceMode::Receive).replaces(bob));
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    let claim = world[hidden].claim();
    let shown = resume(&mut world, claim);
    assert_eq!(world[ada].metas("bob")[0]["joined_at"], joined_at);
    assert_eq!(world[shown].keys(), ["ada", "bob"]);
}

#[test]
fn a_session_that_comes_back_to_view_only_no_longer_writes() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.update(
        bob,
        penholder_hub::PresenceChange {
            activity: Some(penholder_presence::Activity::Editing),
            unsaved: Some(true),
            ..Default::default()
        },
    );
    world.typing(bob, penholder_hub::Typing::On);
    world.settle();
    let claim = world[bob].claim();
    world.lose(bob);
    world.join(Joining::new(DOC, "bob").view().resume(claim));
    world.settle();
    let meta = world[ada].metas("bob")[0];
    assert_eq!((&meta["mode"], &meta["activity"]), (&"view".into(), &"viewing".into()));
    assert_eq!(meta["unsaved"], false);
}

#[test]
fn without_grace_a_lost_session_is_gone_at_once() {
    let mut options = options();
    options.liveness.grace_ms = 0;
    let mut world = World::with(options);
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    world.lose(bob);
    world.settle();
    assert_eq!(world[ada].keys(), ["ada"]);
    assert_eq!(world.hub.census().sessions, 1);
}
