use bytes::Bytes;

use super::{AccessToken, Broadcast, Config, JoinReply, Presence, PresenceEvent, binary_broadcast};
use crate::encode::EncodeError;
use crate::frame::{ClientFrame, Payload, decode_binary};
use crate::json::{Json, JsonError, JsonLimits};
use crate::malformed::{Field, Malformed, MalformedReason};
use crate::payload::{self, Limits, Mode};
use crate::reference::Ref;
use crate::topic::TopicName;

fn json(text: &str) -> Json {
    Json::parse(text, &JsonLimits::default()).unwrap()
}

fn decode(frame: impl Into<Bytes>) -> Result<ClientFrame, Malformed> {
    decode_binary(frame.into(), &JsonLimits::default())
}

fn config(topic: &str, payload: &str) -> Result<Option<Config>, crate::PayloadError> {
    Config::read(&TopicName::parse(topic).unwrap(), &json(payload))
}

/// What npm `realtime-js` 2.119 writes for `{type: "broadcast", event: "moved", payload: {x: 1}}`.
const MOVED: &[u8] = b"\x03\x02\x02\x0a\x05\x00\x014041realtime:bmoved{\"x\":1}";

#[test]
fn broadcast_of_json_is_what_it_is_as_text() {
    let frame = decode(MOVED).unwrap();
    assert_eq!(frame.join_ref, Some(Ref::counter(40)));
    assert_eq!(frame.reference, Some(Ref::counter(41)));
    assert_eq!((&*frame.topic, &*frame.event), ("realtime:b", "broadcast"));
    let payload = frame.payload.as_json().unwrap();
    assert_eq!(payload.as_str(), r#"{"type":"broadcast","event":"moved","payload":{"x":1}}"#);
    let Broadcast { event, payload } = payload.parse_into().unwrap();
    assert_eq!((&*event, payload), ("moved", Some(json(r#"{"x":1}"#))));
}

#[test]
fn broadcast_of_bytes_is_what_it_is_as_a_plain_push() {
    let sent: &[u8] = b"\x03\x02\x02\x0a\x04\x00\x004041realtime:bblob\x01\x02\xff";
    let plain: &[u8] = b"\x00\x02\x02\x0a\x0e4041realtime:bbroadcast:blob\x01\x02\xff";
    assert_eq!(decode(sent), decode(plain));
    assert_eq!(decode(sent).unwrap().payload, Payload::Binary(Bytes::from_static(&[1, 2, 255])));
}

#[test]
fn what_is_to_be_done_with_a_broadcast_is_read_over() {
    let kept: &[u8] = b"\x03\x02\x02\x0a\x04\x10\x014041realtime:bkept{\"persist\":true}{}";
    let payload = decode(kept).unwrap().payload;
    let wanted = r#"{"type":"broadcast","event":"kept","payload":{}}"#;
    assert_eq!(payload.as_json().unwrap().as_str(), wanted);
}

#[test]
fn malformed_broadcasts_say_why() {
    for (frame, why) in [
        (&b"\x03\x01\x01\x01\x01\x00"[..], MalformedReason::PastEnd),
        (b"\x03\x01\x01\x01\x02\x00\x0111te", MalformedReason::PastEnd),
        (b"\x03\x01\x01\x01\x01\x03\x0111te{}", MalformedReason::PastEnd),
        (b"\x03\x01\x01\x01\x01\x00\x0211te{}", MalformedReason::UnknownEncoding(2)),
        (b"\x03\x01\x01\x01\x01\x00\x0111\xffe{}", MalformedReason::NotUtf8(Field::Topic)),
    ] {
        assert_eq!(decode(frame).unwrap_err().reason, why, "{frame:?}");
    }
    // Not what would be JSON only between what surrounds it.
    for data in ["", "{", "1,\"event\":\"other\"", "{}}", "1e999"] {
        let frame = [b"\x03\x01\x01\x01\x01\x00\x0112te", data.as_bytes()].concat();
        let malformed = decode(frame).unwrap_err();
        let is_syntax = matches!(
            malformed.reason,
            MalformedReason::Payload(JsonError::Syntax { .. } | JsonError::NotUtf8)
        );
        assert!(is_syntax, "{data}: {malformed:?}");
        assert_eq!(malformed.answer_to.unwrap().reference, Ref::counter(2));
    }
    let deep = "[".repeat(17) + &"]".repeat(17);
    let frame = [b"\x03\x01\x01\x01\x01\x00\x0112te", deep.as_bytes()].concat();
    let too_deep = MalformedReason::Payload(JsonError::TooDeep { depth_max: 16 });
    assert_eq!(decode(frame).unwrap_err().reason, too_deep);
}

#[test]
fn bytes_go_out_as_the_client_reads_them() {
    let frame = binary_broadcast("realtime:b", "blob", &[1, 2, 255]).unwrap();
    let expected: &[u8] = b"\x04\x0a\x04\x00\x00realtime:bblob\x01\x02\xff";
    assert_eq!(frame.as_bytes(), expected);
    let long = "a".repeat(256);
    let refused = binary_broadcast("t", &long, &[]);
    assert_eq!(refused, Err(EncodeError::NameTooLong(Field::Event)));
}

#[test]
fn join_is_of_the_dialect_by_topic_and_config() {
    for (topic, payload) in [
        ("doc:1", r#"{"config":{}}"#),
        ("realtimes:1", r#"{"config":{}}"#),
        ("realtime:1", r#"{"mode":"view"}"#),
        ("realtime:1", r#"{"config":null}"#),
        ("realtime:1", r#"{"config":"{}"}"#),
    ] {
        assert_eq!(config(topic, payload), Ok(None), "{topic} {payload}");
    }
    let least = config("realtime:1", r#"{"config":{}}"#).unwrap().unwrap();
    assert_eq!(least, Config::default());
    assert!(least.presence.is_enabled());
}

#[test]
fn config_is_read_with_what_is_absent_or_null() {
    let sent = r#"{"config":{"broadcast":{"ack":true,"self":null},"presence":null,
        "postgres_changes":[{"event":"*"}],"private":true,"of_next_year":1},"access_token":"t"}"#;
    let read = config("realtime:1", sent).unwrap().unwrap();
    assert_eq!((read.broadcast.ack, read.broadcast.to_self), (true, false));
    assert_eq!((&*read.presence.key, read.presence.enabled), ("", None));
    assert_eq!(read.postgres_changes.len(), 1);
    let off = r#"{"config":{"presence":{"key":"ann","enabled":false}}}"#;
    let off = config("realtime:1", off).unwrap().unwrap();
    assert_eq!((&*off.presence.key, off.presence.is_enabled()), ("ann", false));
    for unfit in [
        r#"{"broadcast":5}"#,
        r#"{"broadcast":{"ack":"yes"}}"#,
        r#"{"presence":{"key":7}}"#,
        r#"{"presence":{"enabled":"no"}}"#,
        r#"{"postgres_changes":{}}"#,
    ] {
        assert!(config("realtime:1", &format!(r#"{{"config":{unfit}}}"#)).is_err(), "{unfit}");
    }
}

#[test]
fn requests_are_read() {
    let track: Presence =
        json(r#"{"type":"presence","event":"track","payload":{"a":1}}"#).parse_into().unwrap();
    assert_eq!((track.event, track.payload), (PresenceEvent::Track, Some(json(r#"{"a":1}"#))));
    let untrack: Presence = json(r#"{"type":"presence","event":"untrack"}"#).parse_into().unwrap();
    assert_eq!((untrack.event, untrack.payload), (PresenceEvent::Untrack, None));
    assert!(json(r#"{"event":"TRACK"}"#).parse_into::<Presence>().is_err());
    assert!(json(r#"{"type":"broadcast"}"#).parse_into::<Broadcast>().is_err());
    let none: AccessToken = json(r#"{"access_token":null}"#).parse_into().unwrap();
    assert_eq!(none, AccessToken::default());
    let token: AccessToken = json(r#"{"access_token":"secret"}"#).parse_into().unwrap();
    assert_eq!(token.access_token.as_deref(), Some("secret"));
    assert!(!format!("{token:?}").contains("secret"));
}

#[test]
fn reply_to_a_join_has_no_bindings_and_no_resume_token() {
    let reply = payload::JoinReply {
        session: "s".to_owned(),
        resume: "r".to_owned(),
        key: "ann".to_owned(),
        joined_at: 5,
        mode: Mode::Edit,
        seq: 0,
        recovered: None,
        summary: None,
        pen: None,
        limits: Limits::default(),
    };
    let plain: serde_json::Value = Json::of(&reply).parse_into().unwrap();
    let mut of_dialect: serde_json::Value = Json::of(&JoinReply::from(reply)).parse_into().unwrap();
    let bindings = of_dialect.as_object_mut().unwrap().remove("postgres_changes");
    assert_eq!(bindings, Some(serde_json::json!([])));
    of_dialect["resume"] = "r".into();
    assert_eq!(of_dialect, plain);
}
