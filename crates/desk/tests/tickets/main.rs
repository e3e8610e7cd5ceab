//! The contract of the tickets and their event log, which every store keeps.
//!
//! Each rule runs against a file of SQLite as a test of its own, and against a database of its own of one
//! server.

mod cohorts;
mod consumers;
mod ended;
mod events;
#[macro_use]
#[path = "../harness/mod.rs"]
mod harness;
mod keys;
mod mending;
mod pens;
mod people;
mod retention;
mod rules;
mod stage;
mod streams;
mod together;

use anyhow::{Result, ensure};
use harness::{Place, holds};
use penholder_desk::Storage;
use penholder_stores::PostgresServer;
use stage::Site;

contract! {
    rules::ticket_is_read_back_as_it_was_made,
    rules::slug_never_comes_twice,
    rules::version_guards_every_write,
    rules::status_goes_by_the_machine_and_into_the_history,
    rules::only_known_staff_is_assigned,
    people::owner_is_told_from_everybody_else,
    rules::bulk_is_all_or_nothing,
    rules::stale_fence_writes_nothing,
    rules::collision_is_told_to_the_staff,
    rules::comments_are_threads_that_each_audience_sees_its_part_of,
    rules::comments_at_once_are_all_counted,
    rules::only_author_or_administrator_writes_a_comment_again,
    rules::filters_find_what_they_name,
    rules::pages_have_everything_once,
    rules::deleted_ticket_takes_everything_with_it,
    events::row_written_twice_has_each_time_what_was_before,
    events::rolled_back_tells_nothing,
    events::log_has_who_and_which_trace,
    events::numbers_are_dense_in_the_order_of_commits,
    events::old_and_surplus_events_are_forgotten,
    events::many_are_forgotten_in_steps,
    events::database_of_the_version_before_is_brought_forward,
    streams::replay_is_what_was_told,
    streams::stretch_has_what_each_audience_was_told,
    streams::stretch_has_no_gap_while_it_is_written,
    streams::look_has_topic_pen_and_ticket,
    streams::looks_are_in_the_order_asked_and_fail_alone,
    streams::stretch_begins_where_the_log_does,
    streams::public_stream_is_the_same_with_and_without_notes,
    streams::pen_counts_in_both_numberings,
    keys::repeated_request_gets_the_first_answer,
    keys::key_is_for_one_request_at_a_time,
    keys::request_that_was_broken_off_is_done_at_last,
    keys::what_is_no_work_is_answered_once_too,
    keys::claim_of_the_dead_is_void_after_a_minute,
    people::people_are_made_known_together,
    people::people_are_found_in_the_order_of_their_names,
    events::trace_is_read_in_pages,
    consumers::consumer_is_owed_what_it_wants_and_nothing_else,
    consumers::consumer_is_owed_every_write_since_it_was_made,
    consumers::consumer_is_owed_what_other_processes_write,
    consumers::rolled_back_is_owed_to_nobody,
    consumers::event_has_the_same_bytes_for_all,
    consumers::line_goes_on_when_the_one_before_is_done,
    consumers::parked_one_lets_the_next_go,
    consumers::unsettled_is_delivered_again,
    consumers::everything_is_delivered_in_order_by_many,
    consumers::next_of_a_line_is_seen_by_whoever_takes_the_last,
    consumers::changed_filter_is_for_what_comes,
    consumers::paused_consumer_misses_nothing,
    consumers::removed_consumer_is_owed_nothing,
    consumers::replay_sends_what_the_log_has,
    consumers::names_and_numbers_of_consumers_are_bounded,
    consumers::what_waits_is_kept_while_the_log_is,
    mending::what_waits_is_tried_at_once_when_it_may_help,
    mending::failure_of_the_old_address_is_no_reason_to_wait,
    mending::whoever_hastens_waits_for_nobody_who_forgets,
    mending::parked_one_does_not_wait_behind_the_next,
    mending::replaced_secret_signs_for_a_day,
    pens::pen_is_heard_in_line_with_its_ticket,
    pens::event_has_the_pen_before_it_also_within_a_decision,
    pens::guest_with_a_pen_is_nobody_who_has_signed_in,
    pens::filters_of_pens_say_what_they_say_of_tickets,
    pens::consumer_is_owed_every_event_of_pens_since_it_was_made,
    pens::what_pens_owe_is_told_to_who_serves_it,
    pens::events_of_pens_are_replayed,
    pens::what_pens_owe_is_kept_while_the_log_is,
    pens::nobody_waits_in_a_ring,
    retention::surplus_events_of_pens_are_forgotten,
    retention::events_of_ticket_and_pen_are_counted_together,
    retention::what_is_owed_of_a_pen_outlives_the_number,
    retention::many_events_of_pens_are_forgotten_in_steps,
    retention::what_is_sent_again_meanwhile_stays,
    retention::old_events_are_forgotten_whatever_they_are,
    retention::last_of_a_ticket_takes_its_pen_with_it,
    retention::whoever_forgets_has_the_counter_first,
    retention::both_parts_of_the_log_are_locked_in_one_order,
    ended::pen_ends_before_its_ticket,
    ended::nothing_is_written_of_a_pen_that_has_ended,
    ended::pen_ends_with_its_ticket_and_not_before,
    ended::pen_of_no_ticket_is_never_begun,
    ended::deletion_is_the_last_of_a_topic,
    ended::whoever_deletes_waits_for_the_pen_first,
    ended::whoever_deletes_is_counted_before_lines_grow,
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() -> Result<()> {
    let server = PostgresServer::start()?;
    let mut broken = Vec::new();
    for rule in CONTRACT {
        let url = server.create_database(rule.0)?;
        let site = Site::open(Place(Storage::Postgres { url, connections: 10 })).await?;
        let pens = site.pens.clone();
        if !holds(rule, site).await {
            broken.push(rule.0);
        }
        pens.close().await;
    }
    ensure!(broken.is_empty(), "broken: {}", broken.join(", "));
    Ok(())
}
