//! Statements that are the same on either store: parameters `$1`, texts and numbers of 64 bits.

use sqlx::PgConnection;

pub(crate) use crate::sqlite::{Lite, Statement, Value};

/// A connection, within a transaction or not.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(Lite<'a>),
    Postgres(&'a mut PgConnection),
}

/// Runs a statement and returns its rows as the method says: `fetch_all`, `fetch_optional`, `fetch_one`.
macro_rules! rows {
    ($connection:expr, $method:ident, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$connection {
            $crate::statement::Connection::Sqlite(lite) => {
                let values = vec![$($crate::statement::Value::from($bind)),*];
                lite.ask($crate::statement::Statement::new($sql, values)).await?.$method()?
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
            $crate::statement::Connection::Sqlite(lite) => {
                let values = vec![$($crate::statement::Value::from($bind)),*];
                lite.ask($crate::statement::Statement::new($sql, values)).await?.written()
            }
            $crate::statement::Connection::Postgres(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **connection).await?.rows_affected()
            }
        }
    };
}

/// Runs a statement that writes, if need be together with the next.
macro_rules! defer {
    ($connection:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$connection {
            $crate::statement::Connection::Sqlite(lite) => {
                let values = vec![$($crate::statement::Value::from($bind)),*];
                lite.defer($crate::statement::Statement::new($sql, values)).await?;
            }
            $crate::statement::Connection::Postgres(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **connection).await?;
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

/// Rows of the first parameter, a list of lists in JSON: `value ->> 0` is the first entry of each.
pub(crate) fn each(connection: &Connection<'_>) -> &'static str {
    match connection {
        Connection::Sqlite(_) => "json_each($1)",
        Connection::Postgres(_) => "json_array_elements(CAST($1 AS json)) AS each (value)",
    }
}

/// Puts statements together that are sent as one: their parameters are numbered through.
pub(crate) fn together<const N: usize>(connection: &Connection<'_>, parts: [&str; N]) -> String {
    match connection {
        Connection::Sqlite(_) => parts.join(";\n"),
        Connection::Postgres(_) => {
            let (last, first) = parts.split_last().expect("there is a statement");
            let part = |(n, part): (usize, &&str)| format!("part_{n} AS ({part})");
            let first: Vec<_> = first.iter().enumerate().map(part).collect();
            if first.is_empty() {
                return (*last).to_owned();
            }
            format!("WITH {} {last}", first.join(", "))
        }
    }
}

pub(crate) use {defer, execute, from_row, rows};
