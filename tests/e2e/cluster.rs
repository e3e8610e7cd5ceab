//! Several replicas in one process: presence crosses between them, survives a rolling restart, and
//! goes with a replica that is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_client::presence::Fold;
use penholder_client::{Channel, ChannelEvent, Options, Socket};
use penholder_gateway::auth::{Claims, Tokens};
use penholder_gateway::bus::LocalBus;
use penholder_gateway::config::{self, Config, Overrides};
use penholder_gateway::data_dir::DataDirectory;
use penholder_gateway::{App, Cluster, RunMode, clock, http, serve};
use penholder_presence::ReplicaConfig;
use penholder_protocol::{Certainty, JoinPayload, JoinReply, Kind, PresenceSummary, Role};
use penholder_tests::Directory;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const SECRET: &str = "a secret of thirty-two bytes, or more";
const TOPIC: &str = "doc:1";

/// One replica, on threads of its own: stopping these is as sudden as a kill.
struct Replica {
    runtime: Option<Runtime>,
    _place: Directory,
    app: App,
    address: SocketAddr,
}

fn cluster() -> Cluster {
    let gossip = ReplicaConfig {
        gossip_period_ms: 50,
        heartbeat_ms: 200,
        down_after_ms: 1_000,
        ..ReplicaConfig::default()
    };
    Cluster { bus: Arc::new(LocalBus::default()), gossip, secret: [7; 32] }
}

fn configuration(name: &str) -> Result<Config> {
    let variables = [
        ("PENHOLDER__AUTH__HS256_SECRET", SECRET),
        ("PENHOLDER__CLUSTER__NAME", name),
        ("PENHOLDER__CLUSTER__SHARDS", "2"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(config::load(None, variables.into_iter(), Overrides::default())?)
}

impl Replica {
    fn start(name: &str, cluster: &Cluster) -> Result<Self> {
        let config = configuration(name)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let place = Directory::new()?;
        let data = DataDirectory::open(place.path(), clock::wall().0)?;
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let (app, address) = runtime.block_on(async {
            let app =
                App::start(config, RunMode::Production, data, metrics.handle(), Some(cluster))
                    .await?;
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            tokio::spawn(serve::serve(listener, http::router(app.clone()), app.clone()));
            anyhow::Ok((app, address))
        })?;
        Ok(Self { runtime: Some(runtime), _place: place, app, address })
    }

    async fn visit(&self, user: &str, join: JoinPayload) -> Result<Visitor> {
        let config = configuration("any")?;
        let claims = Claims {
            sub: user.to_owned(),
            exp: Duration::from_millis(clock::wall().0 + 600_000).as_secs_f64(),
            name: None,
            avatar: None,
            role: Role::Agent,
            kind: Kind::Human,
            topics: None,
            iss: None,
            aud: None,
            iat: None,
            jti: None,
        };
        let token = Tokens::new(&config.auth, None)?.sign(claims)?;
        let options = Options { token: Some(token), ..Options::default() };
        let endpoint = format!("ws://{}/socket", self.address);
        let socket = Socket::connect(&endpoint, options).await?;
        let (channel, reply) = socket.join(TOPIC, join).await?;
        let here = Fold::strict();
        Ok(Visitor { socket, channel, reply, here, lost: Vec::new(), certainty: None })
    }

    fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Somebody on the topic, who notes everybody whom it saw go.
struct Visitor {
    socket: Socket,
    channel: Channel,
    reply: JoinReply,
    here: Fold,
    lost: Vec<String>,
    certainty: Option<Certainty>,
}

impl Visitor {
    /// Follows the topic until `is_there`.
    async fn until(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) -> Result<()> {
        let follow = async {
            while !is_there(self) {
                self.follow().await?;
            }
            Ok(())
        };
        timeout(SOON, follow).await.with_context(|| format!("never: {what}"))?
    }

    async fn follow(&mut self) -> Result<()> {
        let event = self.channel.next_event().await.context("the channel ended")?;
        let ChannelEvent::Message { event, payload } = event else { return Ok(()) };
        let before = self.keys();
        self.here.apply(&event, &payload)?;
        let after = self.keys();
        self.lost.extend(before.into_iter().filter(|key| !after.contains(key)));
        if event == "presence_summary" {
            let summary: PresenceSummary = payload.as_json().context("JSON")?.parse_into()?;
            self.certainty = Some(summary.certainty);
        }
        let anomalies = self.here.take_anomalies();
        ensure!(anomalies.is_empty(), "{anomalies:?}");
        Ok(())
    }

    fn keys(&self) -> Vec<String> {
        self.here.keys().map(str::to_owned).collect()
    }
}

/// Starts a replica aside: it blocks on a runtime of its own.
async fn start(name: &'static str, cluster: &Cluster) -> Result<Replica> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || Replica::start(name, &cluster)).await?
}

async fn three(cluster: &Cluster) -> Result<[Replica; 3]> {
    Ok([start("one", cluster).await?, start("two", cluster).await?, start("three", cluster).await?])
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_crosses_between_replicas_and_goes_with_a_killed_one() -> Result<()> {
    let cluster = cluster();
    let [one, two, three] = three(&cluster).await?;
    let ann = one.visit("ann", JoinPayload::default()).await?;
    let mut bob = two.visit("bob", JoinPayload::default()).await?;
    let mut cid = three.visit("cid", JoinPayload::default()).await?;
    for visitor in [&mut bob, &mut cid] {
        visitor.until("all three are seen", |it| it.keys() == ["ann", "bob", "cid"]).await?;
        let is_sure = |it: &Visitor| it.certainty == Some(Certainty::Confirmed);
        visitor.until("everybody agrees who comes first", is_sure).await?;
    }
    one.kill();
    for visitor in [&mut bob, &mut cid] {
        visitor
            .until("the killed replica's people vanish", |it| it.keys() == ["bob", "cid"])
            .await?;
        assert_eq!(visitor.lost, ["ann"]);
    }
    drop(ann);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_with_resume_shows_no_leave() -> Result<()> {
    let cluster = cluster();
    let [one, two, three] = three(&cluster).await?;
    let ann = one.visit("ann", JoinPayload::default()).await?;
    let mut observer = two.visit("bob", JoinPayload::default()).await?;
    observer.until("ann is seen", |it| it.keys() == ["ann", "bob"]).await?;

    one.app.begin_drain();
    let sent_away = timeout(SOON, ann.socket.closed()).await?;
    assert_eq!(sent_away.close_code().map(|code| code.number()), Some(1012), "{sent_away:?}");
    observer
        .until("ann is reconnecting", |it| {
            let sessions = it.here.sessions("ann").unwrap_or_default();
            sessions.iter().all(|meta| meta.status == penholder_protocol::Status::Reconnecting)
        })
        .await?;
    let resume = JoinPayload { resume: Some(ann.reply.resume.clone()), ..JoinPayload::default() };
    let back = three.visit("ann", resume).await?;
    assert_eq!(back.reply.session, ann.reply.session);
    assert_eq!(back.reply.joined_at, ann.reply.joined_at);
    one.kill();
    let again = start("one", &cluster).await?;
    let newcomer = again.visit("dee", JoinPayload::default()).await?;
    observer.until("the newcomer is seen", |it| it.keys() == ["ann", "bob", "dee"]).await?;
    let sessions = observer.here.sessions("ann")?;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].session, ann.reply.session);
    assert_eq!(observer.lost, Vec::<String>::new(), "nobody was seen to leave");
    drop((back, newcomer));
    Ok(())
}
