//! Frames of clients and servers, text and binary, in both versions

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penholder_fuzz::frame(data));
