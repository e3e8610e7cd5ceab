//! How long replicas need to agree again, and what they send for it, in virtual time.
//!
//! One way takes 1 ms, a link one Gbit/s; heartbeats count as well. Times are of several phases of the
//! heartbeats: the median, and the longest. Beside it stands what an exchange of full states would
//! have cost, of the same replicas at the same moment: each sends all that it has to everybody who
//! lacks something.
//!
//! Command: `cargo xtask bench convergence`.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

use std::sync::Arc;

use penholder_benches::cluster::{Cluster, Traffic};
use penholder_benches::effort::{Asked, Effort};
use penholder_benches::people::{meta, names, person};
use penholder_benches::table::{self, Table};
use penholder_benches::timing::timed;
use penholder_presence::Presence;

/// Quiet links make all agree within this, in ms.
const AGREED_MS_MAX: u64 = 4_000;

fn main() {
    let asked = Asked::from_args();
    let (seeds, small, large, restarts) = match asked.effort {
        Effort::Smoke => (1, 200, 400, 10),
        Effort::Quick => (3, 10_000, 100_000, 1_000),
        Effort::Full => (9, 10_000, 100_000, 1_000),
    };
    let columns = [
        ("until all agree after", 57),
        ("median", 8),
        ("longest", 8),
        ("messages", 8),
        ("bytes", 8),
        ("full states", 11),
        ("beside ours", 11),
        ("processor", 9),
    ];
    let table = Table::new(&columns);
    let seeds = 1..=seeds;
    let count = table::count(small);
    let parted = |minutes: &str, what: &str| format!("2 + 2 parted for {minutes}, {what} a side");
    for (name, case) in [
        (parted("1 min", &format!("{count} come")), Parting { ms: 60_000, there: 0, come: small }),
        (parted("1 min", &format!("{count}, 1 % change")), Parting::of_changes(60_000, small)),
        (parted("11 min", &format!("{count}, 1 % change")), Parting::of_changes(660_000, small)),
    ] {
        show(&table, &name, seeds.clone().map(|seed| partition(seed, &case)).collect());
    }
    for size in [small, large] {
        let name = format!("a fourth replica comes to {}", table::count(size));
        show(&table, &name, seeds.clone().map(|seed| newcomer(seed, size)).collect());
    }
    let name = format!("1 delta to one of 3 is lost, {count}");
    show(&table, &name, seeds.map(|seed| lost_delta(seed, small)).collect());
    let (cases, old, fresh) = restarted(restarts);
    let name = format!("each of {} restarts, 100 of them on it", table::count(restarts));
    show(&table, &name, cases);
    println!();
    idle(small);
    println!();
    footprints(restarts, &old, &fresh);
}

/// What one case took and cost.
struct Healed {
    took_us: u64,
    traffic: Traffic,
    /// What full states would have cost.
    naive_bytes: u64,
    processor_ns: f64,
}

/// Lets a cluster agree, and shows that it does so about the truth.
fn heal(cluster: &mut Cluster, nodes: usize, naive_bytes: u64, present: u64) -> Healed {
    let (spent, took_us) = timed(1, || cluster.run_until_agreed(AGREED_MS_MAX));
    let traffic = cluster.take_traffic();
    let first = entries(cluster, 0);
    assert_eq!(first.len() as u64, present, "all that are there are shown");
    for node in 1..nodes {
        assert_eq!(first, entries(cluster, node), "replicas 0 and {node} show the same");
    }
    Healed { took_us, traffic, naive_bytes, processor_ns: spent.spent.as_secs_f64() * 1e9 }
}

/// Returns all that a replica shows.
fn entries(cluster: &Cluster, node: usize) -> Vec<Arc<Presence>> {
    let set = cluster.replica(node).set();
    set.topics().flat_map(|topic| set.list(topic.topic)).cloned().collect()
}

