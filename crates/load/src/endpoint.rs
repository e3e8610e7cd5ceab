//! Where a server is, what it speaks, and as whom clients come to it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::socket::Address;

/// How long tokens last. Unit: seconds.
const TOKEN_SECONDS: u64 = 6 * 3600;

/// A server, as its clients need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) dialect: Dialect,
    /// Parameters of the handshake; `{user}` and `{token}` stand for those of the client.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) credentials: Credentials,
    /// What the names of its topics begin with; a number follows.
    pub(crate) topic_prefix: String,
}

/// As topics are called where nobody says otherwise.
pub(crate) const TOPIC_PREFIX: &str = "load:";

/// What clients prove themselves with.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// Nothing, or the same token for all.
    Fixed(String),
    /// A token for each, signed with HS256.
    Signed(EncodingKey),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Fixed",
            Self::Signed(_) => "Signed",
        })
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    role: &'static str,
}

impl Credentials {
    pub(crate) fn signed(secret: &str) -> Self {
        Self::Signed(EncodingKey::from_secret(secret.as_bytes()))
    }

    /// A token for `user`, who may do everything but administer.
    ///
    /// # Errors
    ///
    /// It cannot be signed.
    pub(crate) fn token(&self, user: &str) -> Result<String> {
        let key = match self {
            Self::Fixed(token) => return Ok(token.clone()),
            Self::Signed(key) => key,
        };
        let exp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + TOKEN_SECONDS;
        let claims = Claims { sub: user, exp, role: "agent" };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)?)
    }
}

impl Endpoint {
    /// Path and query with which `user` opens a socket.
    ///
    /// # Errors
    ///
    /// The token cannot be signed.
    pub(crate) fn target(&self, user: &str) -> Result<String> {
        let token = self.credentials.token(user)?;
        let fill = |value: &str| value.replace("{user}", user).replace("{token}", &token);
        let mut params = form_urlencoded::Serializer::new(String::new());
        params.extend_pairs(self.params.iter().map(|(name, value)| (name, fill(value))));
        Ok(self.dialect.target(&self.address.path, &params.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Phoenix;

    fn endpoint(credentials: Credentials) -> Endpoint {
        Endpoint {
            address: Address::parse("ws://127.0.0.1:1/socket").unwrap(),
            dialect: Dialect::Phoenix(Phoenix::default()),
            params: vec![
                ("who".to_owned(), "{user}&".to_owned()),
                ("t".to_owned(), "{token}".to_owned()),
            ],
            credentials,
            topic_prefix: TOPIC_PREFIX.to_owned(),
        }
    }

    #[test]
    fn user_and_token_take_the_places_left_for_them() {
        let endpoint = endpoint(Credentials::Fixed("a b".to_owned()));
        let target = endpoint.target("u7").unwrap();
        assert_eq!(target, "/socket/websocket?who=u7%26&t=a+b&vsn=2.0.0");
    }

    #[test]
    fn signed_token_names_the_user_and_differs_by_user() {
        let credentials = Credentials::signed("a secret of at least thirty-two bytes");
        let token = credentials.token("u7").unwrap();
        assert_eq!(token.split('.').count(), 3);
        assert_ne!(token, credentials.token("u8").unwrap());
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
