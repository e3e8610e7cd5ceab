//! Bad input, row by row: what is sent, and what must be answered.
//!
//! All rows run against one server, several at a time and many times over. Beside them two bystanders
//! talk to each other, and must notice nothing. At the end nothing is left of the rows: no connection,
//! no session, no memory, no word of a token in the log.

mod bystanders;
mod crowd;
mod frames;
mod handshakes;
mod joins;
mod messages;
mod scene;
mod slow;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_tests::{soon, until};
use tokio::task::JoinSet;

use self::bystanders::Bystanders;
use self::scene::{SOON, Scene};

/// How often each row is run.
const TIMES: usize = 12;

/// How often a row of tokens is run: it shows its token in five places.
const TOKEN_TIMES: usize = 3;

/// Longest time that one run of a row may take.
const ROW_MAX: Duration = Duration::from_secs(60);

/// How many rows are run at a time.
const AT_ONCE: usize = 8;

/// What the server's memory may have grown by once everybody is gone. It gives nothing back at once
/// that it may need again.
const GROWTH_BYTES_MAX: u64 = 12 * 1024 * 1024;

/// One row of the table.
struct Row {
    name: String,
    does: Does,
}

/// What somebody does, and what must come of it.
enum Does {
    Handshake(handshakes::Handshake),
    Token(tokens::Bad),
    Frames(frames::Sent),
    Message(messages::Said),
    Join(joins::Asked),
}

impl Row {
    fn times(&self) -> usize {
        if matches!(self.does, Does::Token(_)) { TOKEN_TIMES } else { TIMES }
    }

    async fn run(&self, scene: &Scene, user: &str) -> Result<()> {
        match &self.does {
            Does::Handshake(handshake) => handshake.run(scene).await,
            Does::Token(bad) => bad.run(scene, user).await,
            Does::Frames(sent) => sent.run(scene, user).await,
            Does::Message(said) => said.run(scene, user).await,
            Does::Join(asked) => asked.run(scene, user).await,
        }
    }
}

fn table(scene: &Scene) -> Result<Vec<Row>> {
    let mut rows = handshakes::rows(scene)?;
    rows.extend(tokens::rows(scene)?);
    rows.extend(frames::rows());
    rows.extend(messages::rows());
    rows.extend(joins::rows());
    Ok(rows)
}

/// Runs each row that still has to be run, several at a time, and tells of all that fail.
async fn run_each(scene: &Arc<Scene>, rows: &Arc<Vec<Row>>, runs_before: usize) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (scene, rows, next) = (Arc::clone(scene), Arc::clone(rows), Arc::clone(&next));
        workers.spawn(async move {
            let mut failed = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(row) = rows.get(index) else { return failed };
                if runs_before >= row.times() {
                    continue;
                }
                let user = format!("row{index}");
                let run = soon("the row is done", ROW_MAX, row.run(&scene, &user));
                if let Err(error) = run.await {
                    failed.push(format!("{}: {error:#}", row.name));
                }
            }
        });
    }
    let failed = workers.join_all().await.concat();
    ensure!(failed.is_empty(), "{} rows fail:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_answered_and_nobody_else_notices() -> Result<()> {
    let scene = Arc::new(Scene::start().await?);
    let rows = Arc::new(table(&scene)?);
    let bystanders = Bystanders::join(&scene).await?;
    let slow = tokio::spawn(slow::run(Arc::clone(&scene)));
    // What is allocated once is not counted.
    run_each(&scene, &rows, 0).await?;
    let memory = scene.server.resident_bytes()?;
    for runs_before in 1..TIMES {
        run_each(&scene, &rows, runs_before).await?;
    }
    slow.await??;
    bystanders.check_and_leave(&scene).await?;
    check_remains(&scene).await?;
    until(format!("the memory is back at {memory} bytes"), SOON, async || {
        let now = scene.server.resident_bytes()?;
        Ok((now < memory + GROWTH_BYTES_MAX).then_some(()))
    })
    .await?;
    check_log(&scene).await
}

/// Checks that nothing is left of anybody.
async fn check_remains(scene: &Scene) -> Result<()> {
    for gauge in ["penholder_connections", "penholder_sessions", "penholder_topics"] {
        let is_none = async || Ok((scene.server.metric(gauge).await? == 0.0).then_some(()));
        until(format!("{gauge} is 0"), SOON, is_none).await?;
    }
    let before = &scene.open_files;
    until("all is closed", SOON, async || {
        Ok((scene.server.open_files()?.len() <= before.len()).then_some(()))
    })
    .await
    .with_context(|| format!("{before:#?}\nwere open, now\n{:#?}", scene.server.open_files()))?;
    scene.check_quiet()
}

async fn check_log(scene: &Scene) -> Result<()> {
    const REFUSALS: &str = "penholder_handshakes_total{outcome=\"";
    let metrics = scene.server.get("/metrics").await?.body;
    for name in ["doc:", "row1", "canary"] {
        ensure!(!metrics.contains(name), "{name} is a label of a metric");
    }
    let refusals = metrics.lines().filter_map(|line| line.strip_prefix(REFUSALS));
    let counts = refusals.filter(|line| !line.starts_with("ok")).filter_map(|line| {
        let (_, count) = line.rsplit_once(' ')?;
        count.parse::<usize>().ok()
    });
    let log = scene.server.log();
    let lines = log.lines().filter(|line| line.contains("handshake refused")).count();
    assert_eq!(lines, counts.sum::<usize>(), "one line for each refused handshake");
    scene.check_secrets(&log)
}
