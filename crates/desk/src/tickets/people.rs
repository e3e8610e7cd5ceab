//! Who is known: those to whom tickets may be assigned, and how they are called.

use std::collections::BTreeMap;

use penholder_lease::{PersonId, Role};
use sqlx::{Postgres, QueryBuilder, Sqlite};

use super::Tickets;
use super::row::role_word;
use crate::error::StoreError;
use crate::statement::Connection;

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// Who.
    pub id: PersonId,
    /// Their name.
    pub name: String,
    /// What they are to the application.
    pub role: Role,
}

/// Puts the statement together, the same for either database. What is known already is not written again.
macro_rules! upsert {
    ($database:ty, $people:expr) => {{
        let mut query = QueryBuilder::<$database>::new("INSERT INTO people (id, name, role) ");
        query.push_values($people, |mut row, person: &KnownPerson| {
            row.push_bind(person.id.as_str().to_owned());
            row.push_bind(person.name.clone());
            row.push_bind(role_word(person.role));
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role
              WHERE people.name <> excluded.name OR people.role <> excluded.role",
        );
        query
    }};
}

impl Tickets {
    /// Makes somebody known, or gives them another name or role.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn put_person(
        &self,
        id: &PersonId,
        name: &str,
        role: Role,
    ) -> Result<(), StoreError> {
        let person = KnownPerson { id: id.clone(), name: name.to_owned(), role };
        self.put_people(std::slice::from_ref(&person)).await
    }

    /// Makes people known, or gives them other names or roles, in one statement. Of several with one id the last
    /// counts.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Then none of them is.
    pub async fn put_people(&self, people: &[KnownPerson]) -> Result<(), StoreError> {
        // In order, so that two writers never wait for each other in a ring.
        let people: BTreeMap<_, _> = people.iter().map(|person| (&person.id, person)).collect();
        let has_nul =
            |person: &&KnownPerson| person.id.as_str().contains('\0') || person.name.contains('\0');
        if people.values().any(has_nul) {
            return Err(StoreError::Unstorable);
        }
        if people.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pens.transaction().await?;
        match transaction.connection() {
            Connection::Sqlite(mut lite) => {
                let mut query = upsert!(Sqlite, people.into_values());
                let put = query.build().execute(lite.connection()).await;
                lite.seen(put)?;
            }
            Connection::Postgres(connection) => {
                upsert!(Postgres, people.into_values()).build().execute(connection).await?;
            }
        }
        transaction.commit().await
    }
}
