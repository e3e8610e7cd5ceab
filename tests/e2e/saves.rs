//! The two programs of docs/PENS.md, section 6, against the real server and a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_stores::{Directory, PostgresServer};
use penholder_tests::{Options, Server, until};
use sqlx::{Connection, PgConnection};
use tokio::task::{JoinHandle, spawn_blocking};

/// How long the first program edits: long enough for the second to begin and end. Unit: seconds.
const EDIT: &str = "10";
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Rust,
    Node,
}

impl Program {
    fn source(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        root.join(match self {
            Self::Rust => "crates/client/examples/protected_save.rs",
            Self::Node => "clients/js/examples/protected-save.mjs",
        })
    }

    fn command(self) -> Result<Command> {
        Ok(match self {
            Self::Rust => {
                let server = std::env::var_os("PENHOLDER_BIN").context("no PENHOLDER_BIN")?;
                let dir = Path::new(&server).parent().context("a binary without a directory")?;
                let program = dir.join("examples/protected_save");
                let help = "`cargo build --workspace --example protected_save` builds it";
                ensure!(program.is_file(), "{} is not there: {help}", program.display());
                Command::new(program)
            }
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(self.source());
                command
            }
        })
    }
}

/// Penholder, and the application's table as docs/PENS.md makes it.
struct Scene {
    server: Server,
    shop: PostgresServer,
    table: PgConnection,
    place: Directory,
}

impl Scene {
    async fn new() -> Result<Self> {
        let server = Server::start(Options::default().set("pen.drain", "300ms")).await?;
        let shop = PostgresServer::start()?;
        let mut table = PgConnection::connect(&shop.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql("CREATE TABLE")?)).execute(&mut table).await?;
        let place = Directory::new()?;
        std::fs::write(place.path().join("keys.json"), server.get("/v1/pens/keys").await?.body)?;
        Ok(Self { server, shop, table, place })
    }

    /// Begins a program as somebody.
    async fn begin(
        &self,
        program: Program,
        user: &str,
        arguments: &[&str],
    ) -> Result<JoinHandle<Result<Output>>> {
        let mut command = program.command()?;
        let port = self.server.port();
        command
            .args(arguments)
            .env("DATABASE_URL", self.shop.url())
            .env("PENHOLDER_TOKEN", self.server.token(user).await?)
            .env("PENHOLDER_SOCKET", format!("ws://127.0.0.1:{port}/socket"))
            .env("PENHOLDER_URL", format!("http://127.0.0.1:{port}"))
            .env("PENHOLDER_KEYS", self.place.path().join("keys.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(spawn_blocking(move || Ok(child.wait_with_output()?)))
    }

    async fn run(
        &self,
        program: Program,
        user: &str,
        arguments: &[&str],
    ) -> Result<(i32, Vec<String>)> {
        ended(self.begin(program, user, arguments).await?).await
    }

    async fn until_held(&self, topic: &str, user: &str) -> Result<()> {
        until(format!("{user} has the pen of {topic}"), SOON, async || {
            let pen = self.server.get(&format!("/v1/pens/{topic}")).await?.json();
            Ok((pen["holder"]["id"] == user).then_some(()))
        })
        .await
    }

    async fn row(&mut self, id: &str) -> Result<(String, i64)> {
        let row = sqlx::query_as("SELECT body, fence FROM documents WHERE id = $1").bind(id);
        Ok(row.fetch_one(&mut self.table).await?)
    }
}

/// The exit code and what was printed.
async fn ended(program: JoinHandle<Result<Output>>) -> Result<(i32, Vec<String>)> {
    let Output { status, stdout, stderr } = program.await??;
    let code = status.code().context("ended by a signal")?;
    let lines = String::from_utf8(stdout)?.lines().map(str::to_owned).collect();
    ensure!(stderr.is_empty() || code == 1, "{}", String::from_utf8_lossy(&stderr));
    Ok((code, lines))
}

fn guide() -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Ok(std::fs::read_to_string(root.join("docs/PENS.md"))?)
}

/// The SQL of docs/PENS.md that begins so.
fn sql(beginning: &str) -> Result<String> {
    let guide = guide()?;
    let blocks = guide.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.starts_with(beginning));
    Ok(found.next().context("no such SQL")?.trim().to_owned())
}

