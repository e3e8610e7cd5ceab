//! Where the shards leave frames for one connection.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use penholder_hub::{Frame, MemberId, Pushed, QueueLimits, SendQueue};
use penholder_presence::MonoMs;
use penholder_protocol::{CloseCode, CloseReason, Encoded};
use tokio::sync::Notify;

use crate::telemetry::metrics;

/// The send queue of one connection, filled by shards and emptied by the connection's own task.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Wakes the connection's task.
    wake: Notify,
    /// Wakes the task out of a write that its peer does not read, or must not.
    overflow: Notify,
    last_heartbeat: AtomicU64,
}

#[derive(Debug)]
struct State {
    queue: SendQueue,
    departed: Vec<MemberId>,
    /// Members whom the shard has not let go yet, and who are to hear nothing more.
    barred: Vec<MemberId>,
    ending: Option<Ending>,
    /// Whether nothing more is to be sent but the end.
    is_cut_off: bool,
}

/// Why a connection ends, as the close frame says it.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) code: CloseCode,
    pub(crate) reconnect_after_ms: Option<u64>,
}

impl Ending {
    /// The text of the close frame.
    pub(crate) fn reason(&self) -> String {
        let reason = CloseReason::new(self.code);
        let wait = self.reconnect_after_ms;
        wait.map_or_else(|| reason.to_text(), |ms| reason.clone().reconnect_after_ms(ms).to_text())
    }
}

impl From<CloseCode> for Ending {
    fn from(code: CloseCode) -> Self {
        Self { code, reconnect_after_ms: None }
    }
}

/// What a connection finds in its outbox.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) frames: Vec<Encoded>,
    pub(crate) departed: Vec<MemberId>,
    /// Members to ask a snapshot for.
    pub(crate) repairs: Vec<MemberId>,
    pub(crate) ending: Option<Ending>,
}

impl Outbox {
    pub(crate) fn new(limits: QueueLimits, now: MonoMs) -> Self {
        let state = State {
            queue: SendQueue::new(limits),
            departed: Vec::new(),
            barred: Vec::new(),
            ending: None,
            is_cut_off: false,
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            overflow: Notify::new(),
            last_heartbeat: AtomicU64::new(now.0),
        }
    }

    /// Queues a frame. A receiver that is too slow for what must arrive is ended.
    pub(crate) fn push(&self, member: MemberId, frame: Frame) {
        let pushed = {
            let mut state = self.state.lock();
            if state.is_cut_off || state.barred.contains(&member) {
                return;
            }
            state.queue.push(member, frame)
        };
        match pushed {
            Pushed::Queued => self.wake.notify_one(),
            Pushed::Deferred => {
                metrics::presence_deferred();
                self.wake.notify_one();
            }
            Pushed::Overflow => self.end(CloseCode::SlowConsumer.into()),
        }
    }

    /// Notes that a membership is over.
    pub(crate) fn depart(&self, member: MemberId) {
        let mut state = self.state.lock();
        state.queue.forget(member);
        state.barred.retain(|barred| *barred != member);
        state.departed.push(member);
        drop(state);
        self.wake.notify_one();
    }

    /// Takes back what is queued of a member: it is not theirs to see any more.
    pub(crate) fn withdraw(&self, member: MemberId) {
        self.state.lock().queue.withdraw(member);
    }

    /// Takes back what is queued of a member that its shard knows, and lets nothing more of it in until it has
    /// [departed](Self::depart): what the shard tells before it hears of that is not theirs to see either.
    /// Returns whether it is still here.
    pub(crate) fn bar(&self, member: MemberId) -> bool {
        let mut state = self.state.lock();
        state.queue.withdraw(member);
        let is_here = !state.departed.contains(&member);
        if is_here {
            state.barred.push(member);
        }
        is_here
    }

    /// Forgets a member that no shard knows.
    pub(crate) fn forget(&self, member: MemberId) {
        self.state.lock().queue.forget(member);
    }

    /// Ends the connection. The first reason stands, but for the end of the token: whoever hears of that gets a new one
    /// first. To somebody whose token is good no more, or who is too slow, nothing but the end is sent any more.
    pub(crate) fn end(&self, ending: Ending) {
        let mut state = self.state.lock();
        let is_cut_off = matches!(ending.code, CloseCode::TokenExpired | CloseCode::SlowConsumer);
        match ending.code {
            CloseCode::TokenExpired => state.ending = Some(ending),
            _ => {
                state.ending.get_or_insert(ending);
            }
        }
        if is_cut_off {
            state.is_cut_off = true;
            state.queue.clear();
        }
        drop(state);
        self.wake.notify_one();
        if is_cut_off {
            // Nor what is still to be written of the last batch.
            self.overflow.notify_one();
        }
    }

    /// Whether at least half of the queue is free.
    pub(crate) fn has_room(&self) -> bool {
        self.state.lock().queue.is_half_empty()
    }

