//! Broadcasting over HTTP.

use anyhow::Result;
use penholder_tests::{Options, Request, Server};
use serde_json::{Value, json};

const PATH: &str = "/v1/topics/doc:1/broadcast";

#[tokio::test]
async fn a_backend_reaches_everybody_on_the_topic() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut ann = server.socket(&server.token("ann").await?).await?;
    let mut bob = server.socket(&server.token("bob").await?).await?;
    ann.join("doc:1").await?;
    bob.join_with("doc:1", &json!({"presence": false})).await?;
    let payload = json!({"state": "done", "list": [1, null]});
    let answer = server.post(PATH, &json!({"event": "run", "payload": payload})).await?;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    for socket in [&mut ann, &mut bob] {
        let frame = socket.until("run", |frame| frame[3] == "run").await?;
        assert_eq!(frame, json!([null, null, "doc:1", "run", payload]));
    }
    let answer = server.post(PATH, &json!({"event": "bare"})).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(ann.event("bare").await?, json!({}));
    let nobody = server.post("/v1/topics/doc:none/broadcast", &json!({"event": "run"})).await?;
    assert_eq!(nobody.status, 200, "nobody is there to hear it");
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_said_is_refused() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    for (body, code) in [
        (json!({"event": "phx_close"}), "reserved_event"),
        (json!({"event": "presence_diff"}), "reserved_event"),
        (json!({"event": "pen"}), "reserved_event"),
        (json!({"event": ""}), "invalid_payload"),
        (json!({"event": "a".repeat(201)}), "invalid_payload"),
        (json!({"event": "run", "payload": [1]}), "invalid_payload"),
        (json!({"payload": {}}), "invalid_payload"),
        (json!([]), "invalid_payload"),
    ] {
        let answer = server.post(PATH, &body).await?;
        assert_eq!((answer.status, &answer.json()["code"]), (422, &json!(code)), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn publishing_takes_the_capability() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let ask = async |token: &str| -> Result<(u16, Value)> {
        let request = Request::new("POST", PATH).authorized(&format!("Bearer {token}"));
        let answer = server.ask(request.json(&json!({"event": "run"}))).await?;
        Ok((answer.status, answer.json()["code"].clone()))
    };
    assert_eq!(ask(&server.token("ann").await?).await?.0, 200);
    let viewer = server.token_with("user=vera&role=viewer").await?;
    assert_eq!(ask(&viewer).await?, (403, json!("not_authorized")));
    let editor = crate::people::signed(&["--topic", "doc:*=view,edit"])?;
    assert_eq!(ask(&editor).await?, (403, json!("not_authorized")));
    let publisher = crate::people::signed(&["--topic", "doc:1=publish"])?;
    assert_eq!(ask(&publisher).await?.0, 200);
    Ok(())
}
