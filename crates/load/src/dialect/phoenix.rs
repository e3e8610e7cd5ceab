//! Phoenix Channels, V2 frames: `[join_ref, ref, topic, event, payload]`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Incoming, Seat};
use crate::note::Note;

/// A heartbeat; its reply only shows that the server is there.
pub(super) const HEARTBEAT: &str = r#"[null,"h","phoenix","heartbeat",{}]"#;
const HEARTBEAT_REF: &[u8] = b"h";

/// What every push but a join has for a ref: nobody waits for a certain reply.
const PUSH_REF: &str = "p";

/// How to speak to an application on Phoenix Channels.
#[derive(Clone, Debug)]
pub(crate) struct Phoenix {
    pub(crate) publishing: Publishing,
    /// The event under which published notes arrive.
    pub(crate) note_event: String,
    /// What a join says, an object.
    pub(crate) join_payload: Map<String, Value>,
}

/// How a note is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// As Penholder wants it: event `broadcast`, the payload of the event within.
    Wrapped,
    /// As an event of the application, which it broadcasts to the others.
    Event(String),
}

impl Default for Phoenix {
    fn default() -> Self {
        Self {
            publishing: Publishing::Wrapped,
            note_event: "note".to_owned(),
            join_payload: Map::new(),
        }
    }
}

pub(super) fn target(path: &str, params: &str) -> String {
    let path = if path.is_empty() { "/socket" } else { path };
    let socket = path.strip_suffix("/websocket").unwrap_or(path);
    let separator = if params.is_empty() { "" } else { "&" };
    format!("{socket}/websocket?{params}{separator}vsn=2.0.0")
}

pub(super) fn leave(seat: Seat<'_>) -> String {
    push(seat, "phx_leave", "{}")
}

/// The names are our own and need no escapes.
fn push(Seat { topic, join, .. }: Seat<'_>, event: &str, payload: &str) -> String {
    format!(r#"["{join}","{PUSH_REF}","{topic}","{event}",{payload}]"#)
}

impl Phoenix {
    pub(super) fn join(&self, seat: Seat<'_>, resume: Option<&str>) -> String {
        let Seat { topic, join, .. } = seat;
        let mut payload = self.join_payload.clone();
        if let Some(resume) = resume {
            payload.insert("resume".to_owned(), resume.into());
        }
        let payload = Value::Object(payload);
        format!(r#"["{join}","{join}","{topic}","phx_join",{payload}]"#)
    }

    pub(super) fn publish(&self, seat: Seat<'_>, note: Note) -> String {
        let json = note.to_json();
        match &self.publishing {
            Publishing::Event(event) => push(seat, event, &json),
            Publishing::Wrapped => {
                let event = &self.note_event;
                push(seat, "broadcast", &format!(r#"{{"event":"{event}","payload":{json}}}"#))
            }
        }
    }

    pub(super) fn read<'a>(&self, message: &'a [u8], join: u32) -> Incoming<'a> {
        let Some(frame) = Frame::split(message) else {
            return Incoming::Refused(format!("no frame: {}", String::from_utf8_lossy(message)));
        };
        match frame.event {
            event if event == self.note_event.as_bytes() => {
                Note::read(frame.payload).map_or(Incoming::Other, Incoming::Note)
            }
            b"phx_reply" => reply(&frame, join),
            b"phx_error" | b"phx_close" if is_number(frame.join_ref, join) => Incoming::Ended,
            b"presence_state" => Incoming::State(frame.payload),
            b"presence_diff" => Incoming::Diff(frame.payload),
            b"presence_summary" => Incoming::Summary(frame.payload),
            _ => Incoming::Other,
        }
    }
}

/// A join has one ref twice; whatever else has been pushed is only looked at when it was refused.
fn reply<'a>(frame: &Frame<'a>, join: u32) -> Incoming<'a> {
    #[derive(Deserialize)]
    struct Reply {
        status: String,
        response: Value,
    }

    let is_join = is_number(frame.reference, join);
    if frame.reference == HEARTBEAT_REF {
        return Incoming::Alive;
    }
    if !is_join && frame.payload.starts_with(br#"{"status":"ok""#) {
        return Incoming::Other;
    }
    match serde_json::from_slice(frame.payload) {
        Ok(Reply { status, response }) if status == "ok" && is_join => {
            let resume = response["resume"].as_str().map(str::to_owned);
            Incoming::Joined { resume }
        }
        Ok(Reply { status, .. }) if status == "ok" => Incoming::Other,
        // To leave what is left already is no fault.
        Ok(Reply { response, .. }) => Incoming::Refused(response.to_string()),
        Err(error) => Incoming::Refused(format!("an answer that is none: {error}")),
    }
}

fn is_number(text: &[u8], number: u32) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse() == Ok(number))
}

