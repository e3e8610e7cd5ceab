//! Statements that are the same on either store: parameters `$1`, texts and numbers of 64 bits.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr, SqliteConnection};

/// A connection, within a transaction or not.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(Lite<'a>),
    Postgres(&'a mut PgConnection),
}

/// A connection to SQLite.
#[derive(Debug)]
pub(crate) struct Lite<'a> {
    connection: &'a mut SqliteConnection,
    /// How it stands with the transaction; none where there is none.
    course: Option<&'a mut Course>,
}

/// How a transaction of SQLite goes on.
#[derive(Debug)]
pub(crate) struct Course {
    /// What begins it: sent with the first statement, as each is a way to another thread and back.
    pub(crate) prelude: Option<&'static str>,
    /// A statement has failed. SQLite may have undone everything by itself, and the next would be kept at once.
    pub(crate) is_lost: bool,
    /// It has ended as a part of one that is still open.
    pub(crate) is_released: bool,
    /// What is to be written before anything else is done, for the same reason.
    pub(crate) deferred: Option<(SqlStr, SqliteArguments)>,
}

/// Where in a part of a transaction a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Within,
    Last,
}

/// What a transaction within another is called.
macro_rules! member {
    () => {
        "member"
    };
}
pub(crate) use member;

impl<'a> Lite<'a> {
    /// A connection outside a transaction.
    pub(crate) fn free(connection: &'a mut SqliteConnection) -> Self {
        Self { connection, course: None }
    }

    pub(crate) fn within(connection: &'a mut SqliteConnection, course: &'a mut Course) -> Self {
        Self { connection, course: Some(course) }
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    /// Returns a statement as it is to be sent.
    pub(crate) fn sql(&mut self, sql: impl SqlSafeStr) -> sqlx::Result<SqlStr> {
        let sql = sql.into_sql_str();
        let Some(course) = self.course.as_mut() else { return Ok(sql) };
        if course.is_lost || course.is_released {
            return Err(sqlx::Error::Protocol("the transaction has ended".to_owned()));
        }
        let Some(prelude) = course.prelude.take() else { return Ok(sql) };
        Ok(AssertSqlSafe(format!("{prelude}; {}", sql.as_str())).into_sql_str())
    }

    /// Returns a statement as it is to be sent, behind what was deferred and with its values; the last of a part of a
    /// transaction ends it as well.
    pub(crate) fn after_deferred(
        &mut self,
        sql: &'static str,
        place: Place,
    ) -> sqlx::Result<(SqlStr, SqliteArguments)> {
        let deferred = self.course.as_mut().and_then(|course| course.deferred.take());
        let (mut text, arguments) = match deferred {
            Some((first, arguments)) => {
                (format!("{};\n{}", first.as_str(), shifted(sql, arguments.len())), arguments)
            }
            None => (sql.to_owned(), SqliteArguments::default()),
        };
        if place == Place::Last {
            text.push_str(concat!("; RELEASE ", member!()));
        }
        let text = self.sql(AssertSqlSafe(text))?;
        if let Some(course) = self.course.as_mut() {
            course.is_released = place == Place::Last;
        }
        Ok((text, arguments))
    }

    /// Leaves a statement to be sent with the next.
    pub(crate) async fn defer(
        &mut self,
        sql: impl SqlSafeStr,
        arguments: SqliteArguments,
    ) -> sqlx::Result<()> {
        self.flush().await?;
        if let Some(course) = self.course.as_mut() {
            course.deferred = Some((sql.into_sql_str(), arguments));
            return Ok(());
        }
        sqlx::query_with(sql, arguments).execute(&mut *self.connection).await.map(drop)
    }

    /// Sends what was deferred.
    pub(crate) async fn flush(&mut self) -> sqlx::Result<()> {
        let deferred = self.course.as_mut().and_then(|course| course.deferred.take());
        let Some((sql, arguments)) = deferred else { return Ok(()) };
        let sql = self.sql(sql)?;
        let done = sqlx::query_with(sql, arguments).execute(&mut *self.connection).await;
        self.seen(done).map(drop)
    }

    /// Takes note of what came of a statement.
    pub(crate) fn seen<T, E>(&mut self, result: Result<T, E>) -> Result<T, E> {
        if let (Err(_), Some(course)) = (&result, self.course.as_mut()) {
            course.is_lost = true;
        }
        result
    }
}

/// Runs a statement and returns its rows as the method says: `fetch_all`, `fetch_optional`, `fetch_one`.
macro_rules! rows {
    ($connection:expr, $method:ident, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$connection {
            $crate::statement::Connection::Sqlite(lite) => {
                lite.flush().await?;
                let sql = lite.sql($sql)?;
                let found = sqlx::query_as(sql)$(.bind($bind))*.$method(lite.connection()).await;
                lite.seen(found)?
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
                lite.flush().await?;
                let sql = lite.sql($sql)?;
                let done = sqlx::query(sql)$(.bind($bind))*.execute(lite.connection()).await;
                lite.seen(done)?.rows_affected()
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
                let mut arguments = sqlx::sqlite::SqliteArguments::default();
                $(sqlx::Arguments::add(&mut arguments, $bind).map_err(sqlx::Error::Encode)?;)*
                lite.defer($sql, arguments).await?;
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

/// Numbers the parameters of a statement on.
fn shifted(sql: &str, by: usize) -> String {
    let mut parts = sql.split('$');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|it: char| !it.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let number: usize = number.parse().expect("parameters are numbered");
        all.push('$');
        all.push_str(&(number + by).to_string());
        all.push_str(rest);
    }
    all
}

pub(crate) use {defer, execute, from_row, rows};

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn parameters_are_numbered_on() {
        assert_eq!(shifted("VALUES ($1, $12,$2)", 9), "VALUES ($10, $21,$11)");
        assert_eq!(shifted("SELECT 1", 9), "SELECT 1");
        assert_eq!(shifted("$1", 1), "$2");
    }
}
