//! Who sent a request, and from where.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use penholder_protocol::{ErrorCode, TopicName};

use super::error::ApiError;
use crate::app::App;
use crate::auth::{Caller, Capability};

/// The address at the other end of the TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The address of the client: the peer's, or what a trusted proxy says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The page that a browser connects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No browser, or one that says nothing.
    Absent,
    /// One header.
    From(String),
    /// Several headers, or one that is no text: nobody honest sends that.
    Doubled,
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        let is_trusted = |address: &IpAddr| app.config.server.trusts(address);
        if !is_trusted(&peer) {
            return Ok(Self(peer));
        }
        // Read from the right: only what trusted proxies have added can be believed.
        let forwarded = forwarded_for(&parts.headers);
        let client = forwarded.into_iter().rev().find(|address| !is_trusted(address));
        Ok(Self(client.unwrap_or(peer)))
    }
}

fn forwarded_for(headers: &HeaderMap) -> Vec<IpAddr> {
    let values = headers.get_all("x-forwarded-for").into_iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|entry| entry.trim().parse().ok()).collect()
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut origins = parts.headers.get_all(header::ORIGIN).into_iter();
        Ok(match (origins.next().map(|origin| origin.to_str()), origins.next()) {
            (None, _) => Self::Absent,
            (Some(Ok(origin)), None) => Self::From(origin.to_owned()),
            (Some(_), _) => Self::Doubled,
        })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let mut given = parts.headers.get_all(header::AUTHORIZATION).into_iter();
        let (Some(authorization), None) = (given.next(), given.next()) else {
            return Err(ErrorCode::InvalidToken.into());
        };
        let authorization = authorization.to_str().map_err(|_| ErrorCode::InvalidToken)?;
        let caller = match authorization.split_once(' ') {
            Some(("Bearer", token)) => app.identify(token.trim()).ok().map(Self::Person),
            Some(("ApiKey", key)) => app.api_keys.find(key.trim()).map(Self::Backend),
            _ => None,
        };
        caller.ok_or_else(|| ErrorCode::InvalidToken.into())
    }
}

impl Caller {
    /// Reads a topic of a path, if the caller has `capability` on it.
    pub(super) fn topic(&self, name: &str, capability: Capability) -> Result<TopicName, ApiError> {
        let topic = TopicName::parse(name).map_err(|_| ErrorCode::InvalidTopic)?;
        if self.capabilities(&topic).allow(capability) {
            Ok(topic)
        } else {
            Err(ErrorCode::NotAuthorized.into())
        }
    }
}
