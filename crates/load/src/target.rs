//! The servers that are measured: started here, each run with a fresh one, or running elsewhere.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::dialect::{Dialect, Phoenix, SocketIo};
use crate::endpoint::{Credentials, Endpoint, TOPIC_PREFIX};
use crate::socket::Address;
use crate::usage::Memory;

const START_MAX: Duration = Duration::from_secs(20);

/// Longer than the longest drain of a server here.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How much of a server's log is shown when it fails. Unit: bytes.
const LOG_SHOWN: u64 = 2000;

/// Signs the tokens of the servers that are started here.
pub(crate) const SECRET: &str = "a secret of the load generator, 32 bytes or more";

/// What Penholder needs to start.
const IDENTITY: [(&str, &str); 2] =
    [("PENHOLDER__AUTH__HS256_SECRET", SECRET), ("PENHOLDER__CLUSTER__NAME", "load")];

/// Settings under which Penholder bounds nobody here: all clients come from one machine.
const UNBOUNDED: [(&str, &str); 11] = [
    ("PENHOLDER__SERVER__CONNECTIONS_MAX", "1000000"),
    ("PENHOLDER__SERVER__CONNECTIONS_PER_ADDRESS_MAX", "1000000"),
    ("PENHOLDER__SERVER__CONNECTIONS_PER_USER_MAX", "1000000"),
    ("PENHOLDER__LIMITS__HTTP_REQUESTS_PER_SECOND", "100000"),
    ("PENHOLDER__LIMITS__HTTP_REQUESTS_BURST", "100000"),
    ("PENHOLDER__LIMITS__JOINS_PER_SECOND", "100000"),
    ("PENHOLDER__LIMITS__JOINS_BURST", "100000"),
    ("PENHOLDER__LIMITS__MESSAGES_PER_SECOND", "100000"),
    ("PENHOLDER__LIMITS__MESSAGES_BURST", "100000"),
    ("PENHOLDER__LIMITS__PRESENCE_UPDATES_PER_SECOND", "100000"),
    ("PENHOLDER__LIMITS__PRESENCE_UPDATES_BURST", "100000"),
];

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A program that is started here.
    Program { kind: Kind, path: PathBuf },
    /// A server that runs already; `pid` is its process, where that is on this machine.
    Running { endpoint: Box<Endpoint>, pid: Option<u32> },
}

/// The programs that the tool knows how to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Penholder,
    Bare,
    SocketIo,
}

/// What a scenario sets beside the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tuning {
    /// Up to so many people are listed in full, where the server has such a bound.
    pub(crate) list_max: Option<u32>,
    pub(crate) bounds: Bounds,
}

/// Whether the server bounds what one client may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// As far as it can be told not to, it does not: all clients come from one machine.
    #[default]
    Lifted,
    /// As it does by default.
    Usual,
}

/// A running server; one that was started here is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    target: Target,
    tuning: Tuning,
    endpoint: Endpoint,
    process: Option<Process>,
    scratch: Option<Scratch>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Penholder => "penholder",
            Self::Bare => "bare",
            Self::SocketIo => "socket.io",
        }
    }

    /// Whether it sends its clients away before it stops.
    pub(crate) fn drains(self) -> bool {
        self == Self::Penholder
    }

    fn command(self, path: &Path, port: u16, (dir, tuning): (&Path, Tuning)) -> Command {
        let listen = format!("127.0.0.1:{port}");
        let mut command = match self {
            Self::Penholder | Self::Bare => Command::new(path),
            Self::SocketIo => Command::new("node"),
        };
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        match self {
            Self::Penholder => {
                command.args(["run", "--listen", &listen, "--data"]).arg(dir).envs(IDENTITY);
                if tuning.bounds == Bounds::Lifted {
                    command.envs(UNBOUNDED);
                }
                if let Some(list_max) = tuning.list_max {
                    command.env("PENHOLDER__PRESENCE__FULL_MAX", list_max.to_string());
                }
            }
            Self::Bare => drop(command.args(["--listen", &listen])),
            Self::SocketIo => drop(command.arg(path).arg(port.to_string())),
        }
        command
    }

    fn endpoint(self, port: u16) -> Result<Endpoint> {
        let (path, dialect) = match self {
            Self::Penholder | Self::Bare => ("/socket", Dialect::Phoenix(Phoenix::default())),
            Self::SocketIo => ("", Dialect::SocketIo(SocketIo::default())),
        };
        let (name, value, credentials) = match self {
            Self::Penholder => ("token", "{token}", Credentials::signed(SECRET)),
            Self::Bare | Self::SocketIo => ("user", "{user}", Credentials::Fixed(String::new())),
        };
        let address = Address::parse(&format!("ws://127.0.0.1:{port}{path}"))?;
        let params = vec![(name.to_owned(), value.to_owned())];
        let topic_prefix = TOPIC_PREFIX.to_owned();
        Ok(Endpoint { address, dialect, params, credentials, topic_prefix })
    }
}

