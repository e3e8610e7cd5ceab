//! Tickets over HTTP, on every store.

mod comments;
mod desk;
mod inputs;
mod lists;
mod people;
mod repeats;
mod rights;
mod writes;

use anyhow::{Context, Result};

use crate::stores::Store;

/// Tests that run on a file of SQLite each, and all of them on one PostgreSQL server, a database each.
macro_rules! on_every_store {
    ($($module:ident::$path:ident,)+) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $path() -> anyhow::Result<()> {
                    super::$module::$path(crate::stores::Store::Sqlite.options("")?).await
                }
            )+
        }

        #[tokio::test]
        async fn postgres_keeps_tickets_no_differently() -> Result<()> {
            let store = Store::postgres()?;
            $(
                let options = store.options(stringify!($path))?;
                $module::$path(options).await.context(stringify!($path))?;
            )+
            Ok(())
        }
    };
}

on_every_store! {
    writes::a_ticket_lives,
    writes::a_write_is_conditional_on_what_was_read,
    writes::a_write_under_a_fence_that_has_gone_on_is_not_written,
    writes::a_write_without_the_pen_is_flagged_or_refused,
    writes::a_ticket_that_goes_takes_its_pen_first,
    writes::status_goes_by_the_machine,
    writes::only_known_staff_is_assigned,
    writes::bulk_is_all_or_nothing,
    writes::bulk_is_judged_by_the_pens,
    writes::a_trace_has_what_it_has_caused,
    comments::comments_are_threads_with_files,
    comments::public_never_sees_a_note,
    comments::author_and_administrators_write_a_comment_again,
    lists::filters_find_what_they_name,
    lists::pages_have_everything_once,
    lists::customers_list_and_count_their_own,
    rights::what_is_anothers_is_as_if_it_were_not_there,
    rights::each_may_what_the_table_says,
    rights::an_owner_closes_a_ticket_and_opens_it_again,
    rights::what_the_staff_says_of_a_ticket_is_refused_to_others,
    rights::a_key_needs_the_scope,
    people::whoever_has_come_is_known,
    people::staff_finds_whom_to_assign_to,
    people::people_are_listed_as_they_are_to_be_asked_for,
    repeats::a_repeated_request_gets_the_first_answer,
    repeats::of_many_at_once_one_is_done,
    repeats::a_refusal_is_repeated_too,
    repeats::pens_and_broadcasts_are_repeated_too,
    inputs::what_cannot_be_kept_is_refused,
    inputs::what_is_largest_is_kept_and_changed_to_nothing_worse,
    inputs::what_is_no_json_is_refused,
}
