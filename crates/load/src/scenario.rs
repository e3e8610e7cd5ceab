//! The scenarios: each starts a server, does its work, and returns what it has found.

mod desk;
mod fanout;
mod hostile;
mod idle;
mod reconnect;
mod storm;

use std::time::Duration;

use anyhow::Result;

use crate::figures::{Curve, Figure, Run, Scenario, Unit, count};
use crate::fleet::Fleet;
use crate::goals;
use crate::progress::Progress;
use crate::sampler::{Sampler, Span};
use crate::target::{Server, Target, Tuning};

pub(crate) use reconnect::Cause;

/// From this share of its threads on, this process may be what is slow.
const CLIENT_BOUND: f64 = 0.9;

/// From this share of all cores on, client and server contend for them.
const MACHINE_BOUND: f64 = 0.9;

/// From so many cores used by others on, they may be what is slow.
const OTHERS_BOUND: f64 = 0.25;

/// How large the work is.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Idle connections, ten on each topic.
    pub(crate) idle: u32,
    /// How long they are left alone before the memory is read.
    pub(crate) settle: Duration,
    pub(crate) storms: Vec<u32>,
    /// How often a storm is repeated; the median counts.
    pub(crate) rounds: u32,
    /// Subscribers beside the publisher.
    pub(crate) fanout: u32,
    /// Messages that are sent one at a time.
    pub(crate) singles: u32,
    pub(crate) topics: u32,
    pub(crate) viewers: u32,
    /// Events a second over all topics.
    pub(crate) events: u32,
    /// People who leave their topic each second, and come back a second later.
    pub(crate) churn: u32,
    pub(crate) reconnect: u32,
    /// How long each rate is measured.
    pub(crate) span: Duration,
    pub(crate) siege: Siege,
}

/// How long, and by how many, a server is attacked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Siege {
    /// Windows with attackers; before and after each is one without.
    pub(crate) attacks: u32,
    /// How long each window is.
    pub(crate) window: Duration,
    /// At a time.
    pub(crate) attackers: u32,
    /// Decides what they do.
    pub(crate) seed: u64,
}

/// What a scenario works with.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) target: Target,
    pub(crate) sizes: Sizes,
    /// Messages under way where as many as possible are sent.
    pub(crate) window: u32,
    /// Threads of this process.
    pub(crate) threads: u32,
    pub(crate) causes: Vec<Cause>,
}

impl Bench {
    /// Runs a scenario.
    ///
    /// # Errors
    ///
    /// The server does not start, or does not do what the scenario needs.
    pub(crate) async fn run(&self, scenario: Scenario) -> Result<Vec<Run>> {
        match scenario {
            Scenario::Idle => idle::run(self).await,
            Scenario::Storm => storm::run(self).await,
            Scenario::Fanout => fanout::run(self).await,
            Scenario::Desk => desk::run(self).await,
            Scenario::Reconnect => reconnect::run(self).await,
            Scenario::Hostile => hostile::run(self).await,
        }
    }
}

/// A run that goes on: a server, who watches it, and what has been found so far.
struct Stage {
    server: Server,
    sampler: Sampler,
    progress: Progress,
    threads: u32,
    clients: u32,
    run: Run,
}

impl Stage {
    /// Starts the server for a scenario with so many clients; `title` is the same for all servers.
    fn begin(
        bench: &Bench,
        (scenario, clients): (Scenario, u32),
        title: String,
        tuning: Tuning,
    ) -> Result<Self> {
        let server = bench.target.start(tuning)?;
        let sampler = Sampler::start(server.pid());
        let target = bench.target.name();
        let progress = Progress::new(format!("{target}, {title}"));
        let run = Run {
            scenario,
            title,
            target: target.to_owned(),
            figures: Vec::new(),
            notes: Vec::new(),
            violations: Vec::new(),
            samples: Vec::new(),
            curves: Vec::new(),
        };
        Ok(Self { server, sampler, progress, threads: bench.threads, clients, run })
    }

    fn figure(&mut self, name: &'static str, value: f64, unit: Unit) {
        let goal = goals::find(self.run.scenario, self.clients, name);
        self.run.figures.push(Figure { name, value, unit, goal });
    }

    /// Adds the processor time of the server, where it can be seen.
    fn server_cpu(&mut self, name: &'static str, span: &Span) {
        if let Some(cpu) = span.server_cpu {
            self.figure(name, cpu.as_secs_f64(), Unit::Seconds);
        }
    }

    fn curve(&mut self, curve: Curve) {
        self.run.curves.push(curve);
    }

    /// Notes when not the server but this process, or others on the machine, was at its limit during
    /// `work`.
    fn look_around(&mut self, work: &str, span: &Span) {
        let client = span.load(span.client_cpu);
        let share = client / f64::from(self.threads);
        if share > CLIENT_BOUND {
            self.run.notes.push(format!(
                "{work}: the client is the bottleneck, its {} threads were busy to {:.0} %",
                self.threads,
                share * 100.0
            ));
        }
        let server = span.server_cpu.map_or(0.0, |cpu| span.load(cpu));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if server + client > MACHINE_BOUND * count(cores as u64) && client > server {
            self.run.notes.push(format!(
                "{work}: the machine is full, and the client uses the larger part of it"
            ));
        }
        let others = span.load(span.others_cpu);
        if others > OTHERS_BOUND {
            self.run
                .notes
                .push(format!("{work}: other processes used {others:.1} of the machine's cores"));
        }
    }

    /// Ends the run: what the clients have found wrong, and the plots.
    async fn finish(mut self, fleet: Fleet) -> Run {
        self.run.violations.extend(fleet.world.tally.failures());
        let wrong = fleet.wrong_lists();
        if wrong > 0 {
            self.run
                .violations
                .push(format!("{wrong} clients show another list than who is there"));
        }
        fleet.end().await;
        self.run.samples = self.sampler.finish();
        self.run
    }
}
