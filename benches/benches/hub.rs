//! What a shard costs: people who join one topic together, and a broadcast to all of them.
//!
//! Command: `cargo bench -p penholder-benches --bench hub`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use penholder_hub::{
    Broadcast, Config, Content, Hub, Input, Join, MemberId, Now, ResumeClaim, TopicOptions, Viewer,
};
use penholder_presence::{
    Incarnation, Key, Kind, LivenessConfig, Mode, MonoMs, PriorityPolicy, ReplicaConfig, ReplicaId,
    SessionId, WallMs,
};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{EventName, Json, Limits, PresenceMode, Ref, TopicName, Wire};

const WINDOW_MS: u64 = 20;

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
    }))
}

fn at(ms: u64) -> Now {
    Now { mono: MonoMs(ms), wall: WallMs(1_700_000_000_000 + ms) }
}

fn drain(hub: &mut Hub) {
    while let Some(output) = hub.poll_output() {
        black_box(output);
    }
}

/// `count` people join one topic within ten windows, until each has the list.
fn storm(count: u64) -> Hub {
    let mut hub = hub();
    for number in 1..=count {
        hub.handle(at(number * 10 * WINDOW_MS / count), join(number));
        drain(&mut hub);
    }
    hub.handle(at(12 * WINDOW_MS), Input::Tick);
    drain(&mut hub);
    hub
}

fn joins(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/storm");
    group.sample_size(10);
    for count in [100, 1_000, 10_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |b, &count| {
            b.iter_batched(|| (), |()| storm(count), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn broadcasts(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/broadcast");
    for count in [10, 1_000] {
        let mut hub = storm(count);
        let event = EventName::parse("moved").expect("a name");
        let payload = Content::Json(Json::empty_object());
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let broadcast = Broadcast { event: event.clone(), payload: payload.clone() };
                hub.handle(at(1_000), Input::Publish { topic: topic(), broadcast });
                drain(&mut hub);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, joins, broadcasts);
criterion_main!(benches);
