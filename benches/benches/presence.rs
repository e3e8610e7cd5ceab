//! The presence set at 10³, 10⁴ and 10⁵ presences, ten to a topic, 100 bytes of names each.
//!
//! Each operation is timed alone, in batches that are undone untimed, so that the set keeps its size.
//! Deltas to be merged are decoded from bytes, as a replica gets them. What returns is freed untimed.
//!
//! Beside ours run a map that does not replicate, a naive set that looks at all its entries in each
//! merge, and where it says more, a simpler way to the same end.
//!
//! Command: `cargo xtask bench presence`.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

use std::hint::black_box;

use bytes::Bytes;
use penholder_benches::cluster::Cluster;
use penholder_benches::contender::{Presences, Replicated};
use penholder_benches::effort::Asked;
use penholder_benches::flat;
use penholder_benches::map::Map;
use penholder_benches::people::{Names, PER_TOPIC, meta, names, person, scattered, topic_name};
use penholder_benches::row::{Comparison, Row};
use penholder_benches::scan::Scan;
use penholder_benches::table::{self, Table};
use penholder_benches::timing::{Timed, timed};
use penholder_presence::{
    Activity, Delta, Incarnation, Joining, Meta, MonoMs, PresenceSet, Replica, ReplicaConfig,
    ReplicaId, ReplicaInput, ReplicaName, ReplicaOutput,
};

/// How many operations are timed in a row.
const BATCH: u64 = 256;
/// How many replicas share the presences of a digest.
const REPLICAS: usize = 7;

fn main() {
    let asked = Asked::from_args();
    let sizes = asked.sizes();
    if !asked.is_counting && asked.counted.is_none() && asked.wants("on the wire") {
        on_the_wire(sizes);
    }
    let mut comparison = Comparison::new(asked);
    for &size in sizes {
        local(&mut comparison, size);
        merges(&mut comparison, size);
        wholes(&mut comparison, size);
        digests(&mut comparison, size);
    }
}

/// Prints how many bytes travel.
fn on_the_wire(sizes: &[u64]) {
    let columns =
        [("on the wire", 28), ("presences", 9), ("bytes", 10), ("beside it", 28), ("goal", 24)];
    let table = Table::new(&columns);
    for &size in sizes {
        let state = PresenceSet::filled("a", size).full_state();
        let flat = flat_bytes(&state).len() as f64;
        let all = state.encode().len() as f64;
        let each = all / size as f64;
        let verdict = if each <= 90.0 { "met" } else { "missed" };
        table.row([
            "full state, per presence".to_owned(),
            table::count(size),
            table::bytes(each),
            format!("flat {}", table::ratio(flat / all)),
            format!("≤ 90 B: {verdict}"),
        ]);
        let one = received_join(size).encode().len() as f64;
        table.row([
            "delta of 1 join".to_owned(),
            table::count(size),
            table::bytes(one),
            format!("full state {}", table::ratio(all / one)),
            String::new(),
        ]);
        for replicas in [3, 7] {
            let (mut now, mut replicas_of) = agreed(replicas, size);
            let heartbeat = heartbeats(&mut replicas_of[0], &mut now, 1)[0].len() as f64;
            table.row([
                format!("heartbeat of {replicas} replicas"),
                table::count(size),
                table::bytes(heartbeat),
                format!("full state {}", table::ratio(all / heartbeat)),
                String::new(),
            ]);
        }
    }
    println!();
}

/// A delta of one join, of a replica that has done `size` operations before.
fn received_join(size: u64) -> Delta {
    let mut set = PresenceSet::filled("a", size);
    Presences::track(&mut set, names(1, size), meta(size)).delta
}

/// What one process does for itself.
fn local(comparison: &mut Comparison, size: u64) {
    let tracks = Row::new("track", size, move || track::<PresenceSet>(size)).goal(1e3);
    let tracks = tracks.beside("map", move || track::<Map>(size));
    comparison.add(tracks.beside("scan", move || track::<Scan>(size)));
    let untracks = Row::new("untrack", size, move || untrack::<PresenceSet>(size)).goal(1e3);
    let untracks = untracks.beside("map", move || untrack::<Map>(size));
    comparison.add(untracks.beside("scan", move || untrack::<Scan>(size)));
    let updates = Row::new("update", size, move || update::<PresenceSet>(size));
    let updates = updates.beside("map", move || update::<Map>(size));
    comparison.add(updates.beside("scan", move || update::<Scan>(size)));
    let lists = Row::new("list of 10", size, move || list(PresenceSet::filled("a", size), size));
    let lists = lists.goal(1e3).beside("map", move || list(Map::filled("a", size), size));
    comparison.add(lists.beside("scan", move || list(Scan::filled("a", size), size)));
    let restarted =
        Row::new("list after 500 restarts", size, move || list(heard_of_lives(size, 500), size));
    let restarted = restarted.goal(1e3);
    comparison.add(restarted.beside("fresh", move || list(heard_of_lives(size, 1), size)));
}

