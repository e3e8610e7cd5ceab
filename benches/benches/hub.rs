//! What a shard costs: people who join one topic together, and a broadcast to all of them.
//!
//! The unit is one join, or one delivery.
//!
//! Command: `cargo xtask bench hub`.

use std::hint::black_box;

use bytes::Bytes;
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::row::{Comparison, Row};
use penholder_benches::timing::{Timed, timed};
use penholder_hub::{
    AtJoin, Audience, Broadcast, Config, Content, Hub, Input, Join, MemberId, Now, Output,
    ResumeClaim, TopicOptions, Viewer,
};
use penholder_presence::{
    Incarnation, Key, Kind, LivenessConfig, Mode, MonoMs, PriorityPolicy, ReplicaConfig, ReplicaId,
    SessionId, WallMs,
};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{EventName, Json, Limits, PresenceMode, Ref, TopicName, Wire};

const WINDOW_MS: u64 = 20;

fn main() {
    let asked = Asked::from_args();
    let is_smoke = asked.effort == Effort::Smoke;
    let (storms, crowds): (&[u64], &[u64]) =
        if is_smoke { (&[100], &[10]) } else { (&[100, 1_000, 10_000], &[10, 1_000]) };
    let mut comparison = Comparison::new(asked);
    for &count in storms {
        let row = Row::new("storm", count, move || move || timed(count, || storm(count)).0);
        comparison
            .add(row.beside("at once", move || move || timed(count, || storm_at_once(count)).0));
    }
    for &count in crowds {
        let row = Row::new("broadcast", count, move || broadcasts(count));
        comparison.add(row.beside("clones", move || clones(count)));
    }
}

fn hub() -> Hub {
    let defaults = TopicOptions {
        diff_window_ms: WINDOW_MS,
        full_max: 200,
        liveness: LivenessConfig::default(),
        priority: PriorityPolicy::default(),
    };
    let config = Config {
        replica: ReplicaId::new("bench", Incarnation(1)),
        previous: Vec::new(),
        seeds: (1, 2),
        gossip: ReplicaConfig::alone(),
        defaults,
        namespaces: Default::default(),
        limits: Limits::default(),
    };
    let sign = |claim: &ResumeClaim| format!("{}.{}", claim.session, claim.generation);
    Hub::new(config, sign, at(0))
}

fn topic() -> TopicName {
    TopicName::parse("doc:1").expect("a topic")
}

fn join(number: u64) -> Input {
    let profile = format!(
        r#"{{"id":"user-{number}","name":"Person {number}","role":"agent","kind":"human","avatar":null}}"#
    );
    Input::Join(Box::new(Join {
        member: MemberId(number),
        wire: Wire::V2,
        dialect: Dialect::Phoenix,
        topic: topic(),
        join_ref: Some(Ref::counter(1)),
        reference: Some(Ref::counter(1)),
        replaces: None,
        viewer: Viewer {
            key: Key::from(format!("user-{number}")),
            kind: Kind::Human,
            profile: Bytes::from(profile),
        },
        mode: Mode::Edit,
        presence: PresenceMode::Show,
        custom: Bytes::from_static(b"{}"),
        session: SessionId::from(format!("session-{number}")),
        resume: None,
        since: None,
        audience: Audience::Public,
        stream: AtJoin::None,
    }))
}

fn at(ms: u64) -> Now {
    Now { mono: MonoMs(ms), wall: WallMs(1_700_000_000_000 + ms) }
}

/// Takes what the hub has to do, and returns to how many it delivers.
fn drain(hub: &mut Hub) -> u64 {
    let mut deliveries = 0;
    while let Some(output) = hub.poll_output() {
        if let Output::Deliver { to, frame } = black_box(output) {
            deliveries += to.len() as u64;
            black_box(frame);
        }
    }
    deliveries
}

/// `count` people join one topic within ten windows, until each has the list.
fn storm(count: u64) -> Hub {
    let (mut hub, mut deliveries) = (hub(), 0);
    for number in 1..=count {
        hub.handle(at(number * 10 * WINDOW_MS / count), join(number));
        deliveries += drain(&mut hub);
    }
    hub.handle(at(12 * WINDOW_MS), Input::Tick);
    deliveries += drain(&mut hub);
    // A reply and a snapshot, and no more than a diff and a summary a window.
    assert!((count * 2..=count * 30).contains(&deliveries), "{deliveries} deliveries");
    hub
}

/// The same as it is without windows: a newcomer gets the whole list, everybody else each join.
fn storm_at_once(count: u64) -> u64 {
    let (mut members, mut bytes) = (Vec::new(), 0);
    for number in 1..=count {
        let member = format!(
            r#""user-{number}":{{"metas":[{{"id":"user-{number}","name":"Person {number}","phx_ref":"bench.1.{number}","online_at":{number}}}]}}"#
        );
        members.push(member);
        let list = format!(r#"["1","1","doc:1","presence_state",{{{}}}]"#, members.join(","));
        let joined = &members[members.len() - 1];
        let diff = format!(
            r#"[null,null,"doc:1","presence_diff",{{"joins":{{{joined}}},"leaves":{{}}}}]"#
        );
        let diff = Bytes::from(diff);
        bytes += black_box(list).len() as u64;
        for _ in 1..number {
            bytes += black_box(diff.clone()).len() as u64;
        }
    }
    bytes
}

/// Broadcasts of one event to `count` members.
fn broadcasts(count: u64) -> impl FnMut() -> Timed {
    const EVENTS: u64 = 16;
    let mut hub = storm(count);
    let event = EventName::parse("moved").expect("a name");
    let payload = Content::Json(Json::empty_object());
    move || {
        let publish = || {
            for _ in 0..EVENTS {
                let broadcast = Broadcast { event: event.clone(), payload: payload.clone() };
                hub.handle(at(1_000), Input::Publish { topic: topic(), broadcast });
                assert_eq!(drain(&mut hub), count, "each gets it");
            }
        };
        timed(EVENTS * count, publish).0
    }
}

/// The least that can be done: a frame is encoded, and named beside each of its receivers.
fn clones(count: u64) -> impl FnMut() -> Timed {
    let mut deliveries = Vec::new();
    let publish = move || {
        let frame = Bytes::from(format!(r#"[null,null,"doc:{count}","moved",{{}}]"#));
        deliveries.extend((0..count).map(|member| (MemberId(member), frame.clone())));
        black_box(&deliveries);
        deliveries.clear();
    };
    let mut publish = publish;
    move || timed(count, &mut publish).0
}
