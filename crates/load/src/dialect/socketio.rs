//! Socket.IO over Engine.IO 4, WebSocket from the start, default namespace, text only.
//!
//! Source: the protocol pages of Engine.IO (revision 4) and Socket.IO (revision 5).

use super::{Incoming, Seat};
use crate::note::Note;

/// Asks for the default namespace.
const CONNECT: &str = "40";
const PONG: &str = "3";

/// How to speak to an application on Socket.IO: the names of its events, and what they carry. In a payload
/// `{topic}`, `{user}` and `{note}` stand for those of a message.
#[derive(Clone, Debug)]
pub(crate) struct SocketIo {
    /// Is acknowledged.
    pub(crate) join_event: String,
    pub(crate) join_payload: String,
    pub(crate) leave_event: String,
    pub(crate) leave_payload: String,
    pub(crate) publish_event: String,
    pub(crate) publish_payload: String,
    /// The event under which published notes arrive.
    pub(crate) note_event: String,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            join_event: "join".to_owned(),
            join_payload: r#"{"topic":"{topic}","key":"{user}"}"#.to_owned(),
            leave_event: "leave".to_owned(),
            leave_payload: r#"{"topic":"{topic}"}"#.to_owned(),
            publish_event: "publish".to_owned(),
            publish_payload: r#"{"topic":"{topic}","payload":{note}}"#.to_owned(),
            note_event: "note".to_owned(),
        }
    }
}

pub(super) fn target(path: &str, params: &str) -> String {
    let path = if path.is_empty() { "/socket.io" } else { path };
    let separator = if params.is_empty() { "" } else { "&" };
    format!("{path}/?EIO=4&transport=websocket{separator}{params}")
}

/// What a payload says of one client.
fn filled(payload: &str, Seat { topic, user, .. }: Seat<'_>) -> String {
    payload.replace("{topic}", topic).replace("{user}", user)
}

impl SocketIo {
    pub(super) fn join(&self, seat: Seat<'_>) -> String {
        let (event, payload) = (&self.join_event, filled(&self.join_payload, seat));
        format!(r#"42{}["{event}",{payload}]"#, seat.join)
    }

    pub(super) fn leave(&self, seat: Seat<'_>) -> String {
        let (event, payload) = (&self.leave_event, filled(&self.leave_payload, seat));
        format!(r#"42["{event}",{payload}]"#)
    }

    pub(super) fn publish(&self, seat: Seat<'_>, note: Note) -> String {
        let (event, payload) = (&self.publish_event, filled(&self.publish_payload, seat));
        format!(r#"42["{event}",{}]"#, payload.replace("{note}", &note.to_json()))
    }

    pub(super) fn read<'a>(&self, message: &'a [u8], join: u32) -> Incoming<'a> {
        match message {
            [b'0', ..] => Incoming::Answer(CONNECT),
            [b'2', ..] => Incoming::Answer(PONG),
            [b'4', b'0', ..] => Incoming::Ready,
            [b'4', b'1', ..] | [b'1', ..] => Incoming::Ended,
            [b'4', b'2', event @ ..] => self.event(event),
            [b'4', b'3', ack @ ..] => acknowledged(ack, join),
            [b'4', b'4', why @ ..] => Incoming::Refused(String::from_utf8_lossy(why).into_owned()),
            _ => Incoming::Other,
        }
    }

    fn event<'a>(&self, event: &'a [u8]) -> Incoming<'a> {
        let split = || {
            let rest = event.strip_prefix(b"[\"")?.strip_suffix(b"]")?;
            let end = rest.iter().position(|byte| *byte == b'"')?;
            Some((&rest[..end], rest[end + 1..].strip_prefix(b",")?))
        };
        match split() {
            Some((name, payload)) if name == self.note_event.as_bytes() => {
                Note::read(payload).map_or(Incoming::Other, Incoming::Note)
            }
            Some((b"presence_state", payload)) => Incoming::State(payload),
            Some((b"presence_diff", payload)) => Incoming::Diff(payload),
            _ => Incoming::Other,
        }
    }
}

/// A join is acknowledged under its number; without an argument, or with one whose `status` is `ok`.
fn acknowledged(ack: &[u8], join: u32) -> Incoming<'_> {
    let digits = ack.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, arguments) = ack.split_at(digits);
    if std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()) != Some(join) {
        return Incoming::Other;
    }
    match serde_json::from_slice::<serde_json::Value>(arguments) {
        Ok(answer) if answer[0].is_null() || answer[0]["status"] == "ok" => {
            Incoming::Joined { resume: None }
        }
        answer => Incoming::Refused(answer.unwrap_or_default().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: Seat<'_> = Seat { topic: "load:1", user: "u0", join: 3 };

    #[test]
    fn the_way_to_a_room_and_back() {
        let dialect = SocketIo::default();
        let read = |message: &'static str| dialect.read(message.as_bytes(), 3);
        assert_eq!(read(r#"0{"sid":"a","pingInterval":25000}"#), Incoming::Answer("40"));
        assert_eq!(read(r#"40{"sid":"b"}"#), Incoming::Ready);
        assert_eq!(dialect.join(SEAT), r#"423["join",{"topic":"load:1","key":"u0"}]"#);
        assert_eq!(read(r#"433[{"status":"ok"}]"#), Incoming::Joined { resume: None });
        assert_eq!(read("433[]"), Incoming::Joined { resume: None });
        assert_eq!(read(r#"434[{"status":"ok"}]"#), Incoming::Other);
        assert!(matches!(read(r#"433[{"status":"full"}]"#), Incoming::Refused(_)));
        assert_eq!(read("2"), Incoming::Answer("3"));
        assert_eq!(read("41"), Incoming::Ended);
    }

    #[test]
    fn events_are_told_apart_by_name() {
        let dialect = SocketIo::default();
        let note = Note { slot: 1, number: 2, sender: 3, sent_ns: 4 };
        let message = format!(r#"42["note",{}]"#, note.to_json());
        assert_eq!(dialect.read(message.as_bytes(), 1), Incoming::Note(note));
        let state = br#"42["presence_state",{"u0":{"metas":[]}}]"#;
        assert_eq!(dialect.read(state, 1), Incoming::State(br#"{"u0":{"metas":[]}}"#));
        assert_eq!(dialect.read(br#"42["other",1]"#, 1), Incoming::Other);
        let published = r#"42["publish",{"topic":"load:1","payload":{"e":1,"n":2,"s":3,"t":4}}]"#;
        assert_eq!(dialect.publish(SEAT, note), published);
    }

    #[test]
    fn an_application_has_words_of_its_own() {
        let dialect = SocketIo {
            join_event: "room:enter".to_owned(),
            join_payload: r#"["{topic}",{"as":"{user}"}]"#.to_owned(),
            leave_payload: r#""{topic}""#.to_owned(),
            publish_payload: r#"{"room":"{topic}","from":"{user}","body":{note}}"#.to_owned(),
            ..SocketIo::default()
        };
        let note = Note { slot: 1, number: 2, sender: 3, sent_ns: 4 };
        assert_eq!(dialect.join(SEAT), r#"423["room:enter",["load:1",{"as":"u0"}]]"#);
        assert_eq!(dialect.leave(SEAT), r#"42["leave","load:1"]"#);
        let published =
            r#"42["publish",{"room":"load:1","from":"u0","body":{"e":1,"n":2,"s":3,"t":4}}]"#;
        assert_eq!(dialect.publish(SEAT, note), published);
    }
}
