//! What an old owner removes is missed by nobody.

use super::*;

/// Where `c` learns nothing of what `b` does, though it hears both `a` and `b`.
fn where_one_lacks_news() -> World {
    let mut world = world(&["a", "b", "c"]);
    world.join("a", "s");
    world.run(1_500);
    world.cut(|from, to, message| {
        let is_news = matches!(kind(message), Kind::Deltas | Kind::Repair);
        // What names a key is about an entry; the word of the old owner that it lets go is not.
        to != "c" || !is_news || (from == "a" && !message.windows(5).any(|part| part == b"key o"))
    });
    world.track("b", "s", 1);
    world.run(50);
    world.members.get_mut("c").unwrap().others.clear();
    world.leave("a", "s");
    world
}

fn lingering(world: &World) -> usize {
    world.at("a").replica.footprint().lingering
}

#[test]
fn an_old_owner_lets_go_only_when_all_have_seen_the_new_one() {
    let mut world = where_one_lacks_news();
    world.run(2_000);
    assert_eq!((lingering(&world), world.listed_everywhere()), (1, vec!["s".to_owned()]));
    world.cut(|_, _, _| true);
    world.run(2_500);
    assert_eq!((lingering(&world), world.listed_everywhere()), (0, vec!["s".to_owned()]));
    assert_eq!(leaves(&world, "c"), [""; 0]);
    let entries = world.members.values().map(|member| member.replica.footprint().entries);
    assert_eq!(entries.collect::<Vec<_>>(), [1, 1, 1], "the old one is gone everywhere");
}

#[test]
fn who_is_gone_holds_nothing_up() {
    let mut world = where_one_lacks_news();
    world.kill("c");
    world.run(6_500);
    assert_eq!((lingering(&world), world.listed_everywhere()), (0, vec!["s".to_owned()]));
}

#[test]
fn what_lingers_goes_with_the_new_entry() {
    let mut world = where_one_lacks_news();
    world.leave("b", "s");
    world.run(500);
    assert_eq!((lingering(&world), world.listed("a"), world.listed("b")), (0, vec![], vec![]));
    world.cut(|_, _, _| true);
    world.run(2_500);
    assert_eq!(world.listed_everywhere(), [""; 0]);
}

#[test]
fn a_session_that_comes_back_revives_what_lingers() {
    let mut world = where_one_lacks_news();
    world.track("a", "s", 2);
    world.cut(|_, _, _| true);
    world.run(2_500);
    assert_eq!(lingering(&world), 0);
    assert_eq!(world.listed_everywhere(), ["s"]);
    let listed = world.at("c").replica.set().session(&topic(), &"s".into()).cloned();
    assert_eq!(listed.map(|shown| shown.dot.replica.name.clone()), Some("a".into()));
    assert_eq!(leaves(&world, "c"), [""; 0]);
}

/// `c` hears everybody, and is heard by nobody: what `a` lets go of, it may hear before it hears of `b`.
#[test]
fn one_who_cannot_be_heard_is_waited_for_too_for_a_while() {
    let mut world = world(&["a", "b", "c"]);
    world.join("a", "s");
    world.cut(|from, _, _| from != "c");
    world.run(6_000);
    assert!(world.has_event("a", |event| matches!(event, PeerEvent::Down(_))));
    world.members.get_mut("c").unwrap().others.clear();
    world.track("b", "s", 1);
    world.run(1);
    // Which comes to c late.
    let late = |to: &str| if to == "c" { 1_000 } else { 0 };
    let flying = std::mem::take(&mut world.flying).into_iter();
    world.flying = flying.map(|((at, n), it)| ((at + late(&it.1), n), it)).collect();
    world.run(50);
    world.leave("a", "s");
    world.run(6_000);
    assert_eq!((lingering(&world), world.listed_everywhere()), (0, vec!["s".to_owned()]));
    assert_eq!(leaves(&world, "c"), [""; 0]);
}

#[test]
fn who_leaves_holds_nothing_up_for_longer_than_who_is_gone() {
    let mut world = world(&["a", "b", "d"]);
    world.join("a", "s");
    world.run(300);
    let now = MonoMs(world.now);
    world.members.get_mut("d").unwrap().replica.leave(now, Keep::For(60_000));
    world.drain("d");
    world.run(200);
    world.kill("d");
    world.track("b", "s", 1);
    world.run(300);
    world.leave("a", "s");
    world.run(6_500);
    assert_eq!((lingering(&world), world.listed_everywhere()), (0, vec!["s".to_owned()]));
}
