//! Pens over HTTP on every store: the twins of the channel's events, and what happens while the store is away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_stores::PostgresServer;
use penholder_tests::{Answer, Options, RawSocket, Request, Server, command, until};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::stores::Store;

const PEN: &str = "/v1/pens/doc:1";
const SOON: Duration = Duration::from_secs(5);

/// Sends a request as the bearer of a token.
async fn ask_as(
    server: &Server,
    token: &str,
    (verb, path): (&str, &str),
    body: &Value,
) -> Result<Answer> {
    let request = Request::new(verb, path).authorized(&format!("Bearer {token}"));
    server.ask(if verb == "GET" { request } else { request.json(body) }).await
}

fn fence(pen: &Value) -> Result<u64> {
    Ok(pen["fence"].as_str().context("no fence")?.parse()?)
}

fn code(answer: &Answer) -> (u16, String) {
    let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

/// Tests that run on a file of SQLite each, and all of them on one PostgreSQL server, a database each.
macro_rules! on_every_store {
    ($($path:ident,)+) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $path() -> anyhow::Result<()> {
                    super::$path(crate::stores::Store::Sqlite.options("")?).await
                }
            )+
        }

        #[tokio::test]
        async fn postgres_keeps_pens_no_differently() -> Result<()> {
            let store = Store::postgres()?;
            $(
                let options = store.options(stringify!($path))?;
                $path(options).await.context(stringify!($path))?;
            )+
            Ok(())
        }
    };
}

on_every_store! {
    a_backend_holds_renews_and_gives_back,
    people_on_the_topic_are_told_of_what_backends_do,
    the_log_comes_in_pages,
    surplus_of_the_log_is_forgotten,
    a_draft_waits_for_its_author,
    the_next_holder_reads_a_draft_where_the_policy_lets_them,
    fences_grow_over_restarts_and_a_lost_connection_reserves,
    a_tenure_and_its_queue_outlive_the_server,
    a_taker_waits_for_the_drain_also_over_a_restart,
}

async fn a_backend_holds_renews_and_gives_back(options: Options) -> Result<()> {
    let server = Server::start(options).await?;
    let free = server.get(PEN).await?.json();
    assert_eq!((&free["state"], &free["fence"]), (&json!("free"), &json!("0")));
    let granted = server.post(&format!("{PEN}/acquire"), &json!({"ttl_ms": 60_000})).await?;
    let pen = &granted.json()["pen"];
    assert_eq!((granted.status, &granted.json()["granted"]), (200, &json!(true)));
    assert_eq!((&pen["holder"]["id"], &pen["holder"]["kind"]), (&json!("key:dev"), &json!("ai")));
    assert_eq!(server.get(PEN).await?.json(), *pen);
    let of_key = server.get("/v1/pens?holder=key:dev").await?.json();
    assert_eq!(of_key, json!({"data": [{"topic": "doc:1", "pen": pen}]}));
    assert_eq!(server.get("/v1/pens?holder=ann").await?.json(), json!({"data": []}));

    // Held: the pen, and a place for who waits.
    let ann = server.token("ann").await?;
    let acquire = format!("{PEN}/acquire");
    let refused = ask_as(&server, &ann, ("POST", &acquire), &json!({})).await?;
    assert_eq!(code(&refused), (409, "pen_held".to_owned()));
    let refused = refused.json();
    assert_eq!((&refused["place"], &refused["granted"]), (&Value::Null, &json!(false)));
    let waits = ask_as(&server, &ann, ("POST", &acquire), &json!({"wait": true})).await?;
    assert_eq!((waits.status, &waits.json()["place"]), (409, &json!(1)));

    let held = json!({"fence": pen["fence"]});
    let renew = server.post(&format!("{PEN}/renew"), &held).await?;
    ensure!(renew.status == 200 && renew.json()["receipt"].is_string(), "{renew}");
    let larger = (fence(pen)? + 1).to_string();
    for (verb, fence) in [("renew", larger.as_str()), ("release", "0")] {
        let lost = server.post(&format!("{PEN}/{verb}"), &json!({"fence": fence})).await?;
        assert_eq!(code(&lost), (409, "lease_lost".to_owned()));
        assert_eq!(lost.json()["pen"]["holder"]["id"], "key:dev");
    }
    let released = server.post(&format!("{PEN}/release"), &held).await?;
    assert_eq!((released.status, &released.json()["pen"]["holder"]["id"]), (200, &json!("ann")));
    let log = server.get(&format!("{PEN}/log")).await?.json();
    let rules = log["data"].as_array().into_iter().flatten().map(|it| it["rule"].clone());
    let rules: Vec<_> = rules.filter(|rule| rule != "renewed").collect();
    assert_eq!(rules.first(), Some(&json!("free")));
    assert_eq!(rules.last(), Some(&json!("queue")));
    Ok(())
}

