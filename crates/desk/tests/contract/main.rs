//! The contract that every store keeps, and what only one of them can break.
//!
//! Each rule runs against a file of SQLite as a test of its own, and all of them against one server.

#![expect(
    clippy::print_stderr,
    reason = "a server that is left behind, and which rule was broken, are told there"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod postgres;
mod rules;
mod script;

use std::pin::Pin;

use anyhow::{Context, Result, ensure};
use harness::{Place, Scratch, Server, policies};
use penholder_desk::Pens;

/// A rule: a promise, and the test that fails where it is broken.
type Rule = (&'static str, fn(Site) -> Pin<Box<dyn Future<Output = Result<()>>>>);

/// What a rule is tried on.
#[derive(Clone)]
struct Site {
    pens: Pens,
    place: Place,
}

macro_rules! contract {
    ($($module:ident::$rule:ident,)+) => {
        const CONTRACT: &[Rule] =
            &[$((stringify!($rule), |site| Box::pin($module::$rule(site)))),+];

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $rule() -> anyhow::Result<()> {
                    let dir = super::Scratch::new()?;
                    let place = super::Place::file(dir.path());
                    let pens = place.open(super::policies()).await?;
                    super::$module::$rule(super::Site { pens, place }).await
                }
            )+
        }
    };
}

contract! {
    rules::free_pen_is_granted_and_read_back,
    rules::fences_grow_over_grants_and_restarts,
    rules::pen_is_held_until_its_deadline,
    rules::one_of_many_gets_the_pen,
    rules::repeated_request_gets_the_same_fence,
    rules::log_tells_everything_in_order,
    rules::due_pens_are_found_and_ticked,
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
    let server = Server::start()?;
    let place = server.place(8);
    let mut broken = Vec::new();
    for (name, rule) in CONTRACT {
        let pens = place.open(policies()).await?;
        let site = Site { pens: pens.clone(), place: place.clone() };
        // Each in a task, so that one that panics does not keep the others from being tried.
        let outcome = tokio::task::LocalSet::new()
            .run_until(async { tokio::task::spawn_local(rule(site)).await })
            .await;
        if let Err(error) = outcome.context("it panicked").flatten() {
            eprintln!("{name}: {error:#}");
            broken.push(*name);
        }
        pens.close().await;
    }
    ensure!(broken.is_empty(), "broken: {}", broken.join(", "));
    Ok(())
}
