//! Who attackers say they are: people with tokens, and those who only pretend.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// How many accounts the attackers have got hold of.
const ACCOUNTS: u32 = 2000;

/// How long a token lasts. Unit: seconds.
const TOKEN_SECONDS: u64 = 600;

/// Signs tokens.
pub(crate) struct People {
    key: EncodingKey,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("People")
    }
}

impl People {
    pub(crate) fn new(secret: &str) -> Self {
        Self { key: EncodingKey::from_secret(secret.as_bytes()) }
    }

    /// A token of one of the accounts.
    pub(crate) fn good(&self, rng: &mut StdRng) -> String {
        let user = format!("hostile{}", rng.random_range(0..ACCOUNTS));
        self.sign(&json!({"sub": user, "role": "agent", "exp": now() + TOKEN_SECONDS}))
    }

    /// A token that nobody should accept.
    pub(crate) fn bad(&self, rng: &mut StdRng) -> String {
        let good = self.good(rng);
        let claims = |change: Value| {
            let mut claims = json!({"sub": "x", "role": "agent", "exp": now() + TOKEN_SECONDS});
            for (name, value) in change.as_object().into_iter().flatten() {
                claims[name] = value.clone();
            }
            claims
        };
        match rng.random_range(0..9) {
            0 => String::new(),
            1 => self.sign(&claims(json!({"exp": now() - 60}))),
            2 => self.sign(&claims(json!({"exp": "tomorrow"}))),
            3 => self.sign(&claims(json!({"nbf": now() + 600}))),
            4 => self.sign(&claims(json!({"sub": ""}))),
            5 => self.sign(&claims(json!({"sub": "x".repeat(3000)}))),
            6 => format!("{}x", &good[..good.len() - 2]),
            7 => format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap_or_default()),
            _ => "a.b.c".to_owned(),
        }
    }

    fn sign(&self, claims: &Value) -> String {
        // Claims of a few strings and numbers always have a JSON form.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.key).unwrap_or_default()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn tokens_are_signed_and_fit_into_a_request_line() {
        let (people, mut rng) = (People::new("secret"), StdRng::seed_from_u64(7));
        assert_eq!(people.good(&mut rng).split('.').count(), 3);
        for _ in 0..100 {
            assert!(people.bad(&mut rng).len() < 6000);
        }
        assert!(!format!("{people:?}").contains("secret"));
    }
}
