//! Somebody who wants something of the tickets: who it is, what they may see, and how what they do is answered.

use std::ops::{Deref, DerefMut};

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use penholder_desk::{
    Begun as Found, Key, Request, StoreError, StoredAnswer, TicketError, Tickets, Trace, Work,
};
use penholder_lease::{Fence, PersonId, Role};
use penholder_protocol::{ErrorCode, TopicName};
use penholder_ticket::{Actor, Attachment, Audience, CommentId, Ticket, TicketId, TicketView};
use serde::{Deserialize, Serialize};

use super::super::body::JsonBody;
use super::super::error::ApiError;
use super::super::idempotency::{again, differs, key, running, scope, shown};
use super::{condition, refused};
use crate::app::App;
use crate::auth::{Caller, Capability};
use crate::pens::log_away;
use crate::telemetry;

/// A request about tickets, by somebody who may make it at all.
#[derive(Debug)]
pub(super) struct Visit {
    app: App,
    caller: Caller,
    actor: Actor,
    trace: Trace,
    route: String,
    headers: HeaderMap,
}

/// How a request begins.
pub(super) enum Begun {
    /// It is to be done.
    Work(Started),
    /// It was done before.
    Answered(Response),
}

/// A work, and whether its answer is kept.
pub(super) struct Started {
    work: Box<Work>,
    is_kept: bool,
}

impl Deref for Started {
    type Target = Work;

    fn deref(&self) -> &Work {
        &self.work
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Work {
        &mut self.work
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        match &caller {
            Caller::Person(identity) => app.people.meet(identity).await,
            Caller::Backend(backend) => {
                let is_read = matches!(parts.method, Method::GET | Method::HEAD);
                if !(if is_read { backend.reads_tickets() } else { backend.writes_tickets() }) {
                    return Err(ErrorCode::NotAuthorized.into());
                }
            }
        }
        let claimant = caller.claimant();
        Ok(Self {
            app: app.clone(),
            caller,
            actor: Actor { person: claimant.person, role: claimant.role },
            trace: telemetry::trace::of(&parts.headers),
            route: format!("{} {}", parts.method, parts.uri.path()),
            headers: parts.headers.clone(),
        })
    }
}

impl Visit {
    /// Who it is.
    pub(super) fn id(&self) -> &PersonId {
        &self.actor.person.id
    }

    /// What they are here.
    pub(super) fn role(&self) -> Role {
        self.actor.role
    }

    /// What they may see.
    pub(super) fn audience(&self) -> Audience {
        self.actor.audience()
    }

    /// The tickets.
    pub(super) fn store(&self) -> &Tickets {
        self.app.tickets.store()
    }

    /// Turns away whoever does not work here.
    pub(super) fn require_staff(&self) -> Result<(), ApiError> {
        match self.audience() {
            Audience::Staff => Ok(()),
            Audience::Public => Err(ErrorCode::NotAuthorized.into()),
        }
    }

    /// Turns away whoever does not run the place. Keys that write tickets do, as far as tickets go.
    pub(super) fn require_admin(&self) -> Result<(), ApiError> {
        match &self.caller {
            Caller::Backend(_) => Ok(()),
            Caller::Person(_) if self.role() == Role::Admin => Ok(()),
            Caller::Person(_) => Err(ErrorCode::NotAuthorized.into()),
        }
    }

    /// Returns whose tickets somebody who is not staff may list; a guest has none.
    pub(super) fn own_tickets(&self) -> Result<&PersonId, ApiError> {
        match self.role() {
            Role::Guest => Err(ErrorCode::NotAuthorized.into()),
            Role::Admin | Role::Agent | Role::Customer | Role::Viewer => Ok(self.id()),
        }
    }

    /// Whether a ticket is theirs.
    pub(super) fn owns(&self, ticket: &Ticket) -> bool {
        // A guest's name is not the name of anybody who is known.
        self.role() != Role::Guest && ticket.user_id.as_ref() == Some(self.id())
    }