/// What others do, in small.
fn merges(comparison: &mut Comparison, size: u64) {
    for (name, joins, goal_ns) in [("merge of 1 join", 1, 5e3), ("merge of 100 joins", 100, 1e5)] {
        let ours = move || merge::<PresenceSet>(size, joins, BATCH / joins + 4);
        let row = Row::new(name, size, ours).goal(goal_ns);
        comparison.add(row.beside("scan", move || merge::<Scan>(size, joins, 2)));
    }
}

/// What others do, as a whole. The unit is one entry.
fn wholes(comparison: &mut Comparison, size: u64) {
    let fulls = Row::new("full state: merge", size, move || merge_all::<PresenceSet>(size));
    comparison.add(fulls.goal(500.0).beside("scan", move || merge_all::<Scan>(size)));
    let encodes = Row::new("full state: encode", size, move || {
        let state = PresenceSet::filled("a", size).full_state();
        move || timed(size, || state.encode()).0
    });
    comparison.add(encodes.beside("flat", move || {
        let state = PresenceSet::filled("a", size).full_state();
        move || timed(size, || flat_bytes(&state)).0
    }));
    let decodes = Row::new("full state: decode", size, move || {
        let bytes = PresenceSet::filled("a", size).full_state().encode();
        move || timed(size, || Delta::decode(&bytes)).0
    });
    comparison.add(decodes.beside("flat", move || {
        let bytes = flat_bytes(&PresenceSet::filled("a", size).full_state());
        move || timed(size, || flat::decode(&bytes)).0
    }));
    let downs = Row::new("replica down", size, move || down::<PresenceSet>(size)).goal(300.0);
    comparison.add(downs.beside("scan", move || down::<Scan>(size)));
    let newcomers = Row::new("newcomer gets all", size, move || newcomer(size));
    comparison.add(newcomers.beside("one delta", move || one_delta(size)));
}

/// What a heartbeat costs, beside a full state in its place.
fn digests(comparison: &mut Comparison, size: u64) {
    let makes = Row::new("digest: make", size, move || make_digests(size));
    comparison.add(makes.beside("full state", move || {
        let set = PresenceSet::filled("a", size);
        move || timed(1, || set.full_state().encode()).0
    }));
    let compares = Row::new("digest: compare", size, move || compare_digests(size));
    comparison.add(compares.beside("full state", move || {
        let source = PresenceSet::filled("a", size);
        let (bytes, mut observer) = (source.full_state().encode(), source.observer());
        move || {
            let merge = || observer.merge(Delta::decode(&bytes).expect("it was encoded"));
            let (spent, diff) = timed(1, merge);
            assert!(diff.is_empty(), "it has all of it");
            spent
        }
    }));
}

fn track<S: Presences>(size: u64) -> impl FnMut() -> Timed {
    let mut set = S::filled("a", size);
    let topics = size / PER_TOPIC;
    let fresh = move |n: u64| names(scattered(n, topics), size + n);
    move || {
        let given: Vec<_> = (0..BATCH).map(|n| (fresh(n), meta(size + n))).collect();
        let mut changes = Vec::with_capacity(given.len());
        let (spent, ()) = timed(BATCH, || {
            changes.extend(given.into_iter().map(|(names, meta)| set.track(names, meta)));
        });
        assert!(set.count(&fresh(0).topic) as u64 > PER_TOPIC, "more than before");
        for n in 0..BATCH {
            black_box(set.untrack(&fresh(n)));
        }
        spent
    }
}

/// The presences of each round of a batch: no two of a round are the same, and hardly any of the next.
fn rounds(size: u64) -> impl FnMut() -> Vec<(u64, Names)> {
    let mut first = 0;
    move || {
        first += BATCH;
        // A prime step meets each of a power of ten before any twice.
        let batch = (first - BATCH..first).map(|n| n * 7_919 % size);
        batch.map(|n| (n, person(n, size))).collect()
    }
}

