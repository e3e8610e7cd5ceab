//! Long polling: requests that take turns, as the carrier of a connection.
//!
//! For networks that break WebSockets. The client asks with GET for what there is and waits for it, and
//! posts its frames by line. The HTTP status is always 200; what counts as one stands in the body.
//!
//! Source: Phoenix's long-polling transport, as npm `phoenix` speaks it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dashmap::DashMap;
use parking_lot::Mutex;
use penholder_protocol::{CloseCode, Encoded, Wire};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::connection::{self, Connection};
use super::handshake::{Asked, Refusal, accept};
use super::transport::{Gone, Heard, Transport};
use crate::app::App;
use crate::auth::Identity;
use crate::http::{ClientAddress, Origin};
use crate::shard::{Batch, Ending, Outbox};
use crate::telemetry::metrics;

/// Where the requests go.
pub(crate) const PATH: &str = "/socket/longpoll";

/// How long a GET waits for something to tell.
const WINDOW: Duration = Duration::from_secs(10);

/// How long a session lasts without a request.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// Most frames of one POST.
const LINES_MAX: usize = 100;

/// Most frames that a GET is answered with.
const FRAMES_MAX: usize = 64;

/// How many posted frames wait for the connection.
const INBOX_LEN: usize = 16;

/// How long the last frames may take to be asked for.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Begins the token of a session, which so cannot be taken for that of a person.
const PREFIX: &str = "lp_";

/// The sessions, by token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Polls(Arc<DashMap<String, Arc<Session>>>);

/// What the requests of a session and its connection share.
///
/// A frame stays in the outbox until a GET is answered with it: from there it is taken back when its reader loses
/// the right to it.
#[derive(Debug)]
struct Session {
    inbox: mpsc::Sender<Heard>,
    outbox: Arc<Outbox>,
    turns: Mutex<Turns>,
    /// Wakes a GET: there are frames, or there will never be any more.
    arrived: Notify,
    /// Wakes the connection: a request came.
    asked: Notify,
}

#[derive(Debug)]
struct Turns {
    /// How many GETs wait.
    waiting: usize,
    asked_at: Instant,
    is_over: bool,
}

/// The end of a session that its connection holds.
struct Poll {
    polls: Polls,
    token: String,
    session: Arc<Session>,
    inbox: mpsc::Receiver<Heard>,
}

/// The body of every answer.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

impl Answer<'_> {
    fn status(status: u16) -> Self {
        Answer { status, token: None, messages: None }
    }
}

impl IntoResponse for Answer<'_> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self).into_response();
        let never = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, never);
        response
    }
}

/// What a request is answered that comes too often: its client takes the connection for lost, and tries again
/// later and later. It knows no other status than that in the body.
pub(crate) fn busy() -> Response {
    Answer::status(500).into_response()
}

/// `GET /socket/longpoll`: takes what there is, or begins a session.
pub(crate) async fn poll(
    State(app): State<App>,
    origin: Origin,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let (token, asked) = read(&query, &headers);
    if let Some((token, session)) = token.and_then(|token| app.polls.find(token)) {
        return session.poll(&app, &token).await.into_response();
    }
    let admitted = accept(&app, &origin, asked).and_then(|(wire, identity)| {
        let permit = app.admission.admit(address, identity.subject()).map_err(Refusal::NoRoom)?;
        Ok((wire, identity, permit))
    });
    match admitted {
        Ok((wire, identity, permit)) => {
            metrics::handshake("ok");
            let token = begin(app, (wire, identity), permit);
            Answer { status: 410, token: Some(&token), messages: Some(Vec::new()) }.into_response()
        }
        Err(refusal) => Answer::status(refusal.into_poll()).into_response(),
    }
}

/// `POST /socket/longpoll`: frames of the client, one a line.
pub(crate) async fn push(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let query = query.unwrap_or_default();
    let (token, _) = read(&query, &headers);
    let Some((_, session)) = token.and_then(|token| app.polls.find(token)) else {
        return Answer::status(410).into_response();
    };
    let body = match body {
        Ok(body) => body,
        Err(refused) => return Answer::status(refused.status().as_u16()).into_response(),
    };
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<_> = lines.collect();
    if lines.len() > LINES_MAX {
        return Answer::status(400).into_response();
    }
    let message_max = app.config.limits.message_max.bytes();
    for line in lines {
        if session.inbox.send(heard(line, &body, message_max)).await.is_err() {
            return Answer::status(410).into_response();
        }
    }
    Answer::status(200).into_response()
}

/// Reads a line: text where it begins as JSON does, else base64 of a binary frame.
fn heard(line: &[u8], body: &Bytes, message_max: usize) -> Heard {
    if line.starts_with(b"[") || line.starts_with(b"{") {
        if line.len() > message_max {
            return Heard::Broken(CloseCode::TooBig);
        }
        return match body.slice_ref(line).try_into() {
            Ok(text) => Heard::Text(text),
            Err(_) => Heard::Broken(CloseCode::NotUtf8),
        };
    }
    match STANDARD.decode(line.trim_ascii()) {
        Ok(frame) if frame.len() > message_max => Heard::Broken(CloseCode::TooBig),
        Ok(frame) => Heard::Binary(frame.into()),
        // No frame at all: it counts as a malformed one.
        Err(_) => Heard::Text(String::from_utf8_lossy(line).into_owned().into()),
    }
}

