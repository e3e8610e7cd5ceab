//! Two people on a topic of their own, who talk all the time and must notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use penholder_tests::{Opcode, RawSocket, soon};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::scene::{QUIET, SOON, Scene};

/// So often one says something to the other; below the limit of messages.
const EVERY: Duration = Duration::from_millis(50);

/// Longest wait of theirs for an answer. A server that is held up takes longer, one on a machine that is
/// busy does not.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Least that they say while the rows run.
const SAID_MIN: u64 = 100;

pub(super) struct Bystanders {
    stop: Arc<AtomicBool>,
    talk: JoinHandle<Result<Talk>>,
    /// Who is on their topic, as the server lists it.
    present: Value,
}

/// What was said.
struct Talk {
    ann: RawSocket,
    bob: RawSocket,
    said: u64,
    slowest: Duration,
}

impl Bystanders {
    pub(super) async fn join(scene: &Arc<Scene>) -> Result<Self> {
        let mut ann = scene.socket("ann", "agent").await?;
        let mut bob = scene.socket("bob", "agent").await?;
        let both = |frame: &Value| frame[3] == "presence_summary" && frame[4]["count"] == 2;
        ann.join_with(QUIET, &json!({"meta": {"color": "red"}})).await?;
        bob.join_with(QUIET, &json!({"meta": {"color": "blue"}})).await?;
        ann.until("ann sees both", both).await?;
        bob.until("bob sees both", both).await?;
        let present = present(scene).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let talk = tokio::spawn(talk(ann, bob, (Arc::clone(scene), Arc::clone(&stop))));
        Ok(Self { stop, talk, present })
    }

    /// Checks that they have noticed nothing, and sends them home.
    pub(super) async fn check_and_leave(self, scene: &Scene) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Talk { mut ann, mut bob, said, slowest } = self.talk.await??;
        ensure!(said >= SAID_MIN, "they have said {said} things only");
        ensure!(slowest < ANSWER_MAX, "an answer took {slowest:?}");
        ensure!(present(scene).await? == self.present, "who is present has changed");
        for socket in [&mut ann, &mut bob] {
            socket.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await?;
        }
        Ok(())
    }
}

async fn present(scene: &Scene) -> Result<Value> {
    Ok(scene.server.get(&format!("/v1/topics/{QUIET}/presence")).await?.json())
}

/// Says one thing after another. The only frame that ann gets is the answer, the only one that bob gets is
/// what she has said.
async fn talk(
    mut ann: RawSocket,
    mut bob: RawSocket,
    (scene, stop): (Arc<Scene>, Arc<AtomicBool>),
) -> Result<Talk> {
    let (mut said, mut slowest) = (0_u64, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let (started, reference) = (Instant::now(), format!("said {said}"));
        let payload = json!({"event": "said", "payload": {"n": said}});
        ann.send(&json!([null, reference, QUIET, "broadcast", payload]).to_string()).await?;
        let answer = ann.until("an answer", |_| true).await?;
        let ok = json!({"status": "ok", "response": {}});
        ensure!(answer == json!(["1", reference, QUIET, "phx_reply", ok]), "ann gets {answer}");
        let heard = bob.until("what was said", |_| true).await?;
        ensure!(heard == json!([null, null, QUIET, "said", {"n": said}]), "bob gets {heard}");
        if said % 10 == 0 {
            let ready = soon("readiness", SOON, scene.server.get("/readyz")).await?;
            ensure!(ready.status == 200, "{ready}");
        }
        slowest = slowest.max(started.elapsed());
        said += 1;
        tokio::time::sleep(EVERY).await;
    }
    Ok(Talk { ann, bob, said, slowest })
}
