//! The tables, and how they come to be. Migrations are part of the binary.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const SQLITE: &[(i64, &str, &str)] = &[
    (1, "pens", include_str!("../migrations/sqlite/0001_pens.sql")),
    (2, "tickets", include_str!("../migrations/sqlite/0002_tickets.sql")),
    (3, "consumers", include_str!("../migrations/sqlite/0003_consumers.sql")),
    (4, "people", include_str!("../migrations/sqlite/0004_people.sql")),
    (5, "secrets", include_str!("../migrations/sqlite/0005_secrets.sql")),
    (6, "pen events", include_str!("../migrations/sqlite/0006_pen_events.sql")),
    (7, "retention", include_str!("../migrations/sqlite/0007_retention.sql")),
];

const POSTGRES: &[(i64, &str, &str)] = &[
    (1, "pens", include_str!("../migrations/postgres/0001_pens.sql")),
    (2, "tickets", include_str!("../migrations/postgres/0002_tickets.sql")),
    (3, "consumers", include_str!("../migrations/postgres/0003_consumers.sql")),
    (4, "people", include_str!("../migrations/postgres/0004_people.sql")),
    (5, "secrets", include_str!("../migrations/postgres/0005_secrets.sql")),
    (6, "pen events", include_str!("../migrations/postgres/0006_pen_events.sql")),
    (7, "retention", include_str!("../migrations/postgres/0007_retention.sql")),
];

pub(crate) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

pub(crate) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().map(|&(version, description, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}
