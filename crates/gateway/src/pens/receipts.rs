//! Receipts: proof of a grant that a backend can check on its own, without asking.
//!
//! A receipt is a JWT signed with Ed25519 (RFC 7519, RFC 8037). It says that a fence was granted, to whom,
//! and until when if nothing happens. It does not say that the pen has not gone on since: only the fence
//! does, which whoever keeps what is written compares with the largest it has seen.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use penholder_lease::Pen;
use penholder_protocol::TopicName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::clock;
use crate::config::Config;
use crate::data_dir::{DataDirectory, DataError, KeptFile};

/// The file of the keys in the data directory.
const FILE: &str = "pen-keys.json";

/// How long a key stays public after it was retired: longer than any receipt that it has signed, and than
/// anybody keeps a JWKS. Unit: milliseconds.
const RETIRED_FOR_MS: u64 = 60 * 60 * 1000;

/// Why there are no keys. The operator must act; trying again does not help.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What is kept is no key.
    #[error("a key of receipts in the data directory is damaged")]
    Damaged,
    /// The system gives no random numbers.
    #[error("no key of receipts could be made")]
    NoKey,
}

/// Signs receipts, and shows with which keys they can be checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReceiptKeys(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    issuer: String,
    file: KeptFile,
    ring: ArcSwap<Ring>,
}

/// The keys as they are kept, the newest last.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Kept {
    keys: Vec<KeptKey>,
}

#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
struct KeptKey {
    /// PKCS #8, in base64.
    key: String,
    made_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at: Option<u64>,
}

/// Shows nothing of the key.
impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptKey").field("made_at", &self.made_at).finish_non_exhaustive()
    }
}

struct Ring {
    kept: Kept,
    signs: EncodingKey,
    header: Header,
    public: Vec<Jwk>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("kept", &self.kept).finish_non_exhaustive()
    }
}

/// A public key, as RFC 8037 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Jwk {
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    purpose: &'static str,
    /// Which key it is: the `kid` in the header of the receipts.
    kid: String,
    /// The key itself.
    x: String,
}

/// What a receipt says.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    topic: &'a str,
    session: &'a str,
    fence: String,
    iat: u64,
    exp: u64,
}

impl ReceiptKeys {
    /// Opens the keys of the data directory; makes the first one.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`].
    pub fn open(config: &Config, data: &DataDirectory) -> Result<Self, ReceiptError> {
        let file = data.file(FILE);
        let kept = match file.read::<Kept>()? {
            Some(kept) if !kept.keys.is_empty() => kept,
            Some(_) | None => {
                let kept = Kept { keys: vec![fresh_key()?] };
                file.write(&kept)?;
                kept
            }
        };
        let issuer = match config.server.public_url.as_str() {
            "" => format!("http://{}", config.server.listen),
            url => url.to_owned(),
        };
        let ring = ArcSwap::from_pointee(Ring::of(kept)?);
        Ok(Self(Arc::new(Parts { issuer, file, ring })))
    }

    /// Makes a new key in a data directory, which may be in use: a server signs with it some seconds
    /// later. The one before stays public for an hour.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`]; then the keys are as they were.
    pub fn rotate(path: &Path) -> Result<String, ReceiptError> {
        let file = KeptFile::new(path.join(FILE));
        let mut kept = file.read::<Kept>()?.unwrap_or_default();
        let now = clock::wall().0;
        for key in &mut kept.keys {
            key.retired_at.get_or_insert(now);
        }
        kept.keys.retain(|key| key.retired_at.is_none_or(|at| at + RETIRED_FOR_MS > now));
        kept.keys.push(fresh_key()?);
        let ring = Ring::of(kept.clone())?;
        file.write(&kept)?;
        Ok(ring.header.kid.unwrap_or_default())
    }

    /// Reads the keys again if they have changed; says whether they have. Blocks.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`]; the keys before stand.
    pub fn refresh(&self) -> Result<bool, ReceiptError> {
        let kept = self.0.file.read::<Kept>()?.ok_or(ReceiptError::Damaged)?;
        if kept == self.0.ring.load().kept {
            return Ok(false);
        }
        self.0.ring.store(Arc::new(Ring::of(kept)?));
        Ok(true)
    }

    /// The keys that receipts can be checked with, the newest first.
    pub(crate) fn public(&self) -> Vec<Jwk> {
        self.0.ring.load().public.clone()
    }

