//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, ValueEnum};
use serde_json::{Map, Value};

use crate::dialect::{Dialect, Phoenix, Publishing, SocketIo};
use crate::endpoint::{Credentials, Endpoint, TOPIC_PREFIX};
use crate::figures::Scenario;
use crate::scenario::{Cause, Siege, Sizes};
use crate::socket::Address;
use crate::target::{Kind, Target};

/// Measure servers of presence: Penholder, the least server that does the same, and peers.
///
/// Each named server does the same work in the same run, as only ratios between them mean much. Programs
/// are started here, a fresh one for each scenario; with --url a server that runs already is measured.
#[derive(Debug, Parser)]
#[command(name = "penholder-load", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to measure; all but `hostile` when none is named.
    #[arg(value_enum, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// The binary `penholder`.
    #[arg(long, value_name = "PROGRAM")]
    penholder: Option<PathBuf>,
    /// The binary `penholder-bare`.
    #[arg(long, value_name = "PROGRAM")]
    bare: Option<PathBuf>,
    /// The script of the Socket.IO server; needs Node.js.
    #[arg(long, value_name = "SCRIPT")]
    socketio: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    work: Work,
    /// Threads of this program; it says when they were the bottleneck.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Something to say in the reports, such as commit or machine; may be repeated.
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    pub(crate) label: Vec<(String, String)>,
}

/// A server that runs already.
#[derive(Debug, Args)]
#[command(next_help_heading = "A server that runs already")]
struct Running {
    /// Its address, e.g. ws://127.0.0.1:4000/socket.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What it speaks.
    #[arg(long, value_enum, default_value_t = DialectName::Phoenix, requires = "url")]
    dialect: DialectName,
    /// A parameter of the handshake; {user} and {token} stand for those of the client. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "url")]
    param: Vec<(String, String)>,
    /// The token of all clients.
    #[arg(long, value_name = "TOKEN", requires = "url", conflicts_with = "secret")]
    token: Option<String>,
    /// Key to sign a token with for each client (HS256; claims sub, exp, role).
    #[arg(long, value_name = "KEY", requires = "url")]
    secret: Option<String>,
    /// What the names of topics begin with, or of rooms; a number follows.
    #[arg(long, value_name = "PREFIX", default_value = TOPIC_PREFIX, requires = "url")]
    topic: String,
    /// What a join says, JSON: an object (Phoenix); or anything, in which {topic} and {user} stand for those of the
    /// client (Socket.IO).
    #[arg(long, value_name = "JSON", requires = "url")]
    join: Option<String>,
    /// The event that joins a room (Socket.IO).
    #[arg(long, value_name = "EVENT", default_value = "join", requires = "url")]
    join_event: String,
    /// What a leave says, JSON with {topic} and {user} (Socket.IO).
    #[arg(long, value_name = "JSON", requires = "url")]
    leave: Option<String>,
    /// The event that leaves a room (Socket.IO).
    #[arg(long, value_name = "EVENT", default_value = "leave", requires = "url")]
    leave_event: String,
    /// The event that publishes to the others; without, as Penholder wants it (Phoenix), or `publish` (Socket.IO).
    #[arg(long, value_name = "EVENT", requires = "url")]
    publish: Option<String>,
    /// What it says, JSON with {topic}, {user} and {note}, where {note} has to come back as it is (Socket.IO).
    #[arg(long, value_name = "JSON", requires = "url")]
    publish_payload: Option<String>,
    /// The event under which that arrives.
    #[arg(long, value_name = "EVENT", default_value = "note", requires = "url")]
    event: String,
    /// Its process, to see memory and processor time where it runs on this machine.
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DialectName {
    /// Phoenix Channels, V2, with the events of Phoenix.Presence
    Phoenix,
    /// Socket.IO over WebSocket
    Socketio,
}

/// How much work.
#[derive(Debug, Args)]
#[command(next_help_heading = "How much")]
struct Work {
    /// Fewer clients, shorter spans: a first impression.
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,
    /// A few clients: whether all works, not how fast.
    #[arg(long)]
    smoke: bool,
    /// Clients of each scenario.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    clients: Option<u32>,
    /// How long each rate is measured.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: Option<u32>,
    /// Events a second on the desk.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    events: Option<u32>,
    /// People who come and go on the desk, each second.
    #[arg(long, value_name = "N")]
    churn: Option<u32>,
    /// How long the server is attacked: a minute alone, a minute attacked, and about half a minute until nothing
    /// is left, again and again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    minutes: Option<u32>,
    /// Attackers at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    attackers: Option<u32>,
    /// Decides what attackers do.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Messages under way where as many as possible are sent.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    window: u32,
    /// What takes the connections away before all reconnect; kill and drain when none is named.
    #[arg(long, value_enum, value_name = "CAUSE")]
    cause: Vec<Cause>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Cli {
    /// The scenarios in their order, each once.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        let all = Scenario::value_variants().iter().copied();
        // An hour is only spent on purpose.
        let is_by_default = |it| it != Scenario::Hostile || self.work.smoke;
        let none_is_named = self.scenarios.is_empty();
        all.filter(|it| (none_is_named && is_by_default(*it)) || self.scenarios.contains(it))
            .collect()
    }

