//! Deltas survive the wire, and nothing else does harm.

use penholder_presence::{DecodeError, Delta};
use proptest::prelude::*;

use crate::fleet::steps;
use crate::fragments;

/// What any bytes must fulfil: refused, or a delta that is the same after another journey.
fn check(bytes: &[u8]) {
    if let Ok(delta) = Delta::decode(bytes) {
        assert!(delta.entries().iter().all(|entry| delta.covers().contains(&entry.dot)));
        assert_eq!(Delta::decode(&delta.encode()), Ok(delta));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn deltas_survive_the_wire(history in steps(60)) {
        for delta in fragments(history) {
            prop_assert_eq!(Delta::decode(&delta.encode()), Ok(delta));
        }
    }

    #[test]
    fn decoding_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        // Most random bytes die at the version.
        check(&[&[1][..], &bytes[..]].concat());
        check(&[&[1, 0, 0, 0, 1][..], &bytes[..]].concat());
    }

    #[test]
    fn decoding_mutated_bytes_never_panics(
        history in steps(40),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for delta in fragments(history) {
            let mut bytes = delta.encode().to_vec();
            for (at, byte) in &mutations {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            check(&bytes);
        }
    }

    #[test]
    fn a_delta_that_is_cut_off_is_refused(history in steps(30)) {
        for delta in fragments(history) {
            let bytes = delta.encode();
            for cut in 0..bytes.len() {
                prop_assert_eq!(Delta::decode(&bytes[..cut]), Err(DecodeError::Truncated));
            }
        }
    }
}
