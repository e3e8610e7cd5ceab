use serde::{Deserialize, Serialize};

use super::{Json, JsonError, JsonLimits};

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn with_keys(keys: usize) -> String {
    let fields: Vec<String> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
    format!("{{{}}}", fields.join(","))
}

fn refusal(text: &str) -> JsonError {
    Json::parse(text, &JsonLimits::default()).unwrap_err()
}

#[test]
fn depth_counts_open_containers_and_stops_at_the_limit() {
    let limits = JsonLimits::default();
    for depth in [1, 15, 16] {
        assert!(Json::parse(nested(depth), &limits).is_ok(), "depth {depth}");
    }
    for depth in [17, 129, 100_000] {
        assert_eq!(refusal(&nested(depth)), JsonError::TooDeep { depth_max: 16 }, "depth {depth}");
    }
    let scalars_only = JsonLimits { depth_max: 0, ..limits };
    assert!(Json::parse("5", &scalars_only).is_ok());
    assert!(Json::parse("{}", &scalars_only).is_err());
}

#[test]
fn objects_and_arrays_share_one_depth() {
    let mixed = |pairs| "{\"a\":[".repeat(pairs) + &"]}".repeat(pairs);
    assert!(Json::parse(mixed(8), &JsonLimits::default()).is_ok());
    assert_eq!(refusal(&mixed(9)), JsonError::TooDeep { depth_max: 16 });
}

#[test]
fn widest_limits_still_end_the_recursion() {
    assert!(Json::parse(nested(126), &JsonLimits::WIDEST).is_ok());
    assert_eq!(
        Json::parse(nested(1_000_000), &JsonLimits::WIDEST),
        Err(JsonError::TooDeep { depth_max: 126 })
    );
    let unbounded = JsonLimits { depth_max: usize::MAX, keys_max: usize::MAX };
    assert_eq!(Json::parse(nested(127), &unbounded), Err(JsonError::TooDeep { depth_max: 126 }));
}

#[test]
fn keys_count_per_object() {
    assert!(Json::parse(with_keys(256), &JsonLimits::default()).is_ok());
    assert_eq!(refusal(&with_keys(257)), JsonError::TooManyKeys { keys_max: 256 });
    let two = format!("[{},{}]", with_keys(256), with_keys(256));
    assert!(Json::parse(two, &JsonLimits::default()).is_ok());
}

#[test]
fn text_that_another_parser_would_refuse_is_refused() {
    for text in [
        "",
        " ",
        "[",
        "{",
        "nul",
        "01",
        "1.",
        "+1",
        "'a'",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "[] []",
        "NaN",
        "\"\u{1}\"",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\x41""#,
        r#"{"\ud800":1}"#,
        "1e999",
        "-1e999",
        "[[1e400]]",
        "\u{feff}{}",
    ] {
        assert!(matches!(refusal(text), JsonError::Syntax { .. }), "{text:?}");
    }
    assert_eq!(Json::parse(b"\"\xff\"", &JsonLimits::default()), Err(JsonError::NotUtf8));
}

#[test]
fn text_is_kept_as_it_came() {
    for text in [r#"{"a": 1.0,  "b":[ ]}"#, r#""\ud83d\ude00""#, "1e308", "-0", "null"] {
        assert_eq!(Json::parse(text, &JsonLimits::default()).unwrap().as_str(), text);
    }
    assert_eq!(Json::parse("\r\n {} \t", &JsonLimits::default()).unwrap().as_str(), "{}");
}

#[test]
fn splices_itself_into_other_values_and_is_taken_out_again() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        inner: Json,
    }
    let outer = Outer { inner: Json::trusted(r#"{"b": 1,"a":[ ]}"#) };
    let text = Json::of(&outer);
    assert_eq!(text.as_str(), r#"{"inner":{"b": 1,"a":[ ]}}"#);
    assert_eq!(text.parse_into::<Outer>().unwrap(), outer);
    let lone_surrogate = r#"{"inner":"\ud800"}"#;
    assert!(serde_json::from_str::<Outer>(lone_surrogate).is_err());
}

#[test]
fn only_an_object_is_read_into_a_struct() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        inner: u8,
    }
    assert_eq!(Json::trusted("{}").parse_into::<Outer>(), Ok(Outer::default()));
    for text in ["[]", "[1]", "null", "5", "\"a\""] {
        assert!(Json::trusted(text).parse_into::<Outer>().is_err(), "{text}");
    }
}

#[test]
fn debug_shows_nothing_of_the_text() {
    assert_eq!(format!("{:?}", Json::of("secret")), "Json(8 bytes)");
    assert_eq!(Json::of("secret").to_string(), "\"secret\"");
}
