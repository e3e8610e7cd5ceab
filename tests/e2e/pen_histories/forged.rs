//! Runs that are forged: each checker of a run must find its mistake.

use anyhow::{Context, Result};
use penholder_evidence::{Ask, Logged, Model, Outcome, Written, judge};
use penholder_lease::{Fence, StoreMs};
use serde_json::{Value, json};

use super::record::{Call, Moment, check_fences, check_reads, history, number};
use super::{DRAIN_MS, TTL_MS};

/// When the forged runs begin, by the clock of the store. Unit: milliseconds.
const BEGIN: u64 = 1_000_000;

fn call(person: &str, ask: Ask, (from, to): (u64, u64), outcome: Option<Outcome>) -> Call {
    let ended = outcome.map(|outcome| (Moment::of_ms(BEGIN + to), outcome));
    let (thread, session) = (u64::from(person.as_bytes()[0]), format!("http:{person}"));
    let (person, began) = (person.to_owned(), Moment::of_ms(BEGIN + from));
    Call { thread, topic: "doc:1", ask, person, session, began, ended }
}

fn own(fence: u64, granted: u64) -> Option<Outcome> {
    Some(Outcome::Own(Fence(fence), StoreMs(BEGIN + granted + TTL_MS)))
}

/// An event of the log as the server words it.
fn told(kind: &str, person: &str, (fence, at): (u64, u64)) -> Value {
    let by = json!({"id": person, "name": person, "kind": "human"});
    let is_held = kind == "granted";
    let held = |value: Value| if is_held { value } else { Value::Null };
    json!({"type": kind, "rule": if is_held { "free" } else { kind }, "by": by,
        "fence": fence.to_string(), "at": BEGIN + at,
        "pen": {"state": if is_held { "held" } else { "free" }, "holder": held(by),
            "session": held(json!(format!("http:{person}"))), "fence": fence.to_string(),
            "since": held(json!(BEGIN + at)), "deadline": held(json!(BEGIN + at + TTL_MS)),
            "queue": []}})
}

fn log(events: Vec<Value>) -> Result<Vec<Logged>> {
    let numbered = events.into_iter().zip(1..).map(|(mut event, seq)| {
        event["seq"] = json!(seq);
        serde_json::from_value(event).context("no event")
    });
    numbered.collect()
}

/// Which of the checkers has found something.
fn found(calls: &[Call], events: Vec<Value>, saves: &[(i64, i64)]) -> Result<Vec<&'static str>> {
    let log = log(events)?;
    let written = saves.iter().map(|&(n, fence)| Written { n, fence, at_ms: None });
    let written: Vec<_> = written.collect();
    let is_linearizable = history(calls, &log, Model::new(TTL_MS, DRAIN_MS))?.is_linearizable();
    let verdicts = [
        ("judge", judge(&log, &written, 0).is_err()),
        ("fences", check_fences(calls, &log).is_err()),
        ("reads", check_reads(calls, &log).is_err()),
        ("history", !is_linearizable),
    ];
    Ok(verdicts.into_iter().filter(|(_, is_found)| *is_found).map(|(name, _)| name).collect())
}

#[test]
fn run_without_a_mistake_is_accepted() -> Result<()> {
    let calls = [
        call("ann", Ask::Acquire, (0, 60), own(1, 30)),
        call("bob", Ask::Acquire, (100, 160), Some(Outcome::Held)),
        call("ann", Ask::Release(Fence(1)), (200, 260), None),
        call("bob", Ask::Acquire, (300, 360), own(2, 330)),
    ];
    let events = vec![
        told("granted", "ann", (1, 30)),
        told("released", "ann", (1, 230)),
        told("granted", "bob", (2, 330)),
    ];
    assert_eq!(found(&calls, events, &[(1, 1), (2, 2)])?, [""; 0]);
    Ok(())
}

#[test]
fn fence_that_is_given_twice_is_found() -> Result<()> {
    let calls = [
        call("ann", Ask::Acquire, (0, 60), own(1, 30)),
        call("bob", Ask::Acquire, (1_100, 1_160), own(1, 1_130)),
    ];
    let events = vec![told("granted", "ann", (1, 30)), told("granted", "bob", (1, 1_130))];
    assert_eq!(found(&calls, events, &[])?, ["judge", "fences", "history"]);
    Ok(())
}

#[test]
fn grants_that_overlap_are_found() -> Result<()> {
    let calls = [
        call("ann", Ask::Acquire, (0, 60), own(1, 30)),
        call("bob", Ask::Acquire, (900, 960), own(2, 930)),
    ];
    let events = vec![told("granted", "ann", (1, 30)), told("granted", "bob", (2, 930))];
    assert_eq!(found(&calls, events, &[])?, ["judge", "history"]);
    Ok(())
}

#[test]
fn release_that_was_answered_and_lost_is_found() -> Result<()> {
    let calls = [
        call("ann", Ask::Acquire, (0, 60), own(1, 30)),
        call("ann", Ask::Release(Fence(1)), (200, 260), Some(Outcome::Done)),
        call("bob", Ask::Acquire, (300, 360), Some(Outcome::Held)),
    ];
    assert_eq!(found(&calls, vec![told("granted", "ann", (1, 30))], &[])?, ["history"]);
    Ok(())
}

#[test]
fn grant_that_the_log_does_not_know_is_found() -> Result<()> {
    let calls = [call("ann", Ask::Acquire, (0, 60), own(1, 30))];
    assert_eq!(found(&calls, Vec::new(), &[])?, ["fences"]);
    Ok(())
}

#[test]
fn reading_what_was_not_so_is_found() -> Result<()> {
    let (ann, bob) = (Some("ann"), Some("bob"));
    for (at, who, fence, is_so) in [
        (0, None, 0, true),
        (0, ann, 1, false),
        (40, ann, 1, true),
        (40, bob, 1, false),
        (40, ann, 2, false),
        // Before the deadline it was hers, whatever a reader saw late.
        (900, None, 1, false),
        (1_200, None, 1, true),
        (1_200, ann, 1, false),
        // What is written over may be seen for a while.
        (1_600, None, 1, true),
        (1_600, bob, 2, true),
        (4_700, None, 1, false),
        (4_700, None, 2, true),
    ] {
        let seen = Outcome::Holder(who.map(|name| number(&format!("http:{name}"))), Fence(fence));
        let calls = [call("carl", Ask::Read, (at, at + 1), Some(seen))];
        let events = vec![told("granted", "ann", (1, 30)), told("granted", "bob", (2, 1_500))];
        let expected = if is_so { vec![] } else { vec!["reads"] };
        assert_eq!(found(&calls, events, &[])?, expected, "{who:?} under {fence} at {at}");
    }
    Ok(())
}

#[test]
fn save_that_goes_back_is_found() -> Result<()> {
    let calls = [
        call("ann", Ask::Acquire, (0, 60), own(1, 30)),
        call("bob", Ask::Acquire, (1_100, 1_160), own(2, 1_130)),
        call("bob", Ask::Save(Fence(2)), (1_200, 1_210), Some(Outcome::Done)),
        call("ann", Ask::Save(Fence(1)), (1_300, 1_310), Some(Outcome::Done)),
    ];
    let events = vec![told("granted", "ann", (1, 30)), told("granted", "bob", (2, 1_130))];
    assert_eq!(found(&calls, events, &[(1, 2), (2, 1)])?, ["judge", "history"]);
    Ok(())
}
