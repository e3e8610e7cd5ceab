//! The binary `penholder`: command line and configuration in, a running server out.
// As in the library.
#![cfg_attr(not(debug_assertions), recursion_limit = "256")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use penholder_gateway::app::StartError;
use penholder_gateway::auth::{Capability, Claims, KeyError};
use penholder_gateway::cli::{
    Cli, Command, ConfigArgs, KeysArgs, KeysCommand, Place, RunArgs, SeedArgs, TokenArgs,
};
use penholder_gateway::config::{self, Config, ConfigError, DEFAULT_TOML, Overrides};
use penholder_gateway::data_dir::DataDirectory;
use penholder_gateway::pens::ReceiptKeys;
use penholder_gateway::seed::{self, SeedError};
use penholder_gateway::{App, RunMode, app, clock, http, serve, telemetry};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a shell is told when the configuration or the command line is at fault.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Config(args) => show_config(&args),
        Command::Token(args) => print_token(&args),
        Command::Keys(KeysArgs { command: KeysCommand::Rotate { data } }) => rotate_keys(&data),
        Command::Seed(args) => seed_desk(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A fault in a TOML file is told with the line, and ends with one of its own.
            eprintln!("penholder: {}", format!("{error:#}").trim_end());
            let is_usage = error.is::<ConfigError>()
                || error.is::<KeyError>()
                || matches!(error.downcast_ref(), Some(StartError::Keys(_)))
                || error.is::<Misuse>()
                || matches!(error.downcast_ref(), Some(SeedError::Url(_)));
            if is_usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The operator asked for something that is not to be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

fn run(args: &RunArgs) -> Result<()> {
    let config = load(args.place.config.as_deref(), args.listen)?;
    let mode = mode(&args.place, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let traces = telemetry::init(&config.telemetry, runtime.handle())?;
    raise_open_files(config.server.files_max());
    let served = runtime.block_on(async {
        let listen = config.server.listen;
        let listener = serve::listen(listen)
            .with_context(|| format!("cannot listen on {listen}; is another server running?"))?;
        let address = listener.local_addr()?;
        // Only now: a start that fails is no life, and must not end the one before.
        let data = DataDirectory::open(&args.place.data, clock::wall().0)?;
        let metrics = telemetry::install_metrics()?;
        let app = App::start(config, mode, data, metrics, None).await?;
        stop_on_signal(app.clone())?;
        announce(mode, address);
        serve::serve(listener, http::router(app.clone()), app).await;
        tracing::info!("stopped");
        Ok(())
    });
    traces.finish();
    served
}

/// Raises the number of files that may be open to what the system allows: each connection is one, and
/// many systems begin with 1024.
fn raise_open_files(needed: u64) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) if allowed < needed => tracing::warn!(
            allowed,
            needed,
            "fewer files may be open than server.connections_max connections need, those of HTTP included; \
             raise the limit (ulimit -n, LimitNOFILE) or lower the number"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the number of open files"),
    }
}

fn load(file: Option<&Path>, listen: Option<SocketAddr>) -> Result<Config> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(config::load(file, variables, Overrides { listen })?)
}

/// Development mode is asked for with `--dev`, or by giving neither a file nor a key.
fn mode(place: &Place, config: &Config) -> Result<RunMode> {
    let has_key = config.auth.has_key();
    if !place.dev && (has_key || place.config.is_some()) {
        if !has_key && config.auth.api_keys.is_empty() {
            bail!(Misuse(
                "nobody could sign in: set auth.hs256_secret, public_key_file or jwks_file in the \
                 configuration, or run with --dev"
                    .to_owned()
            ));
        }
        return Ok(RunMode::Production);
    }
    let listen = config.server.listen;
    if !listen.ip().is_loopback() {
        bail!(Misuse(format!(
            "development mode hands out tokens to everybody and listens on loopback only, not on \
             {listen}; give a --config with a key in [auth] to serve others"
        )));
    }
    Ok(RunMode::Development)
}

/// Tells people on standard error what to know, and programs on standard output where to connect.
fn announce(mode: RunMode, address: SocketAddr) {
    if mode == RunMode::Development {
        let text = "development mode: loopback only, demo tokens for everybody; not for production";
        if std::io::stderr().is_terminal() {
            eprintln!("\x1b[1;31m{text}\x1b[0m");
        } else {
            eprintln!("{text}");
        }
    }
    println!("penholder {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
}

/// The first signal drains, the second ends the process at once.
fn stop_on_signal(app: App) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for count in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if count > 1 {
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal stops at once");
            app.begin_drain();
        }
    });
    Ok(())
}

fn show_config(args: &ConfigArgs) -> Result<()> {
    if args.print_default {
        print!("{DEFAULT_TOML}");
    }
    if let Some(file) = &args.check {
        app::tokens(&load(Some(file), None)?, None)?;
        println!("{} is in order", file.display());
    }
    Ok(())
}

fn print_token(args: &TokenArgs) -> Result<()> {
    let config = load(args.place.config.as_deref(), None)?;
    let mode = mode(&args.place, &config)?;
    let is_demo = mode == RunMode::Development;
    let secret = is_demo.then(|| DataDirectory::read_secret(&args.place.data)).transpose()?;
    let expires_at = clock::wall().0 / 1000 + u64::from(args.ttl);
    let claims = Claims {
        sub: args.user.clone(),
        exp: std::time::Duration::from_secs(expires_at).as_secs_f64(),
        name: args.name.clone(),
        avatar: args.avatar.clone(),
        role: args.role.into(),
        kind: args.kind.into(),
        topics: topics(&args.topics)?,
        iss: None,
        aud: None,
        iat: Some(std::time::Duration::from_millis(clock::wall().0).as_secs_f64()),
        jti: Some(uuid::Uuid::new_v4().to_string()),
    };
    println!("{}", app::tokens(&config, secret.as_ref())?.sign(claims)?);
    Ok(())
}

fn rotate_keys(data: &Path) -> Result<()> {
    ensure!(data.is_dir(), Misuse(format!("{} is no data directory", data.display())));
    println!("{}", ReceiptKeys::rotate(data)?);
    Ok(())
}

fn seed_desk(SeedArgs { url, tickets, seed }: SeedArgs) -> Result<()> {
    let tickets = tickets.try_into().context("--tickets is at least 1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let order = seed::Order { url, tickets, seed };
    let filled = runtime.block_on(seed::fill(&order))?;
    println!("{filled}. Open {} to see them.", order.url);
    Ok(())
}

fn topics(grants: &[String]) -> Result<Option<BTreeMap<String, Vec<Capability>>>> {
    let mut topics = BTreeMap::new();
    for grant in grants {
        let (pattern, capabilities) = grant
            .split_once('=')
            .ok_or_else(|| Misuse(format!("--topic {grant}: write PATTERN=view,edit")))?;
        let parse = |word: &str| {
            serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|_| {
                Misuse(format!("--topic: {word} is none of view, edit, publish, manage"))
            })
        };
        let capabilities: Result<Vec<Capability>, Misuse> =
            capabilities.split(',').map(parse).collect();
        ensure!(!pattern.is_empty(), Misuse(format!("--topic {grant}: the pattern is missing")));
        topics.insert(pattern.to_owned(), capabilities?);
    }
    Ok((!topics.is_empty()).then_some(topics))
}
