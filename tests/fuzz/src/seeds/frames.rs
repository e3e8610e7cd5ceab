//! What clients and servers say.

use penholder_protocol::encode::{self, Address, Encoded};
use penholder_protocol::{
    ClientFrame, CloseCode, CloseReason, ErrorCode, JoinPayload, Json, JsonLimits, Mode, Payload,
    PresenceMode, PresenceUpdate, Ref, ReplyStatus, Since, Wire,
};

/// Requests, by the name of their event, with a payload each.
const REQUESTS: [(&str, &str); 8] = [
    ("phx_join", r#"{"mode":"view","presence":"receive","meta":{"color":"teal","at":[1,2.5e3]}}"#),
    ("phx_leave", "{}"),
    ("heartbeat", "{}"),
    (
        "presence_update",
        r#"{"meta":{"note":"\u00fc \"quoted\""},"activity":"editing","unsaved":true,"visible":false}"#,
    ),
    ("typing", r#"{"on":true}"#),
    ("broadcast", r#"{"event":"moved","payload":{"x":-1,"y":null},"self":true}"#),
    ("token", r#"{"token":"a.b.c"}"#),
    ("shout", r#"{"a":{"b":{"c":[[[[]]]]}}}"#),
];

pub(super) fn frames() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (event, payload) in REQUESTS {
        let payload = Json::parse(payload, &JsonLimits::default()).expect("a payload is JSON");
        let frame = ClientFrame {
            join_ref: Some(Ref::counter(1)),
            reference: Some(Ref::counter(12)),
            topic: "doc:42".to_owned(),
            event: event.to_owned(),
            payload: Payload::Json(payload),
        };
        for wire in [Wire::V1, Wire::V2] {
            let name = format!("{event}-{}", wire.vsn());
            seeds.push((name, encoded(encode::client(wire, &frame))));
        }
    }
    for (name, text) in [
        ("refs", r#"[3,-0.5e1,"doc:42","typing",null,"more",[1]]"#),
        ("ref-too-long", &format!(r#"[null,"{}","t","e",{{}}]"#, "r".repeat(65))),
        ("cut-off", r#"["1","2","doc:42","phx_join",{"meta":{"a":"#),
        ("no-payload", r#"{"topic":"phoenix","event":"heartbeat","ref":"5"}"#),
        ("surrogate", r#"["1","2","doc:\ud83d\ude00","shout",{"a":"\ud800"}]"#),
        ("deep", &format!(r#"["1","2","t","e",{}{}]"#, "[".repeat(17), "]".repeat(17))),
        (
            "deep-meta",
            &format!(
                r#"["1","2","t","phx_join",{{"meta":{}1{}}}]"#,
                "[".repeat(17),
                "]".repeat(17)
            ),
        ),
    ] {
        seeds.push((name.to_owned(), text.as_bytes().to_vec()));
    }
    seeds.extend(binary());
    seeds
}

fn binary() -> Vec<(String, Vec<u8>)> {
    let (join_ref, reference) = (Ref::counter(1), Ref::counter(12));
    let address =
        Address { join_ref: Some(&join_ref), reference: Some(&reference), topic: "doc:42" };
    let push = ClientFrame {
        join_ref: Some(join_ref.clone()),
        reference: Some(reference.clone()),
        topic: "doc:42".to_owned(),
        event: "broadcast:moved".to_owned(),
        payload: Payload::Binary(vec![0, 1, 2, 255].into()),
    };
    [
        ("binary-push", encode::client(Wire::V2, &push)),
        ("binary-reply", encode::binary_reply(&address, ReplyStatus::Ok, b"data")),
        ("binary-broadcast", encode::binary_broadcast("doc:42", "moved", b"data")),
        ("reply", Ok(encode::error_reply(Wire::V2, &address, &ErrorCode::Forbidden.into()))),
        ("close", Ok(encode::close(Wire::V2, Some(&join_ref), "doc:42"))),
    ]
    .map(|(name, frame)| (name.to_owned(), encoded(frame)))
    .to_vec()
}

pub(super) fn payloads() -> Vec<(String, Vec<u8>)> {
    let join = JoinPayload {
        mode: Some(Mode::Edit),
        presence: PresenceMode::Off,
        meta: Some(Json::empty_object()),
        since: Some(Since::After(7)),
        resume: Some("token".to_owned()),
    };
    let update = PresenceUpdate { visible: Some(true), input: Some(true), ..Default::default() };
    let close = CloseReason::new(CloseCode::Restart).reconnect_after_ms(1_500);
    let mut seeds: Vec<_> = REQUESTS
        .iter()
        .map(|(event, payload)| ((*event).to_owned(), payload.as_bytes().to_vec()))
        .collect();
    for (name, text) in [
        ("join-full", Json::of(&join).as_str()),
        ("update", Json::of(&update).as_str()),
        ("close-reason", close.to_text().as_str()),
        ("summaries", r#"{"topics":["doc:1","doc:2"]}"#),
        ("stamped", r#"{ "user" : "root", "phx_ref":1, "own" : [ true , "\u0041\/" ], "own":2 }"#),
        ("unsafe", r#"{"a":[{"__proto__":{},"constructor":1}]}"#),
        ("numbers", "[0,-0,1e308,1.5E-7,18446744073709551615,-9223372036854775808,1e999]"),
        ("topic", "tickets:42:comments"),
        ("pattern", "doc:4*"),
        ("ref", r#""r\u0065f""#),
        ("vsn", "2.0.7"),
    ] {
        seeds.push((name.to_owned(), text.as_bytes().to_vec()));
    }
    seeds
}

fn encoded(frame: Result<Encoded, encode::EncodeError>) -> Vec<u8> {
    frame.expect("every name is short").as_bytes().to_vec()
}
