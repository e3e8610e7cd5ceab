//! People on the topic, who note whom they saw go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use penholder_client::presence::Fold;
use penholder_client::{Channel, ChannelEnd, ChannelEvent, Options, Socket};
use penholder_protocol::{
    Certainty, JoinPayload, JoinReply, PresenceMeta, PresenceSummary, ServerEvent,
};
use serde_json::Value;
use tokio::time::sleep;

use super::replica::Replica;
use super::{SOON, TOPIC};

/// In what steps time is counted against a promise.
const STEP: Duration = Duration::from_millis(10);

/// Somebody on the topic.
pub(super) struct Visitor {
    user: &'static str,
    pub(super) socket: Socket,
    pub(super) channel: Channel,
    pub(super) reply: JoinReply,
    here: Fold,
    /// The sessions that it saw go, with their keys.
    pub(super) lost: Vec<String>,
    certainty: Option<Certainty>,
    /// What it was told beside presence: events and payloads.
    pub(super) told: Vec<(String, Value)>,
    /// Whether its channel was closed.
    pub(super) is_closed: bool,
}

impl Visitor {
    pub(super) async fn join(user: &'static str, replica: &Replica) -> Result<Self> {
        let (socket, channel, reply) = enter(user, replica, JoinPayload::default()).await?;
        Ok(Self {
            user,
            socket,
            channel,
            reply,
            here: Fold::strict(),
            lost: Vec::new(),
            certainty: None,
            told: Vec::new(),
            is_closed: false,
        })
    }

    /// Goes on at another replica, as a client does that was sent away. What it sees there counts against
    /// what it saw before.
    pub(super) async fn resume_at(&mut self, replica: &Replica) -> Result<()> {
        let resume = Some(self.reply.resume.clone());
        let payload = JoinPayload { resume, ..JoinPayload::default() };
        let (socket, channel, reply) = enter(self.user, replica, payload).await?;
        ensure!(reply.session == self.reply.session, "{} begins a new session", self.user);
        ensure!(reply.joined_at == self.reply.joined_at, "{} comes later", self.user);
        (self.socket, self.channel, self.reply) = (socket, channel, reply);
        self.here.desync();
        self.until("a state", |it| it.here.is_synced()).await
    }

    /// Follows the topic until `is_there`.
    pub(super) async fn until(
        &mut self,
        what: &str,
        is_there: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        self.within(SOON, what, is_there).await.map(|_| ())
    }

    /// Follows the topic until `is_there`, at most for `bound`; returns when it was.
    ///
    /// The bound is counted in steps, of which one that came late counts as one: a machine that gives this
    /// process no turn gives none to the replicas in it, and breaks no promise of theirs.
    pub(super) async fn within(
        &mut self,
        bound: Duration,
        what: &str,
        is_there: impl Fn(&Self) -> bool,
    ) -> Result<Instant> {
        let follow = async {
            while !is_there(self) {
                self.follow().await?;
            }
            Ok(Instant::now())
        };
        tokio::select! {
            biased;
            seen = follow => seen,
            () = pass(bound) => Err(anyhow::anyhow!("not within {bound:?}: {what}")),
        }
        .with_context(|| format!("{} waits", self.user))
    }

    /// Follows the topic for a while.
    pub(super) async fn watch(&mut self, span: Duration) -> Result<()> {
        let follow = async {
            loop {
                self.follow().await?;
            }
        };
        tokio::select! {
            ended = follow => ended,
            () = sleep(span) => Ok(()),
        }
    }

    async fn follow(&mut self) -> Result<()> {
        let event = self.channel.next_event().await.context("the channel ended")?;
        let ChannelEvent::Message { event, payload } = event else {
            self.is_closed = event == ChannelEvent::Ended(ChannelEnd::Closed);
            return Ok(());
        };
        let before = self.shown()?;
        self.here.apply(&event, &payload)?;
        let after = self.shown()?;
        self.lost.extend(before.difference(&after).cloned());
        if event == ServerEvent::PresenceSummary.as_str() {
            let summary: PresenceSummary = payload.as_json().context("JSON")?.parse_into()?;
            self.certainty = Some(summary.certainty);
        }
        if !event.starts_with("presence_") {
            let payload = payload.as_json().context("JSON")?.parse_into()?;
            self.told.push((event, payload));
        }
        let anomalies = self.here.take_anomalies();
        ensure!(anomalies.is_empty(), "{anomalies:?}");
        Ok(())
    }

    /// All sessions that are shown, each as its key and its id.
    fn shown(&self) -> Result<BTreeSet<String>> {
        let mut shown = BTreeSet::new();
        for key in self.here.keys() {
            let sessions = self.here.sessions(key)?;
            shown.extend(sessions.iter().map(|meta| format!("{key} {}", meta.session)));
        }
        Ok(shown)
    }

    /// The payloads of an event that it was told.
    pub(super) fn told_of(&self, name: &str) -> Vec<&Value> {
        let told = self.told.iter().filter(|(event, _)| event == name);
        told.map(|(_, payload)| payload).collect()
    }

    pub(super) fn sees(&self, users: &[&str]) -> bool {
        self.here.keys().eq(users.iter().copied())
    }

    pub(super) fn is_sure(&self) -> bool {
        self.certainty == Some(Certainty::Confirmed)
    }

    /// Whether `user` is shown, and each of their sessions so.
    pub(super) fn sees_as(&self, user: &str, is_so: impl Fn(&PresenceMeta) -> bool) -> bool {
        let sessions = self.here.sessions(user).unwrap_or_default();
        !sessions.is_empty() && sessions.iter().all(is_so)
    }
}

async fn enter(
    user: &str,
    replica: &Replica,
    payload: JoinPayload,
) -> Result<(Socket, Channel, JoinReply)> {
    let options = Options { token: Some(replica.token(user)?), ..Options::default() };
    let endpoint = format!("ws://127.0.0.1:{}/socket", replica.port());
    let socket = Socket::connect(&endpoint, options).await?;
    let (channel, reply) = socket.join(TOPIC, payload).await?;
    Ok((socket, channel, reply))
}

async fn pass(span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        sleep(STEP).await;
        left = left.saturating_sub(STEP);
    }
}
