//! Reads a delta, and checks all that merging trusts.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::{DecodeError, VERSION, flags};
use crate::context::{Context, DotRange};
use crate::delta::Delta;
use crate::dot::{Dot, Incarnation, ReplicaId};
use crate::entry::Presence;
use crate::limits::{COUNTER_MAX, Limited};
use crate::meta::{Activity, Kind, Meta, Mode, Status};
use crate::name::{Key, SessionId, Topic};
use crate::time::WallMs;

pub(super) fn decode(bytes: &[u8]) -> Result<Delta, DecodeError> {
    let mut reader = Reader(bytes);
    let version = reader.take()?;
    if version != VERSION {
        return Err(DecodeError::UnknownVersion { version });
    }
    let tables = Tables {
        topics: reader.list(|reader| reader.name(Limited::Topic).map(Topic::from))?,
        keys: reader.list(|reader| reader.name(Limited::Key).map(Key::from))?,
        profiles: reader.list(|reader| reader.blob(Limited::Profile))?,
    };
    let mut context = Context::new();
    let mut entries = Vec::new();
    for _ in 0..reader.count()? {
        let replica = reader.next_life(&mut context)?;
        reader.entries(&tables, &replica, &mut entries)?;
    }
    reader.end()?;
    if let Some(entry) = entries.iter().find(|entry| !context.contains(&entry.dot)) {
        return Err(DecodeError::EntryNotCovered { counter: entry.dot.counter });
    }
    Ok(Delta::new(context, entries))
}

struct Tables {
    topics: Vec<Topic>,
    keys: Vec<Key>,
    profiles: Vec<Bytes>,
}

