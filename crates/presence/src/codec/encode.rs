//! Writes a delta.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::{VERSION, flags};
use crate::context::{Life, Seen};
use crate::delta::Delta;
use crate::entry::Presence;
use crate::meta::{Activity, Kind, Meta, Mode, Status};

pub(super) fn encode(delta: &Delta) -> Bytes {
    let mut tables = Tables::default();
    let mut lives = Writer::default();
    let mut entries = delta.entries();
    lives.put(&delta.covers().iter().count());
    for life in delta.covers() {
        let name = &life.replica().name;
        let mine = entries.partition_point(|entry| entry.dot.replica.name <= *name);
        let (mine, rest) = entries.split_at(mine);
        entries = rest;
        write_life(&mut lives, life);
        lives.put(&mine.len());
        let (mut counter, mut joined_at) = (0, 0);
        for entry in mine {
            lives.put(&(entry.dot.counter - counter - 1));
            write_entry(&mut lives, &mut tables, entry, joined_at);
            (counter, joined_at) = (entry.dot.counter, entry.meta.joined_at.0);
        }
    }
    let mut whole = Writer::new(&[VERSION]);
    for table in [&tables.topics, &tables.keys, &tables.profiles] {
        whole.put(&table.items.len());
        for item in &table.items {
            whole.put_bytes(item);
        }
    }
    whole.0.extend_from_slice(&lives.0);
    whole.finish()
}

pub(crate) fn write_life(out: &mut Writer, life: &Life) {
    let replica = life.replica();
    out.put(replica.name.as_str());
    out.put(&replica.incarnation.0);
    write_seen(out, life.seen());
}

fn write_seen(out: &mut Writer, seen: &Seen) {
    out.put(&seen.upto());
    out.put(&seen.cloud().len());
    let mut end = seen.upto();
    for range in seen.cloud() {
        out.put(&(range.first - end - 2));
        out.put(&(range.last - range.first));
        end = range.last;
    }
}

fn write_entry<'a>(
    out: &mut Writer,
    tables: &mut Tables<'a>,
    entry: &'a Presence,
    joined_before: u64,
) {
    let Presence { dot, replaces, topic, key, session, meta } = entry;
    let back = replaces
        .as_ref()
        .filter(|replaced| replaced.replica == dot.replica && replaced.counter < dot.counter)
        .map(|replaced| dot.counter - replaced.counter - 1);
    let replaces_flag = match (replaces, back) {
        (None, _) => 0,
        (Some(_), Some(_)) => flags::REPLACES,
        (Some(_), None) => flags::REPLACES_FOREIGN,
    };
    out.put(&(meta_flags(meta) | replaces_flag));
    out.put(&tables.topics.place(topic.as_str().as_bytes()));
    out.put(&tables.keys.place(key.as_str().as_bytes()));
    out.put(session.as_str());
    out.put(&difference(meta.joined_at.0, joined_before));
    let profile = &meta.profile;
    out.put(&if profile.is_empty() { 0 } else { tables.profiles.place(profile) + 1 });
    if !meta.custom.is_empty() {
        out.put_bytes(&meta.custom);
    }
    if let Some(idle_since) = meta.idle_since {
        out.put(&difference(idle_since.0, meta.joined_at.0));
    }
    if meta.generation > 0 {
        out.put(&meta.generation);
    }
    match (replaces, back) {
        (None, _) => {}
        (Some(_), Some(back)) => out.put(&back),
        (Some(replaced), None) => {
            out.put(replaced.replica.name.as_str());
            out.put(&replaced.replica.incarnation.0);
            out.put(&replaced.counter);
        }
    }
}

fn meta_flags(meta: &Meta) -> u16 {
    let mut set = match meta.mode {
        Mode::Edit => 0,
        Mode::View => flags::VIEW,
    };
    set |= match meta.kind {
        Kind::Human => 0,
        Kind::Ai => flags::AI,
    };
    let status: u16 = match meta.status {
        Status::Active => 0,
        Status::Idle => 1,
        Status::Hidden => 2,
        Status::Reconnecting => 3,
    };
    let activity: u16 = match meta.activity {
        Activity::Viewing => 0,
        Activity::Typing => 1,
        Activity::Editing => 2,
    };
    set |= status << flags::STATUS_SHIFT | activity << flags::ACTIVITY_SHIFT;
    for (holds, flag) in [
        (meta.unsaved, flags::UNSAVED),
        (meta.idle_since.is_some(), flags::IDLE),
        (!meta.custom.is_empty(), flags::CUSTOM),
        (meta.generation > 0, flags::RESUMED),
    ] {
        set |= if holds { flag } else { 0 };
    }
    set
}

/// The difference that takes `from` to `to`, around the end of the range when that is shorter.
fn difference(to: u64, from: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

#[derive(Default)]
struct Tables<'a> {
    topics: Table<'a>,
    keys: Table<'a>,
    profiles: Table<'a>,
}

/// Different byte strings, in the order of their first use.
#[derive(Default)]
struct Table<'a> {
    items: Vec<&'a [u8]>,
    places: BTreeMap<&'a [u8], u32>,
}

impl<'a> Table<'a> {
    fn place(&mut self, item: &'a [u8]) -> u32 {
        *self.places.entry(item).or_insert_with(|| {
            self.items.push(item);
            u32::try_from(self.items.len() - 1).expect("fewer than 2^32 entries")
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(start: &[u8]) -> Self {
        Self(start.to_vec())
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }

    pub(crate) fn put(&mut self, value: &(impl Serialize + ?Sized)) {
        let out = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(value, out).expect("a Vec takes every byte");
    }

    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        self.put(&bytes.len());
        self.0.extend_from_slice(bytes);
    }
}
