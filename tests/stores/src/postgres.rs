//! A PostgreSQL server of one's own, in a directory of its own, on a port of its own.

#![expect(clippy::print_stderr, reason = "a server that is left behind is told there")]

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Directory;
use anyhow::{Context, Result, bail, ensure};

/// Whom the server runs as when the tests run as root, whom it refuses: nobody.
const UNPRIVILEGED: u32 = 65534;

/// How long it may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It is killed when the value goes.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Child>,
    data: PathBuf,
    port: u16,
    durability: Durability,
    dir: Directory,
}

/// What committed transactions survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of the server, not that of the machine: for tests.
    Process,
    /// Both, as in production.
    Machine,
}

impl PostgresServer {
    /// Makes a database and starts a server on it.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let mut server = Self::prepare(Durability::Process)?;
        server.go_on()?;
        Ok(server)
    }

    /// Makes a database, and starts nothing yet.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed.
    pub fn prepare(durability: Durability) -> Result<Self> {
        let dir = Directory::new()?;
        if is_root(dir.path())? {
            chown(dir.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        let data = dir.path().join("data");
        let server = Self { process: None, data, port: free_port()?, durability, dir };
        let mut initdb = server.tool("initdb")?;
        initdb.args(["--username=penholder", "--auth=trust", "--no-sync", "--encoding=UTF8"]);
        run(initdb.arg("--locale=C").arg("--pgdata").arg(&server.data))?;
        Ok(server)
    }

    /// Starts the server on what there is.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn go_on(&mut self) -> Result<()> {
        let mut postgres = self.tool("postgres")?;
        postgres.arg("-D").arg(&self.data).arg("-k").arg(self.dir.path());
        postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.args(["-c", "max_connections=100"]);
        if self.durability == Durability::Process {
            postgres.args(["-c", "fsync=off"]);
        }
        let log = fs::File::create(self.dir.path().join("log"))?;
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(postgres.spawn()?);
        let start = Instant::now();
        loop {
            let mut ready = self.tool("pg_isready")?;
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status()?.success() {
                return Ok(());
            }
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                bail!("PostgreSQL does not start: {log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server as a failure of power would end its processes.
    ///
    /// # Errors
    ///
    /// It cannot be told to.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("QUIT")
    }

    /// Ends the server when it has written everything.
    ///
    /// # Errors
    ///
    /// It cannot be told to.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("INT")
    }

    fn signal(&mut self, signal: &str) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        run(Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()))?;
        process.wait()?;
        Ok(())
    }

    /// Puts what the server has kept aside, or back. It must not run.
    ///
    /// # Errors
    ///
    /// It runs, or there is no room.
    pub fn copy_data(&self, from: &str, to: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the server runs");
        let (from, to) = (self.dir.path().join(from), self.dir.path().join(to));
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        run(Command::new("cp").arg("-a").arg(from).arg(to))
    }

    /// Starts the server as a standby that nobody feeds, and promotes it.
    ///
    /// # Errors
    ///
    /// It does not start, or cannot be promoted.
    pub fn promote(&mut self) -> Result<()> {
        fs::write(self.data.join("standby.signal"), "")?;
        if is_root(self.dir.path())? || fs::metadata(self.dir.path())?.uid() == UNPRIVILEGED {
            chown(self.data.join("standby.signal"), Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        self.go_on()?;
        let mut promote = self.tool("pg_ctl")?;
        run(promote.args(["promote", "--wait", "--pgdata"]).arg(&self.data))
    }

    /// Where its database is, running or not.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes another database, and returns its address.
    ///
    /// # Errors
    ///
    /// It is there already.
    pub fn create_database(&self, name: &str) -> Result<String> {
        let mut createdb = self.tool("createdb")?;
        createdb.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "penholder", name]);
        run(&mut createdb)?;
        Ok(self.url_of(name))
    }

    /// Where a database of this name is, if there is one.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://penholder@127.0.0.1:{}/{database}", self.port)
    }

    fn tool(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(programs()?.join(name));
        command.current_dir(self.dir.path());
        if fs::metadata(self.dir.path())?.uid() == UNPRIVILEGED {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        Ok(command)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("PostgreSQL is left behind: {error:#}");
        }
    }
}

/// Whether this process makes files as root.
fn is_root(own: &Path) -> Result<bool> {
    Ok(fs::metadata(own)?.uid() == 0)
}

/// The newest PostgreSQL there is: Debian keeps it off PATH.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let path = entry?.path();
        let version = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(version) = version.filter(|_| path.join("bin/initdb").is_file()) {
            found.push((version, path.join("bin")));
        }
    }
    if let Some((_, path)) = found.into_iter().max() {
        return Ok(path);
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths)
        .find(|path| path.join("initdb").is_file())
        .context("PostgreSQL is not installed: run `cargo xtask setup`")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
