//! Logs over HTTP that are longer than anybody takes at once: read by pages, and listened to for as long as one may.

use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{EventSource, Options, Token, soon, until};
use serde_json::{Value, json};

use crate::desk::{Desk, request, token};

const SOON: Duration = Duration::from_secs(30);

/// Comments of a long log; each of its events has some 90 KB.
const COMMENTS: u64 = 100;

/// A desk, and Carl's ticket with so many comments after its first event.
async fn desk(description: &str, content: &str, comments: u64) -> Result<(Desk, String)> {
    let desk = Desk::start(Options::default().set("auth.leeway", "0s")).await?;
    let carl = token("carl", "customer")?;
    let body = json!({"title": "t", "description": description});
    let ticket = desk.ticket(&carl, &body).await?;
    let path = format!("/v1/tickets/{ticket}/comments");
    for _ in 0..comments {
        desk.done(&carl, ("POST", &path), &json!({"content": content})).await?;
    }
    Ok((desk, format!("/v1/topics/tickets:{ticket}/events")))
}

async fn long() -> Result<(Desk, String)> {
    desk(&"\u{1f4d6}".repeat(20_000), &"x".repeat(10_000), COMMENTS).await
}

async fn listen(desk: &Desk, token: &str, events: &str) -> Result<EventSource> {
    EventSource::open(desk.server.port(), request(token, ("GET", events), &Value::Null)).await
}

/// The numbers that still come until the stream ends.
async fn rest(mut source: EventSource) -> Result<Vec<u64>> {
    soon("the stream ends", SOON, async {
        let mut numbers = Vec::new();
        while let Ok(event) = source.event().await {
            numbers.push(event.id);
        }
        Ok(numbers)
    })
    .await
}

/// The pages that somebody gets who asks for so many events at a time, each with its numbers.
async fn pages(desk: &Desk, events: &str, limit: u64) -> Result<Vec<Vec<u64>>> {
    let carl = token("carl", "customer")?;
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("{events}?after={after}&limit={limit}");
        let answer = desk.ask(&carl, ("GET", &path), &Value::Null).await?;
        ensure!(answer.status == 200 && answer.body.len() < 2 * 1024 * 1024, "{}", answer.status);
        let page = answer.json();
        let all = page["data"].as_array().into_iter().flatten();
        pages.push(all.filter_map(|event| event["seq"].as_u64()).collect());
        match page["next_cursor"].as_u64() {
            Some(next) => after = next,
            None => return Ok(pages),
        }
    }
}

fn lengths(pages: &[Vec<u64>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

#[tokio::test]
async fn pages_and_streams_of_long_events_have_everything_once() -> Result<()> {
    let (desk, events) = long().await?;
    let all: Vec<_> = (1..=COMMENTS + 1).collect();
    let pages = pages(&desk, &events, 1000).await?;
    assert_eq!(pages.concat(), all, "{:?}", lengths(&pages));
    let mut source = listen(&desk, &token("carl", "customer")?, &events).await?;
    for expected in all {
        assert_eq!(source.event().await?.id, expected);
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_short_events_are_as_long_as_was_asked() -> Result<()> {
    let (desk, events) = desk("d", "c", 119).await?;
    for (limit, expected) in [
        (1000, vec![120]),
        (120, vec![120]),
        (119, vec![119, 1]),
        (50, vec![50, 50, 20]),
        (60, vec![60, 60]),
    ] {
        let pages = pages(&desk, &events, limit).await?;
        assert_eq!(lengths(&pages), expected, "{limit}");
        assert_eq!(pages.concat(), (1..=120).collect::<Vec<_>>(), "{limit}");
    }
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_slow_listener_ends_with_the_token() -> Result<()> {
    let (desk, events) = long().await?;
    let carl = || Token::of("carl").claim("role", "customer");
    let short = carl().claim("exp", Token::seconds(12)).sign()?;
    let struck = carl().claim("jti", "struck").sign()?;
    let (slow, other) =
        (listen(&desk, &short, &events).await?, listen(&desk, &struck, &events).await?);
    let answer = desk.server.post("/v1/revocations", &json!({"jti": "struck"})).await?;
    ensure!(answer.status == 200 && answer.json()["closed"] == 1, "{answer}");
    until("the token has ended", SOON, async || {
        let answer = desk.ask(&short, ("GET", "/v1/tickets/stats"), &Value::Null).await?;
        Ok((answer.status == 401).then_some(()))
    })
    .await?;
    // What was on its way before is heard, and it begins as it should.
    for (what, heard) in [("expired", rest(slow).await?), ("struck", rest(other).await?)] {
        let count = heard.len() as u64;
        assert!(count < COMMENTS / 2, "{what}: all of {count}");
        assert_eq!(heard, (1..=count).collect::<Vec<_>>(), "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn a_listener_who_has_heard_all_is_let_go_with_the_token() -> Result<()> {
    let (desk, events) = desk("d", "c", 1).await?;
    let carl = || Token::of("carl").claim("role", "customer");
    let short = carl().claim("exp", Token::seconds(12)).sign()?;
    let struck = carl().claim("jti", "struck").sign()?;
    let (expiring, other) =
        (listen(&desk, &short, &events).await?, listen(&desk, &struck, &events).await?);
    desk.server.post("/v1/revocations", &json!({"jti": "struck"})).await?;
    assert!(rest(other).await?.len() <= 2);
    assert_eq!(rest(expiring).await?, [1, 2]);
    Ok(())
}
