//! What the process tells its operator: logs and metrics.

pub(crate) mod metrics;

pub use metrics::install as install_metrics;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Telemetry};

/// Sends logs to standard error, as `settings` and the variable `RUST_LOG` ask for.
///
/// # Errors
///
/// A subscriber is set already.
pub fn init(settings: &Telemetry) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hyper=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match settings.log {
        LogFormat::Pretty => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
