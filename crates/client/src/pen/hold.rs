//! What a holder knows of its pen, and until when it may believe in it.

use penholder_protocol::{Fence, Pen, PenChange, PenEvent, PenState, PersonBrief};

/// The shortest time to live that there is: what is assumed where nothing was said. Unit: milliseconds.
const TTL_MS_MIN: u64 = 1_000;

/// What is taken off the time that is left, one part in so many, since clocks differ.
const MARGIN_PART: u64 = 50;

/// How many renewals fit into a time to live: two may be lost.
const RENEWALS_PER_TTL: u64 = 3;

/// Why a pen must not be written with any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PenLost {
    /// Nothing that was heard in time says that it is still held. It may be, but nobody knows.
    #[error("the pen has not been renewed in time")]
    Expired,
    /// Somebody takes it over, and the time to save before that is over.
    #[error("the time to save before the take-over is over")]
    Drained,
    /// It has ended, or somebody else got it: what has happened, and by whom; by the clock when nobody.
    #[error("the pen is lost: {}", .kind.as_str())]
    Ended {
        /// What has happened.
        kind: PenChange,
        /// Who has done it.
        by: Option<PersonBrief>,
    },
    /// The server does not know this fence as the current one of this session.
    #[error("the pen is held no longer under this fence")]
    LeaseLost,
    /// The channel has ended.
    #[error("the channel has ended")]
    ChannelEnded,
}

/// One tenure as its holder sees it. All times but those in events and pens are its own, in milliseconds of a
/// clock that counts suspension.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    session: String,
    fence: Fence,
    ttl_ms: u64,
    /// A deadline by the store's clock, and a moment of the own that is surely not later.
    anchor: (u64, u64),
    /// When it was last heard how long it lasts.
    heard_at: u64,
    draining: bool,
    receipt: Option<String>,
    lost: Option<PenLost>,
}

impl Hold {
    /// A grant that was told at `heard_at`: how long it has been so is unknown, so it is good for nothing
    /// before it is renewed.
    pub(super) fn new(pen: &Pen, heard_at: u64) -> Option<Hold> {
        let (session, deadline) = (pen.session.clone()?, pen.deadline?);
        Some(Hold {
            session,
            fence: pen.fence,
            ttl_ms: TTL_MS_MIN,
            anchor: (deadline, heard_at),
            heard_at,
            draining: pen.state == PenState::Draining,
            receipt: None,
            lost: None,
        })
    }

    /// A grant that answers what was asked at `asked_at`, with what the event of it said of its length.
    pub(super) fn granted(pen: &Pen, event: Option<&PenEvent>, asked_at: u64) -> Option<Hold> {
        let mut hold = Hold::new(pen, asked_at)?;
        if let Some(event) = event.filter(|event| event.fence == hold.fence) {
            hold.learn_ttl(event);
        }
        hold.anchor.1 = asked_at + hold.ttl_ms;
        Some(hold)
    }

    /// The fence, while it may be believed in.
    pub(super) fn fence(&self, now: u64) -> Result<Fence, PenLost> {
        match &self.lost {
            Some(lost) => Err(lost.clone()),
            None if now < self.ends_at() => Ok(self.fence),
            None if self.draining => Err(PenLost::Drained),
            None => Err(PenLost::Expired),
        }
    }

    /// The fence, believed in or not.
    pub(super) fn number(&self) -> Fence {
        self.fence
    }

    /// When to stop writing, unless something is heard before.
    pub(super) fn ends_at(&self) -> u64 {
        let span = self.anchor.1.saturating_sub(self.heard_at);
        self.anchor.1.saturating_sub(span / MARGIN_PART)
    }

    /// When to renew.
    pub(super) fn renew_at(&self) -> u64 {
        self.heard_at + self.ttl_ms / RENEWALS_PER_TTL
    }

