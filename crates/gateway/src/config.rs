//! The configuration: what can be set, its defaults and its legal ranges.
//!
//! It is read once, at the start, into one small struct per concern; see `default.toml` for what each
//! key means and what breaks when it is wrong. A test keeps that file and these defaults equal.

mod load;
mod pen;
mod units;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use crate::admission::ARRIVALS_PER_CONNECTION;

pub use load::{ConfigError, Overrides, Source, load};
pub use pen::{Pen, PenOverride};
pub use units::{Count, Secret, Size, Span};

/// The default configuration with comments, as `penholder config --print-default` shows it.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener and its bounds.
    pub server: Server,
    /// What is kept, and where.
    pub storage: Storage,
    /// Who is believed.
    pub auth: Auth,
    /// How topics behave.
    pub presence: Presence,
    /// How pens behave.
    pub pen: Pen,
    /// What a client may do how often.
    pub limits: Limits,
    /// What may happen to tickets.
    pub tickets: Tickets,
    /// Who is sent the events.
    pub consumers: Consumers,
    /// This replica among others.
    pub cluster: Cluster,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Options of single namespaces.
    pub namespace: BTreeMap<String, Namespace>,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Base address for links; empty: from `listen`.
    pub public_url: String,
    /// Allowed origins.
    pub origins: Vec<String>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a stopping server takes to send its clients away.
    pub drain: Span<0, 600_000>,
    /// How long a request head may take.
    pub header_timeout: Span<100, 300_000>,
    /// Most connections.
    pub connections_max: Count<1, 10_000_000>,
    /// Most connections of one address.
    pub connections_per_address_max: Count<1, 10_000_000>,
    /// Most connections of one user.
    pub connections_per_user_max: Count<1, 10_000_000>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            public_url: String::new(),
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            drain: Span::of_ms::<10_000>(),
            header_timeout: Span::of_ms::<5_000>(),
            connections_max: Count::of::<20_000>(),
            connections_per_address_max: Count::of::<200>(),
            connections_per_user_max: Count::of::<20>(),
        }
    }
}

/// `[storage]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Address of a PostgreSQL database; empty: SQLite in the data directory.
    pub url: Secret,
    /// How long the log of pens and tickets is kept.
    pub retention: Span<60_000, 31_536_000_000>,
    /// Most events that the log keeps of a topic, those of its pen among them.
    pub retention_per_topic: Count<100, 10_000_000>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            retention: Span::of_ms::<2_592_000_000>(),
            retention_per_topic: Count::of::<10_000>(),
        }
    }
}

/// `[tickets]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tickets {
    /// Whether a resolved or closed ticket may be opened again.
    pub allow_reopen: bool,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { allow_reopen: true }
    }
}

impl Server {
    /// How many files all connections need, if there are as many as may be.
    #[must_use]
    pub fn files_max(&self) -> u64 {
        self.connections_max.number().saturating_mul(1 + ARRIVALS_PER_CONNECTION)
    }

    /// Whether `address` is that of a proxy, which speaks for others.
    #[must_use]
    pub fn trusts(&self, address: &IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

/// `[auth]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Key of HS256 tokens.
    pub hs256_secret: Secret,
    /// Public key of RS256, ES256 or `EdDSA` tokens, in PEM; empty: none.
    pub public_key_file: PathBuf,
    /// Set of public keys (JWKS); empty: none.
    pub jwks_file: PathBuf,
    /// Issuer that tokens must name; empty: not checked.
    pub issuer: String,
    /// Audience that tokens must name; empty: not checked.
    pub audience: String,
    /// How far clocks may differ.
    pub leeway: Span<0, 300_000>,
    /// Whether a token may stand in the query.
    pub query_token: bool,
    /// Keys of backends.
    pub api_keys: Vec<ApiKey>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            hs256_secret: Secret::default(),
            public_key_file: PathBuf::new(),
            jwks_file: PathBuf::new(),
            issuer: String::new(),
            audience: String::new(),
            leeway: Span::of_ms::<5_000>(),
            query_token: true,
            api_keys: Vec::new(),
        }
    }
}

impl Auth {
    /// Whether some token can be accepted.
    #[must_use]
    pub fn has_key(&self) -> bool {
        let has_file = |path: &PathBuf| !path.as_os_str().is_empty();
        !self.hs256_secret.expose().is_empty()
            || has_file(&self.public_key_file)
            || has_file(&self.jwks_file)
    }
}

/// One entry of `auth.api_keys`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Names the key in logs.
    pub id: String,
    /// SHA-256 of the key, 64 hexadecimal digits.
    pub sha256: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Scope {
    /// Read presence and summaries of every topic.
    #[serde(rename = "presence:read")]
    PresenceRead,
    /// Publish on every topic, remove sessions.
    #[serde(rename = "presence:write")]
    PresenceWrite,
    /// Read, take and revoke the pen of every topic.
    #[serde(rename = "pens:write")]
    PensWrite,
    /// Read tickets as the staff does.
    #[serde(rename = "tickets:read")]
    TicketsRead,
    /// Read and write tickets as the staff does.
    #[serde(rename = "tickets:write")]
    TicketsWrite,
    /// Read the event log as the staff does.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Make consumers of the event log, and look after them.
    #[serde(rename = "consumers:write")]
    ConsumersWrite,
    /// Everything.
    #[serde(rename = "admin")]
    Admin,
}

