//! Writers at work, side by side, each with its own clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use cpu_time::ProcessTime;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use penholder_desk::StoreError;

/// Most parts of a step that are timed one by one.
const PARTS: usize = 2;

/// How long writers write.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// So many steps each.
    Count(u64),
    /// As many as there is time for.
    Span(Duration),
}

/// What is measured.
#[derive(Debug)]
pub struct Run {
    /// What the bar says.
    pub title: String,
    /// How many write side by side.
    pub writers: u64,
    /// For how long.
    pub amount: Amount,
}

/// A writer's step under way.
#[derive(Debug)]
pub struct Lap {
    /// Whose.
    pub writer: u64,
    /// How many came before it.
    n: u64,
    times: Vec<Duration>,
    units: u64,
}

impl Lap {
    /// A place that no other writer comes to, and this one only after all its others.
    #[must_use]
    pub fn own_place(&self, writers: u64, places: u64) -> u64 {
        let share = places / writers;
        self.writer * share + self.n % share
    }

    /// Times a part of the step.
    pub async fn timed<R>(&mut self, part: impl Future<Output = R>) -> R {
        let start = Instant::now();
        let result = part.await;
        self.times.push(start.elapsed());
        result
    }

    /// Says that this step is as good as so many.
    pub fn counts_for(&mut self, units: u64) {
        self.units = units;
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Figures {
    /// How long each step took, in ns.
    whole: Histogram<u64>,
    /// How long each part of it took.
    parts: [Histogram<u64>; PARTS],
    units: u64,
    /// How many steps the store would not do.
    pub unavailable: u64,
    elapsed: Duration,
    processor: Duration,
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

impl Figures {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let (elapsed, processor) = (Duration::ZERO, Duration::ZERO);
        let parts = std::array::from_fn(|_| histogram());
        Self { whole: histogram(), parts, units: 0, unavailable: 0, elapsed, processor }
    }

    /// Puts another round to it.
    pub fn add(&mut self, other: Self) {
        // All have the same bounds.
        self.whole += other.whole;
        for (part, other) in self.parts.iter_mut().zip(other.parts) {
            *part += other;
        }
        self.units += other.units;
        self.unavailable += other.unavailable;
        self.elapsed += other.elapsed;
        self.processor += other.processor;
    }

    fn note(&mut self, lap: &Lap) {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.whole.saturating_record(ns(lap.times.iter().sum()));
        for (part, time) in self.parts.iter_mut().zip(&lap.times) {
            part.saturating_record(ns(*time));
        }
        self.units += lap.units;
    }

    /// How many a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.units as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time of this process for each, in ns.
    #[must_use]
    pub fn processor_ns(&self) -> f64 {
        self.processor.as_nanos() as f64 / self.units as f64
    }

    /// How long half of the steps took at most, and all but one in a hundred. In ns.
    #[must_use]
    pub fn whole(&self) -> (f64, f64) {
        quantiles(&self.whole)
    }

    /// The same of a part of the steps.
    #[must_use]
    pub fn part(&self, part: usize) -> (f64, f64) {
        quantiles(&self.parts[part])
    }
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Unavailable(_)))
}

/// Up to a minute, to three figures.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("these bounds are in order")
}

fn quantiles(times: &Histogram<u64>) -> (f64, f64) {
    let at = |quantile| times.value_at_quantile(quantile) as f64;
    (at(0.5), at(0.99))
}

/// Lets writers write, all on this thread, and shows how far they are.
///
/// # Errors
///
/// A step fails with anything but a store that is away.
pub async fn write(run: &Run, step: impl AsyncFn(&mut Lap) -> Result<()>) -> Result<Figures> {
    let (done, start) = (AtomicU64::new(0), Instant::now());
    let processor = ProcessTime::now();
    let writers = (0..run.writers).map(async |writer| {
        let mut figures = Figures::new();
        for n in 0.. {
            let is_over = match run.amount {
                Amount::Count(count) => n >= count,
                Amount::Span(span) => start.elapsed() >= span,
            };
            if is_over {
                break;
            }
            let mut lap = Lap { writer, n, times: Vec::new(), units: 1 };
            match step(&mut lap).await {
                Ok(()) => figures.note(&lap),
                Err(error) if is_unavailable(&error) => figures.unavailable += 1,
                Err(error) => return Err(error),
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(figures)
    });
    let written = tokio::select! {
        written = try_join_all(writers) => written?,
        () = watch(run, &done, start) => Vec::new(),
    };
    let mut figures = Figures::new();
    written.into_iter().for_each(|written| figures.add(written));
    (figures.elapsed, figures.processor) = (start.elapsed(), processor.elapsed());
    Ok(figures)
}

/// Shows a bar on a terminal, and nothing elsewhere; never ends.
async fn watch(run: &Run, done: &AtomicU64, start: Instant) {
    let length = match run.amount {
        Amount::Count(count) => count * run.writers,
        Amount::Span(span) => u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
    };
    let bar = ProgressBar::new(length).with_message(run.title.clone());
    let style = ProgressStyle::with_template("{msg:48} {wide_bar} {prefix:>9} {elapsed:>4}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let bar = Cleared(bar);
    loop {
        let count = done.load(Ordering::Relaxed);
        bar.0.set_prefix(count.to_string());
        bar.0.set_position(match run.amount {
            Amount::Count(_) => count,
            Amount::Span(_) => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A bar that leaves the screen when it is dropped.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
