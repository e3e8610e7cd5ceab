//! A desk under test: tickets, the people around them, and what they hear of them.

use anyhow::{Context, Result, ensure};
use penholder_tests::{Answer, Options, RawSocket, Request, Server, Token};
use serde_json::{Value, json};

/// A server with tickets, and who asks it.
pub(crate) struct Desk {
    pub(crate) server: Server,
}

/// An event that somebody has heard on a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) event: String,
    pub(crate) payload: Value,
}

/// A token of somebody, in a role.
pub(crate) fn token(user: &str, role: &str) -> Result<String> {
    claims(user, role).sign()
}

/// A token of somebody who may see this topic, since their token says so.
pub(crate) fn named(user: &str, role: &str, topic: &str) -> Result<String> {
    claims(user, role).claim("topics", json!({topic: ["view"]})).sign()
}

fn claims(user: &str, role: &str) -> Token {
    Token::of(user).claim("role", role).claim("name", name(user))
}

/// How somebody is called.
pub(crate) fn name(user: &str) -> String {
    format!("The {user}")
}

/// The options of a desk: no rate of requests and no number of connections is too much.
pub(crate) fn options(options: Options) -> Options {
    let options = options.any_request_rate().set("server.connections_per_user_max", "1000");
    options.set("server.connections_per_address_max", "1000").set("presence.grace", "0s")
}

impl Desk {
    pub(crate) async fn start(of_store: Options) -> Result<Self> {
        Ok(Self { server: Server::start(options(of_store)).await? })
    }

    /// Asks as the bearer of a token.
    pub(crate) async fn ask(
        &self,
        token: &str,
        (verb, path): (&str, &str),
        body: &Value,
    ) -> Result<Answer> {
        self.server.ask(request(token, (verb, path), body)).await
    }

    /// The same for what is to be done; returns the body.
    pub(crate) async fn done(
        &self,
        token: &str,
        (verb, path): (&str, &str),
        body: &Value,
    ) -> Result<Value> {
        let answer = self.ask(token, (verb, path), body).await?;
        ensure!((200..300).contains(&answer.status), "{verb} {path}: {answer}");
        Ok(answer.json())
    }

    /// Makes somebody known, so that tickets can be assigned to them.
    pub(crate) async fn meet(&self, user: &str, role: &str) -> Result<()> {
        let body = json!({"name": name(user), "role": role});
        let request = Request::new("PUT", &format!("/v1/users/{user}")).authorized("ApiKey dev");
        let answer = self.server.ask(request.json(&body)).await?;
        ensure!(answer.status == 200, "{answer}");
        Ok(())
    }

    /// Makes a ticket; returns its id.
    pub(crate) async fn ticket(&self, token: &str, body: &Value) -> Result<String> {
        let made = self.done(token, ("POST", "/v1/tickets"), body).await?;
        Ok(made["id"].as_str().context("a ticket without an id")?.to_owned())
    }

    /// Opens a socket and joins a topic; returns the socket and the response. Nobody sees that they are there.
    pub(crate) async fn listen(
        &self,
        token: &str,
        topic: &str,
        since: Option<u64>,
    ) -> Result<(RawSocket, Value)> {
        let mut socket = self.server.socket(token).await?;
        let joined = socket.join_with(topic, &quietly(since)).await?;
        Ok((socket, joined))
    }
}

/// A request of the bearer of a token.
pub(crate) fn request(token: &str, (verb, path): (&str, &str), body: &Value) -> Request {
    let request = Request::new(verb, path).authorized(&format!("Bearer {token}"));
    if body.is_null() { request } else { request.json(body) }
}

/// The payload of a join by somebody who wants the stream and nothing else.
pub(crate) fn quietly(since: Option<u64>) -> Value {
    match since {
        Some(since) => json!({"presence": false, "since": since}),
        None => json!({"presence": false}),
    }
}

/// What a frame tells of a topic: an event of the stream, or the end of it.
pub(crate) fn heard(frame: &Value, topic: &str) -> Option<Heard> {
    let event = frame[3].as_str().filter(|_| frame[2] == topic)?;
    let is_told = event == "pen"
        || event == "collision"
        || ["phx_close", "phx_error"].contains(&event)
        || ["ticket", "comment_", "internal_note_"].iter().any(|it| event.starts_with(it));
    is_told.then(|| Heard { event: event.to_owned(), payload: frame[4].clone() })
}

impl Heard {
    pub(crate) fn seq(&self) -> Option<u64> {
        self.payload["seq"].as_u64()
    }

    /// Whether nothing comes after it on its topic.
    pub(crate) fn is_end(&self) -> bool {
        self.event.starts_with("phx_")
    }
}
