//! What can go wrong between a decision and the disk.

use sqlx::migrate::MigrateError;

/// The store did not do what it was asked, or nobody knows whether it did. Nobody has been granted
/// anything that they were not told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, is too slow, or broke off. Trying again may help; what was asked may
    /// have been done all the same, so an acquire is repeated with its request id.
    #[error("the store is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The store holds what this version cannot read. The operator must look: something else has written
    /// to it, or it is of a later version.
    #[error("the store holds what cannot be read")]
    Damaged(#[source] sqlx::Error),
    /// The tables cannot be brought to this version. The operator must look.
    #[error("the tables cannot be brought to this version")]
    Schema(#[source] MigrateError),
    /// The address of the database cannot be understood. The operator must look.
    #[error("the address of the store cannot be used")]
    Address(#[source] sqlx::Error),
    /// The store has not been opened yet: see [`Pens::connect`](crate::Pens::connect). Nothing was done.
    #[error("the store is not open yet")]
    NotOpen,
    /// A name or text has the character U+0000, which PostgreSQL cannot keep. The caller should have
    /// refused it.
    #[error("a text has the character U+0000")]
    Unstorable,
    /// A draft is longer than may be kept. The caller should have refused it.
    #[error("the draft is too long")]
    DraftTooLong,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. } => Self::Damaged(error),
            sqlx::Error::Configuration(_) => Self::Address(error),
            _ => Self::Unavailable(error),
        }
    }
}
