//! The status of a ticket, and how it may change.

use penholder_lease::{Person, StoreMs};

use crate::refusal::Refusal;
use crate::word::words;

words! {
    /// Where a ticket stands.
    Status {
        /// Nobody has begun.
        Open = "open",
        /// Somebody works on it.
        InProgress = "in_progress",
        /// The customer has to answer.
        WaitingForUser = "waiting_for_user",
        /// The agent has to answer.
        WaitingForAgent = "waiting_for_agent",
        /// Done, as the agent sees it.
        Resolved = "resolved",
        /// Done, and nobody comments any more.
        Closed = "closed",
    }
}

/// What an installation allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether a resolved or closed ticket may be opened again.
    pub allow_reopen: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { allow_reopen: true }
    }
}

/// One change of status, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// The status before; none when the ticket was made.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// Why, as they said; for everybody who sees the ticket.
    pub reason: Option<String>,
    /// Who.
    pub by: Person,
    /// When.
    pub at: StoreMs,
}

impl Status {
    /// Returns where a ticket may go from here.
    #[must_use]
    pub fn next(self) -> &'static [Self] {
        use Status::{Closed, InProgress, Open, Resolved, WaitingForAgent, WaitingForUser};
        match self {
            Open => &[InProgress, WaitingForUser, WaitingForAgent, Resolved, Closed],
            InProgress => &[Open, WaitingForUser, WaitingForAgent, Resolved, Closed],
            WaitingForUser => &[InProgress, WaitingForAgent, Resolved, Closed],
            WaitingForAgent => &[InProgress, WaitingForUser, Resolved, Closed],
            Resolved => &[Open, WaitingForAgent, Closed],
            Closed => &[Open],
        }
    }

    /// Returns whether a change to `to` opens a ticket that was done.
    #[must_use]
    pub fn is_reopened_by(self, to: Self) -> bool {
        matches!(self, Self::Resolved | Self::Closed) && to == Self::Open
    }

    /// Judges a change of status.
    ///
    /// # Errors
    ///
    /// There is no such change, or it reopens and may not.
    pub fn check(self, to: Self, rules: Rules) -> Result<(), Refusal> {
        if !self.next().contains(&to) {
            return Err(Refusal::InvalidTransition { from: self, to });
        }
        if self.is_reopened_by(to) && !rules.allow_reopen {
            return Err(Refusal::ReopenNotAllowed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as it is promised: a row for each status, a mark for each status that it may become.
    const TABLE: [(&str, &str); 6] = [
        ("open", ".iuarc"),
        ("in_progress", "o.uarc"),
        ("waiting_for_user", ".i.arc"),
        ("waiting_for_agent", ".iu.rc"),
        ("resolved", "o..a.c"),
        ("closed", "o....."),
    ];

    #[test]
    fn machine_is_the_table() {
        for (from, marks) in TABLE {
            let from = Status::from_word(from).unwrap();
            for (to, mark) in Status::ALL.iter().zip(marks.chars()) {
                let allowed = from.check(*to, Rules::default());
                if mark == '.' {
                    assert_eq!(allowed, Err(Refusal::InvalidTransition { from, to: *to }));
                } else {
                    assert_eq!(allowed, Ok(()), "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn only_what_was_done_is_reopened() {
        let rules = Rules { allow_reopen: false };
        for from in Status::ALL {
            for to in from.next() {
                let done = matches!(from, Status::Resolved | Status::Closed);
                let refused = from.check(*to, rules) == Err(Refusal::ReopenNotAllowed);
                assert_eq!(refused, done && *to == Status::Open, "{from} to {to}");
            }
        }
    }
}