    /// Whether somebody takes it over at the deadline.
    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) fn receipt(&self) -> Option<&str> {
        self.receipt.as_deref()
    }

    pub(super) fn has_receipt(&mut self, receipt: Option<String>) {
        self.receipt = receipt.or(self.receipt.take());
    }

    pub(super) fn lose(&mut self, why: PenLost) {
        self.lost.get_or_insert(why);
    }

    /// Takes the answer to a renewal that was asked for at `asked_at`.
    pub(super) fn renewed(&mut self, pen: &Pen, asked_at: u64) {
        let is_own = pen.session.as_ref() == Some(&self.session) && pen.fence == self.fence;
        let Some(deadline) = pen.deadline.filter(|_| is_own) else {
            return self.lose(PenLost::LeaseLost);
        };
        let is_longer = deadline > self.anchor.0;
        self.move_to(deadline, pen.state, asked_at);
        if is_longer && !self.draining {
            // The store counted from a moment after this one.
            self.anchor.1 = self.anchor.1.max(asked_at + self.ttl_ms);
        }
    }

    /// Takes what the topic is told, heard at `now`.
    pub(super) fn heard(&mut self, event: &PenEvent, now: u64) {
        if event.fence < self.fence {
            return;
        }
        let ends =
            matches!(event.kind, PenChange::Released | PenChange::Expired | PenChange::Revoked);
        if event.fence > self.fence || ends {
            return self.lose(PenLost::Ended { kind: event.kind, by: event.by.clone() });
        }
        self.learn_ttl(event);
        if let Some(deadline) = event.pen.deadline {
            self.move_to(deadline, event.pen.state, now);
        }
    }

    /// What the pen was when the channel was joined again, or shortly before: one with a smaller fence is older than
    /// the grant.
    pub(super) fn seen(&mut self, pen: &Pen) {
        let has_ended = pen.fence == self.fence && pen.session.as_ref() != Some(&self.session);
        if has_ended || pen.fence > self.fence {
            self.lose(PenLost::LeaseLost);
        }
    }

    /// An event that sets the deadline says by how much.
    fn learn_ttl(&mut self, event: &PenEvent) {
        let sets = matches!(
            event.kind,
            PenChange::Granted
                | PenChange::HandedOver
                | PenChange::TakenOver
                | PenChange::Renewed
                | PenChange::Resumed
        );
        let deadline = event.pen.deadline.filter(|_| sets && event.pen.state == PenState::Held);
        if let Some(deadline) = deadline {
            self.ttl_ms = deadline.saturating_sub(event.at).max(TTL_MS_MIN);
        }
    }

    /// The deadline is another by the store's clock: by as much it is another by the own.
    fn move_to(&mut self, deadline: u64, state: PenState, at: u64) {
        let (known, local) = self.anchor;
        let moved =
            (local + deadline.saturating_sub(known)).saturating_sub(known.saturating_sub(deadline));
        self.anchor = (deadline, moved);
        self.heard_at = at;
        self.draining = state == PenState::Draining;
    }
}

#[cfg(test)]
mod tests {
    use penholder_protocol::PenRule;

    use super::*;

    /// By the store's clock, which has nothing to do with the holder's.
    const STORE: u64 = 1_700_000_000_000;
    const TTL_MS: u64 = 10_000;

    fn pen(fence: u64, deadline: u64) -> Pen {
        Pen {
            state: PenState::Held,
            holder: None,
            session: Some("s1".to_owned()),
            fence: Fence(fence),
            since: Some(STORE),
            deadline: Some(STORE + deadline),
            queue: Vec::new(),
        }
    }

    fn event(kind: PenChange, pen: Pen, at: u64) -> PenEvent {
        let (rule, fence, at) = (PenRule::Free, pen.fence, STORE + at);
        PenEvent { seq: 1, kind, rule, by: None, fence, at, reason: None, pen }
    }

    /// Granted for ten seconds at a moment of the store's clock, and asked for at 500 by the own.
    fn hold() -> Hold {
        let granted = event(PenChange::Granted, pen(7, TTL_MS), 0);
        Hold::granted(&granted.pen, Some(&granted), 500).unwrap()
    }