#[test]
fn the_guide_gives_the_statement_of_the_programs() -> Result<()> {
    let statement = sql("UPDATE")?;
    for program in [Program::Rust, Program::Node] {
        let source = std::fs::read_to_string(program.source())?;
        ensure!(source.contains(&format!("\"{statement}\"")), "{program:?} saves otherwise");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_save_under_one_pen() -> Result<()> {
    let mut scene = Scene::new().await?;
    for (first, second) in [(Program::Rust, Program::Node), (Program::Node, Program::Rust)] {
        let before = scene.row("doc:42").await?.1;
        let late = [&["doc:42", "by Ada", EDIT, "--late"][..]].concat();
        let ada = scene.begin(first, "ada", &late).await?;
        scene.until_held("doc:42", "ada").await?;
        let (code, printed) =
            scene.run(second, "bob", &["doc:42", "by Bob", "0", "--take-over"]).await?;
        let (older, newer) = (before + 1, before + 2);
        let saved = format!("saved under fence {newer}");
        assert_eq!(
            (code, &printed[..]),
            (0, &[format!("fence {newer}: editing for 0 s"), saved.clone()][..])
        );
        assert_eq!(scene.row("doc:42").await?, ("by Bob".to_owned(), newer));

        let (code, printed) = ended(ada).await?;
        let refused = format!("refused: fence {older} is older than what has been saved");
        assert_eq!((code, printed.last()), (4, Some(&refused)), "{printed:?}");
        assert_eq!(scene.row("doc:42").await?, ("by Bob".to_owned(), newer), "nothing went back");
        if first == Program::Rust {
            let lost = "stop writing: the time to save before the take-over is over";
            assert_eq!(printed[1], lost);
            let guide = guide()?;
            for line in [lost, &saved, &refused] {
                ensure!(guide.contains(line), "the guide promises another line than {line:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_before_the_write_does_not_write() -> Result<()> {
    let mut scene = Scene::new().await?;
    let mut holders = Vec::new();
    for (program, topic) in [(Program::Rust, "doc:1"), (Program::Node, "doc:2")] {
        sqlx::query("INSERT INTO documents VALUES ($1, '', 0)")
            .bind(topic)
            .execute(&mut scene.table)
            .await?;
        let ada = scene.begin(program, "ada", &[topic, "by Ada", EDIT]).await?;
        scene.until_held(topic, "ada").await?;
        holders.push((topic, ada));
    }
    for (topic, _) in &holders {
        let path = format!("/v1/pens/{topic}/take_over");
        ensure!(scene.server.post(&path, &serde_json::json!({})).await?.status == 200);
    }
    for (topic, ada) in holders {
        let (code, printed) = ended(ada).await?;
        let last = printed.last().context("nothing was printed")?;
        ensure!(code == 3 && last.starts_with("not saved: the pen is lost"), "{printed:?}");
        assert_eq!(scene.row(topic).await?, (String::new(), 0));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_proves_the_fence_and_a_forged_one_nothing() -> Result<()> {
    let mut scene = Scene::new().await?;
    let arguments = ["doc:42", "by Ada", "0", "--receipt"];
    for (program, fence) in [(Program::Rust, 1), (Program::Node, 2)] {
        let (code, printed) = scene.run(program, "ada", &arguments).await?;
        let saved = format!("saved under fence {fence}");
        assert_eq!((code, printed.last()), (0, Some(&saved)), "{program:?}: {printed:?}");
        assert_eq!(scene.row("doc:42").await?, ("by Ada".to_owned(), fence));
    }
    // The key of another server under the name of this one's, so that the signature has to be looked at.
    let other = Server::start(Options::default()).await?;
    let own = scene.server.get("/v1/pens/keys").await?.json();
    let mut forged = other.get("/v1/pens/keys").await?.json();
    forged["keys"][0]["kid"] = own["keys"][0]["kid"].clone();
    std::fs::write(scene.place.path().join("keys.json"), forged.to_string())?;
    for program in [Program::Rust, Program::Node] {
        let (code, printed) = scene.run(program, "bob", &arguments).await?;
        ensure!(code != 0 && !printed.iter().any(|line| line.starts_with("saved")), "{printed:?}");
    }
    assert_eq!(scene.row("doc:42").await?, ("by Ada".to_owned(), 2));
    Ok(())
}
