//! The sizes that a decoded delta may have, and that a caller checks before tracking.

use thiserror::Error;

use crate::meta::Meta;

/// The most bytes of a topic.
pub const TOPIC_BYTES_MAX: usize = 200;
/// The most bytes of a key.
pub const KEY_BYTES_MAX: usize = 256;
/// The most bytes of a session id.
pub const SESSION_BYTES_MAX: usize = 256;
/// The most bytes of a replica name.
pub const REPLICA_NAME_BYTES_MAX: usize = 128;
/// The most bytes of a [`profile`](crate::Meta::profile).
pub const PROFILE_BYTES_MAX: usize = 4096;
/// The most bytes of [`custom`](crate::Meta::custom).
pub const CUSTOM_BYTES_MAX: usize = 4096;
/// The largest counter of a dot.
pub const COUNTER_MAX: u64 = u64::MAX >> 1;

/// What has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// [`TOPIC_BYTES_MAX`].
    Topic,
    /// [`KEY_BYTES_MAX`].
    Key,
    /// [`SESSION_BYTES_MAX`].
    Session,
    /// [`REPLICA_NAME_BYTES_MAX`].
    ReplicaName,
    /// [`PROFILE_BYTES_MAX`].
    Profile,
    /// [`CUSTOM_BYTES_MAX`].
    Custom,
}

impl Limited {
    /// Returns the most bytes it may have.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Topic => TOPIC_BYTES_MAX,
            Self::Key => KEY_BYTES_MAX,
            Self::Session => SESSION_BYTES_MAX,
            Self::ReplicaName => REPLICA_NAME_BYTES_MAX,
            Self::Profile => PROFILE_BYTES_MAX,
            Self::Custom => CUSTOM_BYTES_MAX,
        }
    }

    /// Checks a length.
    ///
    /// # Errors
    ///
    /// [`TooLong`], when it is over the limit.
    pub fn check(self, bytes: usize) -> Result<(), TooLong> {
        if bytes <= self.bytes_max() { Ok(()) } else { Err(TooLong { what: self, bytes }) }
    }
}

/// Something is over its limit. Who chose it must choose something shorter; the same again fails
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what:?} has {bytes} bytes, at most {} are allowed", what.bytes_max())]
pub struct TooLong {
    /// What is too long.
    pub what: Limited,
    /// How long it is.
    pub bytes: usize,
}

impl Meta {
    /// Checks the two blobs, which come from outside.
    ///
    /// # Errors
    ///
    /// [`TooLong`], when one is over its limit.
    pub fn check_limits(&self) -> Result<(), TooLong> {
        Limited::Profile.check(self.profile.len())?;
        Limited::Custom.check(self.custom.len())
    }
}
