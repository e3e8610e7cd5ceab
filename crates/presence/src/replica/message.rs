//! Messages between replicas as bytes.
//!
//! Every message begins with an *envelope* that no version will ever change:
//!
//! ```text
//! envelope = version:u8  kind:u8  name:str  incarnation  seq      the sender; seq counts its messages
//! Ask      = envelope (kind 0)  reads:u8  lives:[life]            as frozen as the envelope
//! ```
//!
//! So a replica can always tell who speaks, and whoever does not know the version of what was said
//! answers with an Ask: *I read versions up to `reads`, and this is what I have seen.* The other answers
//! in version `reads` with what that lacks. A later version must be able to write all earlier ones that
//! still run, and this is all it takes for mixed versions to converge
//! (`an_unknown_version_is_asked_for_what_is_lacking`).
//!
//! Version 1, in the notation and with the items of the delta format:
//!
//! ```text
//! Deltas    = envelope (1)  [first  last  delta:bytes]            operations first..=last of one owner
//! Heartbeat = envelope (2)  lives:[life quiet_ms]  [name:str  incarnation  left_ms]
//! Request   = envelope (3)  [name:str  incarnation  have  staged] staged = 0 | 1 as_of [first  span]
//! Repair    = envelope (4)  as_of  base  first  last  delta:bytes a chunk of a state
//! life      = name:str  incarnation  upto  cloud:[gap  span]
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::history::Interval;
use super::snapshot::Chunk;
use crate::codec::{DecodeError, Reader, Writer, write_life};
use crate::context::{Context, DotRange, Life, Seen};
use crate::delta::Delta;
use crate::dot::ReplicaId;
use crate::limits::COUNTER_MAX;

/// The version that is written, and the largest that is read.
pub(super) const VERSION: u8 = 1;

const ASK: u8 = 0;
const DELTAS: u8 = 1;
const HEARTBEAT: u8 = 2;
const REQUEST: u8 = 3;
const REPAIR: u8 = 4;

/// The part that every version understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) version: u8,
    pub(super) kind: u8,
    pub(super) from: ReplicaId,
    /// Larger in each message of one life, so that a repeated one is no sign of life.
    pub(super) seq: u64,
}

/// What one owner's operations are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) owner: ReplicaId,
    /// Everything up to this operation is there.
    pub(super) have: u64,
    /// A state that has begun to arrive: as of which operation, and the ranges that are missing.
    pub(super) staged: Option<(u64, Vec<DotRange>)>,
}

/// That a replica is leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) replica: ReplicaId,
    /// How much longer its entries are shown.
    pub(super) left_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Ask {
        /// The largest version that the sender reads: at least this one, the first.
        reads: u8,
        digest: Context,
    },
    Deltas(Vec<(Interval, Delta)>),
    Heartbeat {
        digest: Context,
        /// For each life of the digest, how long nothing was heard of its replica.
        quiet_ms: Vec<u64>,
        farewells: Vec<Farewell>,
    },
    Request(Vec<Want>),
    Repair(Chunk),
}

/// A message between replicas, which can be taken apart and written again. For the fuzz targets.
#[cfg(feature = "fuzzing")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    envelope: Envelope,
    body: Body,
}

#[cfg(feature = "fuzzing")]
impl Message {
    /// Reads a message as a [`Replica`](crate::Replica) does.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when it is none, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (envelope, rest) = open(bytes)?;
        let body = read(&envelope, rest)?;
        Ok(Self { envelope, body })
    }

    /// Writes the message. Equal messages give equal bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let Envelope { version, kind, from, seq } = &self.envelope;
        let sender = (from, *seq);
        match &self.body {
            Body::Ask { reads, digest } => {
                write_ask(envelope_in(*version, (*kind, from, *seq)), *reads, digest)
            }
            Body::Deltas(intervals) => {
                let intervals: Vec<_> = intervals.iter().map(|(interval, _)| interval).collect();
                deltas(sender, &intervals)
            }
            Body::Heartbeat { digest, quiet_ms, farewells } => {
                heartbeat(sender, digest, quiet_ms, farewells)
            }
            Body::Request(wants) => request(sender, wants),
            Body::Repair(chunk) => repair(sender, chunk),
        }
    }
}

/// Writes messages of one sender.
pub(super) fn envelope(kind: u8, from: &ReplicaId, seq: u64) -> Writer {
    envelope_in(VERSION, (kind, from, seq))
}

fn envelope_in(version: u8, (kind, from, seq): (u8, &ReplicaId, u64)) -> Writer {
    let mut out = Writer::new(&[version, kind]);
    out.put(from.name.as_str());
    out.put(&from.incarnation.0);
    out.put(&seq);
    out
}

