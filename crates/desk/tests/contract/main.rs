//! The contract that every store keeps, and what only one of them can break.
//!
//! Each rule runs against a file of SQLite as a test of its own, and all of them against one server.

#[macro_use]
#[path = "../harness/mod.rs"]
mod harness;
mod postgres;
mod rules;
mod script;
mod writer;

use anyhow::{Result, ensure};
use harness::{Place, holds, policies};
use penholder_desk::Pens;
use penholder_stores::PostgresServer;

/// What a rule is tried on.
#[derive(Clone)]
struct Site {
    pens: Pens,
    place: Place,
}

impl Site {
    async fn open(place: Place) -> Result<Self> {
        Ok(Self { pens: place.open(policies()).await?, place })
    }
}

contract! {
    rules::free_pen_is_granted_and_read_back,
    rules::fences_grow_over_grants_and_restarts,
    rules::pen_is_held_until_its_deadline,
    rules::one_of_many_gets_the_pen,
    rules::what_many_are_told_at_once_is_kept,
    rules::repeated_request_gets_the_same_fence,
    rules::log_tells_everything_in_order,
    rules::due_pens_are_found_and_ticked,
    rules::pens_that_last_too_long_are_brought_back,
    rules::many_are_renewed_at_once,
    rules::renewal_that_is_too_late_is_refused_alone,
    rules::pens_of_a_person_are_found,
    rules::reading_changes_nothing,
    rules::stale_fence_writes_nothing,
    rules::no_decision_while_a_write_is_under_way,
    rules::time_is_read_after_the_lock,
    rules::draft_is_kept_for_its_author,
    rules::next_holder_reads_the_draft_where_the_policy_says_so,
    rules::draft_is_bounded_and_expires,
    rules::what_cannot_be_kept_is_refused,
    rules::session_without_a_pen_leaves_no_row,
    script::store_keeps_what_is_decided,
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() -> Result<()> {
    let server = PostgresServer::start()?;
    let place = Place::database(&server, 8);
    let mut broken = Vec::new();
    for rule in CONTRACT {
        let site = Site::open(place.clone()).await?;
        let pens = site.pens.clone();
        if !holds(rule, site).await {
            broken.push(rule.0);
        }
        pens.close().await;
    }
    ensure!(broken.is_empty(), "broken: {}", broken.join(", "));
    Ok(())
}
