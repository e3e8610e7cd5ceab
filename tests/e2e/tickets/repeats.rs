//! Requests with an `Idempotency-Key`.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use penholder_tests::{Answer, Options};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::desk::{CARL, Desk, EVE, KEY, Who, ZOE, at, code, is};

async fn post(desk: &Desk, who: Who, key: &str, path: &str, body: &Value) -> Result<Answer> {
    desk.ask_with((who, &[("idempotency-key", key)]), "POST", path, body).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replay") == Some("true")
}

fn draft(title: &str) -> Value {
    json!({"title": title, "description": "d"})
}

async fn count(desk: &Desk) -> Result<Value> {
    Ok(desk.get(KEY, "/v1/tickets/stats").await?["total"].clone())
}

pub(super) async fn a_repeated_request_gets_the_first_answer(options: Options) -> Result<()> {
    let mut desk = Desk::start(options).await?;
    let first = post(&desk, EVE, "k1", "/v1/tickets", &draft("t")).await?;
    assert!(first.status == 201 && first.header("idempotency-replay").is_none(), "{first}");
    for restarts in 0..2 {
        let again = post(&desk, EVE, "k1", "/v1/tickets", &draft("t")).await?;
        assert_eq!((again.status, &again.body), (201, &first.body), "after {restarts} restarts");
        assert!(is_replay(&again), "after {restarts} restarts: {again}");
        for header in ["location", "etag", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
        desk.server.restart().await?;
    }
    let other = post(&desk, EVE, "k1", "/v1/tickets", &draft("u")).await?;
    assert_eq!(code(&other), is(422, "idempotency_key_reused"));
    // Another caller, route or key is another request.
    assert!(!is_replay(&post(&desk, ZOE, "k1", "/v1/tickets", &draft("t")).await?));
    assert!(!is_replay(&post(&desk, EVE, "k2", "/v1/tickets", &draft("t")).await?));
    // Who is not staff any more does not see what the staff was answered.
    let demoted = post(&desk, Who("customer", "eve"), "k1", "/v1/tickets", &draft("t")).await?;
    assert!(!is_replay(&demoted) && demoted.json().get("version").is_none(), "{demoted}");
    assert_eq!(count(&desk).await?, 4);

    let ticket = at(&first.json());
    let transitions = format!("{ticket}/transitions");
    let comments = format!("{ticket}/comments");
    let bulk = json!({"ids": [first.json()["id"]], "changes": {"priority": "urgent"}});
    for (path, body) in [
        (&transitions, json!({"to": "waiting_for_user"})),
        (&comments, json!({"content": "a"})),
        (&"/v1/tickets/bulk".to_owned(), bulk),
    ] {
        let first = post(&desk, EVE, "k1", path, &body).await?;
        ensure!(matches!(first.status, 200 | 201) && !is_replay(&first), "{path}: {first}");
        let again = post(&desk, EVE, "k1", path, &body).await?;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        assert!(is_replay(&again) && again.header("etag") == first.header("etag"), "{path}");
    }
    let now = desk.get(EVE, &ticket).await?;
    assert_eq!((&now["version"], &now["comment_count"]), (&json!(3), &json!(1)));

    for broken in ["", "a b", "\t", &"x".repeat(256)] {
        for path in ["/v1/tickets", "/v1/pens/doc:1/acquire"] {
            let answer = post(&desk, EVE, broken, path, &draft("t")).await?;
            assert_eq!(code(&answer), is(400, "invalid_idempotency_key"), "{path} {broken:?}");
        }
    }
    let longest = "x".repeat(255);
    assert_eq!(post(&desk, EVE, &longest, "/v1/tickets", &draft("t")).await?.status, 201);
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = desk.ask_with((EVE, &twice), "POST", "/v1/tickets", &draft("t")).await?;
    assert_eq!(code(&answer), is(400, "invalid_idempotency_key"));
    Ok(())
}

pub(super) async fn of_many_at_once_one_is_done(options: Options) -> Result<()> {
    let desk = Arc::new(Desk::start(options).await?);
    let acquire = json!({"ttl_ms": 300_000});
    for (path, body) in [("/v1/tickets", draft("t")), ("/v1/pens/doc:1/acquire", acquire)] {
        let mut asked = JoinSet::new();
        for _ in 0..8 {
            let (desk, body) = (Arc::clone(&desk), body.clone());
            asked.spawn(async move { post(&desk, EVE, "k", path, &body).await });
        }
        let mut bodies = Vec::new();
        let mut first = 0;
        for answer in asked.join_all().await {
            let answer = answer?;
            if answer.status == 409 {
                assert_eq!(code(&answer), is(409, "request_in_progress"), "{path}");
                assert_eq!(answer.header("retry-after"), Some("1"));
                continue;
            }
            ensure!(matches!(answer.status, 200 | 201), "{path}: {answer}");
            first += usize::from(!is_replay(&answer));
            bodies.push(answer.body);
        }
        bodies.dedup();
        assert_eq!((first, bodies.len()), (1, 1), "{path}");
    }
    assert_eq!(count(&desk).await?, 1);
    let log = desk.get(EVE, "/v1/pens/doc:1/log").await?;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1), "{log}");
    Ok(())
}

