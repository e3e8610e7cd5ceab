//! The pen: who may edit a topic, and the proof of it. A lease with fencing tokens, without I/O.
//!
//! Presence says who seems to be there, and may be wrong for a while. The pen may not: at most one
//! session edits, and a write by anybody else is refused. This crate decides; a store keeps what it
//! decides and lends it its clock. It reads no clock and touches no socket: a row, a command and a
//! time go in, the next row, an outcome and events come out. Same inputs, same outputs.
//!
//! # The idea
//!
//! A holder may crash, stop or be cut off, and cannot then give back what it holds. So the pen is a
//! *lease*: it ends by itself at a deadline, unless it is renewed. That alone does not exclude two
//! writers. A process that was stopped for a minute wakes up, believes that it holds the pen, and
//! writes, while somebody else has had it for long. No clock on the holder's side prevents that; so each
//! grant has a number, the [`Fence`], larger than every earlier one of the topic, and whoever keeps what
//! is written asks for it. The lease makes two holders rare, the fence makes them harmless.
//!
//! All deadlines are of one clock, the store's. What has passed by that clock has passed, whether or
//! not anybody has written it down: [`decide`] first does what is due and then obeys the command, and
//! [`Lease::view`] shows what a decision would find.
//!
//! Fences must grow even if a store loses its last writes, as a standby does that is promoted too early.
//! It would grant a number a second time, but it does so on a new [`Timeline`], which stands above the
//! count within the fence.
//!
//! # A pen
//!
//! ```
//! use penholder_lease::{
//!     Claimant, Command, Kind, Lease, Outcome, Person, Policy, Role, StoreMs, StoreTime, Terms,
//!     Timeline, decide,
//! };
//!
//! let agent = |id: &str| Claimant {
//!     session: format!("{id}-tab").into(),
//!     person: Person { id: id.into(), name: id.to_owned(), kind: Kind::Human },
//!     role: Role::Agent,
//! };
//! let acquire = |id| Command::Acquire { claimant: agent(id), terms: Terms::default() };
//! let at = |ms| StoreTime { at: StoreMs(ms), timeline: Timeline(0) };
//! let policy = Policy::default();
//!
//! // A topic without a row has the default lease.
//! let first = decide(&Lease::default(), &acquire("ada"), at(1_000), &policy);
//! let Ok(Outcome::Granted { fence, deadline }) = first.outcome else { panic!() };
//! assert_eq!((fence.0, deadline), (1, StoreMs(31_000)));
//!
//! // Until then nobody else gets it; from then on anybody does, under a larger fence.
//! let second = decide(&first.lease, &acquire("bob"), at(30_999), &policy);
//! assert_eq!(second.outcome, Ok(Outcome::Held { place: None }));
//! let third = decide(&second.lease, &acquire("bob"), at(31_000), &policy);
//! assert!(third.lease.fence > fence);
//!
//! // What the first holder says now comes too late, and changes nothing.
//! let late = Command::Release { session: "ada-tab".into(), fence };
//! let fourth = decide(&third.lease, &late, at(31_001), &policy);
//! assert!(fourth.outcome.is_err());
//! assert_eq!(fourth.lease, third.lease);
//! ```
//!
//! # The driver's contract
//!
//! - *One row per topic*, locked from before the time is read until the decision is written, and never
//!   deleted, unless it has [ended](State::Ended) and nobody begins another: the fence would start again.
//! - *All of a decision or nothing.* The row, its events in the log, and only then the answer.
//! - *The time is the store's*, read under the lock; with it the store's timeline.
//! - *Ticks* are pulled: [`Lease::due`] says when the next has something to do. Early, late or twice is
//!   harmless, but those who wait wait for it.
//! - *Input.* A renewal says how long ago the person last touched the thing. Between a request and its
//!   answer input is told at once, or a holder who works looks idle.
//! - *Who may edit at all* is for the caller: whoever may only view sends none of these commands.
//! - *A holder counts its own deadline* from before it sent the request, by a clock that counts suspension.
//!
//! # Invariants, and the tests that fail without them
//!
//! - Fences of a topic strictly grow, whatever the timeline does: `fences_strictly_grow`.
//! - Accepted writes carry fences that do not fall, each of a tenure that lives:
//!   `accepted_writes_never_go_back`.
//! - Nobody gets the pen before the deadline, unless it was given back, handed over or taken by a rule
//!   whose conditions hold: `no_grant_before_its_time`.
//! - A repeated acquire gives the same fence or none: `repeated_acquire_gives_the_same_fence`.
//! - A word under a fence that is not the speaker's does nothing: `word_under_another_fence_does_nothing`.
//! - Only its own session makes a lease longer: `nobody_renews_the_lease_of_another`.
//! - A holder is never locked out by themselves: `holder_is_never_locked_out`.
//! - A pen whose deadline has passed is never shown as held: `expired_pen_is_never_shown_as_held`.
//! - Everybody who waits is served, in order, each within a time to live:
//!   `queue_is_served_in_order_and_in_time`.
//! - Nothing that an outsider can make longer is without bound: `row_is_bounded_and_in_order`.
//! - What is gone has no pen: `nothing_follows_the_end`.
//! - The last event tells the pen: `events_replay_to_the_pen`.
//!
//! # Sources
//!
//! - Gray, Cheriton, *Leases: an efficient fault-tolerant mechanism for distributed file cache
//!   consistency*, SOSP 1989: the lease.
//! - Burrows, *The Chubby lock service for loosely-coupled distributed systems*, OSDI 2006: sequencers,
//!   which whoever keeps the writes checks; the grace period of a lost session.
//! - Kleppmann, *How to do distributed locking*, 2016: the paused holder, and fencing tokens.
//!
//! `Deviation:` Chubby's sequencer is compared with the lock's generation for equality. A fence is ordered,
//! so a store that knows nothing of pens can check it too: it refuses whatever is below the largest it
//! has seen.
//!
//! `Deviation:` a lease here can end before its deadline without the holder's consent, by a request that
//! is not answered, a take-over or a revocation. The fence is what makes this safe.

mod claimant;
mod command;
mod decide;
mod event;
mod fence;
mod lease;
mod pen;
mod policy;
mod time;
mod write;

pub use self::claimant::{Claimant, Kind, Person, PersonId, RequestId, Role, SessionId};
pub use self::command::{
    Answer, Command, IfHeld, Outcome, QUEUE_LEN_MAX, REASON_BYTES_MAX, REQUEST_ID_BYTES_MAX,
    Recipient, Refusal, SPENT_LEN_MAX, TTL_MS_MIN, Terms,
};
pub use self::decide::{Decision, decide};
pub use self::event::{Event, EventKind, Rule};
pub use self::fence::{Fence, NotAFence, TIMELINE_MAX, Timeline};
pub use self::lease::{Claims, Lease, Spent, State, Tenure, Waiting};
pub use self::pen::{InQueue, Pen, PenState};
pub use self::policy::{DraftReaders, Handover, Policies, Policy, UnfencedWrites};
pub use self::time::{StoreMs, StoreTime};
pub use self::write::{WriteCheck, WriteClaim};
