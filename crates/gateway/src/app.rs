//! What every request and connection shares.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use penholder_desk::Retention;
use penholder_hub::TopicOptions;
use penholder_presence::{AiPolicy, LivenessConfig, PriorityPolicy, ReplicaConfig, ReplicaId};
use penholder_protocol::Limits;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::auth::{
    ApiKeys, Identity, KeyError, ResumeKey, RevocationError, Revocations, Revoked, Term,
    TokenError, Tokens,
};
use crate::bus::Bus;
use crate::clock::{self, Clock};
use crate::config::{Config, Presence, SessionPolicy};
use crate::consumers::ConsumerDesk;
use crate::data_dir::{DataDirectory, DataError};
use crate::departure::Departure;
use crate::grace::Grace;
use crate::http::RequestRates;
use crate::origin::Origins;
use crate::pens::{PenDesk, ReceiptError, ReceiptKeys};
use crate::people::People;
use crate::shard::Shards;
use crate::socket::Polls;
use crate::sockets::Sockets;
use crate::telemetry::metrics::Traffic;
use crate::tickets::TicketDesk;

/// Typing ends by itself after so long. Unit: milliseconds.
const TYPING_FOR_MS: u64 = 10_000;

/// A handle on the whole application. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// What the application consists of.
#[derive(Debug)]
pub struct Parts {
    pub(crate) config: Config,
    pub(crate) mode: RunMode,
    pub(crate) replica: ReplicaId,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) revocations: Revocations,
    pub(crate) sockets: Sockets,
    /// The connections that are carried by long polling.
    pub(crate) polls: Polls,
    pub(crate) api_keys: ApiKeys,
    pub(crate) resume: ResumeKey,
    pub(crate) origins: Origins,
    pub(crate) admission: Admission,
    /// Who may leave sessions behind.
    pub(crate) grace: Grace,
    pub(crate) request_rates: RequestRates,
    pub(crate) shards: Shards,
    pub(crate) pens: PenDesk,
    pub(crate) tickets: TicketDesk,
    pub(crate) consumers: ConsumerDesk,
    pub(crate) people: People,
    /// Cancelled when the process begins to stop.
    pub(crate) drain: CancellationToken,
    /// The open WebSocket connections.
    pub(crate) connections: TaskTracker,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) traffic: Traffic,
    _data: DataDirectory,
}

/// What several replicas share.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Carries messages between them.
    pub bus: Arc<dyn Bus>,
    /// How they keep in step; equal on all of them.
    pub gossip: ReplicaConfig,
    /// Signs resume tokens, so that each replica can read those of the others.
    pub secret: [u8; 32],
}

/// How much the process trusts whoever reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Loopback only, with demo tokens for everybody.
    Development,
    /// As configured.
    Production,
}

