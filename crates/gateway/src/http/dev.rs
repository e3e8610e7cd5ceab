//! Development mode: tokens for demo people.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use penholder_protocol::{ErrorCode, Kind, Role, is_safe_key};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::describe::Unfit;
use super::error::{ApiError, ErrorBody};
use super::query::Params;
use crate::app::{App, RunMode};
use crate::auth::{Capability, Claims};
use crate::clock;

/// How long a demo token lasts where the caller does not say. Unit: seconds.
const TTL_SECS: u32 = 3600;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct TokenQuery {
    /// The subject.
    user: String,
    /// The name that others see; the subject where absent.
    name: Option<String>,
    /// The role; `agent` where absent.
    #[param(value_type = Option<String>)]
    role: Option<Role>,
    /// `human` or `ai`.
    #[param(value_type = Option<String>)]
    kind: Option<Kind>,
    /// How long it lasts, in seconds: 1 to 86400.
    #[param(minimum = 1, maximum = 86400, default = 3600)]
    ttl: Option<u32>,
}

/// A token for a demo person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DemoToken {
    token: String,
}

/// Hands out a token for a demo person. In development mode only.
#[utoipa::path(
    get, path = "/dev/token", tag = "development", params(TokenQuery), security(()),
    responses(
        (status = 200, body = DemoToken),
        Unfit,
        (status = 403, body = ErrorBody, description = "The `Host` is no loopback name."),
        (status = 404, body = ErrorBody, description = "Not in development mode."),
    ),
)]
pub(super) async fn token(
    State(app): State<App>,
    headers: HeaderMap,
    query: Result<Params<TokenQuery>, ApiError>,
) -> Result<Json<DemoToken>, ApiError> {
    if app.mode != RunMode::Development {
        return Err(ErrorCode::NotFound.into());
    }
    if !is_for_loopback(&headers) {
        let message = "demo tokens are given to whoever calls this machine by a loopback name";
        return Err(ApiError::new(ErrorCode::NotAuthorized, message));
    }
    let Params(TokenQuery { user, name, role, kind, ttl }) = query?;
    let ttl = ttl.unwrap_or(TTL_SECS);
    if !is_safe_key(&user) || !(1..=86_400).contains(&ttl) {
        let message = "user is 1 to 256 bytes, without control characters and no name that JavaScript \
                       objects are born with; ttl is 1 to 86400";
        return Err(ApiError::new(ErrorCode::InvalidPayload, message));
    }
    let role = role.unwrap_or(Role::Agent);
    let now = Duration::from_millis(clock::wall().0);
    let claims = Claims {
        sub: user,
        exp: (now + Duration::from_secs(ttl.into())).as_secs_f64(),
        name,
        avatar: None,
        role,
        kind: kind.unwrap_or(Kind::Human),
        topics: demo_topics(role),
        iss: None,
        aud: None,
        iat: Some(now.as_secs_f64()),
        jti: Some(Uuid::new_v4().to_string()),
    };
    let token = app.tokens.sign(claims).map_err(|error| {
        tracing::error!(%error, "cannot sign a demo token");
        ErrorCode::Internal
    })?;
    Ok(Json(DemoToken { token }))
}

/// Whether the caller addressed this machine as itself. The name of a page elsewhere can be made to lead
/// here (DNS rebinding), and that page would get tokens as of its own origin.
fn is_for_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.and_then(|host| host.parse::<Authority>().ok());
    name.is_some_and(|authority| {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
    })
}

/// Demo people may do on every application's topic what their role does at most.
fn demo_topics(role: Role) -> Option<BTreeMap<String, Vec<Capability>>> {
    use Capability::{Edit, Manage, Publish, View};
    let granted = match role {
        Role::Admin | Role::Agent => vec![View, Edit, Publish, Manage],
        Role::Customer => vec![View, Edit, Publish],
        Role::Viewer | Role::Guest => return None,
    };
    Some(BTreeMap::from([("*".to_owned(), granted)]))
}
