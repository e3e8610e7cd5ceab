//! What the process tells its operator: logs, metrics and traces.

pub(crate) mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub(crate) mod request;
pub(crate) mod trace;

pub use metrics::install as install_metrics;
use tokio::runtime::Handle;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

use crate::config::{LogFormat, Telemetry};

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Traces that are under way to a collector, if there is one.
#[derive(Debug)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    export: Option<otlp::Export>,
}

/// Sends logs to standard error, as `settings` and the variable `RUST_LOG` ask for, and traces where
/// `settings` say, by way of `runtime`.
///
/// # Errors
///
/// A subscriber is set already, or the address of the collector is none.
pub fn init(settings: &Telemetry, runtime: &Handle) -> anyhow::Result<Traces> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hyper=warn"));
    let filter = discreet(filter);
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs: AnyLayer = match settings.log {
        LogFormat::Pretty => logs.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let (traces, spans) = traces(settings, runtime)?;
    let layers: Vec<AnyLayer> = [Some(logs), spans].into_iter().flatten().collect();
    let result = registry().with(layers).try_init();
    result.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))?;
    Ok(traces)
}

/// Lets through what `filter` does, but for secrets.
fn discreet(filter: EnvFilter) -> impl Filter<Registry> + Send + Sync {
    // Without a hint from both, every message of a library would be made to ask whether it is wanted.
    filter.and(filter_fn(is_discreet).with_max_level_hint(LevelFilter::TRACE))
}

/// Whether events of this sort hold no secret. At their finest level, libraries write whole messages, with the
/// tokens in them.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || metadata.target().starts_with("penholder")
}

impl Traces {
    /// Sends what is left of them. Blocks, so not from a task.
    pub fn finish(&self) {
        #[cfg(feature = "otlp")]
        if let Some(export) = &self.export {
            export.finish();
        }
    }
}

#[cfg(feature = "otlp")]
fn traces(settings: &Telemetry, runtime: &Handle) -> anyhow::Result<(Traces, Option<AnyLayer>)> {
    if settings.otlp_endpoint.is_empty() {
        return Ok((Traces { export: None }, None));
    }
    let (export, layer) = otlp::start(&settings.otlp_endpoint, runtime)?;
    Ok((Traces { export: Some(export) }, Some(layer.boxed())))
}

/// The configuration was refused if it named a collector.
#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
fn traces(_: &Telemetry, _: &Handle) -> anyhow::Result<(Traces, Option<AnyLayer>)> {
    Ok((Traces {}, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_fine_for_the_log_is_not_even_asked_about() {
        for (directives, hint) in
            [("info,hyper=warn", LevelFilter::INFO), ("trace", LevelFilter::TRACE)]
        {
            assert_eq!(discreet(EnvFilter::new(directives)).max_level_hint(), Some(hint));
        }
    }
}
