//! The handshake: everything that is checked before a connection becomes a WebSocket.
//!
//! A browser that is refused sees no reason and tries again for ever, so a refusal is cheap: no
//! lock but the counters', no allocation beyond the token.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use penholder_protocol::Wire;

use super::connection::{self, Connection};
use super::upgrade::Upgrade;
use crate::admission::NoRoom;
use crate::app::App;
use crate::auth::{Identity, TokenError};
use crate::http::{ClientAddress, Origin};
use crate::telemetry::metrics;

/// The subprotocol that clients of Phoenix expect in the answer.
const PROTOCOL: &str = "phoenix";

/// Begins the token among the offered subprotocols, as npm `phoenix` sends it.
const BEARER_PROTOCOL: &str = "base64url.bearer.phx.";

/// How long a client that finds no room is asked to wait. Unit: seconds.
const NO_ROOM_RETRY_SECS: u16 = 5;

/// `GET /socket/websocket`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    origin: Origin,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
    parts: HandshakeParts,
) -> Response {
    let HandshakeParts { headers, upgrade } = parts;
    let asked = Asked::read(query.as_deref().unwrap_or_default(), &headers);
    match accept(&app, &origin, asked) {
        Err(refusal) => refusal.into_response(),
        Ok((wire, identity)) => match upgrade {
            None => Refusal::NoUpgrade.into_response(),
            Some(upgrade) => admit(app, (wire, identity), address, (&headers, upgrade)),
        },
    }
}

/// The parts of the request that the handshake needs. An upgrade that is none is told only after
/// everything else was checked.
pub(crate) struct HandshakeParts {
    headers: HeaderMap,
    pub(super) upgrade: Option<Upgrade>,
}

impl<S: Sync> FromRequestParts<S> for HandshakeParts {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let upgrade = Upgrade::of(parts);
        Ok(Self { headers: std::mem::take(&mut parts.headers), upgrade })
    }
}

/// Why a handshake is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    NoUpgrade,
    Origin,
    BadOrigin,
    Version,
    BadToken,
    /// No token, or one that is not accepted.
    Unauthorized(Option<TokenError>),
    NoRoom(NoRoom),
    Draining,
}

