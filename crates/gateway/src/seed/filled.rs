//! What the desk was filled with, in words.

use std::fmt;

use super::errand::Done;

/// What has been filled in, and what was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    added: Count,
    before: Count,
}

/// What a desk is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Ticket,
    Comment,
    Note,
    /// Of status, assignee or priority.
    Change,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    tickets: u64,
    comments: u64,
    notes: u64,
    changes: u64,
}

impl Filled {
    pub(super) fn count(&mut self, what: What, done: Done) {
        let count = match done {
            Done::Now => &mut self.added,
            Done::Before => &mut self.before,
        };
        let number = match what {
            What::Ticket => &mut count.tickets,
            What::Comment => &mut count.comments,
            What::Note => &mut count.notes,
            What::Change => &mut count.changes,
        };
        *number += 1;
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { added: self.added.plus(other.added), before: self.before.plus(other.before) }
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, before } = self;
        match (added.sum(), before.sum()) {
            (0, 0) => write!(f, "Added nothing"),
            (_, 0) => write!(f, "Added {added}"),
            (0, 1) => write!(f, "Added nothing: {before} was there already"),
            (0, _) => write!(f, "Added nothing: {before} were there already"),
            (_, 1) => write!(f, "Added {added}; {before} was there already"),
            (_, _) => write!(f, "Added {added}; {before} were there already"),
        }
    }
}

impl Count {
    fn sum(self) -> u64 {
        let Self { tickets, comments, notes, changes } = self;
        tickets + comments + notes + changes
    }

    fn plus(self, other: Self) -> Self {
        Self {
            tickets: self.tickets + other.tickets,
            comments: self.comments + other.comments,
            notes: self.notes + other.notes,
            changes: self.changes + other.changes,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.tickets, "ticket", ""),
            (self.comments, "comment", ""),
            (self.notes, "internal note", ""),
            (self.changes, "change", " of status, assignee or priority"),
        ];
        let parts = parts.into_iter().filter(|(number, ..)| *number > 0);
        let words = parts.map(|(number, noun, rest)| {
            format!("{number} {noun}{}{rest}", if number == 1 { "" } else { "s" })
        });
        let words: Vec<_> = words.collect();
        match words.split_last() {
            None => write!(f, "nothing"),
            Some((only, [])) => write!(f, "{only}"),
            Some((last, rest)) => write!(f, "{} and {last}", rest.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(counted: &[(What, Done)]) -> String {
        let mut filled = Filled::default();
        counted.iter().for_each(|(what, done)| filled.count(*what, *done));
        filled.to_string()
    }

    #[test]
    fn what_was_added_is_told_apart_from_what_was_there() {
        use Done::{Before, Now};
        use What::{Change, Comment, Note, Ticket};
        assert_eq!(told(&[]), "Added nothing");
        assert_eq!(
            told(&[(Ticket, Now), (Ticket, Now), (Comment, Now), (Change, Now)]),
            "Added 2 tickets, 1 comment and 1 change of status, assignee or priority"
        );
        assert_eq!(told(&[(Ticket, Before)]), "Added nothing: 1 ticket was there already");
        assert_eq!(
            told(&[(Ticket, Before), (Note, Before), (Comment, Now)]),
            "Added 1 comment; 1 ticket and 1 internal note were there already"
        );
        assert_eq!(
            told(&[(Ticket, Now), (Change, Now), (Change, Now), (Ticket, Before)]),
            "Added 1 ticket and 2 changes of status, assignee or priority; 1 ticket was there already"
        );
    }

    #[test]
    fn sums_are_of_both() {
        let (mut one, mut other) = (Filled::default(), Filled::default());
        one.count(What::Ticket, Done::Now);
        other.count(What::Ticket, Done::Now);
        other.count(What::Ticket, Done::Before);
        let told = one.plus(other).to_string();
        assert_eq!(told, "Added 2 tickets; 1 ticket was there already");
    }
}
