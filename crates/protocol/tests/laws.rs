//! Laws: what is written reads back, and nothing that comes in can panic.

#![allow(clippy::unwrap_used, reason = "Clippy does not see that helpers of tests are tests")]

use bytes::Bytes;
use penholder_protocol::encode::{self, Address, Encoded, Message};
use penholder_protocol::{
    ClientFrame, ClientMeta, Json, JsonLimits, Payload, Ref, ReplyStatus, ServerBody, ServerFrame,
    TopicName, TopicPattern, Wire, decode_binary, decode_text, presence_diff, presence_state,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn any_wire() -> impl Strategy<Value = Wire> {
    prop_oneof![Just(Wire::V1), Just(Wire::V2)]
}

fn any_ref() -> impl Strategy<Value = Ref> {
    prop_oneof![
        any::<u64>().prop_map(Ref::counter),
        any::<i64>().prop_map(|number| Ref::parse(&number.to_string()).unwrap().unwrap()),
        "\\PC{1,16}".prop_map(|content| Ref::string(&content).unwrap()),
    ]
}

/// JSON of any shape, within the default limits.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Into::into),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| { serde_json::Value::Object(fields.into_iter().collect()) }),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Json> {
    vec((any::<String>(), any_json()), 0..6)
        .prop_map(|fields| Json::of(&serde_json::Value::Object(fields.into_iter().collect())))
}

fn any_text_frame() -> impl Strategy<Value = ClientFrame> {
    let refs = (option::of(any_ref()), option::of(any_ref()));
    (refs, any::<String>(), any::<String>(), any_object()).prop_map(
        |((join_ref, reference), topic, event, payload)| ClientFrame {
            join_ref,
            reference,
            topic,
            event,
            payload: Payload::Json(payload),
        },
    )
}

fn any_binary_frame() -> impl Strategy<Value = ClientFrame> {
    let counter = || option::of(any::<u64>().prop_map(Ref::counter));
    (counter(), counter(), "\\PC{0,40}", "\\PC{0,40}", vec(any::<u8>(), 0..64)).prop_map(
        |(join_ref, reference, topic, event, data)| ClientFrame {
            join_ref,
            reference,
            topic,
            event,
            payload: Payload::Binary(data.into()),
        },
    )
}

fn any_topic() -> impl Strategy<Value = String> {
    vec("[A-Za-z0-9_.~-]{1,12}", 1..8).prop_map(|segments| segments.join(":"))
}

fn text(frame: &Encoded) -> &str {
    std::str::from_utf8(frame.as_bytes()).unwrap()
}