/// Why an application cannot start. The operator must act; trying again does not help.
#[derive(Debug, Error)]
pub enum StartError {
    /// A file of keys cannot be used.
    #[error("configuration: {0}")]
    Keys(#[from] KeyError),
    /// What the data directory keeps cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There are no keys to sign receipts with.
    #[error(transparent)]
    Receipts(#[from] ReceiptError),
    /// The store of pens cannot be opened. Trying again helps when it is a database that starts.
    #[error("storage: {0}")]
    Store(#[from] penholder_desk::StoreError),
    /// Webhooks cannot be sent over TLS here.
    #[error("webhooks: {0}")]
    Webhooks(#[from] reqwest::Error),
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Starts the shards of an application. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`], when a file that the configuration or the data directory names cannot be used.
    pub async fn start(
        config: Config,
        mode: RunMode,
        data: DataDirectory,
        metrics: PrometheusHandle,
        cluster: Option<&Cluster>,
    ) -> Result<Self, StartError> {
        let demo_secret = Some(&data.secret).filter(|_| mode == RunMode::Development);
        let tokens = tokens(&config, demo_secret)?;
        let revocations = Revocations::open(data.file("revocations.json"))?;
        let clock = Clock::start();
        let replica = ReplicaId::new(replica_name(&config), data.incarnation);
        let secret = cluster.map_or(&data.secret, |cluster| &cluster.secret);
        let resume = ResumeKey::new(&derive(secret, "resume"));
        let hub = hub_config(&config, (&replica, &data), cluster);
        let bus = cluster.map(|cluster| Arc::clone(&cluster.bus));
        let count = config.cluster.shards.number();
        let receipts = ReceiptKeys::open(&config, &data)?;
        let pens = PenDesk::open(&config, &data, receipts).await?;
        let shards = Shards::start(count, &hub, &resume, (clock, bus, pens.clone()));
        pens.start(&shards);
        let tickets = TicketDesk::new(&pens, &shards);
        let consumers = ConsumerDesk::new(&config, &tickets)?;
        consumers.start();
        let drain = CancellationToken::new();
        tokio::spawn(tickets.clone().tidy(retention(&config), drain.clone()));
        Ok(Self(Arc::new(Parts {
            tokens,
            revocations,
            sockets: Sockets::default(),
            polls: Polls::default(),
            api_keys: ApiKeys::new(&config.auth.api_keys, mode),
            origins: Origins::new(&config.server, mode),
            admission: Admission::new(&config.server),
            grace: Grace::new(&config),
            request_rates: RequestRates::new(&config.limits),
            drain,
            connections: TaskTracker::new(),
            config,
            mode,
            replica,
            clock,
            resume,
            shards,
            pens,
            people: People::start(tickets.store().clone()),
            tickets,
            consumers,
            metrics,
            traffic: Traffic::new(),
            _data: data,
        })))
    }

    /// The person whom `token` describes, unless it was revoked.
    pub(crate) fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        let identity = self.tokens.verify(token)?;
        match self.revocations.strike(&identity, clock::wall().0) {
            true => Err(TokenError::Revoked),
            false => {
                self.people.seen(&identity);
                Ok(identity)
            }
        }
    }

    /// Revokes tokens and ends the connections that were opened with them; returns how many those are.
    /// Blocks until the revocation is on disk.
    pub(crate) fn revoke(&self, what: &Revoked, term: Term) -> Result<usize, RevocationError> {
        self.revocations.revoke(what, term)?;
        let user = match what {
            Revoked::Subject(subject) => Some(subject.as_str()),
            Revoked::Token(_) => None,
        };
        Ok(self.sockets.end(user, |identity| self.revocations.strike(identity, term.at)))
    }

    /// Begins to stop: nobody new is accepted, everybody here is sent away.
    pub fn begin_drain(&self) {
        self.drain.cancel();
    }

    /// How many topics one socket may join.
    pub(crate) fn topics_max(&self) -> usize {
        self.config.limits.topics_per_socket.as_usize()
    }

    /// How a client is sent away, now that the server stops.
    pub(crate) fn departure(&self) -> Departure {
        let drain = self.config.server.drain.duration();
        Departure::draw(self.admission.total(), drain, &mut rand::rng())
    }
}

/// The tokens that are accepted: signed with the configured key, or where there is none with one that
/// is derived from `demo_secret`, that of the data directory in development mode.
///
/// # Errors
///
/// [`KeyError`], when a file of keys cannot be used.
pub fn tokens(config: &Config, demo_secret: Option<&[u8; 32]>) -> Result<Tokens, KeyError> {
    let demo_key = demo_secret.map(|secret| derive(secret, "demo tokens"));
    Tokens::new(&config.auth, demo_key.as_deref())
}

/// A key for one purpose, so that what is signed for one is worth nothing for another.
fn derive(secret: &[u8; 32], purpose: &str) -> Vec<u8> {
    let digest = Sha256::new().chain_update(b"penholder ").chain_update(purpose);
    digest.chain_update(secret).finalize().to_vec()
}

fn retention(config: &Config) -> Retention {
    let storage = &config.storage;
    let per_topic = storage.retention_per_topic.number();
    Retention { keep_ms: storage.retention.as_ms(), per_topic }
}

fn replica_name(config: &Config) -> String {
    if !config.cluster.name.is_empty() {
        return config.cluster.name.clone();
    }
    let host = gethostname::gethostname();
    let is_legal = |c: &char| c.is_ascii_alphanumeric() || "_.~-".contains(*c);
    let name: String = host.to_string_lossy().chars().filter(is_legal).take(64).collect();
    if name.is_empty() { "penholder".to_owned() } else { name }
}

fn hub_config(
    config: &Config,
    (replica, data): (&ReplicaId, &DataDirectory),
    cluster: Option<&Cluster>,
) -> penholder_hub::Config {
    let options = |presence: &Presence| topic_options(presence);
    let namespaces: BTreeMap<_, _> = config
        .namespace
        .iter()
        .map(|(name, namespace)| {
            (name.clone(), options(&namespace.presence.over(&config.presence)))
        })
        .collect();
    penholder_hub::Config {
        replica: replica.clone(),
        previous: data.previous.clone(),
        seeds: rand::random(),
        gossip: cluster.map_or_else(ReplicaConfig::alone, |cluster| cluster.gossip.clone()),
        defaults: options(&config.presence),
        namespaces,
        limits: limits(config),
    }
}

fn topic_options(presence: &Presence) -> TopicOptions {
    let sessions = match presence.session_policy {
        SessionPolicy::EarliestSession => penholder_presence::SessionPolicy::EarliestSession,
        SessionPolicy::SingleSession => penholder_presence::SessionPolicy::SingleSession,
    };
    let ai = if presence.ai_after_humans { AiPolicy::AfterHumans } else { AiPolicy::AmongHumans };
    TopicOptions {
        diff_window_ms: presence.diff_window.as_ms(),
        full_max: presence.full_max.as_usize(),
        liveness: LivenessConfig {
            idle_after_ms: presence.idle_after.as_ms(),
            grace_ms: presence.grace.as_ms(),
            typing_for_ms: TYPING_FOR_MS,
        },
        priority: PriorityPolicy { sessions, ai, ..PriorityPolicy::default() },
    }
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    Limits {
        message_max: bytes(limits.message_max.bytes()),
        meta_max: bytes(limits.meta_max.bytes()),
        topics_per_socket: limits.topics_per_socket.number(),
        messages_per_second: limits.messages_per_second.number(),
        messages_burst: limits.messages_burst.number(),
        joins_per_second: limits.joins_per_second.number(),
        joins_burst: limits.joins_burst.number(),
        presence_updates_per_second: limits.presence_updates_per_second.number(),
        presence_updates_burst: limits.presence_updates_burst.number(),
    }
}
