//! What operators and load balancers see.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use penholder_tests::{Opcode, Options, Request, Server, until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn health_needs_no_key() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    for path in ["/healthz", "/readyz"] {
        let answer = server.ask(Request::new("GET", path)).await?;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{path}");
        assert_eq!(answer.json()["replica"], "e2e");
    }
    Ok(())
}

#[tokio::test]
async fn the_interface_describes_itself() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let api = server.ask(Request::new("GET", "/openapi.json")).await?;
    assert_eq!(api.status, 200);
    let api = api.json();
    assert!(api["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{api}");
    for path in [
        "/v1/topics",
        "/v1/topics/{topic}/presence",
        "/v1/topics/{topic}/summary",
        "/v1/topics/{topic}/broadcast",
        "/v1/topics/{topic}/presence/{session}",
        "/v1/topics/{topic}/presence/{session}/why",
        "/v1/presence/summaries",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    for path in ["/", "/docs/"] {
        let page = server.ask(Request::new("GET", path)).await?;
        assert_eq!(page.status, 200, "{path}");
        let content_type = page.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("text/html"), "{path}: {content_type}");
    }
    let docs = server.ask(Request::new("GET", "/docs")).await?;
    assert!(matches!(docs.status, 200 | 303 | 307 | 308), "{docs}");
    let console = server.ask(Request::new("GET", "/")).await?;
    assert!(console.header("content-security-policy").is_some());
    Ok(())
}

