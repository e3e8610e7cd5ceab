//! Single sessions over HTTP: why one is shown as it is, and removing it.

use std::time::Duration;

use anyhow::Result;
use penholder_tests::{Options, Request, Server, until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);

fn path(topic: &str, session: &Value) -> String {
    format!("/v1/topics/{topic}/presence/{}", session.as_str().unwrap_or_default())
}

#[tokio::test]
async fn why_gives_the_evidence() -> Result<()> {
    let server = Server::start(Options::default().set("presence.grace", "60s")).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    let joined = ann.join("doc:1").await?;
    let why = path("doc:1", &joined["session"]) + "/why";

    let first = server.get(&why).await?.json();
    assert_eq!(first["session"], joined["session"]);
    assert_eq!((&first["key"], &first["replica"]), (&json!("ann"), &json!("e2e")));
    assert_eq!((&first["status"], &first["visible"]), (&json!("active"), &json!(true)));
    assert_eq!(first["certainty"], "confirmed");
    let joined_at = joined["joined_at"].as_u64();
    for field in ["connected_at", "last_input_at", "last_heartbeat_at"] {
        let at = first[field].as_u64();
        assert!(at >= joined_at.map(|at| at - 1000), "{field}: {first}");
    }
    assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()));

    ann.ask("doc:1", "presence_update", &json!({"visible": false})).await?;
    let hidden = server.get(&why).await?.json();
    assert_eq!((&hidden["status"], &hidden["visible"]), (&json!("hidden"), &json!(false)));
    assert_ne!(hidden["reason"], first["reason"]);

    drop(ann);
    until("the loss is noticed", SOON, async || {
        let lost = server.get(&why).await?.json();
        Ok((lost["status"] == "reconnecting" && lost["last_heartbeat_at"].is_null()).then_some(()))
    })
    .await?;
    let nobody = server.get("/v1/topics/doc:1/presence/nobody/why").await?;
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &json!("not_found")));
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_is_evidence() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    let session = ann.join("doc:1").await?["session"].clone();
    let why = path("doc:1", &session) + "/why";
    let heard = async || anyhow::Ok(server.get(&why).await?.json()["last_heartbeat_at"].as_u64());
    let before = heard().await?;
    until("a later heartbeat is seen", SOON, async || {
        ann.ask("phoenix", "heartbeat", &json!({})).await?;
        Ok((heard().await? > before).then_some(()))
    })
    .await
}

#[tokio::test]
async fn removing_a_session_closes_its_channel_and_nothing_else() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    let session = ann.join("doc:1").await?["session"].clone();
    ann.join("doc:2").await?;
    let one = path("doc:1", &session);

    for (role, status) in [("customer", 403), ("viewer", 403)] {
        let token = server.token_with(&format!("user=eve&role={role}")).await?;
        let request = Request::new("DELETE", &one).authorized(&format!("Bearer {token}"));
        assert_eq!(server.ask(request).await?.status, status, "{role}");
    }
    let elsewhere = Request::new("DELETE", &path("doc:2", &session)).authorized("ApiKey dev");
    assert_eq!(server.ask(elsewhere).await?.status, 404, "it is not on that topic");

    let token = server.token("boss").await?;
    let request = Request::new("DELETE", &one).authorized(&format!("Bearer {token}"));
    assert_eq!(server.ask(request.clone()).await?.status, 204);
    let close = ann.until("phx_close", |frame| frame[3] == "phx_close").await?;
    assert_eq!((&close[2], &close[4]), (&json!("doc:1"), &json!({})));
    until("the session is gone", SOON, async || {
        let list = server.get("/v1/topics/doc:1/presence").await?.json();
        Ok((list["count"] == 0).then_some(()))
    })
    .await?;
    assert_eq!(server.ask(request).await?.status, 404, "nobody is removed twice");
    let reply = ann.ask("doc:1", "typing", &json!({"on": true})).await?;
    assert_eq!(reply["response"]["reason"], "unmatched topic");
    let reply = ann.ask("doc:2", "typing", &json!({"on": true})).await?;
    assert_eq!(reply["status"], "ok");
    Ok(())
}

#[tokio::test]
async fn who_breaks_off_again_and_again_leaves_no_crowd_of_ghosts() -> Result<()> {
    const KEPT: usize = 20;
    const LOST: usize = 26;
    const NOT_KEPT: &str = "penholder_connections_not_kept_total";
    let server = Server::start(Options::default().set("presence.grace", "10m")).await?;
    let (ann, bob) = (server.token("ann").await?, server.token("bob").await?);
    for _ in 0..LOST {
        let mut socket = server.socket(&ann).await?;
        socket.join("doc:1").await?;
        drop(socket);
    }
    let mut other = server.socket(&bob).await?;
    other.join("doc:1").await?;
    drop(other);
    until("as many wait as may", SOON * 2, async || {
        let waiting = server.metric("penholder_sessions_waiting").await?;
        Ok((waiting.to_string() == (KEPT + 1).to_string()).then_some(()))
    })
    .await?;
    assert_eq!(server.metric(NOT_KEPT).await?.to_string(), (LOST - KEPT).to_string());
    assert_eq!(server.get("/v1/topics/doc:1/presence").await?.json()["count"], 2);
    Ok(())
}
