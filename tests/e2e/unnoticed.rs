//! What the staff says among itself leaves no trace with a customer: everything that they are sent in a session is, byte
//! for byte, the same with and without notes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_tests::{CANARY, Options, RawSocket};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::desk::{Desk, quietly, token};

/// What the staff does among itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notes {
    None,
    Many,
}

/// What everybody may know of, in order: by whom, what. `{T}` is the ticket, `{C}` the first comment.
const STEPS: [(&str, &str, &str); 11] = [
    ("sam", "POST /v1/tickets/{T}/comments", r#"{"content": "one"}"#),
    ("ann", "POST /v1/tickets/{T}/comments", r#"{"content": "two"}"#),
    ("sam", "PATCH /v1/tickets/{T}", r#"{"title": "Another"}"#),
    ("sam", "PATCH /v1/tickets/{T}", r#"{"priority": "high"}"#),
    ("sam", "PUT /v1/tickets/{T}/assignee", r#"{"user_id": "sam"}"#),
    ("sam", "PATCH /v1/comments/{C}", r#"{"content": "three"}"#),
    ("sam", "POST /v1/pens/tickets:{T}/acquire", "{}"),
    ("sam", "DELETE /v1/comments/{C}", "null"),
    ("sam", "POST /v1/tickets/{T}/transitions", r#"{"to": "waiting_for_user"}"#),
    ("sam", "POST /v1/tickets/bulk", r#"{"ids": ["{T}"], "changes": {"category": "billing"}}"#),
    ("sam", "POST /v1/tickets/{T}/comments", r#"{"content": "the end"}"#),
];

#[tokio::test]
async fn a_customer_is_sent_the_same_bytes_with_and_without_notes() -> Result<()> {
    let (without, with) = (session(Notes::None).await?, session(Notes::Many).await?);
    ensure!(without.len() > 40, "{without:#?}");
    for (without, with) in without.iter().zip(&with) {
        assert_eq!(without, with);
    }
    assert_eq!(without.len(), with.len());
    Ok(())
}

/// Plays the session; returns all that the customer was sent, without what differs from one to another.
async fn session(notes: Notes) -> Result<Vec<String>> {
    let desk = Desk::start(Options::default()).await?;
    let (sam, ann) = (token("sam", "agent")?, token("ann", "customer")?);
    let body = json!({"title": "t", "description": "d"});
    let made = desk.ask(&ann, ("POST", "/v1/tickets"), &body).await?;
    let id = made.json()["id"].as_str().context("no id")?.to_owned();
    let topics = [format!("tickets:{id}"), "tickets:user:ann".to_owned()];
    let mut sent = vec![made.body.clone()];
    // A socket for each topic: which of two topics is told first is nobody's promise.
    let mut sockets = Vec::new();
    for topic in &topics {
        sockets.push(join(&desk, &ann, (topic, None), &mut sent).await?);
    }
    let mut comment = String::new();
    for (by, what, body) in STEPS {
        if notes == Notes::Many {
            whisper(&desk, &sam, &id).await?;
        }
        // So that no two steps have the same time by the store's clock.
        sleep(Duration::from_millis(3)).await;
        let filled = |text: &str| text.replace("{T}", &id).replace("{C}", &comment);
        let (what, body) = (filled(what), serde_json::from_str(&filled(body))?);
        let (verb, path) = what.split_once(' ').context("verb and path")?;
        let answer = desk.ask(if by == "ann" { &ann } else { &sam }, (verb, path), &body).await?;
        ensure!((200..300).contains(&answer.status), "{what}: {answer}");
        if by == "ann" {
            sent.push(answer.body);
        } else if comment.is_empty() {
            comment = answer.json()["id"].as_str().context("no comment")?.to_owned();
        }
    }
    for socket in &mut sockets {
        listen(socket, &mut sent).await?;
    }
    for topic in &topics {
        for since in [0, 1, 5] {
            let mut socket = join(&desk, &ann, (topic, Some(since)), &mut sent).await?;
            listen(&mut socket, &mut sent).await?;
        }
    }
    let own = format!("/v1/tickets/{id}");
    let more = topics.iter().map(|topic| format!("/v1/topics/{topic}/events"));
    let more = more.chain([format!("{own}/comments"), format!("{own}/history"), own.clone()]);
    for path in more.chain(["/v1/tickets".to_owned(), "/v1/tickets/stats".to_owned()]) {
        let answer = desk.ask(&ann, ("GET", &path), &Value::Null).await?;
        let names: Vec<_> = answer.header_names().collect();
        sent.push(format!("{} {names:?} {}", answer.status, answer.body));
    }
    let mut masks = Masks::default();
    Ok(sent.iter().map(|text| masks.put_on(text)).collect())
}

/// Notes that come, change and go, and metadata.
async fn whisper(desk: &Desk, sam: &str, id: &str) -> Result<()> {
    let path = format!("/v1/tickets/{id}/comments");
    for round in 0..2 {
        let note = json!({"content": format!("{CANARY} {round}"), "is_internal": true});
        let made = desk.done(sam, ("POST", &path), &note).await?;
        let note = format!("/v1/comments/{}", made["id"].as_str().context("no note")?);
        let other = json!({"content": format!("{CANARY} other")});
        desk.done(sam, ("PATCH", &note), &other).await?;
        if round == 0 {
            desk.done(sam, ("DELETE", &note), &Value::Null).await?;
        }
        let metadata = json!({"metadata": {"n": format!("{CANARY} {note}")}});
        desk.done(sam, ("PATCH", &format!("/v1/tickets/{id}")), &metadata).await?;
    }
    Ok(())
}

async fn join(
    desk: &Desk,
    token: &str,
    (topic, since): (&str, Option<u64>),
    sent: &mut Vec<String>,
) -> Result<RawSocket> {
    let mut socket = desk.server.socket(token).await?;
    socket.send(&json!(["1", "1", topic, "phx_join", quietly(since)]).to_string()).await?;
    let is_reply = |bytes: &[u8], frame: &Value| {
        sent.push(String::from_utf8_lossy(bytes).into_owned());
        frame[3] == "phx_reply"
    };
    let reply = socket.until_text("the reply", is_reply).await?;
    ensure!(reply[4]["status"] == "ok", "{reply}");
    Ok(socket)
}

/// Reads up to the last event of the session.
async fn listen(socket: &mut RawSocket, sent: &mut Vec<String>) -> Result<()> {
    let is_end = |bytes: &[u8], frame: &Value| {
        sent.push(String::from_utf8_lossy(bytes).into_owned());
        frame[4]["comment"]["content"] == "the end"
    };
    socket.until_text("the end", is_end).await.map(drop)
}

/// Ids and times by the order in which they are first seen: which are the same stays to be seen.
#[derive(Default)]
struct Masks(BTreeMap<String, String>);

impl Masks {
    fn put_on(&mut self, text: &str) -> String {
        let mut masked = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let known = [ID, TIME].iter().find_map(|shape| fitting(rest, shape));
            let Some(found) = known.or_else(|| secret(&masked, rest)) else {
                masked.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            let next = format!("<{}>", self.0.len());
            masked += self.0.entry(found.to_owned()).or_insert(next);
            rest = &rest[found.len()..];
        }
        masked
    }
}

/// `x` is a hexadecimal digit, `0` a decimal one.
const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
const TIME: &str = "0000-00-00T00:00:00.000Z";

fn fitting<'t>(text: &'t str, shape: &str) -> Option<&'t str> {
    let found = text.get(..shape.len())?;
    let fits = found.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
        b'x' => byte.is_ascii_hexdigit(),
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    });
    fits.then_some(found)
}

/// The value of a field that is another in each session, of all that stands behind its name.
fn secret<'t>(before: &str, rest: &'t str) -> Option<&'t str> {
    let text = [r#""resume":""#];
    // Milliseconds.
    let numbers = [r#""at":"#, r#""joined_at":"#, r#""since":"#, r#""deadline":"#];
    if text.iter().any(|name| before.ends_with(name)) {
        return rest.find('"').filter(|end| *end > 0).map(|end| &rest[..end]);
    }
    let is_number = numbers.iter().any(|name| before.ends_with(name));
    let end = rest.find(|it: char| !it.is_ascii_digit())?;
    (is_number && end > 0).then(|| &rest[..end])
}