    /// Whether their token names a ticket with a capability.
    pub(super) fn is_named(&self, ticket: &Ticket, capability: Capability) -> bool {
        let topic = TopicName::parse(&ticket.topic());
        topic.is_ok_and(|topic| self.caller.capabilities(&topic).allow(capability))
    }

    fn sees(&self, ticket: &Ticket) -> bool {
        self.audience() == Audience::Staff
            || self.owns(ticket)
            || self.is_named(ticket, Capability::View)
    }

    /// Reads a ticket that they may see. What is not theirs is as if it were not there.
    pub(super) async fn ticket(&self, id: TicketId) -> Result<Ticket, ApiError> {
        let found = self.store().ticket(id).await.map_err(|error| self.refused(&error))?;
        if self.sees(&found) { Ok(found) } else { Err(ErrorCode::NotFound.into()) }
    }

    /// Makes sure that they may see a ticket; for the staff there is nothing to be made sure of.
    pub(super) async fn approach(&self, id: TicketId) -> Result<(), ApiError> {
        if self.audience() == Audience::Staff {
            return Ok(());
        }
        self.ticket(id).await.map(drop)
    }

    /// Makes sure that they may see a ticket and work here.
    pub(super) async fn approach_as_staff(&self, id: TicketId) -> Result<(), ApiError> {
        self.approach(id).await?;
        self.require_staff()
    }

    /// Returns what they are told of an error.
    pub(super) fn refused(&self, error: &TicketError) -> ApiError {
        refused::answer(error, self.audience())
    }

    /// Reads the version that a write is conditional on. The public knows of none, so no tag of theirs matches.
    pub(super) fn version(&self) -> Result<Option<u64>, ApiError> {
        let version = condition::version(&self.headers)?;
        Ok(if self.audience() == Audience::Staff { version } else { version.map(|_| 0) })
    }

    /// Reads the fence of the pen under which they write.
    pub(super) fn fence(&self) -> Result<Option<Fence>, ApiError> {
        condition::fence(&self.headers)
    }

    fn request(&self) -> Request {
        Request { actor: self.actor.clone(), trace: Some(self.trace.clone()) }
    }

    /// Begins to do something.
    pub(super) async fn begin(&self) -> Result<Started, ApiError> {
        let work = self.store().begin(self.request()).await;
        let work = work.map_err(|error| self.refused(&error.into()))?;
        Ok(Started { work: Box::new(work), is_kept: false })
    }

    /// Begins to do something that may be asked for again.
    pub(super) async fn begin_once(&self, body: &JsonBody) -> Result<Begun, ApiError> {
        let Some(key) = key(&self.headers)? else { return self.begin().await.map(Begun::Work) };
        let caller = scope(&self.caller);
        let key = Key { caller: &caller, route: &self.route, key, body: &body.0 };
        let found = self.store().begin_once(self.request(), key).await;
        match found.map_err(|error| self.refused(&error.into()))? {
            Found::First(work) => Ok(Begun::Work(Started { work, is_kept: true })),
            Found::Again(answer) => Ok(Begun::Answered(labelled(again(&answer), &answer))),
            Found::Differs => Err(differs()),
            Found::Running => Err(running()),
        }
    }

    /// Keeps what was done, and answers. What was refused is undone; if the request has a key, its refusal is kept
    /// under it.
    pub(super) async fn finish(
        &self,
        started: Started,
        done: Result<StoredAnswer, TicketError>,
    ) -> Result<Response, ApiError> {
        let Started { work, is_kept } = started;
        let desk = &self.app.tickets;
        let (answer, refusal) = match done {
            Ok(answer) => (answer, None),
            Err(error) => {
                let refusal = self.refused(&error);
                let is_told = matches!(error, TicketError::RefusedOfMany { .. });
                if !is_kept && is_told && !work.topics().is_empty() {
                    // The tickets are as they were, and the staff is told of the collisions.
                    return Err(self.finish_refused(Started { work, is_kept }, refusal).await);
                }
                if !is_kept || matches!(error, TicketError::Store(_)) {
                    // Dropped it would be undone as well, but later. Where that fails, what it was refused for may have
                    // come to nothing, too.
                    let lost = work.abandon().await.inspect_err(log_away).err();
                    return Err(lost.map_or(refusal, |error| self.refused(&error.into())));
                }
                let (status, body) = refusal.parts();
                (answer(status, body), Some(refusal))
            }
        };
        let kept = if is_kept {
            desk.commit_answered(*work, answer.clone()).await
        } else {
            desk.commit(*work).await
        };
        self.kept(kept)?;
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(labelled(shown(&answer), &answer)),
        }
    }