pub(super) fn ask((from, seq): (&ReplicaId, u64), digest: &Context) -> Bytes {
    write_ask(envelope(ASK, from, seq), VERSION, digest)
}

fn write_ask(mut out: Writer, reads: u8, digest: &Context) -> Bytes {
    out.put(&reads);
    out.put(&digest.iter().count());
    digest.iter().for_each(|life| write_life(&mut out, life));
    out.finish()
}

pub(super) fn deltas((from, seq): (&ReplicaId, u64), intervals: &[&Interval]) -> Bytes {
    let mut out = envelope(DELTAS, from, seq);
    out.put(&intervals.len());
    for interval in intervals {
        out.put(&interval.first);
        out.put(&interval.last);
        out.put_bytes(&interval.delta);
    }
    out.finish()
}

pub(super) fn heartbeat(
    (from, seq): (&ReplicaId, u64),
    digest: &Context,
    quiet_ms: &[u64],
    farewells: &[Farewell],
) -> Bytes {
    let mut out = envelope(HEARTBEAT, from, seq);
    out.put(&quiet_ms.len());
    for (life, quiet_ms) in digest.iter().zip(quiet_ms) {
        write_life(&mut out, life);
        out.put(quiet_ms);
    }
    out.put(&farewells.len());
    for Farewell { replica, left_ms } in farewells {
        out.put(replica.name.as_str());
        out.put(&replica.incarnation.0);
        out.put(left_ms);
    }
    out.finish()
}

pub(super) fn request((from, seq): (&ReplicaId, u64), wants: &[Want]) -> Bytes {
    let mut out = envelope(REQUEST, from, seq);
    out.put(&wants.len());
    for Want { owner, have, staged } in wants {
        out.put(owner.name.as_str());
        out.put(&owner.incarnation.0);
        out.put(have);
        out.put(&u8::from(staged.is_some()));
        if let Some((as_of, missing)) = staged {
            out.put(as_of);
            out.put(&missing.len());
            for range in missing {
                out.put(&range.first);
                out.put(&(range.last - range.first));
            }
        }
    }
    out.finish()
}

pub(super) fn repair((from, seq): (&ReplicaId, u64), chunk: &Chunk) -> Bytes {
    let mut out = envelope(REPAIR, from, seq);
    let Chunk { as_of, base, span, delta } = chunk;
    for number in [as_of, base, &span.first, &span.last] {
        out.put(number);
    }
    out.put_bytes(&delta.encode());
    out.finish()
}

/// Reads the part that every version understands, and leaves the rest to [`read`].
pub(super) fn open(bytes: &[u8]) -> Result<(Envelope, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(bytes);
    let (version, kind) = (reader.take()?, reader.take()?);
    let from = reader.replica()?;
    let seq = reader.take()?;
    Ok((Envelope { version, kind, from, seq }, reader))
}

/// Reads a message of this version, or an Ask of any.
pub(super) fn read(envelope: &Envelope, mut reader: Reader<'_>) -> Result<Body, DecodeError> {
    if envelope.version != VERSION && envelope.kind != ASK {
        return Err(DecodeError::UnknownVersion { version: envelope.version });
    }
    let body = match envelope.kind {
        ASK => {
            let (reads, mut digest) = (reader.take()?, Context::new());
            for _ in 0..reader.count()? {
                reader.next_life(&mut digest)?;
            }
            Body::Ask { reads, digest }
        }
        DELTAS => Body::Deltas(reader.list(interval)?),
        HEARTBEAT => {
            let (mut digest, mut quiet_ms) = (Context::new(), Vec::new());
            for _ in 0..reader.count()? {
                reader.next_life(&mut digest)?;
                quiet_ms.push(reader.take()?);
            }
            Body::Heartbeat { digest, quiet_ms, farewells: reader.list(farewell)? }
        }
        REQUEST => Body::Request(reader.list(want)?),
        REPAIR => Body::Repair(chunk(&mut reader)?),
        kind => return Err(DecodeError::UnknownKind { kind }),
    };
    reader.end()?;
    Ok(body)
}

fn interval(reader: &mut Reader<'_>) -> Result<(Interval, Delta), DecodeError> {
    let span = span(reader.take()?, reader.take()?)?;
    let bytes: &[u8] = reader.take()?;
    let delta = one_owner(bytes)?;
    let seen = seen(&delta);
    // What it removed is older. Something newer would be taken in ahead of what came before it.
    let is_last = seen.ranges().last().is_some_and(|range| range.last == span.last);
    let DotRange { first, last } = span;
    if !is_last || !seen.covers_range(span) {
        return Err(DecodeError::WrongSpan { first, last });
    }
    Ok((Interval { first, last, delta: Bytes::copy_from_slice(bytes) }, delta))
}

