//! What sessions do: status, activity, typing, and what view mode may not.

use penholder_hub::{InputSeen, MemberId, PresenceChange, Typing};
use penholder_presence::Activity;
use serde_json::{Value, json};

use crate::harness::{DOC, IDLE_MS, Joining, TYPING_MS, WINDOW_MS, World};

fn seen<'a>(world: &'a World, by: MemberId, of: &str) -> &'a Value {
    world[by].metas(of)[0]
}

fn typing_events(world: &mut World, member: MemberId) -> Vec<Value> {
    let frames = world.take(member).into_iter().filter(|frame| frame.event == "typing");
    frames.map(|frame| frame.payload).collect()
}

fn told(key: &str, session: &str, on: bool) -> Value {
    json!({"key": key, "session": session, "on": on})
}

#[test]
fn typing_is_told_to_the_others_only_and_once() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let session = world[ada].session();
    world.typing(ada, Typing::On);
    world.pass(TYPING_MS / 2);
    world.typing(ada, Typing::On);
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, true)]);
    assert_eq!(typing_events(&mut world, ada), [] as [Value; 0]);
    assert_eq!(seen(&world, bob, "ada")["activity"], "typing");
    assert_eq!(world.typing(ada, Typing::Off), json!({"status": "ok", "response": {}}));
    world.settle();
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, false)]);
    assert_eq!(seen(&world, bob, "ada")["activity"], "viewing");
    world.typing(ada, Typing::Off);
    assert_eq!(typing_events(&mut world, bob), [] as [Value; 0], "off twice is told once");
}

#[test]
fn typing_ends_by_itself() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let session = world[ada].session();
    world.typing(ada, Typing::On);
    world.pass(TYPING_MS - 1);
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, true)]);
    world.pass(1);
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, false)]);
    world.settle();
    assert_eq!(seen(&world, bob, "ada")["activity"], "viewing");
}

#[test]
fn whoever_goes_away_has_stopped_typing() {
    let ways: [fn(&mut World, MemberId); 4] = [
        |world, member| world.leave(member),
        |world, member| world.lose(member),
        |world, member| world.input(penholder_hub::Input::Expel(member)),
        |world, member| {
            world.join(Joining::new(DOC, "ada").replaces(member));
        },
    ];
    for way in ways {
        let mut world = World::new();
        let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
        let session = world[ada].session();
        world.typing(ada, Typing::On);
        world.settle();
        world.clear();
        way(&mut world, ada);
        world.pass(2 * TYPING_MS);
        assert_eq!(typing_events(&mut world, bob), [told("ada", &session, false)]);
        assert_eq!(typing_events(&mut world, ada), [] as [Value; 0]);
    }
}

#[test]
fn an_activity_of_typing_is_typing() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let session = world[ada].session();
    let activity = |activity| PresenceChange { activity: Some(activity), ..Default::default() };
    world.update(ada, activity(Activity::Typing));
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, true)]);
    world.update(ada, activity(Activity::Editing));
    assert_eq!(typing_events(&mut world, bob), [told("ada", &session, false)]);
    world.settle();
    assert_eq!(seen(&world, bob, "ada")["activity"], "editing");
}

#[test]
fn who_only_views_may_not_write() {
    let mut world = World::new();
    let viewer = world.join(Joining::new(DOC, "ada").view());
    world.settle();
    let refused = [
        PresenceChange { activity: Some(Activity::Editing), ..Default::default() },
        PresenceChange { activity: Some(Activity::Typing), ..Default::default() },
        PresenceChange { unsaved: Some(true), ..Default::default() },
    ];
    world.clear();
    for change in refused {
        let change = PresenceChange { custom: Some("{\"n\":1}".into()), ..change };
        let reply = world.update(viewer, change);
        assert_eq!(
            (&reply["status"], &reply["response"]["code"]),
            (&json!("error"), &json!("forbidden"))
        );
    }
    let reply = world.typing(viewer, Typing::On);
    assert_eq!(reply["response"]["code"], "forbidden");
    world.settle();
    assert_eq!(world.events(viewer), ["phx_reply"; 4], "what is refused changes nothing");
    assert_eq!(world.typing(viewer, Typing::Off)["status"], "ok");
    let harmless = PresenceChange {
        activity: Some(Activity::Viewing),
        unsaved: Some(false),
        visible: Some(false),
        custom: Some("{\"n\":2}".into()),
        input: Some(InputSeen),
    };
    assert_eq!(world.update(viewer, harmless)["status"], "ok");
    world.settle();
    assert_eq!(seen(&world, viewer, "ada")["n"], 2);
    assert_eq!(seen(&world, viewer, "ada")["status"], "hidden");
}

#[test]
fn without_input_a_session_becomes_idle_and_with_it_active() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let input = || PresenceChange { input: Some(InputSeen), ..Default::default() };
    world.pass(1000);
    let last_input = world.now;
    world.update(ada, input());
    world.pass(IDLE_MS - 1);
    world.update(bob, input());
    assert_eq!(seen(&world, bob, "ada")["status"], "active");
    world.pass(1 + WINDOW_MS);
    assert_eq!(seen(&world, bob, "ada")["status"], "idle");
    let since = seen(&world, bob, "ada")["idle_since"].as_u64().expect("a time");
    assert_eq!(since - seen(&world, bob, "ada")["joined_at"].as_u64().expect("a time"), last_input);
    assert_eq!(seen(&world, bob, "bob")["status"], "active");
    world.update(ada, input());
    world.settle();
    assert_eq!(seen(&world, bob, "ada")["status"], "active");
    assert_eq!(seen(&world, bob, "ada")["idle_since"], json!(null));
}

#[test]
fn a_hidden_tab_is_hidden_until_it_is_visible() {
    let mut world = World::new();
    let (ada, bob) = (world.arrive("ada"), world.arrive("bob"));
    let visible = |visible| PresenceChange { visible: Some(visible), ..Default::default() };
    world.update(ada, visible(false));
    world.settle();
    assert_eq!(seen(&world, bob, "ada")["status"], "hidden");
    let session = world[ada].session().as_str().into();
    let why = world.hub.why(&crate::harness::topic(DOC), &session).expect("evidence");
    let connection = why.connection.expect("a session of this replica");
    assert!(!connection.visible);
    assert_eq!(connection.member, Some(ada));
    world.update(ada, visible(true));
    world.settle();
    assert_eq!(seen(&world, bob, "ada")["status"], "active");
}

#[test]
fn given_fields_replace_and_absent_ones_stay() {
    let mut world = World::new();
    let ada = world.join(Joining::new(DOC, "ada").custom(r#"{"color":"red","n":1}"#));
    world.settle();
    world.update(ada, PresenceChange { unsaved: Some(true), ..Default::default() });
    world.settle();
    assert_eq!(seen(&world, ada, "ada")["color"], "red");
    world.set_custom(ada, 2);
    world.settle();
    let meta = seen(&world, ada, "ada");
    assert_eq!((&meta["n"], &meta["unsaved"]), (&json!(2), &json!(true)));
    assert_eq!(meta.get("color"), None, "a meta is replaced as a whole");
}
