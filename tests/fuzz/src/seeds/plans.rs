//! What happens in a cluster with outsiders.

use super::traffic;
use crate::replica::{Body, Entry, Interval, Life, Plan, Speech, Step, Want};

/// The places of names in a plan: outsiders first.
const X: u8 = 0;
const Y: u8 = 1;
const NORTH: u8 = 3;

/// Messages that fit into an input.
const TALK_MAX: usize = 40;

pub(super) fn all() -> Vec<(String, Vec<u8>)> {
    let honest = |steps| Plan { lies: false, third: false, steps };
    let third = |steps| Plan { lies: false, third: true, steps };
    let lying = |steps| Plan { lies: true, third: true, steps };
    [
        ("members", third(members())),
        ("crowd", third(crowd())),
        ("outsider", honest(outsider())),
        ("outsider-third", third(outsider())),
        ("outsider-state", honest(state())),
        ("outsider-asks", honest(asks())),
        ("outsider-restarts", honest(restarts())),
        ("outsider-talk", honest(talk())),
        ("lies", lying(lies())),
    ]
    .map(|(name, plan)| (name.to_owned(), plan.encode()))
    .to_vec()
}

fn members() -> Vec<Step> {
    let mut steps = Vec::new();
    for n in 0..8 {
        steps.push(Step::Come { at: n % 3, topic: n % 2, session: n });
        steps.push(Step::Wait { units: 10 + n });
    }
    steps.extend([
        Step::Cut { from: 0, to: 1 },
        Step::Come { at: 0, topic: 0, session: 3 },
        Step::Wait { units: 60 },
        Step::Lose,
        Step::Join,
        Step::Go { at: 2, session: 2 },
        Step::Restart { at: 1, says: 2 },
        Step::Wait { units: 30 },
        Step::Echo { at: 0, message: 2, edits: Vec::new() },
        Step::Restart { at: 0, says: 0 },
    ]);
    steps
}

/// A state of several chunks, some of which are lost.
fn crowd() -> Vec<Step> {
    let mut steps = vec![Step::Cut { from: 0, to: 1 }, Step::Cut { from: 0, to: 2 }];
    let sessions = (0..24).map(|n| Step::Come { at: 0, topic: n / 8, session: n % 8 });
    steps.extend(sessions.flat_map(|come| [come, Step::Wait { units: 8 }]));
    steps.extend([Step::Join, Step::Wait { units: 26 }, Step::Lose, Step::Wait { units: 20 }]);
    steps
}

fn say(body: Body) -> Step {
    Step::Say { at: 0, speech: Speech { name: X, incarnation: 1, skip: 1, body } }
}

fn life(name: u8, upto: u64) -> Life {
    Life { name, incarnation: 1, upto, cloud: Vec::new() }
}

fn heartbeat(lives: &[(u8, u64)]) -> Step {
    let digest = lives.iter().map(|&(name, upto)| (life(name, upto), 10)).collect();
    say(Body::Heartbeat { digest, farewells: Vec::new() })
}

/// Operations of an outsider, each of which adds an entry.
fn interval(name: u8, first: u64, last: u64) -> Interval {
    let entry = |(n, session)| Entry {
        skip: if n == first { first - 1 } else { 0 },
        flags: 0,
        topic: 1,
        session,
        joined: 5,
        custom: 9,
        generation: 0,
    };
    let covers = match first {
        1 => life(name, last),
        _ => Life { cloud: vec![(first - 2, last - first)], ..life(name, 0) },
    };
    Interval { first, last, covers, entries: (first..=last).zip(4..).map(entry).collect() }
}

/// An outsider behaves as a replica would, and comes late with what it did first.
fn outsider() -> Vec<Step> {
    vec![
        Step::Come { at: 1, topic: 1, session: 5 },
        heartbeat(&[(X, 2)]),
        say(Body::Deltas(vec![interval(X, 3, 4)])),
        Step::Wait { units: 12 },
        say(Body::Deltas(vec![interval(X, 1, 2)])),
        heartbeat(&[(X, 4), (Y, 2)]),
        Step::Wait { units: 40 },
        say(Body::Heartbeat {
            digest: vec![(life(X, 4), 0)],
            farewells: vec![(X, 1, 700), (Y, 1, 0)],
        }),
        Step::Wait { units: 20 },
    ]
}

fn state() -> Vec<Step> {
    let repair =
        |first, last| Body::Repair { as_of: 6, base: 0, interval: interval(X, first, last) };
    vec![
        heartbeat(&[(X, 6)]),
        say(repair(4, 6)),
        Step::Wait { units: 12 },
        say(repair(4, 6)),
        say(repair(1, 3)),
        say(Body::Deltas(vec![interval(X, 7, 8)])),
        Step::Wait { units: 12 },
    ]
}

fn asks() -> Vec<Step> {
    let mut steps: Vec<_> =
        (0..20).map(|n| Step::Come { at: 0, topic: n / 8, session: n % 8 }).collect();
    let want = |have, staged| Want { name: NORTH, incarnation: 1, have, staged };
    steps.extend([
        say(Body::Ask { reads: 1, digest: vec![life(NORTH, 3)] }),
        say(Body::Request(vec![want(0, None)])),
        Step::Wait { units: 10 },
        say(Body::Request(vec![want(5, Some((20, vec![(6, 3), (12, 8)])))])),
        say(Body::Request((0..60).map(|_| want(0, None)).collect())),
        say(Body::Request(vec![want(0, Some((20, vec![(1, 19); 60])))])),
        say(Body::Later { version: 9, kind: 2, rest: vec![1, 2, 3] }),
    ]);
    steps
}

fn restarts() -> Vec<Step> {
    let again = |incarnation, skip| Step::Say {
        at: 0,
        speech: Speech { name: X, incarnation, skip, body: Body::Deltas(vec![interval(X, 1, 2)]) },
    };
    vec![
        again(1, 1),
        again(1, 0),
        heartbeat(&[(X, 2)]),
        Step::Wait { units: 90 },
        Step::Say {
            at: 1,
            speech: Speech {
                name: X,
                incarnation: 2,
                skip: 1,
                body: Body::Heartbeat { digest: Vec::new(), farewells: vec![(X, 2, 0)] },
            },
        },
        Step::Wait { units: 120 },
        again(1, 1),
        again(3, 1),
    ]
}

/// What two real replicas have said, heard by the members.
fn talk() -> Vec<Step> {
    let talk = traffic::talk("x", "y").into_iter().step_by(2).take(TALK_MAX);
    let hear = talk.map(|message| Step::Hear { at: 0, bytes: message.to_vec() });
    hear.flat_map(|hear| [hear, Step::Wait { units: 4 }]).collect()
}

fn lies() -> Vec<Step> {
    let mut steps = members();
    steps.extend([
        Step::Echo { at: 1, message: 3, edits: vec![(1, 2), (9, 40)] },
        Step::Echo { at: 0, message: 7, edits: vec![(10, 3)] },
        heartbeat(&[(NORTH, 40), (NORTH + 1, 2), (X, 4)]),
        say(Body::Deltas(vec![interval(NORTH, 1, 3), interval(NORTH + 1, 1, 2)])),
        Step::Wait { units: 50 },
    ]);
    steps
}