async fn people_on_the_topic_are_told_of_what_backends_do(options: Options) -> Result<()> {
    let server = Server::start(options).await?;
    let token = server.token("ann").await?;
    let mut ann = server.socket(&token).await?;
    ann.join("doc:1").await?;
    server.post(&format!("{PEN}/acquire"), &json!({"reason": "an import"})).await?;
    let told = ann.event("pen").await?;
    assert_eq!((&told["type"], &told["reason"]), (&json!("granted"), &json!("an import")));
    // A program gives way to a person.
    let asked = ann.ask("doc:1", "pen_request", &json!({})).await?;
    assert_eq!(asked["response"]["pen"]["holder"]["id"], "ann", "{asked}");
    // A key may take over, and a drain is no grant yet.
    let taken = server.post(&format!("{PEN}/take_over"), &json!({})).await?;
    ensure!(taken.json()["draining_until"].is_u64() && taken.status == 200, "{taken}");
    let is = |kind: &'static str| move |frame: &Value| frame[4]["type"] == kind;
    ann.until("draining", is("draining")).await?;
    let revoked = server.post(&format!("{PEN}/revoke"), &json!({"reason": "enough"})).await?;
    assert_eq!((revoked.status, &revoked.json()["pen"]["holder"]["id"]), (200, &json!("key:dev")));
    ann.until("revoked", is("revoked")).await?;
    Ok(())
}

