//! What two replicas say to each other, of every kind.

use std::collections::BTreeMap;

use bytes::Bytes;
use penholder_presence::{
    Activity, Incarnation, Joining, Keep, Kind, Meta, Mode, MonoMs, PresenceSet, Replica,
    ReplicaConfig, ReplicaId, ReplicaInput, ReplicaOutput, SessionId, Status, Topic, WallMs,
};

/// How many messages of one kind are kept: the first ones, and of those that look alike one.
const OF_A_KIND: usize = 4;

/// Returns messages of every kind, and deltas.
pub(super) fn messages() -> Vec<(String, Vec<u8>)> {
    const KINDS: [&str; 5] = ["ask", "deltas", "heartbeat", "request", "repair"];
    let mut kept: BTreeMap<(&str, usize), Bytes> = BTreeMap::new();
    for message in talk("gw-1", "gw-2") {
        let kind = KINDS[usize::from(message[1])];
        let like = message.len() / 32;
        if kept.keys().filter(|(other, _)| *other == kind).count() < OF_A_KIND {
            kept.entry((kind, like)).or_insert(message);
        }
    }
    let mut seeds: Vec<_> = kept
        .into_iter()
        .map(|((kind, like), message)| (format!("{kind}-{like}"), message.to_vec()))
        .collect();
    seeds.extend(deltas().map(|(name, bytes)| (format!("delta-{name}"), bytes.to_vec())));
    seeds
}

/// Returns all that two replicas of these names say while one of them misses some of it.
pub(super) fn talk(first: &str, second: &str) -> Vec<Bytes> {
    let config =
        ReplicaConfig { history_deltas_max: 2, chunk_bytes_max: 1_024, ..ReplicaConfig::default() };
    let replica = |name: &str, incarnation| {
        let id = ReplicaId::new(name, Incarnation(incarnation));
        Replica::new(config.clone(), id, (1, 1), MonoMs(0))
    };
    let mut pair = [replica(first, 3), replica(second, 5)];
    let mut said = Vec::new();
    for round in 0..24_u64 {
        let now = MonoMs(round * 300);
        let [one, other] = &mut pair;
        let _ = one.track(now, joining(round));
        if round % 3 == 2 {
            let _ = one.untrack(now, &topic(round - 1), &session(round - 1));
        }
        if round == 20 {
            other.leave(now, Keep::For(900));
        }
        for replica in [&mut *one, other] {
            replica.handle(now, ReplicaInput::Tick);
        }
        // Nothing reaches the second one for a while.
        let is_cut = (4..12).contains(&round);
        for _ in 0..4 {
            let news = [sends(&mut pair[0]), sends(&mut pair[1])];
            for (to, news) in [(1, &news[0]), (0, &news[1])] {
                for message in news.iter().filter(|_| !(is_cut && to == 1)) {
                    pair[to].handle(now, ReplicaInput::Message(message));
                }
            }
            said.extend(news.into_iter().flatten());
        }
    }
    // Of a version that the first one does not know.
    let mut later = said[0].to_vec();
    later[0] = 2;
    pair[1].handle(MonoMs(8_000), ReplicaInput::Message(&later));
    said.extend(sends(&mut pair[1]));
    said
}

fn sends(replica: &mut Replica) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| replica.poll_output());
    let sends = outputs.filter_map(|output| match output {
        ReplicaOutput::Send { message, .. } => Some(message),
        _ => None,
    });
    sends.collect()
}

/// Returns deltas that use all of the format.
fn deltas() -> impl Iterator<Item = (&'static str, Bytes)> {
    let mut set = PresenceSet::new(ReplicaId::new("a", Incarnation(1)), 1);
    let mut other = PresenceSet::new(ReplicaId::new("b", Incarnation(9)), 1);
    let mut deltas = Vec::new();
    for (n, name) in (0..).zip(["track", "track-2", "track-3"]) {
        let Joining { topic, key, session, meta } = joining(n);
        let change = set.track(topic, key, session, meta).expect("nobody is there yet");
        deltas.push((name, change.delta.encode()));
    }
    let rich = Meta {
        joined_at: WallMs(1_790_000_000_000),
        generation: 2,
        mode: Mode::View,
        kind: Kind::Ai,
        status: Status::Reconnecting,
        activity: Activity::Editing,
        unsaved: true,
        idle_since: Some(WallMs(1_790_000_000_900)),
        profile: Bytes::from_static(b"{}"),
        custom: Bytes::from_static(b"{\"a\":1}"),
    };
    let update = set.update(&topic(0), &session(0), rich.clone()).expect("it is tracked");
    deltas.push(("update", update.delta.encode()));
    let lost = set.untrack(&topic(1), &session(1));
    deltas.push(("untrack", lost.delta.encode()));
    let _ = other.merge(set.full_state());
    let resumed = other.track(topic(0), "k0".into(), session(0), Meta { generation: 3, ..rich });
    deltas.push(("takeover", resumed.expect("it is tracked elsewhere").delta.encode()));
    deltas.push(("state", other.full_state().encode()));
    deltas.into_iter()
}

fn joining(n: u64) -> Joining {
    let custom = Bytes::from(format!("{{\"n\":{n}}}"));
    let meta = Meta { joined_at: WallMs(1_000 + n), custom, ..Meta::default() };
    Joining { topic: topic(n), key: format!("k{}", n % 2).into(), session: session(n), meta }
}

fn topic(n: u64) -> Topic {
    Topic::from(format!("t:{}", n % 3))
}

fn session(n: u64) -> SessionId {
    SessionId::from(format!("s{n}"))
}
