//! Byte-exact frames: every row of "Phoenix Channels on the wire", section 2, and every malformed
//! frame of "Bad input".

#![allow(clippy::unwrap_used, reason = "Clippy does not see that helpers of tests are tests")]

use bytes::Bytes;
use penholder_protocol::encode::{self, Address, EncodeError, Encoded, Message};
use penholder_protocol::{
    ClientFrame, ErrorCode, Field, Json, JsonError, JsonLimits, Malformed, MalformedReason,
    Payload, Ref, RefError, ReplyStatus, ServerBody, ServerFrame, Wire, decode_binary, decode_text,
};

fn text(frame: &Encoded) -> &str {
    match frame {
        Encoded::Text(bytes) => std::str::from_utf8(bytes).unwrap(),
        Encoded::Binary(_) => panic!("a text frame was wanted"),
    }
}

fn json(text: &str) -> Json {
    Json::parse(text, &JsonLimits::default()).unwrap()
}

fn reference(json: &str) -> Ref {
    Ref::parse(json).unwrap().unwrap()
}

fn decode(wire: Wire, text: &str) -> Result<ClientFrame, Malformed> {
    decode_text(wire, text, &JsonLimits::default())
}

fn v2(text: &str) -> ClientFrame {
    decode(Wire::V2, text).unwrap()
}

fn binary(frame: impl Into<Bytes>) -> Result<ClientFrame, Malformed> {
    decode_binary(frame.into(), &JsonLimits::default())
}

fn reason(text: &str) -> MalformedReason {
    decode(Wire::V2, text).unwrap_err().reason
}

// What the server sends.

