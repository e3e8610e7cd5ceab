//! Typing that the staff of a ticket alone is told of.

use penholder_hub::{Input, InputSeen, MemberId, PresenceChange, Request, TopicOptions, Typing};
use penholder_presence::{Activity, LivenessConfig};
use serde_json::{Value, json};

use crate::harness::{Joining, TYPING_MS, World, options, topic};
use crate::replicas::{AGREED_MS, pair, pass};

const TICKET: &str = "tickets:1";

fn staff(key: &str) -> Joining {
    Joining::new(TICKET, key).staff()
}

fn public(key: &str) -> Joining {
    Joining::new(TICKET, key)
}

/// Eve and dora of the staff, and carl of the public, who know each other.
fn met() -> (World, [MemberId; 3]) {
    let mut world = World::new();
    let members = [staff("eve"), staff("dora"), public("carl")].map(|join| world.join(join));
    world.settle();
    world.clear();
    (world, members)
}

/// What a member was told of who types, since the last time: whether, and whether that is for the staff.
fn told(world: &mut World, member: MemberId) -> Vec<(bool, bool)> {
    let frames = world.take(member).into_iter().filter(|frame| frame.event == "typing");
    let short = |payload: &Value| (payload["on"] == true, payload["audience"] == "staff");
    frames.map(|frame| short(&frame.payload)).collect()
}

fn activity(world: &World, by: MemberId, of: &str) -> Value {
    world[by].metas(of)[0]["activity"].clone()
}

const STAFF_ON: (bool, bool) = (true, true);
const STAFF_OFF: (bool, bool) = (false, true);
const ON: (bool, bool) = (true, false);
const OFF: (bool, bool) = (false, false);

#[test]
fn the_staff_is_told_at_each_sign_and_the_public_nothing() {
    let (mut world, [eve, dora, carl]) = met();
    let session = world[eve].session();
    let last_input = |world: &World| {
        let session = world[eve].session().as_str().into();
        world.hub.why(&topic(TICKET), &session).expect("evidence").last_input_at
    };
    let before = (world[dora].metas("eve")[0].clone(), last_input(&world));
    world.pass(TYPING_MS);
    assert_eq!(world.typing(eve, Typing::ForStaff), json!({"status": "ok", "response": {}}));
    let told_of = world.take(dora);
    let payload = json!({"key": "eve", "session": session, "on": true, "audience": "staff"});
    assert_eq!((&*told_of[0].event, &told_of[0].payload), ("typing", &payload));
    assert_eq!(told_of.len(), 1);
    // Who has come meanwhile hears of it now: nothing in the snapshot says so.
    let finn = world.join(staff("finn"));
    world.settle();
    world.clear();
    world.typing(eve, Typing::ForStaff);
    assert_eq!([told(&mut world, dora), told(&mut world, finn)], [[STAFF_ON], [STAFF_ON]]);
    world.settle();
    assert_eq!((world[dora].metas("eve")[0].clone(), last_input(&world)), before);
    world.typing(eve, Typing::Off);
    world.settle();
    assert_eq!(told(&mut world, dora), [STAFF_OFF]);
    world.typing(eve, Typing::Off);
    assert_eq!(told(&mut world, dora), [], "off twice is told once");
    assert_eq!(world.events(carl), [""; 0]);
    assert_eq!(told(&mut world, eve), []);
}

#[test]
fn it_ends_by_itself_after_the_last_sign() {
    let (mut world, [eve, dora, carl]) = met();
    world.typing(eve, Typing::ForStaff);
    world.pass(TYPING_MS - 1);
    world.typing(eve, Typing::ForStaff);
    world.pass(TYPING_MS - 1);
    assert_eq!(told(&mut world, dora), [STAFF_ON, STAFF_ON]);
    world.pass(1);
    assert_eq!(told(&mut world, dora), [STAFF_OFF]);
    assert_eq!(world.events(carl), [""; 0]);
    let nobody = LivenessConfig { typing_for_ms: 0, ..options().liveness };
    let mut world = World::with(TopicOptions { liveness: nobody, ..options() });
    let [eve, dora] = [staff("eve"), staff("dora")].map(|join| world.join(join));
    world.typing(eve, Typing::ForStaff);
    assert_eq!(told(&mut world, dora), [], "where nobody ever types");
}

#[test]
fn one_kind_of_typing_ends_the_other() {
    let (mut world, [eve, dora, carl]) = met();
    world.typing(eve, Typing::On);
    world.settle();
    assert_eq!(activity(&world, carl, "eve"), "typing");
    world.typing(eve, Typing::ForStaff);
    world.settle();
    assert_eq!(told(&mut world, dora), [ON, OFF, STAFF_ON]);
    assert_eq!(told(&mut world, carl), [ON, OFF]);
    assert_eq!(activity(&world, carl, "eve"), "viewing");
    world.typing(eve, Typing::On);
    assert_eq!(told(&mut world, dora), [STAFF_OFF, ON]);
    assert_eq!(told(&mut world, carl), [ON]);
    world.typing(eve, Typing::ForStaff);
    world.clear();
    let activity = |activity| PresenceChange { activity: Some(activity), ..Default::default() };
    for harmless in [Activity::Editing, Activity::Viewing] {
        world.update(eve, activity(harmless));
        world.update(eve, PresenceChange { input: Some(InputSeen), ..Default::default() });
        assert_eq!(told(&mut world, dora), [], "what else a session does is another matter");
    }
    world.update(eve, activity(Activity::Typing));
    assert_eq!(told(&mut world, dora), [STAFF_OFF, ON]);
    assert_eq!(told(&mut world, carl), [ON]);
}

