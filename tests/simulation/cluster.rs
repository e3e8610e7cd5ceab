//! Several replicas: real hubs that talk over a simulated network, and clients that move between them.
//!
//! One seed draws how many replicas there are, their spans and clocks, and which faults exist. First
//! everything happens at once, and what must hold at every step is checked: an observer's snapshot and
//! diffs are the list of its replica, equal lists have equal summaries, and in a run without loss,
//! cut or crash nobody who stays is ever out of sight. Then all links are good and the clients quiet:
//! within [`Plan::bound_ms`](plan::Plan::bound_ms), or when the last farewell is over, every replica
//! lists those who are there and is sure of it, and after that nothing is sent but heartbeats. No two
//! are ever sure of different things.
//!
//! Who is there is known from what the clients did and were answered ([`tenancy`]); a replica is asked
//! only whether it has let go of what it may let go of.

mod act;
mod bounds;
mod check;
mod extras;
mod network;
mod node;
mod person;
mod plan;
mod sabotage;
mod tally;
mod tenancy;
mod world;

use penholder_presence::Trap;

use crate::fault::Fault;
use crate::plan::Reading;
use crate::seeds;
use crate::violation::{Checked, Rule, Violation, ensure};
use bounds::Memory;
use node::Command;
use sabotage::Sabotage;
use tally::Tally;
use world::World;

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 200;

/// Seeds beyond those that found faults once; each is run every time.
const PINNED: [u64; 10] = [209, 299, 380, 1335, 2416, 3252, 3299, 4378, 14689, 58018];

/// Within how many seeds a deliberate fault must be found.
const BITES_WITHIN: u64 = 400;

/// Within how many seeds a mistake must be found that others have made.
const TRAPS_WITHIN: u64 = 1_000;

/// What a run that broke no promise comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    digest: u64,
    tally: Tally,
}

/// Runs a seed to its end.
fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Outcome, Violation> {
    let mut world = World::new(seed, sabotage);
    world.open()?;
    for _ in 0..world.plan.steps {
        world.act()?;
        let span = world.rng.below(40);
        world.pass(span)?;
        world.read_slowly()?;
        if world.rng.one_in(3) {
            world.check()?;
        }
    }
    world.heal()?;
    world.be_quiet()?;
    world.leave_all()?;
    let lost = world.net.lost;
    let (repeated, gentle) = (world.net.repeated, u64::from(world.plan.is_gentle()));
    Ok(Outcome { digest: world.log.0, tally: Tally { lost, repeated, gentle, ..world.tally } })
}

impl World {
    /// All faults end; within the bound all agree.
    fn heal(&mut self) -> Checked {
        self.net.heal();
        self.is_healed = true;
        for node in &mut self.nodes {
            if let Some(life) = &mut node.life {
                life.paused_until = life.paused_until.map(|_| self.now);
                life.stops_at = life.stops_at.map(|_| self.now);
            }
            let comes_back = node.restart_at.is_some() && self.rng.one_in(2);
            node.restart_at = comes_back.then_some(self.now + 1);
        }
        if self.nodes.iter().all(|node| node.life.is_none()) {
            self.nodes[0].restart_at = Some(self.now + 1);
        }
        self.pass(1)?;
        for _ in 0..20 {
            // As slow readers still, for what waits for them is old.
            self.read_slowly()?;
            (0..self.people.len()).try_for_each(|at| self.read(at, u64::MAX))?;
        }
        for seat in self.people.iter_mut().filter_map(|person| person.seat.as_mut()) {
            seat.reading = Reading::Promptly;
        }
        // A replica that retired for good is shown for as long as its sessions could come back.
        let kept_ms = self.farewell_until.saturating_sub(self.now);
        self.pass(self.plan.bound_ms().max(kept_ms * 102 / 100 + self.plan.news_ms()))?;
        self.check_agreement()?;
        self.check()
    }

    /// P7: only heartbeats are published and nobody is sent anything, until the dead are forgotten and
    /// after.
    fn be_quiet(&mut self) -> Checked {
        self.is_quiet = true;
        if self.sabotage == Some(Sabotage::Fidget) {
            (0..self.people.len()).try_for_each(|at| self.update(at))?;
        }
        self.pass(self.plan.gossip.permdown_after_ms)?;
        self.is_forgetful = true;
        self.pass(self.plan.gossip.permdown_after_ms)?;
        ensure(self.stir.is_empty(), Rule::Quiet, || format!("{:?}", self.stir))?;
        ensure(self.ghosts.is_empty(), Rule::NoGhost, || format!("{:?}", self.ghosts))?;
        self.is_quiet = false;
        self.check_footprints(Memory::Fresh)?;
        self.check_agreement()
    }

