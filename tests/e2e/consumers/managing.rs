//! Making consumers, and looking after them.

use anyhow::{Result, ensure};
use penholder_tests::{Options, Request, Server, until};
use serde_json::{Value, json};
use sqlx::SqlitePool;

use super::receiver::{Receiver, Reply, SOON};
use super::{deliveries, make, options, send, settled, text, ticket};

fn body(name: &str, filter: &Value, url: &str) -> Value {
    json!({ "name": name, "filter": filter, "destination": { "type": "webhook", "url": url } })
}

#[tokio::test]
async fn consumer_is_made_read_changed_and_taken_away() -> Result<()> {
    let server = Server::start(options()).await?;
    let receiver = Receiver::start(|_| Reply::Status(200)).await?;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut new = body("own", &json!(["ticket.*"]), &receiver.url("/own"));
    new["destination"]["secret"] = json!(secret);
    let made = server.post("/v1/consumers", &new).await?;
    ensure!(made.status == 201, "{made}");
    assert_eq!(made.json()["secret"], secret);
    let id = text(&made.json(), "id")?;
    let path = format!("/v1/consumers/{id}");
    assert_eq!(made.header("location"), Some(path.as_str()));
    let read = server.get(&path).await?;
    assert!(!read.body.contains("whsec") && !read.body.contains("secret"), "{read}");
    let list = server.get("/v1/consumers").await?.json();
    assert_eq!((&list["data"][0], &list["next_cursor"]), (&read.json(), &Value::Null));

    send(&server, "PATCH", &path, &json!({ "state": "paused" })).await?;
    ticket(&server, "t").await?;
    ticket(&server, "u").await?;
    assert_eq!(deliveries(&server, &id, "pending").await?.len(), 2);
    let patch = json!({ "filter": ["comment.*"], "state": "active",
        "destination": { "type": "webhook", "url": receiver.url("/other") } });
    let after = send(&server, "PATCH", &path, &patch).await?;
    assert_eq!(after["filter"], json!(["comment.*"]));
    for hook in receiver.wait("/other", 2).await? {
        hook.verify(secret)?;
    }
    assert!(receiver.heard("/own").is_empty());
    settled(&server, &id, "delivered", 2).await?;

    let first = server.get(&format!("{path}/deliveries?limit=1")).await?.json();
    let cursor = text(&first, "next_cursor")?;
    let second = server.get(&format!("{path}/deliveries?limit=1&cursor={cursor}")).await?.json();
    assert_ne!(first["data"][0]["event_id"], second["data"][0]["event_id"]);
    assert!(second["next_cursor"].is_null(), "{second}");

    let gone = Request::new("DELETE", &path).authorized("ApiKey dev");
    assert_eq!(server.ask(gone.clone()).await?.status, 204);
    assert_eq!(server.ask(gone).await?.status, 404);
    for path in [path.clone(), format!("{path}/deliveries"), "/v1/consumers/x".to_owned()] {
        assert_eq!(server.get(&path).await?.status, 404, "{path}");
    }
    make(&server, "own", json!(["*"]), &receiver.url("/own")).await?;
    Ok(())
}

async fn store(server: &Server) -> Result<SqlitePool> {
    let file = server.data().join("pens.sqlite");
    Ok(SqlitePool::connect(&format!("sqlite://{}", file.display())).await?)
}

#[tokio::test]
async fn answer_that_is_sent_again_has_the_address_and_no_secret() -> Result<()> {
    let server = Server::start(options()).await?;
    let new = body("one", &json!(["*"]), "https://example.org/");
    let request = Request::new("POST", "/v1/consumers").authorized("ApiKey dev").json(&new);
    let request = request.header("idempotency-key", "k");
    let first = server.ask(request.clone()).await?;
    ensure!(first.status == 201 && first.header("idempotency-replay").is_none(), "{first}");
    let secret = text(&first.json(), "secret")?;
    let again = server.ask(request).await?;
    assert_eq!((again.status, again.header("idempotency-replay")), (201, Some("true")));
    assert_eq!(again.header("location"), first.header("location"));
    let mut expected = first.json();
    expected.as_object_mut().and_then(|it| it.remove("secret"));
    assert_eq!(again.json(), expected);
    let kept: Vec<(String,)> = sqlx::query_as("SELECT body FROM idempotency_keys")
        .fetch_all(&store(&server).await?)
        .await?;
    ensure!(kept.len() == 1 && !kept[0].0.contains(&secret), "{kept:?}");
    Ok(())
}

#[tokio::test]
async fn secret_is_replaced_while_the_one_before_still_signs() -> Result<()> {
    let server = Server::start(options()).await?;
    let receiver = Receiver::start(|_| Reply::Status(200)).await?;
    let (id, first) = make(&server, "one", json!(["*"]), &receiver.url("/a")).await?;
    let path = format!("/v1/consumers/{id}");
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut secrets = vec![first];
    for asked in ["new", given, given] {
        let patch = json!({ "destination": { "secret": asked } });
        let after = send(&server, "PATCH", &path, &patch).await?;
        let told = text(&after, "secret")?;
        ensure!(asked == "new" || told == asked, "{after}");
        if secrets.last() != Some(&told) {
            secrets.push(told);
        }
        text(&after["destination"], "previous_secret_until")?;
    }
    let read = server.get(&path).await?;
    ensure!(!read.body.contains("whsec"), "{read}");
    ticket(&server, "t").await?;
    let hook = receiver.wait("/a", 1).await?.remove(0);
    assert_eq!(hook.signatures().count(), 2, "{hook:?}");
    assert!(hook.verify(&secrets[0]).is_err(), "only the last two sign");
    hook.verify(&secrets[1])?;
    hook.verify(&secrets[2])
}

