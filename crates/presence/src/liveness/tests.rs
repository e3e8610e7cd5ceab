use super::*;

const CONFIG: LivenessConfig =
    LivenessConfig { idle_after_ms: 1_000, grace_ms: 500, typing_for_ms: 100 };

fn session() -> Liveness {
    Liveness::new(CONFIG, MonoMs(0))
}

fn status(session: &Liveness) -> Status {
    session.shown().status
}

fn activity(session: &Liveness) -> Activity {
    session.shown().activity
}

/// Gives signals at times, and returns the last outcome.
fn given(session: &mut Liveness, signals: &[(u64, Signal)]) -> Outcome {
    let outcomes = signals.iter().map(|&(at, signal)| session.handle(MonoMs(at), signal));
    outcomes.fold(Outcome::Unchanged, |_, outcome| outcome)
}

#[test]
fn idle_begins_at_its_very_millisecond_and_ends_with_input() {
    let mut session = session();
    assert_eq!(session.next_deadline(), Some(MonoMs(1_000)));
    assert_eq!(session.handle_timeout(MonoMs(999)), Outcome::Unchanged);
    assert_eq!(session.handle_timeout(MonoMs(1_000)), Outcome::Changed);
    assert_eq!((status(&session), session.shown().idle_since), (Status::Idle, Some(MonoMs(0))));
    assert_eq!(session.next_deadline(), None);
    assert_eq!(given(&mut session, &[(1_500, Signal::Input)]), Outcome::Changed);
    assert_eq!((status(&session), session.shown().idle_since), (Status::Active, None));
    assert_eq!(session.next_deadline(), Some(MonoMs(2_500)));
}

#[test]
fn a_resume_must_come_before_grace_is_over() {
    let mut back = session();
    let _ = given(&mut back, &[(10, Signal::Lost)]);
    assert_eq!((status(&back), back.next_deadline()), (Status::Reconnecting, Some(MonoMs(510))));
    assert_eq!(given(&mut back, &[(509, Signal::Resumed)]), Outcome::Changed);
    assert_eq!(status(&back), Status::Active);
    assert_eq!(back.handle_timeout(MonoMs(510)), Outcome::Unchanged, "the old deadline is void");

    let mut late = session();
    let _ = given(&mut late, &[(10, Signal::Lost)]);
    assert_eq!(given(&mut late, &[(510, Signal::Resumed)]), Outcome::Expired);
    assert_eq!((status(&late), late.next_deadline()), (Status::Reconnecting, None));
}

#[test]
fn expiry_is_said_once_and_nothing_is_heard_after_it() {
    let mut session = session();
    let _ = given(&mut session, &[(0, Signal::Lost)]);
    assert_eq!(session.handle_timeout(MonoMs(10_000)), Outcome::Expired);
    let after = session.shown();
    assert_eq!(session.handle_timeout(MonoMs(20_000)), Outcome::Unchanged);
    assert_eq!(
        given(&mut session, &[(20_000, Signal::Resumed), (20_001, Signal::Input)]),
        Outcome::Unchanged
    );
    assert_eq!(session.shown(), after);
}

#[test]
fn losing_a_lost_session_does_not_prolong_its_grace() {
    let mut session = session();
    assert_eq!(given(&mut session, &[(10, Signal::Lost), (400, Signal::Lost)]), Outcome::Unchanged);
    assert_eq!(session.next_deadline(), Some(MonoMs(510)));
}

#[test]
fn the_gravest_status_is_shown() {
    let mut session = session();
    let _ = given(&mut session, &[(0, Signal::Hidden)]);
    assert_eq!(status(&session), Status::Hidden);
    assert_eq!(session.handle_timeout(MonoMs(1_000)), Outcome::Changed);
    assert_eq!((status(&session), session.shown().idle_since), (Status::Hidden, Some(MonoMs(0))));
    let _ = given(&mut session, &[(1_001, Signal::Lost)]);
    assert_eq!(status(&session), Status::Reconnecting);
    let _ = given(&mut session, &[(1_100, Signal::Resumed)]);
    assert_eq!(status(&session), Status::Hidden, "the tab is still not shown");
    let _ = given(&mut session, &[(1_200, Signal::Shown)]);
    assert_eq!(status(&session), Status::Active, "turning to a tab is input");
}

#[test]
fn reconnecting_is_no_input() {
    let mut session = session();
    let _ = given(&mut session, &[(900, Signal::Lost), (1_100, Signal::Resumed)]);
    assert_eq!(status(&session), Status::Idle);
    assert_eq!(session.last_input(), MonoMs(0));
}

