//! Those who listen: each on a socket or a stream that is lost, with the server or alone, and found again with `since` or
//! `Last-Event-ID`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use penholder_evidence::Draw;
use penholder_hub::Audience;
use penholder_tests::{RawSocket, Request, exchange};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::truth::Last;
use super::writer::{Agreed, Person};

/// How long after the last write everything may take to be heard. What is missing then is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a log is read at a time: less than there is.
const PAGE: usize = 50;

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
    /// What the log of each topic was over HTTP, in the end.
    pub(crate) log: BTreeMap<String, Vec<Delivery>>,
    /// How often it came back.
    pub(crate) returns: u64,
    /// How often it was told that what it missed is not told on the channel, and has read it over HTTP.
    pub(crate) put_off: u64,
    /// How often it went on with `Last-Event-ID`.
    pub(crate) resumed: u64,
}

/// How somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// On one socket, to many topics.
    Channel,
    /// To one topic, by server-sent events.
    Events,
}

/// Somebody who listens.
pub(crate) struct Listener {
    pub(super) port: u16,
    pub(super) person: Person,
    way: Way,
    draw: Draw,
    pub(super) heard: Heard,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody else ended it, or one has had enough.
    Lost,
    /// What was missed on a topic is not told here.
    Behind,
    /// Everything has been heard.
    Over,
}

impl Listener {
    pub(crate) fn new(
        agreed: &Agreed,
        person: Person,
        (way, topics): (Way, Vec<String>),
        draw: Draw,
    ) -> Self {
        let topics: BTreeMap<_, _> = topics.into_iter().map(|topic| (topic, Vec::new())).collect();
        let log = topics.clone();
        let audience = person.audience;
        let heard = Heard { audience, topics, log, returns: 0, put_off: 0, resumed: 0 };
        Self { port: agreed.port, person, way, draw, heard }
    }

    /// Listens until everything up to `finish` has been heard, or for as long as that may take.
    pub(crate) async fn listen(
        mut self,
        mut finish: watch::Receiver<Option<Last>>,
    ) -> Result<Heard> {
        let mut given_up_at = None;
        loop {
            // What ends a connection is not told from what kills the server.
            let life = match self.way {
                Way::Channel => self.on_channels(&mut finish).await,
                Way::Events => self.on_events(&mut finish).await,
            };
            match &life {
                Ok(End::Over) => {
                    for (topic, log) in &mut self.heard.log {
                        read_on(self.port, (&self.person, topic), log).await?;
                    }
                    return Ok(self.heard);
                }
                // Not all that is missed is told at once. Should the server be away, it is tried again.
                Ok(End::Behind) => {
                    for (topic, heard) in &mut self.heard.topics {
                        read_on(self.port, (&self.person, topic), heard).await.ok();
                    }
                }
                Ok(End::Lost) | Err(_) => {}
            }
            if finish.borrow().is_some() {
                let end = *given_up_at.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() > end {
                    say_where(&self, &life)?;
                    return Ok(self.heard);
                }
            }
            let pause = 5 + self.draw.below(30);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One connection, from joining everything to its end.
    async fn on_channels(&mut self, finish: &mut watch::Receiver<Option<Last>>) -> Result<End> {
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
        let end = self.goes_at(finish);
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
            if !self.take(&frame)? {
                return Ok(End::Behind);
            }
        }
    }

    /// When a connection is given up: now and then one goes by oneself.
    pub(super) fn goes_at(&mut self, finish: &watch::Receiver<Option<Last>>) -> Instant {
        let span = match self.draw.below(3) {
            0 if finish.borrow().is_none() => Duration::from_millis(self.draw.below(800)),
            _ => PATIENCE,
        };
        Instant::now() + span
    }

    pub(super) fn has_heard(&self, last: &Last) -> bool {
        self.heard.topics.iter().all(|(topic, heard)| {
            let last = last.get(&(topic.clone(), self.heard.audience)).copied().unwrap_or(0);
            heard.last().map_or(0, |heard| heard.seq) >= last
        })
    }

    /// Takes a frame; returns whether nothing is missing.
    fn take(&mut self, frame: &Value) -> Result<bool> {
        let (topic, event) = (text(&frame[2])?, text(&frame[3])?);
        let Some(heard) = self.heard.topics.get_mut(topic) else { return Ok(true) };
        match event {
            "phx_reply" => {
                ensure!(frame[4]["status"] == "ok", "{topic}: {}", frame[4]);
                if frame[4]["response"]["recovered"] != true {
                    self.heard.put_off += 1;
                    return Ok(false);
                }
            }
            "phx_error" | "phx_close" => bail!("{topic}: {event}"),
            _ if frame[4]["seq"].is_u64() => heard.push(Delivery::read(event, &frame[4])?),
            _ => {}
        }
        Ok(true)
    }
}

impl Delivery {
    pub(super) fn read(event: &str, payload: &Value) -> Result<Self> {
        let mut payload = payload.clone();
        let seq = payload.as_object_mut().and_then(|fields| fields.remove("seq"));
        let seq = seq.and_then(|seq| seq.as_u64()).context("no number")?;
        Ok(Self { seq, event: event.to_owned(), payload })
    }
}

/// Reads over HTTP what the log of a topic has after what one knows of it.
async fn read_on(
    port: u16,
    (person, topic): (&Person, &str),
    known: &mut Vec<Delivery>,
) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let after = known.last().map_or(0, |last| last.seq);
        let path = format!("/v1/topics/{topic}/events?after={after}&limit={PAGE}");
        let request = Request::new("GET", &path).authorized(&format!("Bearer {}", person.token));
        let answer = exchange(port, &request.to_bytes(port)).await?;
        if answer.status == 503 && Instant::now() < end {
            // The store is too busy, with all who read at once.
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        ensure!(answer.status == 200, "{path}: {answer}");
        let page = answer.json();
        for payload in page["data"].as_array().context("a list")? {
            known.push(Delivery::read(text(&payload["event"])?, payload)?);
        }
        if page["next_cursor"].is_null() {
            return Ok(());
        }
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}

/// Says where somebody was when patience was over.
fn say_where(listener: &Listener, life: &Result<End>) -> Result<()> {
    let at =
        listener.heard.topics.iter().map(|(topic, heard)| (topic, heard.last().map(|it| it.seq)));
    let line = format!("{} gave up: {life:?} {:?}\n", listener.person.name, at.collect::<Vec<_>>());
    Ok(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?)
}
