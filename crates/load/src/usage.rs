//! What a process uses, as the kernel tells it from outside.
//!
//! Source: proc(5). Linux only; elsewhere nothing is there to read and these figures are missing.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result};

/// What a process, or the whole machine, has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time in user and kernel mode, all threads.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes; the kernel may count some pages late.
    pub(crate) rss: u64,
}

/// The memory of a process, counted page by page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident. Unit: bytes.
    pub(crate) rss: u64,
    /// Of it, what no other process shares. Unit: bytes.
    pub(crate) private: u64,
    /// The most that was ever resident. Unit: bytes.
    pub(crate) peak: u64,
}

impl Usage {
    /// What the process uses.
    ///
    /// # Errors
    ///
    /// There is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&stat).with_context(|| format!("unreadable: {stat}"))
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses and may hold anything, parentheses too.
        let (_, fields) = stat.rsplit_once(") ")?;
        let field = |index| fields.split(' ').nth(index)?.parse::<u64>().ok();
        let (user, system, pages) = (field(11)?, field(12)?, field(21)?);
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        Some(Self { cpu: ticks(user + system), rss: pages * page })
    }
}

impl Memory {
    /// The memory of the process now.
    ///
    /// # Errors
    ///
    /// There is no such process, or the kernel does not tell.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::parse(&rollup, &status).context("the kernel does not tell the memory of a process")
    }

    fn parse(rollup: &str, status: &str) -> Option<Self> {
        let field = |text: &str, name| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some(kib * 1024)
        };
        let private = field(rollup, "Private_Clean:")? + field(rollup, "Private_Dirty:")?;
        Some(Self { rss: field(rollup, "Rss:")?, private, peak: field(status, "VmHWM:")? })
    }
}

/// How many files and connections the process has open.
///
/// # Errors
///
/// There is no such process, or it is somebody else's.
pub(crate) fn open_files(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The processor time that all processes of the machine have used together.
pub(crate) fn machine_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    busy(&stat).unwrap_or_default()
}

/// User, nice, system, interrupts; not idle and waiting, nor what was stolen from this machine.
fn busy(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = fields.split_whitespace().flat_map(str::parse).collect();
    let of = |index: usize| fields.get(index).copied();
    Some(ticks(of(0)? + of(1)? + of(2)? + of(5)? + of(6)?))
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
}

/// What was used since.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let cpu = self.cpu.saturating_sub(before.cpu);
        Self { cpu, rss: self.rss.saturating_sub(before.rss) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 10 0 0 0 150 50 0 0 20 0 3 0 99 1000 25 18446";
        let usage = Usage::parse(stat).unwrap();
        let per_second = rustix::param::clock_ticks_per_second();
        assert_eq!(usage.cpu, Duration::from_millis(200 * 1000 / per_second));
        assert_eq!(usage.rss, 25 * rustix::param::page_size() as u64);
    }

    #[test]
    fn memory_is_read_from_both_files() {
        let rollup =
            "00400000-7ff [rollup]\nRss:  20 kB\nPrivate_Clean: 3 kB\nPrivate_Dirty: 4 kB\n";
        let memory = Memory::parse(rollup, "Name:\tx\nVmHWM:\t 30 kB\n").unwrap();
        assert_eq!(memory, Memory { rss: 20 * 1024, private: 7 * 1024, peak: 30 * 1024 });
        assert_eq!(Memory::parse("", ""), None);
    }

    #[test]
    fn busy_leaves_out_idle_waiting_and_stolen() {
        let per_second = rustix::param::clock_ticks_per_second();
        let busy = busy("cpu  1 2 4 1000 1000 8 16 1000 0 0\ncpu0 1\n").unwrap();
        assert_eq!(busy, Duration::from_millis(31 * 1000 / per_second));
    }

    #[test]
    fn own_process_uses_memory() {
        let pid = std::process::id();
        assert!(Usage::of(pid).unwrap().rss > 0);
        assert!(open_files(pid).unwrap() >= 3);
        assert!(Memory::of(pid).unwrap().peak >= Memory::of(pid).unwrap().private);
    }
}