#[test]
fn typing_ends_by_itself_and_activity_is_what_it_was() {
    let mut session = session();
    let editing = Signal::Activity(Activity::Editing);
    let _ = given(&mut session, &[(0, editing), (10, Signal::Typing), (60, Signal::Typing)]);
    assert_eq!(
        (activity(&session), session.next_deadline()),
        (Activity::Typing, Some(MonoMs(160)))
    );
    assert_eq!(session.handle_timeout(MonoMs(159)), Outcome::Unchanged);
    assert_eq!(session.handle_timeout(MonoMs(160)), Outcome::Changed);
    assert_eq!(activity(&session), Activity::Editing);
    assert_eq!(session.last_input(), MonoMs(60), "typing is input");
}

#[test]
fn typing_ends_with_a_word_a_new_activity_or_the_connection() {
    let viewing = Signal::Activity(Activity::Viewing);
    for end in [Signal::TypingEnded, viewing, Signal::Lost] {
        let mut session = session();
        let typing = Signal::Activity(Activity::Typing);
        assert_eq!(given(&mut session, &[(0, typing), (50, end)]), Outcome::Changed);
        assert_eq!(activity(&session), Activity::Viewing, "{end:?}");
        let _ = given(&mut session, &[(60, Signal::Resumed)]);
        assert_eq!(session.next_deadline().map(|at| at.0 > 150), Some(true), "{end:?}");
    }
}

#[test]
fn unsaved_changes_are_kept_apart_from_all_else() {
    let mut session = session();
    assert_eq!(given(&mut session, &[(1, Signal::Unsaved)]), Outcome::Changed);
    assert_eq!(given(&mut session, &[(2, Signal::Unsaved)]), Outcome::Unchanged);
    assert!(session.shown().unsaved);
    assert_eq!(session.last_input(), MonoMs(0), "a save may be automatic, and is no input");
    assert_eq!(given(&mut session, &[(3, Signal::Saved)]), Outcome::Changed);
}

#[test]
fn waking_early_or_twice_is_a_no_op() {
    let signals = [
        (5, Signal::Typing),
        (40, Signal::Unsaved),
        (300, Signal::Hidden),
        (1_200, Signal::Shown),
        (2_500, Signal::Lost),
        (2_900, Signal::Resumed),
        (3_000, Signal::Lost),
        (3_600, Signal::Input),
    ];
    let mut calm = session();
    let mut restless = session();
    for now in 0..4_000 {
        let due = calm.next_deadline().is_some_and(|at| at.0 <= now);
        let calm_outcome = if due { calm.handle_timeout(MonoMs(now)) } else { Outcome::Unchanged };
        assert_eq!(restless.handle_timeout(MonoMs(now)), calm_outcome);
        assert_eq!(restless.handle_timeout(MonoMs(now)), Outcome::Unchanged);
        for &(_, signal) in signals.iter().filter(|&&(at, _)| at == now) {
            assert_eq!(calm.handle(MonoMs(now), signal), restless.handle(MonoMs(now), signal));
        }
        assert_eq!(calm.shown(), restless.shown(), "at {now}");
        assert_eq!(calm.next_deadline(), restless.next_deadline(), "at {now}");
        assert!(calm.next_deadline().is_none_or(|at| at.0 > now), "what is due has been done");
    }
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut session = session();
    let _ = given(&mut session, &[(900, Signal::Input), (100, Signal::Input)]);
    assert_eq!((session.last_input(), session.next_deadline()), (MonoMs(900), Some(MonoMs(1_900))));
}

#[test]
fn a_span_of_zero_is_over_as_it_begins() {
    let zero = LivenessConfig { idle_after_ms: 0, grace_ms: 0, typing_for_ms: 0 };
    let mut session = Liveness::new(zero, MonoMs(7));
    assert_eq!((status(&session), session.next_deadline()), (Status::Idle, None));
    assert_eq!(given(&mut session, &[(8, Signal::Typing)]), Outcome::Changed, "idle since 8");
    assert_eq!(activity(&session), Activity::Viewing);
    assert_eq!(given(&mut session, &[(9, Signal::Lost)]), Outcome::Expired);
}

#[test]
fn spans_that_reach_past_the_end_of_time_never_end() {
    let endless =
        LivenessConfig { idle_after_ms: u64::MAX, grace_ms: u64::MAX, typing_for_ms: u64::MAX };
    let mut session = Liveness::new(endless, MonoMs(5));
    let _ = given(&mut session, &[(6, Signal::Typing), (7, Signal::Lost)]);
    assert_eq!(session.handle_timeout(MonoMs(u64::MAX - 1)), Outcome::Unchanged);
}
