//! Bytes of memory per presence: ten to a topic, 100 bytes of names, an empty meta.
//!
//! What is counted is what was asked of the allocator and not given back; an allocator rounds up. The
//! first rows are of what is there, the others of what has been: restarts, joins and leaves must leave
//! nothing behind.
//!
//! Command: `cargo xtask bench memory`.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

use std::hint::black_box;

use peak_alloc::PeakAlloc;
use penholder_benches::cluster::Cluster;
use penholder_benches::contender::{Presences, Replicated};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::map::Map;
use penholder_benches::people::{PER_TOPIC, meta, names, person, scattered};
use penholder_benches::scan::Scan;
use penholder_benches::table::{self, Table};
use penholder_presence::{Incarnation, PresenceSet, ReplicaId};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most bytes that a presence may have.
const EACH_MAX: f64 = 400.0;
/// How much more than a fresh one may be held by one with a past.
const PAST_MAX: f64 = 1.1;

fn main() {
    let asked = Asked::from_args();
    let columns = [("memory", 40), ("presences", 9), ("each", 8), ("beside it", 28), ("goal", 16)];
    let table = Table::new(&columns);
    for &size in asked.sizes() {
        present(&table, size);
    }
    println!();
    let columns = [("after", 48), ("held", 8), ("fresh", 8), ("ratio", 8), ("goal", 16)];
    let table = Table::new(&columns);
    let (size, restarts, churn) = match asked.effort {
        Effort::Smoke => (1_000, 20, 5_000),
        Effort::Quick => (10_000, 1_000, 100_000),
        Effort::Full => (10_000, 1_000, 1_000_000),
    };
    after_all_have_left(&table, size);
    after_restarts(&table, restarts);
    after_joins_and_leaves(&table, size, churn);
    // In a smoke run the history is not full yet.
    let most = (asked.effort > Effort::Smoke).then_some(PAST_MAX);
    after_twice_as_many(&table, (size, churn), most);
}

/// Returns what was made, and how many bytes it holds.
fn held<T>(make: impl FnOnce() -> T) -> (T, f64) {
    let before = MEMORY.current_usage();
    let made = black_box(make());
    let after = MEMORY.current_usage();
    (made, after.saturating_sub(before) as f64)
}

fn verdict(figure: f64, most: f64, shown: &str) -> String {
    let verdict = if figure <= most { "met" } else { "missed" };
    format!("≤ {shown}: {verdict}")
}

/// Prints what presences hold that are there.
fn present(table: &Table, size: u64) {
    let each = |bytes: f64| bytes / size as f64;
    let beside =
        |name: &str, theirs: f64, ours: f64| format!("{name} {}", table::ratio(theirs / ours));
    let (ours, own) = held(|| PresenceSet::filled("a", size));
    assert!(each(own) <= EACH_MAX * 1.1, "{} B each", each(own));
    let (_map, map) = held(|| Map::filled("a", size));
    let (theirs, scan) = held(|| Scan::filled("a", size));
    table.row([
        "own".to_owned(),
        table::count(size),
        table::bytes(each(own)),
        [beside("map", map, own), beside("scan", scan, own)].join(", "),
        verdict(each(own), EACH_MAX, "400 B"),
    ]);
    let (observer, remote) = held(|| ours.observer());
    assert_eq!(observer.topics().map(|topic| topic.sessions as u64).sum::<u64>(), size);
    let (_naive, naive) = held(|| theirs.observer());
    table.row([
        "of another replica".to_owned(),
        table::count(size),
        table::bytes(each(remote)),
        beside("scan", naive, remote),
        verdict(each(remote), EACH_MAX, "400 B"),
    ]);
    drop(observer);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let observer = ours.observer();
    let peak = MEMORY.peak_usage().saturating_sub(before) as f64;
    assert!(observer.context().covers(ours.context()));
    table.row([
        "of another, peak while its state comes".to_owned(),
        table::count(size),
        table::bytes(each(peak)),
        beside("without the peak", remote, peak),
        String::new(),
    ]);
    let (_cluster, pair) = held(|| pair(size));
    table.row([
        "on two replicas, with their history".to_owned(),
        table::count(size),
        table::bytes(each(pair)),
        beside("the sets alone", own + remote, pair),
        String::new(),
    ]);
}

/// Two replicas, of which one has so many presences, and the other all of them.
fn pair(size: u64) -> Cluster {
    let mut cluster = Cluster::of(2, 1);
    for n in 0..size {
        cluster.track(0, person(n, size), meta(n));
        if n % 250 == 249 {
            cluster.run_ms(250);
        }
    }
    settle(&mut cluster);
    cluster
}

/// Lets all that was said be heard, and all that is kept for a while be dropped.
fn settle(cluster: &mut Cluster) {
    cluster.run_until_agreed(10_000);
    cluster.run_ms(10_000);
}

/// Prints what is held after a past, beside what one without a past holds.
fn past(table: &Table, name: String, (held, fresh): (f64, f64), most: Option<f64>) {
    let ratio = held / fresh;
    let goal = most.map_or_else(String::new, |most| {
        // A promise and no wish: whatever grows here grows for ever.
        assert!(ratio <= most, "{name}: {}", table::ratio(ratio));
        verdict(ratio, most, &table::ratio(most))
    });
    table.row([name, table::bytes(held), table::bytes(fresh), table::ratio(ratio), goal]);
}

