//! What a client asks over its socket: each frame is checked, authorised and passed on.

use std::sync::Arc;

use penholder_hub::{
    Audience, Content, Echo, Input, InputSeen, PresenceChange, Push, Request, Viewer,
};
use penholder_presence::Key;
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::realtime::{AccessToken, BroadcastConfig};
use penholder_protocol::{
    Activity, Broadcast, ClientEvent, ClientFrame, CloseCode, ErrorCode, ErrorReply, EventName,
    Json, Mode, Namespace, Payload, PresenceUpdate, TokenRefresh, TokenRefreshReply, TopicName,
    Typing, TypingAudience,
};

use super::channels::Target;
use super::connection::Connection;
use super::rates::{Limited, UpdateRate};
use super::realtime;
use super::summaries::SummariesChannel;
use crate::app::App;
use crate::auth::{Caller, Capabilities, Capability, Identity};
use crate::telemetry::metrics;

/// What a socket keeps of a joined topic beside its name.
#[derive(Debug)]
pub(super) enum Kept {
    /// A topic with presence.
    Topic(Rights),
    /// The rows of many topics.
    Summaries(SummariesChannel),
}

/// What a session may do, as of its join or the newest token.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) mode: Mode,
    pub(super) capabilities: Capabilities,
    /// Whom it hears as.
    pub(super) audience: Audience,
    pub(super) updates: Arc<UpdateRate>,
    /// Under which key it is shown.
    pub(super) key: Key,
    /// What becomes of its broadcasts, where it speaks as realtime-js does.
    pub(super) realtime: Option<BroadcastConfig>,
}

impl Rights {
    /// Whether the session is told that what it asks for was done.
    fn answers(&self, request: &Request) -> bool {
        !matches!(request, Request::Broadcast(..)) || self.realtime.is_none_or(|config| config.ack)
    }
}

/// Why a request is refused: the answer to the client.
pub(super) type Refused = ErrorReply;

impl Connection {
    pub(super) async fn dispatch(&mut self, frame: ClientFrame) {
        let event = ClientEvent::parse(&frame.event);
        if frame.topic == Namespace::Phoenix.as_str() {
            match event {
                ClientEvent::Heartbeat => {
                    self.outbox.heartbeat(self.now());
                    self.send(encode::heartbeat_reply(self.wire, frame.reference.as_ref()));
                }
                _ => self.send_unmatched(&frame),
            }
            return;
        }
        match event {
            ClientEvent::Join => self.join(&frame).await,
            ClientEvent::Leave => self.leave(&frame).await,
            _ => self.push(&frame).await,
        }
    }

    /// Answers `frame` with an error.
    pub(super) fn refuse(&self, frame: &ClientFrame, refused: &Refused) {
        if let Some(code) = refused.known_code() {
            metrics::refused(code);
        }
        self.send(encode::error_reply(self.wire, &self.address(frame), refused));
    }

    /// Where the answer to `frame` goes. One without a `join_ref` gets that of its channel; a join
    /// that names none is known by its own reference.
    pub(super) fn address<'a>(&'a self, frame: &'a ClientFrame) -> Address<'a> {
        let of_channel = || match self.channels.target(&frame.topic, None) {
            Target::Channel(channel) => channel.join_ref.as_ref(),
            Target::Stale | Target::Unmatched => None,
        };
        let fallback = || match ClientEvent::parse(&frame.event) {
            ClientEvent::Join => frame.reference.as_ref(),
            _ => of_channel(),
        };
        Address {
            join_ref: frame.join_ref.as_ref().or_else(fallback),
            reference: frame.reference.as_ref(),
            topic: &frame.topic,
        }
    }

    fn send_unmatched(&self, frame: &ClientFrame) {
        metrics::refused(ErrorCode::UnmatchedTopic);
        self.send(encode::unmatched_topic(self.wire, frame.reference.as_ref(), &frame.topic));
    }

