//! A cluster of replicas, and an outsider that says anything

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penholder_fuzz::replica(data));
