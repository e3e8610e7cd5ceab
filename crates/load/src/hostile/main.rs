//! `penholder-hostile`: does to a server what nobody should, all of it at once, for a while.
//!
//! A process of its own and of the lowest priority, as an attacker's machine is another one: what it costs
//! must not be taken for what the server makes others wait. What it does is drawn from a seed. At the end it
//! prints how often it did what, and which promises of the server were broken, as JSON.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod attack;
mod frames;
mod line;
mod people;
mod polls;
mod requests;
mod sockets;
mod tally;
mod topics;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use crate::attack::{Attacker, Kinds};
use crate::people::People;
use crate::tally::Tally;

/// The lowest priority there is.
const NICE: i32 = 19;

/// Holds the secret that tokens are signed with: what stands on a command line is seen by everybody.
const SECRET: &str = "PENHOLDER_HOSTILE_SECRET";

/// Attack a server from several addresses of the loopback network.
#[derive(Debug, Parser)]
#[command(name = "penholder-hostile", version)]
struct Cli {
    /// Where the server listens, e.g. 127.0.0.1:4000.
    #[arg(long, value_name = "ADDRESS")]
    server: SocketAddr,
    /// How long to go on.
    #[arg(long, value_name = "MILLISECONDS")]
    for_ms: u64,
    /// Decides what is done, in which order.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Attackers at a time.
    #[arg(long, value_name = "N", default_value_t = 200)]
    attackers: u64,
    /// Addresses to come from: 127.0.0.2 and those after it.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=200))]
    addresses: u8,
    /// Only attacks with one of these in their name, to find out which is felt; all when none is given.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How many topics others are on.
    #[arg(long, value_name = "N", default_value_t = 10)]
    topics: u32,
    /// The namespace of those topics; attackers come to them too.
    #[arg(long, value_name = "NAME", default_value = "load")]
    namespace: String,
}

/// What all attackers know.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) server: SocketAddr,
    pub(crate) addresses: u8,
    pub(crate) topics: u32,
    pub(crate) namespace: String,
    pub(crate) kinds: Kinds,
    pub(crate) people: People,
    pub(crate) tally: Tally,
}

impl Scene {
    /// One of the topics that others are on.
    pub(crate) fn popular_topic(&self, rng: &mut StdRng) -> String {
        self.topic(rng.random_range(0..self.topics))
    }

    pub(crate) fn topic(&self, number: u32) -> String {
        format!("{}:{number}", self.namespace)
    }
}

fn main() -> ExitCode {
    match attack(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penholder-hostile: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn attack(cli: &Cli) -> Result<()> {
    nice(NICE)?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let secret = std::env::var(SECRET).with_context(|| format!("{SECRET} is not set"))?;
    let scene = Arc::new(Scene {
        server: cli.server,
        addresses: cli.addresses,
        topics: cli.topics.max(1),
        namespace: cli.namespace.clone(),
        kinds: Kinds::named(&cli.only)?,
        people: People::new(&secret),
        tally: Tally::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for number in 0..cli.attackers {
            // Each draws for itself, so that what one does depends on nobody's haste.
            let rng = StdRng::seed_from_u64(cli.seed.wrapping_mul(1 << 20).wrapping_add(number));
            tokio::spawn(Attacker::new(Arc::clone(&scene), rng).go_on());
        }
        tokio::time::sleep(Duration::from_millis(cli.for_ms)).await;
    });
    println!("{}", serde_json::to_string(&scene.tally.report())?);
    // The kernel ends every connection, as it does when a machine is switched off.
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
