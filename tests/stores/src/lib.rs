//! Real stores for tests and benchmarks: an empty directory for a file of SQLite, and a PostgreSQL server
//! that begins and ends with whoever starts it.

mod directory;
mod postgres;

pub use directory::Directory;
pub use postgres::{Durability, PostgresServer};
