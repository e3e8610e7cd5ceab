//! What is left of attackers once they have gone: nothing.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::super::Stage;
use crate::figures::{Unit, count};
use crate::fleet::Fleet;
use crate::http::Http;
use crate::usage::{Memory, open_files};

/// How long the server has until it is what it was. The longest of its own waits are the grace of a lost session
/// and the silence of one over long polling, 25 s together.
pub(super) const RETURN_MAX: Duration = Duration::from_secs(45);

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files that come and go with the server's own work.
const FILES_BESIDE: usize = 3;

/// Growth that is none: what an allocator keeps of the largest peak so far. Unit: bytes, and a share.
const GROWTH_BYTES: u64 = 2 * 1024 * 1024;
const GROWTH_SHARE: u64 = 20;

/// Fewer quiet windows show no trend.
const WINDOWS_MIN: usize = 9;

/// After a shorter attack only connections must be gone, as sessions may stay longer than all of it took; so
/// attackers keep away from the topics of others.
pub(super) const SHORT_ATTACK: Duration = Duration::from_secs(10);

/// What is there in quiet windows.
#[derive(Debug)]
pub(super) struct Remains {
    pid: u32,
    http: Http,
    attack: Duration,
    files_before: usize,
    /// By quiet window, the first before any attack.
    memory: Vec<u64>,
    files: Vec<usize>,
    /// The longest wait until nobody of the attackers was there any more.
    slowest: Duration,
    violations: Vec<String>,
}

impl Remains {
    /// Looks at the server before anybody attacks, each time for as long as `attack`.
    pub(super) fn begin(pid: u32, http: Http, attack: Duration) -> Result<Self> {
        Ok(Self {
            pid,
            http,
            attack,
            files_before: open_files(pid)?,
            memory: Vec::new(),
            files: Vec::new(),
            slowest: Duration::ZERO,
            violations: Vec::new(),
        })
    }

    /// Waits until only the fleet is there; returns whether that came to be.
    pub(super) async fn return_of(&mut self, fleet: &Fleet) -> Result<bool> {
        let start = Instant::now();
        let topics = fleet.clients.chunk_by(|one, other| one.topic.name == other.topic.name);
        let (people, topics) = (fleet.clients.len(), topics.count());
        let mut expected = vec![
            // The one that asks.
            ("penholder_http_connections", 1),
        ];
        if self.attack >= SHORT_ATTACK {
            expected.extend([
                ("penholder_connections", people),
                ("penholder_sessions", people),
                ("penholder_topics", topics),
            ]);
        }
        loop {
            let metrics = self.http.get("/metrics").await?;
            self.http.hang_up();
            let value = |name: &str| {
                let line =
                    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                line.map_or("none", str::trim).to_owned()
            };
            let wrong: Vec<String> = expected
                .iter()
                .filter(|(name, right)| value(name) != right.to_string())
                .map(|(name, right)| format!("{name} is {}, not {right}", value(name)))
                .collect();
            let files = open_files(self.pid)?;
            if wrong.is_empty() && files <= self.files_before + FILES_BESIDE {
                self.slowest = self.slowest.max(start.elapsed());
                return Ok(true);
            }
            if start.elapsed() > RETURN_MAX {
                let window = self.memory.len();
                let files = format!("{files} files are open, {} were before", self.files_before);
                self.violations.push(format!(
                    "{RETURN_MAX:?} after attack {window} something is left: {files}; {}",
                    wrong.join(", ")
                ));
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Takes down what is used at the end of a quiet window.
    pub(super) async fn take_stock(&mut self, fleet: &Fleet) -> Result<bool> {
        let is_quiet = self.return_of(fleet).await?;
        self.memory.push(Memory::of(self.pid)?.rss);
        self.files.push(open_files(self.pid)?);
        Ok(is_quiet)
    }

    pub(super) fn report(self, stage: &mut Stage) {
        let bytes = |at: Option<&u64>| count(at.copied().unwrap_or_default());
        stage.figure("memory before", bytes(self.memory.first()), Unit::Bytes);
        stage.figure("memory after the first attack", bytes(self.memory.get(1)), Unit::Bytes);
        stage.figure("memory at the end", bytes(self.memory.last()), Unit::Bytes);
        if let Some(peak) = stage.server.memory().map(|memory| memory.peak) {
            stage.figure("memory at most", count(peak), Unit::Bytes);
        }
        let files = |at: Option<&usize>| count(at.copied().unwrap_or_default() as u64);
        stage.figure("files before", files(self.files.first()), Unit::Number);
        stage.figure("files at the end", files(self.files.last()), Unit::Number);
        stage.figure("until nothing is left, longest", self.slowest.as_secs_f64(), Unit::Seconds);
        let list: Vec<String> = self.memory.iter().map(|at| Unit::Bytes.show(count(*at))).collect();
        stage.run.notes.push(format!("memory in quiet windows: {}", list.join(", ")));
        match growth(&self.memory) {
            Some((early, late)) if late > early + GROWTH_BYTES + early / GROWTH_SHARE => {
                stage.run.violations.push(format!("memory grows: {early} to {late} bytes"));
            }
            Some(_) => {}
            None => stage.run.notes.push("too few windows to tell whether memory grows".to_owned()),
        }
        stage.run.violations.extend(self.violations);
    }
}

/// The memory early and late, after a third in which the server finds its size: medians of as many windows
/// each. None where there are too few.
fn growth(memory: &[u64]) -> Option<(u64, u64)> {
    if memory.len() < WINDOWS_MIN {
        return None;
    }
    let later = &memory[memory.len() / 3..];
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    let half = later.len() / 2;
    Some((median(&later[..half]), median(&later[later.len() - half..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_told_from_a_size_that_was_found_and_from_one_peak() {
        let mb = |values: &[u64]| values.iter().map(|mb| mb << 20).collect::<Vec<u64>>();
        let is_growing = |memory: &[u64]| {
            let (early, late) = growth(memory).unwrap();
            late > early + GROWTH_BYTES + early / GROWTH_SHARE
        };
        let leak: Vec<u64> = (0..30).map(|window| 30 + window).collect();
        assert!(is_growing(&mb(&leak)));
        let found: Vec<u64> = (0..30).map(|window| 30 + 5 * u64::min(window, 9)).collect();
        assert!(!is_growing(&mb(&found)));
        let mut peak = vec![40; 30];
        peak[25] = 90;
        assert!(!is_growing(&mb(&peak)));
        assert_eq!(growth(&mb(&[1, 2, 3])), None);
    }
}