pub(super) async fn a_refusal_is_repeated_too(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let path = at(&desk.ticket("carl", "t").await?);
    let (transitions, to) = (format!("{path}/transitions"), json!({"to": "open"}));
    let refused = post(&desk, EVE, "k", &transitions, &to).await?;
    assert_eq!(code(&refused), is(409, "invalid_transition"));
    // By now it could be done, but the key stands for what came of it.
    desk.ask(EVE, "POST", &transitions, &json!({"to": "closed"})).await?;
    let again = post(&desk, EVE, "k", &transitions, &to).await?;
    assert_eq!((again.status, &again.body), (409, &refused.body));
    assert!(is_replay(&again));
    assert_eq!(post(&desk, EVE, "k2", &transitions, &to).await?.status, 200);

    // What was never begun is judged anew: a body that is none, and somebody who may not.
    let comments = format!("{path}/comments");
    let empty = post(&desk, EVE, "k3", &comments, &json!({"content": ""})).await?;
    assert_eq!(code(&empty), is(422, "invalid_content"));
    assert_eq!(post(&desk, EVE, "k3", &comments, &json!({"content": "a"})).await?.status, 201);
    for who in [CARL, EVE] {
        let body = json!({"ids": [path.rsplit('/').next()], "changes": {}});
        let answer = post(&desk, who, "k4", "/v1/tickets/bulk", &body).await?;
        assert!(!is_replay(&answer), "{answer}");
    }
    Ok(())
}

pub(super) async fn pens_and_broadcasts_are_repeated_too(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let token = EVE.authorization()?;
    let token = token.strip_prefix("Bearer ").context("a token")?;
    let mut eve = desk.server.socket(token).await?;
    eve.join("doc:1").await?;
    let body = json!({"event": "saved", "payload": {"n": 1}});
    let path = "/v1/topics/doc:1/broadcast";
    for place in 0..2 {
        let answer = post(&desk, KEY, "b1", path, &body).await?;
        assert_eq!((answer.status, is_replay(&answer)), (200, place == 1), "{answer}");
    }
    let last = json!({"event": "saved", "payload": {"n": 2}});
    assert_eq!(post(&desk, KEY, "b2", path, &last).await?.status, 200);
    assert_eq!(
        code(&post(&desk, KEY, "b1", path, &last).await?),
        is(422, "idempotency_key_reused")
    );
    assert_eq!(eve.event("saved").await?["n"], 1);
    assert_eq!(eve.event("saved").await?["n"], 2, "the first was told once");

    let pen = |verb: &str| format!("/v1/pens/doc:2/{verb}");
    let granted = post(&desk, KEY, "k", &pen("acquire"), &json!({"ttl_ms": 300_000})).await?;
    let fence = granted.json()["pen"]["fence"].clone();
    let held = post(&desk, ZOE, "k", &pen("acquire"), &json!({})).await?;
    assert_eq!(code(&held), is(409, "pen_held"), "another caller, another request");
    let asks = [
        (KEY, pen("renew"), json!({"fence": fence})),
        (ZOE, pen("request"), json!({})),
        (EVE, pen("take_over"), json!({})),
        (KEY, pen("release"), json!({"fence": fence})),
        (KEY, pen("revoke"), json!({"reason": "enough"})),
        (KEY, "/v1/presence/summaries".to_owned(), json!({"topics": ["doc:1"]})),
        (KEY, "/v1/revocations".to_owned(), json!({"sub": "nobody"})),
    ];
    for (who, path, body) in &asks {
        let first = post(&desk, *who, "k", path, body).await?;
        ensure!(first.status < 500 && !is_replay(&first), "{path}: {first}");
        let again = post(&desk, *who, "k", path, body).await?;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        assert!(is_replay(&again), "{path}");
    }
    // The refusal is the answer of its key, the pen is free for another.
    let again = post(&desk, ZOE, "k", &pen("acquire"), &json!({})).await?;
    assert!(again.status == 409 && is_replay(&again), "{again}");
    // Whoever may not, or is nobody, is told so each time.
    for (who, expected) in [(CARL, 403), (Who("nobody", ""), 401)] {
        for _ in 0..2 {
            let answer = post(&desk, who, "k", path, &body).await?;
            assert_eq!((answer.status, is_replay(&answer)), (expected, false), "{who:?}");
        }
    }
    Ok(())
}
