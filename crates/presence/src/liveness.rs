//! How present one session is: its status and activity, from what it does and when.
//!
//! A state machine per session, pure: it is given monotonic time with each signal, and asked for the
//! next deadline. Three spans run independently: input makes a session active until `idle_after`,
//! typing ends by itself after `typing_for`, and a lost connection is kept for `grace`.
//!
//! - A deadline is inclusive: at the very millisecond of it the session *is* idle, has stopped typing,
//!   or has expired. A resume counts when it is strictly earlier.
//! - Deadlines are pulled. Waking early, late or twice changes nothing but the moment of noticing
//!   (`waking_early_or_twice_is_a_no_op`); each signal looks at the deadlines first.
//! - Of several statuses that hold at once the gravest is shown: reconnecting, hidden, idle, active.
//!   `idle_since` stands beside any of them.
//! - Time that goes backwards is taken as standing still.
//!
//! ```
//! use penholder_presence::{Liveness, LivenessConfig, MonoMs, Outcome, Signal, Status};
//!
//! let config = LivenessConfig { idle_after_ms: 1_000, grace_ms: 500, typing_for_ms: 100 };
//! let mut session = Liveness::new(config, MonoMs(0));
//! assert_eq!(session.handle(MonoMs(10), Signal::Lost), Outcome::Changed);
//! assert_eq!(session.shown().status, Status::Reconnecting);
//! assert_eq!(session.next_deadline(), Some(MonoMs(510)));
//! assert_eq!(session.handle_timeout(MonoMs(509)), Outcome::Unchanged);
//! assert_eq!(session.handle_timeout(MonoMs(510)), Outcome::Expired);
//! ```

use crate::meta::{Activity, Status};
use crate::time::MonoMs;

/// The spans of a session, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessConfig {
    /// Without input for so long a session is idle. Default 120 000. Zero: always idle.
    pub idle_after_ms: u64,
    /// A lost session is kept for so long. Default 10 000. Zero: it expires when it is lost; too
    /// long, and the closed tabs of people who left stand in the list.
    pub grace_ms: u64,
    /// Typing ends so long after the last sign of it. Default 10 000. Zero: nobody is ever typing.
    pub typing_for_ms: u64,
}

impl Default for LivenessConfig {
    fn default() -> Self {
        Self { idle_after_ms: 120_000, grace_ms: 10_000, typing_for_ms: 10_000 }
    }
}

/// What a session, or its connection, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The connection is gone without goodbye. Typing ends; grace begins, once.
    Lost,
    /// A connection took the session up again. No input: a client reconnects by itself.
    Resumed,
    /// There was input.
    Input,
    /// The tab is shown. Input: somebody turned to it.
    Shown,
    /// The tab is not shown.
    Hidden,
    /// The session types, or still does. Input.
    Typing,
    /// The session has stopped typing.
    TypingEnded,
    /// The session does this now. Input, and the end of typing unless it is that.
    Activity(Activity),
    /// There are changes that are not saved.
    Unsaved,
    /// There are none.
    Saved,
}

/// What came of a signal or a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a change is owed to the observers, an expiry to the presence set"]
pub enum Outcome {
    /// What is shown is as before.
    Unchanged,
    /// [`Liveness::shown`] has changed.
    Changed,
    /// Grace is over: the session must be untracked. Said once; nothing is heard or due after it.
    Expired,
}

/// What is shown of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// How present it is.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// Whether it has changes that are not saved.
    pub unsaved: bool,
    /// Its last input, when it is idle. The driver, which has both clocks, turns it into wall time.
    pub idle_since: Option<MonoMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Connected,
    Lost { until: MonoMs },
    Expired,
}

/// The state machine of one session.
#[derive(Debug, Clone)]
pub struct Liveness {
    config: LivenessConfig,
    now: MonoMs,
    link: Link,
    is_hidden: bool,
    last_input: MonoMs,
    typing_until: Option<MonoMs>,
    /// What the session does when it is not typing: never [`Activity::Typing`].
    activity: Activity,
    unsaved: bool,
}

