//! The attackers, as processes: one for each window, with a seed of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::super::{Siege, Stage};
use super::remains::SHORT_ATTACK;
use crate::figures::{Unit, count};
use crate::target::SECRET;

/// The program beside this one.
const PROGRAM: &str = "penholder-hostile";

/// Holds the secret that it signs tokens with.
const SECRET_VARIABLE: &str = "PENHOLDER_HOSTILE_SECRET";

/// How to attack, and what has come of it.
#[derive(Debug)]
pub(super) struct Attackers {
    program: PathBuf,
    server: SocketAddr,
    topics: u32,
    siege: Siege,
    windows: u64,
    total: Report,
}

/// What the program prints at its end.
#[derive(Debug, Default, Deserialize)]
struct Report {
    attacks: BTreeMap<String, u64>,
    connections: u64,
    cut_short: u64,
    broken: u64,
    told: Vec<String>,
}

/// Attackers at work; they end by themselves.
#[derive(Debug)]
pub(super) struct Attack(Child);

impl Attackers {
    pub(super) fn new(server: SocketAddr, (topics, siege): (u32, Siege)) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name(PROGRAM);
        ensure!(program.is_file(), "there is no {}: build it too", program.display());
        Ok(Self { program, server, topics, siege, windows: 0, total: Report::default() })
    }

    /// Sends attackers for one window.
    pub(super) fn attack(&mut self, window: Duration) -> Result<Attack> {
        let seed = self.siege.seed.wrapping_mul(1000) + self.windows;
        self.windows += 1;
        let mut command = Command::new(&self.program);
        command
            .args(["--server", &self.server.to_string()])
            .args(["--for-ms", &window.as_millis().to_string()])
            .args(["--seed", &seed.to_string()])
            .args(["--attackers", &self.siege.attackers.to_string()])
            .args(["--topics", &self.topics.to_string()])
            .args(["--namespace", if window < SHORT_ATTACK { "apart" } else { "load" }])
            .env(SECRET_VARIABLE, SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Attack(child))
    }

    /// Waits until they have gone, and adds up what they did.
    pub(super) async fn end(&mut self, Attack(child): Attack) -> Result<()> {
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
        ensure!(output.status.success(), "the attackers have failed: {}", output.status);
        let report: Report = serde_json::from_slice(&output.stdout)?;
        let total = &mut self.total;
        for (kind, times) in report.attacks {
            *total.attacks.entry(kind).or_default() += times;
        }
        total.connections += report.connections;
        total.cut_short += report.cut_short;
        total.broken += report.broken;
        for told in report.told {
            if !total.told.contains(&told) {
                total.told.push(told);
            }
        }
        Ok(())
    }

    pub(super) fn report(&self, stage: &mut Stage) {
        let Report { attacks, connections, cut_short, broken, told } = &self.total;
        let all = attacks.values().sum();
        stage.figure("attacks", count(all), Unit::Number);
        stage.figure("connections of attackers", count(*connections), Unit::Number);
        stage.figure("attacks that the server cut short", count(*cut_short), Unit::Number);
        let kinds: Vec<String> =
            attacks.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        stage.run.notes.push(format!("attacks: {}", kinds.join(", ")));
        if *broken > 0 {
            let told = told.join("; ");
            stage.run.violations.push(format!("{broken} promises broken: {told}"));
        }
    }
}
