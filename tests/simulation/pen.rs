//! The pen: real decisions over a modelled store, with editors that stop, are cut off and come back.
//!
//! Requests are delayed, repeated and lost, and so are replies after what they tell has been written.
//! Editors stop between the look at their watch and the write. The store is away for a while, its clock
//! jumps, and a standby takes its place that lacks the last writes. At every step a [`Ledger`] judges
//! what was written by its own knowledge of the rules; in the end all faults stop, and everybody who
//! wants the pen gets it.

mod editor;
mod ledger;
mod plan;
mod sabotage;
mod store;
mod world;

use crate::seeds;
use crate::violation::{Rule, Violation};
use sabotage::Sabotage;
use world::{Tally, World};

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 500;

/// Within how many seeds a mistake must be found.
const BITES_WITHIN: u64 = 1_000;

/// What a run that broke no promise comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    digest: u64,
    tally: Tally,
}

/// Runs a seed to its end.
fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Outcome, Violation> {
    let mut world = World::new(seed, sabotage);
    world.pass(world.plan.span_ms)?;
    world.heal()?;
    Ok(Outcome { digest: world.log.0, tally: world.tally })
}

#[test]
fn pens_keep_every_promise_for_every_seed() {
    seeds::keep_every_promise("pens", SEEDS, |seed| run(seed, None));
}

#[test]
fn the_same_seed_gives_the_same_log_of_pens() {
    for seed in 0..8 {
        assert_eq!(run(seed, None).ok(), run(seed, None).ok(), "seed {seed}");
    }
    assert_ne!(run(0, None).ok(), run(1, None).ok());
}

#[test]
fn the_runs_of_pens_reach_every_corner() {
    let tallies = (0..100).filter_map(|seed| Some(run(seed, None).ok()?.tally));
    let total = tallies.reduce(Tally::plus).unwrap_or_default();
    assert!(total.rarest() >= 5, "{total:?}");
}

#[test]
fn every_checker_of_pens_bites() {
    let found_by = [
        (Sabotage::Unfenced, Rule::CurrentWrite),
        (Sabotage::CheckFirst, Rule::CurrentWrite),
        (Sabotage::AskersClock, Rule::NoEarlyGrant),
        (Sabotage::DeleteRow, Rule::FenceGrows),
        (Sabotage::OneTimeline, Rule::FenceGrows),
        (Sabotage::ForgetRequest, Rule::OneGrant),
        (Sabotage::NoTicks, Rule::PassedOn),
        (Sabotage::AnyRelease, Rule::OwnWord),
        (Sabotage::CountFromReply, Rule::Belief),
    ];
    for (sabotage, rule) in found_by {
        let found = seeds::breaks(rule, 0..BITES_WITHIN, |seed| run(seed, Some(sabotage)));
        assert!(found, "{rule:?} misses {sabotage:?} in {BITES_WITHIN} seeds");
    }
}
