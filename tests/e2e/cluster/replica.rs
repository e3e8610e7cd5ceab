//! Replicas in the process of the test, which can be killed and started again.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_gateway::auth::{Claims, Tokens};
use penholder_gateway::bus::LocalBus;
use penholder_gateway::config::{self, Config, Overrides};
use penholder_gateway::data_dir::{DataDirectory, DataError};
use penholder_gateway::{App, Cluster, RunMode, clock, http, serve};
use penholder_presence::ReplicaConfig;
use penholder_protocol::{Kind, Role};
use penholder_tests::{Answer, Directory, Request, exchange, until};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{SOON, TOPIC};

/// Threads of a replica.
const WORKERS: usize = 2;

const PENS: &str = "pens.sqlite";
const SECRET: &str = "a secret of thirty-two bytes, or more";

/// What the replicas of a test have in common.
#[derive(Clone)]
pub(super) struct Network {
    cluster: Cluster,
    settings: Vec<(&'static str, &'static str)>,
    /// Where all of them keep pens, in one file: they are one process, which SQLite serves as PostgreSQL does
    /// several.
    pens: Arc<Directory>,
}

/// One replica, on threads of its own: stopping these is as sudden as a kill.
pub(super) struct Replica {
    runtime: Option<Runtime>,
    app: App,
    address: SocketAddr,
    serving: JoinHandle<()>,
    name: &'static str,
    network: Network,
    place: Arc<Directory>,
}

impl Network {
    pub(super) fn new(gossip: ReplicaConfig) -> Result<Self> {
        let cluster = Cluster { bus: Arc::new(LocalBus::default()), gossip, secret: [7; 32] };
        Ok(Self { cluster, settings: Vec::new(), pens: Arc::new(Directory::new()?) })
    }

    pub(super) fn set(mut self, variable: &'static str, value: &'static str) -> Self {
        self.settings.push((variable, value));
        self
    }

    fn configuration(&self, name: &'static str) -> Result<Config> {
        let variables = [
            ("PENHOLDER__AUTH__HS256_SECRET", SECRET),
            ("PENHOLDER__CLUSTER__NAME", name),
            ("PENHOLDER__CLUSTER__SHARDS", "2"),
        ];
        let variables = variables.into_iter().chain(self.settings.iter().copied());
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(config::load(None, variables, Overrides::default())?)
    }

    /// Starts a replica with a data directory of its own.
    pub(super) async fn start(&self, name: &'static str) -> Result<Replica> {
        let place = Directory::new()?;
        symlink(self.pens.path().join(PENS), place.path().join(PENS))?;
        Replica::start(name, self.clone(), Arc::new(place)).await
    }

    pub(super) async fn three(&self) -> Result<[Replica; 3]> {
        Ok([self.start("one").await?, self.start("two").await?, self.start("three").await?])
    }
}

impl Replica {
    async fn start(name: &'static str, network: Network, place: Arc<Directory>) -> Result<Self> {
        // The life before may not be gone yet.
        let opened =
            until("the data directory is free", SOON, async || {
                match DataDirectory::open(place.path(), clock::wall().0) {
                    Err(DataError::InUse(_)) => Ok(None),
                    opened => Ok(Some(opened?)),
                }
            });
        let data = opened.await?;
        // Aside, for it blocks on a runtime of its own.
        let start = move || Self::start_on(name, network, (place, data));
        tokio::task::spawn_blocking(start).await?
    }

    fn start_on(
        name: &'static str,
        network: Network,
        (place, data): (Arc<Directory>, DataDirectory),
    ) -> Result<Self> {
        let config = network.configuration(name)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        let metrics =
            metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let (app, address, serving) = runtime.block_on(async {
            let cluster = Some(&network.cluster);
            let app = App::start(config, RunMode::Production, data, metrics, cluster).await?;
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let serving = serve::serve(listener, http::router(app.clone()), app.clone());
            anyhow::Ok((app, address, tokio::spawn(serving)))
        })?;
        Ok(Self { runtime: Some(runtime), app, address, serving, name, network, place })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A token of a person who may do everything.
    pub(super) fn token(&self, user: &str) -> Result<String> {
        let claims = Claims {
            sub: user.to_owned(),
            exp: Duration::from_millis(clock::wall().0 + 600_000).as_secs_f64(),
            name: None,
            avatar: None,
            role: Role::Admin,
            kind: Kind::Human,
            topics: None,
            iss: None,
            aud: None,
            iat: None,
            jti: None,
        };
        let config = self.network.configuration(self.name)?;
        Ok(Tokens::new(&config.auth, None)?.sign(claims)?)
    }

    /// Sends a request of an administrator.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer> {
        let request = request.authorized(&format!("Bearer {}", self.token("root")?));
        exchange(self.port(), &request.to_bytes(self.port())).await
    }

    /// Waits until so many people are shown here.
    pub(super) async fn knows(&self, count: usize) -> Result<()> {
        until(format!("{} knows {count} people", self.name), SOON, async || {
            let path = format!("/v1/topics/{TOPIC}/presence");
            let answer = self.ask(Request::new("GET", &path)).await?;
            ensure!(answer.status == 200, "{answer}");
            Ok((answer.json()["count"] == count).then_some(()))
        })
        .await
    }

    /// Lets it do nothing for a while, which begins before this returns.
    pub(super) async fn stand_still(&self, span: Duration) -> Result<()> {
        let runtime = self.runtime.as_ref().context("it runs")?;
        let all = Arc::new(Barrier::new(WORKERS));
        let (stands, mut standing) = mpsc::channel(WORKERS);
        for _ in 0..WORKERS {
            let (all, stands) = (Arc::clone(&all), stands.clone());
            runtime.spawn(async move {
                // Each takes one of its threads: none does anything else until all do.
                all.wait();
                stands.try_send(()).ok();
                std::thread::sleep(span);
            });
        }
        for _ in 0..WORKERS {
            standing.recv().await.context("it stands still")?;
        }
        Ok(())
    }

    /// Begins to stop.
    pub(super) fn drain(&self) {
        self.app.begin_drain();
    }

    /// Waits for the end of a stop: nothing follows but the end of the process.
    pub(super) async fn drained(&mut self) -> Result<()> {
        let served = tokio::time::timeout(SOON, &mut self.serving).await;
        Ok(served.context("it does not stop")??)
    }

    pub(super) fn kill(mut self) {
        self.end();
    }

    /// Starts it again under its name, where it has stopped.
    pub(super) async fn start_again(mut self) -> Result<Self> {
        self.end();
        let (name, network, place) = (self.name, self.network.clone(), Arc::clone(&self.place));
        drop(self);
        Self::start(name, network, place).await
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}