    /// Everybody goes; only those are left who may come back.
    fn leave_all(&mut self) -> Checked {
        (0..self.people.len()).try_for_each(|at| self.leave(at))?;
        for (node, member) in std::mem::take(&mut self.crowd) {
            self.submit(node, Command::Leave(member))?;
        }
        self.pass(self.plan.bound_ms() + self.plan.gossip.permdown_after_ms)?;
        self.check_footprints(Memory::Faded)?;
        self.check_agreement()
    }
}

#[test]
fn replicas_keep_every_promise_for_every_seed() {
    seeds::keep_every_promise("replicas", SEEDS, |seed| run(seed, None));
}

#[test]
fn seeds_that_found_faults_find_none_any_more() {
    seeds::keep_promises_of(&PINNED, |seed| run(seed, None));
}

#[test]
fn the_same_seed_gives_the_same_log_of_replicas() {
    for seed in 0..8 {
        assert_eq!(run(seed, None).ok(), run(seed, None).ok(), "seed {seed}");
    }
    assert_ne!(run(0, None).ok(), run(1, None).ok());
}

#[test]
fn the_runs_of_replicas_reach_every_corner() {
    let tallies = (0..60).filter_map(|seed| Some(run(seed, None).ok()?.tally));
    let total = tallies.reduce(Tally::plus).unwrap_or_default();
    assert!(total.rarest() >= 5, "{total:?}");
}

#[test]
fn every_checker_of_replicas_bites() {
    let found_by = [
        (Sabotage::Swallow, Rule::Certain),
        (Sabotage::Trap(Trap::HastyCertainty), Rule::Certain),
        (Sabotage::Trap(Trap::UnheardCertainty), Rule::Certain),
        (Sabotage::Swallow, Rule::NoLostJoin),
        (Sabotage::SwallowOwner, Rule::Agreement),
        (Sabotage::SwallowOwner, Rule::NoGhost),
        (Sabotage::Mute, Rule::NoLostJoin),
        (Sabotage::ForgetLeave, Rule::NoGhost),
        (Sabotage::ForgetLoss, Rule::NoGhost),
        (Sabotage::Stall, Rule::NoGap),
        (Sabotage::Fidget, Rule::Quiet),
        (Sabotage::Favour, Rule::SamePriority),
        (Sabotage::SecondLife, Rule::OneLife),
        (Sabotage::Truncate, Rule::Delivery),
        (Sabotage::Client(Fault::Misname), Rule::Resume),
        (Sabotage::Client(Fault::DropDiff), Rule::Replay),
        (Sabotage::Client(Fault::RepeatDiff), Rule::Replay),
        (Sabotage::Client(Fault::DiffFirst), Rule::Replay),
        (Sabotage::Client(Fault::SplitUpdate), Rule::NoGap),
    ];
    for (sabotage, rule) in found_by {
        let found = seeds::breaks(rule, 0..BITES_WITHIN, |seed| run(seed, Some(sabotage)));
        assert!(found, "{rule:?} misses {sabotage:?} in {BITES_WITHIN} seeds");
    }
}

/// The known traps of presence, in the order of `docs/PRESENCE.md`, section 4.
#[test]
fn every_trap_is_found() {
    let found_by = [
        (Sabotage::WallClock, Rule::NoGap),
        (Sabotage::Trap(Trap::NoStallGuard), Rule::NoGap),
        (Sabotage::Trap(Trap::UnorderedLives), Rule::OneLife),
        (Sabotage::Trap(Trap::KeyedByName), Rule::Agreement),
        (Sabotage::Trap(Trap::NeverForget), Rule::NoGhost),
        (Sabotage::Trap(Trap::NeverForget), Rule::Bounded),
        (Sabotage::Trap(Trap::DeafToDigests), Rule::NoLostJoin),
        (Sabotage::Trap(Trap::UnfilteredReads), Rule::NoGhost),
        (Sabotage::AwaitReaders, Rule::NoGap),
        (Sabotage::Trap(Trap::StateDropsHistory), Rule::Cost),
        (Sabotage::Trap(Trap::UpdateInHalves), Rule::NoGap),
        (Sabotage::Trap(Trap::GapsUnseen), Rule::NoLostJoin),
        (Sabotage::Trap(Trap::ScanPerMerge), Rule::Cost),
    ];
    for (trap, rule) in found_by {
        let found = seeds::breaks(rule, 0..TRAPS_WITHIN, |seed| run(seed, Some(trap)));
        assert!(found, "{rule:?} misses {trap:?} in {TRAPS_WITHIN} seeds");
    }
}
