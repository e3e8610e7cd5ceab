//! Presence over HTTP: who is on a topic, who comes first, and why somebody is shown.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use penholder_hub::{Audience, Evidence, Hub, Input, SummaryQuery, brief};
use penholder_presence::{Key, MonoMs, ReplicaName, SessionId, SessionPolicy};
use penholder_protocol::{
    Certainty, ErrorCode, ErrorReply, Namespace, PersonBrief, Status, Summaries, SummariesJoin,
    TopicName, TopicRow, ViewerSummary,
};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use utoipa::{IntoParams, ToSchema};

use super::describe::{Missing, Refused, Unfit};
use super::error::{ApiError, ErrorBody};
use super::query::Params;
use crate::app::App;
use crate::auth::{Caller, Capability};
use crate::log::Visit;
use crate::shard::Shards;
use crate::summaries::{Watchable, watchable};

/// How long another replica may take to remove a session: there and back, and some gossip periods.
const KICK_MAX: Duration = Duration::from_secs(2);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Everybody on a topic.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PresenceList {
    /// In order of the first join.
    data: Vec<PresenceListEntry>,
    /// How many people.
    count: usize,
}

/// One person on a topic.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PresenceListEntry {
    /// The person's key, the token's `sub`.
    key: String,
    /// One meta per session, the earliest first.
    #[schema(value_type = Vec<Object>)]
    metas: Vec<penholder_protocol::Json>,
}

/// Lists who is on a topic.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/presence", tag = "presence",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment.")),
    responses((status = 200, body = PresenceList), Refused, Unfit),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<PresenceList>, ApiError> {
    let topic = caller.viewed(&app, &path?).await?;
    let (keys, count) = app.shards.ask(&topic.clone(), move |hub| hub.presences(&topic)).await?;
    let entry = |(key, metas): (Key, _)| PresenceListEntry { key: key.as_str().to_owned(), metas };
    Ok(Json(PresenceList { data: keys.into_iter().map(entry).collect(), count }))
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ViewQuery {
    /// The person for whom; the caller where absent, unless it is a backend.
    user: Option<String>,
    /// People who count as view-only, separated by commas.
    #[serde(default)]
    view_only: String,
    /// Another policy than the topic's own.
    #[param(inline)]
    policy: Option<Policy>,
}

/// Which tab of the prior person may edit.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Policy {
    EarliestSession,
    SingleSession,
}

/// Tells who has edit priority on a topic.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/summary", tag = "presence",
    params(("topic" = String, Path, description = "The topic, percent-encoded as one segment."), ViewQuery),
    responses((status = 200, body = ViewerSummary), Refused, Unfit),
)]
pub(super) async fn summary(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Params<ViewQuery>, ApiError>,
) -> Result<Json<ViewerSummary>, ApiError> {
    let topic = caller.viewed(&app, &path?).await?;
    let Params(ViewQuery { user, view_only, policy }) = query?;
    let own = match &caller {
        Caller::Person(identity) => Some(identity.subject().to_owned()),
        Caller::Backend(_) => None,
    };
    let view_only = view_only.split(',').filter(|key| !key.is_empty());
    let query = SummaryQuery {
        viewer: user.or(own).map(Key::from),
        view_only: view_only.map(Key::from).collect::<BTreeSet<_>>(),
        session_policy: policy.map(|policy| match policy {
            Policy::EarliestSession => SessionPolicy::EarliestSession,
            Policy::SingleSession => SessionPolicy::SingleSession,
        }),
    };
    let summary = app.shards.ask(&topic.clone(), move |hub| hub.summary(&topic, &query)).await?;
    Ok(Json(summary))
}

