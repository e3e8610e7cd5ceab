//! Deadlines: pens that expire, pass on, or end their drain while nobody touches them.

use std::time::Duration;

use parking_lot::Mutex;
use penholder_desk::Storage;
use penholder_hub::PenTask;
use penholder_lease::Command;
use penholder_protocol::TopicName;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::lanes::Job;
use super::{Asker, PenDesk, log_away};

/// Most pens that are ticked in one round.
const ROUND_MAX: u32 = 100;

/// The longest sleep where others write to the store too: one that would have served a deadline may have
/// died.
const SHARED_SLEEP_MAX: Duration = Duration::from_millis(500);

/// The longest sleep where nobody else does: every deadline is heard of, but this clock stands still while
/// the machine is suspended.
const OWN_SLEEP_MAX: Duration = Duration::from_secs(5);

/// The shortest, so that a clock which stands still does not make a busy loop.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// How long to wait when the store has failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// When the store is to be asked what is due, unless there is an earlier deadline.
#[derive(Debug)]
pub(super) struct Alarm {
    sleep_max: Duration,
    at: Mutex<Instant>,
    is_earlier: Notify,
}

impl Alarm {
    pub(super) fn new(storage: &Storage) -> Self {
        let sleep_max = match storage {
            Storage::Sqlite { .. } => OWN_SLEEP_MAX,
            Storage::Postgres { .. } => SHARED_SLEEP_MAX,
        };
        Self { sleep_max, at: Mutex::new(Instant::now()), is_earlier: Notify::new() }
    }

    /// Sees to it that the store is asked in `span` at the latest.
    pub(super) fn within(&self, span: Duration) {
        let at = Instant::now() + span;
        let mut planned = self.at.lock();
        if at < *planned {
            *planned = at;
            self.is_earlier.notify_one();
        }
    }

    /// Forgets what was planned: the store is about to be asked, and knows all that was heard of so far.
    fn reset(&self) {
        *self.at.lock() = Instant::now() + self.sleep_max;
    }

    async fn ring(&self) {
        loop {
            let at = *self.at.lock();
            tokio::select! {
                () = sleep_until(at) => return,
                () = self.is_earlier.notified() => {}
            }
        }
    }
}

/// Ticks pens when they are due, until the desk closes.
pub(super) async fn run(desk: PenDesk) {
    loop {
        desk.0.alarm.reset();
        let due = desk.0.store.due(ROUND_MAX).await;
        desk.0.opening.note(due.as_ref().err());
        let sleep = match due {
            Ok(due) if !due.topics.is_empty() => {
                // What a tick leaves behind may be due soon, or there are more.
                if tick(&desk, &due.topics).await { SLEEP_MIN } else { RETRY_AFTER }
            }
            Ok(due) => {
                let next = due.next_in_ms.map(Duration::from_millis);
                next.map_or(desk.0.alarm.sleep_max, |next| next.max(SLEEP_MIN))
            }
            Err(error) => {
                log_away(&error);
                RETRY_AFTER
            }
        };
        desk.0.alarm.within(sleep);
        tokio::select! {
            () = desk.0.alarm.ring() => {}
            () = desk.0.ending.cancelled() => return,
        }
    }
}

/// Ticks these, each in its lane, and waits until that is done: they would be found due again. Returns
/// whether all could be.
async fn tick(desk: &PenDesk, topics: &[String]) -> bool {
    let mut ticks = Vec::with_capacity(topics.len());
    for topic in topics.iter().filter_map(|name| TopicName::parse(name).ok()) {
        let (answer, told) = oneshot::channel();
        let (task, asker) = (PenTask::Obey(Command::Tick), Asker::Caller(answer));
        desk.enter(Job { topic, task, trace: None, asker });
        ticks.push(told);
    }
    // A topic that is none can only have been written by others, and stays due.
    let mut are_done = ticks.len() == topics.len();
    for told in ticks {
        // What went wrong was logged where it did; the pen is due still.
        are_done &= told.await.is_ok_and(|told| told.is_ok());
    }
    are_done
}

#[cfg(test)]
mod tests {
    use penholder_lease::Timeline;

    use super::*;

    #[tokio::test]
    async fn alarm_rings_at_the_earliest_of_what_it_heard() {
        let (path, timeline) = ("pens.sqlite".into(), Timeline(0));
        let alarm = Alarm::new(&Storage::Sqlite { path, timeline });
        let (early, late) = (Duration::from_millis(50), Duration::from_secs(4));
        let start = Instant::now();
        alarm.reset();
        alarm.within(late);
        // Heard while it is waited for.
        let sooner = async {
            alarm.within(early);
            alarm.within(late);
        };
        tokio::join!(alarm.ring(), sooner);
        assert!(start.elapsed() >= early && start.elapsed() < late / 2);

        // What was heard while the store was asked counts beside what the store says.
        let start = Instant::now();
        alarm.reset();
        alarm.within(early);
        alarm.within(late);
        alarm.ring().await;
        assert!(start.elapsed() >= early && start.elapsed() < late / 2);
    }
}