    /// A receipt of who has a pen; none when nobody has.
    pub(crate) fn sign(&self, topic: &TopicName, pen: &Pen) -> Option<String> {
        let ring = self.0.ring.load();
        let claims = Claims {
            iss: &self.0.issuer,
            sub: pen.holder.as_ref()?.id.as_str(),
            topic: topic.as_str(),
            session: pen.session.as_ref()?.as_str(),
            fence: pen.fence.to_string(),
            iat: clock::wall().0 / 1000,
            // Whole seconds, as many libraries want them; the fence does what the clock cannot.
            exp: pen.deadline?.0.div_ceil(1000),
        };
        jsonwebtoken::encode(&ring.header, &claims, &ring.signs)
            .inspect_err(|error| tracing::error!(%error, "receipt not signed"))
            .ok()
    }
}

impl Ring {
    fn of(kept: Kept) -> Result<Self, ReceiptError> {
        let mut public = Vec::with_capacity(kept.keys.len());
        let mut newest = None;
        for key in &kept.keys {
            let secret = STANDARD.decode(&key.key).map_err(|_| ReceiptError::Damaged)?;
            let pair = Ed25519KeyPair::from_pkcs8(&secret).map_err(|_| ReceiptError::Damaged)?;
            let point = pair.public_key().as_ref();
            let digest = Sha256::digest(point);
            let kid = URL_SAFE_NO_PAD.encode(&digest[..12]);
            let x = URL_SAFE_NO_PAD.encode(point);
            let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
            newest = Some((header, EncodingKey::from_ed_der(&secret)));
            public.push(Jwk { kty: "OKP", crv: "Ed25519", alg: "EdDSA", purpose: "sig", kid, x });
        }
        public.reverse();
        let (header, signs) = newest.ok_or(ReceiptError::Damaged)?;
        Ok(Self { kept, signs, header, public })
    }
}

fn fresh_key() -> Result<KeptKey, ReceiptError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| ReceiptError::NoKey)?;
    let secret = pair.to_pkcs8v1().map_err(|_| ReceiptError::NoKey)?;
    Ok(KeptKey { key: STANDARD.encode(&secret), made_at: clock::wall().0, retired_at: None })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jsonwebtoken::{DecodingKey, Validation};
    use penholder_lease::{
        Claimant, Command, Kind, Lease, Person, Policy, Role, StoreMs, StoreTime, Terms, Timeline,
        decide,
    };
    use serde_json::Value;

    use super::*;

    fn pen() -> Pen {
        let claimant = Claimant {
            session: "s1".into(),
            person: Person { id: "ada".into(), name: "Ada".into(), kind: Kind::Human },
            role: Role::Agent,
        };
        let at = StoreMs(clock::wall().0);
        let time = StoreTime { at, timeline: Timeline(0) };
        let command = Command::Acquire { claimant, terms: Terms::default() };
        decide(&Lease::default(), &command, time, &Policy::default()).lease.view(at)
    }

    fn check(keys: &ReceiptKeys, receipt: &str) -> Option<Value> {
        let kid = jsonwebtoken::decode_header(receipt).unwrap().kid;
        let public = keys.public();
        let key = public.iter().find(|key| Some(&key.kid) == kid.as_ref())?;
        let decoding = DecodingKey::from_ed_components(&key.x).unwrap();
        let decoded = jsonwebtoken::decode(receipt, &decoding, &Validation::new(Algorithm::EdDSA));
        Some(decoded.unwrap().claims)
    }

    #[test]
    fn a_receipt_outlives_the_rotation_of_its_key() {
        let place = std::env::temp_dir().join(format!("penholder-{}", uuid::Uuid::new_v4()));
        let data = DataDirectory::open(&place, 1).unwrap();
        let keys = ReceiptKeys::open(&Config::default(), &data).unwrap();
        let mode = std::fs::metadata(place.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let topic = TopicName::parse("doc:1").unwrap();
        let receipt = keys.sign(&topic, &pen()).unwrap();
        let claims = check(&keys, &receipt).unwrap();
        for (name, value) in [
            ("sub", "ada"),
            ("topic", "doc:1"),
            ("session", "s1"),
            ("fence", "1"),
            ("iss", "http://127.0.0.1:4000"),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert!(!keys.refresh().unwrap());

        let kid = ReceiptKeys::rotate(&place).unwrap();
        assert!(keys.refresh().unwrap());
        assert!(check(&keys, &receipt).is_some());
        let fresh = keys.sign(&topic, &pen()).unwrap();
        assert_eq!(jsonwebtoken::decode_header(&fresh).unwrap().kid, Some(kid));
        assert!(check(&keys, &fresh).is_some());
        let reopened = ReceiptKeys::open(&Config::default(), &data).unwrap();
        assert_eq!(reopened.public(), keys.public());
        std::fs::remove_dir_all(place).unwrap();
    }
}
