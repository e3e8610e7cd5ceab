//! Requests that a caller may repeat: the answer is kept in the transaction of what was done, so whoever
//! repeats one after a crash gets the answer, or does it for the first time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use penholder_lease::StoreMs;
use sha2::{Digest, Sha256};

use super::once::UNDER_WAY;
use super::work::Work;
use crate::error::StoreError;
use crate::row::{signed, unsigned};
use crate::statement::{Connection, defer, rows};

/// How long an answer is kept, in milliseconds.
pub(crate) const KEEP_MS: u64 = 24 * 60 * 60 * 1000;

/// How long a request may be under way outside a work, in milliseconds. After that whoever did it is dead.
const CLAIM_MS: u64 = 60 * 1000;

/// What makes a request the same as an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Whose request.
    pub caller: &'a str,
    /// The method and route with its ids.
    pub route: &'a str,
    /// What the caller calls it.
    pub key: &'a str,
    /// What the caller sends.
    pub body: &'a [u8],
}

impl Key<'_> {
    /// Refuses what cannot be kept.
    pub(super) fn check(self) -> Result<(), StoreError> {
        let has_nul = [self.caller, self.route, self.key].iter().any(|text| text.contains('\0'));
        if has_nul { Err(StoreError::Unstorable) } else { Ok(()) }
    }
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Status of HTTP.
    pub status: u16,
    /// The body. What is to be told once is not in it.
    pub body: String,
    /// Where what was made is, where something was.
    pub location: Option<String>,
}

/// How a request that may be repeated begins.
#[derive(Debug)]
pub enum Begun {
    /// It is the first; its answer is kept when the work is.
    First(Box<Work>),
    /// It was done before.
    Again(StoredAnswer),
    /// The key has stood for something else.
    Differs,
    /// The first has not been answered yet. Trying again later helps.
    Running,
}

/// Where the answer is to be kept.
#[derive(Debug)]
pub(super) struct Claim {
    caller: String,
    route: String,
    key: String,
    request_hash: String,
    _running: Place,
}

/// The requests of this process that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<BTreeSet<Scope>>>);

type Scope = (String, String, String);

/// A place among them; it is given back when the value goes.
#[derive(Debug)]
struct Place {
    running: Running,
    scope: Scope,
}

impl Running {
    fn enter(&self, scope: Scope) -> Option<Place> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone());
        entered.then(|| Place { running: self.clone(), scope })
    }

    /// Enters a request among those under way; returns nothing where it is there already.
    pub(super) fn claim(&self, key: Key<'_>) -> Option<Claim> {
        let (caller, route, name) =
            (key.caller.to_owned(), key.route.to_owned(), key.key.to_owned());
        let place = self.enter((caller.clone(), route.clone(), name.clone()))?;
        let hash = Sha256::digest(key.body);
        let request_hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Claim { caller, route, key: name, request_hash, _running: place })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.scope);
    }
}

/// What a claim finds in the store.
pub(super) enum Found {
    Nothing,
    Answer(StoredAnswer),
    Other,
    /// Another process is at it.
    Running,
}

impl Claim {
    /// Returns caller, route and key.
    pub(super) fn scope(&self) -> [&str; 3] {
        [&self.caller, &self.route, &self.key]
    }

    /// Keeps other processes from the same request until the transaction ends; returns the time where the store has a
    /// clock, and nothing where another process is at it.
    pub(super) async fn enter(
        &self,
        connection: &mut Connection<'_>,
    ) -> Result<Option<Option<StoreMs>>, StoreError> {
        const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)),
            floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let Connection::Postgres(connection) = connection else { return Ok(Some(None)) };
        let scope = format!("{}\u{1f}{}\u{1f}{}", self.caller, self.route, self.key);
        let (is_free, now): (bool, i64) =
            sqlx::query_as(LOCK).bind(scope).fetch_one(&mut **connection).await?;
        Ok(if is_free { Some(Some(StoreMs(unsigned(now)?))) } else { None })
    }

    /// Looks for an earlier answer, once others are kept from the same request.
    pub(super) async fn look(
        &self,
        connection: &mut Connection<'_>,
        now: StoreMs,
    ) -> Result<Found, StoreError> {
        let found: Option<(String, i64, String, Option<String>, i64)> = rows!(
            connection,
            fetch_optional,
            "SELECT request_hash, status, body, location, at_ms FROM idempotency_keys
             WHERE caller = $1 AND route = $2 AND key = $3 AND at_ms > $4",
            &self.caller,
            &self.route,
            &self.key,
            signed(now.before(KEEP_MS).0),
        );
        Ok(match found {
            None => Found::Nothing,
            Some((hash, ..)) if hash != self.request_hash => Found::Other,
            Some((_, status, _, _, at)) if status == i64::from(UNDER_WAY) => {
                if at > signed(now.before(CLAIM_MS).0) { Found::Running } else { Found::Nothing }
            }
            Some((_, status, body, location, _)) => {
                let wrong = |error| sqlx::Error::Decode(Box::new(error));
                let status = u16::try_from(status).map_err(wrong)?;
                Found::Answer(StoredAnswer { status, body, location })
            }
        })
    }

    /// Keeps the answer.
    pub(super) async fn keep(
        &self,
        connection: &mut Connection<'_>,
        answer: &StoredAnswer,
        now: StoreMs,
    ) -> Result<(), StoreError> {
        defer!(
            connection,
            "INSERT INTO idempotency_keys (caller, route, key, request_hash, status, body, location, at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (caller, route, key) DO UPDATE SET request_hash = excluded.request_hash,
                 status = excluded.status, body = excluded.body, location = excluded.location,
                 at_ms = excluded.at_ms",
            &self.caller,
            &self.route,
            &self.key,
            &self.request_hash,
            i64::from(answer.status),
            &answer.body,
            answer.location.as_deref(),
            signed(now.0),
        );
        Ok(())
    }
}
