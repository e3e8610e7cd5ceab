//! Messages and deltas of replicas, read and written

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penholder_fuzz::codec(data));
