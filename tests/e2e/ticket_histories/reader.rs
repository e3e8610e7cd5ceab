//! Those who listen, each to one topic, and lose their connection again and again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_evidence::Draw;
use penholder_hub::Audience;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::truth::{Last, Truth};
use crate::desk::{Desk, Heard, heard, quietly};

/// How long after the last write everything may take to be heard.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a frame may take to be followed by the next that is known to be there.
const FRAME_MAX: Duration = Duration::from_secs(20);

/// One of those who listen.
pub(crate) struct Reader {
    desk: Arc<Desk>,
    token: String,
    draw: Draw,
    story: Story,
    /// The number of the last event; none before the first join.
    last: Option<u64>,
}

/// What somebody has heard of a topic.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) topic: String,
    pub(crate) audience: Audience,
    /// In order, over all connections.
    pub(crate) heard: Vec<Heard>,
    /// How many of these were told right after a join.
    pub(crate) missed: usize,
    pub(crate) returns: usize,
    pub(crate) resets: usize,
}

impl Reader {
    pub(crate) fn new(desk: &Arc<Desk>, (token, topic): (String, String), draw: Draw) -> Self {
        let (desk, heard) = (Arc::clone(desk), Vec::new());
        // Until the first answer says how much there is to hear.
        let audience = Audience::Public;
        let story = Story { topic, audience, heard, missed: 0, returns: 0, resets: 0 };
        Self { desk, token, draw, story, last: None }
    }

    /// Listens until everything was heard up to `finish`.
    pub(crate) async fn read(mut self, mut finish: watch::Receiver<Option<Last>>) -> Result<Story> {
        let role = self.token.split('.').nth(1).map(str::to_owned).context("no claims")?;
        self.story.audience = audience_of(&role)?;
        let mut patience = None;
        loop {
            let topic = self.story.topic.clone();
            self.sit(&mut finish).await.with_context(|| topic)?;
            let last = finish.borrow().clone();
            if let Some(last) = last {
                let key = (self.story.topic.clone(), self.story.audience);
                if self.last >= Some(last.get(&key).copied().unwrap_or(0)) {
                    return Ok(self.story);
                }
                let end = *patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                ensure!(Instant::now() < end, "{key:?} ends at {:?}, not {last:?}", self.last);
            }
            let away = if self.draw.below(8) == 0 { 500 } else { 60 };
            let away = self.draw.below(away);
            sleep(Duration::from_millis(away)).await;
        }
    }

    /// One connection: what was missed, and then what comes for a drawn time.
    async fn sit(&mut self, finish: &mut watch::Receiver<Option<Last>>) -> Result<()> {
        let topic = self.story.topic.clone();
        let mut socket = self.desk.server.socket(&self.token).await?;
        let answer = socket.ask(&topic, "phx_join", &quietly(self.last)).await?;
        if answer["response"]["reason"] == "unavailable" {
            // The store did not answer in time.
            return Ok(());
        }
        ensure!(answer["status"] == "ok", "{answer}");
        let joined = &answer["response"];
        self.story.returns += usize::from(self.last.is_some());
        let now = joined["seq"].as_u64().context("no seq")?;
        let since = match (self.last, &joined["recovered"]) {
            (None, Value::Null) => now,
            (Some(last), Value::Bool(true)) => last,
            // Nothing is forgotten here, so that can only have been too much for one answer.
            (Some(last), Value::Bool(false)) if now > last => {
                self.story.resets += 1;
                now
            }
            _ => anyhow::bail!("since {:?}: {joined}", self.last),
        };
        ensure!(now >= since, "the topic has gone back from {since} to {now}");
        let mut last = since;
        self.last = Some(last);
        let end = Instant::now() + Duration::from_millis(20 + self.draw.below(600));
        loop {
            let frame = if last < now {
                // It was missed, so it is there.
                timeout(FRAME_MAX, socket.next_text()).await.context("what was missed")??
            } else {
                let is_over = finish.borrow_and_update().is_some();
                tokio::select! {
                    frame = socket.next_text() => frame?,
                    () = sleep_until(end) => return Ok(()),
                    _ = finish.changed(), if !is_over => return Ok(()),
                }
            };
            let Some(heard) = heard(&frame, &topic) else { continue };
            ensure!(heard.seq() == Some(last + 1), "after {last} since {since}: {frame}");
            self.story.missed += usize::from(last < now);
            last += 1;
            self.last = Some(last);
            self.story.heard.push(heard);
        }
    }
}

fn audience_of(claims: &str) -> Result<Audience> {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims)?;
    let claims: Value = serde_json::from_slice(&claims)?;
    let is_staff = ["admin", "agent"].iter().any(|role| claims["role"] == **role);
    Ok(if is_staff { Audience::Staff } else { Audience::Public })
}

impl Story {
    /// Each event is that of its number in the log, whenever and however it was heard; none is missing from the first
    /// to the last.
    pub(crate) fn check(&self, truth: &Truth) -> Result<()> {
        let stream = truth.streams.get(&(self.topic.clone(), self.audience));
        let stream = stream.map(Vec::as_slice).unwrap_or_default();
        for heard in &self.heard {
            let seq = usize::try_from(heard.seq().context("no seq")?)?;
            let told = seq.checked_sub(1).and_then(|place| stream.get(place));
            ensure!(told == Some(heard), "the log has {told:#?}, heard {heard:#?}");
        }
        let numbers: Vec<u64> = self.heard.iter().filter_map(Heard::seq).collect();
        let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        ensure!(gaps <= self.resets, "{gaps} gaps, and {} resets", self.resets);
        let is_growing = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        ensure!(is_growing, "{numbers:?}");
        Ok(())
    }
}
