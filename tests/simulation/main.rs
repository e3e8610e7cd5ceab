//! The simulation: a real shard, modelled clients, a virtual clock, and checkers that are always on.
//!
//! One seed draws the size of the run, the windows and bounds, who does what and when, and who reads
//! how slowly. First a phase in which everything happens at once and the promises must hold at every
//! step; then everybody reads everything and must know the same; then all leave and nothing may
//! remain. What ought to be so is computed by a naive model, [`truth`]. The same seed gives the same
//! run, byte for byte.
//!
//! The runs are in [`seeds`].

mod action;
mod client;
mod cluster;
mod fault;
mod observer;
mod pen;
mod plan;
mod rng;
mod run;
mod seeds;
mod story;
mod truth;
mod violation;

use fault::Fault;
use penholder_protocol::TopicName;
use run::{Tally, run};
use violation::Rule;

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 250;

/// Within how many seeds a deliberate fault must be found.
const BITES_WITHIN: u64 = 100;

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

#[test]
fn promises_hold_for_every_seed() {
    seeds::keep_every_promise("one hub", SEEDS, |seed| run(seed, None));
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..10 {
        assert_eq!(run(seed, None).ok(), run(seed, None).ok(), "seed {seed}");
    }
    assert_ne!(run(0, None).ok(), run(1, None).ok());
}

#[test]
fn the_runs_reach_every_corner() {
    let tallies = (0..50).filter_map(|seed| Some(run(seed, None).ok()?.tally));
    let total = tallies.reduce(Tally::plus).unwrap_or_default();
    let Tally { crowds, resumes, takeovers, expiries, repairs, overflows } = total;
    let rarest = [crowds, resumes, takeovers, expiries, repairs, overflows].into_iter().min();
    assert!(rarest >= Some(5), "{total:?}");
}

#[test]
fn every_checker_bites() {
    let found_by = [
        (Fault::DropDiff, Rule::Replay),
        (Fault::RepeatDiff, Rule::Replay),
        (Fault::DiffFirst, Rule::Replay),
        (Fault::Resurrect, Rule::NoGhost),
        (Fault::ForgetLoss, Rule::NoGhost),
        (Fault::HideJoin, Rule::NoLostJoin),
        (Fault::SplitUpdate, Rule::NoGap),
        (Fault::Chatter, Rule::Quiet),
        (Fault::Favour, Rule::SamePriority),
        (Fault::DropBroadcast, Rule::Delivery),
        (Fault::Misname, Rule::Resume),
    ];
    for (fault, rule) in found_by {
        let mut violations = (0..BITES_WITHIN).filter_map(|seed| run(seed, Some(fault)).err());
        let found = violations.any(|violation| violation.rule == rule);
        assert!(found, "{rule:?} does not find {fault:?} within {BITES_WITHIN} seeds");
    }
}