    pub(super) fn reply_ok(&self, frame: &ClientFrame) {
        self.reply(frame, &Json::empty_object());
    }

    pub(super) fn reply(&self, frame: &ClientFrame, response: &Json) {
        self.send(encode::reply(self.wire, &self.address(frame), ReplyStatus::Ok, response));
    }

    async fn push(&mut self, frame: &ClientFrame) {
        let (member, rights) = match self.channels.target(&frame.topic, frame.join_ref.as_ref()) {
            Target::Stale => return,
            Target::Unmatched => return self.send_unmatched(frame),
            Target::Channel(channel) => {
                let rights = match &channel.kept {
                    Kept::Topic(rights) => Some(rights.clone()),
                    Kept::Summaries(_) => None,
                };
                (channel.member, rights)
            }
        };
        let event = ClientEvent::parse(&frame.event);
        let result = match (event, rights) {
            (ClientEvent::Token, _) => match read(frame) {
                Ok(TokenRefresh { token }) => self.refresh_token(frame, Some(&token)).await,
                Err(refused) => Err(refused),
            },
            (ClientEvent::AccessToken, Some(Rights { realtime: Some(_), .. })) => {
                match read(frame) {
                    Ok(AccessToken { access_token }) => {
                        self.refresh_token(frame, access_token.as_deref()).await
                    }
                    Err(refused) => Err(refused),
                }
            }
            (_, None) => Err(ErrorCode::UnknownEvent.into()),
            (event, Some(rights)) => match self.request(event, frame, &rights) {
                Ok(request) => {
                    let reference = frame.reference.clone().filter(|_| rights.answers(&request));
                    self.pass_on(frame, Push { member, reference, request }).await
                }
                Err(refused) => Err(refused),
            },
        };
        if let Err(refused) = result {
            self.refuse(frame, &refused);
        }
    }

    /// Reads a request of a session, if its rights allow it.
    fn request(
        &self,
        event: ClientEvent<'_>,
        frame: &ClientFrame,
        rights: &Rights,
    ) -> Result<Request, Refused> {
        if matches!(frame.payload, Payload::Binary(_))
            && !matches!(event, ClientEvent::BroadcastNamed(_))
        {
            self.end(CloseCode::Unsupported);
            return Err(ErrorCode::InvalidPayload.into());
        }
        match event {
            ClientEvent::PresenceUpdate => {
                rights.updates.update().map_err(limited)?;
                self.read_update(&read(frame)?).map(Request::Presence)
            }
            ClientEvent::Presence if rights.realtime.is_some() => {
                rights.updates.update().map_err(limited)?;
                self.read_presence(&read(frame)?)
            }
            ClientEvent::Typing => {
                read_typing(&frame.topic, &read(frame)?, rights).map(Request::Typing)
            }
            _ if rights.mode == Mode::View => Err(ErrorCode::Forbidden.into()),
            ClientEvent::Broadcast | ClientEvent::BroadcastNamed(_)
                if !rights.capabilities.allow(Capability::Publish) =>
            {
                Err(ErrorCode::NotAuthorized.into())
            }
            ClientEvent::Broadcast => match rights.realtime {
                Some(config) => realtime::read_broadcast(&read(frame)?, config),
                None => {
                    let Broadcast { event, payload, to_self } = read(frame)?;
                    broadcast(&event, Content::Json(payload), echo(to_self == Some(true)))
                }
            },
            ClientEvent::BroadcastNamed(event) => {
                let content = match &frame.payload {
                    Payload::Binary(data) => Content::Binary(data.clone()),
                    Payload::Json(_) => return Err(ErrorCode::UnknownEvent.into()),
                };
                let to_self = rights.realtime.is_some_and(|config| config.to_self);
                broadcast(event, content, echo(to_self))
            }
            ClientEvent::PenAcquire
            | ClientEvent::PenRenew
            | ClientEvent::PenRelease
            | ClientEvent::PenRequest
            | ClientEvent::PenAnswer
            | ClientEvent::PenTakeOver
            | ClientEvent::PenDraft => self.read_pen(event, frame),
            ClientEvent::Join
            | ClientEvent::Leave
            | ClientEvent::Heartbeat
            | ClientEvent::Token
            | ClientEvent::Presence
            | ClientEvent::AccessToken
            | ClientEvent::Unknown => Err(ErrorCode::UnknownEvent.into()),
        }
    }

