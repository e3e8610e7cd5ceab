//! The Rust client against the real server, with the strict fold of presence.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use penholder_client::presence::Fold;
use penholder_client::{Channel, ChannelEnd, ChannelEvent, Options, Reconnect, Socket};
use penholder_protocol::{
    Broadcast, JoinPayload, JoinReply, Json, JsonLimits, Payload, PresenceUpdate, Typing, Wire,
};
use penholder_tests::{Options as ServerOptions, Server, soon};

const SOON: Duration = Duration::from_secs(10);

/// Somebody on a topic, and whom they see.
struct Page {
    socket: Socket,
    channel: Channel,
    reply: JoinReply,
    fold: Fold,
}

impl Page {
    async fn join(server: &Server, user: &str, options: Options) -> Result<Self> {
        let token = Some(server.token(user).await?);
        let endpoint = format!("ws://127.0.0.1:{}/socket", server.port());
        let socket = Socket::connect(&endpoint, Options { token, ..options }).await?;
        let (channel, reply) = socket.join("doc:1", JoinPayload::default()).await?;
        Ok(Self { socket, channel, reply, fold: Fold::strict() })
    }

    /// The next event that the channel yields; presence is folded on the way.
    async fn event(&mut self) -> Result<ChannelEvent> {
        let next = async { self.channel.next_event().await.context("the channel yields no more") };
        let event = soon("another event", SOON, next).await?;
        match &event {
            ChannelEvent::Message { event, payload } => self.fold.apply(event, payload)?,
            ChannelEvent::Rejoined { .. } => self.fold.desync(),
            ChannelEvent::Disconnected | ChannelEvent::Ended(_) => {}
        }
        assert_eq!(self.fold.take_anomalies(), []);
        Ok(event)
    }

    /// Reads events until exactly these people are present.
    async fn sees(&mut self, people: &[&str]) -> Result<()> {
        while !self.fold.is_synced() || !self.fold.keys().eq(people.iter().copied()) {
            self.event().await?;
        }
        Ok(())
    }

    /// Reads events until one of this name, and returns its payload.
    async fn message(&mut self, name: &str) -> Result<Payload> {
        loop {
            match self.event().await? {
                ChannelEvent::Message { event, payload } if event == name => return Ok(payload),
                ChannelEvent::Ended(end) => bail!("the channel has ended: {end:?}"),
                _ => {}
            }
        }
    }
}

fn json(text: &str) -> Result<Json> {
    Ok(Json::parse(text, &JsonLimits::default())?)
}

#[tokio::test]
async fn two_clients_meet_in_either_format() -> Result<()> {
    let server = Server::start(ServerOptions::default()).await?;
    let v1 = Options { wire: Wire::V1, ..Options::default() };
    let mut ann = Page::join(&server, "ann", Options::default()).await?;
    let mut bob = Page::join(&server, "bob", v1).await?;
    ann.sees(&["ann", "bob"]).await?;
    bob.sees(&["ann", "bob"]).await?;

    let meta = Some(json(r#"{"color":"red"}"#)?);
    let update = PresenceUpdate { meta, ..PresenceUpdate::default() };
    let reference = bob.channel.update_presence(&update).await?.reference.context("no ref")?;
    while !ann.fold.refs().contains(&("bob", &*reference)) {
        ann.event().await?;
    }
    assert_eq!(ann.fold.metas("bob").count(), 1);

    bob.channel.typing(Typing { on: true }).await?;
    ann.message("typing").await?;
    let moved =
        Broadcast { event: "moved".to_owned(), payload: json(r#"{"x":1}"#)?, to_self: None };
    ann.channel.broadcast(&moved).await?;
    let heard = bob.message("moved").await?;
    assert_eq!(heard.as_json().map(Json::as_str), Some(r#"{"x":1}"#));

    bob.channel.leave().await?;
    ann.sees(&["ann"]).await?;
    while bob.event().await? != ChannelEvent::Ended(ChannelEnd::Left) {}
    ann.socket.close().await;
    let left = server.get("/v1/topics/doc:1/presence").await?.json();
    assert_eq!(left["count"], 0);
    Ok(())
}

#[tokio::test]
async fn sessions_go_on_after_the_server_was_killed() -> Result<()> {
    let mut server = Server::start(ServerOptions::default()).await?;
    let options = || Options { reconnect: Reconnect::Backoff, ..Options::default() };
    let mut ann = Page::join(&server, "ann", options()).await?;
    let mut bob = Page::join(&server, "bob", options()).await?;
    ann.sees(&["ann", "bob"]).await?;
    bob.sees(&["ann", "bob"]).await?;
    server.restart().await?;
    for page in [&mut ann, &mut bob] {
        let reply = loop {
            if let ChannelEvent::Rejoined { reply } = page.event().await? {
                break reply;
            }
        };
        let reply: JoinReply = reply.as_json().context("no JSON")?.parse_into()?;
        assert_eq!(reply.session, page.reply.session);
        assert_eq!(reply.joined_at, page.reply.joined_at);
        assert_ne!(reply.resume, page.reply.resume);
    }
    for page in [&mut ann, &mut bob] {
        page.sees(&["ann", "bob"]).await?;
    }
    Ok(())
}
