//! A server in this process, and what clients do over the loopback address.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_desk::Storage;
use penholder_gateway::config::{self, Overrides};
use penholder_gateway::data_dir::DataDirectory;
use penholder_gateway::{App, RunMode, clock, http, serve};
use penholder_tests::{Answer, RawSocket, Request, SECRET, Token, exchange};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// When npm `phoenix` joins again after a refusal.
const REJOIN: Duration = Duration::from_secs(1);

/// Bounds that do not bind here: all clients have one address, and ask as often as they can.
const BOUNDS: [(&str, &str); 10] = [
    ("CLUSTER__NAME", "desk"),
    ("SERVER__CONNECTIONS_MAX", "1000000"),
    ("SERVER__CONNECTIONS_PER_ADDRESS_MAX", "1000000"),
    ("SERVER__CONNECTIONS_PER_USER_MAX", "1000000"),
    ("LIMITS__HTTP_REQUESTS_PER_SECOND", "100000"),
    ("LIMITS__HTTP_REQUESTS_BURST", "100000"),
    ("LIMITS__JOINS_PER_SECOND", "100000"),
    ("LIMITS__JOINS_BURST", "100000"),
    ("LIMITS__MESSAGES_PER_SECOND", "100000"),
    ("STORAGE__RETENTION_PER_TOPIC", "1000000"),
];

/// A server that listens until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) port: u16,
    token: String,
}

impl Served {
    /// Serves what is in a database. The data of the server are beside the file, or in `dir`.
    pub(crate) async fn start(storage: &Storage, dir: &Path) -> Result<Self> {
        let mut settings = vec![("AUTH__HS256_SECRET", SECRET)];
        settings.extend(BOUNDS);
        let place = match storage {
            Storage::Sqlite { path, .. } => path.parent().context("a file in a directory")?,
            Storage::Postgres { url, .. } => {
                settings.push(("STORAGE__URL", url));
                dir
            }
        };
        let settings = settings.into_iter();
        let variables =
            settings.map(|(name, value)| (format!("PENHOLDER__{name}"), value.to_owned()));
        let config = config::load(None, variables, Overrides::default())?;
        let data = DataDirectory::open(place, clock::wall().0)?;
        let metrics =
            metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let app = App::start(config, RunMode::Production, data, metrics, None).await?;
        let listener = serve::listen(([127, 0, 0, 1], 0).into())?;
        let port = listener.local_addr()?.port();
        tokio::spawn(serve::serve(listener, http::router(app.clone()), app));
        Ok(Self { port, token: Token::of("ada").sign()? })
    }

    /// A request of an agent, as its bytes.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let request = Request::new(method, path).authorized(&format!("Bearer {}", self.token));
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        request.to_bytes(self.port)
    }

    /// Asks, over a connection of its own.
    pub(crate) async fn ask(&self, request: &[u8]) -> Result<Answer> {
        let answer = exchange(self.port, request).await?;
        ensure!((200..300).contains(&answer.status), "{answer}");
        Ok(answer)
    }

    /// Reads a log by the page; returns how many events there were.
    pub(crate) async fn pages(&self, topic: &str) -> Result<usize> {
        let (mut after, mut count) = (0, 0);
        loop {
            let path = format!("/v1/topics/{topic}/events?after={after}&limit=1000");
            let page = self.ask(&self.request("GET", &path, None)).await?.json();
            count += page["data"].as_array().map_or(0, Vec::len);
            match page["next_cursor"].as_u64() {
                Some(next) => after = next,
                None => return Ok(count),
            }
        }
    }

    /// Reads so many server-sent events of a log.
    pub(crate) async fn sent_events(&self, topic: &str, count: usize) -> Result<()> {
        let path = format!("/v1/topics/{topic}/events?after=0");
        let request = Request::new("GET", &path).authorized(&format!("Bearer {}", self.token));
        let request = request.header("accept", "text/event-stream");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(&request.to_bytes(self.port)).await?;
        let (mut heard, mut line, mut part) = (0, Vec::new(), vec![0; 64 * 1024]);
        let listen = async {
            while heard < count {
                let length = stream.read(&mut part).await?;
                ensure!(length > 0, "it ends after {heard} events");
                for byte in &part[..length] {
                    if *byte != b'\n' {
                        line.push(*byte);
                        continue;
                    }
                    heard += usize::from(line.starts_with(b"id:"));
                    line.clear();
                }
            }
            Ok(())
        };
        timeout(PATIENCE, listen).await.context("they do not all come")?
    }

    /// A socket of one of the staff.
    pub(crate) async fn socket(&self, name: &str) -> Result<RawSocket> {
        RawSocket::open(self.port, &Token::of(name).sign()?).await
    }
}

/// Joins a topic for its events alone, with what was missed since then, and reads so many of those. Who is told that
/// the store is away tries again after a while, as clients do; returns how often that was.
pub(crate) async fn join(
    socket: &mut RawSocket,
    topic: &str,
    (since, missed): (Option<u64>, usize),
) -> Result<u64> {
    let payload = json!({"presence": false, "since": since});
    let payload = if since.is_none() { json!({"presence": false}) } else { payload };
    let join = json!(["1", "1", topic, "phx_join", payload]).to_string();
    let (mut is_joined, mut heard, mut refused) = (false, 0, 0);
    let listen = async {
        socket.send(&join).await?;
        while !is_joined || heard < missed {
            let frame = socket.next_text().await?;
            heard += usize::from(frame[4]["seq"].is_u64());
            if frame[3] != "phx_reply" {
                continue;
            }
            let response = &frame[4]["response"];
            is_joined =
                frame[4]["status"] == "ok" && (since.is_none() || response["recovered"] == true);
            if !is_joined {
                let is_away = response["code"] == "unavailable" || response["recovered"] == false;
                ensure!(is_away, "{topic}: {}", frame[4]);
                refused += 1;
                sleep(REJOIN).await;
                socket.send(&join).await?;
            }
        }
        Ok(refused)
    };
    timeout(PATIENCE, listen).await.context("not all is told")?
}