/// `[presence]`: how topics behave.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// How long changes are gathered.
    pub diff_window: Span<0, 5_000>,
    /// How long a lost session keeps its place.
    pub grace: Span<0, 600_000>,
    /// Without input for so long a session is idle.
    pub idle_after: Span<1_000, 86_400_000>,
    /// Above so many people a topic is shown in part.
    pub full_max: Count<1, 100_000>,
    /// Which tab of the prior person may edit.
    pub session_policy: SessionPolicy,
    /// Whether AI agents come after humans.
    pub ai_after_humans: bool,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            diff_window: Span::of_ms::<20>(),
            grace: Span::of_ms::<10_000>(),
            idle_after: Span::of_ms::<120_000>(),
            full_max: Count::of::<200>(),
            session_policy: SessionPolicy::EarliestSession,
            ai_after_humans: true,
        }
    }
}

/// Which tab of the prior person may edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPolicy {
    /// The one that joined first.
    EarliestSession,
    /// The only one; none while there are several.
    SingleSession,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest message of a client.
    pub message_max: Size<1_024, 16_777_216>,
    /// Largest meta of a session, as the client sent it.
    pub meta_max: Size<0, 3_072>,
    /// Most topics of one socket.
    pub topics_per_socket: Count<1, 10_000>,
    /// Messages of one socket, on average.
    pub messages_per_second: Count<1, 100_000>,
    /// Messages of one socket, at once.
    pub messages_burst: Count<1, 100_000>,
    /// Joins of one socket, on average.
    pub joins_per_second: Count<1, 100_000>,
    /// Joins of one socket, at once.
    pub joins_burst: Count<1, 100_000>,
    /// Presence updates of one session, on average.
    pub presence_updates_per_second: Count<1, 100_000>,
    /// Presence updates of one session, at once.
    pub presence_updates_burst: Count<1, 100_000>,
    /// Most frames queued for one socket.
    pub send_queue_frames: Count<16, 100_000>,
    /// Most bytes queued for one socket.
    pub send_queue_bytes: Size<65_536, 67_108_864>,
    /// HTTP requests from one address, on average.
    pub http_requests_per_second: Count<1, 100_000>,
    /// HTTP requests from one address, at once.
    pub http_requests_burst: Count<1, 100_000>,
    /// Largest body of an HTTP request.
    pub http_body_max: Size<1_024, 67_108_864>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_max: Size::of::<65_536>(),
            meta_max: Size::of::<1_024>(),
            topics_per_socket: Count::of::<100>(),
            messages_per_second: Count::of::<30>(),
            messages_burst: Count::of::<60>(),
            joins_per_second: Count::of::<10>(),
            joins_burst: Count::of::<20>(),
            presence_updates_per_second: Count::of::<5>(),
            presence_updates_burst: Count::of::<20>(),
            send_queue_frames: Count::of::<512>(),
            send_queue_bytes: Size::of::<262_144>(),
            http_requests_per_second: Count::of::<200>(),
            http_requests_burst: Count::of::<2_000>(),
            http_body_max: Size::of::<1_048_576>(),
        }
    }
}

/// `[consumers]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consumers {
    /// Whether webhooks may go to addresses that are not of the public internet.
    pub allow_private_addresses: bool,
    /// For how long a delivery is tried.
    pub retry_for: Span<0, 2_592_000_000>,
    /// How long an attempt may take.
    pub timeout: Span<100, 300_000>,
    /// Attempts of one consumer at a time.
    pub in_flight: Count<1, 1_000>,
}

impl Default for Consumers {
    fn default() -> Self {
        Self {
            allow_private_addresses: false,
            retry_for: Span::of_ms::<86_400_000>(),
            timeout: Span::of_ms::<10_000>(),
            in_flight: Count::of::<16>(),
        }
    }
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Name of this replica; empty: the host's name.
    pub name: String,
    /// Parts that topics are spread over.
    pub shards: Count<1, 256>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { name: String::new(), shards: Count::of::<16>() }
    }
}

/// `[telemetry]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The shape of log lines.
    pub log: LogFormat,
    /// Collector of traces; empty: none. Needs the cargo feature `otlp`.
    pub otlp_endpoint: String,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// For machines: one JSON object a line.
    Json,
}

/// `[namespace.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// What differs from `[presence]`.
    pub presence: PresenceOverride,
    /// What differs from `[pen]`.
    pub pen: PenOverride,
}

/// What differs from `[presence]` in one namespace; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresenceOverride {
    diff_window: Option<Span<0, 5_000>>,
    grace: Option<Span<0, 600_000>>,
    idle_after: Option<Span<1_000, 86_400_000>>,
    full_max: Option<Count<1, 100_000>>,
    session_policy: Option<SessionPolicy>,
    ai_after_humans: Option<bool>,
}

impl PresenceOverride {
    /// The options of the namespace, given those of all topics.
    #[must_use]
    pub fn over(&self, base: &Presence) -> Presence {
        Presence {
            diff_window: self.diff_window.unwrap_or(base.diff_window),
            grace: self.grace.unwrap_or(base.grace),
            idle_after: self.idle_after.unwrap_or(base.idle_after),
            full_max: self.full_max.unwrap_or(base.full_max),
            session_policy: self.session_policy.unwrap_or(base.session_policy),
            ai_after_humans: self.ai_after_humans.unwrap_or(base.ai_after_humans),
        }
    }
}
