use super::*;

fn end(scene: &mut Scene) {
    let by = claimant("root").person;
    assert_eq!(scene.act(Command::End { by }), Ok(Outcome::Ended));
}

const REVOKED: (EventKind, Rule) = (EventKind::Revoked, Rule::Deleted);

#[test]
fn pen_of_what_is_gone_is_taken_from_its_holder_and_goes_to_nobody() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.request("carl").unwrap();
    end(&mut scene);
    assert_eq!(scene.told, [REVOKED]);
    assert_eq!((scene.holder(), scene.queue(), scene.due_in()), (None, vec![], None));
    assert_eq!(scene.pen().fence, Fence(1), "none was granted");
    end(&mut scene);
    assert!(scene.told.is_empty(), "once is enough");
}

#[test]
fn whoever_takes_it_over_does_not_get_what_is_gone() {
    // Before the holder's time to save is over, and after.
    for span_ms in [0, 60_000] {
        let mut scene = Scene::held_by("ada");
        scene.take_over("bob").unwrap();
        scene.after(span_ms);
        end(&mut scene);
        let expected = if span_ms == 0 { REVOKED } else { (EventKind::Expired, Rule::Expired) };
        assert_eq!(scene.told, [expected]);
        assert_eq!((scene.holder(), scene.due_in()), (None, None));
    }
}

#[test]
fn what_was_over_before_is_not_taken_away() {
    let mut scene = Scene::held_by("ada");
    scene.wait("bob").unwrap();
    scene.after(TTL);
    end(&mut scene);
    assert_eq!(scene.told, [(EventKind::Expired, Rule::Expired)], "and the next does not get it");
    let mut scene = Scene::new();
    end(&mut scene);
    assert!(scene.told.is_empty(), "nobody had it");
}

#[test]
fn nobody_gets_a_pen_that_has_ended() {
    let mut scene = Scene::new();
    scene.acquire_as("ada", "r1").unwrap();
    end(&mut scene);
    assert_eq!(scene.acquire("bob"), Err(Refusal::Ended));
    assert_eq!(scene.wait("bob"), Err(Refusal::Ended));
    assert_eq!(scene.take_over("bob"), Err(Refusal::Ended));
    assert_eq!(scene.request("bob"), Ok(Outcome::NobodyHolds));
    assert_eq!(scene.revoke(), Ok(Outcome::NobodyHolds));
    // Whoever had it is told that it is lost.
    assert_eq!(scene.acquire_as("ada", "r1"), Ok(Outcome::Lapsed));
    assert_eq!(scene.renew("ada", 1, 0), Err(Refusal::LeaseLost));
    assert_eq!(scene.release("ada", 1), Err(Refusal::LeaseLost));
    assert_eq!(scene.resume("ada"), Err(Refusal::LeaseLost));
    scene.disconnect("ada");
    scene.leave("ada");
    scene.after(TTL).tick();
    assert!(scene.told.is_empty());
    assert_eq!(scene.pen().state, PenState::Free);
}
