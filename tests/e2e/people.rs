//! Tokens for tests, signed by the binary itself.

use anyhow::{Result, ensure};
use penholder_tests::{SECRET, command};

/// A token of `eve`, as `penholder token` signs it with these arguments.
pub(crate) fn signed(arguments: &[&str]) -> Result<String> {
    let arguments = [&["token", "--user", "eve"], arguments].concat();
    let finished = command(&arguments, &[("PENHOLDER__AUTH__HS256_SECRET", SECRET)])?;
    ensure!(finished.code == Some(0), "{finished:?}");
    Ok(finished.stdout.trim().to_owned())
}