    /// The servers to measure; ratios are those of the first.
    ///
    /// # Errors
    ///
    /// There is none, or the one that runs already is not described as it must be.
    pub(crate) fn targets(&self) -> Result<Vec<Target>> {
        let programs = [
            (Kind::Penholder, &self.penholder),
            (Kind::Bare, &self.bare),
            (Kind::SocketIo, &self.socketio),
        ];
        let mut targets = self.running.target()?.into_iter().collect::<Vec<_>>();
        for (kind, path) in programs {
            if let Some(path) = path {
                targets.push(Target::Program { kind, path: path.clone() });
            }
        }
        ensure!(!targets.is_empty(), "name a server: --penholder, --bare, --socketio or --url");
        Ok(targets)
    }

    pub(crate) fn window(&self) -> u32 {
        self.work.window
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        if !self.work.cause.is_empty() {
            return self.work.cause.clone();
        }
        if self.running.url.is_some() {
            Cause::value_variants().to_vec()
        } else {
            vec![Cause::Kill, Cause::Drain]
        }
    }

    /// How large the work is.
    pub(crate) fn sizes(&self) -> Sizes {
        let mut sizes = match (self.work.quick, self.work.smoke) {
            (false, false) => full(),
            (true, _) => quick(),
            (_, true) => smoke(),
        };
        if let Some(clients) = self.work.clients {
            sizes.idle = clients;
            sizes.storms = vec![clients];
            sizes.fanout = clients;
            sizes.topics = (clients / sizes.viewers).max(1);
            sizes.reconnect = clients;
        }
        if let Some(seconds) = self.work.seconds {
            sizes.span = Duration::from_secs(seconds.into());
        }
        if let Some(minutes) = self.work.minutes {
            sizes.siege.window = Duration::from_mins(1);
            sizes.siege.attacks = (minutes * 2 / 5).max(1);
        }
        sizes.siege.attackers = self.work.attackers.unwrap_or(sizes.siege.attackers);
        sizes.siege.seed = self.work.seed;
        sizes.events = self.work.events.unwrap_or(sizes.events);
        sizes.churn = self.work.churn.unwrap_or(sizes.churn);
        sizes
    }
}

impl Sizes {
    /// The most clients that are there at a time.
    pub(crate) fn most_clients(&self) -> u32 {
        let storms = self.storms.iter().copied();
        let others = [self.idle, self.fanout + 1, self.topics * self.viewers, self.reconnect];
        storms.chain(others).max().unwrap_or(0)
    }
}

fn full() -> Sizes {
    Sizes {
        idle: 10_000,
        settle: Duration::from_secs(15),
        storms: vec![1000, 500],
        rounds: 3,
        fanout: 1000,
        singles: 500,
        topics: 1000,
        viewers: 10,
        events: 2000,
        churn: 50,
        reconnect: 10_000,
        span: Duration::from_secs(10),
        siege: Siege { attacks: 24, window: Duration::from_mins(1), attackers: 300, seed: 1 },
    }
}

fn quick() -> Sizes {
    Sizes {
        idle: 2000,
        settle: Duration::from_secs(5),
        storms: vec![300],
        rounds: 1,
        fanout: 300,
        singles: 200,
        topics: 200,
        events: 500,
        churn: 20,
        reconnect: 2000,
        span: Duration::from_secs(3),
        siege: Siege { attacks: 5, window: Duration::from_secs(20), ..full().siege },
        ..full()
    }
}

fn smoke() -> Sizes {
    Sizes {
        idle: 40,
        settle: Duration::from_millis(200),
        storms: vec![30],
        rounds: 1,
        fanout: 20,
        singles: 20,
        topics: 6,
        viewers: 4,
        events: 100,
        churn: 10,
        reconnect: 40,
        span: Duration::from_millis(400),
        siege: Siege { attacks: 1, window: Duration::from_secs(3), attackers: 60, seed: 1 },
    }
}

impl Running {
    fn target(&self) -> Result<Option<Target>> {
        let Some(url) = &self.url else { return Ok(None) };
        let credentials = match (&self.secret, &self.token) {
            (Some(secret), _) => Credentials::signed(secret),
            (None, token) => Credentials::Fixed(token.clone().unwrap_or_default()),
        };
        let mut params = self.param.clone();
        let names_token = params.iter().any(|(_, value)| value.contains("{token}"));
        if (self.secret.is_some() || self.token.is_some()) && !names_token {
            params.push(("token".to_owned(), "{token}".to_owned()));
        }
        let dialect = match self.dialect {
            DialectName::Phoenix => Dialect::Phoenix(self.phoenix()?),
            DialectName::Socketio => Dialect::SocketIo(self.socketio()),
        };
        let (address, topic_prefix) = (Address::parse(url)?, self.topic.clone());
        let endpoint = Endpoint { address, dialect, params, credentials, topic_prefix };
        Ok(Some(Target::Running { endpoint: Box::new(endpoint), pid: self.pid }))
    }