#[test]
fn whoever_goes_away_has_stopped() {
    let ways: [fn(&mut World, MemberId); 7] = [
        |world, member| world.leave(member),
        |world, member| world.lose(member),
        |world, member| world.input(Input::Expel(member)),
        |world, member| world.input(Input::Demote(member)),
        |world, member| {
            world.push(member, Request::Untrack);
        },
        |world, member| {
            world.join(staff("eve").replaces(member));
        },
        // None of the staff any more.
        |world, member| {
            let claim = world[member].claim();
            world.join(public("eve").resume(claim));
        },
    ];
    for (at, way) in ways.into_iter().enumerate() {
        let (mut world, [eve, dora, carl]) = met();
        world.typing(eve, Typing::ForStaff);
        world.settle();
        world.clear();
        way(&mut world, eve);
        assert_eq!(told(&mut world, dora), [STAFF_OFF], "way {at}");
        world.pass(2 * TYPING_MS);
        assert_eq!(told(&mut world, dora), [], "way {at}");
        assert_eq!(told(&mut world, carl), [], "way {at}");
    }
}

#[test]
fn it_goes_on_over_a_resume() {
    let (mut world, [eve, dora, _]) = met();
    world.typing(eve, Typing::ForStaff);
    let claim = world[eve].claim();
    world.join(staff("eve").resume(claim));
    assert_eq!(told(&mut world, dora), [STAFF_ON]);
    world.pass(TYPING_MS);
    assert_eq!(told(&mut world, dora), [STAFF_OFF]);
}

#[test]
fn who_is_not_of_the_staff_or_only_views_may_not() {
    let (mut world, [eve, dora, carl]) = met();
    let viewer = world.join(staff("finn").view());
    world.settle();
    world.clear();
    for member in [carl, viewer] {
        let reply = world.typing(member, Typing::ForStaff);
        assert_eq!(
            (&reply["status"], &reply["response"]["code"]),
            (&json!("error"), &json!("forbidden"))
        );
        assert_eq!(world.typing(member, Typing::Off)["status"], "ok");
    }
    world.settle();
    assert_eq!([told(&mut world, eve), told(&mut world, dora)], [[], []]);
}

#[test]
fn whoever_waits_for_a_snapshot_waits_on() {
    let (mut world, [eve, ..]) = met();
    let dan = world.join(public("dan"));
    world.typing(eve, Typing::ForStaff);
    assert_eq!(world.events(dan), ["phx_reply"]);
    world.settle();
    assert_eq!(world.events(dan), ["presence_state", "presence_summary"]);
}

#[test]
fn of_whom_others_do_not_see_nobody_is_told() {
    let (mut world, [eve, dora, _]) = met();
    world.push(eve, Request::Untrack);
    world.clear();
    world.typing(eve, Typing::ForStaff);
    world.push(eve, Request::Track("{}".into()));
    assert_eq!(told(&mut world, dora), []);
    world.pass(TYPING_MS);
    assert_eq!(told(&mut world, dora), [], "nor that it ends");
}

#[test]
fn on_another_replica_the_staff_alone_is_told_too() {
    let mut worlds = pair();
    let eve = worlds[0].join(staff("eve"));
    let [dora, carl] = [staff("dora"), public("carl")].map(|join| worlds[1].join(join));
    pass(&mut worlds, AGREED_MS);
    worlds.iter_mut().for_each(World::clear);
    let carry = |worlds: &mut [World; 2]| {
        for (_, message) in std::mem::take(&mut worlds[0].relayed) {
            worlds[1].input(Input::Relayed(message));
        }
        [dora, carl].map(|member| told(&mut worlds[1], member))
    };
    worlds[0].typing(eve, Typing::ForStaff);
    assert_eq!(carry(&mut worlds), [vec![STAFF_ON], vec![]]);
    worlds[0].typing(eve, Typing::On);
    assert_eq!(carry(&mut worlds), [vec![STAFF_OFF, ON], vec![ON]]);
    worlds[0].typing(eve, Typing::ForStaff);
    assert_eq!(carry(&mut worlds), [vec![OFF, STAFF_ON], vec![OFF]]);
    worlds[0].lose(eve);
    assert_eq!(carry(&mut worlds), [vec![STAFF_OFF], vec![]]);
}

#[test]
fn nothing_of_it_remains() {
    let (mut world, members) = met();
    world.typing(members[0], Typing::ForStaff);
    members.into_iter().for_each(|member| world.leave(member));
    world.settle();
    assert_eq!((world.hub.census().timers, world.hub.census().sessions), (0, 0));
}
