//! A server with people who want something of its tickets.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use penholder_tests::{Answer, CANARY, Options, Request, Server, Token};
use serde_json::{Value, json};

/// Who asks: a role and a name, or the development API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who(pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const KEY: Who = Who("key", "dev");
pub(crate) const ADAM: Who = Who("admin", "adam");
pub(crate) const EVE: Who = Who("agent", "eve");
pub(crate) const ZOE: Who = Who("agent", "zoe");
pub(crate) const CARL: Who = Who("customer", "carl");
pub(crate) const DORA: Who = Who("customer", "dora");

/// How long the store of a busy machine may keep everybody waiting.
const BUSY_MAX: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server.
pub(crate) struct Desk {
    pub(crate) server: Server,
}

impl Who {
    /// What their header `Authorization` says.
    pub(crate) fn authorization(self) -> Result<String> {
        if self == KEY {
            return Ok("ApiKey dev".to_owned());
        }
        Ok(format!("Bearer {}", Token::of(self.1).claim("role", self.0).sign()?))
    }
}

impl Desk {
    pub(crate) async fn start(options: Options) -> Result<Self> {
        Ok(Self { server: Server::start(options.any_request_rate()).await? })
    }

    pub(crate) async fn ask(
        &self,
        who: Who,
        verb: &str,
        path: &str,
        body: &Value,
    ) -> Result<Answer> {
        self.ask_with((who, &[]), verb, path, body).await
    }

    /// Asks with headers more. A body that is null is none.
    pub(crate) async fn ask_with(
        &self,
        (who, headers): (Who, &[(&str, &str)]),
        verb: &str,
        path: &str,
        body: &Value,
    ) -> Result<Answer> {
        self.ask_as((&who.authorization()?, headers), verb, path, body).await
    }

    /// Asks with any `Authorization`.
    pub(crate) async fn ask_as(
        &self,
        (authorization, headers): (&str, &[(&str, &str)]),
        verb: &str,
        path: &str,
        body: &Value,
    ) -> Result<Answer> {
        let request = Request::new(verb, path).authorized(authorization);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(name, value));
        let request = if body.is_null() { request } else { request.json(body) };
        // A machine that is very busy keeps the store waiting, which is said by 503.
        let deadline = Instant::now() + BUSY_MAX;
        loop {
            let answer = self.server.ask(request.clone()).await?;
            if answer.status != 503 || Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) async fn get(&self, who: Who, path: &str) -> Result<Value> {
        let answer = self.ask(who, "GET", path, &Value::Null).await?;
        ensure!(answer.status == 200, "{path}: {answer}");
        Ok(answer.json())
    }

    /// Makes a ticket of somebody, with metadata that only the staff may see.
    pub(crate) async fn ticket(&self, owner: &str, title: &str) -> Result<Value> {
        let body = json!({"title": title, "description": "d", "user_id": owner,
            "metadata": {"m": CANARY}});
        let answer = self.ask(KEY, "POST", "/v1/tickets", &body).await?;
        ensure!(answer.status == 201, "{answer}");
        Ok(answer.json())
    }
}

/// Where a ticket is.
pub(crate) fn at(ticket: &Value) -> String {
    format!("/v1/tickets/{}", ticket["id"].as_str().unwrap_or_default())
}

/// The status and code of an answer.
pub(crate) fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// The same, to compare with.
pub(crate) fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
