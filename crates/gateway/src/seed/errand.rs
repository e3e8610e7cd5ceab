//! One request after the other to the server that is filled, each as somebody, with patience where it asks for it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::plan::{ADMIN, PEOPLE_LEN, Person};
use crate::http::{KEY_HEADER, REPLAY_HEADER};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// For how long a request that was put off is tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait where the server does not say.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest wait that is believed.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Why a desk was not filled. Trying again can help once what it says has been done; with the same seed it goes
/// on where it ended.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// For who calls: the URL is none.
    #[error("{0} is no URL of a server, such as http://127.0.0.1:4000")]
    Url(String),
    /// For who calls: start a server.
    #[error(
        "no server answers at {url}; start one with `penholder run`, or say where it is with --url"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the connection says.
        source: reqwest::Error,
    },
    /// For who calls: a real desk is not filled with demo tickets.
    #[error(
        "the server at {0} is not in development mode: demo tickets are for servers started with \
         `penholder run --dev`, which hand out tokens to demo people"
    )]
    NotDevelopment(String),
    /// For who runs the server: it refuses what it should take.
    #[error("{method} {path}: {status}: {message}")]
    Refused {
        /// What was asked.
        method: Method,
        /// Of what.
        path: String,
        /// What was answered.
        status: StatusCode,
        /// In words, as the server says it.
        message: String,
    },
    /// For who runs the server: it broke off, or what answers is no Penholder.
    #[error("{path}: the answer cannot be read: {source}")]
    Answer {
        /// What was asked for.
        path: String,
        /// What was wrong.
        source: reqwest::Error,
    },
}

/// A development server.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    base: Url,
    tokens: [OnceCell<String>; PEOPLE_LEN],
}

/// Something to ask of the server.
#[derive(Debug)]
pub(super) struct Errand {
    method: Method,
    path: String,
    body: Option<Value>,
    name: Option<String>,
}

/// What the server has answered.
#[derive(Debug)]
pub(super) struct Answered {
    path: String,
    response: Response,
}

/// Whether the server did an errand now, or had done it when it was asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Now,
    Before,
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    development: bool,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    message: String,
}

impl Errand {
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body), name: None }
    }

    pub(super) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::post(path, body) }
    }

    fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, name: None }
    }

    /// Lets the server know the errand again.
    pub(super) fn named(self, name: String) -> Self {
        Self { name: Some(name), ..self }
    }
}

