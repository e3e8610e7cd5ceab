//! What Penholder keeps: pens and tickets with their logs, in SQLite or PostgreSQL.
//!
//! [`penholder_lease`] decides who holds a pen, [`penholder_ticket`] what happens to a ticket and who is told;
//! this crate lends them rows, locks and a clock, keeps what they decide, and decides nothing itself. A
//! change is one transaction: the rows, the topics' next numbers, and the events in the log under them.
//! Only then is anybody told.
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
//! Tickets are changed in a [`Work`], which is one transaction:
//!
//! ```no_run
//! # async fn example(
//! #     pens: penholder_desk::Pens,
//! #     request: penholder_desk::Request,
//! #     new: penholder_ticket::NewTicket,
//! # ) -> Result<(), penholder_desk::TicketError> {
//! use penholder_desk::Tickets;
//! use penholder_ticket::{Rules, Status};
//!
//! let tickets = Tickets::new(&pens, Rules::default());
//! let mut work = tickets.begin(request).await?;
//! let ticket = work.create(new).await?;
//! work.transition(ticket.id, (Status::Resolved, None), None).await?;
//! for told in work.commit().await? {
//!     // owed to the topic `told.topic`, in the order of its numbers
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The driver's contract
//!
//! - *Events* of every answer are owed to the topic. Answers of one topic can overtake each other on their
//!   way to a hub; [`Logged::seq`] puts them in order, and a gap is read from [`Pens::log`]. So it is with
//!   what a work has [`Told`], and [`Tickets::stretch`].
//! - *Time* is the driver's to watch: ask [`Pens::due`], [`tick`](Pens::tick) what it names, and ask again
//!   after `next_in_ms`, or sooner when an answer's [`due`](Answered::due) is earlier. Several processes may.
//! - *Holders* who are connected and have shown input are [renewed](Pens::renew) together, every third of a
//!   time to live.
//! - *Consumers* are the driver's to serve: [claim](Consumers::claim), deliver, [settle](Consumers::settle), when
//!   [news](Consumers::news) come and when something [waits](Consumers::waiting).
//! - *Retention* is the driver's to ask for: [`Tickets::expire`], now and then.
//! - *Who may do or read what* is for the driver, but for who may write a comment again and who sees a note.
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
//! - No pen of a ticket is begun that there is not: `pen_of_no_ticket_is_never_begun` (in `tests/tickets`), so its row may go in the end.
//! - No decision falls between the check of a fence and the write under it:
//!   `no_decision_while_a_write_is_under_way`.
//! - What was answered has been committed, also when many commands share a commit, of which one fails or
//!   panics: `what_many_are_told_at_once_is_kept`, `one_that_cannot_be_kept_takes_none_with_it`,
//!   `decision_that_panics_takes_none_with_it`.
//! - The time of a decision is read when the lock has been had: `time_is_read_after_the_lock`.
//! - A process that stops keeps nobody waiting for more than some seconds:
//!   `process_that_stops_inside_a_transaction_blocks_nobody_for_long`.
//! - Writers who stop for twice their leases write nothing under an old fence, and histories are linearizable:
//!   `tests/stress`.
//! - The log has every event, numbered without gaps: `log_tells_everything_in_order`.
//!
//! Those of consumers are in `tests/tickets`, beside those of tickets:
//!
//! - A consumer is owed every write that it wants and that is committed after the answer to its making, and no other:
//!   `consumer_is_owed_what_it_wants_and_nothing_else`, `consumer_is_owed_every_write_since_it_was_made`,
//!   `consumer_is_owed_what_other_processes_write`, `rolled_back_is_owed_to_nobody`.
//! - What is owed to a consumer of one topic is delivered in order, and holds up nothing of other topics:
//!   `line_goes_on_when_the_one_before_is_done`, `parked_one_lets_the_next_go`.
//! - What was not settled is delivered again, with the same bytes: `unsettled_is_delivered_again`.
//! - Events of pens are owed as those of tickets are, in one line with them, whatever statement writes them:
//!   `pen_is_heard_in_line_with_its_ticket`, `consumer_is_owed_every_event_of_pens_since_it_was_made`,
//!   `filters_of_pens_say_what_they_say_of_tickets`; each has the pen right before it: `store_keeps_what_is_decided`,
//!   `event_has_the_pen_before_it_also_within_a_decision`.
//! - Nothing is left behind, however many write and deliver at once: `everything_is_delivered_in_order_by_many`,
//!   `next_of_a_line_is_seen_by_whoever_takes_the_last`.
//!
//! Those of tickets are in `tests/tickets`, which both stores keep as well.
//!
//! - What was rolled back is told to nobody and leaves no gap: `rolled_back_tells_nothing`.
//! - Numbers of a topic and audience are dense, in the order of commits, however many write:
//!   `numbers_are_dense_in_the_order_of_commits`; pens count in the same: `pen_counts_in_both_numberings`.
//! - What is replayed is what was told: `replay_is_what_was_told`, `stretch_has_what_each_audience_was_told`.
//! - The public hears the same whether the staff leaves notes or not:
//!   `public_stream_is_the_same_with_and_without_notes`.
//! - A write under a stale fence is not written: `stale_fence_writes_nothing`.
//! - What is forgotten is forgotten by all at once, in order of numbers, and nothing of a ticket that is gone is kept for ever:
//!   `old_events_are_forgotten_whatever_they_are`, `surplus_events_of_pens_are_forgotten`, `last_of_a_ticket_takes_its_pen_with_it`.
//! - All have their locks in one order (see `consumers.rs`): `nobody_waits_in_a_ring`, `whoever_deletes_waits_for_the_pen_first`,
//!   `whoever_forgets_has_the_counter_first`, `both_parts_of_the_log_are_locked_in_one_order`.
//! - Of those who share a commit on SQLite none is told anything before it, and none that fails or goes away takes
//!   others with it: `refusal_waits_for_what_it_relies_on`, `one_that_is_undone_takes_none_with_it`,
//!   `whoever_breaks_off_anywhere_leaves_all_in_order`, `what_the_next_asks_first_fails_for_them_alone`; a commit that fails fails for all of them:
//!   `commit_that_fails_is_told_to_everybody`.
//! - Nor of those who share one on PostgreSQL: `those_who_wait_share_a_commit_on_postgres`,
//!   `one_that_is_undone_takes_none_with_it_on_postgres`, `commit_that_fails_is_told_to_everybody_on_postgres`. Whoever stalls there
//!   keeps nobody from writing: `who_stalls_keeps_nobody_from_writing_to_postgres`.
//! - A request with a key is done once: `key_is_for_one_request_at_a_time`,
//!   `request_that_was_broken_off_is_done_at_last`. One that is no work may be done twice, a minute after its process
//!   has died, but never at the same time: `what_is_no_work_is_answered_once_too`,
//!   `claim_of_the_dead_is_void_after_a_minute`.

