//! Bodies that nobody should send.

use anyhow::Result;
use penholder_tests::{Options, Request};
use serde_json::{Value, json};

use super::desk::{Desk, EVE, at, code, is};

fn draft(field: &str, value: Value) -> Value {
    let mut body = json!({"title": "t", "description": "d"});
    body[field] = value;
    body
}

pub(super) async fn what_cannot_be_kept_is_refused(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let file =
        |url: &str, name: &str, size: Value| json!([{"url": url, "name": name, "size": size}]);
    let good = "https://example.org/";
    for (field, value, expected) in [
        ("title", json!(""), "invalid_title"),
        ("title", json!(" \n"), "invalid_title"),
        ("title", json!("x".repeat(256)), "invalid_title"),
        ("title", json!("a\u{0}b"), "invalid_title"),
        ("title", json!(7), "invalid_payload"),
        ("description", json!("x".repeat(20_001)), "invalid_description"),
        ("description", json!("\u{0}"), "invalid_description"),
        ("category", json!("x"), "invalid_category"),
        ("priority", json!("x"), "invalid_priority"),
        ("user_id", json!(""), "invalid_user_id"),
        ("user_id", json!("a\u{0}"), "invalid_user_id"),
        ("guest", json!({"name": "g", "email": "nowhere"}), "invalid_guest"),
        ("guest", json!({"name": "g"}), "invalid_payload"),
        ("metadata", json!({"a": "\u{0}"}), "invalid_metadata"),
        ("metadata", json!({"a\u{0}": 1}), "invalid_metadata"),
        ("metadata", json!({"a": "x".repeat(8192)}), "invalid_metadata"),
        ("metadata", json!([1]), "invalid_payload"),
        ("attachments", file("ftp://example.org", "n", json!(1)), "invalid_attachments"),
        ("attachments", file("javascript:alert(1)", "n", json!(1)), "invalid_attachments"),
        ("attachments", file(good, "", json!(1)), "invalid_attachments"),
        ("attachments", file(good, "n", json!(u64::MAX)), "invalid_attachments"),
        ("attachments", file(good, "n", json!(-1)), "invalid_payload"),
        ("attachments", file(good, "n", json!(1.5)), "invalid_payload"),
        (
            "attachments",
            json!(vec![file(good, "n", json!(1))[0].clone(); 6]),
            "invalid_attachments",
        ),
        ("status", json!("open"), "invalid_payload"),
        ("version", json!(7), "invalid_payload"),
    ] {
        let answer = desk.ask(EVE, "POST", "/v1/tickets", &draft(field, value.clone())).await?;
        assert_eq!(code(&answer), is(422, expected), "{field} {value}");
        if expected != "invalid_payload" {
            let details = &answer.json()["details"];
            assert!(details["field"] == field && details["rule"].is_string(), "{answer}");
        }
    }
    let both = json!({"title": "t", "description": "d", "user_id": "a", "guest": {"name": "g", "email": "g@x"}});
    assert_eq!(code(&desk.ask(EVE, "POST", "/v1/tickets", &both).await?), is(422, "invalid_guest"));
    assert_eq!(desk.get(EVE, "/v1/tickets/stats").await?["total"], 0);
    Ok(())
}