impl Server {
    /// Looks whether there is a development server at `url`.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) async fn find(url: &str) -> Result<Self, SeedError> {
        let base = Url::parse(url).ok().filter(|base| base.scheme() == "http" && base.has_host());
        let base = base.ok_or_else(|| SeedError::Url(url.to_owned()))?;
        let unreachable = |source| SeedError::Unreachable { url: url.to_owned(), source };
        let client = Client::builder().timeout(ANSWER_MAX).build().map_err(unreachable)?;
        let server = Self { client, base, tokens: Default::default() };
        let health = server.request(&Errand::get("/healthz")).send().await.map_err(unreachable)?;
        let health = health.json::<Health>().await.unwrap_or(Health { development: false });
        if health.development { Ok(server) } else { Err(SeedError::NotDevelopment(url.to_owned())) }
    }

    /// Does an errand as somebody; again and again while the server asks for patience.
    ///
    /// # Errors
    ///
    /// The server refuses, or goes away.
    pub(super) async fn send(&self, by: &Person, errand: Errand) -> Result<Answered, SeedError> {
        let token = self.tokens[by.place()].get_or_try_init(|| self.fetch_token(by)).await?;
        self.insist(&errand, |request| request.bearer_auth(token)).await
    }

    /// How often a ticket was changed since it was made; nothing where it is not there any more.
    ///
    /// # Errors
    ///
    /// The server refuses, or goes away.
    pub(super) async fn writes(&self, ticket: &str) -> Result<Option<u64>, SeedError> {
        let read = self.send(&ADMIN, Errand::get(format!("/v1/tickets/{ticket}"))).await;
        match read {
            Ok(answered) => Ok(Some(answered.read::<Versioned>().await?.version.saturating_sub(1))),
            Err(SeedError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch_token(&self, person: &Person) -> Result<String, SeedError> {
        let Person { user, name, role, kind } = person;
        let fields = [("user", *user), ("name", *name), ("role", *role), ("kind", *kind)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let errand = Errand::get(format!("/dev/token?{query}"));
        let answered = self.insist(&errand, |request| request).await?;
        Ok(answered.read::<Token>().await?.token)
    }

    async fn insist(
        &self,
        errand: &Errand,
        sign: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answered, SeedError> {
        let Errand { method, path, .. } = errand;
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let answer = sign(self.request(errand)).send().await;
            let may_wait = Instant::now() < give_up_at;
            let response = match answer {
                Ok(response) => response,
                // A named errand is done once however often it is asked for; so are those that set something.
                Err(_) if may_wait => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(source) => {
                    let url = self.base.to_string();
                    return Err(SeedError::Unreachable { url, source });
                }
            };
            let status = response.status();
            if status.is_success() {
                return Ok(Answered { path: path.clone(), response });
            }
            if is_passing(status, response.headers()) && may_wait {
                sleep(pause(response.headers())).await;
                continue;
            }
            let problem = response.json::<Problem>().await;
            let message = problem.map_or_else(
                |_| "no reason given".to_owned(),
                |it| format!("{} ({})", it.message, it.code),
            );
            return Err(SeedError::Refused {
                method: method.clone(),
                path: path.clone(),
                status,
                message,
            });
        }
    }

    fn request(&self, Errand { method, path, body, name }: &Errand) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = self.client.request(method.clone(), format!("{base}{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(name) = name {
            request = request.header(KEY_HEADER, name);
        }
        request
    }
}

impl Answered {
    /// Whether it was done for this request, or for one before it under the same name.
    pub(super) fn done(&self) -> Done {
        if self.response.headers().contains_key(REPLAY_HEADER) { Done::Before } else { Done::Now }
    }

    /// The id of what was made, and when.
    pub(super) async fn id(self) -> Result<(String, Done), SeedError> {
        let done = self.done();
        Ok((self.read::<Identified>().await?.id, done))
    }

    async fn read<T: DeserializeOwned>(self) -> Result<T, SeedError> {
        let Self { path, response } = self;
        response.json().await.map_err(|source| SeedError::Answer { path, source })
    }
}

/// Whether the same request can be taken later: too many came, the store is away, or it is being done already.
fn is_passing(status: StatusCode, headers: &header::HeaderMap) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::CONFLICT => headers.contains_key(header::RETRY_AFTER),
        _ => false,
    }
}

fn pause(headers: &header::HeaderMap) -> Duration {
    let told = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    told.map_or(PAUSE, Duration::from_secs).clamp(PAUSE, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: Option<&str>) -> header::HeaderMap {
        retry_after
            .map(|value| (header::RETRY_AFTER, header::HeaderValue::from_str(value).unwrap()))
            .into_iter()
            .collect()
    }

    #[test]
    fn only_what_can_help_is_waited_for() {
        assert!(is_passing(StatusCode::TOO_MANY_REQUESTS, &headers(None)));
        assert!(is_passing(StatusCode::CONFLICT, &headers(Some("1"))));
        assert!(!is_passing(StatusCode::CONFLICT, &headers(None)));
        assert!(!is_passing(StatusCode::UNPROCESSABLE_ENTITY, &headers(Some("1"))));
    }

    #[test]
    fn waits_are_as_told_and_bounded() {
        assert_eq!(pause(&headers(None)), PAUSE);
        assert_eq!(pause(&headers(Some("3"))), Duration::from_secs(3));
        assert_eq!(pause(&headers(Some("0"))), PAUSE);
        assert_eq!(pause(&headers(Some("soon"))), PAUSE);
        assert_eq!(pause(&headers(Some("86400"))), PAUSE_MAX);
    }
}
