//! Errors over HTTP: one shape, a stable code, a status that fits.

use anyhow::Result;
use penholder_tests::{Answer, EventSource, Options, Request, Server};
use serde_json::{Value, json};

const KEY: &str = "ApiKey dev";

/// Checks that an answer is an error as every error is.
fn check(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{what}: {answer}");
    assert!(
        body["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{what}: {answer}"
    );
    let content_type = answer.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/json"), "{what}: {content_type}");
}

#[tokio::test]
async fn nobody_and_strangers_are_told_the_same() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut bodies = Vec::new();
    for authorization in [
        None,
        Some("ApiKey nope"),
        Some("ApiKey"),
        Some("Bearer x.y.z"),
        Some("Bearer "),
        Some("Basic ZGV2OmRldg=="),
        Some("dev"),
    ] {
        let request = Request::new("GET", "/v1/topics");
        let request = match authorization {
            Some(authorization) => request.authorized(authorization),
            None => request,
        };
        let answer = server.ask(request).await?;
        check(&answer, 401, "invalid_token", authorization.unwrap_or("nothing"));
        assert!(answer.header("www-authenticate").is_some());
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let twice = Request::new("GET", "/v1/topics").authorized(KEY).authorized(KEY);
    assert!(matches!(server.ask(twice).await?.status, 400 | 401));
    Ok(())
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_said_to_be_so() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    for (method, path, status) in
        [("GET", "/v1/nothing", 404), ("GET", "/v1/topics/doc:1", 404), ("GET", "/nothing", 404)]
    {
        let answer = server.ask(Request::new(method, path).authorized(KEY)).await?;
        check(&answer, status, "not_found", &format!("{method} {path}"));
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1/topics", "GET,HEAD"),
        ("PUT", "/v1/topics/doc:1/presence", "GET,HEAD"),
        ("GET", "/v1/presence/summaries", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("PUT", "/v1/tickets", "GET,HEAD,POST"),
        ("POST", "/v1/tickets/x", "GET,HEAD,DELETE,PATCH"),
    ] {
        let answer = server.ask(Request::new(method, path).authorized(KEY)).await?;
        check(&answer, 405, "method_not_allowed", &format!("{method} {path}"));
        let sorted = |list: &str| {
            let mut list: Vec<_> = list.split(',').map(str::to_owned).collect();
            list.sort();
            list
        };
        assert_eq!(sorted(answer.header("allow").unwrap_or_default()), sorted(allowed), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn queries_that_are_none_are_told_what_is_wrong() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    for (path, name, rule) in [
        ("/v1/topics?limit=x", "limit", "1 to 1000"),
        ("/v1/topics?limit=1&limit=2", "limit", "1 to 1000"),
        ("/v1/topics/doc:1/events?after=-1", "after", "0 is the start"),
        ("/v1/topics/doc:1/summary?policy=x", "policy", "policy"),
        ("/v1/pens", "holder", "the person's id"),
        ("/v1/pens/doc:1/log?cursor=x", "cursor", "next_cursor"),
        ("/v1/events", "trace_id", "32 hexadecimal digits"),
        ("/dev/token?user=a&ttl=x", "ttl", "1 to 86400"),
        ("/dev/token?user=a&role=x", "role", "agent"),
        // What can be read is not always legal.
        ("/v1/topics?limit=0", "limit", "1 to 1000"),
        ("/v1/events?trace_id=x", "trace_id", "32 hexadecimal digits"),
        ("/v1/tickets?limit=101", "limit", "1 to 100"),
        ("/v1/tickets?limit=1&limit=2", "limit", "once"),
        ("/v1/tickets?sort=x", "sort", "-updated_at"),
        ("/v1/tickets?q=a%00", "q", "U+0000"),
        ("/v1/users?role=x", "role", "the role of a token"),
    ] {
        let answer = server.get(path).await?;
        check(&answer, 422, "invalid_payload", path);
        let told = answer.json();
        let message = told["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.starts_with(&format!("{name} ")) && message.contains(rule), "{answer}");
        assert_eq!(told["details"]["field"], name, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn events_begin_anew_where_nothing_was_told_before() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let ask = async |accept: &str, last: &str| {
        let request = Request::new("GET", "/v1/topics/tickets:all/events").authorized(KEY);
        server.ask(request.header("accept", accept).header("last-event-id", last)).await
    };
    let refused = ask("text/event-stream", "x").await?;
    check(&refused, 410, "reset_required", "no number");
    // That is where the message says that it goes on.
    assert_eq!(refused.json()["details"]["last"], 0, "{refused}");
    for (accept, last) in [("text/event-stream;q=0", "x"), ("application/json", "")] {
        let page = ask(accept, last).await?;
        assert_eq!((page.status, page.header("content-type")), (200, Some("application/json")));
    }
    let request = Request::new("GET", "/v1/topics/tickets:all/events").authorized(KEY);
    EventSource::open(server.port(), request.header("last-event-id", "")).await.map(drop)
}

#[tokio::test]
async fn illegal_topics_are_said_to_be_so() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let long = "a".repeat(201);
    for topic in ["doc:", "doc%20:1", "doc::1", "doc:%00", "doc:%C3%BC", "doc%2F1", &long] {
        let answer = server.get(&format!("/v1/topics/{topic}/presence")).await?;
        check(&answer, 422, "invalid_topic", topic);
    }
    let answer = server.get("/v1/topics/doc:%FF/presence").await?;
    assert!(matches!(answer.status, 400 | 404 | 422), "{answer}");
    check(&answer, answer.status, answer.json()["code"].as_str().unwrap_or_default(), "no UTF-8");
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_none_are_said_to_be_so() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let post = |body: &str, content_type: &str| {
        Request::new("POST", "/v1/topics/doc:1/broadcast")
            .authorized(KEY)
            .header("content-type", content_type)
            .body(body)
    };
    for (body, content_type, status, code) in [
        ("{", "application/json", 400, "malformed"),
        ("", "application/json", 400, "malformed"),
        ("{\"event\":\"a\"} x", "application/json", 400, "malformed"),
        ("{\"event\":\"a\"}", "text/plain", 415, "malformed"),
        ("{\"event\":1}", "application/json", 422, "invalid_payload"),
    ] {
        let answer = server.ask(post(body, content_type)).await?;
        check(&answer, status, code, body);
    }
    Ok(())
}

#[tokio::test]
async fn a_body_may_be_so_large_and_no_larger() -> Result<()> {
    let server = Server::start(Options::default().set("limits.http_body_max", "4KiB")).await?;
    let post = async |bytes: usize| {
        let mut body = json!({"event": "e", "payload": {"a": ""}}).to_string();
        let at = body.find("\"\"").unwrap_or_default() + 1;
        body.insert_str(at, &"x".repeat(bytes - body.len()));
        let request = Request::new("POST", "/v1/topics/doc:1/broadcast").authorized(KEY);
        server.ask(request.header("content-type", "application/json").body(body)).await
    };
    assert_eq!(post(4096).await?.status, 200);
    check(&post(4097).await?, 413, "malformed", "one byte more");
    Ok(())
}

#[tokio::test]
async fn every_post_may_be_repeated_and_says_so() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let api = server.get("/openapi.json").await?.json();
    let paths = api["paths"].as_object().cloned().unwrap_or_default();
    let posts =
        paths.iter().filter(|(path, it)| path.starts_with("/v1/") && it["post"].is_object());
    let mut count = 0;
    for (path, operations) in posts {
        count += 1;
        let post = &operations["post"];
        let mut parameters = post["parameters"].as_array().into_iter().flatten();
        assert!(parameters.any(|it| it["name"] == "idempotency-key"), "{path}");
        for status in ["400", "409", "422"] {
            assert!(post["responses"][status].is_object(), "{path}: {status}");
        }
        // Whoever sends a key that is none is told so, before anything is done.
        let path = path.replace("{topic}", "doc:1").replace("{id}", "x");
        let request = Request::new("POST", &path).authorized(KEY).header("idempotency-key", "a b");
        let answer = server.ask(request.json(&json!({"content": "x", "to": "open"}))).await?;
        assert!((400..500).contains(&answer.status), "{path}: {answer}");
    }
    assert!(count >= 13, "{count}");
    Ok(())
}

#[tokio::test]
async fn pages_elsewhere_may_send_and_read_what_tickets_need() -> Result<()> {
    let origin = "https://desk.example.org";
    let options = Options::default().set("server.origins", &format!("[\"{origin}\"]"));
    let server = Server::start(options).await?;
    let asked = "authorization,content-type,if-match,penholder-fence,idempotency-key,traceparent,last-event-id";
    let preflight = Request::new("OPTIONS", "/v1/tickets")
        .header("origin", origin)
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", asked);
    let answer = server.ask(preflight).await?;
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    for name in asked.split(',') {
        assert!(allowed.split(',').any(|it| it.trim() == name), "{name}: {allowed}");
    }
    let request = Request::new("GET", "/v1/tickets").authorized(KEY).header("origin", origin);
    let answer = server.ask(request).await?;
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    for name in ["etag", "location", "retry-after", "idempotency-replay"] {
        assert!(exposed.split(',').any(|it| it.trim() == name), "{name}: {exposed}");
    }
    Ok(())
}

#[tokio::test]
async fn errors_stand_in_the_description_of_the_interface() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let api = server.get("/openapi.json").await?.json();
    let paths = api["paths"].as_object().cloned().unwrap_or_default();
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/v1/")) {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let responses = &operation["responses"];
            // What is public says so, and nobody is refused there.
            let is_public = operation["security"] == json!([{}]);
            assert_eq!(responses["401"] == Value::Null, is_public, "{method} {path}");
        }
    }
    Ok(())
}