/// Reads which session a request belongs to, and what it asks for should it belong to none. The query may
/// hold two tokens, that of the person first; a header wins over both.
fn read(query: &str, headers: &HeaderMap) -> (Option<String>, Asked) {
    let mut asked = Asked::read(query, headers);
    let in_header = headers.get("x-phoenix-longpoll-token").and_then(|it| it.to_str().ok());
    let in_query = asked.query_tokens.iter().rev().find(|token| token.starts_with(PREFIX)).cloned();
    asked.query_tokens.retain(|token| !token.starts_with(PREFIX));
    let of_person = headers.get("x-phoenix-authtoken").and_then(|it| it.to_str().ok());
    if let Ok(tokens) = &mut asked.tokens {
        tokens.extend(of_person.map(str::to_owned));
    }
    (in_header.map(str::to_owned).or(in_query), asked)
}

fn begin(app: App, (wire, identity): (Wire, Identity), permit: crate::admission::Permit) -> String {
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let (sender, inbox) = mpsc::channel(INBOX_LEN);
    let (polls, tasks) = (app.polls.clone(), app.connections.clone());
    let connection = Connection::new(app, wire, identity, permit);
    let session = Arc::new(Session {
        inbox: sender,
        outbox: Arc::clone(&connection.outbox),
        turns: Mutex::new(Turns { waiting: 0, asked_at: Instant::now(), is_over: false }),
        arrived: Notify::new(),
        asked: Notify::new(),
    });
    polls.0.insert(token.clone(), Arc::clone(&session));
    let poll = Poll { polls, token: token.clone(), session, inbox };
    tasks.spawn(connection::serve(poll, connection));
    token
}

impl Polls {
    fn find(&self, token: String) -> Option<(String, Arc<Session>)> {
        let session = self.0.get(&token).map(|session| Arc::clone(&session))?;
        Some((token, session))
    }
}

impl Session {
    /// Waits for frames, and answers with what there is.
    async fn poll<'a>(&self, app: &App, token: &'a str) -> Answer<'a> {
        let _waiting = Waiting::begin(self);
        let deadline = Instant::now() + WINDOW;
        loop {
            let arrived = self.arrived.notified();
            let frames = self.outbox.fetch(FRAMES_MAX);
            if !frames.is_empty() {
                app.traffic.written(frames.len());
                let messages = Some(frames.iter().filter_map(text).collect());
                return Answer { status: 200, token: Some(token), messages };
            }
            if self.turns.lock().is_over {
                // Clients of every version take this for a lost connection, and begin anew.
                return Answer::status(500);
            }
            if timeout_at(deadline, arrived).await.is_err() {
                return Answer { status: 204, token: Some(token), messages: Some(Vec::new()) };
            }
        }
    }
}

/// A GET that waits; also one that is given up in between.
struct Waiting<'a>(&'a Session);

impl<'a> Waiting<'a> {
    fn begin(session: &'a Session) -> Self {
        session.turns.lock().waiting += 1;
        session.asked.notify_one();
        Self(session)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut turns = self.0.turns.lock();
        turns.waiting -= 1;
        turns.asked_at = Instant::now();
    }
}

/// A long-polling client gets no binary frames: its answers are JSON.
fn text(frame: &Encoded) -> Option<String> {
    match frame {
        Encoded::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Encoded::Binary(_) => None,
    }
}

impl Poll {
    /// Waits until the client was silent for too long.
    async fn silence(session: &Session) {
        loop {
            let until = {
                let turns = session.turns.lock();
                let from = if turns.waiting > 0 { Instant::now() } else { turns.asked_at };
                from + SILENT_MAX
            };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Transport for Poll {
    fn take(&self, outbox: &Outbox) -> Batch {
        if !outbox.is_empty() {
            self.session.arrived.notify_one();
        }
        outbox.take_no_frames()
    }

    async fn hear(&mut self) -> Heard {
        tokio::select! {
            // The session itself holds a sender, so there is always somebody who may send.
            heard = self.inbox.recv() => heard.unwrap_or(Heard::Lost),
            () = self.session.asked.notified() => Heard::Sign,
            () = Self::silence(&self.session) => Heard::Lost,
        }
    }

    async fn write(&mut self, _: Vec<Encoded>) -> Result<(), Gone> {
        // It takes none.
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        // Each request of the client is a sign of life, and silence is listened for.
        Ok(())
    }

    /// Waits until the last frames have been fetched, for the client hears of its end only after them.
    async fn close(&mut self, _: &Ending) {
        self.finish().await;
        let fetched = async {
            while !self.session.outbox.is_empty() {
                self.session.outbox.ready().await;
            }
        };
        timeout(CLOSE_MAX, fetched).await.ok();
    }

    async fn finish(&mut self) {
        self.session.turns.lock().is_over = true;
        self.session.arrived.notify_waiters();
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.session.turns.lock().is_over = true;
        self.session.arrived.notify_waiters();
        self.polls.0.remove(&self.token);
    }
}
