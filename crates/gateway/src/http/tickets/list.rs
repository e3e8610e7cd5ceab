//! Lists of tickets, and how many there are.

use std::collections::BTreeSet;

use axum::extract::RawQuery;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use penholder_desk::{Assigned, Filter, Listed, Order, Page, Stats};
use penholder_protocol::{
    self as protocol, ErrorCode, TicketCategory, TicketPriority, TicketStats, TicketStatus,
    TicketStatusCounts,
};
use penholder_ticket::{Audience, Field, Refusal, Status, category, person, priority, status};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::describe::{Refused, Unfit};
use super::super::error::ApiError;
use super::super::query::illegal;
use super::refused;
use super::visit::{Visit, told};

/// How many entries a page has where the caller does not say.
const LIMIT: u32 = 20;

/// How many entries a page has at most.
const LIMIT_MAX: u32 = 100;

/// Longest text that is looked for, in characters.
const TEXT_CHARS_MAX: usize = 255;

/// Which tickets, and in what order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by hand, since statuses repeat")]
pub(super) struct TicketQuery {
    /// Only with one of these statuses; repeat it for several.
    #[param(explode = true)]
    status: Option<Vec<TicketStatus>>,
    /// Only assigned to this agent, or `none`: to nobody. Agents are for the staff to name.
    assigned_to: Option<String>,
    /// Only of this owner.
    user_id: Option<String>,
    /// Only with this priority.
    priority: Option<TicketPriority>,
    /// Only of this category.
    category: Option<TicketCategory>,
    /// Only with this text in title or description, whatever the case of its letters: at most 255 characters.
    #[param(max_length = 255)]
    q: Option<String>,
    /// `-created_at`, the newest first; `created_at`; `-updated_at`.
    #[param(pattern = "^(-created_at|created_at|-updated_at)$", default = "-created_at")]
    sort: Option<String>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// A page of tickets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketPage {
    #[schema(value_type = Vec<protocol::Ticket>)]
    data: Vec<Value>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists tickets: all of them for the staff, to everybody else their own.
#[utoipa::path(
    get, path = "/v1/tickets", tag = "tickets", params(TicketQuery),
    responses((status = 200, body = TicketPage), Refused, Unfit),
)]
pub(super) async fn list(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let audience = visit.audience();
    let mut asked = Asked::read(query.as_deref().unwrap_or_default(), audience)?;
    let page = asked.part.page()?;
    if audience == Audience::Public {
        if matches!(asked.filter.assigned, Some(Assigned::To(_))) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        let own = visit.own_tickets()?;
        // What is another's is as if it were not there.
        if asked.filter.user_id.is_some_and(|asked| asked != *own) {
            return Ok(told(&TicketPage { data: Vec::new(), next_cursor: None }));
        }
        asked.filter.user_id = Some(own.clone());
    }
    let listed = visit.store().list(&asked.filter, asked.order, &page).await;
    let Listed { items, next_cursor } = listed.map_err(|error| visit.refused(&error))?;
    let data = items.iter().map(|ticket| json!(ticket.view(audience))).collect();
    Ok(told(&TicketPage { data, next_cursor: asked.part.next(next_cursor) }))
}

/// Counts the tickets: all of them for the staff, to everybody else their own.
#[utoipa::path(
    get, path = "/v1/tickets/stats", tag = "tickets",
    responses((status = 200, body = TicketStats), Refused),
)]
pub(super) async fn stats(visit: Visit) -> Result<Response, ApiError> {
    let owner = match visit.audience() {
        Audience::Staff => None,
        Audience::Public => Some(visit.own_tickets()?),
    };
    let found = visit.store().stats(owner).await;
    let Stats { total, by_status: counts, unassigned } =
        found.map_err(|error| visit.refused(&error.into()))?;
    let mut by_status = TicketStatusCounts::default();
    for (status, count) in counts {
        *match status {
            Status::Open => &mut by_status.open,
            Status::InProgress => &mut by_status.in_progress,
            Status::WaitingForUser => &mut by_status.waiting_for_user,
            Status::WaitingForAgent => &mut by_status.waiting_for_agent,
            Status::Resolved => &mut by_status.resolved,
            Status::Closed => &mut by_status.closed,
        } = count;
    }
    Ok(told(&TicketStats { total, by_status, unassigned }))
}

/// A part of a list, as a caller asks for it.
#[derive(Debug)]
pub(super) struct Part {
    /// Which list: a cursor of another means nothing here.
    list: String,
    limit: Option<String>,
    cursor: Option<String>,
}

