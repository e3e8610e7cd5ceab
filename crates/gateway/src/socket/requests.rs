//! What a client asks over its socket: each frame is checked, authorised and passed on.

use std::sync::Arc;

use penholder_hub::{Content, Echo, Input, InputSeen, PresenceChange, Push, Request};
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{
    Activity, Broadcast, ClientEvent, ClientFrame, CloseCode, ErrorCode, ErrorReply, EventName,
    Json, Mode, Namespace, Payload, PresenceUpdate, TokenRefresh, TokenRefreshReply, TopicName,
    Typing,
};

use super::channels::Target;
use super::connection::Connection;
use super::rates::{Limited, UpdateRate};
use super::summaries::SummariesChannel;
use crate::auth::{Capabilities, Capability};
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
    pub(super) updates: Arc<UpdateRate>,
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
            (ClientEvent::Token, _) => self.refresh_token(frame).await,
            (_, None) => Err(ErrorCode::UnknownEvent.into()),
            (event, Some(rights)) => match self.request(event, frame, &rights) {
                Ok(request) => {
                    self.pass_on(
                        frame,
                        Push { member, reference: frame.reference.clone(), request },
                    )
                    .await
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
            ClientEvent::Typing => {
                let Typing { on } = read(frame)?;
                match on {
                    true if rights.mode == Mode::View => Err(ErrorCode::Forbidden.into()),
                    true => Ok(Request::Typing(penholder_hub::Typing::On)),
                    false => Ok(Request::Typing(penholder_hub::Typing::Off)),
                }
            }
            _ if rights.mode == Mode::View => Err(ErrorCode::Forbidden.into()),
            ClientEvent::Broadcast | ClientEvent::BroadcastNamed(_)
                if !rights.capabilities.allow(Capability::Publish) =>
            {
                Err(ErrorCode::NotAuthorized.into())
            }
            ClientEvent::Broadcast => {
                let Broadcast { event, payload, to_self } = read(frame)?;
                let echo = if to_self == Some(true) { Echo::ToSelf } else { Echo::Others };
                broadcast(&event, Content::Json(object(payload)?), echo)
            }
            ClientEvent::BroadcastNamed(event) => {
                let content = match &frame.payload {
                    Payload::Binary(data) => Content::Binary(data.clone()),
                    Payload::Json(_) => return Err(ErrorCode::UnknownEvent.into()),
                };
                broadcast(event, content, Echo::Others)
            }
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

    /// Takes a fresh token of the same person, and closes the topics that it no longer allows.
    async fn refresh_token(&mut self, frame: &ClientFrame) -> Result<(), Refused> {
        let TokenRefresh { token } = read(frame)?;
        let identity = self.app.identify(&token).map_err(|error| {
            tracing::debug!(%error, user = self.identity.subject(), "refresh refused");
            ErrorCode::InvalidToken
        })?;
        if identity.subject() != self.identity.subject() {
            return Err(ErrorCode::InvalidToken.into());
        }
        let expires_at = identity.expires_at;
        self.renew(identity);
        self.reply(frame, &Json::of(&TokenRefreshReply { expires_at }));
        self.apply_rights().await;
        Ok(())
    }

    /// Asks the newest token again for each joined topic, and shows others whom it names.
    async fn apply_rights(&mut self) {
        let mut news = Vec::new();
        let mut lost_rows = Vec::new();
        let may_view =
            |topic: &TopicName| self.identity.capabilities(topic).allow(Capability::View);
        for (topic, channel) in self.channels.iter_mut() {
            match &mut channel.kept {
                Kept::Summaries(summaries) if !summaries.topics().iter().all(may_view) => {
                    lost_rows.push(topic.clone());
                }
                Kept::Summaries(_) => {}
                Kept::Topic(_) if !may_view(topic) => {
                    news.push((topic.clone(), Input::Expel(channel.member)));
                }
                Kept::Topic(rights) => {
                    rights.capabilities = self.identity.capabilities(topic);
                    let (member, viewer) = (channel.member, self.identity.viewer());
                    news.push((topic.clone(), Input::Identify { member, viewer }));
                    if rights.mode == Mode::Edit && !rights.capabilities.allow(Capability::Edit) {
                        rights.mode = Mode::View;
                        news.push((topic.clone(), Input::Demote(channel.member)));
                    }
                }
            }
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

fn read<T: serde::de::DeserializeOwned>(frame: &ClientFrame) -> Result<T, Refused> {
    let payload = frame.payload.as_json().ok_or(ErrorCode::InvalidPayload)?;
    payload.parse_into().map_err(|error| invalid(&error))
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

fn object(payload: Json) -> Result<Json, Refused> {
    if payload.is_object() {
        return Ok(payload);
    }
    Err(ErrorReply::new(ErrorCode::InvalidPayload)
        .message("the payload of a broadcast is an object"))
}

fn broadcast(event: &str, payload: Content, echo: Echo) -> Result<Request, Refused> {
    let event = EventName::parse(event)
        .map_err(|error| ErrorReply::new(ErrorCode::from(error)).message(error.to_string()))?;
    Ok(Request::Broadcast(penholder_hub::Broadcast { event, payload }, echo))
}
