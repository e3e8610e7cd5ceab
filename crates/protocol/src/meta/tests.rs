use super::{
    ClientMeta, KEY_BYTES_MAX, MetaError, MetaStamp, encode_meta, is_safe_key, presence_diff,
    presence_state,
};
use crate::json::{Json, JsonError, JsonLimits};
use crate::payload::{Activity, Mode, Status};

fn json(text: &str) -> Json {
    Json::parse(text, &JsonLimits::WIDEST).unwrap()
}

fn parse(text: &str) -> Result<String, MetaError> {
    ClientMeta::parse(&json(text), 1024).map(|meta| meta.as_json().as_str().to_owned())
}

fn stamp(user: &Json) -> MetaStamp<'_> {
    MetaStamp {
        phx_ref: "F2",
        phx_ref_prev: Some("F1"),
        joined_at: 1_700_000_000_000,
        session: "s1",
        user,
        mode: Mode::Edit,
        status: Status::Idle,
        activity: Activity::Viewing,
        unsaved: true,
        idle_since: Some(1_700_000_120_000),
    }
}

fn stamped(custom: &str) -> String {
    let user = json(r#"{"id":"ann"}"#);
    let mut out = b"before ".to_vec();
    encode_meta(&stamp(&user), &json(custom), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn size_is_that_of_the_bytes_the_client_wrote() {
    let padded = |bytes: usize| format!("{{\"a\":1{}}}", " ".repeat(bytes - 7));
    assert_eq!(parse(&padded(1024)).unwrap(), r#"{"a":1}"#);
    assert_eq!(parse(&padded(1025)), Err(MetaError::TooLarge { bytes_max: 1024 }));
}

#[test]
fn only_an_object_is_a_meta() {
    for text in ["[]", "null", "5", "\"a\"", "true"] {
        assert_eq!(parse(text), Err(MetaError::NotAnObject), "{text}");
    }
}

#[test]
fn depth_and_keys_are_bounded() {
    let nested = |depth| "{\"a\":".repeat(depth) + "0" + &"}".repeat(depth);
    assert!(parse(&nested(16)).is_ok());
    let too_deep = MetaError::Refused(JsonError::TooDeep { depth_max: 16 });
    assert_eq!(parse(&nested(17)), Err(too_deep));

    let keys = |count| (0..count).map(|key| format!("\"{key}\":0")).collect::<Vec<_>>().join(",");
    let parse_large = |text: String| ClientMeta::parse(&json(&text), usize::MAX);
    assert!(parse_large(format!("{{{}}}", keys(256))).is_ok());
    let too_many = MetaError::Refused(JsonError::TooManyKeys { keys_max: 256 });
    assert_eq!(parse_large(format!("{{{}}}", keys(257))), Err(too_many));
}

#[test]
fn keys_with_a_meaning_in_javascript_are_refused_at_any_depth() {
    for text in [
        r#"{"__proto__":1}"#,
        r#"{"constructor":1}"#,
        r#"{"a":[{"prototype":1}]}"#,
        r#"{"\u005f_proto__":1}"#,
    ] {
        assert_eq!(parse(text), Err(MetaError::Refused(JsonError::UnsafeKey)), "{text}");
    }
    assert_eq!(parse(r#"{"a":"__proto__"}"#).unwrap(), r#"{"a":"__proto__"}"#);
}

#[test]
fn stamped_fields_are_taken_out_at_the_top_only() {
    let sent = r#"{"phx_ref":1,"phx_ref_prev":1,"joined_at":1,"session":1,"user":{"id":"root"},
        "mode":1,"status":1,"activity":1,"unsaved":1,"idle_since":1,"us\u0065r":2,"color":"red",
        "nested":{"user":3}}"#;
    assert_eq!(parse(sent).unwrap(), r#"{"color":"red","nested":{"user":3}}"#);
}

#[test]
fn own_fields_come_first_and_the_stamp_after_them() {
    let fields = "\"phx_ref\":\"F2\",\"phx_ref_prev\":\"F1\",\"joined_at\":1700000000000,\
        \"session\":\"s1\",\"user\":{\"id\":\"ann\"},\"mode\":\"edit\",\"status\":\"idle\",\
        \"activity\":\"viewing\",\"unsaved\":true,\"idle_since\":1700000120000";
    assert_eq!(stamped("{}"), format!("before {{{fields}}}"));
    assert_eq!(stamped("{ }"), format!("before {{{fields}}}"));
    assert_eq!(stamped(r#"{"a":[1,"}"]}"#), format!("before {{\"a\":[1,\"}}\"],{fields}}}"));
}

#[test]
fn a_first_version_names_no_version_before_it() {
    let user = Json::empty_object();
    let mut out = Vec::new();
    let first = MetaStamp { phx_ref_prev: None, idle_since: None, ..stamp(&user) };
    encode_meta(&first, &Json::empty_object(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("phx_ref_prev"));
    assert!(text.ends_with(r#""idle_since":null}"#));
}

#[test]
fn states_group_metas_by_key_in_order() {
    let nobody: [(&str, &str); 0] = [];
    assert_eq!(presence_state(nobody).as_str(), "{}");
    let metas = [("b\"", "{\"n\":1}"), ("b\"", "{\"n\":2}"), ("a", "{\"n\":3}")];
    let state = presence_state(metas);
    assert_eq!(state.as_str(), r#"{"b\"":{"metas":[{"n":1},{"n":2}]},"a":{"metas":[{"n":3}]}}"#);
    assert_eq!(json(state.as_str()), state);
}

#[test]
fn diffs_always_have_both_sides() {
    let nobody: [(&str, &[u8]); 0] = [];
    let diff = presence_diff([("ann", b"{}".to_vec())], nobody);
    assert_eq!(diff.as_str(), r#"{"joins":{"ann":{"metas":[{}]}},"leaves":{}}"#);
    assert_eq!(presence_diff(nobody, nobody).as_str(), r#"{"joins":{},"leaves":{}}"#);
}

#[test]
fn keys_that_break_clients_are_unsafe() {
    for key in ["ann", "Ann Ö", "a b", "proto", "tostring", "0"] {
        assert!(is_safe_key(key), "{key}");
    }
    for key in ["", "__proto__", "constructor", "prototype", "a\0", "a\nb", "\u{7f}"] {
        assert!(!is_safe_key(key), "{key:?}");
    }
    for key in ["toString", "valueOf", "hasOwnProperty", "__lookupGetter__"] {
        assert!(!is_safe_key(key), "npm phoenix 1.7 takes {key} for somebody who is there");
    }
    assert!(!is_safe_key("ids"), "npm realtime-js fails over a list with this key");
    assert!(is_safe_key(&"a".repeat(KEY_BYTES_MAX)));
    assert!(!is_safe_key(&"a".repeat(KEY_BYTES_MAX + 1)));
}
