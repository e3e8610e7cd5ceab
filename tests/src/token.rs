//! Tokens as nobody honest would make them.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::server::SECRET;

/// A JWT before it is signed. As it begins, a server of the tests takes it.
#[derive(Clone, Debug)]
pub struct Token {
    header: String,
    claims: Value,
    /// The claims as no encoder would write them.
    text: Option<String>,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Secret(Vec<u8>),
    Ed25519([u8; 32]),
}

impl Token {
    /// A token of `subject`, an agent, good for an hour.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        Self {
            header: json!({"alg": "HS256", "typ": "JWT"}).to_string(),
            claims: json!({"sub": subject, "role": "agent", "exp": Self::seconds(3600)}),
            text: None,
            key: Key::Secret(SECRET.into()),
        }
    }

    /// So many seconds from now, as claims count them.
    #[must_use]
    pub fn seconds(from_now: i64) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.as_ref().map_or(0, Duration::as_secs).cast_signed() + from_now
    }

    /// The same with a claim set.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The same without a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.remove(name);
        }
        self
    }

    /// The same with `more` at the end of the claims, as text.
    #[must_use]
    pub fn with_text(mut self, more: &str) -> Self {
        let claims = self.claims.to_string();
        self.text = Some(claims.trim_end_matches('}').to_owned() + more + "}");
        self
    }

    /// The same with this text as its claims.
    #[must_use]
    pub fn text(mut self, claims: &str) -> Self {
        self.text = Some(claims.to_owned());
        self
    }

    /// The same with this text as its header.
    #[must_use]
    pub fn header(mut self, header: &str) -> Self {
        header.clone_into(&mut self.header);
        self
    }

    /// The same, signed with another secret.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.key = Key::Secret(secret.into());
        self
    }

    /// The same, signed with the seed of an Ed25519 key.
    #[must_use]
    pub fn ed25519(mut self, seed: [u8; 32]) -> Self {
        self.key = Key::Ed25519(seed);
        self
    }

    /// Header and claims, before there is a signature.
    #[must_use]
    pub fn unsigned(&self) -> String {
        let claims = self.text.clone().unwrap_or_else(|| self.claims.to_string());
        [&self.header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    /// Signs it.
    ///
    /// # Errors
    ///
    /// The key is none.
    pub fn sign(&self) -> Result<String> {
        let message = self.unsigned();
        let (key, algorithm) = match &self.key {
            Key::Secret(secret) => (EncodingKey::from_secret(secret), Algorithm::HS256),
            Key::Ed25519(seed) => (EncodingKey::from_ed_der(&pkcs8(seed)), Algorithm::EdDSA),
        };
        let signature = crypto::sign(message.as_bytes(), &key, algorithm)?;
        Ok(format!("{message}.{signature}"))
    }
}

/// A seed as a private key, in the form of RFC 8410, section 7.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&head[..], seed].concat()
}