    fn socketio(&self) -> SocketIo {
        let usual = SocketIo::default();
        let or = |given: &Option<String>, usual| given.clone().unwrap_or(usual);
        SocketIo {
            join_event: self.join_event.clone(),
            join_payload: or(&self.join, usual.join_payload),
            leave_event: self.leave_event.clone(),
            leave_payload: or(&self.leave, usual.leave_payload),
            publish_event: or(&self.publish, usual.publish_event),
            publish_payload: or(&self.publish_payload, usual.publish_payload),
            note_event: self.event.clone(),
        }
    }

    fn phoenix(&self) -> Result<Phoenix> {
        let join_payload: Map<String, Value> =
            serde_json::from_str(self.join.as_deref().unwrap_or("{}"))
                .context("--join: a JSON object")?;
        let publishing = self.publish.clone().map_or(Publishing::Wrapped, Publishing::Event);
        Ok(Phoenix { publishing, note_event: self.event.clone(), join_payload })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scenarios_keep_their_own_order_and_all_is_the_default() {
        let cli = parse("x desk idle --bare b");
        assert_eq!(cli.scenarios(), [Scenario::Idle, Scenario::Desk]);
        assert_eq!(parse("x --bare b").scenarios().len(), 5);
        assert!(parse("x --bare b --smoke").scenarios().contains(&Scenario::Hostile));
    }

    #[test]
    fn hours_of_attack_are_counted_in_windows() {
        let siege = parse("x hostile --penholder p --minutes 12 --seed 7").sizes().siege;
        assert_eq!((siege.attacks, siege.window, siege.seed), (4, Duration::from_mins(1), 7));
    }

    #[test]
    fn servers_come_in_one_order_and_none_is_an_error() {
        let names = |line| -> Vec<&str> {
            parse(line).targets().unwrap().iter().map(Target::name).collect()
        };
        assert_eq!(names("x --bare b --penholder p"), ["penholder", "bare"]);
        assert_eq!(names("x --url ws://127.0.0.1:1 --bare b"), ["server", "bare"]);
        assert!(parse("x idle").targets().is_err());
        assert!(Cli::try_parse_from(["x", "--bare", "b", "--pid", "1"]).is_err());
    }

    #[test]
    fn token_of_a_running_server_travels_as_parameter_unless_placed_elsewhere() {
        let params = |line| match parse(line).running.target().unwrap() {
            Some(Target::Running { endpoint, .. }) => endpoint.params,
            other => panic!("{other:?}"),
        };
        let token = ("token".to_owned(), "{token}".to_owned());
        assert_eq!(params("x --url ws://127.0.0.1:1 --token t"), [token]);
        let jwt = ("jwt".to_owned(), "{token}".to_owned());
        assert_eq!(params("x --url ws://127.0.0.1:1 --secret s --param jwt={token}"), [jwt]);
    }

    #[test]
    fn sizes_are_overridden_one_by_one() {
        let sizes = parse("x --bare b --quick --clients 50 --seconds 2").sizes();
        assert_eq!((sizes.idle, &sizes.storms[..], sizes.topics), (50, &[50][..], 5));
        assert_eq!((sizes.span, sizes.churn), (Duration::from_secs(2), quick().churn));
        assert_eq!(parse("x --bare b").sizes().most_clients(), 10_000);
    }
}