    /// Keeps what was done, and refuses nevertheless.
    pub(super) async fn finish_refused(&self, started: Started, refusal: ApiError) -> ApiError {
        let kept = self.app.tickets.commit(*started.work).await;
        self.kept(kept).err().unwrap_or(refusal)
    }

    /// Takes a ticket away.
    pub(super) async fn delete(
        &self,
        ticket: (TicketId, Option<u64>),
    ) -> Result<Response, ApiError> {
        let deletion = self.store().delete(self.request(), ticket).await;
        let deletion = deletion.map_err(|error| self.refused(&error))?;
        self.kept(self.app.tickets.delete(deletion).await)?;
        Ok(shown(&done()))
    }

    fn kept(&self, kept: Result<(), StoreError>) -> Result<(), ApiError> {
        kept.map_err(|error| self.refused(&error.into()))
    }

    /// Returns the answer with a ticket and its files, as they are in a work.
    pub(super) async fn detail(
        &self,
        work: &mut Started,
        (status, ticket): (StatusCode, &Ticket),
    ) -> Result<StoredAnswer, TicketError> {
        let attachments = work.attachments((ticket.id, None)).await?;
        let shown = answer(status, &Detail { ticket: ticket.view(self.audience()), attachments });
        let is_new = status == StatusCode::CREATED;
        let location = is_new.then(|| format!("/v1/tickets/{}", ticket.id));
        Ok(StoredAnswer { location, ..shown })
    }
}

/// A ticket with its files.
#[derive(Debug, Serialize)]
pub(super) struct Detail<'a> {
    #[serde(flatten)]
    pub(super) ticket: TicketView<'a>,
    pub(super) attachments: Vec<Attachment>,
}

/// Returns an answer with a body.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> StoredAnswer {
    let body = penholder_protocol::Json::of(body).as_str().to_owned();
    StoredAnswer { status: status.as_u16(), body, location: None }
}

/// Returns an answer without a body.
pub(super) fn done() -> StoredAnswer {
    StoredAnswer { status: StatusCode::NO_CONTENT.as_u16(), body: String::new(), location: None }
}

/// Returns an answer that is not kept.
pub(super) fn told(body: &impl Serialize) -> Response {
    shown(&answer(StatusCode::OK, body))
}

/// Returns an answer with a ticket, which is not kept.
pub(super) fn told_ticket(detail: &Detail<'_>) -> Response {
    let answer = answer(StatusCode::OK, detail);
    labelled(shown(&answer), &answer)
}

/// Adds what the headers say of a ticket in the body: its version, where it is seen.
fn labelled(mut response: Response, answer: &StoredAnswer) -> Response {
    /// What tells a ticket from anything else that is answered.
    #[derive(Deserialize)]
    struct Shown {
        version: Option<u64>,
        #[serde(rename = "slug")]
        _slug: String,
    }
    let Ok(ticket) = serde_json::from_str::<Shown>(&answer.body) else { return response };
    if let Some(tag) = ticket.version.and_then(|it| format!("\"{it}\"").parse().ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads the id of a ticket in a path. What is none is the id of no ticket.
pub(super) fn ticket_id(path: Result<Path<String>, PathRejection>) -> Result<TicketId, ApiError> {
    let id = path.ok().and_then(|Path(id)| TicketId::parse(&id));
    id.ok_or_else(|| ErrorCode::NotFound.into())
}

/// Reads the id of a comment in a path.
pub(super) fn comment_id(path: Result<Path<String>, PathRejection>) -> Result<CommentId, ApiError> {
    let id = path.ok().and_then(|Path(id)| CommentId::parse(&id));
    id.ok_or_else(|| ErrorCode::NotFound.into())
}