/// Returns the bytes of the full state of a replica.
fn full_state(cluster: &Cluster, node: usize) -> u64 {
    cluster.replica(node).set().full_state().encode().len() as u64
}

fn show(table: &Table, name: &str, mut cases: Vec<Healed>) {
    cases.sort_by_key(|case| case.took_us);
    let (median, longest) = (&cases[cases.len() / 2], &cases[cases.len() - 1]);
    let Traffic { heartbeats, heartbeat_bytes, messages, bytes } = median.traffic;
    let bytes = (heartbeat_bytes + bytes) as f64;
    let naive = median.naive_bytes as f64;
    table.row([
        name.to_owned(),
        table::time(median.took_us as f64 * 1e3),
        table::time(longest.took_us as f64 * 1e3),
        table::count(heartbeats + messages),
        table::bytes(bytes),
        table::bytes(naive),
        table::ratio(naive / bytes),
        table::time(median.processor_ns),
    ]);
}

/// A partition: how long it lasts, how many are there on each side before it, and come during it.
struct Parting {
    ms: u64,
    there: u64,
    come: u64,
}

impl Parting {
    /// One in a hundred leaves during it, and as many come.
    fn of_changes(ms: u64, there: u64) -> Self {
        Self { ms, there, come: there / 100 }
    }
}

/// Tracks the presences of these numbers at one of two nodes, in turn.
fn fill(cluster: &mut Cluster, nodes: &[usize], (from, to): (u64, u64), size: u64) {
    for (n, &node) in (from..to).zip(nodes.iter().cycle()) {
        cluster.track(node, person(n, size), meta(n));
    }
}

fn partition(seed: u64, parting: &Parting) -> Healed {
    let &Parting { ms, there, come } = parting;
    let (each, mut cluster) = (there + come, Cluster::of(4, seed));
    let sides: [(&[usize], u64); 2] = [(&[0, 1], 0), (&[2, 3], each)];
    for (nodes, first) in sides {
        fill(&mut cluster, nodes, (first, first + there), each * 2);
    }
    cluster.run_until_agreed(60_000);
    cluster.cut_before(2);
    cluster.run_ms(ms - 10_000);
    let leave = if there > 0 { come } else { 0 };
    for (nodes, first) in sides {
        for (n, &node) in (first..first + leave).zip(nodes.iter().cycle()) {
            cluster.untrack(node, &person(n, each * 2));
        }
        fill(&mut cluster, nodes, (first + there, first + each), each * 2);
    }
    cluster.run_ms(10_000);
    assert!(!cluster.agrees());
    let naive_bytes = (0..4).map(|node| 2 * full_state(&cluster, node)).sum();
    cluster.take_traffic();
    cluster.heal();
    heal(&mut cluster, 4, naive_bytes, 2 * (each - leave))
}

fn newcomer(seed: u64, size: u64) -> Healed {
    let mut cluster = Cluster::of(3, seed);
    fill(&mut cluster, &[0, 1, 2], (0, size), size);
    cluster.run_until_agreed(60_000);
    cluster.run_ms(5_000);
    let naive_bytes = (0..3).map(|node| full_state(&cluster, node)).sum();
    cluster.take_traffic();
    cluster.add(seed);
    heal(&mut cluster, 4, naive_bytes, size)
}

fn lost_delta(seed: u64, size: u64) -> Healed {
    let mut cluster = Cluster::of(3, seed);
    fill(&mut cluster, &[0, 1, 2], (0, size), size);
    cluster.run_until_agreed(60_000);
    // At any time between two heartbeats.
    cluster.run_ms(5_000 + seed * 311 % 1_000);
    cluster.take_traffic();
    cluster.lose_next_to(1);
    cluster.track(0, names(1, size), meta(size));
    let naive_bytes = full_state(&cluster, 0);
    let healed = heal(&mut cluster, 3, naive_bytes, size + 1);
    assert!(cluster.has_lost());
    healed
}

