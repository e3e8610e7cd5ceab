//! Tokens of people and agents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode_header};
use penholder_protocol::{Kind, Role, UserCard, is_safe_key};
use serde::{Deserialize, Serialize};

use super::keys::{KeyError, Keys};
use super::{Capability, Grants, Identity};
use crate::clock;
use crate::config::Auth;

/// The claims of a token. Unknown claims are ignored; a claim given twice makes the token invalid.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    /// Who it is; 1 to 256 bytes.
    pub sub: String,
    /// When it ends, in seconds since the epoch.
    pub exp: f64,
    /// The name that others see; the subject where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// What the person is to the application.
    #[serde(default = "customer")]
    pub role: Role,
    /// Human or AI.
    #[serde(default = "human")]
    pub kind: Kind,
    /// Capabilities by pattern of topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<BTreeMap<String, Vec<Capability>>>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
    /// When it was issued, in seconds since the epoch. A revocation of the subject strikes what was
    /// issued before it, and what does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<f64>,
    /// Its id, by which it can be revoked alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

fn customer() -> Role {
    Role::Customer
}

fn human() -> Kind {
    Kind::Human
}

/// The token is not accepted. The caller must get another one; the reason goes to the log only, so
/// that nobody can probe for it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token, not signed with our key, not yet or no longer valid, or not for us.
    #[error("token refused: {}", fault(.0))]
    Refused(#[from] Error),
    /// The subject cannot be a key of presence.
    #[error("token refused: its subject is empty, too long or unsafe")]
    Subject,
    /// A pattern of topics is none.
    #[error("token refused: {0}")]
    Topics(#[from] penholder_protocol::TopicError),
    /// No key is configured, or none for the token's algorithm and key id.
    #[error("token refused: no key for it is configured, see [auth]")]
    NoKey,
    /// It was revoked.
    #[error("token refused: it was revoked")]
    Revoked,
    /// Tokens are made with the shared secret only.
    #[error("no token can be made: set auth.hs256_secret, or run with --dev")]
    NoSecret,
}

/// What is wrong with a token, for the log. The library's words for what it cannot read quote it, line
/// breaks included.
fn fault(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Json(_) => "its header or its claims are not as they must be".to_owned(),
        ErrorKind::Base64(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidToken => {
            "it is no token".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Longest token that is looked at. Unit: bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest name or picture of a person. Unit: bytes.
const SHOWN_BYTES_MAX: usize = 512;

/// Checks tokens, and in development mode signs them.
pub struct Tokens {
    secret: Option<EncodingKey>,
    keys: Keys,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("has_key", &!self.keys.is_empty()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Prepares the checks that `auth` asks for. `fallback` is the secret where none is configured.
    ///
    /// # Errors
    ///
    /// [`KeyError`], when a file of keys cannot be used.
    pub fn new(auth: &Auth, fallback: Option<&[u8]>) -> Result<Self, KeyError> {
        let secret =
            Some(auth.hs256_secret.expose().as_bytes()).filter(|secret| !secret.is_empty());
        let secret = secret.or(fallback);
        let keys = Keys::read(auth, secret)?;
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (issuer, audience) = (given(&auth.issuer), given(&auth.audience));

        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = auth.leeway.as_ms().div_ceil(1000);
        validation.validate_nbf = true;
        validation.validate_aud = audience.is_some();
        let mut required = vec!["exp", "sub"];
        if let Some(issuer) = &issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let secret = secret.map(EncodingKey::from_secret);
        Ok(Self { secret, keys, validation, issuer, audience })
    }

    /// The person whom `token` describes.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a new token helps.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let now = clock::wall().0;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into_error());
        }
        let header = decode_header(token)?;
        let decoded = self.keys.try_each(&header, |key| {
            let mut validation = self.validation.clone();
            validation.algorithms = vec![key.algorithm];
            jsonwebtoken::decode::<Claims>(token, &key.key, &validation)
        });
        let decoded = decoded.ok_or(TokenError::NoKey)??;
        // Whoever lists an extension there wants it understood, and we know none (RFC 7515, 4.1.11).
        if decoded.header.crit.is_some() {
            return Err(ErrorKind::InvalidToken.into_error());
        }
        let claims = decoded.claims;
        let grants = Grants::new(claims.role, claims.topics.as_ref())?;
        if !is_safe_key(&claims.sub) {
            return Err(TokenError::Subject);
        }
        let card = UserCard {
            name: shown(claims.name).unwrap_or_else(|| claims.sub.clone()),
            id: claims.sub,
            role: claims.role,
            kind: claims.kind,
            avatar: shown(claims.avatar),
        };
        Ok(Identity {
            card: Arc::new(card),
            grants: Arc::new(grants),
            expires_at: self.end(milliseconds(claims.exp), now),
            issued_at: claims.iat.map(milliseconds),
            token_id: claims.jti.map(Into::into),
        })
    }

    /// When a token ends that is accepted now: by its own word; or with the leeway, if it has ended by our clock
    /// and not yet by that of its issuer. Or its socket would be closed as soon as it is open.
    fn end(&self, expires_at: u64, now: u64) -> u64 {
        let leeway_ms = self.validation.leeway * 1000;
        if now < expires_at { expires_at } else { expires_at.saturating_add(leeway_ms) }
    }

    /// Reads the set of keys again if its file has changed; says whether it has.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; the keys that were read before stand.
    pub fn refresh(&self) -> Result<bool, KeyError> {
        self.keys.refresh()
    }

    /// Signs a token with the configured secret, issuer and audience.
    ///
    /// # Errors
    ///
    /// [`TokenError::NoSecret`] where no secret is configured.
    pub fn sign(&self, mut claims: Claims) -> Result<String, TokenError> {
        let key = self.secret.as_ref().ok_or(TokenError::NoSecret)?;
        claims.iss = self.issuer.clone();
        claims.aud = self.audience.clone().map(serde_json::Value::String);
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)?)
    }
}

/// A time of a claim, in milliseconds since the epoch.
fn milliseconds(seconds: f64) -> u64 {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A name or picture that is fit to be shown: not empty, not endless.
fn shown(text: Option<String>) -> Option<String> {
    text.filter(|text| {
        (1..=SHOWN_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    })
}

trait IntoTokenError {
    fn into_error(self) -> TokenError;
}

impl IntoTokenError for ErrorKind {
    fn into_error(self) -> TokenError {
        TokenError::Refused(Error::from(self))
    }
}