impl Refusal {
    /// The status, the name in the metrics, and what is said.
    fn told(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoUpgrade => (StatusCode::BAD_REQUEST, "no_upgrade", "not a WebSocket upgrade"),
            Self::Origin => (StatusCode::FORBIDDEN, "origin", "this origin may not connect"),
            Self::BadOrigin => (StatusCode::BAD_REQUEST, "bad_origin", "one Origin, as text"),
            Self::Version => (StatusCode::FORBIDDEN, "version", "vsn must be 1.0.x or 2.0.x"),
            Self::BadToken => (StatusCode::BAD_REQUEST, "bad_token", "one token, unpadded base64"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "no valid token"),
            Self::NoRoom(NoRoom::Replica) => {
                (StatusCode::SERVICE_UNAVAILABLE, "replica_full", "too many connections")
            }
            Self::NoRoom(NoRoom::Address) => {
                (StatusCode::TOO_MANY_REQUESTS, "address_full", "too many connections from here")
            }
            Self::NoRoom(NoRoom::User) => {
                (StatusCode::TOO_MANY_REQUESTS, "user_full", "too many connections of this user")
            }
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", "shutting down"),
        }
    }

    /// Counts it, and notes it where somebody looks closely: outsiders must not fill the log.
    fn note(&self) {
        let (_, outcome, _) = self.told();
        metrics::handshake(outcome);
        let error = match self {
            Self::Unauthorized(error) => error.as_ref().map(tracing::field::display),
            _ => None,
        };
        tracing::debug!(outcome, error, "handshake refused");
    }

    /// What long polling answers: 403 for good, or 500 to try again.
    pub(super) fn into_poll(self) -> u16 {
        self.note();
        match self {
            Self::NoRoom(_) | Self::Draining => 500,
            _ => 403,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.note();
        let (status, _, text) = self.told();
        let mut response = (status, text).into_response();
        // Whoever is refused comes back by another connection, or keeps this one only to hold it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if matches!(self, Self::NoRoom(_) | Self::Draining) {
            let wait = HeaderValue::from(NO_ROOM_RETRY_SECS);
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

/// What a client says of itself when it asks for a connection.
#[derive(Debug)]
pub(super) struct Asked {
    vsn: Option<String>,
    /// The tokens in headers.
    pub(super) tokens: Result<Vec<String>, Refusal>,
    /// The tokens in the query.
    pub(super) query_tokens: Vec<String>,
    /// What the query calls an API key: realtime-js sends nothing without one, and its token there.
    query_keys: Vec<String>,
}

impl Asked {
    pub(super) fn read(query: &str, headers: &HeaderMap) -> Self {
        let (mut vsn, mut query_tokens, mut query_keys) = (None, Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "vsn" => vsn = vsn.or(Some(value.into_owned())),
                "token" => query_tokens.push(value.into_owned()),
                "apikey" => query_keys.push(value.into_owned()),
                _ => {}
            }
        }
        Self { vsn, tokens: offered_tokens(headers), query_tokens, query_keys }
    }
}

/// Checks who asks, from where, and for what.
pub(super) fn accept(
    app: &App,
    origin: &Origin,
    asked: Asked,
) -> Result<(Wire, Identity), Refusal> {
    match origin {
        Origin::Doubled => return Err(Refusal::BadOrigin),
        Origin::From(origin) if !app.origins.allow(origin) => return Err(Refusal::Origin),
        Origin::From(_) | Origin::Absent => {}
    }
    if app.drain.is_cancelled() {
        return Err(Refusal::Draining);
    }
    let wire = Wire::from_vsn(asked.vsn.as_deref()).map_err(|_| Refusal::Version)?;
    let mut tokens = asked.tokens?;
    if app.config.auth.query_token {
        tokens.extend(asked.query_tokens);
        if tokens.is_empty() {
            tokens = asked.query_keys;
        }
    }
    let [token] = &tokens[..] else {
        let is_none = tokens.is_empty();
        return Err(if is_none { Refusal::Unauthorized(None) } else { Refusal::BadToken });
    };
    let identity = app.identify(token).map_err(|error| Refusal::Unauthorized(Some(error)))?;
    Ok((wire, identity))
}

/// The tokens among the subprotocols and in the `Authorization` header.
fn offered_tokens(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let text = |name: HeaderName| headers.get_all(name).into_iter().map(HeaderValue::to_str);
    let mut tokens = Vec::new();
    for offered in text(header::SEC_WEBSOCKET_PROTOCOL) {
        let protocols = offered.map_err(|_| Refusal::BadToken)?.split(',').map(str::trim);
        for encoded in protocols.filter_map(|protocol| protocol.strip_prefix(BEARER_PROTOCOL)) {
            tokens.push(decode(encoded).ok_or(Refusal::BadToken)?);
        }
    }
    for authorization in text(header::AUTHORIZATION) {
        let authorization = authorization.map_err(|_| Refusal::BadToken)?;
        tokens.extend(authorization.strip_prefix("Bearer ").map(|token| token.trim().to_owned()));
    }
    Ok(tokens)
}

/// In spite of the subprotocol's name, clients use the standard alphabet; both are read.
fn decode(encoded: &str) -> Option<String> {
    let bytes =
        STANDARD_NO_PAD.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded)).ok()?;
    String::from_utf8(bytes).ok()
}

fn admit(
    app: App,
    (wire, identity): (Wire, Identity),
    address: IpAddr,
    (headers, upgrade): (&HeaderMap, Upgrade),
) -> Response {
    let permit = match app.admission.admit(address, identity.subject()) {
        Ok(permit) => permit,
        Err(full) => return Refusal::NoRoom(full).into_response(),
    };
    metrics::handshake("ok");
    let message_max = app.config.limits.message_max.bytes();
    let protocol = offers(headers, PROTOCOL).then_some(PROTOCOL);
    upgrade.accept(protocol, message_max, move |socket| {
        let tasks = app.connections.clone();
        let connection = Connection::new(app, wire, identity, permit);
        tasks.track_future(connection::serve(socket, connection))
    })
}

/// Whether the client has offered a subprotocol.
fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let lists = offered.filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|offered| offered.trim() == protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_either_alphabet_are_read_and_padding_is_not() {
        let token = "a.~~~.??>";
        for encoded in [STANDARD_NO_PAD.encode(token), URL_SAFE_NO_PAD.encode(token)] {
            assert_eq!(decode(&encoded).as_deref(), Some(token));
        }
        assert_eq!(decode("YQ=="), None);
        assert_eq!(decode("not base64!"), None);
        assert_eq!(decode("/w"), None, "not UTF-8");
    }
}
