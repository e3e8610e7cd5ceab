//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use penholder_protocol::{Kind, Role};

/// Who is here, who may edit now, and what just changed: a presence and edit-lock service.
#[derive(Debug, Parser)]
#[command(name = "penholder", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `penholder` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server.
    ///
    /// Without --config, and without a key in the environment, it starts in development mode: on a
    /// loopback address only, with demo tokens for everybody.
    Run(RunArgs),
    /// Show the configuration.
    Config(ConfigArgs),
    /// Print a token signed with the configured key.
    ///
    /// With --dev it is signed as the development server's own tokens are: give both the same --data.
    Token(TokenArgs),
    /// Manage the keys that receipts of pens are signed with.
    Keys(KeysArgs),
    /// Fill the help desk of a development server with tickets to look at.
    ///
    /// Demo customers write, demo agents answer, assign, leave internal notes and resolve, over HTTP as anybody
    /// would: pages that are open follow it live. The same --seed gives the same tickets; given again within 24 hours
    /// it adds nothing but what is missing, and another one adds others. It needs `penholder run` in development
    /// mode: a real desk is not to be filled with demo tickets.
    Seed(SeedArgs),
}

/// What `run` and `token` share.
#[derive(Debug, Args)]
pub struct Place {
    /// Configuration file (TOML); see `penholder config --print-default`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory; created when missing.
    #[arg(long, value_name = "DIR", default_value = "penholder-data")]
    pub data: PathBuf,
    /// Development mode: loopback only, demo tokens, API key `dev`.
    #[arg(long)]
    pub dev: bool,
}

/// `penholder run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the server finds its things.
    #[command(flatten)]
    pub place: Place,
    /// Address to listen on, as server.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `penholder config`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ConfigArgs {
    /// Print every key with its default and what it means.
    #[arg(long)]
    pub print_default: bool,
    /// Check a file, and the PENHOLDER__SECTION__KEY variables, without starting.
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

/// `penholder token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Where the key is found.
    #[command(flatten)]
    pub place: Place,
    /// Whose token it is: the subject.
    #[arg(long)]
    pub user: String,
    /// The name that others see; the subject where absent.
    #[arg(long)]
    pub name: Option<String>,
    /// URL of a picture.
    #[arg(long)]
    pub avatar: Option<String>,
    /// What the person is to the application.
    #[arg(long, value_enum, default_value_t = RoleArg::Customer)]
    pub role: RoleArg,
    /// Human or AI.
    #[arg(long, value_enum, default_value_t = KindArg::Human)]
    pub kind: KindArg,
    /// How long the token lasts, in seconds.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub ttl: u32,
    /// Capabilities on topics, e.g. 'doc:*=view,edit'; may be repeated. Without: what the role has.
    #[arg(long = "topic", value_name = "PATTERN=CAPABILITIES")]
    pub topics: Vec<String>,
}

/// `penholder keys`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What `penholder keys` can do.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key, and print its id.
    ///
    /// A running server signs with it within some seconds. The key before stays in the set at
    /// /v1/pens/keys for an hour, which is longer than any receipt lasts.
    Rotate {
        /// Data directory of the server.
        #[arg(long, value_name = "DIR", default_value = "penholder-data")]
        data: PathBuf,
    },
}

/// `penholder seed`.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// The development server, as its page is opened.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// How many tickets, 1 to 10000.
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tickets: u32,
    /// What decides which tickets, and what happens to them.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArg {
    /// Everything everywhere.
    Admin,
    /// Works at the desk.
    Agent,
    /// Has what the token names.
    Customer,
    /// Views what agents view.
    Viewer,
    /// Has what the token names.
    Guest,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Admin => Self::Admin,
            RoleArg::Agent => Self::Agent,
            RoleArg::Customer => Self::Customer,
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Guest => Self::Guest,
        }
    }
}

/// A kind on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindArg {
    /// A person.
    Human,
    /// An agent that is none.
    Ai,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Human => Self::Human,
            KindArg::Ai => Self::Ai,
        }
    }
}
