//! Consumers of the event log: what a backend sees of them.

mod deliveries;
mod managing;
mod private;
mod receiver;
mod restarts;
mod within;

use anyhow::{Context, Result, ensure};
use penholder_tests::{Answer, CANARY, Options, Request, Server, until};
use serde_json::{Value, json};

use self::receiver::SOON;

/// A server whose webhooks may go to the receivers of tests.
fn options() -> Options {
    Options::default().any_request_rate().set("consumers.allow_private_addresses", "true")
}

/// Makes a consumer; returns its id and secret.
async fn make(server: &Server, name: &str, filter: Value, url: &str) -> Result<(String, String)> {
    let destination = json!({ "type": "webhook", "url": url });
    let body = json!({ "name": name, "filter": filter, "destination": destination });
    let made = ask(server, "POST", "/v1/consumers", &body).await?;
    ensure!(made.status == 201, "{made}");
    Ok((text(&made.json(), "id")?, text(&made.json(), "secret")?))
}

fn text(json: &Value, field: &str) -> Result<String> {
    let text = json[field].as_str().map(str::to_owned);
    text.with_context(|| format!("no {field} in {json}"))
}

/// Sends a request as the development key, again as long as the store is too busy.
async fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Result<Answer> {
    let request = Request::new(method, path).authorized("ApiKey dev").json(body);
    until("the store answers", SOON, async || {
        Ok(Some(server.ask(request.clone()).await?).filter(|answer| answer.status != 503))
    })
    .await
}

/// Makes a ticket; returns its id.
async fn ticket(server: &Server, title: &str) -> Result<String> {
    let body = json!({ "title": title, "description": "It burns.", "metadata": { "m": CANARY } });
    let made = ask(server, "POST", "/v1/tickets", &body).await?;
    ensure!(made.status == 201, "{made}");
    text(&made.json(), "id")
}

/// Sends a request with a body, as the development key.
async fn send(server: &Server, method: &str, path: &str, body: &Value) -> Result<Value> {
    let answer = ask(server, method, path, body).await?;
    ensure!((200..300).contains(&answer.status), "{method} {path}: {answer}");
    Ok(answer.json())
}

/// The deliveries of a consumer in a state.
async fn deliveries(server: &Server, consumer: &str, state: &str) -> Result<Vec<Value>> {
    let path = format!("/v1/consumers/{consumer}/deliveries?state={state}");
    let listed = server.get(&path).await?;
    ensure!(listed.status == 200, "{listed}");
    Ok(listed.json()["data"].as_array().cloned().unwrap_or_default())
}

/// Waits until a consumer has so many deliveries in a state.
async fn settled(server: &Server, consumer: &str, state: &str, count: usize) -> Result<Vec<Value>> {
    until(format!("{count} {state}"), SOON, async || {
        let found = deliveries(server, consumer, state).await?;
        Ok(Some(found).filter(|found| found.len() == count))
    })
    .await
}
