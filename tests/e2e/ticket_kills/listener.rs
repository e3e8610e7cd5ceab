//! Those who listen: each on a socket that is lost, with the server or alone, and found again with `since`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use penholder_evidence::Draw;
use penholder_hub::Audience;
use penholder_tests::RawSocket;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::truth::Last;
use super::writer::{Agreed, Person};

/// How long after the last write everything may take to be heard. What is missing then is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event as it was heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) seq: u64,
    pub(crate) event: String,
    /// Without the number.
    pub(crate) payload: Value,
}

/// What somebody has heard, topic by topic, in order.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) audience: Audience,
    pub(crate) topics: BTreeMap<String, Vec<Delivery>>,
    /// How often it came back.
    pub(crate) returns: u64,
    /// How often it was told that what it missed cannot be told now, and asked again.
    pub(crate) put_off: u64,
}

/// Somebody who listens.
pub(crate) struct Listener {
    port: u16,
    person: Person,
    draw: Draw,
    heard: Heard,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Somebody else ended it, or one has had enough.
    Lost,
    /// Everything has been heard.
    Over,
}

impl Listener {
    pub(crate) fn new(agreed: &Agreed, person: Person, topics: Vec<String>, draw: Draw) -> Self {
        let topics = topics.into_iter().map(|topic| (topic, Vec::new())).collect();
        let heard = Heard { audience: person.audience, topics, returns: 0, put_off: 0 };
        Self { port: agreed.port, person, draw, heard }
    }

    /// Listens until everything up to `finish` has been heard, or for as long as that may take.
    pub(crate) async fn listen(
        mut self,
        mut finish: watch::Receiver<Option<Last>>,
    ) -> Result<Heard> {
        let mut given_up_at = None;
        loop {
            // What ends a connection is not told from what kills the server.
            let life = self.live(&mut finish).await;
            if life.as_ref().is_ok_and(|end| *end == End::Over) {
                return Ok(self.heard);
            }
            if finish.borrow().is_some() {
                let end = *given_up_at.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() > end {
                    let why = life.err().map(|error| format!("{error:#}")).unwrap_or_default();
                    say_where(&self, &why)?;
                    return Ok(self.heard);
                }
            }
            let pause = 5 + self.draw.below(30);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One connection, from joining everything to its end.
    async fn live(&mut self, finish: &mut watch::Receiver<Option<Last>>) -> Result<End> {
        let mut socket = RawSocket::open(self.port, &self.person.token).await?;
        self.heard.returns += 1;
        let topics: Vec<String> = self.heard.topics.keys().cloned().collect();
        for (n, topic) in topics.iter().enumerate() {
            let since = self.heard.topics[topic].last().map_or(0, |last| last.seq);
            let join = json!({"since": since, "presence": false});
            let reference = n.to_string();
            socket
                .send(&json!([reference, reference, topic, "phx_join", join]).to_string())
                .await?;
        }
        // Now and then one goes by oneself.
        let span = match self.draw.below(3) {
            0 if finish.borrow().is_none() => Duration::from_millis(self.draw.below(800)),
            _ => PATIENCE,
        };
        let end = Instant::now() + span;
        loop {
            if finish.borrow_and_update().as_ref().is_some_and(|last| self.has_heard(last)) {
                return Ok(End::Over);
            }
            let frame = tokio::select! {
                frame = socket.next_text() => frame?,
                // What is read halfway is lost with the connection.
                _ = finish.changed() => return Ok(End::Lost),
                () = sleep_until(end) => return Ok(End::Lost),
            };
            self.take(&frame)?;
        }
    }

    fn has_heard(&self, last: &Last) -> bool {
        self.heard.topics.iter().all(|(topic, heard)| {
            let last = last.get(&(topic.clone(), self.heard.audience)).copied().unwrap_or(0);
            heard.last().map_or(0, |heard| heard.seq) >= last
        })
    }

    fn take(&mut self, frame: &Value) -> Result<()> {
        let (topic, event) = (text(&frame[2])?, text(&frame[3])?);
        let Some(heard) = self.heard.topics.get_mut(topic) else { return Ok(()) };
        match event {
            "phx_reply" => {
                ensure!(frame[4]["status"] == "ok", "{topic}: {}", frame[4]);
                if frame[4]["response"]["recovered"] != true {
                    self.heard.put_off += 1;
                    bail!("{topic}: {}", frame[4]);
                }
            }
            "phx_error" | "phx_close" => bail!("{topic}: {event}"),
            _ => {
                let mut payload = frame[4].clone();
                if let Some(seq) = payload["seq"].as_u64() {
                    payload.as_object_mut().context("an object")?.remove("seq");
                    heard.push(Delivery { seq, event: event.to_owned(), payload });
                }
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}

/// Says where somebody was when patience was over.
fn say_where(listener: &Listener, why: &str) -> Result<()> {
    let at =
        listener.heard.topics.iter().map(|(topic, heard)| (topic, heard.last().map(|it| it.seq)));
    let line = format!("{} gave up: {why} {:?}\n", listener.person.name, at.collect::<Vec<_>>());
    Ok(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?)
}
