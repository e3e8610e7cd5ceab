//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` returns something.
///
/// # Errors
///
/// It returned nothing until the deadline; or it failed, which is not waited out.
pub async fn until<T>(
    what: impl Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let is_last = Instant::now() >= deadline;
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if is_last {
            bail!("not within {within:?}: {what}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns what `future` becomes.
///
/// # Errors
///
/// It takes longer than the deadline.
pub async fn soon<T>(
    what: impl Display,
    within: Duration,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(within, future)
        .await
        .with_context(|| format!("not within {within:?}: {what}"))?
}