fn farewell(reader: &mut Reader<'_>) -> Result<Farewell, DecodeError> {
    Ok(Farewell { replica: reader.replica()?, left_ms: reader.take()? })
}

fn want(reader: &mut Reader<'_>) -> Result<Want, DecodeError> {
    let (owner, have) = (reader.replica()?, reader.take()?);
    let staged = match reader.take()? {
        0_u8 => None,
        _ => {
            let (as_of, mut end) = (reader.take()?, 0);
            let missing = reader.list(|reader| {
                let (first, more): (u64, u64) = (reader.take()?, reader.take()?);
                let span = span(first, first.saturating_add(more))?;
                // Each operation is asked for once, or the answer would be longer than the state.
                let before = std::mem::replace(&mut end, span.last);
                if before < first { Ok(span) } else { Err(DecodeError::CounterOutOfRange) }
            })?;
            Some((as_of, missing))
        }
    };
    Ok(Want { owner, have, staged })
}

fn chunk(reader: &mut Reader<'_>) -> Result<Chunk, DecodeError> {
    let (as_of, base): (u64, u64) = (reader.take()?, reader.take()?);
    let span = span(reader.take()?, reader.take()?)?;
    let delta = one_owner(reader.take()?)?;
    if span.last > as_of || as_of > COUNTER_MAX {
        return Err(DecodeError::CounterOutOfRange);
    }
    let seen = seen(&delta);
    let DotRange { first, last } = span;
    let is_within = seen.ranges().all(|range| first <= range.first && range.last <= last);
    // Up to the base its receiver has everything already.
    let new = DotRange { first: first.max(base.saturating_add(1)), last };
    if !is_within || new.first <= last && !seen.covers_range(new) {
        return Err(DecodeError::WrongSpan { first, last });
    }
    Ok(Chunk { as_of, base, span, delta })
}

fn span(first: u64, last: u64) -> Result<DotRange, DecodeError> {
    let is_one = 1 <= first && first <= last && last <= COUNTER_MAX;
    is_one.then_some(DotRange { first, last }).ok_or(DecodeError::CounterOutOfRange)
}

/// Reads a delta that speaks of one replica.
fn one_owner(bytes: &[u8]) -> Result<Delta, DecodeError> {
    let delta = Delta::decode(bytes)?;
    if delta.covers().iter().count() == 1 { Ok(delta) } else { Err(DecodeError::NotOneOwner) }
}

/// Returns the owner of a delta that was read as one owner's.
pub(super) fn owner(delta: &Delta) -> Arc<ReplicaId> {
    Arc::clone(life(delta).replica())
}

/// Returns which of its owner's operations such a delta covers.
fn seen(delta: &Delta) -> &Seen {
    life(delta).seen()
}

fn life(delta: &Delta) -> &Life {
    delta.covers().iter().next().expect("it has one owner")
}

