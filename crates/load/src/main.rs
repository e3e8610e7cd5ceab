//! `penholder-load`: measures Penholder, and peers beside it, from outside.
//!
//! A scenario starts a fresh server, brings clients to it over real sockets, does its work, and reports
//! what the clients saw and what the server used: its processor time and memory as the kernel counts
//! them. What is wrong (a message lost, a list that does not agree with who is there) fails the run.
//!
//! Begin reading at `scenario.rs`, then `fleet.rs` and `client.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod cli;
mod client;
mod dialect;
mod endpoint;
mod figures;
mod fleet;
mod goals;
mod http;
mod ledger;
mod limits;
mod note;
mod presence;
mod progress;
mod report;
mod sampler;
mod scenario;
mod socket;
mod tally;
mod target;
mod usage;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::runtime::Builder;

use crate::cli::Cli;
use crate::figures::{Run, Scenario};
use crate::report::Report;
use crate::scenario::Bench;
use crate::target::Target;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match measure(&Cli::parse()) {
        Ok(report) if report.is_sound() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("penholder-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<Report> {
    let (targets, sizes) = (cli.targets()?, cli.sizes());
    limits::raise_open_files(sizes.most_clients())?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(usize::try_from(cli.threads)?)
        .enable_all()
        .build()?;
    let mut runs = Vec::new();
    for scenario in cli.scenarios() {
        for target in &targets {
            let bench = Bench {
                target: target.clone(),
                sizes: sizes.clone(),
                window: cli.window(),
                threads: cli.threads,
                causes: cli.causes(),
            };
            // On the threads that were asked for, not on this one beside them.
            let found = runtime.spawn(async move { bench.run(scenario).await });
            match runtime.block_on(found)? {
                Ok(found) => runs.extend(found),
                Err(error) => runs.push(broken(scenario, target, &error)),
            }
        }
    }
    let report = Report::new(cli.label.clone(), runs);
    println!("{}", report.table());
    write(cli.json.as_deref(), || report.json())?;
    write(cli.html.as_deref(), || Ok(report.html()))?;
    Ok(report)
}

/// A run that came to nothing.
fn broken(scenario: Scenario, target: &Target, error: &anyhow::Error) -> Run {
    Run {
        scenario,
        title: format!("{scenario:?}").to_lowercase(),
        target: target.name().to_owned(),
        figures: Vec::new(),
        notes: Vec::new(),
        violations: vec![format!("{error:#}")],
        samples: Vec::new(),
        curves: Vec::new(),
    }
}

fn write(file: Option<&Path>, text: impl FnOnce() -> Result<String>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    fs::write(file, text()?).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}", file.display());
    Ok(())
}