    /// Whether no frame waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    /// Whether nothing more is to be sent but the end.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.state.lock().is_cut_off
    }

    /// Waits until there may be something to take.
    pub(crate) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// Waits until a frame that must arrive has found no room, or none may be sent any more.
    pub(crate) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// Takes up to `frames_max` frames and whatever else there is. The ending comes with the last
    /// frame, so that a client hears the answer before the end.
    pub(crate) fn take(&self, frames_max: usize) -> Batch {
        let mut state = self.state.lock();
        let frames = pop(&mut state.queue, frames_max);
        let is_last = state.queue.is_empty();
        if !is_last {
            // The rest is for the next turn.
            self.wake.notify_one();
        }
        let ending = state.ending.clone().filter(|_| is_last);
        Batch { frames, ending, ..state.turn() }
    }

    /// Takes whatever there is beside frames, which the client [fetches](Self::fetch); also the ending.
    pub(crate) fn take_no_frames(&self) -> Batch {
        let mut state = self.state.lock();
        let ending = state.ending.clone();
        Batch { ending, ..state.turn() }
    }

    /// Takes up to `frames_max` frames for a client that fetches them. The connection's own task is woken for the rest.
    pub(crate) fn fetch(&self, frames_max: usize) -> Vec<Encoded> {
        let frames = pop(&mut self.state.lock().queue, frames_max);
        if !frames.is_empty() {
            self.wake.notify_one();
        }
        frames
    }

    /// Notes a heartbeat of the client.
    pub(crate) fn heartbeat(&self, now: MonoMs) {
        self.last_heartbeat.store(now.0, Ordering::Relaxed);
    }

    /// When the client last sent a heartbeat; when it connected, before the first.
    pub(crate) fn last_heartbeat(&self) -> MonoMs {
        MonoMs(self.last_heartbeat.load(Ordering::Relaxed))
    }
}

impl State {
    fn turn(&mut self) -> Batch {
        let departed = std::mem::take(&mut self.departed);
        Batch { departed, repairs: self.queue.repairs(), ..Batch::default() }
    }
}

fn pop(queue: &mut SendQueue, frames_max: usize) -> Vec<Encoded> {
    let mut frames = Vec::with_capacity(queue.len().min(frames_max));
    frames.extend(iter::from_fn(|| queue.pop()).take(frames_max).map(|frame| frame.body));
    frames
}

#[cfg(test)]
mod tests {
    use penholder_hub::Class;

    use super::*;

    const ADA: MemberId = MemberId(1);
    const BOB: MemberId = MemberId(2);

    fn outbox(frames: &[(MemberId, &'static str)]) -> Outbox {
        let limits = QueueLimits { frames_max: 8, bytes_max: 1024 };
        let outbox = Outbox::new(limits, MonoMs(0));
        frames.iter().for_each(|(member, text)| say(&outbox, *member, text));
        outbox
    }

    fn say(outbox: &Outbox, member: MemberId, text: &'static str) {
        let body = Encoded::Text(text.as_bytes().into());
        outbox.push(member, Frame { body, class: Class::Vital });
    }

    fn texts(frames: &[Encoded]) -> Vec<String> {
        frames.iter().filter_map(|frame| frame.as_text().map(str::to_owned)).collect()
    }

    fn code(batch: &Batch) -> Option<CloseCode> {
        batch.ending.as_ref().map(|ending| ending.code)
    }

    #[test]
    fn the_end_comes_with_the_last_frame() {
        let outbox = outbox(&[(ADA, "1"), (ADA, "2"), (ADA, "3")]);
        outbox.end(CloseCode::Restart.into());
        say(&outbox, ADA, "4");
        let batch = outbox.take(3);
        assert_eq!((code(&batch), texts(&batch.frames).len()), (None, 3));
        let batch = outbox.take(3);
        assert_eq!(
            (code(&batch), texts(&batch.frames)),
            (Some(CloseCode::Restart), vec!["4".into()])
        );
    }

    #[test]
    fn whoever_may_hear_nothing_more_hears_the_end_alone() {
        for cut in [CloseCode::TokenExpired, CloseCode::SlowConsumer] {
            let outbox = outbox(&[(ADA, "1"), (BOB, "2")]);
            outbox.end(cut.into());
            say(&outbox, ADA, "3");
            assert!(outbox.is_cut_off() && outbox.is_empty());
            assert_eq!(texts(&outbox.fetch(8)), [""; 0]);
            let batch = outbox.take(8);
            assert_eq!((code(&batch), texts(&batch.frames).len()), (Some(cut), 0));
        }
    }

    #[test]
    fn the_first_reason_stands_but_for_the_end_of_the_token() {
        let outbox = outbox(&[]);
        for (next, stands) in [
            (CloseCode::Restart, CloseCode::Restart),
            (CloseCode::SlowConsumer, CloseCode::Restart),
            (CloseCode::TokenExpired, CloseCode::TokenExpired),
            (CloseCode::SlowConsumer, CloseCode::TokenExpired),
        ] {
            outbox.end(next.into());
            assert_eq!(code(&outbox.take(8)), Some(stands));
        }
    }

    #[test]
    fn what_was_not_fetched_is_taken_back() {
        let outbox = outbox(&[(ADA, "1"), (BOB, "2"), (ADA, "3"), (BOB, "4")]);
        assert_eq!(texts(&outbox.fetch(1)), ["1"]);
        assert!(outbox.bar(ADA), "she is still here");
        say(&outbox, ADA, "5");
        say(&outbox, BOB, "6");
        assert_eq!(texts(&outbox.fetch(8)), ["2", "4", "6"]);
    }
}