async fn the_log_comes_in_pages(options: Options) -> Result<()> {
    let server = Server::start(options).await?;
    for _ in 0..3 {
        let granted = server.post(&format!("{PEN}/acquire"), &json!({})).await?.json();
        let held = json!({"fence": granted["pen"]["fence"]});
        assert_eq!(server.post(&format!("{PEN}/release"), &held).await?.status, 200);
    }
    let (mut seen, mut cursor) = (Vec::new(), 0);
    loop {
        let page = server.get(&format!("{PEN}/log?limit=4&cursor={cursor}")).await?.json();
        seen.extend(
            page["data"].as_array().into_iter().flatten().filter_map(|it| it["seq"].as_u64()),
        );
        match page["next_cursor"].as_u64() {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    for limit in ["0", "1001", "x"] {
        assert_eq!(server.get(&format!("{PEN}/log?limit={limit}")).await?.status, 422, "{limit}");
    }
    Ok(())
}

#[tokio::test]
async fn bad_input_is_refused_and_does_nothing() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    for ttl in [json!(0), json!(-1), json!(1_000_000_000_000_u64), json!("x"), json!(999)] {
        let answer = server.post(&format!("{PEN}/acquire"), &json!({"ttl_ms": ttl})).await?;
        assert_eq!(code(&answer), (422, "invalid_ttl".to_owned()), "{ttl}");
    }
    for (verb, body) in [
        ("renew", json!({"fence": 1})),
        ("renew", json!({})),
        ("release", json!({"fence": "01"})),
        ("acquire", json!({"reason": "a".repeat(513)})),
        ("acquire", json!({"reason": "a\u{0}b"})),
        ("acquire", json!([])),
        ("request", json!({"reason": 7})),
    ] {
        let answer = server.post(&format!("{PEN}/{verb}"), &body).await?;
        assert_eq!(code(&answer), (422, "invalid_payload".to_owned()), "{verb} {body}");
    }
    let request = Request::new("POST", &format!("{PEN}/acquire")).authorized("ApiKey dev");
    assert_eq!(code(&server.ask(request.body("{")).await?), (400, "malformed".to_owned()));
    assert_eq!(server.get("/v1/pens/doc%00").await?.status, 422);
    assert_eq!(server.get("/v1/pens").await?.status, 422);
    assert_eq!(server.get(&format!("{PEN}/log")).await?.json()["data"], json!([]));
    Ok(())
}

#[tokio::test]
async fn each_verb_takes_its_right() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let viewer = crate::people::signed(&["--topic", "doc:*=view"])?;
    let editor = crate::people::signed(&["--topic", "doc:*=view,edit"])?;
    let manager = crate::people::signed(&["--topic", "doc:*=view,manage"])?;
    for (verb, body) in [
        ("acquire", json!({})),
        ("renew", json!({"fence": "1"})),
        ("release", json!({"fence": "1"})),
        ("request", json!({})),
        ("take_over", json!({})),
    ] {
        let path = format!("{PEN}/{verb}");
        for token in [&viewer, &manager] {
            let answer = ask_as(&server, token, ("POST", &path), &body).await?;
            assert_eq!(code(&answer), (403, "not_authorized".to_owned()), "{verb}");
        }
    }
    let (draft, revoke) = (format!("{PEN}/draft"), format!("{PEN}/revoke"));
    for (verb, path) in [("GET", &draft), ("PUT", &draft), ("POST", &revoke)] {
        let answer = ask_as(&server, &viewer, (verb, path), &json!({"draft": "x"})).await?;
        assert_eq!(answer.status, 403, "{verb} {path}");
    }
    for path in [PEN.to_owned(), format!("{PEN}/log")] {
        assert_eq!(ask_as(&server, &viewer, ("GET", &path), &Value::Null).await?.status, 200);
        assert_eq!(server.ask(Request::new("GET", &path)).await?.status, 401);
    }
    assert_eq!(ask_as(&server, &editor, ("POST", &revoke), &json!({})).await?.status, 403);
    assert_eq!(ask_as(&server, &manager, ("POST", &revoke), &json!({})).await?.status, 200);
    // A customer may edit, but takes nothing over.
    server.post(&format!("{PEN}/acquire"), &json!({})).await?;
    let path = format!("{PEN}/take_over");
    assert_eq!(ask_as(&server, &editor, ("POST", &path), &json!({})).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn who_asks_in_vain_is_told_so() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let (acquire, take_over) = (format!("{PEN}/acquire"), format!("{PEN}/take_over"));
    let asked = json!({"request_id": "once"});
    let granted = server.post(&acquire, &asked).await?.json();
    let held = json!({"fence": granted["pen"]["fence"]});
    assert_eq!(server.post(&format!("{PEN}/release"), &held).await?.status, 200);
    let again = server.post(&acquire, &asked).await?;
    assert_eq!(code(&again), (409, "lease_lost".to_owned()));
    assert_eq!(again.json()["pen"]["state"], "free");
    // Whoever takes it over first gets it: a second one would wait for nothing.
    let (ann, bob) = (server.token("ann").await?, server.token("bob").await?);
    ask_as(&server, &ann, ("POST", &acquire), &json!({})).await?;
    assert_eq!(server.post(&take_over, &json!({})).await?.status, 200);
    let late = ask_as(&server, &bob, ("POST", &take_over), &json!({})).await?;
    assert_eq!(code(&late), (409, "pen_held".to_owned()));
    assert_eq!(late.json()["pen"]["holder"]["id"], "ann");
    Ok(())
}

#[tokio::test]
async fn an_api_key_needs_the_scope() -> Result<()> {
    // The digests of "reader" and "writer".
    let keys = r#"[
        { id = "r", sha256 = "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", scopes = ["presence:read"] },
        { id = "w", sha256 = "b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5", scopes = ["pens:write"] },
    ]"#;
    let keys = keys.replace('\n', " ");
    let server = Server::start(Options::default().set("auth.api_keys", &keys)).await?;
    let ask = async |key: &str, verb: &str, path: &str| -> Result<u16> {
        let request = Request::new(verb, path).authorized(&format!("ApiKey {key}"));
        Ok(server.ask(request.json(&json!({}))).await?.status)
    };
    let (acquire, revoke) = (format!("{PEN}/acquire"), format!("{PEN}/revoke"));
    assert_eq!(ask("reader", "POST", &acquire).await?, 403);
    assert_eq!(ask("writer", "POST", &acquire).await?, 200);
    assert_eq!(ask("reader", "GET", PEN).await?, 200);
    assert_eq!(ask("reader", "POST", &revoke).await?, 403);
    assert_eq!(ask("writer", "POST", &revoke).await?, 200);
    Ok(())
}

