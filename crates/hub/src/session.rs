//! One session: a person's membership in a topic, from join to leave or end of grace.

use bytes::Bytes;
use penholder_presence::{Activity, Liveness, Meta, Mode, MonoMs, Signal, WallMs};
use penholder_protocol::TopicName;

use crate::{MemberId, Now, Viewer};

/// A session of this shard. It outlives its connection by `grace`.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) topic: TopicName,
    pub(crate) viewer: Viewer,
    pub(crate) mode: Mode,
    pub(crate) shown: Shown,
    pub(crate) custom: Bytes,
    pub(crate) joined_at: WallMs,
    pub(crate) connected_at: WallMs,
    pub(crate) last_input_at: WallMs,
    /// Counts the resume tokens given for it.
    pub(crate) generation: u32,
    pub(crate) liveness: Liveness,
    /// When it stops typing what is for the staff alone; none when it does not type that. It stands outside
    /// of `liveness`, of which others are shown the activity and the last input.
    pub(crate) for_staff_until: Option<MonoMs>,
    /// Whether it may hold a pen or wait for one.
    pub(crate) claims_pen: bool,
    /// The connection it is on; none while it is lost.
    pub(crate) member: Option<MemberId>,
    /// The one entry that this session has among the hub's timers.
    pub(crate) wake_at: Option<MonoMs>,
}

/// Whether others see the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Yes,
    No,
}

impl Session {
    /// The metadata that others are shown.
    pub(crate) fn meta(&self) -> Meta {
        let shown = self.liveness.shown();
        Meta {
            joined_at: self.joined_at,
            mode: self.mode,
            kind: self.viewer.kind,
            status: shown.status,
            activity: shown.activity,
            unsaved: shown.unsaved,
            idle_since: shown.idle_since.map(|_| self.last_input_at),
            generation: self.generation,
            profile: self.viewer.profile.clone(),
            custom: self.custom.clone(),
        }
    }

    /// Sets what the session may do. Who may no longer edit has nothing in hand.
    pub(crate) fn allow(&mut self, now: Now, mode: Mode) {
        self.mode = mode;
        let shown = self.liveness.shown();
        if mode == Mode::View && (shown.activity != Activity::Viewing || shown.unsaved) {
            // What came of it is shown when the member is seated.
            let _ = self.liveness.handle(now.mono, Signal::Activity(Activity::Viewing));
            let _ = self.liveness.handle(now.mono, Signal::Saved);
            self.last_input_at = now.wall;
        }
    }

    pub(crate) fn is_typing(&self) -> bool {
        self.liveness.shown().activity == Activity::Typing
    }

    /// When to look at it again.
    pub(crate) fn next_deadline(&self) -> Option<MonoMs> {
        self.liveness.next_deadline().into_iter().chain(self.for_staff_until).min()
    }
}
