//! Tokens that are not accepted any more although they have not expired.

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Identity;
use crate::data_dir::{DataError, KeptFile};

/// Most revocations that stand at a time.
const REVOCATIONS_MAX: usize = 100_000;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Every token of this subject that was issued until now, and those that do not say when.
    Subject(String),
    /// The token with this id.
    Token(String),
}

/// When a revocation was made, and until when it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Term {
    /// In milliseconds since the epoch.
    pub at: u64,
    /// In milliseconds since the epoch; for ever where absent.
    pub until: Option<u64>,
}

/// Why a revocation is not taken.
#[derive(Debug, Error)]
pub enum RevocationError {
    /// Too many stand; give each an end, or withdraw some.
    #[error("{REVOCATIONS_MAX} revocations stand; withdraw some, or give them an end with `until`")]
    Full,
    /// It could not be kept, so it would be forgotten with the process. Trying again can help.
    #[error("the revocation cannot be kept: {0}")]
    Kept(#[from] DataError),
}

/// The revocations that stand. They are kept in the data directory before they count as made, so that
/// a restart lets nobody back in.
#[derive(Debug)]
pub struct Revocations {
    standing: RwLock<Standing>,
    /// Held while the file is written, so that an older list cannot take the place of a newer one.
    file: Mutex<KeptFile>,
}

/// Revocations by subject and by token id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Standing {
    /// By subject.
    pub subjects: BTreeMap<String, Term>,
    /// By token id.
    pub tokens: BTreeMap<String, Term>,
}

impl Revocations {
    /// Reads what `file` keeps.
    ///
    /// # Errors
    ///
    /// [`DataError`], when it cannot be read or is damaged.
    pub fn open(file: KeptFile) -> Result<Self, DataError> {
        let standing = RwLock::new(file.read()?.unwrap_or_default());
        Ok(Self { standing, file: Mutex::new(file) })
    }

    /// Revokes. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// [`RevocationError`]; then nothing has changed.
    pub fn revoke(&self, what: &Revoked, term: Term) -> Result<(), RevocationError> {
        self.change(term.at, |standing| {
            let (terms, name) = standing.of(what);
            terms.insert(name.to_owned(), term);
        })
    }

    /// Takes a revocation back; says whether there was one. Blocks until that is on disk.
    ///
    /// # Errors
    ///
    /// [`RevocationError`]; then nothing has changed.
    pub fn withdraw(&self, what: &Revoked, now_ms: u64) -> Result<bool, RevocationError> {
        self.change(now_ms, |standing| {
            let (terms, name) = standing.of(what);
            terms.remove(name).is_some()
        })
    }

    /// Returns those that stand.
    #[must_use]
    pub fn list(&self, now_ms: u64) -> Standing {
        let mut standing = self.standing.read().clone();
        standing.expire(now_ms);
        standing
    }

    /// Whether the token of `identity` is revoked.
    #[must_use]
    pub fn strike(&self, identity: &Identity, now_ms: u64) -> bool {
        let standing = self.standing.read();
        let token = identity.token_id.as_deref().and_then(|id| standing.tokens.get(id));
        let subject = standing.subjects.get(identity.subject());
        token.is_some_and(|term| term.stands(now_ms))
            || subject.is_some_and(|term| {
                term.stands(now_ms) && identity.issued_at.is_none_or(|at| at <= term.at)
            })
    }

    fn change<T>(
        &self,
        now_ms: u64,
        change: impl FnOnce(&mut Standing) -> T,
    ) -> Result<T, RevocationError> {
        let file = self.file.lock();
        let mut changed = self.list(now_ms);
        let result = change(&mut changed);
        if changed.subjects.len() + changed.tokens.len() > REVOCATIONS_MAX {
            return Err(RevocationError::Full);
        }
        file.write(&changed)?;
        *self.standing.write() = changed;
        Ok(result)
    }
}

impl Standing {
    fn of<'a>(&mut self, what: &'a Revoked) -> (&mut BTreeMap<String, Term>, &'a str) {
        match what {
            Revoked::Subject(name) => (&mut self.subjects, name),
            Revoked::Token(name) => (&mut self.tokens, name),
        }
    }

    fn expire(&mut self, now_ms: u64) {
        for terms in [&mut self.subjects, &mut self.tokens] {
            terms.retain(|_, term| term.stands(now_ms));
        }
    }
}

impl Term {
    fn stands(&self, now_ms: u64) -> bool {
        self.until.is_none_or(|until| now_ms < until)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use penholder_protocol::{Kind, Role, UserCard};

    use super::*;
    use crate::auth::Grants;

    fn place() -> KeptFile {
        let name = format!("penholder-{}.json", uuid::Uuid::new_v4());
        KeptFile::new(std::env::temp_dir().join(name))
    }

    fn token(subject: &str, token_id: Option<&str>, issued_at: Option<u64>) -> Identity {
        let card = UserCard {
            id: subject.into(),
            name: subject.into(),
            role: Role::Agent,
            kind: Kind::Human,
            avatar: None,
        };
        Identity {
            card: Arc::new(card),
            grants: Arc::new(Grants::new(Role::Agent, None).unwrap()),
            expires_at: u64::MAX,
            issued_at,
            token_id: token_id.map(Into::into),
        }
    }

    #[test]
    fn a_subject_loses_the_tokens_that_it_had_and_not_those_it_gets() {
        let revocations = Revocations::open(place()).unwrap();
        let ann = Revoked::Subject("ann".into());
        revocations.revoke(&ann, Term { at: 1_000, until: Some(9_000) }).unwrap();
        let strikes = |issued_at| revocations.strike(&token("ann", None, issued_at), 2_000);
        assert_eq!([Some(999), Some(1_000), None].map(strikes), [true; 3]);
        assert!(!strikes(Some(1_001)));
        assert!(!revocations.strike(&token("bob", None, None), 2_000));
        assert!(!revocations.strike(&token("ann", None, None), 9_000), "it has ended");
        assert!(revocations.withdraw(&ann, 2_000).unwrap());
        assert!(!revocations.withdraw(&ann, 2_000).unwrap());
        assert!(!strikes(None));
    }

    #[test]
    fn a_revocation_outlives_the_process_and_its_end_removes_it() {
        let file = place();
        let revocations = Revocations::open(file.clone()).unwrap();
        let term = |until| Term { at: 1, until };
        revocations.revoke(&Revoked::Token("t1".into()), term(None)).unwrap();
        revocations.revoke(&Revoked::Token("t2".into()), term(Some(10))).unwrap();
        let revocations = Revocations::open(file.clone()).unwrap();
        assert!(revocations.strike(&token("ann", Some("t1"), None), u64::MAX));
        assert!(revocations.strike(&token("ann", Some("t2"), None), 9));
        revocations.revoke(&Revoked::Token("t3".into()), Term { at: 10, until: None }).unwrap();
        let kept: Standing = file.read().unwrap().unwrap();
        assert_eq!(kept.tokens.keys().collect::<Vec<_>>(), ["t1", "t3"]);
    }
}
