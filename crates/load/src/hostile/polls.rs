//! Attacks over long polling: sessions that are opened and left, requests for those of others.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::Scene;
use crate::line::{Course, Cut, Line, Width};

const PATH: &str = "/socket/longpoll?vsn=2.0.0&token=";

fn get(token: &str) -> String {
    format!("GET {PATH}{token} HTTP/1.1\r\nhost: penholder.example\r\n\r\n")
}

fn post(token: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {PATH}{token} HTTP/1.1\r\nhost: penholder.example\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Begins a session, joins, and is never heard of again.
pub(crate) async fn left(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    line.send(get(&scene.people.good(rng)).as_bytes()).await?;
    let answer = line.answer().await?;
    answer.must_be("a poll", &[200])?;
    let Some((_, rest)) = answer.text.split_once(r#""token":""#) else { return Err(Cut::Short) };
    let session = rest.split('"').next().unwrap_or_default().to_owned();
    let topic = scene.popular_topic(rng);
    let join = format!(r#"["1","1","{topic}","phx_join",{{}}]"#);
    line.send(post(&session, &join).as_bytes()).await?;
    line.answer().await?.must_be("a post", &[200])?;
    if rng.random() {
        // A request that waits, given up.
        line.send(get(&session).as_bytes()).await?;
        sleep(Duration::from_millis(rng.random_range(0..3000))).await;
    }
    Ok(())
}

/// Posts much, to sessions that are none.
pub(crate) async fn flood(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut line = Line::open(scene, rng, Width::Usual).await?;
    for _ in 0..rng.random_range(1..30) {
        let token = if rng.random() { scene.people.bad(rng) } else { "lp_none".to_owned() };
        let body = "[]\n".repeat(rng.random_range(1..3000));
        let asked = if rng.random() { get(&token) } else { post(&token, &body) };
        line.send(asked.as_bytes()).await?;
        line.answer().await?.must_be("a poll", &[200])?;
    }
    Ok(())
}
