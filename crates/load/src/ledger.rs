//! Keeps account of what was published: who has got it, in order, how late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::Audience;
use crate::note::Note;
use crate::tally::Latencies;

/// A message that has not reached everybody for so long will not.
const ARRIVE_MAX: Duration = Duration::from_secs(15);

/// No slot: nobody waits for the message.
const NO_SLOT: u32 = u32::MAX;

/// How clients sit on topics: so many on each, numbered through; on each the first `senders` publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seating {
    pub(crate) topics: u32,
    pub(crate) seats: u32,
    pub(crate) senders: u32,
    /// Whether the first seat of each topic comes and goes, and may miss messages.
    pub(crate) first_comes_and_goes: bool,
}

/// The account of all messages of a run.
pub(crate) struct Ledger {
    seating: Seating,
    /// By sender: how many it has sent.
    sent: Vec<AtomicU32>,
    /// By listener and sender of its topic: the number of the last one heard.
    last: Vec<AtomicU32>,
    /// By slot: how many have not got its message yet.
    missing: Vec<AtomicU32>,
    free: mpsc::UnboundedSender<u32>,
    pub(crate) delivered: AtomicU64,
    pub(crate) latencies: Latencies,
    skipped: AtomicU64,
    repeated: AtomicU64,
}

/// The places of messages under way: whoever publishes takes one, and it comes back when the message
/// has reached everybody.
pub(crate) struct Slots {
    free: mpsc::UnboundedReceiver<u32>,
    count: u32,
}

impl Ledger {
    /// An empty account with `window` places.
    pub(crate) fn new(seating: Seating, window: u32) -> (Arc<Self>, Slots) {
        let (free, returned) = mpsc::unbounded_channel();
        for slot in 0..window {
            // The other end is right here.
            free.send(slot).ok();
        }
        let zeros = |count: u32| (0..count).map(|_| AtomicU32::new(0)).collect();
        let clients = seating.topics * seating.seats;
        let ledger = Self {
            seating,
            sent: zeros(clients),
            last: zeros(clients * seating.senders),
            missing: zeros(window),
            free,
            delivered: AtomicU64::new(0),
            latencies: Latencies::new(),
            skipped: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        };
        (Arc::new(ledger), Slots { free: returned, count: window })
    }

    /// The next message of `sender`, which takes `slot`.
    pub(crate) fn next(&self, sender: u32, slot: Option<u32>, sent_ns: u64) -> Note {
        if let Some(slot) = slot {
            self.missing[index(slot)].store(self.seating.seats - 1, Ordering::Relaxed);
        }
        let number = self.sent[index(sender)].fetch_add(1, Ordering::Relaxed) + 1;
        Note { slot: slot.unwrap_or(NO_SLOT), number, sender, sent_ns }
    }

    /// What went wrong, in words; empty when every message has come to everybody, once and in order.
    pub(crate) fn violations(&self) -> Vec<String> {
        let skipped = self.skipped.load(Ordering::Relaxed) + self.never_heard();
        let repeated = self.repeated.load(Ordering::Relaxed);
        let mut violations = Vec::new();
        if skipped > 0 {
            violations.push(format!("{skipped} messages did not arrive"));
        }
        if repeated > 0 {
            violations.push(format!("{repeated} messages came twice or out of order"));
        }
        violations
    }

    /// How many of the last messages of each sender its listeners lack.
    fn never_heard(&self) -> u64 {
        let Seating { topics, seats, senders, .. } = self.seating;
        let mut lacking = 0;
        for listener in 0..topics * seats {
            let first = listener / seats * seats;
            for sender in (first..first + senders).filter(|sender| *sender != listener) {
                if !self.may_miss(listener) {
                    let sent = self.sent[index(sender)].load(Ordering::Relaxed);
                    let last = self.last_of(listener, sender).load(Ordering::Relaxed);
                    lacking += u64::from(sent.saturating_sub(last));
                }
            }
        }
        lacking
    }

    fn last_of(&self, listener: u32, sender: u32) -> &AtomicU32 {
        let Seating { seats, senders, .. } = self.seating;
        &self.last[index(listener * senders + sender % seats)]
    }

    fn may_miss(&self, listener: u32) -> bool {
        self.seating.first_comes_and_goes && listener.is_multiple_of(self.seating.seats)
    }
}

