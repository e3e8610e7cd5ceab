//! The Rust client against the real server, with the strict fold of presence.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use penholder_client::presence::Fold;
use penholder_client::{
    Acquired, Channel, ChannelEnd, ChannelEvent, Options, Pen, PenEvents, PenLost, PenNews,
    PenTerms, Reconnect, Socket,
};
use penholder_protocol::{
    Broadcast, JoinPayload, JoinReply, Json, JsonLimits, Payload, PenChange, PenEvent,
    PresenceUpdate, Typing, Wire,
};
use penholder_tests::{Options as ServerOptions, Server, soon, until};

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

    bob.channel.typing(Typing { on: true, audience: None }).await?;
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

async fn granted(page: &Page) -> Result<Pen> {
    match page.channel.acquire_pen(&PenTerms::default()).await? {
        Acquired::Granted(pen) => Ok(pen),
        Acquired::Held(pen) => bail!("it is held: {pen:?}"),
    }
}

/// The next change of the pen of this kind.
async fn told(news: &mut PenEvents, kind: PenChange) -> Result<Arc<PenEvent>> {
    soon(kind.as_str(), SOON, async {
        loop {
            match news.next().await.context("the channel has ended")? {
                PenNews::Event(event) if event.kind == kind => return Ok(event),
                _ => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_pen_changes_hands_and_whoever_lost_it_is_told() -> Result<()> {
    let server = Server::start(ServerOptions::default().set("pen.drain", "300ms")).await?;
    let ann = Page::join(&server, "ann", Options::default()).await?;
    let bob = Page::join(&server, "bob", Options::default()).await?;
    let mut news = ann.channel.pen_events();
    let first = granted(&ann).await?;
    assert!(matches!(
        bob.channel.acquire_pen(&PenTerms::default()).await?,
        Acquired::Held(pen) if pen.holder.as_ref().is_some_and(|holder| holder.id == "ann")
    ));

    let pusher = bob.channel.pusher();
    let reason = Some("a typo".to_owned());
    let terms = PenTerms { reason, ..PenTerms::default() };
    let asking = tokio::spawn(async move { pusher.request_pen(&terms).await });
    let asked = told(&mut news, PenChange::Requested).await?;
    assert_eq!((asked.fence, asked.reason.as_deref()), (first.fence()?, Some("a typo")));
    first.decline(Some("in a moment")).await?;
    told(&mut news, PenChange::Declined).await?;
    first.hand_over(Some("bob")).await?;
    let lost = soon("ann is told", SOON, async { Ok(first.lost().await) }).await?;
    assert!(matches!(lost, PenLost::Ended { kind: PenChange::HandedOver, .. }), "{lost}");
    let second = soon("bob has it", SOON, async { Ok(asking.await??) }).await?;
    assert!(second.fence()? > asked.fence && second.receipt()?.is_some());

    let pusher = ann.channel.pusher();
    let taking = tokio::spawn(async move { pusher.take_over_pen(&PenTerms::default()).await });
    until("bob is told of the drain", SOON, async || {
        Ok((second.is_draining() || second.fence().is_err()).then_some(()))
    })
    .await?;
    let third = soon("ann has it again", SOON, async { Ok(taking.await??) }).await?;
    assert!(third.fence()? > asked.fence);
    assert!(second.fence().is_err());

    third.release().await?;
    let released = told(&mut news, PenChange::Released).await?;
    assert!(released.pen.holder.is_none());
    Ok(())
}

#[tokio::test]
async fn a_pen_is_kept_over_the_death_of_the_server_and_given_back_when_dropped() -> Result<()> {
    let ttl = Duration::from_secs(2);
    let mut server = Server::start(ServerOptions::default()).await?;
    let options = || Options { reconnect: Reconnect::Backoff, ..Options::default() };
    let ann = Page::join(&server, "ann", options()).await?;
    let mut news = ann.channel.pen_events();
    let terms = PenTerms { ttl: Some(ttl), ..PenTerms::default() };
    let Acquired::Granted(held) = ann.channel.acquire_pen(&terms).await? else { bail!("held") };
    let fence = held.fence()?;
    let deadline = told(&mut news, PenChange::Granted).await?.pen.deadline.context("a deadline")?;
    server.restart().await?;
    let ttl_ms = u64::try_from(ttl.as_millis())?;
    until("it has lived for twice a time to live", SOON, async || {
        assert_eq!(held.fence(), Ok(fence), "believed in all the while");
        let pen = server.get("/v1/pens/doc:1").await?.json();
        Ok(pen["deadline"].as_u64().filter(|now| *now >= deadline + 2 * ttl_ms))
    })
    .await?;
    drop(held);
    told(&mut news, PenChange::Released).await?;
    Ok(())
}