/// The bytes still to be read.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take<T: Deserialize<'a>>(&mut self) -> Result<T, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(self.0).map_err(|error| match error {
            postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated,
            _ => DecodeError::Malformed,
        })?;
        self.0 = rest;
        Ok(value)
    }

    /// Reads how many items follow. Nothing is reserved for them: the count is only a claim.
    pub(crate) fn count(&mut self) -> Result<u64, DecodeError> {
        self.take()
    }

    /// Reads a count, and so many items.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        (0..self.count()?).map(|_| item(self)).collect()
    }

    fn name(&mut self, what: Limited) -> Result<&'a str, DecodeError> {
        let name: &str = self.take()?;
        what.check(name.len())?;
        Ok(name)
    }

    fn blob(&mut self, what: Limited) -> Result<Bytes, DecodeError> {
        let blob: &[u8] = self.take()?;
        what.check(blob.len())?;
        // A copy: a slice would keep the whole message alive for as long as one entry lives.
        Ok(Bytes::copy_from_slice(blob))
    }

    pub(crate) fn replica(&mut self) -> Result<ReplicaId, DecodeError> {
        let name = self.name(Limited::ReplicaName)?;
        Ok(ReplicaId::new(name, Incarnation(self.take()?)))
    }

    /// Reads `1 + skip` past `previous`.
    fn counter(&mut self, previous: u64) -> Result<u64, DecodeError> {
        let skip: u64 = self.take()?;
        sum(&[previous, 1, skip])
    }

    /// Reads a life whose name comes after those that the context has.
    pub(crate) fn next_life(
        &mut self,
        context: &mut Context,
    ) -> Result<Arc<ReplicaId>, DecodeError> {
        let replica = Arc::new(self.replica()?);
        let last = context.iter().last();
        if last.is_some_and(|last| last.replica().name >= replica.name) {
            return Err(DecodeError::ReplicasOutOfOrder);
        }
        self.life(&replica, context)?;
        Ok(replica)
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::TrailingBytes { bytes }),
        }
    }

    fn life(&mut self, replica: &Arc<ReplicaId>, context: &mut Context) -> Result<(), DecodeError> {
        context.begin(replica);
        let upto = sum(&[self.take()?])?;
        if upto > 0 {
            context.insert_range(replica, DotRange { first: 1, last: upto });
        }
        let mut end = upto;
        for _ in 0..self.count()? {
            let first = sum(&[end, 2, self.take()?])?;
            let last = sum(&[first, self.take()?])?;
            context.insert_range(replica, DotRange { first, last });
            end = last;
        }
        Ok(())
    }

    fn entries(
        &mut self,
        tables: &Tables,
        replica: &Arc<ReplicaId>,
        entries: &mut Vec<Arc<Presence>>,
    ) -> Result<(), DecodeError> {
        let (mut counter, mut joined_at) = (0, WallMs(0));
        for _ in 0..self.count()? {
            counter = self.counter(counter)?;
            let dot = Dot::new(Arc::clone(replica), counter);
            let entry = self.entry(tables, dot, joined_at)?;
            joined_at = entry.meta.joined_at;
            entries.push(Arc::new(entry));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        tables: &Tables,
        dot: Dot,
        joined_before: WallMs,
    ) -> Result<Presence, DecodeError> {
        let set: u16 = self.take()?;
        if set & !flags::KNOWN != 0 {
            return Err(DecodeError::UnknownFlags { flags: set });
        }
        let topic = self.place(&tables.topics)?;
        let key = self.place(&tables.keys)?;
        let session = SessionId::from(self.name(Limited::Session)?);
        let meta = self.meta(tables, set, joined_before)?;
        let replaces = self.replaces(set, &dot)?;
        Ok(Presence { dot, replaces, topic, key, session, meta })
    }

    fn meta(
        &mut self,
        tables: &Tables,
        set: u16,
        joined_before: WallMs,
    ) -> Result<Meta, DecodeError> {
        let has = |flag| set & flag != 0;
        let status = match set >> flags::STATUS_SHIFT & 3 {
            0 => Status::Active,
            1 => Status::Idle,
            2 => Status::Hidden,
            _ => Status::Reconnecting,
        };
        let activity = match set >> flags::ACTIVITY_SHIFT & 3 {
            0 => Activity::Viewing,
            1 => Activity::Typing,
            2 => Activity::Editing,
            _ => return Err(DecodeError::UnknownFlags { flags: set }),
        };
        let joined_at = WallMs(joined_before.0.wrapping_add_signed(self.take()?));
        let profile = match self.take::<u32>()? {
            0 => Bytes::new(),
            place => at(&tables.profiles, place - 1)?,
        };
        let custom = if has(flags::CUSTOM) { self.blob(Limited::Custom)? } else { Bytes::new() };
        let idle_since = match has(flags::IDLE) {
            true => Some(WallMs(joined_at.0.wrapping_add_signed(self.take()?))),
            false => None,
        };
        let generation = if has(flags::RESUMED) { self.take()? } else { 0 };
        Ok(Meta {
            joined_at,
            generation,
            mode: if has(flags::VIEW) { Mode::View } else { Mode::Edit },
            kind: if has(flags::AI) { Kind::Ai } else { Kind::Human },
            status,
            activity,
            unsaved: has(flags::UNSAVED),
            idle_since,
            profile,
            custom,
        })
    }

    fn replaces(&mut self, set: u16, dot: &Dot) -> Result<Option<Dot>, DecodeError> {
        match (set & flags::REPLACES != 0, set & flags::REPLACES_FOREIGN != 0) {
            (false, false) => Ok(None),
            (true, true) => Err(DecodeError::UnknownFlags { flags: set }),
            (true, false) => {
                let back: u64 = self.take()?;
                let counter = dot.counter.checked_sub(1).and_then(|c| c.checked_sub(back));
                let counter = counter.filter(|&counter| counter > 0);
                let counter = counter.ok_or(DecodeError::CounterOutOfRange)?;
                Ok(Some(Dot::new(Arc::clone(&dot.replica), counter)))
            }
            (false, true) => {
                let replica = Arc::new(self.replica()?);
                let counter = sum(&[self.take()?])?;
                if counter == 0 {
                    return Err(DecodeError::CounterOutOfRange);
                }
                Ok(Some(Dot::new(replica, counter)))
            }
        }
    }

    fn place<T: Clone>(&mut self, table: &[T]) -> Result<T, DecodeError> {
        let place = self.take()?;
        at(table, place)
    }
}

fn at<T: Clone>(table: &[T], place: u32) -> Result<T, DecodeError> {
    table.get(place as usize).cloned().ok_or(DecodeError::NoSuchPlace { place })
}

/// Adds counters, within their range.
fn sum(terms: &[u64]) -> Result<u64, DecodeError> {
    let sum = terms.iter().try_fold(0_u64, |sum, &term| sum.checked_add(term));
    sum.filter(|&sum| sum <= COUNTER_MAX).ok_or(DecodeError::CounterOutOfRange)
}
