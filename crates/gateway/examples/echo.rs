//! Serves an echo over the gateway's own connections, for the Autobahn test suite; see
//! `cargo xtask autobahn`.
//!
//! Prints the address that it listens on. Its only argument is a directory to keep its state in.

use std::path::PathBuf;

use anyhow::{Context, Result};
use penholder_gateway::config::{self, Overrides};
use penholder_gateway::data_dir::DataDirectory;
use penholder_gateway::{App, RunMode, clock, echo_router, serve, telemetry};

#[tokio::main]
async fn main() -> Result<()> {
    let place = std::env::args_os().nth(1).map(PathBuf::from).context("no directory is given")?;
    // As the suite's cases need it; all else is as it comes.
    let variables = [("PENHOLDER__LIMITS__MESSAGE_MAX", "16MiB")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = config::load(None, variables.into_iter(), Overrides::default())?;
    let data = DataDirectory::open(&place, clock::wall().0)?;
    let app =
        App::start(config, RunMode::Development, data, telemetry::install_metrics()?, None).await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    #[expect(clippy::print_stdout, reason = "whoever started it waits for this line")]
    {
        println!("listening on ws://{}", listener.local_addr()?);
    }
    serve::serve(listener, echo_router(app.clone()), app).await;
    Ok(())
}
