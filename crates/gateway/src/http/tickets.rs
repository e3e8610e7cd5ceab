//! Tickets over HTTP: what [`penholder_ticket`] decides and [`penholder_desk`] keeps, for those who may.

mod assignee;
mod bulk;
mod comments;
mod condition;
mod list;
mod people;
mod refused;
#[cfg(test)]
mod shapes;
mod status;
mod ticket;
mod trace;
mod visit;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::condition::FENCE_HEADER;
use crate::app::App;

/// The routes of tickets. Their answers to requests with an `Idempotency-Key` are kept with what was done.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, ticket::create))
        .routes(routes!(list::stats))
        .routes(routes!(bulk::update))
        .routes(routes!(ticket::read, ticket::update, ticket::delete))
        .routes(routes!(status::transition))
        .routes(routes!(status::history))
        .routes(routes!(assignee::assign, assignee::unassign))
        .routes(routes!(comments::list, comments::create))
        .routes(routes!(comments::update, comments::delete))
        .routes(routes!(people::list))
        .routes(routes!(people::put))
        .routes(routes!(trace::list))
}