fn untrack<S: Presences>(size: u64) -> impl FnMut() -> Timed {
    let (mut set, mut next) = (S::filled("a", size), rounds(size));
    move || {
        let given = next();
        let mut changes = Vec::with_capacity(given.len());
        let (spent, ()) = timed(BATCH, || {
            changes.extend(given.iter().map(|(_, names)| set.untrack(names)));
        });
        assert!((set.count(&given[0].1.topic) as u64) < PER_TOPIC, "fewer than before");
        for (n, names) in given {
            black_box(set.track(names, meta(n)));
        }
        spent
    }
}

fn update<S: Presences>(size: u64) -> impl FnMut() -> Timed {
    let (mut set, mut next) = (S::filled("a", size), rounds(size));
    let mut activity = Activity::Viewing;
    move || {
        activity = if activity == Activity::Typing { Activity::Viewing } else { Activity::Typing };
        let given = next().into_iter();
        let given: Vec<_> =
            given.map(|(n, names)| (names, Meta { activity, unsaved: true, ..meta(n) })).collect();
        let mut changes = Vec::with_capacity(given.len());
        let (spent, ()) = timed(BATCH, || {
            changes.extend(given.iter().map(|(names, meta)| set.update(names, meta.clone())));
        });
        assert_eq!(set.count(&given[0].0.topic) as u64, PER_TOPIC, "as many as before");
        spent
    }
}

fn list<S: Presences>(set: S, size: u64) -> impl FnMut() -> Timed {
    const LISTS: u64 = 16 * BATCH;
    let topics: Vec<_> = (0..LISTS).map(|n| topic_name(scattered(n, size / PER_TOPIC))).collect();
    let least = topics.iter().map(|topic| set.count(topic)).min();
    assert!(least >= Some(usize::try_from(PER_TOPIC).unwrap_or_default()), "each is full");
    move || timed(LISTS, || topics.iter().map(|topic| set.list(topic)).fold(0, u64::wrapping_add)).0
}

/// A set that has heard of so many lives of a replica, and has `size` presences of another.
fn heard_of_lives(size: u64, lives: u64) -> PresenceSet {
    let mut observer = PresenceSet::filled("a", size).observer();
    for life in 1..=lives {
        let mut restarted = PresenceSet::new(ReplicaId::new("b", Incarnation(life)), 42);
        for n in 0..100 {
            let names = names(scattered(n, size / PER_TOPIC), size + n);
            let _ = black_box(Presences::track(&mut restarted, names, meta(n)));
        }
        let name = ReplicaName::from("b");
        black_box((observer.replica_down(&name), observer.replica_up(&name)));
        black_box(observer.merge(PresenceSet::received(&restarted.full_state())));
    }
    observer
}

/// Merges `at_once` deltas of `joins` joins each.
fn merge<S: Replicated>(size: u64, joins: u64, at_once: u64) -> impl FnMut() -> Timed {
    let mut source = S::filled("a", size);
    let mut observer = source.observer();
    let topics = size / PER_TOPIC;
    let joiner = move |n: u64| names(scattered(n, topics), size + n);
    move || {
        let deltas: Vec<_> = (0..at_once)
            .map(|at| {
                let joiners = at * joins..(at + 1) * joins;
                let joined = joiners.map(|n| source.track(joiner(n), meta(size + n))).collect();
                S::received(&S::gather(joined))
            })
            .collect();
        let mut diffs = Vec::with_capacity(deltas.len());
        let (spent, ()) = timed(at_once, || {
            diffs.extend(deltas.into_iter().map(|delta| observer.merge(delta)));
        });
        let changes: usize = diffs.iter().map(S::changes).sum();
        assert_eq!(changes as u64, at_once * joins, "each join is told");
        let left = (0..at_once * joins).map(|n| source.untrack(&joiner(n))).collect();
        black_box(observer.merge(S::gather(left)));
        spent
    }
}

fn merge_all<S: Replicated>(size: u64) -> impl FnMut() -> Timed {
    let state = S::filled("a", size).full_state();
    move || {
        let (mut set, state) = (S::empty("observer"), S::received(&state));
        let (spent, diff) = timed(size, || set.merge(state));
        assert_eq!(S::changes(&diff) as u64, size, "all is new");
        spent
    }
}