/// Tells one line for each of many topics, in the order asked: what a list of tickets shows.
#[utoipa::path(
    post, path = "/v1/presence/summaries", tag = "presence",
    request_body = SummariesJoin,
    responses((status = 200, body = Summaries), Refused, Unfit),
)]
pub(super) async fn summaries(
    State(app): State<App>,
    caller: Caller,
    body: Result<Json<SummariesJoin>, JsonRejection>,
) -> Result<Json<Summaries>, ApiError> {
    let Json(SummariesJoin { topics }) = body?;
    let Watchable { topics, .. } = watchable(&app, &caller, &topics).await?;
    let log = app.pens.log();
    let holders = holders(&topics, |topic| log.visit(topic, None)).await;
    let mut data: Vec<TopicRow> = Vec::with_capacity(topics.len());
    for (topic, holder) in topics.into_iter().zip(holders) {
        let mut row = app.shards.ask(&topic.clone(), move |hub| hub.row(&topic)).await?;
        row.holder = holder;
        data.push(row);
    }
    Ok(Json(Summaries { data }))
}

/// Who has the pens of `topics`, in their order; nobody, where the store is away. That is waited for once, not for each
/// topic.
async fn holders<'a, F: Future<Output = Option<Visit>>>(
    topics: &'a [TopicName],
    visit: impl Fn(&'a TopicName) -> F,
) -> Vec<Option<PersonBrief>> {
    let mut holders = Vec::with_capacity(topics.len());
    for topic in topics {
        let Some(visit) = visit(topic).await else { break };
        holders.push(visit.recent().reading.pen.holder.as_ref().map(brief));
    }
    holders.resize(topics.len(), None);
    holders
}

/// Why a session is shown as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Why {
    session: String,
    key: String,
    /// The replica that the session is connected to. Where it is not the one that answers, that one knows
    /// only what presence tells: what else there is here is null.
    replica: String,
    certainty: Certainty,
    /// When its present connection joined; milliseconds since the epoch, as all times here.
    connected_at: Option<u64>,
    /// When the person last touched keyboard or pointer, as far as the client told.
    last_input_at: Option<u64>,
    /// When the client last sent a heartbeat, or connected; null while it is not connected.
    last_heartbeat_at: Option<u64>,
    /// Whether the tab is visible.
    visible: Option<bool>,
    status: Status,
    /// The same in words.
    reason: &'static str,
}

/// Tells the evidence for what is shown of a session. On topics of tickets whoever is none of the staff is told of their own
/// sessions only.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/presence/{session}/why", tag = "presence",
    params(
        ("topic" = String, Path, description = "The topic, percent-encoded as one segment."),
        ("session" = String, Path, description = "The session."),
    ),
    responses(
        (status = 200, body = Why),
        Refused, Missing, Unfit,
        (status = 403, body = ErrorBody, description = "`not_authorized`: not the topic, or not this session of it."),
    ),
)]
pub(super) async fn why(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Why>, ApiError> {
    let Path((topic, session)) = path?;
    let topic = caller.viewed(&app, &topic).await?;
    let id = SessionId::from(session.as_str());
    let evidence = app.shards.why(&topic, id).await?;
    let (evidence, heartbeat) = evidence.ok_or(ErrorCode::NotFound)?;
    if !may_know_why(&caller, &topic, &evidence.key) {
        let message = "Of this topic you are told the evidence of your own sessions only.";
        return Err(ErrorReply::new(ErrorCode::NotAuthorized).message(message).into());
    }
    let now = app.clock.now();
    let wall = |at: MonoMs| now.wall.0.saturating_sub(now.mono.since(at));
    let connection = evidence.connection;
    Ok(Json(Why {
        session,
        key: evidence.key.as_str().to_owned(),
        replica: Shards::replica_of(&evidence.replica).to_owned(),
        certainty: evidence.certainty,
        connected_at: connection.map(|connection| connection.connected_at.0),
        last_input_at: evidence.last_input_at.map(|at| at.0),
        last_heartbeat_at: heartbeat.map(wall),
        visible: connection.map(|connection| connection.visible),
        status: evidence.status,
        reason: reason(&evidence),
    }))
}

/// When the staff was last at work is nothing to those whose tickets it works on, nor what they do to each other.
fn may_know_why(caller: &Caller, topic: &TopicName, key: &Key) -> bool {
    match caller {
        Caller::Person(identity) if topic.namespace() == Namespace::Tickets => {
            identity.audience(topic) == Audience::Staff || identity.subject() == key.as_str()
        }
        Caller::Person(_) | Caller::Backend(_) => true,
    }
}

fn reason(evidence: &Evidence) -> &'static str {
    match evidence.status {
        Status::Active => "Connected, visible, and there was input lately.",
        Status::Idle => "Connected and visible, but without input for idle_after.",
        Status::Hidden => "Connected, but the tab is not visible.",
        Status::Reconnecting => {
            "The connection was lost without goodbye; kept until grace is over."
        }
    }
}

