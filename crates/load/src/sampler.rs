//! Watches the processor and memory of the server and of this process while a scenario runs.
//!
//! A thread of its own, so that a busy client does not delay it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::usage::{self, Usage};

/// How often a sample is taken. Processor time is counted in ticks of 10 ms, so much less would
/// show steps.
const EVERY: Duration = Duration::from_millis(200);

/// Everything that was used up to one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Instant,
    /// None where the server is not ours to look at, or not running.
    pub(crate) server: Option<Usage>,
    pub(crate) client: Usage,
    machine: Duration,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) wall: Duration,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) client_cpu: Duration,
    /// By processes that are neither.
    pub(crate) others_cpu: Duration,
}

/// One point of the plots.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the watch began.
    pub(crate) at: f64,
    /// Resident memory of the server, in bytes.
    pub(crate) server_rss: Option<u64>,
    /// Processors that the server has used since the sample before: 1 is one core.
    pub(crate) server_cpu: Option<f64>,
    /// The same of this process.
    pub(crate) client_cpu: f64,
}

/// The thread that watches.
#[derive(Debug)]
pub(crate) struct Sampler {
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Watch {
    /// 0: none.
    pid: AtomicU32,
    is_over: AtomicBool,
    marks: Mutex<Vec<Mark>>,
}

impl Sampler {
    /// Begins to watch; `pid` is the server's.
    pub(crate) fn start(pid: Option<u32>) -> Self {
        let watch = Arc::new(Watch {
            pid: AtomicU32::new(pid.unwrap_or(0)),
            is_over: AtomicBool::new(false),
            marks: Mutex::new(Vec::new()),
        });
        let watched = Arc::clone(&watch);
        let thread = thread::spawn(move || {
            while !watched.is_over.load(Ordering::Relaxed) {
                let mark = watched.mark();
                watched.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
                thread::park_timeout(EVERY);
            }
        });
        Self { watch, thread: Some(thread) }
    }

    /// Watches another process from now on: the server was restarted.
    pub(crate) fn follow(&self, pid: Option<u32>) {
        self.watch.pid.store(pid.unwrap_or(0), Ordering::Relaxed);
    }

    /// What has been used up to now.
    pub(crate) fn mark(&self) -> Mark {
        self.watch.mark()
    }

    /// Ends the watch and returns its points.
    pub(crate) fn finish(mut self) -> Vec<Sample> {
        self.stop();
        let marks = self.watch.marks.lock().unwrap_or_else(PoisonError::into_inner);
        samples(&marks)
    }

    fn stop(&mut self) {
        self.watch.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has panicked at worst: then there are fewer points.
            thread.join().ok();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watch {
    fn mark(&self) -> Mark {
        let pid = self.pid.load(Ordering::Relaxed);
        Mark {
            at: Instant::now(),
            server: Some(pid).filter(|pid| *pid > 0).and_then(|pid| Usage::of(pid).ok()),
            client: Usage::of(std::process::id()).unwrap_or_default(),
            machine: usage::machine_cpu(),
        }
    }
}

impl Mark {
    /// What was used from here to `end`.
    pub(crate) fn until(&self, end: &Self) -> Span {
        let server_cpu = self.server.zip(end.server).map(|(from, to)| (to - from).cpu);
        let client_cpu = (end.client - self.client).cpu;
        let ours = client_cpu + server_cpu.unwrap_or_default();
        Span {
            wall: end.at - self.at,
            server_cpu,
            client_cpu,
            others_cpu: end.machine.saturating_sub(self.machine).saturating_sub(ours),
        }
    }
}

impl Span {
    /// How many processors worth of `cpu` were used: 1 is one core all the time.
    pub(crate) fn load(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.wall.as_secs_f64().max(f64::EPSILON)
    }
}

fn samples(marks: &[Mark]) -> Vec<Sample> {
    let Some(first) = marks.first() else { return Vec::new() };
    let pairs = marks.iter().zip(&marks[1..]);
    let sample = |(before, mark): (&Mark, &Mark)| {
        let span = before.until(mark);
        Sample {
            at: (mark.at - first.at).as_secs_f64(),
            server_rss: mark.server.map(|server| server.rss),
            server_cpu: span.server_cpu.map(|cpu| span.load(cpu)),
            client_cpu: span.load(span.client_cpu),
        }
    };
    pairs.map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_ms: u64) -> Usage {
        Usage { cpu: Duration::from_millis(cpu_ms), rss: cpu_ms }
    }

    #[test]
    fn load_is_what_was_used_between_samples() {
        let at = Instant::now();
        let mark = |ms, server: Option<u64>, client, machine| Mark {
            at: at + Duration::from_millis(ms),
            server: server.map(usage),
            client: usage(client),
            machine: Duration::from_millis(machine),
        };
        let marks = [
            mark(0, Some(100), 10, 1000),
            mark(200, Some(300), 20, 1300),
            mark(400, None, 20, 1300),
        ];
        let samples = samples(&marks);
        assert_eq!(samples.len(), 2);
        assert!((samples[0].server_cpu.unwrap() - 1.0).abs() < 1e-9);
        assert!((samples[0].client_cpu - 0.05).abs() < 1e-9);
        assert_eq!((samples[0].server_rss, samples[1].server_rss), (Some(300), None));
        assert_eq!(marks[0].until(&marks[1]).others_cpu, Duration::from_millis(90));
    }

    #[test]
    fn a_watch_of_this_process_sees_it() {
        let sampler = Sampler::start(Some(std::process::id()));
        assert!(sampler.mark().server.is_some());
        sampler.follow(None);
        assert!(sampler.mark().server.is_none());
        sampler.finish();
    }
}
