//! What frames carry: JSON under limits, metas, the payloads of requests, and names.

use std::fmt::Debug;

use penholder_protocol::{
    Activity, Broadcast, ClientMeta, CloseReason, ErrorReply, EventName, JoinPayload, Json,
    JsonError, JsonLimits, MetaError, MetaStamp, Mode, PenAcquire, PenAcquireReply, PenAnswer,
    PenDraft, PenEvent, PenHeld, PenReason, PresenceUpdate, REF_BYTES_MAX, Ref, Status,
    SummariesJoin, TOPIC_BYTES_MAX, TokenRefresh, TopicName, TopicPattern, Typing, Wire,
    encode_meta, is_reserved_event, is_safe_key, presence_diff, presence_state,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::heap;
use crate::tree::Tree;

/// The most bytes of a meta that a server may be configured to take.
const META_BYTES_MAX: usize = 4_096;

/// What the server writes into a meta, and no client.
const STAMPED: [&str; 10] = [
    "phx_ref",
    "phx_ref_prev",
    "joined_at",
    "session",
    "user",
    "mode",
    "status",
    "activity",
    "unsaved",
    "idle_since",
];

/// Reads the input as JSON and all that JSON may be, and as each sort of name.
///
/// What is accepted is what the model accepts, nothing is lost on the way, and what a client says of
/// itself never stands in the place of what the server says.
pub fn payload(data: &[u8]) {
    let limits = JsonLimits::default();
    let read = heap::within(1_024 + 4 * data.len(), || Json::parse(data, &limits));
    let Ok(text) = std::str::from_utf8(data) else {
        return assert_eq!(read, Err(JsonError::NotUtf8));
    };
    let tree = Tree::parse(text);
    for limits in [limits, JsonLimits::WIDEST, JsonLimits { depth_max: 2, keys_max: 3 }] {
        json(text, tree.as_ref(), &limits);
    }
    if let (Ok(json), Some(tree)) = (&read, &tree) {
        meta(json, tree);
        payloads(json);
    }
    names(text);
    reference(text);
}

fn json(text: &str, tree: Option<&Tree>, limits: &JsonLimits) {
    let JsonLimits { depth_max, keys_max } = *limits;
    let read = Json::parse(text, limits);
    match tree {
        None => assert!(read.is_err(), "accepted what is no JSON"),
        Some(tree) if tree.depth() > depth_max || tree.keys_max() > keys_max => {
            let is_told =
                matches!(read, Err(JsonError::TooDeep { .. } | JsonError::TooManyKeys { .. }));
            assert!(is_told, "over a limit, and {read:?}");
        }
        Some(_) => {
            let read = read.expect("refused what is within the limits");
            assert_eq!(read.as_str(), text.trim_matches([' ', '\t', '\n', '\r']));
            assert_eq!(read.is_object(), matches!(tree, Some(Tree::Object(_))));
        }
    }
}

fn meta(sent: &Json, tree: &Tree) {
    let read = ClientMeta::parse(sent, META_BYTES_MAX);
    let is_unsafe = |key: &str| matches!(key, "__proto__" | "constructor" | "prototype");
    let expected = match tree {
        _ if sent.as_str().len() > META_BYTES_MAX => "too large",
        Tree::Object(_) if tree.has_key(is_unsafe) => "unsafe",
        Tree::Object(_) => "kept",
        _ => "no object",
    };
    let found = match &read {
        Ok(_) => "kept",
        Err(MetaError::TooLarge { .. }) => "too large",
        Err(MetaError::NotAnObject) => "no object",
        Err(MetaError::Refused(JsonError::UnsafeKey)) => "unsafe",
        Err(MetaError::Refused(_)) => "refused",
    };
    assert_eq!(found, expected);
    if let Ok(kept) = read {
        keeps_what_is_its_own(sent, &kept);
        is_stamped(&kept);
    }
}

fn keeps_what_is_its_own(sent: &Json, kept: &ClientMeta) {
    let text = kept.as_json().as_str();
    assert!(text.len() <= sent.as_str().len(), "a limit on what was sent holds for what is kept");
    let mut own = value(sent.as_str());
    own.as_object_mut().expect("it is an object").retain(|name, _| !STAMPED.contains(&&**name));
    assert_eq!(value(text), own);
    let again = Json::parse(text, &JsonLimits::default()).expect("what is kept is within limits");
    assert_eq!(ClientMeta::parse(&again, META_BYTES_MAX).as_ref(), Ok(kept));
}

fn is_stamped(kept: &ClientMeta) {
    let user = Json::of(&["somebody"]);
    let stamp = MetaStamp {
        phx_ref: "a.1.2",
        phx_ref_prev: None,
        joined_at: 5,
        session: "s1",
        user: &user,
        mode: Mode::View,
        status: Status::Idle,
        activity: Activity::Viewing,
        unsaved: true,
        idle_since: None,
    };
    let mut meta = Vec::new();
    encode_meta(&stamp, kept.as_json(), &mut meta);
    let state = presence_state([("ann", &meta), ("ann", &meta), ("bob", &meta)]);
    let diff = presence_diff([("ann", &meta)], [("bob", &meta)]);
    let meta = value(std::str::from_utf8(&meta).expect("a meta is text"));
    let stamped = serde_json::to_value(stamp).expect("a stamp has a JSON form");
    for (name, written) in stamped.as_object().expect("a stamp is an object") {
        assert_eq!(&meta[name], written, "{name} is the server's");
    }
    let two = Value::from(vec![meta.clone(), meta.clone()]);
    assert_eq!(value(state.as_str())["ann"]["metas"], two);
    assert_eq!(value(diff.as_str())["leaves"]["bob"]["metas"][0], meta);
}

/// Reads the JSON as the payload of each request.
fn payloads(json: &Json) {
    round_trip::<JoinPayload>(json);
    round_trip::<PresenceUpdate>(json);
    round_trip::<Broadcast>(json);
    round_trip::<Typing>(json);
    round_trip::<TokenRefresh>(json);
    round_trip::<SummariesJoin>(json);
    round_trip::<PenAcquire>(json);
    round_trip::<PenAcquireReply>(json);
    round_trip::<PenHeld>(json);
    round_trip::<PenReason>(json);
    round_trip::<PenAnswer>(json);
    round_trip::<PenDraft>(json);
    round_trip::<PenEvent>(json);
    round_trip::<ErrorReply>(json);
    round_trip::<CloseReason>(json);
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &Json) {
    let bytes_max = 2_048 + 16 * json.as_str().len();
    let Ok(read) = heap::within(bytes_max, || json.parse_into::<T>()) else { return };
    let written = Json::parse(Json::of(&read).as_str(), &JsonLimits::WIDEST);
    let again = written.expect("what we write is JSON").parse_into::<T>();
    assert_eq!(again.as_ref(), Ok(&read));
}

fn names(text: &str) {
    let is_segment = |segment: &str| {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "_.~-".contains(c);
        !segment.is_empty() && segment.chars().all(is_legal)
    };
    let is_topic = |text: &str| text.len() <= TOPIC_BYTES_MAX && text.split(':').all(is_segment);
    let topic = TopicName::parse(text);
    assert_eq!(topic.is_ok(), is_topic(text));
    let pattern = TopicPattern::parse(text);
    let is_pattern = match text.strip_suffix('*') {
        // A topic begins with what stands before the star, whatever ends the last segment.
        Some(prefix) => text.len() <= TOPIC_BYTES_MAX && is_topic(&format!("{prefix}x")),
        None => is_topic(text),
    };
    assert_eq!(pattern.is_ok(), is_pattern);
    if let Ok(pattern) = pattern {
        assert_eq!(pattern.to_string(), text);
        assert_eq!(topic.as_ref().is_ok_and(|topic| pattern.matches(topic)), topic.is_ok());
    }
    let is_short = |bytes_max| (1..=bytes_max).contains(&text.len());
    let is_printable = !text.chars().any(char::is_control);
    let is_event = is_short(200) && is_printable && !is_reserved_event(text);
    assert_eq!(EventName::parse(text).is_ok(), is_event);
    assert!(!is_safe_key(text) || is_short(256) && is_printable);
    if let Ok(wire) = Wire::from_vsn(Some(text)) {
        assert_eq!(text[..4], wire.vsn()[..4]);
    }
}

fn reference(text: &str) {
    let Ok(Some(read)) = Ref::parse(text) else { return };
    assert_eq!(Ref::parse(read.as_json()).as_ref(), Ok(&Some(read.clone())));
    assert_eq!(value(read.as_json()), value(text));
    assert!(read.content().len() <= REF_BYTES_MAX);
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}