/// A frame, split without reading its payload: notes come by the million.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    join_ref: &'a [u8],
    reference: &'a [u8],
    event: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    fn split(frame: &'a [u8]) -> Option<Self> {
        let rest = frame.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
        let (join_ref, rest) = element(rest)?;
        let (reference, rest) = element(rest)?;
        let (_topic, rest) = element(rest)?;
        let (event, payload) = element(rest)?;
        Some(Self { join_ref, reference, event, payload: payload.trim_ascii() })
    }
}

/// A scalar and the comma after it; of a string, what is within the quotes.
fn element(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let (value, rest) = match text.strip_prefix(b"\"") {
        None => text.split_at(text.iter().position(|byte| *byte == b',')?),
        Some(text) => {
            let mut is_escaped = false;
            let end = text.iter().position(|byte| {
                let is_end = *byte == b'"' && !is_escaped;
                is_escaped = *byte == b'\\' && !is_escaped;
                is_end
            })?;
            (&text[..end], &text[end + 1..])
        }
    };
    Some((value.trim_ascii_end(), rest.trim_ascii_start().strip_prefix(b",")?))
}

#[cfg(test)]
mod tests {
    use penholder_protocol::{JsonLimits, Wire, decode_text};

    use super::*;

    const SEAT: Seat<'_> = Seat { topic: "load:1", user: "u0", join: 3 };
    const NOTE: Note = Note { slot: 1, number: 2, sender: 3, sent_ns: 4 };

    #[test]
    fn frames_are_what_the_protocol_reads() {
        let phoenix = Phoenix::default();
        let frames = [
            (phoenix.join(SEAT, None), "phx_join", "{}"),
            (phoenix.join(SEAT, Some("t")), "phx_join", r#"{"resume":"t"}"#),
            (leave(SEAT), "phx_leave", "{}"),
            (HEARTBEAT.to_owned(), "heartbeat", "{}"),
            (
                phoenix.publish(SEAT, NOTE),
                "broadcast",
                r#"{"event":"note","payload":{"e":1,"n":2,"s":3,"t":4}}"#,
            ),
        ];
        for (text, event, payload) in frames {
            let frame = decode_text(Wire::V2, &text, &JsonLimits::default()).unwrap();
            assert_eq!(frame.event, event);
            assert_eq!(frame.payload.as_json().unwrap().as_str(), payload);
        }
        let plain = Phoenix { publishing: Publishing::Event("shout".to_owned()), ..phoenix };
        assert!(plain.publish(SEAT, NOTE).ends_with(r#""shout",{"e":1,"n":2,"s":3,"t":4}]"#));
    }

    #[test]
    fn spaces_and_escapes_split_like_none() {
        let frame = Frame::split(br#" [ null , "4" , "a\"b:1" , "x" , {"a":[1]} ] "#).unwrap();
        assert_eq!((frame.join_ref, frame.reference), (&b"null"[..], &b"4"[..]));
        assert_eq!((frame.event, frame.payload), (&b"x"[..], &br#"{"a":[1]}"#[..]));
        for broken in ["", "[]", "[1,2,3]", r#"["a,1,2,3,{}]"#] {
            assert_eq!(Frame::split(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn replies_are_told_apart_by_their_ref() {
        let phoenix = Phoenix::default();
        let read = |reference: &str, payload: &str| {
            let frame = format!(r#"["3","{reference}","load:1","phx_reply",{payload}]"#);
            match phoenix.read(frame.as_bytes(), 3) {
                Incoming::Joined { resume } => format!("joined {resume:?}"),
                Incoming::Refused(why) => why,
                Incoming::Other => "other".to_owned(),
                unexpected => panic!("{unexpected:?}"),
            }
        };
        assert_eq!(
            read("3", r#"{"status":"ok","response":{"resume":"t"}}"#),
            r#"joined Some("t")"#
        );
        assert_eq!(read("3", r#"{"response":{},"status":"ok"}"#), "joined None");
        assert_eq!(read("p", r#"{"response":{},"status":"ok"}"#), "other");
        let alive = br#"[null,"h","phoenix","phx_reply",{"response":{},"status":"ok"}]"#;
        assert_eq!(phoenix.read(alive, 3), Incoming::Alive);
        let refused = r#"{"status":"error","response":{"code":"rate_limited"}}"#;
        assert_eq!(read("p", refused), r#"{"code":"rate_limited"}"#);
    }

    #[test]
    fn the_end_of_an_earlier_join_is_none_of_the_present_one() {
        let phoenix = Phoenix::default();
        let close = |join_ref| format!(r#"["{join_ref}","{join_ref}","load:1","phx_close",{{}}]"#);
        assert_eq!(phoenix.read(close(2).as_bytes(), 3), Incoming::Other);
        assert_eq!(phoenix.read(close(3).as_bytes(), 3), Incoming::Ended);
    }

    #[test]
    fn address_may_name_the_transport_or_not() {
        assert_eq!(target("/live/websocket", "a=1"), "/live/websocket?a=1&vsn=2.0.0");
        assert_eq!(target("/live", ""), "/live/websocket?vsn=2.0.0");
        assert_eq!(target("", ""), "/socket/websocket?vsn=2.0.0");
    }
}
