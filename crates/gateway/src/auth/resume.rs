//! Resume tokens: a session's own proof that it was here before.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use penholder_hub::{ResumeClaim, SignResume};
use penholder_presence::{Incarnation, Key, SessionId, WallMs};
use penholder_protocol::TopicName;
use serde::{Deserialize, Serialize};

/// Signs and reads resume tokens with the key of the data directory.
///
/// A token does not expire by a clock: the shard that knows the session decides whether it still
/// stands. What a token proves is that the session existed and whose it was.
#[derive(Clone)]
pub struct ResumeKey {
    sign: EncodingKey,
    read: DecodingKey,
}

impl std::fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeKey")
    }
}

/// The claim as it travels: short names, since it goes over the wire with each join.
#[derive(Deserialize, Serialize)]
struct Wire {
    t: TopicName,
    k: String,
    s: String,
    j: u64,
    g: u32,
    i: u64,
}

impl ResumeKey {
    /// Derives the keys from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { sign: EncodingKey::from_secret(secret), read: DecodingKey::from_secret(secret) }
    }

    /// What `token` claims, when it is ours and about this person and topic.
    #[must_use]
    pub fn read(&self, token: &str, key: &str, topic: &TopicName) -> Option<ResumeClaim> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims::<&str>(&[]);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let wire = jsonwebtoken::decode::<Wire>(token, &self.read, &validation).ok()?.claims;
        (wire.k == key && wire.t == *topic).then(|| ResumeClaim {
            topic: wire.t,
            key: Key::from(wire.k),
            session: SessionId::from(wire.s),
            joined_at: WallMs(wire.j),
            generation: wire.g,
            incarnation: Incarnation(wire.i),
        })
    }
}

impl SignResume for ResumeKey {
    fn sign(&self, claim: &ResumeClaim) -> String {
        let wire = Wire {
            t: claim.topic.clone(),
            k: claim.key.as_str().to_owned(),
            s: claim.session.as_str().to_owned(),
            j: claim.joined_at.0,
            g: claim.generation,
            i: claim.incarnation.0,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &wire, &self.sign)
            .expect("a claim of strings and numbers can be signed with a symmetric key")
    }
}