mod answer;
mod consumers;
mod error;
mod events;
mod migrate;
mod pens;
mod postgres;
mod renewal;
mod retention;
mod row;
mod sqlite;
mod statement;
mod stream;
mod tickets;

pub use self::answer::{Answered, Draft, Due, Logged, Reading};
pub use self::consumers::{
    Backlog, CONSUMERS_MAX, Claimed, Consumer, ConsumerChanges, ConsumerError, ConsumerId,
    ConsumerState, Consumers, Delivery, DeliveryState, Destination, EventFilter, FILTER_LEN_MAX,
    InvalidFilter, NewConsumer, Outcome as DeliveryOutcome, PATTERN_BYTES_MAX, PreviousSecret,
    Replay as ConsumerReplay, Settled, SigningSecret, Waiting,
};
pub use self::error::StoreError;
pub use self::events::{Happened, LoggedEvent, Replay, Told, Trace};
pub use self::pens::{DRAFT_BYTES_MAX, GuardedWrite, Pens, Storage, Transaction};
pub use self::postgres::Part;
pub use self::renewal::Renewal;
pub use self::retention::Retention;
pub use self::sqlite::Turn;
pub use self::stream::{Entry, Look, Owned, Position, Stretch};
pub use self::tickets::{
    Assigned, Begun, Deletion, Filter, Key, KnownPerson, Listed, Once, Order, Page, PenChange,
    PeopleFilter, PeoplePage, RefusedTicket, Request, Stats, StoredAnswer, TicketError, Tickets,
    TracedEvent, Unanswered, Updated, WhyNot, Work,
};
