//! Joining and leaving topics over a socket.

use std::sync::Arc;

use bytes::Bytes;
use penholder_hub::{AtJoin, Audience, Input, Join, MemberId};
use penholder_presence::SessionId;
use penholder_protocol::encode;
use penholder_protocol::realtime::{Config, Dialect};
use penholder_protocol::{
    ClientFrame, ClientMeta, CloseCode, ErrorCode, ErrorReply, JoinPayload, Json, Mode, Namespace,
    TopicName,
};
use uuid::Uuid;

use super::channels::{Channel, Target};
use super::connection::Connection;
use super::rates::{Limited, UpdateRate};
use super::realtime;
use super::requests::{Kept, Refused, Rights, invalid, limited};
use crate::auth::Capability;
use crate::telemetry::metrics;
use crate::tickets::Access;

/// What a join asks for, read and authorised.
enum Asked {
    /// A topic with presence, and what the session may do there.
    Topic(Box<Join>, Rights),
    /// `system:summaries`, with its payload.
    Summaries(TopicName, Json),
}

impl Connection {
    /// Joins a topic. A refused join ends what was joined there before: whoever joins anew has given
    /// that up, and could not name it any more.
    pub(super) async fn join(&mut self, frame: &ClientFrame) {
        let taken = self.take_join_token(frame).await;
        let asked = taken.and_then(|()| self.read_asked(frame));
        // Each join is charged once, whatever comes of it: refused ones cost work too.
        let is_return = matches!(&asked, Ok(Asked::Topic(join, _)) if join.resume.is_some());
        let joined = match (self.charge_join(is_return), asked) {
            (Err(limited), _) => Err(limited),
            (Ok(()), Err(refused)) => Err(refused),
            (Ok(()), Ok(asked)) => self.enter(frame, asked).await,
        };
        let Err(refused) = joined else { return };
        self.refuse(frame, &refused);
        let Ok(topic) = TopicName::parse(&frame.topic) else { return };
        if let Some(channel) = self.channels.remove(&topic) {
            self.close(&topic, channel).await;
        }
    }

    /// Reads what a join asks for, if it may be had.
    fn read_asked(&self, frame: &ClientFrame) -> Result<Asked, Refused> {
        let topic = TopicName::parse(&frame.topic).map_err(|_| ErrorCode::InvalidTopic)?;
        let is_joined = self.channels.find(&topic).is_some();
        if !is_joined && self.channels.len() >= self.app.topics_max() {
            return Err(ErrorCode::TooManyTopics.into());
        }
        if !self.identity.may_ask_for(&topic) {
            return Err(ErrorCode::NotAuthorized.into());
        }
        let payload = frame.payload.as_json().ok_or(ErrorCode::InvalidPayload)?;
        if topic.namespace() == Namespace::System {
            return Ok(Asked::Summaries(topic, payload.clone()));
        }
        let member = self.app.shards.member();
        let (join, rights) = self.read_join(&topic, payload, frame, member)?;
        Ok(Asked::Topic(Box::new(join), rights))
    }

    async fn enter(&mut self, frame: &ClientFrame, asked: Asked) -> Result<(), Refused> {
        let join_ref = frame.join_ref.clone().or_else(|| frame.reference.clone());
        let (topic, member, kept) = match asked {
            Asked::Summaries(topic, payload) => {
                let member = self.app.shards.member();
                let summaries = self.join_summaries(frame, member, &payload).await?;
                (topic, member, Kept::Summaries(summaries))
            }
            Asked::Topic(mut join, mut rights) => {
                let (topic, member) = (join.topic.clone(), join.member);
                let Access { capabilities, audience, visit } =
                    self.app.access(&self.identity, (&topic, join.since)).await?;
                (rights.capabilities, rights.audience, join.audience) =
                    (capabilities, audience, audience);
                let heard = (audience, join.since);
                join.stream = self.app.pens.log().at_join(&topic, visit.as_ref(), heard).await;
                let outbox = Arc::clone(&self.outbox);
                let comes_back = join.since.is_some();
                self.app.shards.join(join, outbox).await.map_err(|_| ErrorCode::Unavailable)?;
                if comes_back {
                    // What was missed is in the queue then.
                    self.app.shards.ask(&topic, |_| ()).await.ok();
                    self.catches_up = true;
                }
                (topic, member, Kept::Topic(rights))
            }
        };
        metrics::joined();
        let replaced = self.channels.insert(topic.clone(), Channel { member, join_ref, kept });
        if let Some(channel) = replaced.filter(|old| matches!(old.kept, Kept::Summaries(_))) {
            self.close(&topic, channel).await;
        }
        self.warn_late(&topic).await;
        Ok(())
    }