#[tokio::test]
async fn metrics_count_and_name_nobody() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut ann = server.socket(&server.token("canary-user").await?).await?;
    let joined = ann.join("doc:canary-topic").await?;
    ann.ask("doc:canary-topic", "broadcast", &json!({"event": "canary-event"})).await?;
    server.get("/v1/topics/doc:canary-topic/presence").await?;
    server.get("/v1/canary-path").await?;
    let metrics = until("a connection is counted", SOON, async || {
        let answer = server.ask(Request::new("GET", "/metrics")).await?;
        let is_counted = answer.status == 200
            && answer.body.lines().any(|line| {
                line.contains("connections") && !line.starts_with('#') && line.ends_with(" 1")
            });
        Ok(is_counted.then_some(answer))
    })
    .await?;
    assert!(metrics.header("content-type").is_some_and(|t| t.starts_with("text/plain")));
    assert!(metrics.body.contains("# TYPE"), "{metrics}");
    assert!(!metrics.body.contains("canary"), "{metrics}");
    let session = joined["session"].as_str().unwrap_or_default();
    assert!(!metrics.body.contains(session), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn nothing_stays_of_those_who_are_gone() -> Result<()> {
    const GAUGES: [&str; 3] = ["penholder_connections", "penholder_sessions", "penholder_topics"];
    let server = Server::start(Options::default().set("presence.grace", "100ms")).await?;
    let mut sockets = Vec::new();
    for n in 0..12 {
        let mut socket = server.socket(&server.token(&format!("user{n}")).await?).await?;
        socket.join(&format!("doc:{}", n % 3)).await?;
        socket.join_with("doc:all", &json!({"presence": n % 2 == 0})).await?;
        socket.ask("doc:all", "typing", &json!({"on": true})).await?;
        let watched = json!({"topics": ["doc:0", format!("doc:quiet{n}")]});
        socket.join_with("system:summaries", &watched).await?;
        sockets.push(socket);
    }
    for (name, least) in GAUGES.into_iter().zip([12.0, 24.0, 4.0]) {
        until(format!("{name} counts"), SOON, async || {
            Ok((server.metric(name).await? >= least).then_some(()))
        })
        .await?;
    }
    // Some say goodbye, some leave first, the rest are just gone.
    for (n, socket) in sockets.iter_mut().enumerate() {
        if n % 3 == 0 {
            socket.ask("doc:all", "phx_leave", &json!({})).await?;
            socket.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await?;
        }
    }
    drop(sockets);
    for name in GAUGES {
        until(format!("{name} is 0"), SOON, async || {
            Ok((server.metric(name).await? == 0.0).then_some(()))
        })
        .await?;
    }
    assert_eq!(server.get("/v1/topics").await?.json()["data"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_none_that_broke_the_protocol() -> Result<()> {
    const CLOSED: &str = "penholder_connections_closed_total{";
    let server = Server::start(Options::default()).await?;
    let token = server.token("ann").await?;
    let closed = async || -> Result<Vec<String>> {
        let metrics = server.ask(Request::new("GET", "/metrics")).await?.body;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(CLOSED));
        Ok(lines.map(str::to_owned).collect())
    };
    for (what, bytes) in
        [("nothing", &[][..]), ("half a head", &[0x81]), ("half a frame", &[0x81, 0x84, 1])]
    {
        let mut read = server.socket(&token).await?;
        read.ask("phoenix", "heartbeat", &json!({})).await?;
        read.send_bytes(bytes).await?;
        // One that has read everything ends with FIN, one that has not with RST.
        let mut unread = server.socket(&token).await?;
        unread.join("doc:1").await?;
        unread.send(r#"[null,"h","phoenix","heartbeat",{}]"#).await?;
        unread.send_bytes(bytes).await?;
        drop((read, unread));
        until(format!("both are gone after {what}"), SOON, async || {
            Ok((server.metric("penholder_connections").await? == 0.0).then_some(()))
        })
        .await?;
        assert_eq!(closed().await?, [""; 0], "{what}");
    }
    let mut rude = server.socket(&token).await?;
    rude.send_bytes(&[0x83, 0x80, 1, 2, 3, 4]).await?;
    assert_eq!(rude.closed(SOON).await?, (1002, "protocol".to_owned()));
    assert_eq!(closed().await?, ["code=\"protocol\"} 1"]);
    Ok(())
}

#[tokio::test]
async fn the_log_names_no_token_and_no_content() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let token = server.token("ann").await?;
    let mut ann = server.socket(&token).await?;
    let joined = ann.join_with("doc:1", &json!({"meta": {"a": "canary-meta"}})).await?;
    let said = json!({"event": "said", "payload": {"a": "canary-body"}});
    ann.ask("doc:1", "broadcast", &said).await?;
    ann.ask("doc:1", "token", &json!({"token": "canary-token"})).await?;
    server.post("/v1/topics/doc:1/broadcast", &said).await?;
    let log = server.log();
    let resume = joined["resume"].as_str().unwrap_or_default();
    for secret in ["canary", &token, resume] {
        assert!(!log.contains(secret), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_only() -> Result<()> {
    let limited = || Options::default().set("server.connections_per_address_max", "1");
    let upgrade = |token: &str, from: &str| {
        Request::websocket(&format!("/socket/websocket?vsn=2.0.0&token={token}"))
            .header("x-forwarded-for", from)
    };
    let server = Server::start(limited()).await?;
    let token = server.token("ann").await?;
    let _first = server.socket(&token).await?;
    let answer = server.ask(upgrade(&token, "192.0.2.7")).await?;
    assert_eq!(answer.status, 429, "the address of the connection counts: {answer}");
    assert!(answer.header("retry-after").is_some(), "{answer}");

    let behind_proxy = limited().set("server.trusted_proxies", "[\"127.0.0.0/8\"]");
    let server = Server::start(behind_proxy).await?;
    let token = server.token("ann").await?;
    let _first = server.socket(&token).await?;
    for (from, status) in [
        ("192.0.2.7", 101),
        ("127.0.0.1", 429),
        // What stands further left was written by whoever likes to be somebody else.
        ("192.0.2.8, 127.0.0.1", 101),
        ("198.51.100.1, 192.0.2.9, 127.0.0.1", 101),
        ("not an address", 429),
    ] {
        let answer = server.ask(upgrade(&token, from)).await?;
        assert_eq!(answer.status, status, "{from}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_terminated_server_leaves_with_code_0() -> Result<()> {
    let mut server = Server::start(Options::default()).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    ann.join("doc:1").await?;
    server.terminate()?;
    assert_eq!(ann.closed(SOON).await?, (1012, "restart".to_owned()));
    drop(ann);
    assert_eq!(server.exit_code().await?, 0, "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn five_thousand_are_sent_away_one_after_another_and_told_when_to_come_back() -> Result<()> {
    const CLIENTS: u64 = 5_000;
    let mut options = Options::default().any_request_rate().set("server.drain", "60s");
    for of in ["address", "user"] {
        options = options.set(&format!("server.connections_per_{of}_max"), "10000");
    }
    let mut server = Server::start(options).await?;
    let token = server.token("ann").await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = server.socket(&token).await?;
        // Each is listened to from now on: whoever answers no ping is sent away before.
        clients
            .push(tokio::spawn(async move { anyhow::Ok((socket.end().await?, Instant::now())) }));
    }
    server.terminate()?;
    let (mut waits, mut times) = (BTreeSet::new(), BTreeSet::new());
    for client in clients {
        let ((code, reason), at) = client.await??;
        assert_eq!((code, &reason["code"]), (1012, &json!("restart")));
        waits.insert(reason["reconnect_after_ms"].as_u64().context("a time to come back")?);
        times.insert(at);
    }
    assert_eq!(server.exit_code().await?, 0, "{}", server.log());
    ensure!(waits.len() > 1_000, "{} waits of their own", waits.len());
    // Not all at once: who is sent away at once comes back at once.
    let (first, last) = (times.first().context("a first")?, times.last().context("a last")?);
    ensure!(*last - *first > Duration::from_millis(500), "{:?}", *last - *first);
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_does_not_keep_the_server_up() -> Result<()> {
    let mut server = Server::start(Options::default().set("server.drain", "1s")).await?;
    let mut hung = server.socket(&server.token("ann").await?).await?;
    hung.join("doc:1").await?;
    server.terminate()?;
    // It reads nothing and answers nothing.
    assert_eq!(server.exit_code().await?, 0, "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn no_token_is_in_the_log_however_much_is_asked_for() -> Result<()> {
    let server = Server::start(Options::default().log("trace")).await?;
    let (token, fresh) = (server.token("ann").await?, server.token_with("user=ann&name=A").await?);
    let mut ann = server.socket(&token).await?;
    ann.join("doc:1").await?;
    ann.ask("doc:1", "token", &json!({"token": fresh})).await?;
    server.ask(Request::new("GET", "/v1/topics").authorized(&format!("Bearer {token}"))).await?;
    let log = server.log();
    ensure!(log.contains("/socket/websocket"), "requests are told: {log}");
    for token in [token, fresh] {
        let signature = token.rsplit('.').next().context("a signature")?;
        ensure!(!log.contains(signature), "{log}");
    }
    Ok(())
}