fn down<S: Replicated>(size: u64) -> impl FnMut() -> Timed {
    let mut observer = S::filled("a", size).observer();
    let name = ReplicaName::from("a");
    move || {
        let (spent, diff) = timed(size, || observer.down(&name));
        assert_eq!(S::changes(&diff) as u64, size, "all are hidden");
        black_box(observer.up(&name));
        spent
    }
}

fn flat_bytes(state: &Delta) -> Vec<u8> {
    flat::encode(state.entries().iter().map(|entry| {
        let names = [entry.topic.as_str(), entry.key.as_str(), entry.session.as_str()];
        (entry.dot.counter, entry.meta.joined_at.0, names)
    }))
}

/// Replicas that judge nobody for a day, so that time can be let pass without talk.
fn patient() -> ReplicaConfig {
    let day_ms = 86_400_000;
    ReplicaConfig {
        down_after_ms: day_ms,
        permdown_after_ms: 2 * day_ms,
        ..ReplicaConfig::default()
    }
}

fn replica(name: &str) -> Replica {
    let id = ReplicaId::new(name, Incarnation(1_790_000_000_000));
    Replica::new(patient(), id, (42, 7), MonoMs(0))
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
fn newcomer(size: u64) -> impl FnMut() -> Timed {
    move || {
        let (mut source, mut newcomer) = (replica("a"), replica("b"));
        for n in 0..size {
            let Names { topic, key, session } = person(n, size);
            let joining = Joining { topic, key, session, meta: meta(n) };
            black_box(source.track(MonoMs(0), joining).expect("each session is tracked once"));
        }
        for message in sent(&mut newcomer) {
            source.handle(MonoMs(0), ReplicaInput::Message(&message));
        }
        black_box(sent(&mut source));
        let (spent, ()) = timed(size, || give_all(&mut source, &mut newcomer));
        assert_eq!(newcomer.footprint().entries as u64, size);
        spent
    }
}

fn give_all(source: &mut Replica, newcomer: &mut Replica) {
    let now = MonoMs(1_500);
    source.handle(now, ReplicaInput::Tick);
    let mut to_newcomer = sent(source);
    while !to_newcomer.is_empty() {
        for message in to_newcomer.drain(..) {
            newcomer.handle(now, ReplicaInput::Message(&message));
        }
        for message in sent(newcomer) {
            source.handle(now, ReplicaInput::Message(&message));
        }
        to_newcomer = sent(source);
    }
}

/// The least that gives somebody everything: one full state, written, read and merged.
fn one_delta(size: u64) -> impl FnMut() -> Timed {
    let source = PresenceSet::filled("a", size);
    move || {
        let mut set = PresenceSet::empty("observer");
        let give = || {
            let bytes = source.full_state().encode();
            set.merge(Delta::decode(&bytes).expect("it was encoded"))
        };
        timed(size, give).0
    }
}

/// Replicas that have the same, and the time at which they have.
fn agreed(replicas: usize, size: u64) -> (MonoMs, Vec<Replica>) {
    let mut cluster = Cluster::new(patient());
    (0..replicas).for_each(|_| {
        cluster.add(7);
    });
    for n in 0..size {
        cluster.track(0, person(n, size), meta(n));
    }
    cluster.run_until_agreed(60_000);
    // Until nothing is to be told any more but that they are there.
    cluster.run_ms(5_000);
    (cluster.now(), cluster.into_replicas())
}

/// Lets a replica make heartbeats, and nothing else.
fn heartbeats(replica: &mut Replica, now: &mut MonoMs, count: u64) -> Vec<Bytes> {
    let period_ms = replica.config().heartbeat_ms;
    for _ in 0..count {
        *now = now.after(period_ms);
        replica.handle(*now, ReplicaInput::Tick);
    }
    sent(replica)
}

fn make_digests(size: u64) -> impl FnMut() -> Timed {
    let (mut now, mut replicas) = agreed(REPLICAS, size);
    move || {
        let (spent, messages) = timed(BATCH, || heartbeats(&mut replicas[0], &mut now, BATCH));
        assert_eq!(messages.len() as u64, BATCH, "one each");
        spent
    }
}

fn compare_digests(size: u64) -> impl FnMut() -> Timed {
    let (mut now, mut replicas) = agreed(REPLICAS, size);
    move || {
        let messages = heartbeats(&mut replicas[0], &mut now, BATCH);
        let (spent, ()) = timed(BATCH, || {
            for message in &messages {
                replicas[1].handle(now, ReplicaInput::Message(message));
            }
        });
        assert!(sent(&mut replicas[1]).is_empty(), "nothing is asked for");
        spent
    }
}