    /// Charges a join to the budget of joins. Whoever comes back with the resume tokens of its sessions
    /// may do so at once, as often as a socket may have topics: the limit is for those who come anew,
    /// and clients with many topics would not be back within `grace`.
    fn charge_join(&mut self, is_return: bool) -> Result<(), Refused> {
        if is_return && self.returns < self.app.topics_max() {
            self.returns += 1;
            return Ok(());
        }
        let charged = self.rates.join();
        if charged == Err(Limited::Flood) {
            self.end(CloseCode::TooMany);
        }
        charged.map_err(limited)
    }

    fn read_join(
        &self,
        topic: &TopicName,
        payload: &Json,
        frame: &ClientFrame,
        member: MemberId,
    ) -> Result<(Join, Rights), Refused> {
        let mut viewer = self.identity.viewer();
        let config = Config::read(topic, payload).map_err(|error| invalid(&error))?;
        let asked = match &config {
            None => payload.parse_into().map_err(|error| invalid(&error))?,
            Some(config) => {
                viewer.key = realtime::read_key(config)?;
                realtime::read_join(config)?
            }
        };
        let JoinPayload { mode, presence, meta, since, resume } = asked;
        let capabilities = self.identity.capabilities(topic);
        let may_edit = capabilities.allow(Capability::Edit) && mode != Some(Mode::View);
        let rights = Rights {
            mode: if may_edit { Mode::Edit } else { Mode::View },
            capabilities,
            audience: Audience::Public,
            updates: Arc::new(UpdateRate::new(&self.app.config.limits)),
            key: viewer.key.clone(),
            realtime: config.as_ref().map(|config| config.broadcast),
        };
        let nothing = || ClientMeta::empty().as_json().as_bytes().to_vec().into();
        let join = Join {
            member,
            wire: self.wire,
            dialect: if config.is_some() { Dialect::Realtime } else { Dialect::Phoenix },
            topic: topic.clone(),
            join_ref: frame.join_ref.clone().or_else(|| frame.reference.clone()),
            reference: frame.reference.clone(),
            replaces: self.channels.find(topic).map(|channel| channel.member),
            viewer,
            mode: match rights.mode {
                Mode::Edit => penholder_presence::Mode::Edit,
                Mode::View => penholder_presence::Mode::View,
            },
            presence,
            custom: self.read_meta(meta.as_ref())?.unwrap_or_else(nothing),
            session: SessionId::from(Uuid::new_v4().to_string()),
            resume: resume
                .and_then(|token| self.app.resume.read(&token, self.identity.subject(), topic)),
            since,
            audience: rights.audience,
            stream: AtJoin::None,
        };
        Ok((join, rights))
    }

    pub(super) fn read_meta(&self, meta: Option<&Json>) -> Result<Option<Bytes>, Refused> {
        let Some(meta) = meta else { return Ok(None) };
        let bytes_max = self.app.config.limits.meta_max.bytes();
        let meta = ClientMeta::parse(meta, bytes_max)
            .map_err(|error| ErrorReply::new(ErrorCode::from(&error)).message(error.to_string()))?;
        Ok(Some(Bytes::copy_from_slice(meta.as_json().as_bytes())))
    }

    pub(super) async fn leave(&mut self, frame: &ClientFrame) {
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

    /// Ends a channel that the client has not asked to leave.
    pub(super) async fn close(&self, topic: &TopicName, channel: Channel<Kept>) {
        match channel.kept {
            Kept::Topic(_) => {
                let leave = Input::Leave { member: channel.member, reference: None };
                // A shard that has stopped has closed all it had.
                self.app.shards.tell(topic, leave).await.ok();
            }
            Kept::Summaries(summaries) => {
                summaries.end(&self.app.shards).await;
                self.send(encode::close(self.wire, channel.join_ref.as_ref(), topic.as_str()));
            }
        }
    }
}
