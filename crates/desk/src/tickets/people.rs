//! Who is known: those to whom tickets may be assigned, and how they are called.

use std::collections::{BTreeMap, BTreeSet};

use penholder_lease::{PersonId, Role};
use sqlx::{Postgres, QueryBuilder, Sqlite};

use super::Tickets;
use super::error::TicketError;
use super::list::{LIMIT_MAX, Listed, QUERY_CHARS_MAX, pattern};
use super::row::{Kept, folded_person, role_word};
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

/// Which people. What is left out does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeopleFilter {
    /// Any of these; empty for all.
    pub roles: BTreeSet<Role>,
    /// With this text in name or id, whatever the case of its letters.
    pub text: Option<String>,
}

/// A part of a list of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeoplePage {
    limit: u32,
    after: Option<(String, String)>,
}

impl PeoplePage {
    /// Returns the part that begins after a cursor, or at the start.
    ///
    /// # Errors
    ///
    /// The limit is not 1 to 1000, or the cursor is none that a list has given.
    pub fn new(limit: u32, cursor: Option<&str>) -> Result<Self, TicketError> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(TicketError::InvalidPage);
        }
        let after = cursor.map(|cursor| match cursor.split_once('\0') {
            Some((name, id)) if !id.contains('\0') => Ok((name.to_owned(), id.to_owned())),
            _ => Err(TicketError::InvalidPage),
        });
        Ok(Self { limit, after: after.transpose()? })
    }
}

/// Puts the query of a list together, the same for either database. `$in_order` compares names by their bytes.
macro_rules! people_query {
    ($database:ty, $in_order:literal, $filter:expr, $page:expr) => {{
        let (filter, page): (&PeopleFilter, &PeoplePage) = ($filter, $page);
        let mut query =
            QueryBuilder::<$database>::new("SELECT id, name, role FROM people WHERE 1 = 1");
        if !filter.roles.is_empty() {
            query.push(" AND role IN (");
            let mut list = query.separated(", ");
            for role in &filter.roles {
                list.push_bind(role_word(*role));
            }
            query.push(")");
        }
        if let Some(text) = &filter.text {
            query.push(" AND folded LIKE ").push_bind(pattern(text)).push(r" ESCAPE '\'");
        }
        if let Some((name, id)) = &page.after {
            query.push(concat!(" AND (", $in_order, ", id) > (")).push_bind(name.clone());
            query.push(", ").push_bind(id.clone()).push(")");
        }
        query.push(concat!(" ORDER BY ", $in_order, ", id LIMIT "));
        query.push_bind(i64::from(page.limit) + 1);
        query
    }};
}

/// Puts the statement together, the same for either database. What is known already is not written again.
macro_rules! upsert {
    ($database:ty, $people:expr) => {{
        let mut query =
            QueryBuilder::<$database>::new("INSERT INTO people (id, name, role, folded) ");
        query.push_values($people, |mut row, person: &KnownPerson| {
            row.push_bind(person.id.as_str().to_owned());
            row.push_bind(person.name.clone());
            row.push_bind(role_word(person.role));
            row.push_bind(folded_person(&person.id, &person.name));
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE
              SET name = excluded.name, role = excluded.role, folded = excluded.folded
              WHERE people.name <> excluded.name OR people.role <> excluded.role
                  OR people.folded <> excluded.folded",
        );
        query
    }};
}

impl Tickets {
    /// Reads a page of those who are known, in the order of their names by bytes, then of their ids.
    ///
    /// Cost: in proportion to those who have one of the roles.
    ///
    /// # Errors
    ///
    /// The text is too long, or see [`StoreError`].
    pub async fn people(
        &self,
        filter: &PeopleFilter,
        page: &PeoplePage,
    ) -> Result<Listed<KnownPerson>, TicketError> {
        let text = filter.text.as_deref().unwrap_or_default();
        if text.contains('\0') || text.chars().count() > QUERY_CHARS_MAX {
            return Err(TicketError::InvalidPage);
        }
        let mut reader = self.pens.reader().await?;
        let found: Vec<Kept<KnownPerson>> = match reader.connection() {
            Connection::Sqlite(mut connection) => {
                let mut query = people_query!(Sqlite, "name", filter, page);
                query.build_query_as().fetch_all(connection.connection()).await?
            }
            Connection::Postgres(connection) => {
                let mut query = people_query!(Postgres, "name COLLATE \"C\"", filter, page);
                query.build_query_as().fetch_all(connection).await?
            }
        };
        let people = found.into_iter().map(|kept| kept.0).collect();
        let place = |last: &KnownPerson| format!("{}\0{}", last.name, last.id);
        Ok(Listed::cut(people, page.limit, place))
    }

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
                query.build().execute(lite.connection()).await?;
            }
            Connection::Postgres(connection) => {
                upsert!(Postgres, people.into_values()).build().execute(connection).await?;
            }
        }
        transaction.commit().await
    }
}