/// Makes an id for a test message.
#[cfg(test)]
pub(super) fn sender(name: &str, incarnation: u64) -> ReplicaId {
    ReplicaId::new(name, crate::dot::Incarnation(incarnation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bytes: &[u8]) -> (Envelope, Body) {
        let (envelope, rest) = open(bytes).unwrap();
        let body = read(&envelope, rest).unwrap();
        (envelope, body)
    }

    #[test]
    fn the_frozen_part_is_pinned() {
        let mut digest = Context::new();
        let seen = Arc::new(sender("b", 2));
        digest.insert_range(&seen, DotRange { first: 1, last: 3 });
        digest.insert_range(&seen, DotRange::one(7));
        let bytes = ask((&sender("a", 5), 9), &digest);
        let expected: &[&[u8]] = &[&[1, 0], &[1, b'a', 5, 9], &[1], &[1, 1, b'b', 2, 3, 1, 2, 0]];
        assert_eq!(bytes, expected.concat());
        // Whatever its version says.
        let mut later = bytes.to_vec();
        later[0] = 77;
        let (envelope, body) = round(&later);
        assert_eq!((envelope.version, envelope.seq), (77, 9));
        assert_eq!(body, Body::Ask { reads: 1, digest });
    }

    #[test]
    fn requests_and_farewells_survive_the_wire() {
        let from = sender("a", 5);
        let missing = vec![DotRange { first: 4, last: 9 }, DotRange::one(11)];
        let wants = vec![
            Want { owner: sender("b", 1), have: 3, staged: Some((12, missing)) },
            Want { owner: sender("c", 1), have: 0, staged: None },
        ];
        assert_eq!(round(&request((&from, 1), &wants)).1, Body::Request(wants));
        let farewells = vec![Farewell { replica: sender("b", 2), left_ms: 900 }];
        let bytes = heartbeat((&from, 2), &Context::new(), &[], &farewells);
        let body = Body::Heartbeat { digest: Context::new(), quiet_ms: vec![], farewells };
        assert_eq!(round(&bytes).1, body);
    }

    #[test]
    fn ranges_that_are_asked_for_ascend() {
        let read_want = |ranges: &[(u64, u64)]| {
            let missing = ranges.iter().map(|&(first, last)| DotRange { first, last }).collect();
            let want = Want { owner: sender("b", 1), have: 0, staged: Some((99, missing)) };
            let bytes = request((&sender("a", 5), 1), &[want]);
            open(&bytes).and_then(|(envelope, rest)| read(&envelope, rest)).map(drop)
        };
        assert_eq!(read_want(&[(1, 3), (4, 4), (9, 99)]), Ok(()));
        assert_eq!(read_want(&[(1, 3), (1, 3)]), Err(DecodeError::CounterOutOfRange));
        assert_eq!(read_want(&[(1, 3), (3, 4)]), Err(DecodeError::CounterOutOfRange));
        assert_eq!(read_want(&[(4, 4), (1, 3)]), Err(DecodeError::CounterOutOfRange));
    }

    /// A delta of `b` that covers ranges of its operations and holds no entry.
    fn covering(ranges: &[(u64, u64)]) -> Delta {
        let (mut context, owner) = (Context::new(), Arc::new(sender("b", 1)));
        context.begin(&owner);
        for &(first, last) in ranges {
            context.insert_range(&owner, DotRange { first, last });
        }
        Delta::new(context, Vec::new())
    }

    #[test]
    fn an_interval_is_of_its_operations_and_what_they_removed() {
        let read_interval = |(first, last), ranges: &[(u64, u64)]| {
            let interval = Interval { first, last, delta: covering(ranges).encode() };
            let bytes = deltas((&sender("a", 5), 1), &[&interval]);
            open(&bytes).and_then(|(envelope, rest)| read(&envelope, rest)).map(drop)
        };
        let refused = Err(DecodeError::WrongSpan { first: 5, last: 7 });
        assert_eq!(read_interval((5, 7), &[(5, 7)]), Ok(()));
        assert_eq!(read_interval((5, 7), &[(1, 1), (3, 7)]), Ok(()));
        assert_eq!(read_interval((5, 7), &[(5, 6)]), refused);
        assert_eq!(read_interval((5, 7), &[(6, 7)]), refused);
        assert_eq!(read_interval((5, 7), &[(5, 8)]), refused);
        assert_eq!(read_interval((5, 7), &[(5, 7), (9, 9)]), refused);
        assert_eq!(read_interval((5, 7), &[]), refused);
    }

    #[test]
    fn a_chunk_is_of_its_span_and_whole_beyond_its_base() {
        let read_chunk = |base, ranges: &[(u64, u64)]| {
            let span = DotRange { first: 5, last: 7 };
            let bytes = repair(
                (&sender("a", 5), 1),
                &Chunk { as_of: 9, base, span, delta: covering(ranges) },
            );
            open(&bytes).and_then(|(envelope, rest)| read(&envelope, rest)).map(drop)
        };
        let refused = Err(DecodeError::WrongSpan { first: 5, last: 7 });
        assert_eq!(read_chunk(0, &[(5, 7)]), Ok(()));
        assert_eq!(read_chunk(5, &[(6, 7)]), Ok(()));
        assert_eq!(read_chunk(9, &[]), Ok(()));
        assert_eq!(read_chunk(9, &[(6, 6)]), Ok(()));
        assert_eq!(read_chunk(4, &[(6, 7)]), refused);
        assert_eq!(read_chunk(0, &[(5, 5), (7, 7)]), refused);
        assert_eq!(read_chunk(0, &[(5, 8)]), refused);
        assert_eq!(read_chunk(0, &[(4, 7)]), refused);
        assert_eq!(read_chunk(9, &[(1, 2)]), refused);
    }

    #[test]
    fn any_cut_of_a_message_is_refused() {
        let wants = [Want { owner: sender("b", 1), have: 3, staged: None }];
        let bytes = request((&sender("a", 5), 1), &wants);
        for cut in 0..bytes.len() {
            let read = open(&bytes[..cut]).and_then(|(envelope, rest)| read(&envelope, rest));
            assert_eq!(read, Err(DecodeError::Truncated));
        }
    }
}
