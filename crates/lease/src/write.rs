//! Whether a write may be written: where the fence does its work.

use crate::claimant::{Person, PersonId};
use crate::fence::Fence;
use crate::lease::Lease;
use crate::policy::{Policy, UnfencedWrites};
use crate::time::StoreMs;

/// What a write says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteClaim<'a> {
    /// Who writes.
    pub by: &'a PersonId,
    /// The fence that they present, if any.
    pub fence: Option<Fence>,
}

/// What becomes of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteCheck {
    /// It is written.
    Accepted,
    /// It is written without a fence although somebody else holds the pen: both are told of the
    /// collision, unless the policy is to allow it.
    Collides {
        /// Who holds it.
        holder: Person,
        /// Whether the write is marked as well.
        flag: bool,
    },
    /// It is refused, for want of a fence. Both are told of the collision.
    Unfenced {
        /// Who holds it.
        holder: Person,
    },
    /// It is refused: the pen has gone on, or nobody has it.
    Stale {
        /// Who holds it now.
        holder: Option<Person>,
    },
}

impl Lease {
    /// Judges a write at the moment `now`, read in the transaction of the write and under its lock of
    /// the row: a judgement that is older than the write is worth nothing.
    ///
    /// Only the fence of a tenure that lives is accepted, so a pen that was revoked writes no more.
    #[must_use]
    pub fn check_write(&self, claim: WriteClaim<'_>, now: StoreMs, policy: &Policy) -> WriteCheck {
        let holder = self.tenure(now).map(|tenure| &tenure.holder.person);
        match (claim.fence, holder) {
            (Some(fence), Some(_)) if fence == self.fence => WriteCheck::Accepted,
            (Some(_), holder) => WriteCheck::Stale { holder: holder.cloned() },
            (None, None) => WriteCheck::Accepted,
            (None, Some(holder)) if holder.id == *claim.by => WriteCheck::Accepted,
            (None, Some(holder)) => {
                let holder = holder.clone();
                match policy.unfenced_writes {
                    UnfencedWrites::Allow => WriteCheck::Collides { holder, flag: false },
                    UnfencedWrites::Flag => WriteCheck::Collides { holder, flag: true },
                    UnfencedWrites::Refuse => WriteCheck::Unfenced { holder },
                }
            }
        }
    }
}
