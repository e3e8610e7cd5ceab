//! Inputs to begin with, made of real messages: the same on every machine.
//!
//! `cargo xtask fuzz --seeds` writes them into `corpus`, as `seed-NAME`.

mod frames;
mod plans;
mod traffic;

/// An input for one target.
#[derive(Debug)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// What it is called among the seeds of the target.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Returns the seeds of all targets.
pub fn all() -> Vec<Seed> {
    let of = |target, seeds: Vec<(String, Vec<u8>)>| {
        seeds.into_iter().map(move |(name, bytes)| Seed { target, name, bytes })
    };
    let codec = of("codec", traffic::messages());
    let frames = of("frame", frames::frames()).chain(of("payload", frames::payloads()));
    codec.chain(frames).chain(of("replica", plans::all())).collect()
}