impl Liveness {
    /// Starts with a session that has just joined: connected, shown, viewing, with input now.
    #[must_use]
    pub fn new(config: LivenessConfig, now: MonoMs) -> Self {
        Self {
            config,
            now,
            link: Link::Connected,
            is_hidden: false,
            last_input: now,
            typing_until: None,
            activity: Activity::Viewing,
            unsaved: false,
        }
    }

    /// Takes a signal. One that comes at or after the end of grace finds the session expired.
    pub fn handle(&mut self, now: MonoMs, signal: Signal) -> Outcome {
        self.step(now, Some(signal))
    }

    /// Looks at the deadlines.
    pub fn handle_timeout(&mut self, now: MonoMs) -> Outcome {
        self.step(now, None)
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) next; never, when nothing runs.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoMs> {
        let grace = match self.link {
            Link::Expired => return None,
            Link::Lost { until } => Some(until),
            Link::Connected => None,
        };
        let idle = Some(self.idle_at()).filter(|&at| self.now < at);
        [grace, idle, self.typing_until].into_iter().flatten().min()
    }

    /// Returns what is shown, as of the last signal or timeout.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let is_idle = self.idle_at() <= self.now;
        let status = match self.link {
            Link::Lost { .. } | Link::Expired => Status::Reconnecting,
            Link::Connected if self.is_hidden => Status::Hidden,
            Link::Connected if is_idle => Status::Idle,
            Link::Connected => Status::Active,
        };
        Shown {
            status,
            activity: self.typing_until.map_or(self.activity, |_| Activity::Typing),
            unsaved: self.unsaved,
            idle_since: is_idle.then_some(self.last_input),
        }
    }

    /// Returns when the last input was; what a pen's idleness counts from.
    #[must_use]
    pub fn last_input(&self) -> MonoMs {
        self.last_input
    }

    /// Returns whether the tab was hidden when last heard of, also while the connection is lost.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    fn step(&mut self, now: MonoMs, signal: Option<Signal>) -> Outcome {
        if self.link == Link::Expired {
            return Outcome::Unchanged;
        }
        let before = self.shown();
        self.advance(now);
        if let Some(signal) = signal
            && self.link != Link::Expired
        {
            self.apply(signal);
            // A span of zero is over as it begins.
            self.advance(now);
        }
        match self.link {
            Link::Expired => Outcome::Expired,
            _ if self.shown() == before => Outcome::Unchanged,
            _ => Outcome::Changed,
        }
    }

    fn advance(&mut self, now: MonoMs) {
        self.now = self.now.max(now);
        self.typing_until = self.typing_until.filter(|&until| self.now < until);
        if let Link::Lost { until } = self.link
            && until <= self.now
        {
            self.link = Link::Expired;
        }
    }

    fn apply(&mut self, signal: Signal) {
        match signal {
            Signal::Lost => {
                self.typing_until = None;
                if self.link == Link::Connected {
                    self.link = Link::Lost { until: self.now.after(self.config.grace_ms) };
                }
            }
            Signal::Resumed => self.link = Link::Connected,
            Signal::Input => self.last_input = self.now,
            Signal::Shown => {
                self.is_hidden = false;
                self.last_input = self.now;
            }
            Signal::Hidden => self.is_hidden = true,
            Signal::Typing | Signal::Activity(Activity::Typing) => {
                self.typing_until = Some(self.now.after(self.config.typing_for_ms));
                self.last_input = self.now;
            }
            Signal::TypingEnded => self.typing_until = None,
            Signal::Activity(activity) => {
                self.typing_until = None;
                self.activity = activity;
                self.last_input = self.now;
            }
            Signal::Unsaved => self.unsaved = true,
            Signal::Saved => self.unsaved = false,
        }
    }

    fn idle_at(&self) -> MonoMs {
        self.last_input.after(self.config.idle_after_ms)
    }
}

#[cfg(test)]
mod tests;
