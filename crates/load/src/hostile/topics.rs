//! Attacks by people with tokens: on topics, on what is shown of others, on those who listen.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Scene;
use crate::line::{Course, Width};
use crate::sockets::{BINARY, Socket, TEXT};

/// Topics that attackers share, to be loud on where others of them read slowly.
const LOUD_TOPICS: u32 = 4;

/// Largest payload of a loud broadcast. Unit: bytes.
const LOUD_BYTES: usize = 8 * 1024;

/// What is said that is no message, or none that means anything; `TOPIC` stands for that of others.
const NONSENSE: [&str; 16] = [
    "[",
    "{}",
    "[1,2,3,4]",
    "[null,null,7,\"phx_join\",{}]",
    "[\"1\",\"1\",\"TOPIC\",\"phx_join\",{\"a\":1e999}]",
    "[\"1\",\"1\",\"a b\",\"phx_join\",{}]",
    "[\"1\",\"1\",\"\\u0000\",\"phx_join\",{}]",
    "[\"1\",\"1\",\"::\",\"phx_join\",{}]",
    "[\"1\",\"1\",\"TOPIC\",\"phx_leave\",{}]",
    "[\"9\",\"1\",\"TOPIC\",\"presence_update\",{\"meta\":{}}]",
    "[\"1\",\"1\",\"TOPIC\",\"no_such_event\",{}]",
    "[\"1\",\"1\",\"TOPIC\",\"phx_join\",{\"resume\":\"AAAA.BBBB\"}]",
    "[\"1\",\"1\",\"TOPIC\",\"phx_join\",{\"meta\":{\"__proto__\":{}}}]",
    "[null,\"1\",\"phoenix\",\"heartbeat\",\"\\ud800\"]",
    "[null,\"1\",\"phoenix\",\"heartbeat\",{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}]",
    "not JSON at all",
];

/// How fast somebody talks: at the limit, beyond it, as fast as it goes.
fn pace(rng: &mut StdRng) -> Duration {
    Duration::from_millis([110, 35, 10, 0].choose(rng).copied().unwrap_or(0))
}

/// A meta of about so many bytes.
fn meta(rng: &mut StdRng, bytes: usize) -> Value {
    json!({"n": rng.random::<u32>(), "x": "x".repeat(bytes)})
}

pub(crate) async fn malformed(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    for _ in 0..rng.random_range(3..40) {
        match rng.random_range(0..4) {
            0 => {
                let depth = rng.random_range(10..3000);
                socket.frame(TEXT, "[".repeat(depth).as_bytes()).await?;
            }
            1 => {
                let mut noise = vec![0; rng.random_range(0..500)];
                rng.fill(&mut noise[..]);
                socket.frame(BINARY, &noise).await?;
            }
            _ => {
                let said = NONSENSE.choose(rng).copied().unwrap_or("[");
                let said = said.replace("TOPIC", &scene.topic(0));
                socket.frame(TEXT, said.as_bytes()).await?;
            }
        }
        socket.listen(Duration::from_millis(rng.random_range(1..50))).await?;
    }
    Ok(())
}

pub(crate) async fn metas(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let topic = if rng.random() { scene.popular_topic(rng) } else { "bombs:1".to_owned() };
    socket.join(&topic, &json!({})).await?;
    for _ in 0..rng.random_range(5..40) {
        let wide: serde_json::Map<String, Value> =
            (0..300).map(|n| (n.to_string(), n.into())).collect();
        let deep = (0..60).fold(json!(1), |inner, _| json!({"d": inner}));
        let bomb = match rng.random_range(0..6) {
            0 => meta(rng, 60_000),
            1 => meta(rng, 3_000),
            2 => deep,
            3 => wide.into(),
            4 => json!({"phx_ref": "1", "user_id": "ann", "__proto__": {"x": 1}}),
            _ => meta(rng, 950),
        };
        socket.push(&topic, "presence_update", &json!({"meta": bomb})).await?;
        socket.listen(pace(rng).max(Duration::from_millis(5))).await?;
    }
    Ok(())
}

/// Topics that nobody else has ever heard of, joined and left.
pub(crate) async fn churn(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let pause = pace(rng);
    for _ in 0..rng.random_range(10..150) {
        let topic = format!("churn:{}", rng.random::<u64>());
        let joined = json!({"meta": meta(rng, 100)});
        socket.join(&topic, &joined).await?;
        if rng.random_ratio(2, 3) {
            socket.push(&topic, "phx_leave", &json!({})).await?;
        }
        if !pause.is_zero() {
            socket.listen(pause).await?;
        }
    }
    socket.listen(Duration::from_millis(500)).await
}

pub(crate) async fn too_many(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    for n in 0..130 {
        socket.join(&format!("many:{n}"), &json!({})).await?;
        socket.listen(Duration::from_millis(101)).await?;
    }
    Ok(())
}

/// Comes to where others are, makes noise, and goes in one way or another.
pub(crate) async fn popular(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let (topic, pause) = (scene.popular_topic(rng), pace(rng));
    socket.join(&topic, &json!({"meta": meta(rng, 500)})).await?;
    for _ in 0..rng.random_range(5..60) {
        match rng.random_range(0..5) {
            0 => socket.push(&topic, "typing", &json!({"on": rng.random::<bool>()})).await?,
            1 => {
                let noise = json!({"event": "noise", "payload": {"x": "x".repeat(200)}});
                socket.push(&topic, "broadcast", &noise).await?;
            }
            2 => {
                socket.push(&topic, "phx_leave", &json!({})).await?;
                socket.join(&topic, &json!({})).await?;
            }
            _ => {
                let update = json!({"meta": meta(rng, 300), "activity": "editing"});
                socket.push(&topic, "presence_update", &update).await?;
            }
        }
        if !pause.is_zero() {
            socket.listen(pause).await?;
        }
    }
    if rng.random() {
        socket.push(&topic, "phx_leave", &json!({})).await?;
    }
    Ok(())
}

/// Large broadcasts to those who do not read.
pub(crate) async fn loud(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Usual).await?;
    let topic = format!("loud:{}", rng.random_range(0..LOUD_TOPICS));
    socket.join(&topic, &json!({})).await?;
    for _ in 0..rng.random_range(20..100) {
        let payload = json!({"x": "x".repeat(rng.random_range(0..LOUD_BYTES))});
        socket.push(&topic, "broadcast", &json!({"event": "loud", "payload": payload})).await?;
        socket.listen(Duration::from_millis(40)).await?;
    }
    Ok(())
}

/// Listens where much is said, and reads nothing of it.
pub(crate) async fn slow_reader(scene: &Scene, rng: &mut StdRng) -> Course {
    let mut socket = Socket::open(scene, rng, Width::Narrow).await?;
    for n in 0..scene.topics.min(10) {
        socket.join(&scene.topic(n), &json!({"presence": "receive"})).await?;
    }
    let loud = format!("loud:{}", rng.random_range(0..LOUD_TOPICS));
    socket.join(&loud, &json!({})).await?;
    sleep(Duration::from_millis(rng.random_range(2000..25_000))).await;
    Ok(())
}
