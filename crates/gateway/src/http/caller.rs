//! Who sent a request, and from where.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use penholder_protocol::{ErrorCode, TopicName};

use super::error::ApiError;
use crate::app::App;
use crate::auth::{Backend, Caller, Capability};

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
        Ok(Self(forwarded_for(&parts.headers, peer, is_trusted)))
    }
}

/// The address that a trusted proxy names. Read from the right: only what trusted proxies have added can be
/// believed, and nothing to the left of what cannot be read.
fn forwarded_for(
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(&IpAddr) -> bool,
) -> IpAddr {
    let values = headers.get_all("x-forwarded-for").into_iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let mut nearest = peer;
    for address in entries.map_while(address) {
        nearest = address;
        if !is_trusted(&address) {
            break;
        }
    }
    nearest
}

/// Reads an address, with or without the port that some proxies add.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    entry.parse().ok().or_else(with_port)
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
        let caller = match credentials(authorization, "Bearer") {
            Some(token) => app.identify(token).ok().map(Self::Person),
            None => backend(app, authorization).map(Self::Backend),
        };
        caller.ok_or_else(|| ErrorCode::InvalidToken.into())
    }
}

/// The backend whose key the header `Authorization` has.
pub(super) fn backend(app: &App, authorization: &str) -> Option<Backend> {
    app.api_keys.find(credentials(authorization, "ApiKey")?)
}

/// What follows the name of the scheme, which may be written in either case (RFC 9110, 11.1).
fn credentials<'a>(authorization: &'a str, scheme: &str) -> Option<&'a str> {
    let (named, credentials) = authorization.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then_some(credentials.trim())
}

impl Caller {
    /// Reads a topic of a path, if the caller has `capability` on it and it is none of a ticket that there is not.
    pub(super) async fn topic(
        &self,
        app: &App,
        (name, capability): (&str, Capability),
    ) -> Result<TopicName, ApiError> {
        let topic = TopicName::parse(name).map_err(|_| ErrorCode::InvalidTopic)?;
        if !self.capabilities(&topic).allow(capability) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        app.is_there(&topic).await?;
        Ok(topic)
    }

    /// Reads a topic of a path, if the caller may look at it: by the token, or as the owner of its ticket.
    pub(super) async fn viewed(&self, app: &App, name: &str) -> Result<TopicName, ApiError> {
        let topic = TopicName::parse(name).map_err(|_| ErrorCode::InvalidTopic)?;
        app.may_view(self, &topic).await?;
        Ok(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_believed_to_the_left_of_what_no_trusted_proxy_has_added() {
        let peer = IpAddr::from([10, 0, 0, 1]);
        let client = |forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let is_trusted = |address: &IpAddr| address.to_string().starts_with("10.");
            forwarded_for(&headers, peer, is_trusted).to_string()
        };
        assert_eq!(client(&[]), "10.0.0.1");
        assert_eq!(client(&["8.8.8.8, 7.7.7.7"]), "7.7.7.7");
        assert_eq!(client(&["8.8.8.8, 7.7.7.7, 10.0.0.2"]), "7.7.7.7");
        assert_eq!(client(&["8.8.8.8", "7.7.7.7", "10.0.0.2"]), "7.7.7.7");
        assert_eq!(client(&["8.8.8.8, 7.7.7.7:5123"]), "7.7.7.7");
        assert_eq!(client(&["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&["8.8.8.8, unknown"]), "10.0.0.1");
        assert_eq!(client(&["8.8.8.8, _hidden, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn a_scheme_is_written_in_either_case() {
        assert_eq!(credentials("bearer  x.y ", "Bearer"), Some("x.y"));
        assert_eq!(credentials("Bearers x", "Bearer"), None);
        assert_eq!(credentials("Bearer", "Bearer"), None);
    }
}
