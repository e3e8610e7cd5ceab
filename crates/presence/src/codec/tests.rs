use std::sync::Arc;

use super::*;
use crate::dot::{Incarnation, ReplicaId};
use crate::limits::{COUNTER_MAX, Limited};
use crate::meta::Meta;
use crate::name::{Key, SessionId, Topic};
use crate::set::PresenceSet;
use crate::time::WallMs;

fn one() -> PresenceSet {
    let mut set = PresenceSet::new(ReplicaId::new("a", Incarnation(1)), 7);
    let meta = Meta { joined_at: WallMs(9), profile: Bytes::from_static(b"P"), ..Meta::default() };
    let _ = set.track(Topic::from("t"), Key::from("k"), SessionId::from("s"), meta).unwrap();
    set
}

#[test]
fn the_layout_of_version_1_is_pinned() {
    let bytes = one().full_state().encode();
    let expected: &[&[u8]] = &[
        &[1],                                  // version
        &[1, 1, b't', 1, 1, b'k', 1, 1, b'P'], // tables
        &[1, 1, b'a', 1, 1, 0],                // one life: name, incarnation, upto, no cloud
        &[1, 0, 0, 0, 0, 1, b's', 18, 1],      // one entry: skip, flags, places, session, …
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn an_unknown_version_says_so() {
    let mut bytes = one().full_state().encode().to_vec();
    bytes[0] = 2;
    assert_eq!(Delta::decode(&bytes), Err(DecodeError::UnknownVersion { version: 2 }));
    assert_eq!(Delta::decode(&[]), Err(DecodeError::Truncated));
}

#[test]
fn each_thing_that_merging_trusts_is_checked() {
    let whole = one().full_state().encode().to_vec();
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        Delta::decode(&bytes)
    };
    assert_eq!(changed(14, 0), Err(DecodeError::EntryNotCovered { counter: 1 }));
    assert_eq!(changed(17, 1), Err(DecodeError::EntryNotCovered { counter: 2 }));
    assert_eq!(changed(18, 0b1_1000), Err(DecodeError::UnknownFlags { flags: 0b1_1000 }));
    assert_eq!(changed(19, 1), Err(DecodeError::NoSuchPlace { place: 1 }));
    assert_eq!(changed(20, 7), Err(DecodeError::NoSuchPlace { place: 7 }));
    assert_eq!(changed(24, 2), Err(DecodeError::NoSuchPlace { place: 1 }));
    assert_eq!(changed(3, 0xff), Err(DecodeError::Malformed));
    let trailing = [&whole[..], &[0, 0]].concat();
    assert_eq!(Delta::decode(&trailing), Err(DecodeError::TrailingBytes { bytes: 2 }));
    // An update of a first entry: nothing is there to be replaced.
    let mut replacing = whole.clone();
    replacing[18] = 1 << 6;
    replacing.push(0);
    assert_eq!(Delta::decode(&replacing), Err(DecodeError::CounterOutOfRange));
}

#[test]
fn a_replica_stands_there_once_and_in_order() {
    let life = |name: u8| [1, name, 1, 0, 0, 0];
    let two = |first, second| {
        let bytes = [&[1, 0, 0, 0, 2][..], &life(first), &life(second)].concat();
        Delta::decode(&bytes).map(|delta| delta.covers().iter().count())
    };
    assert_eq!(two(b'a', b'b'), Ok(2));
    assert_eq!(two(b'a', b'a'), Err(DecodeError::ReplicasOutOfOrder));
    assert_eq!(two(b'b', b'a'), Err(DecodeError::ReplicasOutOfOrder));
}

#[test]
fn counters_past_their_range_are_refused() {
    let upto = |counter: u64| {
        let mut bytes = vec![1, 0, 0, 0, 1, 1, b'a', 1];
        bytes = postcard::to_extend(&counter, bytes).unwrap();
        bytes.extend([0, 0]);
        Delta::decode(&bytes).map(|_| ())
    };
    assert_eq!(upto(COUNTER_MAX), Ok(()));
    assert_eq!(upto(COUNTER_MAX + 1), Err(DecodeError::CounterOutOfRange));
    // A range in the cloud whose first and span add up to more than a number holds.
    let mut bytes = vec![1, 0, 0, 0, 1, 1, b'a', 1, 0, 1];
    bytes = postcard::to_extend(&u64::MAX, bytes).unwrap();
    bytes.extend([0, 0]);
    assert_eq!(Delta::decode(&bytes), Err(DecodeError::CounterOutOfRange));
}

#[test]
fn lengths_are_checked_at_the_limit_and_one_past_it() {
    let tables = |topic: usize, key: usize, profile: usize| {
        let mut bytes = vec![1];
        for length in [topic, key, profile] {
            bytes.push(1);
            bytes = postcard::to_extend(&length, bytes).unwrap();
            bytes.extend(std::iter::repeat_n(b'x', length));
        }
        bytes.push(0);
        Delta::decode(&bytes).map(|_| ())
    };
    let too_long = |what, bytes| Err(DecodeError::TooLong(TooLong { what, bytes }));
    assert_eq!(tables(200, 256, 4096), Ok(()));
    assert_eq!(tables(201, 256, 4096), too_long(Limited::Topic, 201));
    assert_eq!(tables(200, 257, 4096), too_long(Limited::Key, 257));
    assert_eq!(tables(200, 256, 4097), too_long(Limited::Profile, 4097));
}

/// A count is a claim. Were anything reserved for it, these would ask for all the memory there is.
#[test]
fn announced_counts_allocate_nothing() {
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for before in [&[1][..], &[1, 0], &[1, 0, 0], &[1, 0, 0, 0], &[1, 0, 0, 0, 1, 1, b'a', 1, 0]] {
        let bytes = [before, &many].concat();
        assert_eq!(Delta::decode(&bytes), Err(DecodeError::Truncated));
    }
}

#[test]
fn a_full_state_takes_at_most_90_bytes_a_presence() {
    let mut set = PresenceSet::new(ReplicaId::new("gw-1", Incarnation(1_790_000_000_000)), 7);
    for n in 0..10_000_u64 {
        // 100 bytes of names, ten presences to a topic.
        let topic =
            Topic::from(format!("tickets:0197f3a2-5b1c-7d4e-8f90-{:012}", n * 7919 % 1_000));
        let key = Key::from(format!("0197f3a2-5b1c-7d4e-9a00-{n:012}"));
        let meta = Meta { joined_at: WallMs(1_790_000_000_000 + n * 7), ..Meta::default() };
        let _ = set.track(topic, key, SessionId::from(format!("{n:020}")), meta).unwrap();
    }
    let state = set.full_state();
    let bytes = state.encode();
    assert!(bytes.len() <= 90 * 10_000, "{} bytes", bytes.len());
    assert_eq!(Delta::decode(&bytes), Ok(state));
}

#[test]
fn a_decoded_delta_shares_what_its_tables_share() {
    let mut set = one();
    let meta = set.list(&"t".into()).next().unwrap().meta.clone();
    let _ = set.track(Topic::from("t"), Key::from("k"), SessionId::from("s2"), meta).unwrap();
    let delta = Delta::decode(&set.full_state().encode()).unwrap();
    let [first, second] = delta.entries() else { panic!("two entries") };
    assert!(std::ptr::eq(first.topic.as_str(), second.topic.as_str()));
    assert!(std::ptr::eq(&*first.meta.profile, &*second.meta.profile));
    assert!(Arc::ptr_eq(&first.dot.replica, &second.dot.replica));
}