pub(super) async fn what_is_largest_is_kept_and_changed_to_nothing_worse(
    options: Options,
) -> Result<()> {
    let desk = Desk::start(options).await?;
    let file = json!({"url": "https://example.org/", "name": "n", "size": i64::MAX});
    let largest = json!({
        "title": "ß".repeat(255), "description": "ß".repeat(20_000),
        "metadata": {"a": "x".repeat(8_184)},
        "attachments": vec![file; 5],
    });
    let made = desk.ask(EVE, "POST", "/v1/tickets", &largest).await?;
    assert_eq!(made.status, 201, "{made}");
    let path = at(&made.json());
    let reason = json!({"to": "closed", "reason": "x".repeat(1001)});
    for (verb, path, body, expected) in [
        ("PATCH", path.clone(), json!({"title": null}), "invalid_title"),
        ("PATCH", path.clone(), json!({"status": "x"}), "invalid_status"),
        ("PATCH", path.clone(), json!({"user_id": "x"}), "invalid_payload"),
        ("PATCH", path.clone(), json!({"metadata": {"a": "\u{0}"}}), "invalid_metadata"),
        ("POST", format!("{path}/transitions"), json!({"to": "x"}), "invalid_status"),
        ("POST", format!("{path}/transitions"), json!({}), "invalid_payload"),
        ("POST", format!("{path}/transitions"), reason, "invalid_reason"),
        (
            "POST",
            format!("{path}/transitions"),
            json!({"to": "closed", "reason": "\u{0}"}),
            "invalid_reason",
        ),
        ("PUT", format!("{path}/assignee"), json!({"user_id": null}), "invalid_payload"),
        ("PUT", format!("{path}/assignee"), json!({"user_id": "a\u{0}"}), "invalid_assignee"),
    ] {
        let answer = desk.ask(EVE, verb, &path, &body).await?;
        assert_eq!(code(&answer), is(422, expected), "{verb} {path} {body}");
    }
    assert_eq!(desk.get(EVE, &path).await?["version"], 1);
    Ok(())
}

pub(super) async fn what_is_no_json_is_refused(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let path = at(&desk.ticket("carl", "t").await?);
    let authorization = EVE.authorization()?;
    let deep = format!(r#"{{"metadata":{}1{}}}"#, r#"{"a":"#.repeat(40), "}".repeat(40));
    let deepest = "[".repeat(100_000);
    let wide: Vec<String> = (0..3000).map(|n| format!("\"k{n}\":1")).collect();
    let wide = format!(r#"{{"metadata":{{{}}}}}"#, wide.join(","));
    let bodies: [(&[u8], (u16, String)); 18] = [
        (b"", is(400, "malformed")),
        (b"{", is(400, "malformed")),
        (b"nonsense", is(400, "malformed")),
        (b"{\"title\":\"a\"} x", is(400, "malformed")),
        (b"{\"title\":\"\xff\"}", is(400, "malformed")),
        (b"\xef\xbb\xbf{\"title\":\"a\"}", is(400, "malformed")),
        (b"{\"title\":\"\\ud800\"}", is(400, "malformed")),
        (b"{\"metadata\":{\"a\":1e999}}", is(400, "malformed")),
        (b"{'title':'a'}", is(400, "malformed")),
        (b"{\"title\":\"a\",}", is(400, "malformed")),
        (deep.as_bytes(), is(400, "malformed")),
        (deepest.as_bytes(), is(400, "malformed")),
        (wide.as_bytes(), is(400, "malformed")),
        (b"[]", is(422, "invalid_payload")),
        (b"null", is(422, "invalid_payload")),
        (b"{\"title\":\"a\",\"title\":\"b\"}", is(422, "invalid_payload")),
        (b"{\"metadata\":{\"a\":1,\"a\":2}}", is(422, "invalid_payload")),
        (b"{\"title\":\"a\\u0000\"}", is(422, "invalid_title")),
    ];
    let send = async |body: &[u8], content_type: Option<&str>| {
        let request = Request::new("PATCH", &path).authorized(&authorization);
        let request = match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        };
        desk.server.ask(request.body(body)).await
    };
    for (body, expected) in bodies {
        let answer = send(body, Some("application/json")).await?;
        let what = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(code(&answer), expected, "{what}: {answer}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    }
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = send(b"{\"title\":\"a\"}", content_type).await?;
        assert_eq!(code(&answer), is(415, "malformed"), "{content_type:?}");
    }
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(1024 * 1024));
    let answer = send(large.as_bytes(), Some("application/json")).await?;
    assert_eq!(code(&answer), is(413, "malformed"));
    assert_eq!(desk.get(EVE, &path).await?["version"], 1);
    let answer =
        send(b"{\"title\":\"\\ud83d\\ude00\"}", Some("application/json; charset=utf-8")).await?;
    assert_eq!((answer.status, &answer.json()["title"]), (200, &json!("😀")));
    Ok(())
}