/// Removes a session from a topic. Its channel is closed; the client may join again.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/presence/{session}", tag = "presence",
    params(
        ("topic" = String, Path, description = "The topic, percent-encoded as one segment."),
        ("session" = String, Path, description = "The session."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        Refused, Missing, Unfit,
        (status = 503, description = "The replica that has it did not say that it is gone.", body = ErrorBody),
    ),
)]
pub(super) async fn kick(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path((topic, session)) = path?;
    let topic = caller.topic(&app, (&topic, Capability::Manage)).await?;
    let session = SessionId::from(session);
    let (evidence, _) =
        app.shards.why(&topic, session.clone()).await?.ok_or(ErrorCode::NotFound)?;
    tracing::info!(topic = topic.as_str(), session = session.as_str(), "session removed");
    let kick = Input::Kick { topic: topic.clone(), session: session.clone() };
    app.shards.tell(&topic, kick).await?;
    if evidence.connection.is_none() {
        // Another replica has it: what was asked of it may be lost, and its answer is that the session goes.
        let gone = gone(&app, (topic, session), evidence.replica);
        timeout(KICK_MAX, gone).await.map_err(|_| ErrorCode::Unavailable)??;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until a session is shown no more, and not because its replica is silent.
async fn gone(
    app: &App,
    (topic, session): (TopicName, SessionId),
    replica: ReplicaName,
) -> Result<(), ApiError> {
    loop {
        let (name, id, owner) = (topic.clone(), session.clone(), replica.clone());
        let look = move |hub: &Hub| (hub.why(&name, &id).is_some(), hub.hears(&owner));
        match app.shards.ask(&topic, look).await? {
            (true, _) => sleep(LOOK_EVERY).await,
            (false, true) => return Ok(()),
            (false, false) => return Err(ErrorCode::Unavailable.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use penholder_hub::{Position, Reading};
    use penholder_lease::{Kind, Lease, Pen, Person, StoreMs};

    use super::*;
    use crate::log::{About, Recent};

    fn visit(holder: &str) -> Visit {
        let holder = Person { id: holder.into(), name: holder.to_owned(), kind: Kind::Human };
        let pen = Pen { holder: Some(holder), ..Lease::default().view(StoreMs(0)) };
        Visit::new(Recent {
            reading: Reading { at: Position::default(), pen },
            about: About::Other,
        })
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_asked_for_no_other_topic() {
        let topics = ["doc:1", "doc:2", "doc:3", "doc:4"].map(|it| TopicName::parse(it).unwrap());
        for (away_from, expected) in [
            (5, [Some("doc:1"), Some("doc:2"), Some("doc:3"), Some("doc:4")]),
            (2, [Some("doc:1"), None, None, None]),
            (1, [None; 4]),
        ] {
            let asked = AtomicUsize::new(0);
            let holders = holders(&topics, |topic| {
                let place = asked.fetch_add(1, Ordering::Relaxed) + 1;
                ready((place < away_from).then(|| visit(topic.as_str())))
            });
            let holders = holders.await;
            let ids: Vec<_> = holders.iter().map(|it| it.as_ref().map(|it| &*it.id)).collect();
            assert_eq!(ids, expected);
            assert_eq!(asked.into_inner(), away_from.min(topics.len()));
        }
    }
}
