//! A cluster of replicas, and outsiders beside it that say anything.
//!
//! An input is a [`Plan`]: what happens at the members of the cluster, which of their messages are lost, and
//! what outsiders say. Always: nothing panics, what observers are told replays to what is shown, what is
//! held and sent stays in proportion to what was said. Where outsiders speak for themselves only, which is
//! what `docs/PRESENCE.md` expects of whoever speaks on the bus: the members heal as if nobody
//! else were there, and forget the outsiders without a trace.

mod forge;
mod network;
mod plan;
mod view;

use self::network::Network;
use std::env;

pub(crate) use self::plan::{Body, Entry, Interval, Life, Plan, Speech, Step, Want};

/// Set by `cargo xtask fuzz --replay`: the plan is printed before it is run.
const SHOW: &str = "PENHOLDER_FUZZ_SHOW";

/// Runs the plan that the input says.
#[expect(clippy::print_stderr, reason = "who replays an input wants to read it")]
pub fn replica(data: &[u8]) {
    let plan = Plan::decode(data);
    if env::var_os(SHOW).is_some() {
        eprintln!("{plan:#?}");
    }
    let mut network = Network::new(&plan);
    for step in &plan.steps {
        network.step(step);
    }
    network.heal();
}
