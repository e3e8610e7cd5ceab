//! Statements for SQLite that may be sent as one, as each way to the thread of the connection and back costs as much as
//! what it does there.

use std::fmt::Write as _;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Executor, FromRow, SqlSafeStr, SqlStr, SqliteConnection,
};

use super::cohort::Turn;

/// A statement, or several, with the values of its parameters, `$1` and on.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: SqlStr,
    /// How many it is.
    count: usize,
    values: Vec<Value>,
}

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
}

/// What came of a statement.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    rows: Vec<SqliteRow>,
    /// How many rows it has written.
    written: u64,
}

/// A connection to SQLite.
#[derive(Debug)]
pub(crate) enum Lite<'a> {
    /// Outside a transaction.
    Free(&'a mut SqliteConnection),
    /// In one.
    Within(&'a mut Turn),
}

impl Statement {
    pub(crate) fn new(sql: impl SqlSafeStr, values: impl Into<Vec<Value>>) -> Self {
        let sql = sql.into_sql_str();
        let ends: usize = unquoted(sql.as_str()).map(|part| part.matches(';').count()).sum();
        Self { sql, count: ends + 1, values: values.into() }
    }

    /// One without parameters.
    pub(super) fn plain(sql: &'static str) -> Self {
        Self::new(sql, [])
    }

    /// Puts another behind it, whose parameters are numbered on.
    pub(super) fn then(mut self, next: Self) -> Self {
        let next_sql = shifted(next.sql.as_str(), self.values.len());
        self.sql = AssertSqlSafe(format!("{};\n{next_sql}", self.sql.as_str())).into_sql_str();
        self.values.extend(next.values);
        self.count += next.count;
        self
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Sends it, and adds what came of each, up to the first that fails.
    pub(super) async fn send(
        self,
        connection: &mut SqliteConnection,
        answers: &mut Vec<Answer>,
    ) -> sqlx::Result<()> {
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            let added = match value {
                Value::Null => arguments.add(None::<String>),
                Value::Number(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        let mut steps = connection.fetch_many(sqlx::query_with(self.sql, arguments));
        let mut rows = Vec::new();
        while let Some(step) = steps.try_next().await? {
            match step {
                Either::Right(row) => rows.push(row),
                Either::Left(done) => {
                    let rows = std::mem::take(&mut rows);
                    answers.push(Answer { rows, written: done.rows_affected() });
                }
            }
        }
        Ok(())
    }
}

/// The parts of a statement that are not quoted; comments are none of it. A quote within quotes is two of them, with nothing between.
fn unquoted(sql: &str) -> impl Iterator<Item = &str> {
    sql.split('\'').step_by(2)
}

/// Numbers the parameters of a statement on. What is quoted has none.
fn shifted(sql: &str, by: usize) -> String {
    let mut all = String::with_capacity(sql.len() + 64);
    for (n, part) in sql.split('\'').enumerate() {
        if n > 0 {
            all.push('\'');
        }
        if n % 2 == 0 { shift(&mut all, part, by) } else { all.push_str(part) }
    }
    all
}

fn shift(all: &mut String, sql: &str, by: usize) {
    let mut parts = sql.split('$');
    all.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|it: char| !it.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let number: usize = number.parse().expect("parameters are numbered");
        all.push('$');
        write!(all, "{}", number + by).expect("a text takes whatever is written");
        all.push_str(rest);
    }
}

impl Answer {
    /// All of some, as one.
    pub(super) fn of(answers: Vec<Self>) -> Self {
        let written = answers.last().map_or(0, |last| last.written);
        Self { rows: answers.into_iter().flat_map(|answer| answer.rows).collect(), written }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn fetch_all<T: for<'r> FromRow<'r, SqliteRow>>(&self) -> sqlx::Result<Vec<T>> {
        self.rows.iter().map(T::from_row).collect()
    }

    pub(crate) fn fetch_optional<T>(&self) -> sqlx::Result<Option<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        self.rows.first().map(T::from_row).transpose()
    }

    pub(crate) fn fetch_one<T: for<'r> FromRow<'r, SqliteRow>>(&self) -> sqlx::Result<T> {
        self.fetch_optional()?.ok_or(sqlx::Error::RowNotFound)
    }
}

impl Lite<'_> {
    /// The connection, where it is had: within a transaction once that has begun.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Free(connection) => connection,
            Self::Within(turn) => turn,
        }
    }

    /// Sends a statement.
    pub(crate) async fn ask(&mut self, statement: Statement) -> sqlx::Result<Answer> {
        match self {
            Self::Free(connection) => {
                let mut answers = Vec::new();
                statement.send(connection, &mut answers).await?;
                Ok(Answer::of(answers))
            }
            Self::Within(turn) => turn.ask(statement).await,
        }
    }

    /// Sends the last statement of a part of a transaction, which ends that as well.
    pub(crate) async fn ask_last(&mut self, statement: Statement) -> sqlx::Result<Answer> {
        match self {
            Self::Free(_) => self.ask(statement).await,
            Self::Within(turn) => turn.ask_last(statement).await,
        }
    }

    /// Leaves a statement to be sent with the next.
    pub(crate) async fn defer(&mut self, statement: Statement) -> sqlx::Result<()> {
        match self {
            Self::Free(_) => self.ask(statement).await.map(drop),
            Self::Within(turn) => turn.defer(statement),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::{Statement, shifted};

    #[test]
    fn parameters_are_numbered_on() {
        assert_eq!(shifted("VALUES ($1, $12,$2)", 9), "VALUES ($10, $21,$11)");
        assert_eq!(shifted("SELECT 1", 9), "SELECT 1");
        assert_eq!(shifted("$1", 1), "$2");
    }

    #[test]
    fn statements_are_counted() {
        let count = |sql: &'static str| Statement::plain(sql).count();
        assert_eq!(count("SELECT ';', ';'"), 1);
        assert_eq!(count("SELECT 1; SELECT '''' || ';'; SELECT 2"), 3);
        let two = Statement::plain("SELECT 1; SELECT 2");
        assert_eq!(two.clone().then(two).count(), 4);
    }

    #[test]
    fn what_is_quoted_is_left_as_it_is() {
        assert_eq!(shifted("$1 ->> '$[1][0]' || $2", 3), "$4 ->> '$[1][0]' || $5");
        assert_eq!(shifted("'it''s $1' || $1", 1), "'it''s $1' || $2");
    }
}
