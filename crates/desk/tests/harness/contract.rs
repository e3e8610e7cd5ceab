//! Rules that every store keeps, each tried on each.

use std::pin::Pin;

use anyhow::{Context, Result};
use tokio::task::{LocalSet, spawn_local};

/// A rule: a promise, and the test that fails where it is broken.
pub(crate) type Rule<S> = (&'static str, fn(S) -> Pin<Box<dyn Future<Output = Result<()>>>>);

/// Names the rules of a contract, and makes a test of each on a file of SQLite. Wants a type `Site` to try them
/// on, which opens a `Place`.
macro_rules! contract {
    ($($module:ident::$rule:ident,)+) => {
        const CONTRACT: &[harness::Rule<Site>] =
            &[$((stringify!($rule), |site| Box::pin($module::$rule(site)))),+];

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $rule() -> anyhow::Result<()> {
                    let dir = penholder_stores::Directory::new()?;
                    let place = super::Place::file(dir.path());
                    super::$module::$rule(super::Site::open(place).await?).await
                }
            )+
        }
    };
}

/// Whether a rule holds; says why not. In a task, so that one that panics does not keep others from being tried.
#[expect(clippy::print_stderr, reason = "which rule was broken is told there")]
pub(crate) async fn holds<S: 'static>(&(name, rule): &Rule<S>, site: S) -> bool {
    let outcome = LocalSet::new().run_until(async { spawn_local(rule(site)).await }).await;
    let outcome = outcome.context("it panicked").flatten();
    if let Err(error) = &outcome {
        eprintln!("{name}: {error:#}");
    }
    outcome.is_ok()
}
