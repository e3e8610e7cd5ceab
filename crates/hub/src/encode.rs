//! Presence as it goes over the wire.

use std::sync::Arc;

use penholder_presence::{self as presence, Presence};
use penholder_protocol::{
    self as protocol, Json, MetaStamp, encode_meta, presence_diff, presence_state,
};

use crate::view::ViewDiff;

/// The payload of `presence_state`.
pub(crate) fn state<'a>(shown: impl IntoIterator<Item = &'a Arc<Presence>>) -> Json {
    presence_state(by_key(shown))
}

/// The payload of `presence_diff`.
pub(crate) fn diff(diff: &ViewDiff) -> Json {
    presence_diff(by_key(&diff.joins), by_key(&diff.leaves))
}

/// One meta: what the client says of itself, and what the server stamps over it.
pub(crate) fn meta(presence: &Presence) -> Vec<u8> {
    let meta = &presence.meta;
    let replaced = presence.replaces.as_ref().map(ToString::to_string);
    let stamp = MetaStamp {
        phx_ref: &presence.dot.to_string(),
        phx_ref_prev: replaced.as_deref(),
        joined_at: meta.joined_at.0,
        session: presence.session.as_str(),
        user: &user(presence),
        mode: mode(meta.mode),
        status: status(meta.status),
        activity: activity(meta.activity),
        unsaved: meta.unsaved,
        idle_since: meta.idle_since.map(|since| since.0),
    };
    let mut out = Vec::with_capacity(384 + meta.profile.len() + meta.custom.len());
    encode_meta(&stamp, &text(&meta.custom), &mut out);
    out
}

/// The person behind a presence, as a `UserCard`.
pub(crate) fn user(presence: &Presence) -> Json {
    text(&presence.meta.profile)
}

pub(crate) fn mode(mode: presence::Mode) -> protocol::Mode {
    match mode {
        presence::Mode::Edit => protocol::Mode::Edit,
        presence::Mode::View => protocol::Mode::View,
    }
}

pub(crate) fn status(status: presence::Status) -> protocol::Status {
    match status {
        presence::Status::Active => protocol::Status::Active,
        presence::Status::Idle => protocol::Status::Idle,
        presence::Status::Hidden => protocol::Status::Hidden,
        presence::Status::Reconnecting => protocol::Status::Reconnecting,
    }
}

pub(crate) fn activity(activity: presence::Activity) -> protocol::Activity {
    match activity {
        presence::Activity::Viewing => protocol::Activity::Viewing,
        presence::Activity::Typing => protocol::Activity::Typing,
        presence::Activity::Editing => protocol::Activity::Editing,
    }
}

/// Metas with their keys, those of one key together, the oldest session first.
fn by_key<'a>(
    shown: impl IntoIterator<Item = &'a Arc<Presence>>,
) -> impl Iterator<Item = (&'a str, Vec<u8>)> {
    let mut presences: Vec<_> = shown.into_iter().collect();
    presences.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| a.order(b)));
    presences.into_iter().map(|presence| (presence.key.as_str(), meta(presence)))
}

/// One meta as a value of its own.
pub(crate) fn meta_json(presence: &Presence) -> Json {
    text(&meta(presence))
}

/// Bytes that were a `Json` before the presence set carried them.
pub(crate) fn text(bytes: &[u8]) -> Json {
    str::from_utf8(bytes).map_or_else(|_| Json::empty_object(), Json::trusted)
}
