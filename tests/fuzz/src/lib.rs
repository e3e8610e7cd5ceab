//! Fuzz targets: everything that comes from outside, in any bytes.
//!
//! A target takes bytes, does with them what the product does, and compares with a slow and simple
//! model. It panics when a promise is broken. The programs in `targets` let libFuzzer choose the
//! bytes; `cargo xtask fuzz` builds and runs them. The tests here need no fuzzer: they run what is in
//! `corpus`, on every target.
//!
//! `corpus/TARGET` holds inputs to begin with, made by [`seeds`], and beside them each input that has
//! found a fault, named after it. `dictionaries` holds words that are hard to guess.

mod codec;
mod frame;
mod heap;
mod payload;
mod replica;
pub mod seeds;
mod tree;

pub use codec::codec;
pub use frame::frame;
pub use payload::payload;
pub use replica::replica;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its program, its corpus and its dictionary.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 4] = [
    Target { name: "codec", run: codec },
    Target { name: "frame", run: frame },
    Target { name: "payload", run: payload },
    Target { name: "replica", run: replica },
];

#[cfg(test)]
mod tests;