impl Part {
    /// Reads the part of a list that has no filters.
    pub(super) fn read(query: &str, list: &str) -> Result<Self, ApiError> {
        let mut part = Self { list: list.to_owned(), limit: None, cursor: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => once(&mut part.limit, &name, value.into_owned())?,
                "cursor" => once(&mut part.cursor, &name, value.into_owned())?,
                _ => {}
            }
        }
        Ok(part)
    }

    /// Returns the part.
    pub(super) fn page(&self) -> Result<Page, ApiError> {
        let (limit, cursor) = self.bounds()?;
        Page::new(limit, cursor.as_deref()).map_err(|_| ErrorCode::InvalidPage.into())
    }

    /// Returns how many entries the part has at most, and what it begins after.
    pub(super) fn bounds(&self) -> Result<(u32, Option<String>), ApiError> {
        let limit = self.limit.as_deref().map_or(Some(LIMIT), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let limit = limit.ok_or_else(|| illegal("limit", &format!("1 to {LIMIT_MAX}")))?;
        Ok((limit, self.cursor.as_deref().map(|text| self.opened(text)).transpose()?))
    }

    fn opened(&self, cursor: &str) -> Result<String, ApiError> {
        let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|it| String::from_utf8(it).ok());
        let place =
            text.as_deref().and_then(|text| text.strip_prefix(&self.list)?.strip_prefix(' '));
        place.map(str::to_owned).ok_or_else(|| ErrorCode::InvalidPage.into())
    }

    /// Returns the cursor of the next part as callers get it.
    pub(super) fn next(&self, cursor: Option<String>) -> Option<String> {
        cursor.map(|place| URL_SAFE_NO_PAD.encode(format!("{} {place}", self.list)))
    }
}

/// What a caller asks for.
#[derive(Debug)]
struct Asked {
    filter: Filter,
    order: Order,
    part: Part,
}

impl Asked {
    fn read(query: &str, audience: Audience) -> Result<Self, ApiError> {
        let refuse = |refusal: Refusal| refused::refusal_answer(&refusal);
        let mut filter = Filter::default();
        let (mut statuses, mut sort) = (BTreeSet::new(), None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "status" => {
                    statuses.insert(status(&value).map_err(refuse)?);
                }
                "assigned_to" => once(&mut filter.assigned, &name, assigned(&value)?)?,
                "user_id" => {
                    let user = person(value.into_owned(), Field::User).map_err(refuse)?;
                    once(&mut filter.user_id, &name, user)?;
                }
                "priority" => {
                    once(&mut filter.priority, &name, priority(&value).map_err(refuse)?)?;
                }
                "category" => {
                    once(&mut filter.category, &name, category(&value).map_err(refuse)?)?;
                }
                "q" => once(&mut filter.text, &name, text(&value)?)?,
                "sort" => once(&mut sort, &name, value.into_owned())?,
                _ => {}
            }
        }
        filter.statuses = statuses.into_iter().collect();
        let sort = sort.as_deref().unwrap_or("-created_at");
        let order = match sort {
            "-created_at" => Order::Newest,
            "created_at" => Order::Oldest,
            "-updated_at" => Order::LastUpdated(audience),
            _ => return Err(illegal("sort", "-created_at, created_at or -updated_at")),
        };
        Ok(Self { filter, order, part: Part::read(query, sort)? })
    }
}

fn assigned(value: &str) -> Result<Assigned, ApiError> {
    if value == "none" {
        return Ok(Assigned::Nobody);
    }
    let agent = person(value.to_owned(), Field::Assignee);
    agent.map(Assigned::To).map_err(|refusal| refused::refusal_answer(&refusal))
}

/// Reads a text that is looked for.
pub(super) fn text(value: &str) -> Result<String, ApiError> {
    if value.contains('\0') || value.chars().count() > TEXT_CHARS_MAX {
        return Err(illegal("q", "at most 255 characters, no U+0000"));
    }
    Ok(value.to_owned())
}

/// Puts a value where there is none yet.
pub(super) fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
    if place.replace(value).is_some() {
        return Err(illegal(name, "to be given once"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_of_its_own_list_alone() {
        let place = "17.019aa5b2-0000-7000-8000-00000000000a";
        let mine = Part::read("", "-created_at").unwrap();
        let cursor = mine.next(Some(place.to_owned())).unwrap();
        let part = |list: &str, cursor: &str| {
            Part::read(&format!("cursor={cursor}"), list).unwrap().page()
        };
        assert_eq!(part("-created_at", &cursor).unwrap(), Page::new(20, Some(place)).unwrap());
        assert!(part("created_at", &cursor).is_err());
        for broken in ["", "x", "!", &cursor[1..], &URL_SAFE_NO_PAD.encode("-created_at 1.x")] {
            assert!(part("-created_at", broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn only_statuses_may_be_repeated() {
        let read = |query| Asked::read(query, Audience::Staff);
        let asked = read("status=open&status=closed&status=open&other=1").unwrap();
        assert_eq!(asked.filter.statuses, [Status::Open, Status::Closed]);
        for query in ["limit=1&limit=2", "q=a&q=b", "sort=x", "status=", "priority=x", "user_id="] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
