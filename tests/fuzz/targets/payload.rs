//! JSON under limits, metas, payloads, names of topics and events

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penholder_fuzz::payload(data));