impl Target {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Program { kind, .. } => kind.name(),
            Self::Running { .. } => "server",
        }
    }

    /// Starts a fresh server, where it is one that is started here.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(crate) fn start(&self, tuning: Tuning) -> Result<Server> {
        match self {
            Self::Running { endpoint, .. } => {
                let (target, endpoint) = (self.clone(), Endpoint::clone(endpoint));
                Ok(Server { target, tuning, endpoint, process: None, scratch: None })
            }
            Self::Program { kind, path } => {
                let scratch = Scratch::new()?;
                let process = Process::start(*kind, path, 0, (&scratch.path, tuning))?;
                let endpoint = kind.endpoint(process.port)?;
                let (process, scratch) = (Some(process), Some(scratch));
                Ok(Server { target: self.clone(), tuning, endpoint, process, scratch })
            }
        }
    }
}

impl Server {
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.target {
            Target::Program { .. } => self.process.as_ref().map(|process| process.child.id()),
            Target::Running { pid, .. } => *pid,
        }
    }

    /// Its memory, where it can be seen.
    pub(crate) fn memory(&self) -> Option<Memory> {
        self.pid().and_then(|pid| Memory::of(pid).ok())
    }

    /// Ends the process as a power cut would, and starts another with the same port and data.
    ///
    /// # Errors
    ///
    /// It does not start, or was not started here.
    pub(crate) fn restart(&mut self) -> Result<()> {
        drop(self.process.take());
        self.start_again()
    }

    /// Asks the process to stop, waits for its end, and starts another with the same port and data.
    ///
    /// # Errors
    ///
    /// As [`Self::restart`]; or it does not stop in time.
    pub(crate) fn drain_and_restart(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("this server was not started here")?;
        process.terminate()?;
        self.process = None;
        self.start_again()
    }

    fn start_again(&mut self) -> Result<()> {
        let (Target::Program { kind, path }, Some(scratch)) = (&self.target, &self.scratch) else {
            bail!("this server was not started here");
        };
        let port = self.endpoint.address.socket.port();
        let process = Process::start(*kind, path, port, (&scratch.path, self.tuning))?;
        self.process = Some(process);
        Ok(())
    }
}

/// A server process; killed when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    port: u16,
}

impl Process {
    /// Starts a program and waits until it says where it listens; port 0 takes a free one.
    fn start(kind: Kind, path: &Path, port: u16, (dir, tuning): (&Path, Tuning)) -> Result<Self> {
        let mut command = kind.command(path, port, (dir, tuning));
        let log_path = dir.join("server.log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut process = Self { child, port };
        let (sender, ports) = mpsc::channel();
        thread::spawn(move || {
            // To its end, or the server would be stopped by a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, port)) = line.split_once("listening on http://127.0.0.1:") {
                    sender.send(port.trim().parse()).ok();
                }
            }
        });
        match ports.recv_timeout(START_MAX) {
            Ok(port) => process.port = port?,
            Err(_) => bail!("{} does not start:\n{}", kind.name(), tail(&log_path)),
        }
        Ok(process)
    }

    /// Asks it to stop and waits for its end.
    fn terminate(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_MAX;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the server does not stop");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A directory of its own for one server, removed at the end.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let name = format!("penholder-load-{}-{}", std::process::id(), since.as_nanos());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind at worst, in a directory for temporary files.
        fs::remove_dir_all(&self.path).ok();
    }
}

fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(LOG_SHOWN);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that listens nowhere but says so.
    fn script(body: &str) -> (Scratch, Target) {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path.join("server");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        (scratch, Target::Program { kind: Kind::Bare, path })
    }

    /// One test, as a script that another thread has open while it forks cannot be run.
    #[test]
    fn program_is_started_restarted_on_its_port_and_killed_at_the_end() {
        let (_scratch, target) = script(
            "[ \"$2\" = 127.0.0.1:0 ] && set x 127.0.0.1:1234\n\
             echo listening on http://$2; exec sleep 60",
        );
        let mut server = target.start(Tuning::default()).unwrap();
        let first = server.pid().unwrap();
        assert_eq!(server.endpoint().address.socket.port(), 1234);
        server.restart().unwrap();
        let second = server.pid().unwrap();
        assert_ne!(first, second);
        assert!(!Path::new(&format!("/proc/{first}")).exists());
        server.drain_and_restart().unwrap();
        let third = server.pid().unwrap();
        drop(server);
        assert!(!Path::new(&format!("/proc/{third}")).exists());

        let (_scratch, target) = script("echo out of beans >&2");
        let error = target.start(Tuning::default()).unwrap_err().to_string();
        assert!(error.contains("out of beans"), "{error}");
    }
}
