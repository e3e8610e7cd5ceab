//! Somebody else's backend: takes webhooks, answers as it is told, and remembers what it heard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penholder_tests::until;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long something that is bound to happen may take on a machine that is busy with other tests.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// How far clocks may differ, as Standard Webhooks suggests.
const TOLERANCE_SECS: u64 = 300;

/// One webhook, as it came.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) path: String,
    headers: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) at: Instant,
}

impl Hook {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// What is told, in short.
    pub(super) fn name(&self) -> String {
        self.json()["eventName"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Its signatures, by one secret each.
    pub(super) fn signatures(&self) -> impl Iterator<Item = &str> {
        self.header("webhook-signature").split(' ')
    }

    /// Checks it as Standard Webhooks tells receivers to: one signature that fits is enough.
    pub(super) fn verify(&self, secret: &str) -> Result<()> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("no secret")?)?;
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(now.abs_diff(timestamp.parse()?) < TOLERANCE_SECS, "{timestamp} is not now");
        let signed = format!("{id}.{timestamp}.{}", self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, signed.as_bytes())));
        ensure!(self.signatures().any(|it| it == expected), "{self:?}");
        ensure!(id == self.id(), "{self:?}");
        Ok(())
    }
}

/// HMAC with SHA-256 (RFC 2104), for keys of up to a block.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |fill: u8| (0..64).map(move |place| key.get(place).copied().unwrap_or(0) ^ fill);
    let inner = Sha256::new().chain_update(pad(0x36).collect::<Vec<_>>()).chain_update(message);
    let outer = Sha256::new().chain_update(pad(0x5c).collect::<Vec<_>>());
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

/// How a webhook is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Status(u16),
    /// With an address to go to.
    Redirect(String),
    /// Never.
    Silence,
}

type Script = dyn Fn(&Hook) -> Reply + Send + Sync;

/// The backend. Dropped, it goes on until the test ends.
#[derive(Clone)]
pub(super) struct Receiver {
    port: u16,
    heard: Arc<Mutex<Vec<Hook>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    pub(super) async fn start(
        script: impl Fn(&Hook) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let receiver = Self { port, heard: Arc::default(), connections: Arc::default() };
        let (copy, script): (_, Arc<Script>) = (receiver.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                copy.connections.fetch_add(1, Ordering::SeqCst);
                let (copy, script) = (copy.clone(), Arc::clone(&script));
                // A sender that is killed breaks off in the middle.
                tokio::spawn(async move { copy.serve(stream, &*script).await.ok() });
            }
        });
        Ok(receiver)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What came to a path, in order.
    pub(super) fn heard(&self, path: &str) -> Vec<Hook> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|hook| hook.path == path).cloned().collect()
    }

    /// Waits until so many have come to a path.
    pub(super) async fn wait(&self, path: &str, count: usize) -> Result<Vec<Hook>> {
        until(format!("{count} webhooks at {path}"), SOON, async || {
            Ok(Some(self.heard(path)).filter(|heard| heard.len() >= count))
        })
        .await
    }

    async fn serve(&self, stream: TcpStream, script: &Script) -> Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_until(b'\n', &mut head).await? == 0 {
                    return Ok(());
                }
            }
            let head = String::from_utf8(head)?;
            let mut lines = head.lines();
            let path =
                lines.next().and_then(|line| line.strip_prefix("POST ")).context("no POST")?;
            let path = path.split(' ').next().unwrap_or_default().to_owned();
            let headers: BTreeMap<_, _> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers.get("content-length").context("no length")?.parse()?;
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let hook = Hook { path, headers, body: String::from_utf8(body)?, at: Instant::now() };
            let reply = script(&hook);
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
            let answer = match reply {
                Reply::Status(status) => {
                    format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok")
                }
                Reply::Redirect(to) => {
                    format!("HTTP/1.1 307 x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
                }
                Reply::Silence => std::future::pending().await,
            };
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}
