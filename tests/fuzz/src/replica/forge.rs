//! Messages of outsiders, written by the definition of the format in `docs/PRESENCE.md`.

use serde::Serialize;

use super::plan::{Body, Entry, Interval, Life, Speech, Want};

/// The names that a plan can mean: first those of outsiders, then those of the members.
pub(super) struct Names<'a> {
    pub(super) outsiders: &'a [&'static str],
    pub(super) members: &'a [&'static str],
}

impl Names<'_> {
    fn outsider(&self, name: u8) -> &'static str {
        self.outsiders[usize::from(name) % self.outsiders.len()]
    }

    fn any(&self, name: u8) -> &'static str {
        let at = usize::from(name) % (self.outsiders.len() + self.members.len());
        let member = || self.members[at - self.outsiders.len()];
        self.outsiders.get(at).copied().unwrap_or_else(member)
    }
}

/// Writes what an outsider says, as its message of a number.
pub(super) fn message(names: &Names<'_>, speech: &Speech, seq: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let (version, kind) = match &speech.body {
        Body::Ask { .. } => (1, 0),
        Body::Deltas(_) => (1, 1),
        Body::Heartbeat { .. } => (1, 2),
        Body::Request(_) => (1, 3),
        Body::Repair { .. } => (1, 4),
        Body::Later { version, kind, .. } => (*version, *kind),
    };
    let from = names.outsider(speech.name);
    put(&mut out, &(version, kind, from, u64::from(speech.incarnation), seq));
    match &speech.body {
        // What somebody lacks is no statement about others: members may be named.
        Body::Ask { reads, digest } => {
            put(&mut out, reads);
            let digest = digest.iter().map(|life| (names.any(life.name), life, None));
            lives(&mut out, digest.collect());
        }
        Body::Request(wants) => {
            put(&mut out, &wants.len());
            wants.iter().for_each(|want| request(&mut out, names.any(want.name), want));
        }
        Body::Deltas(intervals) => {
            put(&mut out, &intervals.len());
            for interval in intervals {
                put(&mut out, &(interval.first, interval.last));
                bytes(&mut out, &delta(names, interval));
            }
        }
        Body::Heartbeat { digest, farewells } => {
            let digest = digest
                .iter()
                .map(|(life, quiet_ms)| (names.outsider(life.name), life, Some(*quiet_ms)));
            lives(&mut out, digest.collect());
            put(&mut out, &farewells.len());
            for &(name, incarnation, left_ms) in farewells {
                put(&mut out, &(names.outsider(name), u64::from(incarnation), left_ms));
            }
        }
        Body::Repair { as_of, base, interval } => {
            put(&mut out, &(as_of, base, interval.first, interval.last));
            bytes(&mut out, &delta(names, interval));
        }
        Body::Later { rest, .. } => out.extend_from_slice(rest),
    }
    out
}

fn request(out: &mut Vec<u8>, name: &str, want: &Want) {
    put(out, &(name, u64::from(want.incarnation), want.have, u8::from(want.staged.is_some())));
    if let Some(staged) = &want.staged {
        put(out, staged);
    }
}

/// Writes a delta of one replica.
fn delta(names: &Names<'_>, interval: &Interval) -> Vec<u8> {
    const TOPICS: [&str; 3] = ["t:0", "t:1", "t:2"];
    let mut out = vec![1];
    put(&mut out, &(TOPICS.to_vec(), vec!["k0"], vec!["{}"]));
    lives(&mut out, vec![(names.outsider(interval.covers.name), &interval.covers, None)]);
    put(&mut out, &interval.entries.len());
    for Entry { skip, flags, topic, session, joined, custom, generation } in &interval.entries {
        const CUSTOM: u16 = 1 << 5;
        const RESUMED: u16 = 1 << 11;
        // Mode, status, activity, unsaved.
        let mut set = u16::from(flags & 0b1001_1111);
        set |= if *custom > 0 { CUSTOM } else { 0 } | if *generation > 0 { RESUMED } else { 0 };
        put(&mut out, &(skip, set, usize::from(*topic) % TOPICS.len(), 0_u8));
        put(&mut out, &(format!("s{}", session % 8), joined, flags & 1));
        if *custom > 0 {
            bytes(&mut out, &vec![b'c'; usize::from(*custom)]);
        }
        if *generation > 0 {
            put(&mut out, generation);
        }
    }
    out
}

/// Writes lives in the order of their names, each once, with how long they were quiet where that is told.
fn lives(out: &mut Vec<u8>, mut lives: Vec<(&str, &Life, Option<u64>)>) {
    lives.sort_by_key(|(name, ..)| *name);
    lives.dedup_by_key(|(name, ..)| *name);
    put(out, &lives.len());
    for (name, Life { incarnation, upto, cloud, .. }, quiet_ms) in lives {
        put(out, &(name, u64::from(*incarnation), upto, cloud));
        if let Some(quiet_ms) = quiet_ms {
            put(out, &quiet_ms);
        }
    }
}

fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    *out = postcard::to_extend(value, std::mem::take(out)).expect("a Vec takes every byte");
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, &bytes.len());
    out.extend_from_slice(bytes);
}