impl Audience for Ledger {
    fn hear(&self, listener: u32, note: &Note, now_ns: u64) {
        let Seating { seats, senders, .. } = self.seating;
        let is_ours = note.sender / seats == listener / seats && note.sender % seats < senders;
        if note.sender == listener || !is_ours {
            // Some servers send it back to the sender too.
            return;
        }
        self.latencies.record(listener, now_ns.saturating_sub(note.sent_ns));
        self.delivered.fetch_add(1, Ordering::Relaxed);
        let last = self.last_of(listener, note.sender).swap(note.number, Ordering::Relaxed);
        if note.number <= last {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        } else if note.number > last + 1 && !self.may_miss(listener) {
            self.skipped.fetch_add(u64::from(note.number - last - 1), Ordering::Relaxed);
        }
        if let Some(missing) = self.missing.get(index(note.slot))
            && missing.fetch_sub(1, Ordering::AcqRel) == 1
        {
            // Nobody publishes any more when it fails.
            self.free.send(note.slot).ok();
        }
    }
}

impl Slots {
    /// Waits for a place, and takes all others that are free: at most `most` in all.
    ///
    /// # Errors
    ///
    /// None becomes free: a message did not reach everybody.
    pub(crate) async fn take(&mut self, most: usize) -> Result<Vec<u32>> {
        let first = timeout(ARRIVE_MAX, self.free.recv()).await;
        let first = first.ok().flatten().context("messages do not reach everybody any more")?;
        let mut taken = vec![first];
        while let Some(slot) = (taken.len() < most).then(|| self.free.try_recv().ok()).flatten() {
            taken.push(slot);
        }
        Ok(taken)
    }

    /// Waits until all places are free, and gives them free again.
    ///
    /// # Errors
    ///
    /// Some do not become free.
    pub(crate) async fn all_free(&mut self, ledger: &Ledger) -> Result<()> {
        let mut taken = Vec::new();
        while taken.len() < index(self.count) {
            taken.extend(self.take(index(self.count)).await?);
        }
        ensure!(
            taken.len() == index(self.count),
            "a message arrived more often than there are listeners"
        );
        for slot in taken {
            ledger.free.send(slot).ok();
        }
        Ok(())
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEATING: Seating =
        Seating { topics: 2, seats: 3, senders: 3, first_comes_and_goes: true };

    fn deliver(ledger: &Ledger, note: &Note, to: &[u32]) {
        to.iter().for_each(|listener| ledger.hear(*listener, note, note.sent_ns + 1_000_000));
    }

    #[tokio::test]
    async fn place_comes_back_when_all_others_of_the_topic_have_heard() {
        let (ledger, mut slots) = Ledger::new(SEATING, 1);
        let slot = slots.take(5).await.unwrap();
        let note = ledger.next(4, Some(slot[0]), 0);
        deliver(&ledger, &note, &[3, 4]);
        assert!(slots.free.try_recv().is_err());
        deliver(&ledger, &note, &[5]);
        slots.all_free(&ledger).await.unwrap();
        assert_eq!(slots.take(1).await.unwrap(), slot);
        assert_eq!(
            (ledger.delivered.load(Ordering::Relaxed), ledger.latencies.total().len()),
            (2, 2)
        );
        assert!(ledger.violations().is_empty());
    }

    #[test]
    fn gaps_repeats_and_lost_tails_are_seen_and_absence_is_no_gap() {
        let (ledger, _slots) = Ledger::new(SEATING, 0);
        let notes: Vec<Note> = (0..4).map(|_| ledger.next(1, None, 0)).collect();
        deliver(&ledger, &notes[0], &[2, 0]);
        deliver(&ledger, &notes[2], &[2]);
        assert_eq!(ledger.violations(), ["2 messages did not arrive"]);
        deliver(&ledger, &notes[3], &[2, 0]);
        assert_eq!(ledger.violations(), ["1 messages did not arrive"]);
        deliver(&ledger, &notes[3], &[2]);
        assert_eq!(ledger.violations()[1], "1 messages came twice or out of order");
    }

    #[tokio::test]
    async fn place_does_not_come_back_while_one_listener_lacks_the_message() {
        let (ledger, mut slots) = Ledger::new(SEATING, 1);
        let slot = slots.take(1).await.unwrap()[0];
        let note = ledger.next(1, Some(slot), 0);
        deliver(&ledger, &note, &[2]);
        let waiting = timeout(Duration::from_millis(20), slots.all_free(&ledger));
        assert!(waiting.await.is_err());
    }
}