fn after_all_have_left(table: &Table, size: u64) {
    let (_empty, fresh) = held(|| PresenceSet::empty("a"));
    let (mut source, _) = held(|| PresenceSet::filled("a", size));
    let (mut observer, full) = held(|| source.observer());
    let ((), _) = held(|| {
        for n in 0..size {
            let change = Presences::untrack(&mut source, &person(n, size));
            black_box(observer.merge(change.delta));
        }
    });
    assert_eq!(observer.topics().count(), 0);
    let before = MEMORY.current_usage();
    drop(observer);
    let left = before.saturating_sub(MEMORY.current_usage()) as f64;
    let before = MEMORY.current_usage();
    drop(source);
    let left_own = before.saturating_sub(MEMORY.current_usage()) as f64;
    let name = |whose: &str| format!("{} {whose} have left, beside none", table::count(size));
    past(table, name("own"), (left_own, fresh), None);
    past(table, name("of another"), (left, fresh), None);
    past(table, "the same, beside all of them".to_owned(), (left, full), None);
}

/// A peer with 100 presences restarts: in a set, and in a cluster of three.
fn after_restarts(table: &Table, restarts: u64) {
    let heard_of = |lives: std::ops::RangeInclusive<u64>| {
        let mut observer = PresenceSet::filled("a", 100).observer();
        for life in lives {
            let mut peer = PresenceSet::new(ReplicaId::new("b", Incarnation(life)), 42);
            for n in 0..100 {
                black_box(Presences::track(&mut peer, names(n % 10, n + 100), meta(n)).delta);
            }
            black_box(observer.merge(PresenceSet::received(&peer.full_state())));
        }
        observer
    };
    let (_old, old) = held(|| heard_of(1..=restarts));
    let (_fresh, fresh) = held(|| heard_of(restarts..=restarts));
    let name = |what: &str| format!("{} restarts, {what}", table::count(restarts));
    past(table, name("set"), (old, fresh), Some(PAST_MAX));
    let (old, fresh) = (held(|| restarted(restarts)).1, held(|| restarted(1)).1);
    past(table, name("3 replicas"), (old, fresh), Some(PAST_MAX));
}

/// Three replicas, of which one has been restarted so often.
fn restarted(restarts: u64) -> Cluster {
    let mut cluster = Cluster::of(3, 1);
    for life in 1..=restarts {
        cluster.restart(2, life);
        for n in 0..100 {
            cluster.track(2, names(n % 10, n), meta(n));
        }
        cluster.run_until_agreed(5_000);
    }
    settle(&mut cluster);
    cluster
}

/// A population of `size` of whom somebody leaves whenever somebody joins.
fn after_joins_and_leaves(table: &Table, size: u64, churn: u64) {
    let (mut ours, mut theirs) = (PresenceSet::filled("a", 0), PresenceSet::filled("b", 0));
    for n in 0..size + churn {
        let topic = scattered(n, size / PER_TOPIC);
        let mut changes = vec![Presences::track(&mut ours, names(topic, n), meta(n))];
        if let Some(gone) = n.checked_sub(size) {
            let names = names(scattered(gone, size / PER_TOPIC), gone);
            changes.push(Presences::untrack(&mut ours, &names));
        }
        black_box(theirs.merge(PresenceSet::received(&PresenceSet::gather(changes))));
    }
    let (fresh, fresh_own) = held(|| {
        let mut set = PresenceSet::empty("a");
        for n in churn..size + churn {
            let names = names(scattered(n, size / PER_TOPIC), n);
            black_box(Presences::track(&mut set, names, meta(n)).delta);
        }
        set
    });
    let (_observer, fresh_remote) = held(|| fresh.observer());
    assert_eq!(ours.topics().collect::<Vec<_>>(), fresh.topics().collect::<Vec<_>>());
    assert_eq!(theirs.topics().collect::<Vec<_>>(), fresh.topics().collect::<Vec<_>>());
    let before = MEMORY.current_usage();
    drop(ours);
    let own = before.saturating_sub(MEMORY.current_usage()) as f64;
    let before = MEMORY.current_usage();
    drop(theirs);
    let remote = before.saturating_sub(MEMORY.current_usage()) as f64;
    let name = |what: &str| format!("{} joins and leaves, {what}", table::count(churn));
    past(table, name("own"), (own, fresh_own), Some(PAST_MAX));
    past(table, name("of another"), (remote, fresh_remote), Some(PAST_MAX));
}

/// Two replicas whose history is full after half of it: then it must not grow any more.
fn after_twice_as_many(table: &Table, (size, churn): (u64, u64), most: Option<f64>) {
    let (half, half_held) = held(|| churned(size, churn / 2));
    drop(half);
    let (whole, whole_held) = held(|| churned(size, churn));
    assert_eq!(whole.footprint(1).entries as u64, size);
    let name = format!("{} on two replicas, beside half of it", table::count(churn));
    past(table, name, (whole_held, half_held), most);
}

/// A [`pair`] of whom somebody leaves whenever somebody joins.
fn churned(size: u64, churn: u64) -> Cluster {
    let mut cluster = pair(size);
    for n in size..size + churn {
        let gone = n - size;
        cluster.untrack(0, &names(scattered(gone, size / PER_TOPIC), gone));
        cluster.track(0, names(scattered(n, size / PER_TOPIC), n), meta(n));
        if n % 250 == 249 {
            cluster.run_ms(250);
        }
    }
    settle(&mut cluster);
    cluster
}