#[tokio::test]
async fn what_waits_for_long_is_sent_to_another_address_at_once() -> Result<()> {
    let server = Server::start(options()).await?;
    let receiver = Receiver::start(|hook| match hook.path.as_str() {
        "/broken" => Reply::Status(500),
        _ => Reply::Status(200),
    })
    .await?;
    let (id, _) = make(&server, "one", json!(["*"]), &receiver.url("/broken")).await?;
    ticket(&server, "t").await?;
    receiver.wait("/broken", 1).await?;
    let store = store(&server).await?;
    until("it waits for ever", SOON, async || {
        let far = "UPDATE delivery_lines SET next_ms = 9000000000000 WHERE claim IS NULL";
        Ok((sqlx::query(far).execute(&store).await?.rows_affected() > 0).then_some(()))
    })
    .await?;
    let patch = json!({ "destination": { "url": receiver.url("/fine") } });
    send(&server, "PATCH", &format!("/v1/consumers/{id}"), &patch).await?;
    receiver.wait("/fine", 1).await?;
    settled(&server, &id, "delivered", 1).await.map(drop)
}

#[tokio::test]
async fn what_is_no_consumer_is_refused() -> Result<()> {
    let server = Server::start(options()).await?;
    let url = "https://example.org/";
    let (all, long) = (json!(["*"]), "x".repeat(65));
    make(&server, "taken", all.clone(), url).await?;
    let mut odd_secret = body("a", &all, url);
    odd_secret["destination"]["secret"] = json!("whsec_c2hvcnQ=");
    let mut odd_field = body("a", &all, url);
    odd_field["secret"] = json!("x");
    for bad in [
        body("taken", &all, url),
        body("", &all, url),
        body("a b", &all, url),
        body(&long, &all, url),
        body("a", &json!([]), url),
        body("a", &json!(["ticket"]), url),
        body("a", &json!(vec!["*"; 33]), url),
        body("a", &all, "ftp://example.org/"),
        body("a", &all, "https://user:password@example.org/"),
        json!({ "name": "a", "filter": ["*"], "destination": { "type": "in_process" } }),
        json!({ "name": "a", "filter": ["*"] }),
        odd_secret,
        odd_field,
    ] {
        let refused = server.post("/v1/consumers", &bad).await?;
        assert_eq!(refused.status, 422, "{bad}: {refused}");
    }
    let (id, _) = make(&server, "fine", all, url).await?;
    let replay = format!("/v1/consumers/{id}/replay");
    for bad in [
        json!({}),
        json!({ "topic": "tickets:x" }),
        json!({ "topic": "tickets:x", "event_id": "x" }),
        json!({ "from_time": "yesterday" }),
        json!({ "from_time": "2026-01-02T03:04:05Z", "event_id": "x" }),
    ] {
        assert_eq!(server.post(&replay, &bad).await?.status, 422, "{bad}");
    }
    assert_eq!(server.post(&replay, &json!({ "event_id": "x" })).await?.status, 404);
    let alone = server.post(&replay, &json!({ "from_seq": 1 })).await?;
    ensure!(alone.status == 422 && alone.body.contains("give the topic with it"), "{alone}");
    for topic in ["", "a b", "tickets:x", "tickets:all", "tickets:user:ann", "phoenix"] {
        let refused = server.post(&replay, &json!({ "from_seq": 1, "topic": topic })).await?;
        ensure!(refused.status == 422 && refused.json()["code"] == "invalid_topic", "{refused}");
    }
    for (pattern, legal) in [
        ("tickett.*", "there are ticket, comment, collision, pen, message, notification"),
        ("ticket.exploded", "there are created, updated, deleted and *"),
    ] {
        let refused = server.post("/v1/consumers", &body("a", &json!([pattern]), url)).await?;
        ensure!(refused.status == 422 && refused.body.contains(legal), "{refused}");
        let patch = Request::new("PATCH", &format!("/v1/consumers/{id}")).authorized("ApiKey dev");
        let refused = server.ask(patch.json(&json!({ "filter": [pattern] }))).await?;
        ensure!(refused.status == 422 && refused.body.contains(legal), "{refused}");
    }
    for secret in ["whsec_c2hvcnQ=", "fresh", ""] {
        let patch = Request::new("PATCH", &format!("/v1/consumers/{id}")).authorized("ApiKey dev");
        let patch = patch.json(&json!({ "destination": { "secret": secret } }));
        assert_eq!(server.ask(patch).await?.status, 422, "{secret}");
    }
    for query in ["state=lost", "limit=0", "limit=1001", "cursor=x", "odd=1"] {
        let refused = server.get(&format!("/v1/consumers/{id}/deliveries?{query}")).await?;
        assert_eq!(refused.status, 422, "{query}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn consumers_are_for_administrators_and_keys_of_the_scope() -> Result<()> {
    // The SHA-256 of "reader" and "writer".
    let keys = r#"[
        { id = "r", sha256 = "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", scopes = ["pens:write"] },
        { id = "w", sha256 = "b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5", scopes = ["consumers:write"] },
    ]"#;
    let server = Server::start(Options::default().set("auth.api_keys", &keys.replace('\n', " ")));
    let server = server.await?;
    let admin = server.token_with("user=root&role=admin").await?;
    let agent = server.token_with("user=eve&role=agent").await?;
    for (authorization, expected) in [
        ("ApiKey writer".to_owned(), 200),
        ("ApiKey reader".to_owned(), 403),
        (format!("Bearer {admin}"), 200),
        (format!("Bearer {agent}"), 403),
        ("ApiKey nobody".to_owned(), 401),
    ] {
        let request = Request::new("GET", "/v1/consumers").authorized(&authorization);
        assert_eq!(server.ask(request).await?.status, expected, "{authorization}");
    }
    Ok(())
}
