//! A running server, with a data directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use penholder_stores::Directory;

use crate::canary;
use crate::http::{Answer, Request, exchange};
use crate::process::{Build, Process, binary};
use crate::wait::{soon, until};
use crate::websocket::RawSocket;

const START_MAX: Duration = Duration::from_secs(15);
const STOP_MAX: Duration = Duration::from_secs(20);

/// The key that development mode accepts.
const API_KEY: &str = "ApiKey dev";

/// Signs the tokens of every server of the tests.
pub const SECRET: &str = "a secret of the end-to-end tests, 32 bytes or more";

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    variables: Vec<(String, String)>,
    is_dev: bool,
    data: Option<PathBuf>,
    build: Build,
}

impl Default for Options {
    fn default() -> Self {
        let (variables, build) = (Vec::new(), Build::Usual);
        let options = Self { variables, is_dev: true, data: None, build };
        options.set("auth.hs256_secret", SECRET).set("cluster.name", "e2e")
    }
}

impl Options {
    /// The same with a key of the configuration set, such as `limits.topics_per_socket`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let variable = format!("PENHOLDER__{}", key.to_uppercase().replace('.', "__"));
        self.variables.push((variable, value.to_owned()));
        self
    }

    /// The same for tests that ask more often, from one address, than anybody may.
    #[must_use]
    pub fn any_request_rate(self) -> Self {
        let rates = ["limits.http_requests_per_second", "limits.http_requests_burst"];
        rates.into_iter().fold(self, |options, key| options.set(key, "100000"))
    }

    /// The same with other events in the log, as `RUST_LOG` names them.
    #[must_use]
    pub fn log(mut self, filter: &str) -> Self {
        self.variables.push(("RUST_LOG".to_owned(), filter.to_owned()));
        self
    }

    /// The same with the binary of another build.
    #[must_use]
    pub fn build(mut self, build: Build) -> Self {
        self.build = build;
        self
    }

    /// The same without development mode.
    #[must_use]
    pub fn production(mut self) -> Self {
        self.is_dev = false;
        self
    }

    /// The same on the data directory of another server.
    #[must_use]
    pub fn data_of(mut self, server: &Server) -> Self {
        self.data = Some(server.data().to_owned());
        self
    }
}

/// The real binary, listening on a free port of the loopback address. Dropping it kills the process
/// and, if the test has failed, shows what it logged. The test also fails when it has sent the
/// [`CANARY`](crate::CANARY) to anybody but the staff.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    data: Directory,
    options: Options,
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    ///
    /// There is no binary, or it does not start.
    pub async fn start(options: Options) -> Result<Self> {
        let data = match &options.data {
            Some(path) => Directory::borrowed(path.clone()),
            None => Directory::new()?,
        };
        let (process, port) = launch(&options, data.path(), 0).await?;
        Ok(Self { process, port, data, options })
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops the process where it is, until [`proceed`](Self::proceed).
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn pause(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn proceed(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// Ends the process as a power cut would, and starts another on the same port and data.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill();
        (self.process, self.port) = launch(&self.options, self.data.path(), self.port).await?;
        Ok(())
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its memory in bytes, as the kernel counts it.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// The files and connections that it has open, by path or number.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn open_files(&self) -> Result<Vec<String>> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.process.pid()))?;
        // What was closed meanwhile leads nowhere.
        let names = all.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        Ok(names.map(|name| name.display().to_string()).collect())
    }

    /// The value of a metric, named with its labels if it has any; 0 where nothing was counted.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let metrics = self.ask(Request::new("GET", "/metrics")).await?.body;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned);
        Ok(metrics.lines().find_map(value).map_or(Ok(0.0), |value| value.parse())?)
    }

    /// What only the staff may see and it has sent to somebody else, as far as the tests have put the
    /// [`CANARY`](crate::CANARY) into it. Whoever asks is content with it: the test does not fail for that any more.
    #[must_use]
    pub fn escaped(&self) -> Option<String> {
        canary::escaped(self.port)
    }

    /// Asks it to drain.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn terminate(&self) -> Result<()> {
        self.process.signal("TERM")
    }

    /// Waits for its end and returns the exit code.
    ///
    /// # Errors
    ///
    /// It does not end in time.
    pub async fn exit_code(&mut self) -> Result<i32> {
        until("the server ends", STOP_MAX, async || self.process.exit_code()).await
    }

    /// A token of development mode, for an agent.
    ///
    /// # Errors
    ///
    /// The server gives none.
    pub async fn token(&self, user: &str) -> Result<String> {
        self.token_with(&format!("user={user}&name={user}&role=agent")).await
    }

    /// A token of development mode, as `query` asks for it.
    ///
    /// # Errors
    ///
    /// The server gives none.
    pub async fn token_with(&self, query: &str) -> Result<String> {
        let answer = self.get(&format!("/dev/token?{query}")).await?;
        ensure!(answer.status == 200, "/dev/token?{query}: {answer}");
        let token = answer.json()["token"].as_str().map(str::to_owned);
        token.with_context(|| format!("no token: {answer}"))
    }

    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub async fn socket(&self, token: &str) -> Result<RawSocket> {
        RawSocket::open(self.port, token).await
    }

    /// GET with the development API key.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Request::new("GET", path).authorized(API_KEY)).await
    }

    /// POST with the development API key.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Answer> {
        self.ask(Request::new("POST", path).authorized(API_KEY).json(body)).await
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn ask(&self, request: Request) -> Result<Answer> {
        exchange(self.port, &request.to_bytes(self.port)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            // Standard error is where the test runner expects it.
            std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes()).ok();
            return;
        }
        let escaped = self.escaped();
        assert!(
            escaped.is_none(),
            "what only the staff may see was {}",
            escaped.unwrap_or_default()
        );
    }
}

/// Starts a process and waits until it listens; port 0 takes a free one.
async fn launch(options: &Options, data: &Path, port: u16) -> Result<(Process, u16)> {
    let mut command = binary(options.build)?;
    command.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data);
    if options.is_dev {
        command.arg("--dev");
    }
    command.envs(options.variables.iter().map(|(name, value)| (name, value)));
    let mut process = Process::start(command)?;
    let listening = async {
        while let Some(line) = process.lines.recv().await {
            if let Some((_, port)) = line.split_once("listening on http://127.0.0.1:") {
                return Ok(port.trim().parse()?);
            }
        }
        bail!("the server has ended:\n{}", process.log())
    };
    let port = soon("the server listens", START_MAX, listening).await?;
    Ok((process, port))
}
