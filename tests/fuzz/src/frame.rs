//! Frames: those of clients as a server reads them, and the other way round.

mod model;

use bytes::Bytes;
use penholder_protocol::encode::{self, Address, Encoded, Message};
use penholder_protocol::{
    ErrorCode, ErrorReply, JsonLimits, Malformed, Payload, ReplyStatus, ServerBody, ServerFrame,
    Wire, decode_binary, decode_text,
};

use crate::heap;

/// What is allocated for a frame: its parts, a copy of its payload, and what strings are unescaped in. What is said of one
/// that is no list quotes it, a control character as six, in a text that grows by doubling.
fn bytes_max(frame_bytes: usize) -> usize {
    1_024 + 16 * frame_bytes
}

/// Reads the input as a frame of each kind, direction and version.
///
/// What is accepted is what the model accepts, and is the same after another journey. What is refused
/// is answered where it can be, with its own refs.
pub fn frame(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(text) = std::str::from_utf8(data) {
        for wire in [Wire::V1, Wire::V2] {
            client_text(wire, text);
            server_text(wire, text);
        }
    }
    client_binary(&bytes);
    server_binary(&bytes);
}

fn client_text(wire: Wire, text: &str) {
    let limits = JsonLimits::default();
    let read = heap::within(bytes_max(text.len()), || decode_text(wire, text, &limits));
    let parts = model::text(wire, text);
    match &read {
        Ok(frame) => {
            // A frame reads the same in both versions.
            for wire in [Wire::V1, Wire::V2] {
                let encoded =
                    encode::client(wire, frame).expect("text has a form in both versions");
                let again = decode_text(wire, as_text(&encoded), &limits);
                assert_eq!(again.as_ref(), Ok(frame));
            }
        }
        Err(malformed) => {
            answer(wire, malformed);
            if let Some(parts) = &parts {
                assert_eq!(malformed.answer_to, parts.answer_to(), "whom to tell");
            }
            let only_meta = parts.as_ref().is_some_and(|parts| parts.breaks_only_in_meta(&limits));
            assert!(!only_meta || malformed.code() == ErrorCode::InvalidMeta);
        }
    }
    assert_eq!(
        read.ok(),
        parts.and_then(|parts| parts.frame(&limits)),
        "the model reads otherwise"
    );
}

/// Checks the answer to a frame that cannot be read.
fn answer(wire: Wire, malformed: &Malformed) {
    let Some(encoded) = malformed.reply(wire) else {
        assert_eq!(malformed.answer_to, None, "somebody waits for an answer");
        return;
    };
    let answer_to = malformed.answer_to.as_ref().expect("an answer has somebody to go to");
    let read = ServerFrame::decode_text(wire, as_text(&encoded)).expect("an answer can be read");
    assert_eq!(read.reference.as_ref(), Some(&answer_to.reference));
    assert_eq!(read.join_ref, answer_to.join_ref.clone().filter(|_| wire == Wire::V2));
    assert_eq!(read.topic, answer_to.topic);
    let ServerBody::Reply { status: ReplyStatus::Error, response } = read.body else {
        panic!("an answer is an error reply");
    };
    let response = response.as_json().expect("an answer is text");
    let response: ErrorReply = response.parse_into().expect("an answer says what is wrong");
    assert_eq!(response.known_code(), Some(malformed.code()));
}

fn server_text(wire: Wire, text: &str) {
    let decode = |text: &str| ServerFrame::decode_text(wire, text);
    let read = heap::within(bytes_max(text.len()), || decode(text));
    let parts = model::text(wire, text).and_then(|parts| parts.frame(&JsonLimits::WIDEST));
    assert!(read.is_err() || parts.is_some(), "a server's frame is laid out as a client's");
    let Ok(ServerFrame { join_ref, reference, topic, body }) = read else { return };
    let (encoded, reference) = match &body {
        ServerBody::Reply { status, response: Payload::Json(response) } => {
            let (join_ref, reference) = (join_ref.as_ref(), reference.as_ref());
            let address = Address { join_ref, reference, topic: &topic };
            (encode::reply(wire, &address, *status, response), reference.cloned())
        }
        ServerBody::Event { event, payload: Payload::Json(payload) } => {
            let message = Message { topic: &topic, event, payload };
            // An event is written without a ref.
            (encode::push(wire, join_ref.as_ref(), &message), None)
        }
        _ => panic!("a text frame has no bytes"),
    };
    let join_ref = join_ref.filter(|_| wire == Wire::V2);
    let expected = ServerFrame { join_ref, reference, topic, body };
    assert_eq!(decode(as_text(&encoded)), Ok(expected));
}

/// Begins a broadcast as realtime-js pushes it.
const REALTIME_PUSH: u8 = 3;

fn client_binary(bytes: &Bytes) {
    let decode = || decode_binary(bytes.clone(), &JsonLimits::default());
    let read = heap::within(bytes_max(bytes.len()), decode);
    // The broadcasts of realtime-js are read here too, and written by nobody of ours.
    let is_ours = bytes.first() != Some(&REALTIME_PUSH);
    let is_push = model::is_binary_push(bytes);
    assert!(!is_ours || read.is_ok() == is_push, "the model reads otherwise");
    match read {
        Ok(frame) if !is_ours => assert!(frame.event.starts_with("broadcast")),
        Ok(frame) => {
            let encoded = encode::client(Wire::V2, &frame);
            assert_eq!(encoded, Ok(Encoded::Binary(bytes.clone())), "there is one way to write it");
        }
        Err(malformed) => answer(Wire::V2, &malformed),
    }
}

fn server_binary(bytes: &Bytes) {
    let decode = || ServerFrame::decode_binary(bytes.clone());
    let Ok(frame) = heap::within(bytes_max(bytes.len()), decode) else { return };
    let ServerFrame { join_ref, reference, topic, body } = &frame;
    let (join_ref, reference) = (join_ref.as_ref(), reference.as_ref());
    let encoded = match body {
        ServerBody::Reply { status, response: Payload::Binary(data) } => {
            encode::binary_reply(&Address { join_ref, reference, topic }, *status, data)
        }
        ServerBody::Event { event, payload: Payload::Binary(data) } if bytes[0] == 0 => {
            encode::binary_push(join_ref, topic, event, data)
        }
        ServerBody::Event { event, payload: Payload::Binary(data) } => {
            encode::binary_broadcast(topic, event, data)
        }
        _ => panic!("a binary frame has no text"),
    };
    assert_eq!(encoded, Ok(Encoded::Binary(bytes.clone())), "there is one way to write it");
}

fn as_text(encoded: &Encoded) -> &str {
    encoded.as_text().expect("a text frame is text")
}
