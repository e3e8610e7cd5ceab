//! Channels that speak as realtime-js does: what they ask for, as what a plain channel would.

use penholder_hub::{Content, Request};
use penholder_presence::Key;
use penholder_protocol::realtime::{
    AccessToken, Broadcast, BroadcastConfig, Config, Presence, PresenceEvent,
};
use penholder_protocol::{
    ClientFrame, ClientMeta, CloseCode, ErrorCode, ErrorReply, JoinPayload, Json, PresenceMode,
    TopicName, is_safe_key,
};
use uuid::Uuid;

use super::connection::Connection;
use super::rates::Limited;
use super::requests::{Refused, broadcast, echo, invalid, limited};

/// What a plain join would ask for: presence at most to receive, since the session is shown when it
/// says so.
pub(super) fn read_join(config: &Config) -> Result<JoinPayload, Refused> {
    if !config.postgres_changes.is_empty() {
        return Err(ErrorReply::new(ErrorCode::InvalidPayload)
            .message("this server watches no database: leave config.postgres_changes empty"));
    }
    let presence =
        if config.presence.is_enabled() { PresenceMode::Receive } else { PresenceMode::Off };
    Ok(JoinPayload { presence, ..JoinPayload::default() })
}

/// Under which key the session will be shown: the one that the client has chosen, else a new one.
pub(super) fn read_key(config: &Config) -> Result<Key, Refused> {
    match &*config.presence.key {
        "" => Ok(Key::from(Uuid::new_v4().to_string())),
        key if is_safe_key(key) => Ok(Key::from(key)),
        _ => Err(ErrorReply::new(ErrorCode::InvalidPayload).message(
            "config.presence.key is at most 256 bytes, without control characters, and no name that \
             means something to JavaScript",
        )),
    }
}

/// What a broadcast says.
pub(super) fn read_broadcast(
    said: &Broadcast,
    config: BroadcastConfig,
) -> Result<Request, Refused> {
    let payload = said.payload.clone().unwrap_or_else(Json::empty_object);
    broadcast(&said.event, Content::Json(payload), echo(config.to_self))
}

impl Connection {
    /// Takes the token that a join of the dialect carries, before the join itself: it may be the one
    /// that allows it.
    pub(super) async fn take_join_token(&mut self, frame: &ClientFrame) -> Result<(), Refused> {
        let (Ok(topic), Some(payload)) = (TopicName::parse(&frame.topic), frame.payload.as_json())
        else {
            return Ok(());
        };
        let config = Config::read(&topic, payload).map_err(|error| invalid(&error))?;
        if config.is_none() {
            return Ok(());
        }
        let AccessToken { access_token } = payload.parse_into().map_err(|error| invalid(&error))?;
        let fresh = access_token.map(|token| self.read_token(&token)).transpose()?.flatten();
        let Some(identity) = fresh else { return Ok(()) };
        // It costs as much as in a request of its own, however the join is charged.
        let charged = self.rates.message();
        if charged == Err(Limited::Flood) {
            self.end(CloseCode::TooMany);
        }
        charged.map_err(limited)?;
        self.take_identity(identity).await;
        Ok(())
    }

    /// Reads how a session wants to be seen.
    pub(super) fn read_presence(&self, presence: &Presence) -> Result<Request, Refused> {
        match presence.event {
            PresenceEvent::Untrack => Ok(Request::Untrack),
            PresenceEvent::Track => {
                let meta = self.read_meta(presence.payload.as_ref())?;
                let nothing = || ClientMeta::empty().as_json().as_bytes().to_vec().into();
                Ok(Request::Track(meta.unwrap_or_else(nothing)))
            }
        }
    }
}
