//! Requests that a caller may repeat and that are no [`Work`](super::Work): their answer is kept after they are
//! done. Whoever dies in between leaves a claim behind, which is void after a minute; then the request is done
//! anew. So it may be done twice, but never at the same time.

use penholder_lease::StoreMs;

use super::Tickets;
use super::keys::{Claim, Found, Key, StoredAnswer};
use crate::error::StoreError;
use crate::row::signed;
use crate::statement::execute;

/// What stands in the place of an answer as long as there is none.
pub(super) const UNDER_WAY: u16 = 0;

/// How such a request begins.
#[derive(Debug)]
pub enum Once {
    /// It is the first.
    First(Unanswered),
    /// It was done before.
    Again(StoredAnswer),
    /// The key has stood for something else.
    Differs,
    /// The first has not been answered yet. Trying again later helps.
    Running,
}

/// A request that is being done. Dropped, it may be done anew after a minute.
#[derive(Debug)]
pub struct Unanswered {
    tickets: Tickets,
    claim: Claim,
    at: StoreMs,
}

impl Tickets {
    /// Begins a request that the caller may ask for again. It has a minute.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn once(&self, key: Key<'_>) -> Result<Once, StoreError> {
        key.check()?;
        let Some(claim) = self.running.claim(key) else { return Ok(Once::Running) };
        let (mut transaction, at) = self.pens.begin().await?;
        let is_free = claim.enter(&mut transaction.connection()).await?.is_some();
        let found = match is_free {
            true => claim.look(&mut transaction.connection(), at).await?,
            false => Found::Running,
        };
        let found = match found {
            Found::Nothing => None,
            Found::Answer(answer) => Some(Once::Again(answer)),
            Found::Other => Some(Once::Differs),
            Found::Running => Some(Once::Running),
        };
        if let Some(found) = found {
            // Or the next who asks would find this one under way.
            transaction.rollback().await?;
            return Ok(found);
        }
        let none = StoredAnswer { status: UNDER_WAY, body: String::new(), location: None };
        claim.keep(&mut transaction.connection(), &none, at).await?;
        transaction.commit().await?;
        Ok(Once::First(Unanswered { tickets: self.clone(), claim, at }))
    }
}

impl Unanswered {
    /// Keeps the answer, for a day from now.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. The request may then be done anew.
    pub async fn keep(self, answer: &StoredAnswer) -> Result<(), StoreError> {
        let (mut transaction, now) = self.tickets.pens.begin().await?;
        self.claim.keep(&mut transaction.connection(), answer, now).await?;
        transaction.commit().await
    }

    /// Lets the next who asks do it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Then they have to wait for a minute.
    pub async fn give_up(self) -> Result<(), StoreError> {
        let mut transaction = self.tickets.pens.transaction().await?;
        let [caller, route, key] = self.claim.scope();
        execute!(
            &mut transaction.connection(),
            "DELETE FROM idempotency_keys
             WHERE caller = $1 AND route = $2 AND key = $3 AND status = $4 AND at_ms = $5",
            caller,
            route,
            key,
            i64::from(UNDER_WAY),
            signed(self.at.0),
        );
        transaction.commit().await
    }
}