/// Restarts one of three so often; returns what each time took, and the cluster at the end beside one
/// whose replica has been restarted once.
fn restarted(restarts: u64) -> (Vec<Healed>, Cluster, Cluster) {
    let run = |restarts| {
        let mut cluster = Cluster::of(3, 1);
        fill(&mut cluster, &[0, 1], (100, 200), 200);
        cluster.run_until_agreed(AGREED_MS_MAX);
        let mut cases = Vec::new();
        for life in 1..=restarts {
            // At any time between two heartbeats.
            cluster.run_ms(1_000 + life * 311 % 1_000);
            cluster.take_traffic();
            // All that the others have goes to it, and what it has to them.
            let all = full_state(&cluster, 0);
            cluster.restart(2, life);
            fill(&mut cluster, &[2], (0, 100), 200);
            let own = full_state(&cluster, 2);
            cases.push(heal(&mut cluster, 3, 2 * all + 2 * own, 200));
        }
        cluster.run_ms(20_000);
        (cases, cluster)
    };
    let (_, fresh) = run(1);
    let (cases, old) = run(restarts);
    (cases, old, fresh)
}

/// Prints what a cluster sends in which nothing happens.
fn idle(size: u64) {
    const SECONDS: u64 = 60;
    let columns = [
        ("idle, for each second", 32),
        ("messages", 8),
        ("bytes", 8),
        ("bytes a replica", 15),
        ("full states", 11),
        ("beside ours", 11),
    ];
    let table = Table::new(&columns);
    for replicas in [3, 7] {
        let mut cluster = Cluster::of(replicas, 1);
        fill(&mut cluster, &(0..replicas).collect::<Vec<_>>(), (0, size), size);
        cluster.run_until_agreed(60_000);
        cluster.run_ms(10_000);
        cluster.take_traffic();
        cluster.run_ms(SECONDS * 1_000);
        let Traffic { heartbeats, heartbeat_bytes, messages, .. } = cluster.take_traffic();
        assert_eq!(messages, 0, "an idle cluster sends heartbeats only");
        let bytes = heartbeat_bytes as f64 / SECONDS as f64;
        // In the place of each heartbeat, what a state-based set sends.
        let naive = full_state(&cluster, 0) as f64 * heartbeats as f64 / SECONDS as f64;
        table.row([
            format!("{replicas} replicas, {} presences", table::count(size)),
            table::count(heartbeats / SECONDS),
            table::bytes(bytes),
            table::bytes(bytes / replicas as f64),
            table::bytes(naive),
            table::ratio(naive / bytes),
        ]);
    }
}

/// Prints what a replica holds whose peer has been restarted often, beside one whose peer has once.
fn footprints(restarts: u64, old: &Cluster, fresh: &Cluster) {
    let columns = [("held by a replica that stayed", 30), ("1 restart", 12), ("restarts", 12)];
    let columns = columns.map(|(name, width)| match name {
        "restarts" => (format!("{} {name}", table::count(restarts)), width),
        _ => (name.to_owned(), width),
    });
    let columns: Vec<_> = columns.iter().map(|(name, width)| (name.as_str(), *width)).collect();
    let table = Table::new(&columns);
    let (old, fresh) = (old.footprint(0), fresh.footprint(0));
    for (name, fresh, old) in [
        ("entries", fresh.entries, old.entries),
        ("lives", fresh.lives, old.lives),
        ("peers", fresh.peers, old.peers),
        ("names remembered", fresh.remembered, old.remembered),
        ("repairs", fresh.repairs, old.repairs),
        ("operations unsettled", fresh.unsettled, old.unsettled),
        ("deltas kept", fresh.history_deltas, old.history_deltas),
        ("their bytes", fresh.history_bytes, old.history_bytes),
    ] {
        assert!(old as f64 <= fresh as f64 * 1.1, "{name}: {old} after {fresh}");
        table.row([name.to_owned(), table::count(fresh as u64), table::count(old as u64)]);
    }
}
