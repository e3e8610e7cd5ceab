//! What a client asks over its socket: each frame is checked, authorised and passed on.

use std::sync::Arc;

use bytes::Bytes;
use penholder_hub::{
    Content, Echo, Input, InputSeen, Join, MemberId, PresenceChange, Push, Request,
};
use penholder_presence::SessionId;
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{
    Activity, Broadcast, ClientEvent, ClientFrame, ClientMeta, CloseCode, ErrorCode, ErrorReply,
    EventName, JoinPayload, Json, Mode, Namespace, Payload, PresenceUpdate, TokenRefresh,
    TokenRefreshReply, TopicName, Typing,
};
use uuid::Uuid;

use super::channels::{Channel, Target};
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
    mode: Mode,
    capabilities: Capabilities,
    updates: Arc<UpdateRate>,
}

/// Why a request is refused: the answer to the client.
type Refused = ErrorReply;

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
            ClientEvent::Join => {
                if let Err(refused) = self.join(&frame).await {
                    self.refuse(&frame, &refused);
                }
            }
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
    fn address<'a>(&'a self, frame: &'a ClientFrame) -> Address<'a> {
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

    async fn join(&mut self, frame: &ClientFrame) -> Result<(), Refused> {
        self.rates.join().map_err(limited)?;
        let topic = TopicName::parse(&frame.topic).map_err(|_| ErrorCode::InvalidTopic)?;
        let replaces = self.channels.find(&topic).map(|channel| channel.member);
        if replaces.is_none() && self.channels.len() >= self.app.topics_max() {
            return Err(ErrorCode::TooManyTopics.into());
        }
        let capabilities = self.identity.capabilities(&topic);
        if !capabilities.allow(Capability::View) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        let payload = frame.payload.as_json().ok_or(ErrorCode::InvalidPayload)?;
        let member = self.app.shards.member();
        let join_ref = frame.join_ref.clone().or_else(|| frame.reference.clone());
        let kept = if topic.namespace() == Namespace::System {
            Kept::Summaries(self.join_summaries(frame, member, payload).await?)
        } else {
            let join = self.read_join((&topic, capabilities), payload, frame, member)?;
            let mode =
                if join.mode == penholder_presence::Mode::Edit { Mode::Edit } else { Mode::View };
            let join = Join { replaces, join_ref: join_ref.clone(), ..join };
            let outbox = Arc::clone(&self.outbox);
            self.app.shards.join(join, outbox).await.map_err(|_| ErrorCode::Unavailable)?;
            let updates = Arc::new(UpdateRate::new(&self.app.config.limits));
            Kept::Topic(Rights { mode, capabilities, updates })
        };
        metrics::joined();
        let replaced = self.channels.insert(topic.clone(), Channel { member, join_ref, kept });
        if let Some(Channel { kept: Kept::Summaries(old), join_ref, .. }) = replaced {
            old.end(&self.app.shards).await;
            self.send(encode::close(self.wire, join_ref.as_ref(), topic.as_str()));
        }
        self.warn_late(&topic);
        Ok(())
    }

    fn read_join(
        &self,
        (topic, capabilities): (&TopicName, Capabilities),
        payload: &Json,
        frame: &ClientFrame,
        member: MemberId,
    ) -> Result<Join, Refused> {
        let asked: JoinPayload = payload.parse_into().map_err(|error| invalid(&error))?;
        let may_edit = capabilities.allow(Capability::Edit);
        let mode = match asked.mode {
            None | Some(Mode::Edit) if may_edit => penholder_presence::Mode::Edit,
            _ => penholder_presence::Mode::View,
        };
        let resume = asked.resume.as_deref();
        Ok(Join {
            member,
            wire: self.wire,
            topic: topic.clone(),
            join_ref: None,
            reference: frame.reference.clone(),
            replaces: None,
            viewer: self.identity.viewer(),
            mode,
            presence: asked.presence,
            custom: self
                .read_meta(asked.meta.as_ref())?
                .unwrap_or_else(|| Bytes::from_static(b"{}")),
            session: SessionId::from(Uuid::new_v4().to_string()),
            resume: resume
                .and_then(|token| self.app.resume.read(token, self.identity.subject(), topic)),
            since: asked.since,
        })
    }

    fn read_meta(&self, meta: Option<&Json>) -> Result<Option<Bytes>, Refused> {
        let Some(meta) = meta else { return Ok(None) };
        let bytes_max = self.app.config.limits.meta_max.bytes();
        let meta = ClientMeta::parse(meta, bytes_max)
            .map_err(|error| ErrorReply::new(ErrorCode::from(&error)).message(error.to_string()))?;
        Ok(Some(Bytes::copy_from_slice(meta.as_json().as_bytes())))
    }

    async fn leave(&mut self, frame: &ClientFrame) {
        match self.channels.target(&frame.topic, frame.join_ref.as_ref()) {
            Target::Stale => {}
            Target::Unmatched => self.reply_ok(frame),
            Target::Channel(_) => {
                let Ok(topic) = TopicName::parse(&frame.topic) else { return };
                let Some(channel) = self.channels.remove(&topic) else { return };
                match channel.kept {
                    Kept::Topic(_) => {
                        let (member, reference) = (channel.member, frame.reference.clone());
                        let leave = Input::Leave { member, reference };
                        if self.app.shards.tell(&topic, leave).await.is_err() {
                            self.reply_ok(frame);
                        }
                    }
                    Kept::Summaries(summaries) => {
                        summaries.end(&self.app.shards).await;
                        self.reply_ok(frame);
                        let join_ref = channel.join_ref.as_ref();
                        self.send(encode::close(self.wire, join_ref, topic.as_str()));
                    }
                }
            }
        }
    }

    fn reply_ok(&self, frame: &ClientFrame) {
        self.reply(frame, &Json::empty_object());
    }

    fn reply(&self, frame: &ClientFrame, response: &Json) {
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
        let identity = self.app.tokens.verify(&token).map_err(|error| {
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

    /// Asks the newest token again for each joined topic.
    async fn apply_rights(&mut self) {
        let mut lost = Vec::new();
        for (topic, channel) in self.channels.iter_mut() {
            let capabilities = self.identity.capabilities(topic);
            if !capabilities.allow(Capability::View) {
                lost.push((topic.clone(), Input::Expel(channel.member)));
            } else if let Kept::Topic(rights) = &mut channel.kept {
                rights.capabilities = capabilities;
                if rights.mode == Mode::Edit && !capabilities.allow(Capability::Edit) {
                    rights.mode = Mode::View;
                    lost.push((topic.clone(), Input::Demote(channel.member)));
                }
            }
        }
        for (topic, input) in lost {
            // A shard that has stopped has nobody left to be told.
            self.app.shards.tell(&topic, input).await.ok();
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(frame: &ClientFrame) -> Result<T, Refused> {
    let payload = frame.payload.as_json().ok_or(ErrorCode::InvalidPayload)?;
    payload.parse_into().map_err(|error| invalid(&error))
}

fn invalid(error: &penholder_protocol::PayloadError) -> Refused {
    ErrorReply::new(ErrorCode::InvalidPayload).message(error.detail.clone())
}

fn limited(limited: Limited) -> Refused {
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
