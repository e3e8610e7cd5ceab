//! The presence set at 10³, 10⁴ and 10⁵ presences, ten to a topic, 100 bytes of names each.
//!
//! Each operation is timed alone, in batches that are undone untimed, so that the set keeps its size.
//! Deltas to be merged are decoded from bytes, as a replica gets them.
//!
//! Goals, at any size: track and untrack 1 µs, list of ten 1 µs, merge of one join 5 µs and of a
//! hundred 100 µs, merge of a full state 0.5 µs and replica down 0.3 µs an entry.
//!
//! Command: `cargo bench -p penholder-benches --bench presence`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use penholder_presence::{
    Context, Delta, Incarnation, Joining, Key, Meta, MonoMs, PresenceSet, Replica, ReplicaConfig,
    ReplicaId, ReplicaInput, ReplicaName, ReplicaOutput, SessionId, Topic, WallMs,
};

const SIZES: [u64; 3] = [1_000, 10_000, 100_000];
const PER_TOPIC: u64 = 10;
/// How many operations are timed in a row.
const BATCH: u64 = 256;

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Names of the `n`th presence: 44, 36 and 20 bytes.
fn names(topic: u64, n: u64) -> (Topic, Key, SessionId) {
    let topic = format!("tickets:0197f3a2-5b1c-7d4e-8f90-{topic:012}");
    let key = format!("0197f3a2-5b1c-7d4e-9a00-{n:012}");
    (Topic::from(topic), Key::from(key), SessionId::from(format!("{n:020}")))
}

fn meta(n: u64) -> Meta {
    Meta { joined_at: WallMs(1_790_000_000_000 + n * 7), ..Meta::default() }
}

fn empty(name: &str) -> PresenceSet {
    PresenceSet::new(ReplicaId::new(name, Incarnation(1_790_000_000_000)), 42)
}

/// Spreads consecutive numbers over all topics, so that no two in a row are neighbours.
fn scattered(n: u64, topics: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % topics
}

fn track(set: &mut PresenceSet, topic: u64, n: u64) -> Delta {
    let (topic, key, session) = names(topic, n);
    set.track(topic, key, session, meta(n)).expect("each session is tracked once").delta
}

/// A set with `size` presences of its own.
fn filled(name: &str, size: u64) -> PresenceSet {
    let mut set = empty(name);
    for n in 0..size {
        track(&mut set, scattered(n, size / PER_TOPIC), n);
    }
    set
}

fn observer_of(set: &PresenceSet) -> PresenceSet {
    let mut observer = empty("observer");
    black_box(observer.merge(received(&set.full_state())));
    observer
}

fn received(delta: &Delta) -> Delta {
    Delta::decode(&delta.encode()).expect("a delta survives the wire")
}

/// Times `timed` in batches of numbers from `size` on, and calls `undo` for each batch.
fn batches<S>(
    iterations: u64,
    set: &mut S,
    mut timed: impl FnMut(&mut S, std::ops::Range<u64>) -> Duration,
    mut undo: impl FnMut(&mut S, std::ops::Range<u64>),
) -> Duration {
    let (mut spent, mut done) = (Duration::ZERO, 0);
    while done < iterations {
        let batch = 0..BATCH.min(iterations - done);
        done += batch.end;
        spent += timed(set, batch.clone());
        undo(set, batch);
    }
    spent
}

fn bench_track(group: &mut Group<'_>, size: u64) {
    let topics = size / PER_TOPIC;
    let mut set = filled("a", size);
    let fresh = |n: u64| names(scattered(n, topics), size + n);
    group.bench_function(BenchmarkId::new("track", size), |b| {
        b.iter_custom(|iterations| {
            let timed = |set: &mut PresenceSet, batch: std::ops::Range<u64>| {
                let given: Vec<_> = batch.map(|n| (fresh(n), meta(size + n))).collect();
                let mut changes = Vec::with_capacity(given.len());
                let start = Instant::now();
                for ((topic, key, session), meta) in given {
                    changes.push(set.track(topic, key, session, meta));
                }
                start.elapsed()
            };
            batches(iterations, &mut set, timed, |set, batch| {
                for (topic, _, session) in batch.map(fresh) {
                    let _ = black_box(set.untrack(&topic, &session));
                }
            })
        });
    });
}

fn bench_untrack(group: &mut Group<'_>, size: u64) {
    let topics = size / PER_TOPIC;
    let mut set = filled("a", size);
    let present = |n: u64| {
        // A prime step meets each of a power of ten before any twice.
        let n = n * 7_919 % size;
        (n, scattered(n, topics))
    };
    group.bench_function(BenchmarkId::new("untrack", size), |b| {
        b.iter_custom(|iterations| {
            let timed = |set: &mut PresenceSet, batch: std::ops::Range<u64>| {
                let given: Vec<_> = batch.map(|n| names(present(n).1, present(n).0)).collect();
                let mut changes = Vec::with_capacity(given.len());
                let start = Instant::now();
                for (topic, _, session) in &given {
                    changes.push(set.untrack(topic, session));
                }
                let spent = start.elapsed();
                assert!(changes.iter().all(|change| !change.is_empty()), "each was there");
                spent
            };
            batches(iterations, &mut set, timed, |set, batch| {
                for (n, topic) in batch.map(present) {
                    black_box(track(set, topic, n));
                }
            })
        });
    });
}

fn bench_list(group: &mut Group<'_>, size: u64) {
    let topics = size / PER_TOPIC;
    let set = filled("a", size);
    let names: Vec<_> = (0..BATCH).map(|n| names(scattered(n, topics), n).0).collect();
    let mut next = names.iter().cycle();
    group.bench_function(BenchmarkId::new("list_10", size), |b| {
        b.iter(|| {
            let topic = next.next().expect("a cycle never ends");
            set.list(topic).map(|presence| presence.meta.joined_at.0).fold(0, u64::wrapping_add)
        });
    });
}

