//! Statements that are the same on either store: parameters `$1`, texts and numbers of 64 bits.

use sqlx::{PgConnection, SqliteConnection};

/// A connection, within a transaction or not.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// Runs a statement and returns its rows as the method says: `fetch_all`, `fetch_optional`, `fetch_one`.
macro_rules! rows {
    ($connection:expr, $method:ident, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$connection {
            $crate::statement::Connection::Sqlite(connection) => {
                sqlx::query_as($sql)$(.bind($bind))*.$method(&mut **connection).await?
            }
            $crate::statement::Connection::Postgres(connection) => {
                sqlx::query_as($sql)$(.bind($bind))*.$method(&mut **connection).await?
            }
        }
    };
}

/// Runs a statement and returns how many rows it has written.
macro_rules! execute {
    ($connection:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$connection {
            $crate::statement::Connection::Sqlite(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **connection).await?.rows_affected()
            }
            $crate::statement::Connection::Postgres(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **connection).await?.rows_affected()
            }
        }
    };
}

/// Reads rows of either store into a type, by the names of the columns.
macro_rules! from_row {
    ($type:ty, |$row:ident| $read:expr) => {
        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $type {
            fn from_row($row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                use sqlx::Row as _;
                $read
            }
        }
        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $type {
            fn from_row($row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
                use sqlx::Row as _;
                $read
            }
        }
    };
}

pub(crate) use {execute, from_row, rows};