proptest! {
    #[test]
    fn text_frames_of_clients_read_back(wire in any_wire(), frame in any_text_frame()) {
        let encoded = encode::client(wire, &frame).unwrap();
        let decoded = decode_text(wire, text(&encoded), &JsonLimits::default());
        prop_assert_eq!(decoded, Ok(frame));
    }

    #[test]
    fn binary_frames_of_clients_read_back(frame in any_binary_frame()) {
        let encoded = encode::client(Wire::V2, &frame).unwrap();
        prop_assert_eq!(decode_binary(encoded.as_bytes().clone(), &JsonLimits::default()), Ok(frame));
    }

    #[test]
    fn broadcasts_of_realtime_js_read_back(
        (event, payload) in ("\\PC{0,60}", any_json()),
        (more, data) in ("\\PC{0,60}", vec(any::<u8>(), 0..64)),
    ) {
        let head = |encoding: u8| {
            let lengths = [1, 1, 12, event.len(), more.len()].map(|len| u8::try_from(len).unwrap());
            [&[3][..], &lengths, &[encoding], b"12realtime:bcd", event.as_bytes(), more.as_bytes()].concat()
        };
        let decode = |frame: Vec<u8>| decode_binary(frame.into(), &JsonLimits::default()).unwrap();
        let json = decode([head(1), payload.to_string().into()].concat());
        let told = json.payload.as_json().unwrap();
        let told: penholder_protocol::realtime::Broadcast = told.parse_into().unwrap();
        prop_assert_eq!((&*json.topic, &*json.event, &told.event), ("realtime:bcd", "broadcast", &event));
        let told = told.payload.map_or("null".to_owned(), |told| told.to_string());
        prop_assert_eq!(told, payload.to_string());
        let binary = decode([head(0), data.clone()].concat());
        prop_assert_eq!(binary.payload, Payload::Binary(data.into()));
        prop_assert_eq!(binary.event, format!("broadcast:{event}"));
    }

    #[test]
    fn replies_read_back(
        (wire, topic) in (any_wire(), any::<String>()),
        (join_ref, reference) in (option::of(any_ref()), option::of(any_ref())),
        response in any_object(),
    ) {
        let address = Address {
            join_ref: join_ref.as_ref(),
            reference: reference.as_ref(),
            topic: &topic,
        };
        let encoded = encode::reply(wire, &address, ReplyStatus::Ok, &response);
        let decoded = ServerFrame::decode_text(wire, text(&encoded)).unwrap();
        let expected = ServerFrame {
            join_ref: join_ref.filter(|_| wire == Wire::V2),
            reference,
            topic,
            body: ServerBody::Reply { status: ReplyStatus::Ok, response: Payload::Json(response) },
        };
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn events_read_back(
        (wire, topic, event) in (any_wire(), any::<String>(), "[a-z]{1,9}"),
        payload in any_object(),
    ) {
        let message = Message { topic: &topic, event: &event, payload: &payload };
        let encoded = encode::broadcast(wire, &message);
        let decoded = ServerFrame::decode_text(wire, text(&encoded)).unwrap();
        let body = ServerBody::Event { event, payload: Payload::Json(payload) };
        prop_assert_eq!(decoded, ServerFrame { join_ref: None, reference: None, topic, body });
    }

    #[test]
    fn binary_frames_of_servers_read_back(
        frame in any_binary_frame(),
        status in prop_oneof![Just(ReplyStatus::Ok), Just(ReplyStatus::Error)],
    ) {
        let ClientFrame { join_ref, reference, topic, event, payload } = frame;
        let Payload::Binary(data) = payload else { unreachable!() };
        let address = Address {
            join_ref: join_ref.as_ref(),
            reference: reference.as_ref(),
            topic: &topic,
        };
        for encoded in [
            encode::binary_push(join_ref.as_ref(), &topic, &event, &data).unwrap(),
            encode::binary_reply(&address, status, &data).unwrap(),
            encode::binary_broadcast(&topic, &event, &data).unwrap(),
        ] {
            let kind = encoded.as_bytes()[0];
            let decoded = ServerFrame::decode_binary(encoded.as_bytes().clone()).unwrap();
            prop_assert_eq!(&decoded.topic, &topic);
            prop_assert_eq!(&decoded.join_ref, if kind == 2 { &None } else { &join_ref });
            prop_assert_eq!(&decoded.reference, if kind == 1 { &reference } else { &None });
            let payload = Payload::Binary(data.clone());
            prop_assert_eq!(decoded.body, match kind {
                1 => ServerBody::Reply { status, response: payload },
                _ => ServerBody::Event { event: event.clone(), payload },
            });
        }
    }

    #[test]
    fn any_text_is_decoded_or_refused(wire in any_wire(), text in any::<String>()) {
        let _ = decode_text(wire, &text, &JsonLimits::default());
        let _ = ServerFrame::decode_text(wire, &text);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(kind in 0_u8..5, rest in vec(any::<u8>(), 0..300)) {
        let frame: Bytes = [&[kind][..], &rest].concat().into();
        let _ = decode_binary(frame.clone(), &JsonLimits::default());
        let _ = ServerFrame::decode_binary(frame);
        let _ = Json::parse(&rest, &JsonLimits::default());
    }

    #[test]
    fn mutated_frames_are_decoded_or_refused(
        (wire, frame) in (any_wire(), any_text_frame()),
        cuts in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode::client(wire, &frame).unwrap().as_bytes().to_vec();
        for (index, byte) in cuts {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(decoded) = decode_text(wire, &text, &JsonLimits::default()) {
            let again = encode::client(wire, &decoded).unwrap();
            let again = std::str::from_utf8(again.as_bytes()).unwrap();
            prop_assert_eq!(decode_text(wire, again, &JsonLimits::default()), Ok(decoded));
        }
    }

    #[test]
    fn truncated_frames_are_refused(wire in any_wire(), frame in any_text_frame(), cut in any::<prop::sample::Index>()) {
        let encoded = encode::client(wire, &frame).unwrap();
        let whole = text(&encoded);
        let mut at = cut.index(whole.len());
        while !whole.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(decode_text(wire, &whole[..at], &JsonLimits::default()).is_err());
    }

    /// The oracle: what serde_json reads into a tree, which refuses lone surrogates and huge numbers too.
    #[test]
    fn json_accepts_what_a_full_parser_accepts(text in "[\\[\\]{}:,\"a1e.\\\\ud8c0 -]{0,24}") {
        let limits = JsonLimits::WIDEST;
        let accepted = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(Json::parse(&text, &limits).is_ok(), accepted);
    }

    #[test]
    fn topics_print_as_they_parse(name in any_topic()) {
        let topic = TopicName::parse(&name).unwrap();
        prop_assert_eq!(topic.to_string(), &*name);
        prop_assert_eq!(topic.segments().collect::<Vec<_>>().join(":"), &*name);
        prop_assert!(TopicPattern::parse(&name).unwrap().matches(&topic));
        prop_assert!(TopicPattern::parse("*").unwrap().matches(&topic));
        let json = serde_json::to_string(&topic).unwrap();
        prop_assert_eq!(serde_json::from_str::<TopicName>(&json).unwrap(), topic);
    }

    #[test]
    fn prefixes_match_every_longer_topic(name in any_topic(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(name.len());
        let topic = TopicName::parse(&name).unwrap();
        let pattern = TopicPattern::parse(&format!("{}*", &name[..cut])).unwrap();
        prop_assert!(pattern.matches(&topic));
        prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }

    #[test]
    fn any_text_is_a_topic_or_not(text in any::<String>()) {
        if let Ok(topic) = TopicName::parse(&text) {
            prop_assert_eq!(topic.as_str(), &*text);
        }
        let _ = TopicPattern::parse(&text);
    }

    #[test]
    fn metas_keep_every_field_of_the_clients_own(object in any_object()) {
        let meta = ClientMeta::parse(&object, usize::MAX).unwrap();
        let sent: serde_json::Value = object.parse_into().unwrap();
        let kept: serde_json::Value = meta.as_json().parse_into().unwrap();
        prop_assert_eq!(kept, sent);
        prop_assert!(ClientMeta::parse(meta.as_json(), usize::MAX).unwrap() == meta);
    }

    #[test]
    fn states_and_diffs_are_valid_json(metas in vec((any::<String>(), any_object()), 0..6)) {
        let limits = JsonLimits::WIDEST;
        let state = presence_state(metas.iter().map(|(key, meta)| (key, meta)));
        prop_assert_eq!(Json::parse(state.as_str(), &limits).unwrap(), state);
        let side = || metas.iter().map(|(key, meta)| (key, meta));
        let diff = presence_diff(side(), side());
        prop_assert_eq!(Json::parse(diff.as_str(), &limits).unwrap(), diff);
    }
}
