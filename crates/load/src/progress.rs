//! What the tool is doing, for whoever waits: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// How often a bar moves.
const EVERY: Duration = Duration::from_millis(100);

/// Plain lines tell of each quarter.
const STEPS: u64 = 4;

/// Shows one step at a time.
#[derive(Debug)]
pub(crate) struct Progress {
    title: String,
    is_terminal: bool,
}

impl Progress {
    /// `title` says what is being measured.
    pub(crate) fn new(title: String) -> Self {
        Self { title, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Waits for `work` and shows meanwhile how far `count` has come on its way to `total`.
    pub(crate) async fn follow<T>(
        &self,
        step: &str,
        total: u64,
        count: impl Fn() -> u64,
        work: impl Future<Output = T>,
    ) -> T {
        let mut view = View::new(self, step, total);
        let mut work = pin!(work);
        let mut every = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => {
                    view.end();
                    return done;
                }
                _ = every.tick() => view.show(count()),
            }
        }
    }

    /// Waits for `work`, which takes about `span`, and shows how much of that is over.
    pub(crate) async fn during<T>(
        &self,
        step: &str,
        span: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let start = Instant::now();
        let tenths = |span: Duration| u64::try_from(span.as_millis() / 100).unwrap_or(u64::MAX);
        self.follow(step, tenths(span), || tenths(start.elapsed()), work).await
    }
}

/// One step on the screen.
enum View {
    Bar(ProgressBar),
    Lines { text: String, total: u64, told: u64 },
}

impl View {
    fn new(progress: &Progress, step: &str, total: u64) -> Self {
        let text = format!("{}: {step}", progress.title);
        if !progress.is_terminal {
            line(&text);
            return Self::Lines { text, total, told: 0 };
        }
        let bar = ProgressBar::new(total).with_message(text);
        let style = ProgressStyle::with_template("{msg:48} {wide_bar} {pos:>7}/{len} {elapsed:>4}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    fn show(&mut self, count: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(count),
            Self::Lines { text, total, told } => {
                let step = (count * STEPS).checked_div(*total).unwrap_or(STEPS);
                if step > *told && step < STEPS {
                    *told = step;
                    line(&format!("{text} {}%", step * 100 / STEPS));
                }
            }
        }
    }

    fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Writes to standard error; nobody may be there to read it.
fn line(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_is_waited_for_and_watched() {
        let count = AtomicU64::new(0);
        let work = async {
            tokio::time::sleep(EVERY * 5).await;
            7
        };
        let look = || count.fetch_add(1, Ordering::Relaxed);
        let progress = Progress { title: "test".to_owned(), is_terminal: false };
        assert_eq!(progress.follow("works", 5, look, work).await, 7);
        assert!(count.load(Ordering::Relaxed) >= 4);
    }
}
