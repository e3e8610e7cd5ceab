//! Joins as tests write them.

use penholder_hub::{AtJoin, Audience, Join, MemberId, ResumeClaim, Viewer};
use penholder_presence::{Key, Kind, Mode, SessionId};
use penholder_protocol::realtime::Dialect;
use penholder_protocol::{PresenceMode, Ref, Since, Wire};

use super::topic;

/// A join in the making: V2, shown, with the right to edit.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) topic: String,
    pub(crate) wire: Wire,
    dialect: Dialect,
    key: String,
    mode: Mode,
    presence: PresenceMode,
    replaces: Option<MemberId>,
    resume: Option<ResumeClaim>,
    since: Option<Since>,
    audience: Audience,
    stream: AtJoin,
    custom: String,
}

impl Joining {
    pub(crate) fn new(topic: &str, key: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            wire: Wire::V2,
            dialect: Dialect::Phoenix,
            key: key.to_owned(),
            mode: Mode::Edit,
            presence: PresenceMode::Show,
            replaces: None,
            resume: None,
            since: None,
            audience: Audience::Public,
            stream: AtJoin::None,
            custom: "{}".to_owned(),
        }
    }

    pub(crate) fn v1(self) -> Self {
        Self { wire: Wire::V1, ..self }
    }

    /// As realtime-js joins: it sees, and is not shown before it asks to be.
    pub(crate) fn realtime(self) -> Self {
        Self { dialect: Dialect::Realtime, ..self.presence(PresenceMode::Receive) }
    }

    pub(crate) fn view(self) -> Self {
        Self { mode: Mode::View, ..self }
    }

    pub(crate) fn presence(self, presence: PresenceMode) -> Self {
        Self { presence, ..self }
    }

    pub(crate) fn replaces(self, member: MemberId) -> Self {
        Self { replaces: Some(member), ..self }
    }

    pub(crate) fn resume(self, claim: ResumeClaim) -> Self {
        Self { resume: Some(claim), ..self }
    }

    pub(crate) fn since(self, since: Since) -> Self {
        Self { since: Some(since), ..self }
    }

    pub(crate) fn staff(self) -> Self {
        Self { audience: Audience::Staff, ..self }
    }

    pub(crate) fn stream(self, stream: AtJoin) -> Self {
        Self { stream, ..self }
    }

    pub(crate) fn custom(self, custom: impl Into<String>) -> Self {
        Self { custom: custom.into(), ..self }
    }

    /// The join of `member`, which also numbers the session and the refs.
    pub(crate) fn into_join(self, member: MemberId, number: u64) -> Join {
        let card = format!(
            r#"{{"id":"{key}","name":"{key}","role":"agent","kind":"human","avatar":null}}"#,
            key = self.key
        );
        Join {
            member,
            wire: self.wire,
            dialect: self.dialect,
            topic: topic(&self.topic),
            join_ref: Some(Ref::counter(number)),
            reference: Some(Ref::counter(number)),
            replaces: self.replaces,
            viewer: Viewer {
                key: Key::from(self.key.as_str()),
                kind: Kind::Human,
                profile: card.into(),
            },
            mode: self.mode,
            presence: self.presence,
            custom: self.custom.into(),
            session: SessionId::from(format!("s{number}")),
            resume: self.resume,
            since: self.since,
            audience: self.audience,
            stream: self.stream,
        }
    }
}
