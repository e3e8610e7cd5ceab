//! Revoking tokens before they expire.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use penholder_protocol::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::describe::{Refused, Unfit};
use super::error::{ApiError, ErrorBody};
use super::query::Params;
use crate::app::App;
use crate::auth::{Caller, RevocationError, Revoked, Term};
use crate::clock;

/// Longest subject or token id. Unit: bytes.
const NAME_BYTES_MAX: usize = 256;

/// What to revoke: exactly one of `sub` and `jti`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationBody {
    /// A subject: every token that it was issued until now, and those that do not say when (`iat`).
    sub: Option<String>,
    /// The id of one token.
    jti: Option<String>,
    /// When the revocation may be forgotten, in milliseconds since the epoch: once the tokens have
    /// expired. For ever where absent.
    until: Option<u64>,
}

/// Which revocation to take back: exactly one of `sub` and `jti`.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct RevocationQuery {
    /// A subject.
    sub: Option<String>,
    /// The id of a token.
    jti: Option<String>,
}

/// What came of a revocation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationMade {
    /// How many connections were ended.
    closed: usize,
}

/// A revocation that stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationEntry {
    /// The subject, where a subject is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The token's id, where a token is.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// When it was made, in milliseconds since the epoch.
    at: u64,
    /// When it ends; null where it does not.
    until: Option<u64>,
}

/// The revocations that stand.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationList {
    data: Vec<RevocationEntry>,
}

/// What came of a withdrawal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationWithdrawn {
    /// Whether there was such a revocation.
    withdrawn: bool,
}

/// Revokes the tokens of a subject, or one token. Open connections are closed with 4401 at once, and the
/// tokens are refused everywhere, also after a restart. Needs an API key of the scope `admin`.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "tokens", request_body = RevocationBody,
    responses(
        (status = 200, body = RevocationMade),
        Refused, Unfit,
        (status = 503, body = ErrorBody, description = "It could not be kept: nothing was revoked."),
    ),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    body: Result<Json<RevocationBody>, JsonRejection>,
) -> Result<Json<RevocationMade>, ApiError> {
    require_admin(&caller)?;
    let Json(RevocationBody { sub, jti, until }) = body?;
    let what = revoked(sub, jti)?;
    let at = clock::wall().0;
    if until.is_some_and(|until| until <= at) {
        return Err(ApiError::new(ErrorCode::InvalidPayload, "until is past"));
    }
    let closed = blocking(move || app.revoke(&what, Term { at, until })).await?;
    Ok(Json(RevocationMade { closed }))
}

/// Takes a revocation back. Needs an API key of the scope `admin`.
#[utoipa::path(
    delete, path = "/v1/revocations", tag = "tokens", params(RevocationQuery),
    responses(
        (status = 200, body = RevocationWithdrawn),
        Refused, Unfit,
        (status = 503, body = ErrorBody, description = "It could not be kept: nothing has changed."),
    ),
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    query: Result<Params<RevocationQuery>, ApiError>,
) -> Result<Json<RevocationWithdrawn>, ApiError> {
    require_admin(&caller)?;
    let Params(RevocationQuery { sub, jti }) = query?;
    let what = revoked(sub, jti)?;
    let withdrawn = move || app.revocations.withdraw(&what, clock::wall().0);
    Ok(Json(RevocationWithdrawn { withdrawn: blocking(withdrawn).await? }))
}

/// Lists the revocations that stand. Needs an API key of the scope `admin`.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "tokens",
    responses(
        (status = 200, body = RevocationList),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<RevocationList>, ApiError> {
    require_admin(&caller)?;
    let standing = app.revocations.list(clock::wall().0);
    let entry = |sub, jti, Term { at, until }| RevocationEntry { sub, jti, at, until };
    let subjects = standing.subjects.into_iter().map(|(name, term)| entry(Some(name), None, term));
    let tokens = standing.tokens.into_iter().map(|(name, term)| entry(None, Some(name), term));
    Ok(Json(RevocationList { data: subjects.chain(tokens).collect() }))
}

fn require_admin(caller: &Caller) -> Result<(), ApiError> {
    match caller {
        Caller::Backend(backend) if backend.is_admin() => Ok(()),
        Caller::Backend(_) | Caller::Person(_) => Err(ErrorCode::NotAuthorized.into()),
    }
}

fn revoked(sub: Option<String>, jti: Option<String>) -> Result<Revoked, ApiError> {
    let fits = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
    match (sub, jti) {
        (Some(name), None) if fits(&name) => Ok(Revoked::Subject(name)),
        (None, Some(name)) if fits(&name) => Ok(Revoked::Token(name)),
        _ => Err(ApiError::new(
            ErrorCode::InvalidPayload,
            "give one of sub and jti, with 1 to 256 bytes",
        )),
    }
}

/// Waits for the disk where nobody else has to.
async fn blocking<T: Send + 'static>(
    change: impl FnOnce() -> Result<T, RevocationError> + Send + 'static,
) -> Result<T, ApiError> {
    let changed = tokio::task::spawn_blocking(change).await.map_err(|_| ErrorCode::Internal)?;
    changed.map_err(|error| {
        tracing::error!(%error, "revocations not changed");
        ApiError::new(ErrorCode::Unavailable, error.to_string())
    })
}
