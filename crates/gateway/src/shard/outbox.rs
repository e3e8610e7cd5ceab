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
    /// Wakes the task out of a write that its peer does not read.
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
            Pushed::Overflow => {
                self.end(CloseCode::SlowConsumer.into());
                self.overflow.notify_one();
            }
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

    /// Ends the connection. The first reason stands.
    pub(crate) fn end(&self, ending: Ending) {
        self.state.lock().ending.get_or_insert(ending);
        self.wake.notify_one();
    }

    /// Whether at least half of the queue is free.
    pub(crate) fn has_room(&self) -> bool {
        self.state.lock().queue.is_half_empty()
    }

    /// Ends the connection of somebody who has lost every right: nothing but the end is sent any more.
    pub(crate) fn cut_off(&self, ending: Ending) {
        let mut state = self.state.lock();
        state.queue.clear();
        state.is_cut_off = true;
        state.ending = Some(ending);
        drop(state);
        self.wake.notify_one();
    }

    /// Whether nothing more is to be sent but the end.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.state.lock().is_cut_off
    }

    /// Waits until there may be something to take.
    pub(crate) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// Waits until a frame that must arrive has found no room.
    pub(crate) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// Takes up to `frames_max` frames and whatever else there is. The ending comes with the last
    /// frame, so that a client hears the answer before the end; a slow one, and one whose token is good no more,
    /// hears the end alone.
    pub(crate) fn take(&self, frames_max: usize) -> Batch {
        let mut state = self.state.lock();
        let State { queue, departed, ending, .. } = &mut *state;
        let ends_at_once =
            |it: &Ending| matches!(it.code, CloseCode::SlowConsumer | CloseCode::TokenExpired);
        let ends_at_once = ending.as_ref().is_some_and(ends_at_once);
        let frames_max = if ends_at_once { 0 } else { frames_max };
        let mut frames = Vec::with_capacity(queue.len().min(frames_max));
        frames.extend(iter::from_fn(|| queue.pop()).take(frames_max).map(|frame| frame.body));
        let is_last = ends_at_once || queue.is_empty();
        if !is_last {
            // The rest is for the next turn.
            self.wake.notify_one();
        }
        Batch {
            frames,
            departed: std::mem::take(departed),
            repairs: queue.repairs(),
            ending: ending.clone().filter(|_| is_last),
        }
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
