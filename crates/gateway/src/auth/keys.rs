//! The keys that tokens may be signed with.
//!
//! A shared secret, a public key, and a set of public keys (JWKS) that is read anew when its file
//! changes. Keys come from files alone: what a token's header names is looked up here and nowhere else.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use parking_lot::Mutex;
use serde::Deserialize;
use thiserror::Error;

use crate::config::Auth;

/// Most keys of a set. A token that names no key is tried with each of its algorithm.
const SET_MAX: usize = 32;

/// Largest file of keys. Unit: bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why a file of keys cannot be used. The operator must act; where keys were read before, they stand.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// It is larger than any file of keys.
    #[error("{} has more than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It holds what must not lie around on a server that only checks.
    #[error("{} holds a private key; give auth.public_key_file the public one", .0.display())]
    Private(PathBuf),
    /// It is no PEM of a key for RS256, ES256 (P-256) or `EdDSA` (Ed25519).
    #[error("{} is no public key in PEM for RS256, ES256 or EdDSA", .0.display())]
    Unfit(PathBuf),
    /// It is no set of keys.
    #[error("{} is no JWKS: {cause}", path.display())]
    NoSet {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: serde_json::Error,
    },
    /// None of the set's keys can sign tokens, or there are too many.
    #[error("{} has {usable} keys for RS256, ES256 or EdDSA; 1 to {SET_MAX} are needed", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many there are.
        usable: usize,
    },
}

/// A key and the one algorithm that it is for: a public key must never be taken for a secret.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// All keys, those of a set replaced when its file changes.
pub(super) struct Keys {
    fixed: Vec<VerifyingKey>,
    set: Option<KeySet>,
}

struct KeySet {
    path: PathBuf,
    keys: ArcSwap<Vec<VerifyingKey>>,
    stamp: Mutex<Stamp>,
}

/// What tells that a file has changed.
type Stamp = Option<(SystemTime, u64)>;

impl Keys {
    /// Reads what `auth` names; `secret` is that of HS256.
    pub(super) fn read(auth: &Auth, secret: Option<&[u8]>) -> Result<Self, KeyError> {
        let mut fixed = Vec::new();
        let shared = |secret| VerifyingKey {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret),
        };
        fixed.extend(secret.map(shared));
        if !auth.public_key_file.as_os_str().is_empty() {
            fixed.push(public_key(&auth.public_key_file)?);
        }
        let path = Some(&auth.jwks_file).filter(|path| !path.as_os_str().is_empty());
        let set = path.map(|path| KeySet::open(path)).transpose()?;
        Ok(Self { fixed, set })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.set.is_none()
    }

    /// Returns the first key for the algorithm of `header`, and the name if it has one, for which `check`
    /// does not say that the signature is another's; else the last answer, if any key fits.
    pub(super) fn try_each<T>(
        &self,
        header: &Header,
        mut check: impl FnMut(&VerifyingKey) -> Result<T, jsonwebtoken::errors::Error>,
    ) -> Option<Result<T, jsonwebtoken::errors::Error>> {
        let set = self.set.as_ref().map(|set| set.keys.load_full()).unwrap_or_default();
        let mut last = None;
        for key in self.fixed.iter().chain(set.iter()).filter(|key| key.fits(header)) {
            let checked = check(key);
            let is_anothers = checked.as_ref().is_err_and(|error| {
                matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature)
            });
            last = Some(checked);
            if !is_anothers {
                break;
            }
        }
        last
    }

    /// Reads the set again if its file has changed; says whether it has.
    pub(super) fn refresh(&self) -> Result<bool, KeyError> {
        self.set.as_ref().map_or(Ok(false), KeySet::refresh)
    }
}

impl VerifyingKey {
    fn fits(&self, header: &Header) -> bool {
        let is_named = match (&self.id, &header.kid) {
            (Some(id), Some(kid)) => id == kid,
            _ => true,
        };
        self.algorithm == header.alg && is_named
    }
}

impl KeySet {
    fn open(path: &Path) -> Result<Self, KeyError> {
        let stamp = Mutex::new(stamp(path)?);
        let keys = ArcSwap::from_pointee(read_set(path)?);
        Ok(Self { path: path.to_owned(), keys, stamp })
    }

    fn refresh(&self) -> Result<bool, KeyError> {
        let found = stamp(&self.path)?;
        let mut kept = self.stamp.lock();
        if *kept == found {
            return Ok(false);
        }
        // Noted before it is read: a broken file is told once, and one that is still being written
        // changes again.
        *kept = found;
        self.keys.store(Arc::new(read_set(&self.path)?));
        Ok(true)
    }
}

fn stamp(path: &Path) -> Result<Stamp, KeyError> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    Ok(metadata.modified().ok().map(|modified| (modified, metadata.len())))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let file = std::fs::File::open(path).map_err(unreadable(path))?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(unreadable(path))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(KeyError::TooLarge(path.to_owned()));
    }
    Ok(content)
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |cause| KeyError::Unreadable { path, cause }
}

/// Reads a public key; which algorithm it is for, it says itself.
fn public_key(path: &Path) -> Result<VerifyingKey, KeyError> {
    let pem = read(path)?;
    if String::from_utf8_lossy(&pem).contains("PRIVATE KEY") {
        return Err(KeyError::Private(path.to_owned()));
    }
    let of = |algorithm| move |key| VerifyingKey { id: None, algorithm, key };
    DecodingKey::from_rsa_pem(&pem)
        .map(of(Algorithm::RS256))
        .or_else(|_| DecodingKey::from_ed_pem(&pem).map(of(Algorithm::EdDSA)))
        .or_else(|_| DecodingKey::from_ec_pem(&pem).map(of(Algorithm::ES256)))
        .ok()
        .filter(|key| key.algorithm != Algorithm::ES256 || is_p256(&key.key))
        .ok_or_else(|| KeyError::Unfit(path.to_owned()))
}

/// Whether a key's point is one of P-256: a byte that says how it is written, and two of 32 bytes.
fn is_p256(key: &DecodingKey) -> bool {
    key.try_get_as_bytes().is_ok_and(|point| point.len() == 65)
}

#[derive(Deserialize)]
struct SetFile {
    keys: Vec<serde_json::Value>,
}

/// Reads a set. A key that is for something else is passed over, as RFC 7517 (section 5) wants it.
fn read_set(path: &Path) -> Result<Vec<VerifyingKey>, KeyError> {
    let no_set = |cause| KeyError::NoSet { path: path.to_owned(), cause };
    let SetFile { keys } = serde_json::from_slice(&read(path)?).map_err(no_set)?;
    let usable: Vec<_> = keys.into_iter().filter_map(of_set).collect();
    if usable.is_empty() || usable.len() > SET_MAX {
        return Err(KeyError::Count { path: path.to_owned(), usable: usable.len() });
    }
    Ok(usable)
}

fn of_set(value: serde_json::Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        // A secret in a file that is made to be published is none.
        _ => return None,
    };
    let is_meant = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(_) => false,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (signs && is_meant).then_some(VerifyingKey { id: jwk.common.key_id, algorithm, key })
}
