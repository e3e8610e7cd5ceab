//! What Penholder keeps: pens, their log and drafts, in SQLite or PostgreSQL.
//!
//! [`penholder_lease`] decides who holds a pen; this crate lends it a row, a lock and a clock, keeps what it
//! decides, and decides nothing itself. A change of a pen is one transaction: the row, the topic's next
//! number, and the events in the log under it. Only then is anybody told.
//!
//! ```no_run
//! # async fn example(ada: penholder_lease::Claimant) -> Result<(), penholder_desk::StoreError> {
//! use penholder_desk::{Pens, Storage};
//! use penholder_lease::{Outcome, Policies, Terms, Timeline};
//!
//! let storage = Storage::Sqlite { path: "desk.sqlite".into(), timeline: Timeline(0) };
//! let pens = Pens::open(&storage, Policies::default()).await?;
//! let answered = pens.acquire("doc:42", ada, Terms::default()).await?;
//! for event in &answered.events {
//!     // owed to everybody on the topic, in this order
//! }
//! if let Ok(Outcome::Granted { fence, deadline }) = answered.outcome {
//!     // owed to the holder
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The driver's contract
//!
//! - *Events* of every answer are owed to the topic. Answers of one topic can overtake each other on their
//!   way to a hub; [`Logged::seq`] puts them in order, and a gap is read from [`Pens::log`].
//! - *Time* is the driver's to watch: ask [`Pens::due`], [`tick`](Pens::tick) what it names, and ask again
//!   after `next_in_ms`, or sooner when an answer shows an earlier deadline. Several processes may.
//! - *Holders* who are connected and have shown input are [renewed](Pens::renew) together, every third of a
//!   time to live.
//! - *Unavailable* means that nobody knows: an acquire is repeated with its request id.
//!
//! # Invariants, and the tests that fail without them
//!
//! Each is a rule of the contract in `tests/contract`, which both stores keep.
//!
//! - What is written, answered and logged is what the state machine decides, whatever shortcut a statement
//!   takes: `store_keeps_what_is_decided`.
//! - Of many who acquire at once one is granted: `one_of_many_gets_the_pen`.
//! - Fences grow over restarts, crashes and a promotion that lost grants:
//!   `fences_grow_over_grants_and_restarts`, `nobody_is_granted_anything_while_the_server_is_gone`,
//!   `fences_grow_although_a_standby_has_lost_grants`.
//! - No decision falls between the check of a fence and the write under it:
//!   `no_decision_while_a_write_is_under_way`.
//! - The time of a decision is read when the lock has been had: `time_is_read_after_the_lock`.
//! - A process that stops keeps nobody waiting for more than some seconds:
//!   `process_that_stops_inside_a_transaction_blocks_nobody_for_long`.
//! - Writers who stop for twice their leases write nothing under an old fence, and histories are linearizable:
//!   `tests/stress`.
//! - The log has every event, numbered without gaps: `log_tells_everything_in_order`.

mod answer;
mod error;
mod migrate;
mod pens;
mod postgres;
mod renewal;
mod row;
mod sqlite;

pub use self::answer::{Answered, Draft, Due, Logged, Reading};
pub use self::error::StoreError;
pub use self::pens::{DRAFT_BYTES_MAX, GuardedWrite, Pens, Storage, Transaction};
pub use self::renewal::Renewal;