#[test]
fn server_frames_of_v2() {
    let (one, two) = (Ref::counter(1), Ref::counter(2));
    let address = Address { join_ref: Some(&one), reference: Some(&two), topic: "room:a" };
    let payload = json(r#"{"n": 1}"#);
    let message = Message { topic: "room:a", event: "moved", payload: &payload };
    let wire = Wire::V2;
    for (frame, expected) in [
        (
            encode::reply(wire, &address, ReplyStatus::Ok, &Json::empty_object()),
            r#"["1","2","room:a","phx_reply",{"status":"ok","response":{}}]"#,
        ),
        (
            encode::reply(wire, &address, ReplyStatus::Error, &json(r#"{"reason":"x"}"#)),
            r#"["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"x"}}]"#,
        ),
        (encode::push(wire, Some(&one), &message), r#"["1",null,"room:a","moved",{"n": 1}]"#),
        (encode::broadcast(wire, &message), r#"[null,null,"room:a","moved",{"n": 1}]"#),
        (encode::close(wire, Some(&one), "room:a"), r#"["1","1","room:a","phx_close",{}]"#),
        (
            encode::error(wire, Some(&one), "room:a"),
            r#"["1","1","room:a","phx_error",{"reason":"channel_crash"}]"#,
        ),
        (
            encode::heartbeat_reply(wire, Some(&two)),
            r#"[null,"2","phoenix","phx_reply",{"status":"ok","response":{}}]"#,
        ),
    ] {
        assert_eq!(text(&frame), expected);
    }
}

#[test]
fn server_frames_of_v1_never_have_a_join_ref() {
    let (one, two) = (Ref::counter(1), Ref::counter(2));
    let address = Address { join_ref: Some(&one), reference: Some(&two), topic: "room:a" };
    let payload = json(r#"{"n":1}"#);
    let message = Message { topic: "room:a", event: "moved", payload: &payload };
    let wire = Wire::V1;
    for (frame, expected) in [
        (
            encode::reply(wire, &address, ReplyStatus::Ok, &Json::empty_object()),
            r#"{"topic":"room:a","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"2"}"#,
        ),
        (
            encode::push(wire, Some(&one), &message),
            r#"{"topic":"room:a","event":"moved","payload":{"n":1},"ref":null}"#,
        ),
        (
            encode::broadcast(wire, &message),
            r#"{"topic":"room:a","event":"moved","payload":{"n":1},"ref":null}"#,
        ),
        (
            encode::close(wire, Some(&one), "room:a"),
            r#"{"topic":"room:a","event":"phx_close","payload":{},"ref":"1"}"#,
        ),
        (
            encode::error(wire, Some(&one), "room:a"),
            r#"{"topic":"room:a","event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1"}"#,
        ),
        (
            encode::heartbeat_reply(wire, Some(&two)),
            r#"{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"2"}"#,
        ),
    ] {
        assert_eq!(text(&frame), expected);
    }
}

#[test]
fn unmatched_topic_has_a_null_join_ref_and_phoenix_word() {
    let frame = encode::unmatched_topic(Wire::V2, Some(&Ref::counter(2)), "room:a");
    let start = r#"[null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic","code":"unmatched_topic","message":""#;
    assert!(text(&frame).starts_with(start), "{}", text(&frame));
}

#[test]
fn refs_are_echoed_type_exactly() {
    for spelled in ["3", "\"3\"", "3.50", "true", "\"\"", "null"] {
        let frame = v2(&format!("[{spelled},{spelled},\"t\",\"e\",{{}}]"));
        let address = Address {
            join_ref: frame.join_ref.as_ref(),
            reference: frame.reference.as_ref(),
            topic: &frame.topic,
        };
        let reply = encode::reply(Wire::V2, &address, ReplyStatus::Ok, &Json::empty_object());
        let expected = format!(
            "[{spelled},{spelled},\"t\",\"phx_reply\",{{\"status\":\"ok\",\"response\":{{}}}}]"
        );
        assert_eq!(text(&reply), expected);
    }
}

#[test]
fn names_are_escaped_and_payloads_are_not_touched() {
    let payload = json("{\"a\" : [ ]}");
    let message = Message { topic: "a\"b\u{1}", event: "e\\", payload: &payload };
    let frame = encode::broadcast(Wire::V2, &message);
    assert_eq!(text(&frame), r#"[null,null,"a\"b\u0001","e\\",{"a" : [ ]}]"#);
}

#[test]
fn binary_frames_of_the_specification() {
    let push: &[u8] = b"\x00\x02\x02\x06\x0340\x341room:bbin\x01\x02";
    let frame = binary(push).unwrap();
    assert_eq!(frame.join_ref, Some(Ref::counter(40)));
    assert_eq!(frame.reference, Some(Ref::counter(41)));
    assert_eq!((&*frame.topic, &*frame.event), ("room:b", "bin"));
    assert_eq!(frame.payload, Payload::Binary(Bytes::from_static(&[1, 2])));
    assert_eq!(encode::client(Wire::V2, &frame).unwrap().as_bytes(), push);

    let broadcast = encode::binary_broadcast("room:b", "binb", &[9]).unwrap();
    assert_eq!(broadcast, Encoded::Binary(Bytes::from_static(b"\x02\x06\x04room:bbinb\x09")));
}

#[test]
fn binary_push_and_reply_of_a_server() {
    let (one, two) = (Ref::counter(1), Ref::counter(22));
    let push = encode::binary_push(Some(&one), "room:b", "bin", &[7]).unwrap();
    assert_eq!(&**push.as_bytes(), b"\x00\x01\x06\x031room:bbin\x07");
    let address = Address { join_ref: None, reference: Some(&two), topic: "room:b" };
    let reply = encode::binary_reply(&address, ReplyStatus::Error, &[]).unwrap();
    assert_eq!(&**reply.as_bytes(), b"\x01\x00\x02\x06\x0522room:berror");
}

#[test]
fn names_of_binary_frames_have_at_most_255_bytes() {
    assert!(encode::binary_broadcast(&"t".repeat(255), "e", &[]).is_ok());
    assert_eq!(
        encode::binary_broadcast(&"t".repeat(256), "e", &[]),
        Err(EncodeError::NameTooLong(Field::Topic))
    );
}

// What a client sends.

#[test]
fn text_of_v2_ignores_what_follows_the_fifth_element() {
    let five = v2(r#" [ "1" , "2" , "room:a" , "moved" , {"n": 1} ] "#);
    assert_eq!(five.join_ref, Some(Ref::counter(1)));
    assert_eq!(five.reference, Some(Ref::counter(2)));
    assert_eq!((&*five.topic, &*five.event), ("room:a", "moved"));
    assert_eq!(five.payload, Payload::Json(json(r#"{"n": 1}"#)));
    let more = r#"["1","2","room:a","moved",{"n": 1},"six",[[[[]]]],"\ud800"]"#;
    assert_eq!(v2(more), five);
}

#[test]
fn text_of_v1_may_have_a_join_ref() {
    let frame = decode(
        Wire::V1,
        r#"{"topic":"room:a","event":"moved","payload":{"n":1},"ref":"2","join_ref":"1","more":[]}"#,
    )
    .unwrap();
    assert_eq!(frame, v2(r#"["1","2","room:a","moved",{"n":1}]"#));
    let without = decode(Wire::V1, r#"{"topic":"room:a","event":"moved","ref":2}"#).unwrap();
    assert_eq!(without, v2(r#"[null,2,"room:a","moved",{}]"#));
}

#[test]
fn missing_payload_is_an_empty_object() {
    assert_eq!(v2(r#"[null,null,"t","e",null]"#).payload, Payload::Json(Json::empty_object()));
    for payload in ["[]", "5", "\"a\""] {
        let frame = v2(&format!("[null,null,\"t\",\"e\",{payload}]"));
        assert_eq!(frame.payload, Payload::Json(json(payload)), "well-formed, if of no use");
    }
}

#[test]
fn malformed_text_says_why() {
    for (text, why) in [
        ("", MalformedReason::NotJson),
        ("[", MalformedReason::NotJson),
        ("hello", MalformedReason::NotJson),
        (r#"["1","2","t","e",{}] x"#, MalformedReason::NotJson),
        ("{}", MalformedReason::NotAFrame),
        ("5", MalformedReason::NotAFrame),
        ("null", MalformedReason::NotAFrame),
        ("[]", MalformedReason::Missing(Field::Topic)),
        (r#"["1","2","t"]"#, MalformedReason::Missing(Field::Event)),
        (r#"["1","2",5,"e",{}]"#, MalformedReason::NotAString(Field::Topic)),
        (r#"["1","2",null,"e",{}]"#, MalformedReason::NotAString(Field::Topic)),
        (r#"["1","2","t",{},{}]"#, MalformedReason::NotAString(Field::Event)),
        (r#"["1","2","\ud800","e",{}]"#, MalformedReason::NotAString(Field::Topic)),
        (r#"["1",[],"t","e",{}]"#, MalformedReason::Ref(RefError::NotScalar)),
        (r#"[{},"2","t","e",{}]"#, MalformedReason::Ref(RefError::NotScalar)),
        (r#"["1",1e999,"t","e",{}]"#, MalformedReason::Ref(RefError::NotScalar)),
    ] {
        assert_eq!(reason(text), why, "{text}");
    }
    assert_eq!(reason(r#"["1","2","t","e"]"#), MalformedReason::Missing(Field::Payload));
    for text in ["[]", "{}", r#"{"topic":"t"}"#, r#"{"topic":5,"event":"e"}"#] {
        assert!(decode(Wire::V1, text).is_err(), "{text}");
    }
}

#[test]
fn malformed_frame_is_answered_where_a_ref_can_be_read() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let frames = [
        r#"["1","2","t","e"]"#.to_owned(),
        r#"["1","2","t","e",{"#.to_owned(),
        r#"["1","2","t","e",1e999]"#.to_owned(),
        r#"["1","2","t","e","\ud800"]"#.to_owned(),
        r#"["1","2","t",5,{}]"#.to_owned(),
        format!(r#"["1","2","t","e",{}]"#, nested(17)),
        format!(r#"["1","2","t","e",{}]"#, nested(129)),
        format!(r#"["1","2","t","e",{}]"#, nested(30_000)),
        r#"["1","2","t","e",{}"#.to_owned(),
    ];
    for text in frames {
        let answer_to = decode(Wire::V2, &text).unwrap_err().answer_to.unwrap();
        assert_eq!(answer_to.join_ref, Some(Ref::counter(1)));
        assert_eq!(answer_to.reference, Ref::counter(2));
        assert_eq!(answer_to.topic, "t");
    }
    for text in ["[", "{}", "[]", r#"["1",null,"t","e"]"#, r#"["1",[],"t","e",{}]"#] {
        assert_eq!(decode(Wire::V2, text).unwrap_err().answer_to, None, "{text}");
    }
    let v1 = decode(Wire::V1, r#"{"ref":"2","topic":"t"}"#).unwrap_err();
    assert_eq!(v1.answer_to.unwrap().reference, Ref::counter(2));
}

#[test]
fn malformed_topic_is_answered_on_the_connections_own() {
    let malformed = decode(Wire::V2, r#"["1","2",5,"e",{}]"#).unwrap_err();
    assert_eq!(malformed.code(), ErrorCode::Malformed);
    assert_eq!(
        text(&malformed.reply(Wire::V2).unwrap()),
        r#"["1","2","phoenix","phx_reply",{"status":"error","response":{"reason":"malformed","code":"malformed","message":"malformed frame"}}]"#
            .replace("malformed frame", "the topic is not a string")
    );
    assert_eq!(decode(Wire::V2, "[").unwrap_err().reply(Wire::V2), None);
}

#[test]
fn payload_is_bounded_in_depth_and_keys() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let frame = |payload: &str| format!("[null,\"1\",\"t\",\"e\",{payload}]");
    assert!(decode(Wire::V2, &frame(&nested(16))).is_ok());
    let too_deep = MalformedReason::Payload(JsonError::TooDeep { depth_max: 16 });
    assert_eq!(reason(&frame(&nested(17))), too_deep);
    let keys = |count| {
        let fields: Vec<_> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(decode(Wire::V2, &frame(&keys(256))).is_ok());
    let too_many = MalformedReason::Payload(JsonError::TooManyKeys { keys_max: 256 });
    assert_eq!(reason(&frame(&keys(257))), too_many);
}

#[test]
fn fault_within_a_meta_is_the_metas() {
    let nested = |depth: usize| "{\"a\":".repeat(depth) + "0" + &"}".repeat(depth);
    let frame = |event: &str, field: &str, depth| {
        format!("[null,\"1\",\"t\",\"{event}\",{{\"{field}\":{}}}]", nested(depth))
    };
    for (event, field) in
        [("phx_join", "meta"), ("presence_update", "meta"), ("presence", "payload")]
    {
        assert!(decode(Wire::V2, &frame(event, field, 16)).is_ok(), "{event}");
        let malformed = decode(Wire::V2, &frame(event, field, 17)).unwrap_err();
        assert_eq!(malformed.code(), ErrorCode::InvalidMeta, "{event}");
        assert_eq!(malformed.answer_to.unwrap().topic, "t");
    }
    for (event, field) in [("broadcast", "meta"), ("broadcast", "payload"), ("presence", "meta")] {
        assert!(decode(Wire::V2, &frame(event, field, 15)).is_ok(), "{event}");
        let elsewhere = decode(Wire::V2, &frame(event, field, 16)).unwrap_err();
        assert_eq!(elsewhere.code(), ErrorCode::Malformed, "{event}");
    }
    let no_json = decode(Wire::V2, r#"[null,"1","t","phx_join",{"meta":{"a":1e999}}]"#);
    assert_eq!(no_json.unwrap_err().code(), ErrorCode::Malformed);
}

#[test]
fn malformed_binary_says_why() {
    for (frame, why) in [
        (&b""[..], MalformedReason::PastEnd),
        (b"\x00", MalformedReason::PastEnd),
        (b"\x00\x01\x01\x01", MalformedReason::PastEnd),
        (b"\x00\xff\x01\x01\x0111te", MalformedReason::PastEnd),
        (b"\x00\x01\x01\x01\x0211te", MalformedReason::PastEnd),
        (b"\x01\x01\x01\x01\x0111te", MalformedReason::UnknownKind(1)),
        (b"\x05\x01\x01\x01\x0111te", MalformedReason::UnknownKind(5)),
        (b"\x00\x01\x01\x01\x0111\xffe", MalformedReason::NotUtf8(Field::Topic)),
        (b"\x00\x01\x01\x01\x0111t\xff", MalformedReason::NotUtf8(Field::Event)),
    ] {
        assert_eq!(binary(frame).unwrap_err().reason, why, "{frame:?}");
    }
    let nothing_but_lengths = binary(&b"\x00\x00\x00\x00\x00"[..]).unwrap();
    assert_eq!((nothing_but_lengths.join_ref, nothing_but_lengths.reference), (None, None));
    let readable = binary(&b"\x00\x01\x01\x01\x0912te"[..]).unwrap_err();
    assert_eq!(readable.answer_to.unwrap().reference, Ref::counter(2));
    let long_ref = [&b"\x00\x00\x41\x01\x01"[..], &[b'1'; 65], b"te"].concat();
    assert_eq!(binary(long_ref).unwrap_err().reason, MalformedReason::Ref(RefError::TooLong));
}

// What a client reads.

#[test]
fn client_reads_what_the_server_sends() {
    let one = reference("\"1\"");
    let payload = json(r#"{"n":1}"#);
    let message = Message { topic: "t", event: "moved", payload: &payload };
    for wire in [Wire::V1, Wire::V2] {
        let address = Address { join_ref: Some(&one), reference: Some(&one), topic: "t" };
        let reply = encode::reply(wire, &address, ReplyStatus::Error, &payload);
        let reply = ServerFrame::decode_text(wire, text(&reply)).unwrap();
        assert_eq!(reply.reference, Some(one.clone()));
        assert_eq!(reply.join_ref, (wire == Wire::V2).then(|| one.clone()));
        let response = Payload::Json(payload.clone());
        assert_eq!(reply.body, ServerBody::Reply { status: ReplyStatus::Error, response });

        let push = encode::broadcast(wire, &message);
        let push = ServerFrame::decode_text(wire, text(&push)).unwrap();
        let payload = Payload::Json(payload.clone());
        assert_eq!(push.body, ServerBody::Event { event: "moved".to_owned(), payload });
    }
    let broken = r#"["1","2","t","phx_reply",{"status":"OK","response":{}}]"#;
    let reason = ServerFrame::decode_text(Wire::V2, broken).unwrap_err().reason;
    assert_eq!(reason, MalformedReason::NotAReply);
}

#[test]
fn binary_does_not_exist_in_v1() {
    let frame = ClientFrame {
        join_ref: None,
        reference: None,
        topic: "t".to_owned(),
        event: "e".to_owned(),
        payload: Payload::Binary(Bytes::new()),
    };
    assert_eq!(encode::client(Wire::V1, &frame), Err(EncodeError::BinaryOverV1));
}