async fn a_draft_waits_for_its_author(options: Options) -> Result<()> {
    let server = Server::start(options).await?;
    let (ann, bob) = (server.token("ann").await?, server.token("bob").await?);
    let path = format!("{PEN}/draft");
    let none = ask_as(&server, &ann, ("GET", &path), &Value::Null).await?.json();
    assert_eq!(none, json!({"draft": null, "left_by": null, "at": null}));
    let draft = "ß".repeat(32 * 1024);
    let left = ask_as(&server, &ann, ("PUT", &path), &json!({"draft": draft})).await?;
    assert_eq!(left.status, 200, "exactly 64 KiB");
    let longer = json!({"draft": draft.clone() + "x"});
    assert_eq!(ask_as(&server, &ann, ("PUT", &path), &longer).await?.status, 413);
    assert_eq!(ask_as(&server, &ann, ("PUT", &path), &json!({})).await?.status, 422);
    let found = ask_as(&server, &ann, ("GET", &path), &Value::Null).await?.json();
    assert_eq!((&found["draft"], &found["left_by"]["id"]), (&json!(draft), &json!("ann")));
    let others = ask_as(&server, &bob, ("GET", &path), &Value::Null).await?.json();
    assert_eq!(others["draft"], Value::Null);
    Ok(())
}

async fn the_next_holder_reads_a_draft_where_the_policy_lets_them(options: Options) -> Result<()> {
    let options = options
        .set("namespace.doc.pen.draft_readers", "author_and_next_holder")
        .set("pen.drain", "0s");
    let server = Server::start(options).await?;
    let (ann, bob) = (server.token("ann").await?, server.token("bob").await?);
    let path = format!("{PEN}/draft");
    let acquire = format!("{PEN}/acquire");
    ask_as(&server, &ann, ("POST", &acquire), &json!({})).await?;
    ask_as(&server, &ann, ("PUT", &path), &json!({"draft": "half"})).await?;
    let read = async || -> Result<Value> {
        Ok(ask_as(&server, &bob, ("GET", &path), &Value::Null).await?.json()["draft"].clone())
    };
    assert_eq!(read().await?, Value::Null);
    let taken = ask_as(&server, &bob, ("POST", &format!("{PEN}/take_over")), &json!({})).await?;
    ensure!(taken.json()["receipt"].is_string(), "without a drain it is granted at once: {taken}");
    assert_eq!(read().await?, "half");
    Ok(())
}

#[tokio::test]
async fn keys_are_rotated_under_a_running_server() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let keys = async || -> Result<Vec<Value>> {
        // Public: no key is needed to read it.
        let answer = server.ask(Request::new("GET", "/v1/pens/keys")).await?;
        Ok(answer.json()["keys"].as_array().context("keys")?.clone())
    };
    let before = keys().await?;
    assert_eq!(before.len(), 1);
    let data = server.data().to_str().context("a path")?.to_owned();
    let rotated = command(&["keys", "rotate", "--data", &data], &[])?;
    ensure!(rotated.code == Some(0), "{rotated:?}");
    let after = until("the server reads them", Duration::from_secs(10), async || {
        let keys = keys().await?;
        Ok((keys.len() == 2).then_some(keys))
    })
    .await?;
    assert_eq!(after[0]["kid"], rotated.stdout.trim(), "the newest first");
    assert_eq!(after[1], before[0]);
    let wrong = command(&["keys", "rotate", "--data", "/nowhere/at/all"], &[])?;
    assert_eq!(wrong.code, Some(2));
    Ok(())
}