/// Merges deltas of `joins` joins each.
fn bench_merge(group: &mut Group<'_>, size: u64, joins: u64) {
    let topics = size / PER_TOPIC;
    let mut sets = {
        let source = filled("a", size);
        (observer_of(&source), source)
    };
    // Fewer at a time, so that the set keeps its size.
    let at_once = BATCH / joins + 4;
    let sessions = |n: u64| (n * joins..(n + 1) * joins).map(|n| (scattered(n, topics), size + n));
    group.throughput(Throughput::Elements(joins));
    group.bench_function(BenchmarkId::new(format!("merge_{joins}"), size), |b| {
        b.iter_custom(|iterations| {
            let (mut spent, mut done) = (Duration::ZERO, 0);
            while done < iterations {
                let batch = at_once.min(iterations - done);
                done += batch;
                let (observer, source) = &mut sets;
                let deltas: Vec<_> = (0..batch)
                    .map(|n| {
                        let mut delta = Delta::default();
                        sessions(n).for_each(|(topic, n)| delta.join(track(source, topic, n)));
                        received(&delta)
                    })
                    .collect();
                let mut diffs = Vec::with_capacity(deltas.len());
                let start = Instant::now();
                for delta in deltas {
                    diffs.push(observer.merge(delta));
                }
                spent += start.elapsed();
                for (topic, n) in (0..batch).flat_map(sessions) {
                    let (topic, _, session) = names(topic, n);
                    black_box(observer.merge(source.untrack(&topic, &session).delta));
                }
            }
            spent
        });
    });
    group.throughput(Throughput::Elements(1));
}

fn bench_whole(group: &mut Group<'_>, size: u64) {
    let source = filled("a", size);
    let bytes = source.full_state().encode();
    let mut observer = observer_of(&source);
    let name = ReplicaName::from("a");
    group.sample_size(10).throughput(Throughput::Elements(size));
    group.bench_function(BenchmarkId::new("merge_full_state", size), |b| {
        b.iter_batched(
            || (empty("observer"), Delta::decode(&bytes).expect("it survives the wire")),
            |(mut set, delta)| (set.merge(delta), set),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function(BenchmarkId::new("replica_down", size), |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let start = Instant::now();
                let diff = observer.replica_down(&name);
                spent += start.elapsed();
                black_box((diff, observer.replica_up(&name)));
            }
            spent
        });
    });
    group.bench_function(BenchmarkId::new("encode_full_state", size), |b| {
        let state = source.full_state();
        b.iter(|| state.encode());
    });
    group.bench_function(BenchmarkId::new("decode_full_state", size), |b| {
        b.iter_with_large_drop(|| Delta::decode(&bytes));
    });
    group.sample_size(100).throughput(Throughput::Elements(1));
}

fn bench_context(c: &mut Criterion) {
    let digest = |seen: &Context| seen.covers(black_box(seen));
    let set = filled("a", SIZES[0]);
    c.bench_function("presence/context_covers", |b| b.iter(|| digest(set.context())));
}

/// A replica with `size` presences of its own, and one that hears it and has none of them.
fn replicas(size: u64) -> (Replica, Replica) {
    let replica = |name| {
        let id = ReplicaId::new(name, Incarnation(1_790_000_000_000));
        Replica::new(ReplicaConfig::default(), id, (42, 7), MonoMs(0))
    };
    let (mut source, mut newcomer) = (replica("a"), replica("b"));
    for n in 0..size {
        let (topic, key, session) = names(scattered(n, size / PER_TOPIC), n);
        let joining = Joining { topic, key, session, meta: meta(n) };
        black_box(source.track(MonoMs(0), joining).expect("each session is tracked once"));
    }
    for message in sent(&mut newcomer) {
        source.handle(MonoMs(0), ReplicaInput::Message(&message));
    }
    black_box(sent(&mut source));
    (source, newcomer)
}

fn sent(replica: &mut Replica) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| replica.poll_output());
    let sent = outputs.filter_map(|output| match output {
        ReplicaOutput::Send { message, .. } => Some(message),
        _ => None,
    });
    sent.collect()
}

/// A newcomer gets everything: a heartbeat, a request, and the answer, from first byte to last.
fn bench_newcomer(group: &mut Group<'_>, size: u64) {
    group.sample_size(10).throughput(Throughput::Elements(size));
    group.bench_function(BenchmarkId::new("newcomer", size), |b| {
        b.iter_batched(
            || replicas(size),
            |(mut source, mut newcomer)| {
                let now = MonoMs(1_500);
                source.handle(now, ReplicaInput::Tick);
                let mut to_newcomer = sent(&mut source);
                while !to_newcomer.is_empty() {
                    for message in to_newcomer.drain(..) {
                        newcomer.handle(now, ReplicaInput::Message(&message));
                    }
                    for message in sent(&mut newcomer) {
                        source.handle(now, ReplicaInput::Message(&message));
                    }
                    to_newcomer = sent(&mut source);
                }
                assert_eq!(newcomer.footprint().entries as u64, size);
                (source, newcomer)
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.sample_size(100).throughput(Throughput::Elements(1));
}

fn presence(c: &mut Criterion) {
    let mut group = c.benchmark_group("presence");
    for size in SIZES {
        bench_track(&mut group, size);
        bench_untrack(&mut group, size);
        bench_list(&mut group, size);
        bench_merge(&mut group, size, 1);
        bench_merge(&mut group, size, 100);
        bench_whole(&mut group, size);
        bench_newcomer(&mut group, size);
    }
    group.finish();
    bench_context(c);
}

criterion_group!(benches, presence);
criterion_main!(benches);
