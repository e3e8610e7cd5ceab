//! Webhooks do not reach the server's own network.

use anyhow::Result;
use penholder_tests::{Options, Server};
use serde_json::json;

use super::receiver::{Receiver, Reply};
use super::{make, send, settled, ticket};

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_named() -> Result<()> {
    let server = Server::start(Options::default().set("consumers.retry_for", "0s")).await?;
    let receiver = Receiver::start(|_| Reply::Status(200)).await?;
    let port = receiver.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        let destination = json!({ "type": "webhook", "url": format!("http://{host}:{port}/") });
        let body = json!({ "name": "x", "filter": ["*"], "destination": destination });
        let refused = server.post("/v1/consumers", &body).await?;
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("invalid_payload")));
        assert!(refused.body.contains("private"), "{host}: {refused}");
    }
    // What a name leads to is only known when it is connected to.
    let url = format!("http://localhost:{port}/named");
    let (named, _) = make(&server, "named", json!(["*"]), &url).await?;
    ticket(&server, "t").await?;
    let failed = settled(&server, &named, "failed", 1).await?;
    let error = failed[0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("private"), "{error}");
    assert_eq!(receiver.connections(), 0, "somebody came all the same");

    let path = format!("/v1/consumers/{named}");
    let patch = json!({ "destination": { "url": format!("http://127.0.0.1:{port}/") } });
    assert!(send(&server, "PATCH", &path, &patch).await.is_err());
    Ok(())
}

/// A consumer that was made while it was allowed gets nothing any more when it is not.
#[tokio::test]
async fn numbers_are_checked_again_when_they_are_used() -> Result<()> {
    let receiver = Receiver::start(|_| Reply::Status(200)).await?;
    let first = Server::start(super::options()).await?;
    let (id, _) = make(&first, "x", json!(["*"]), &receiver.url("/x")).await?;
    ticket(&first, "t").await?;
    receiver.wait("/x", 1).await?;
    settled(&first, &id, "delivered", 1).await?;
    let mut options = Options::default().data_of(&first).set("consumers.retry_for", "0s");
    options = options.any_request_rate();
    let mut first = first;
    first.kill();
    let second = Server::start(options).await?;
    ticket(&second, "u").await?;
    let failed = settled(&second, &id, "failed", 1).await?;
    assert!(failed[0]["error"].as_str().is_some_and(|it| it.contains("private")), "{failed:?}");
    assert_eq!(receiver.heard("/x").len(), 1);
    Ok(())
}