#[tokio::test]
async fn while_sqlite_is_away_nobody_is_granted_anything_and_presence_goes_on() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let file = server.data().join("pens.sqlite");
    let mut thief = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    ann.join("doc:1").await?;
    // Another process that writes and does not end.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut thief).await?;
    nobody_is_granted_anything(&server, &mut ann).await?;
    sqlx::query("ROLLBACK").execute(&mut thief).await?;
    thief.close().await?;
    let granted = ann.ask("doc:1", "pen_acquire", &json!({})).await?;
    assert_eq!(granted["response"]["pen"]["fence"], "1", "{granted}");
    Ok(())
}

#[tokio::test]
async fn while_postgres_is_away_nobody_is_granted_anything_and_presence_goes_on() -> Result<()> {
    let mut postgres = PostgresServer::start()?;
    let options = Options::default().set("storage.url", &postgres.url());
    let server = Server::start(options).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    ann.join("doc:1").await?;
    postgres.kill()?;
    nobody_is_granted_anything(&server, &mut ann).await?;
    postgres.go_on()?;
    until("the store is back", SOON * 2, async || {
        let granted = ann.ask("doc:1", "pen_acquire", &json!({})).await?;
        Ok((granted["response"]["granted"] == true).then_some(()))
    })
    .await
}

/// With the store away, and ann on `doc:1`.
async fn nobody_is_granted_anything(server: &Server, ann: &mut RawSocket) -> Result<()> {
    let asked = ann.ask("doc:1", "pen_acquire", &json!({})).await?;
    assert_eq!(asked["response"]["code"], "unavailable");
    ensure!(asked["response"]["retry_after_ms"].is_u64(), "{asked}");
    let acquired = server.post("/v1/pens/doc:2/acquire", &json!({})).await?;
    assert_eq!(code(&acquired), (503, "unavailable".to_owned()));
    let mut bob = server.socket(&server.token("bob").await?).await?;
    bob.join("doc:1").await?;
    let count = server.get("/v1/topics/doc:1/presence").await?.json()["count"].clone();
    assert_eq!(count, 2);
    ensure!(server.metric("penholder_pen_store_failures_total").await? >= 2.0, "counted");
    Ok(())
}

/// The log of a pen has as many events as that of a ticket may have, and whoever comes back from before is told so.
async fn surplus_of_the_log_is_forgotten(options: Options) -> Result<()> {
    const EVENTS: u64 = 130;
    let mut server = Server::start(options.set("storage.retention_per_topic", "100")).await?;
    for _ in 0..EVENTS / 2 {
        let granted = server.post(&format!("{PEN}/acquire"), &json!({})).await?.json();
        let held = json!({"fence": granted["pen"]["fence"]});
        let released = server.post(&format!("{PEN}/release"), &held).await?;
        ensure!(released.status == 200, "{released}");
    }
    // Each start looks for what is too much, once: in vain where the store is too busy to answer.
    let mut log = Value::Null;
    for _ in 0..6 {
        server.restart().await?;
        let forgotten = until("the surplus is forgotten", SOON, async || {
            let log = server.get(&format!("{PEN}/log?limit=100")).await?.json();
            Ok((log["data"][0]["seq"] == EVENTS - 99).then_some(log))
        });
        if let Ok(forgotten) = forgotten.await {
            log = forgotten;
            break;
        }
    }
    assert_eq!(log["data"].as_array().map(Vec::len), Some(100), "{log}");
    let mut ann = server.socket(&server.token("ann").await?).await?;
    for (since, recovered) in [(EVENTS - 101, false), (EVENTS - 100, true), (EVENTS, true)] {
        let reset = !recovered;
        let events = server.get(&format!("/v1/topics/doc:1/events?after={since}&limit=1")).await?;
        assert_eq!(events.status, if reset { 410 } else { 200 }, "{since}: {events}");
        let joined = ann.join_with("doc:1", &json!({"since": since})).await?;
        assert_eq!((&joined["recovered"], &joined["seq"]), (&json!(recovered), &json!(EVENTS)));
        ann.ask("doc:1", "phx_leave", &json!({})).await?;
    }
    let first = server.get("/v1/topics/doc:1/events?limit=1").await?.json();
    assert_eq!(first["data"][0]["seq"], EVENTS - 99, "{first}");
    Ok(())
}

