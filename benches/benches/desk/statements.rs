//! How many statements the stores are sent, as sqlx logs them. While that is on each is slower.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use penholder_benches::effort::Asked;
use penholder_benches::table::Table;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::returning::Cost;
use crate::site::{Deed, Place, Site};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The statements of this process that were sent since it was first asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted(());

struct Counter;

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Begins to count.
pub(crate) fn counted() -> Counted {
    static BEGUN: OnceLock<()> = OnceLock::new();
    BEGUN.get_or_init(|| {
        let statements = Targets::new().with_target("sqlx::query", LevelFilter::DEBUG);
        tracing_subscriber::registry().with(Counter.with_filter(statements)).init();
    });
    Counted(())
}

impl Counted {
    pub(crate) fn so_far(self) -> u64 {
        COUNT.load(Ordering::Relaxed)
    }
}

/// Prints how many statements each write takes, with what sqlx logs of its transaction, and how many it took for all
/// to come back, with what the server asks beside that.
pub(crate) async fn count(asked: &Asked, places: &[Place<'_>], returning: &[Cost]) -> Result<()> {
    if !asked.wants("statements") && returning.is_empty() {
        return Ok(());
    }
    let table =
        Table::new(&[("store", 10), ("statements of", 34), ("statements", 10), ("goal", 30)]);
    for Cost { store, statements, topics } in returning {
        let goal = format!("≤ 2 for each of {topics} topics");
        table.row([*store, "all who come back", &statements.to_string(), &goal].map(str::to_owned));
    }
    if !asked.wants("statements") {
        return Ok(());
    }
    for place in places {
        let site = Site::open(place.storage("statements")?, 1).await?;
        let counted = counted();
        for deed in [Deed::Comment, Deed::Change, Deed::Ticket] {
            // The first of its sort may look up more.
            site.write(deed, 0).await?;
            let before = counted.so_far();
            site.write(deed, 0).await?;
            let statements = (counted.so_far() - before).to_string();
            table.row([place.name(), deed.name(), &statements, ""].map(str::to_owned));
        }
        site.close().await;
    }
    Ok(())
}