    fn read_update(&self, update: &PresenceUpdate) -> Result<PresenceChange, Refused> {
        let activity = update.activity.map(|activity| match activity {
            Activity::Viewing => penholder_presence::Activity::Viewing,
            Activity::Typing => penholder_presence::Activity::Typing,
            Activity::Editing => penholder_presence::Activity::Editing,
        });
        Ok(PresenceChange {
            custom: self.read_meta(update.meta.as_ref())?,
            activity,
            unsaved: update.unsaved,
            visible: update.visible,
            input: (update.input == Some(true)).then_some(InputSeen),
        })
    }

    async fn pass_on(&self, frame: &ClientFrame, push: Push) -> Result<(), Refused> {
        let topic = TopicName::parse(&frame.topic).map_err(|_| ErrorCode::InvalidTopic)?;
        let told = self.app.shards.tell(&topic, Input::Push(push)).await;
        told.map_err(|_| ErrorCode::Unavailable.into())
    }

    /// Takes a fresh token of the same person, and closes the topics that it no longer allows. Without
    /// one, the present token stays.
    async fn refresh_token(
        &mut self,
        frame: &ClientFrame,
        token: Option<&str>,
    ) -> Result<(), Refused> {
        let fresh = token.map(|token| self.read_token(token)).transpose()?.flatten();
        let expires_at = fresh.as_ref().unwrap_or(&self.identity).expires_at;
        self.reply(frame, &Json::of(&TokenRefreshReply { expires_at }));
        if let Some(identity) = fresh {
            self.take_identity(identity).await;
        }
        Ok(())
    }

    /// Whom a token of the same person describes; none when it says what the present one says.
    pub(super) fn read_token(&self, token: &str) -> Result<Option<Identity>, Refused> {
        let identity = self.app.identify(token).map_err(|error| {
            tracing::debug!(%error, user = self.identity.subject(), "refresh refused");
            ErrorCode::InvalidToken
        })?;
        if identity.subject() != self.identity.subject() {
            return Err(ErrorCode::InvalidToken.into());
        }
        if identity == self.identity {
            return Ok(None);
        }
        self.rates.token().map_err(limited)?;
        Ok(Some(identity))
    }

    /// Goes on under a fresh token of the same person.
    pub(super) async fn take_identity(&mut self, identity: Identity) {
        self.renew(identity);
        self.apply_rights().await;
    }

    /// Asks the newest token again for each joined topic, and shows others whom it names.
    async fn apply_rights(&mut self) {
        let (mut news, mut closes) = (Vec::new(), Vec::new());
        let mut lost_rows = Vec::new();
        let caller = Caller::Person(self.identity.clone());
        for (topic, channel) in self.channels.iter_mut() {
            match &mut channel.kept {
                Kept::Summaries(summaries) => {
                    if !summaries.is_still_allowed(&self.app, &caller).await {
                        lost_rows.push(topic.clone());
                    }
                }
                Kept::Topic(rights) => {
                    let Some(capabilities) =
                        still_allowed(&self.app, &self.identity, (topic, rights)).await
                    else {
                        // Nothing of what waits in the queue is for them any more, nor of what the shard says until
                        // it knows; so they are told from here.
                        if self.outbox.bar(channel.member) {
                            let join_ref = channel.join_ref.as_ref();
                            closes.push(encode::close(self.wire, join_ref, topic.as_str()));
                        }
                        news.push((topic.clone(), Input::Expel(channel.member)));
                        continue;
                    };
                    rights.capabilities = capabilities;
                    let (member, key) = (channel.member, rights.key.clone());
                    let viewer = Viewer { key, ..self.identity.viewer() };
                    news.push((topic.clone(), Input::Identify { member, viewer }));
                    if rights.mode == Mode::Edit && !rights.capabilities.allow(Capability::Edit) {
                        rights.mode = Mode::View;
                        news.push((topic.clone(), Input::Demote(channel.member)));
                    }
                }
            }
        }
        for close in closes {
            self.send(close);
        }
        for (topic, input) in news {
            // A shard that has stopped has nobody left to be told.
            self.app.shards.tell(&topic, input).await.ok();
        }
        for topic in lost_rows {
            if let Some(channel) = self.channels.remove(&topic) {
                self.close(&topic, channel).await;
            }
        }
    }
}