async fn fences_grow_over_restarts_and_a_lost_connection_reserves(options: Options) -> Result<()> {
    let mut server = Server::start(options).await?;
    let mut last = 0;
    for _ in 0..3 {
        let granted = server.post(&format!("{PEN}/acquire"), &json!({})).await?.json();
        let pen = &granted["pen"];
        ensure!(fence(pen)? > last, "{granted} after {last}");
        last = fence(pen)?;
        server.post(&format!("{PEN}/release"), &json!({"fence": pen["fence"]})).await?;
        server.restart().await?;
    }
    let mut ann = server.socket(&server.token("ann").await?).await?;
    ann.join("doc:1").await?;
    ann.ask("doc:1", "pen_acquire", &json!({})).await?;
    drop(ann);
    until("the pen is reserved", SOON, async || {
        Ok((server.get(PEN).await?.json()["state"] == "reserved").then_some(()))
    })
    .await
}

async fn a_tenure_and_its_queue_outlive_the_server(options: Options) -> Result<()> {
    let mut server = Server::start(options).await?;
    let acquire = format!("{PEN}/acquire");
    let granted = server.post(&acquire, &json!({"ttl_ms": 60_000})).await?.json();
    let pen = granted["pen"].clone();
    let bob = server.token("bob").await?;
    ask_as(&server, &bob, ("POST", &acquire), &json!({"wait": true})).await?;
    server.restart().await?;

    let renewed = server.post(&format!("{PEN}/renew"), &json!({"fence": pen["fence"]})).await?;
    ensure!(renewed.status == 200, "{renewed}");
    let renewed = renewed.json()["pen"].clone();
    assert_eq!((&renewed["fence"], &renewed["since"]), (&pen["fence"], &pen["since"]));
    assert_eq!(renewed["queue"][0]["id"], "bob");
    server.post(&format!("{PEN}/release"), &json!({"fence": pen["fence"]})).await?;
    let next = server.get(PEN).await?.json();
    assert_eq!(next["holder"]["id"], "bob");
    ensure!(fence(&next)? > fence(&pen)?, "{next} after {pen}");
    Ok(())
}

async fn a_taker_waits_for_the_drain_also_over_a_restart(options: Options) -> Result<()> {
    let mut server = Server::start(options.set("pen.drain", "2s")).await?;
    let ann = server.token("ann").await?;
    let acquire = format!("{PEN}/acquire");
    ask_as(&server, &ann, ("POST", &acquire), &json!({})).await?;
    let taken = server.post(&format!("{PEN}/take_over"), &json!({})).await?.json();
    let until = taken["draining_until"].as_u64().context("a drain")?;
    server.restart().await?;
    let pen = until_held_by(&server, "key:dev").await?;
    ensure!(pen["since"].as_u64() >= Some(until), "{pen}, and the drain lasts until {until}");
    let log = server.get(&format!("{PEN}/log")).await?.json();
    let told = log["data"].as_array().into_iter().flatten();
    let told: Vec<Value> =
        told.map(|it| json!([it["type"], it["by"]["id"], it["fence"]])).collect();
    let (first, second) = (&log["data"][0]["fence"], &pen["fence"]);
    let expected = [
        json!(["granted", "ann", first]),
        json!(["draining", "key:dev", first]),
        json!(["taken_over", "key:dev", second]),
    ];
    assert_eq!(told, expected);
    Ok(())
}

async fn until_held_by(server: &Server, holder: &str) -> Result<Value> {
    until(format!("{holder} has the pen"), SOON, async || {
        let pen = server.get(PEN).await?.json();
        Ok((pen["holder"]["id"] == holder).then_some(pen))
    })
    .await
}

#[tokio::test]
async fn pens_are_counted() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    server.post(&format!("{PEN}/acquire"), &json!({})).await?;
    server.post(&format!("{PEN}/release"), &json!({"fence": "9"})).await?;
    for (series, value) in [
        (r#"penholder_pen_commands_total{command="acquire",outcome="obeyed"}"#, 1.0),
        (r#"penholder_pen_commands_total{command="release",outcome="refused"}"#, 1.0),
        (r#"penholder_pen_events_total{type="granted",rule="free"}"#, 1.0),
    ] {
        let found = server.metric(series).await?;
        ensure!((found - value).abs() < f64::EPSILON, "{series}: {found}");
    }
    Ok(())
}
