//! What the benchmarks share: the presences that they work on, what is run beside ours, and how a
//! figure comes about and is shown.
//!
//! Absolute figures of a shared machine are noise, so every figure has something beside it that was
//! run in the same process, round by round in turn. `docs/PERFORMANCE.md` keeps the results.

#![expect(clippy::print_stdout, reason = "a benchmark's output is what it prints")]

pub mod cluster;
pub mod contender;
pub mod effort;
pub mod flat;
pub mod instructions;
pub mod map;
pub mod people;
pub mod row;
pub mod scan;
pub mod table;
pub mod timing;
pub mod writers;