/// What a member may do under a fresh token; nothing, when it has to go. So has who heard as one of the staff and is
/// none any more: the numbers of the public are others. Where only the store could tell and it is away, what was
/// true stays true.
async fn still_allowed(
    app: &App,
    identity: &Identity,
    (topic, rights): (&TopicName, &Rights),
) -> Option<Capabilities> {
    if rights.audience == Audience::Staff && identity.audience(topic) == Audience::Public {
        return None;
    }
    match app.access(identity, (topic, None)).await {
        Ok(access) => Some(access.capabilities),
        Err(refused) if refused.known_code() == Some(ErrorCode::Unavailable) => {
            Some(rights.capabilities)
        }
        Err(_) => None,
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(frame: &ClientFrame) -> Result<T, Refused> {
    let payload = frame.payload.as_json().ok_or(ErrorCode::InvalidPayload)?;
    payload.parse_into().map_err(|error| invalid(&error))
}

/// Reads who types for whom: that only the staff is told is for the staff of a ticket to ask.
fn read_typing(
    topic: &str,
    typing: &Typing,
    rights: &Rights,
) -> Result<penholder_hub::Typing, Refused> {
    use penholder_hub::Typing::{ForStaff, Off, On};
    let Typing { on, audience } = *typing;
    if audience.is_some() {
        let is_ticket =
            TopicName::parse(topic).is_ok_and(|topic| topic.namespace() == Namespace::Tickets);
        if !is_ticket {
            return Err(ErrorReply::new(ErrorCode::InvalidPayload)
                .message("`audience` is for topics of tickets"));
        }
        if rights.audience != Audience::Staff {
            return Err(ErrorCode::Forbidden.into());
        }
    }
    match (on, audience) {
        (true, _) if rights.mode == Mode::View => Err(ErrorCode::Forbidden.into()),
        (true, None) => Ok(On),
        (true, Some(TypingAudience::Staff)) => Ok(ForStaff),
        (false, _) => Ok(Off),
    }
}

pub(super) fn invalid(error: &penholder_protocol::PayloadError) -> Refused {
    ErrorReply::new(ErrorCode::InvalidPayload).message(error.detail.clone())
}

pub(super) fn limited(limited: Limited) -> Refused {
    let refused = ErrorReply::new(ErrorCode::RateLimited);
    match limited {
        Limited::Retry { after_ms } => refused.retry_after_ms(after_ms),
        Limited::Flood => refused,
    }
}

pub(super) fn echo(to_self: bool) -> Echo {
    if to_self { Echo::ToSelf } else { Echo::Others }
}

pub(super) fn broadcast(event: &str, payload: Content, echo: Echo) -> Result<Request, Refused> {
    if matches!(&payload, Content::Json(json) if !json.is_object()) {
        return Err(ErrorReply::new(ErrorCode::InvalidPayload)
            .message("the payload of a broadcast is an object"));
    }
    let event = EventName::parse(event)
        .map_err(|error| ErrorReply::new(ErrorCode::from(error)).message(error.to_string()))?;
    Ok(Request::Broadcast(penholder_hub::Broadcast { event, payload }, echo))
}