    #[test]
    fn own_deadline_counts_from_before_the_request_and_a_little_is_off() {
        let hold = hold();
        assert_eq!(hold.fence(500), Ok(Fence(7)));
        assert_eq!(hold.fence(500 + TTL_MS - 201), Ok(Fence(7)));
        assert_eq!(hold.fence(500 + TTL_MS - 200), Err(PenLost::Expired));
        assert_eq!(hold.renew_at(), 500 + TTL_MS / 3);
    }

    #[test]
    fn renewal_counts_from_its_own_request() {
        let mut hold = hold();
        hold.renewed(&pen(7, 13_000), 4_000);
        assert_eq!(hold.ends_at(), 14_000 - 200);
        assert_eq!(hold.renew_at(), 4_000 + TTL_MS / 3);
    }

    #[test]
    fn renewal_that_prolongs_nothing_gives_no_time() {
        let mut hold = hold();
        hold.renewed(&pen(7, TTL_MS), 9_000);
        assert_eq!(hold.ends_at(), 10_500 - 30, "an idle holder keeps the old deadline");
    }

    #[test]
    fn renewal_by_the_server_moves_the_deadline_by_as_much() {
        let mut hold = hold();
        hold.heard(&event(PenChange::Renewed, pen(7, 13_000), 3_000), 8_000);
        assert_eq!(hold.ends_at(), 13_500 - 110, "not from when it was heard");
    }

    #[test]
    fn drain_makes_it_shorter() {
        let mut hold = hold();
        let draining = Pen { state: PenState::Draining, ..pen(7, 5_000) };
        hold.heard(&event(PenChange::Draining, draining.clone(), 1_000), 1_600);
        assert!(hold.is_draining());
        assert_eq!(hold.ends_at(), 5_500 - 78);
        hold.renewed(&draining, 3_000);
        assert_eq!(hold.ends_at(), 5_500 - 50, "and no renewal longer");
        assert_eq!(hold.fence(5_450), Err(PenLost::Drained));
    }

    #[test]
    fn newer_fence_or_an_end_loses_it_and_an_older_one_does_not() {
        let mut held = hold();
        held.heard(&event(PenChange::Released, pen(6, 0), 1), 600);
        assert!(held.fence(600).is_ok());
        for (kind, fence) in [
            (PenChange::Granted, 8),
            (PenChange::TakenOver, 8),
            (PenChange::Revoked, 7),
            (PenChange::Expired, 7),
        ] {
            let mut hold = hold();
            hold.heard(&event(kind, pen(fence, TTL_MS), 1), 600);
            assert_eq!(hold.fence(600), Err(PenLost::Ended { kind, by: None }));
        }
    }

    #[test]
    fn first_reason_stays() {
        let mut hold = hold();
        hold.heard(&event(PenChange::Revoked, pen(7, TTL_MS), 1), 600);
        hold.lose(PenLost::LeaseLost);
        assert!(matches!(hold.fence(600), Err(PenLost::Ended { .. })));
    }

    #[test]
    fn what_was_told_late_is_good_for_nothing_before_it_is_renewed() {
        let mut hold = Hold::new(&pen(7, TTL_MS), 9_000).unwrap();
        assert_eq!(hold.fence(9_000), Err(PenLost::Expired));
        hold.heard(&event(PenChange::Granted, pen(7, TTL_MS), 0), 9_000);
        hold.renewed(&pen(7, 12_000), 9_001);
        assert_eq!(hold.fence(9_001), Ok(Fence(7)));
        assert_eq!(hold.ends_at(), 19_001 - 200);
    }

    #[test]
    fn reply_for_another_session_is_a_loss() {
        for other in [Pen { session: Some("s2".to_owned()), ..pen(7, 20_000) }, pen(8, 20_000)] {
            let mut hold = hold();
            hold.renewed(&other, 600);
            assert_eq!(hold.fence(600), Err(PenLost::LeaseLost));
            let mut hold = self::hold();
            hold.seen(&other);
            assert_eq!(hold.fence(600), Err(PenLost::LeaseLost));
        }
        let mut hold = hold();
        hold.seen(&pen(6, 20_000));
        assert_eq!(hold.fence(600), Ok(Fence(7)), "that was before it was granted");
    }
}
