//! Joins: topics, metas, and what a client says of itself.

use anyhow::{Context, Result, bail, ensure};
use penholder_tests::RawSocket;
use serde_json::{Value, json};

use super::scene::{QUIET, Scene};
use super::{Does, Row};

/// A join, and what is answered.
pub(super) struct Asked {
    /// The topic; that of the row where there is none.
    topic: Option<String>,
    /// The payload as it is written.
    payload: String,
    outcome: Outcome,
}

/// Looks at the response to a join, and at the meta that others are shown.
type Check = fn(&Value, &Value) -> bool;

#[derive(Clone, Copy)]
enum Outcome {
    Refused(&'static str),
    Joined(Check),
    /// Of two namespaces that only case tells apart, the reserved one stays empty.
    Apart,
    /// The same as a `presence_update` of a joined topic: refused, and the meta stays.
    NotUpdated(&'static str),
}

impl Asked {
    pub(super) async fn run(&self, scene: &Scene, user: &str) -> Result<()> {
        let own = format!("doc:{user}");
        let topic = self.topic.as_deref().unwrap_or(&own);
        let mut socket = scene.socket(user, "agent").await?;
        if let Outcome::NotUpdated(code) = self.outcome {
            let joined = socket.join_with(topic, &json!({"meta": {"color": "red"}})).await?;
            let answer = self.ask(&mut socket, topic, "presence_update").await?;
            check_refused(&answer, code)?;
            let meta = shown(scene, topic, user).await?;
            ensure!(meta["color"] == "red" && meta["session"] == joined["session"], "{meta}");
            return Ok(());
        }
        let answer = self.ask(&mut socket, topic, "phx_join").await?;
        match self.outcome {
            Outcome::Refused(code) => check_refused(&answer, code)?,
            Outcome::Joined(check) => {
                ensure!(answer["status"] == "ok", "{answer}");
                let meta = shown(scene, topic, user).await?;
                check_stamped(&answer["response"], &meta, user)?;
                ensure!(check(&answer["response"], &meta), "{answer}; shown: {meta}");
            }
            Outcome::Apart => {
                ensure!(answer["status"] == "ok", "{answer}");
                shown(scene, topic, user).await?;
                let reserved = topic.to_lowercase();
                let answer = scene.server.get(&format!("/v1/topics/{reserved}/presence")).await?;
                ensure!(answer.json()["count"] == 0, "{answer}");
            }
            Outcome::NotUpdated(_) => {}
        }
        // Refused or not: it is no fault for which a socket is closed.
        let answer = socket.ask("phoenix", "heartbeat", &json!({})).await?;
        ensure!(answer["status"] == "ok", "{answer}");
        Ok(())
    }

    async fn ask(&self, socket: &mut RawSocket, topic: &str, event: &str) -> Result<Value> {
        let text = json!([null, "x", topic, event, "PAYLOAD"]).to_string();
        socket.send(&text.replace("\"PAYLOAD\"", &self.payload)).await?;
        let is_answer = |frame: &Value| frame[3] == "phx_reply" && frame[1] == "x";
        Ok(socket.until("an answer", is_answer).await?[4].take())
    }
}

fn check_refused(answer: &Value, code: &str) -> Result<()> {
    ensure!(answer["status"] == "error" && answer["response"]["code"] == code, "{answer}");
    Ok(())
}

/// The meta of `user`, of whom there is one session.
async fn shown(scene: &Scene, topic: &str, user: &str) -> Result<Value> {
    let list = scene.server.get(&format!("/v1/topics/{topic}/presence")).await?.json();
    let of_user = |entry: &&Value| entry["key"] == user;
    let entry = list["data"].as_array().and_then(|data| data.iter().find(of_user));
    let metas = entry.and_then(|entry| entry["metas"].as_array());
    let metas = metas.with_context(|| format!("{user} is not there: {list}"))?;
    let [meta] = &metas[..] else { bail!("several: {list}") };
    Ok(meta.clone())
}

/// Checks that others are shown what the server knows, whatever the client says of itself.
fn check_stamped(response: &Value, meta: &Value, user: &str) -> Result<()> {
    ensure!(response["key"] == user, "{response}");
    let person =
        json!({"id": user, "name": user, "role": "agent", "kind": "human", "avatar": null});
    ensure!(meta["user"] == person, "{meta}");
    for field in ["session", "joined_at", "mode"] {
        ensure!(meta[field] == response[field], "{field}: {meta}, {response}");
    }
    ensure!(meta["joined_at"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{meta}");
    ensure!(meta["phx_ref"].is_string() && meta["phx_ref"] != "canary", "{meta}");
    ensure!(meta.get("phx_ref_prev").is_none(), "{meta}");
    ensure!(meta["status"] == "active" && meta["activity"] == "viewing", "{meta}");
    ensure!(meta["unsaved"] == false && meta["idle_since"] == Value::Null, "{meta}");
    Ok(())
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = topics();
    rows.extend(PAYLOADS.map(|(name, payload, outcome)| row(name, payload, outcome)));
    rows.extend(metas());
    rows
}

fn row(name: &str, payload: impl Into<String>, outcome: Outcome) -> Row {
    let asked = Asked { topic: None, payload: payload.into(), outcome };
    Row { name: format!("join: {name}"), does: Does::Join(asked) }
}

fn topics() -> Vec<Row> {
    const INVALID: [&str; 20] = [
        "",
        ":",
        "doc:",
        ":1",
        "doc::1",
        "doc:1:",
        "doc 1",
        "doc: 1",
        "doc:%00",
        "doc:\0",
        "doc:1\n",
        "doc:ü",
        "doc:\u{202e}1",
        "doc:*",
        "*",
        "doc/1",
        "../doc:1",
        "doc:1?since=0",
        "doc:{}",
        "doc:\"1\"",
    ];
    let on = |topic: &str, outcome| {
        let shown: String = topic.chars().take(30).collect();
        let asked = Asked { topic: Some(topic.to_owned()), payload: "{}".to_owned(), outcome };
        Row {
            name: format!("join: topic {shown:?}, {} bytes", topic.len()),
            does: Does::Join(asked),
        }
    };
    let mut rows: Vec<_> =
        INVALID.into_iter().map(|topic| on(topic, Outcome::Refused("invalid_topic"))).collect();
    rows.extend([
        on(&"a".repeat(200), Outcome::Joined(|_, _| true)),
        on(&"a".repeat(201), Outcome::Refused("invalid_topic")),
        on(&"a:".repeat(30_000), Outcome::Refused("invalid_topic")),
        on("Tickets:1", Outcome::Apart),
        on("TICKETS:1", Outcome::Apart),
        on("user:ann", Outcome::Refused("not_authorized")),
        on("system:canary", Outcome::Refused("not_authorized")),
        on("system:summaries", Outcome::Refused("invalid_payload")),
        on("phoenix:1", Outcome::Refused("not_authorized")),
    ]);
    rows
}

const PAYLOADS: [(&str, &str, Outcome); 33] = [
    ("a list", "[]", Outcome::Refused("invalid_payload")),
    ("a text", "\"{}\"", Outcome::Refused("invalid_payload")),
    ("a number", "7", Outcome::Refused("invalid_payload")),
    ("null", "null", Outcome::Joined(|_, _| true)),
    ("mode of nobody", r#"{"mode":"canary"}"#, Outcome::Refused("invalid_payload")),
    ("mode that is a number", r#"{"mode":7}"#, Outcome::Refused("invalid_payload")),
    ("mode twice", r#"{"mode":"view","mode":"edit"}"#, Outcome::Refused("invalid_payload")),
    ("presence of nobody", r#"{"presence":"canary"}"#, Outcome::Refused("invalid_payload")),
    ("presence that is a number", r#"{"presence":1}"#, Outcome::Refused("invalid_payload")),
    ("resume that is a number", r#"{"resume":7}"#, Outcome::Refused("invalid_payload")),
    ("resume that is none", r#"{"resume":"canary"}"#, Outcome::Joined(|_, _| true)),
    ("resume of two parts", r#"{"resume":"canary.canary"}"#, Outcome::Joined(|_, _| true)),
    ("resume that is empty", r#"{"resume":""}"#, Outcome::Joined(|_, _| true)),
    (
        "role of its own",
        r#"{"role":"admin","user":{"role":"admin"}}"#,
        Outcome::Joined(|_, _| true),
    ),
    (
        "user of its own",
        r#"{"user":"ann","user_id":"ann","key":"ann","sub":"ann"}"#,
        Outcome::Joined(|_, _| true),
    ),
    (
        "phx_ref of its own",
        r#"{"phx_ref":"canary","session":"canary"}"#,
        Outcome::Joined(|_, _| true),
    ),
    ("token of its own", r#"{"token":"canary","jwt":"canary"}"#, Outcome::Joined(|_, _| true)),
    ("no since", "{}", Outcome::Joined(|response, _| response["recovered"].is_null())),
    (
        "since null",
        r#"{"since":null}"#,
        Outcome::Joined(|response, _| response["recovered"].is_null()),
    ),
    (
        "since the head",
        r#"{"since":0}"#,
        Outcome::Joined(|response, _| response["recovered"] == true),
    ),
    ("since beyond the head", r#"{"since":1}"#, Outcome::Joined(not_recovered)),
    ("since negative", r#"{"since":-1}"#, Outcome::Joined(not_recovered)),
    ("since -0", r#"{"since":-0}"#, Outcome::Joined(not_recovered)),
    ("since 0.0", r#"{"since":0.0}"#, Outcome::Joined(not_recovered)),
    ("since 2^53", r#"{"since":9007199254740992}"#, Outcome::Joined(not_recovered)),
    ("since 2^64 - 1", r#"{"since":18446744073709551615}"#, Outcome::Joined(not_recovered)),
    ("since 2^64", r#"{"since":18446744073709551616}"#, Outcome::Joined(not_recovered)),
    ("since 1e30", r#"{"since":1e30}"#, Outcome::Joined(not_recovered)),
    ("since as a text", r#"{"since":"0"}"#, Outcome::Joined(not_recovered)),
    ("since true", r#"{"since":true}"#, Outcome::Joined(not_recovered)),
    ("since a list", r#"{"since":[]}"#, Outcome::Joined(not_recovered)),
    ("since an object", r#"{"since":{"seq":0}}"#, Outcome::Joined(not_recovered)),
    ("since twice", r#"{"since":0,"since":1}"#, Outcome::Refused("invalid_payload")),
];

fn not_recovered(response: &Value, _: &Value) -> bool {
    response["recovered"] == false
}

/// Metas, in a join and in an update.
fn metas() -> Vec<Row> {
    let of_bytes = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let keys: Vec<_> = (0..257).map(|n| format!("\"{n:x}\":1")).collect();
    let refused = [
        ("1025 bytes", of_bytes(1025), "meta_too_large"),
        ("1025 bytes of white space", format!("{{{}}}", " ".repeat(1023)), "meta_too_large"),
        ("60 000 bytes", of_bytes(60_000), "meta_too_large"),
        ("depth of 17", nested(17), "invalid_meta"),
        ("depth of 129", nested(129), "invalid_meta"),
        ("257 keys", format!("{{{}}}", keys.join(",")), "invalid_meta"),
        ("a list", "[]".to_owned(), "invalid_meta"),
        ("a text", "\"canary\"".to_owned(), "invalid_meta"),
        ("a number", "7".to_owned(), "invalid_meta"),
        ("__proto__", r#"{"__proto__":{"canary":1}}"#.to_owned(), "invalid_meta"),
        ("__proto__ further down", r#"{"a":[{"__proto__":1}]}"#.to_owned(), "invalid_meta"),
        ("__proto__ in other letters", r#"{"\u005f_proto__":1}"#.to_owned(), "invalid_meta"),
        ("constructor", r#"{"constructor":{"prototype":1}}"#.to_owned(), "invalid_meta"),
        ("prototype", r#"{"prototype":1}"#.to_owned(), "invalid_meta"),
    ];
    let mut rows = Vec::new();
    for (name, meta, code) in refused {
        let payload = format!(r#"{{"meta":{meta}}}"#);
        rows.push(row(&format!("meta, {name}"), &*payload, Outcome::Refused(code)));
        rows.push(row(&format!("update, {name}"), payload, Outcome::NotUpdated(code)));
    }
    let forged = json!({"meta": {"phx_ref": "canary", "phx_ref_prev": "canary", "joined_at": 1,
        "session": "canary", "user": {"id": "ann", "role": "admin"}, "mode": "canary",
        "status": "idle", "activity": "editing", "unsaved": true, "idle_since": 1,
        "role": "admin", "color": "red"}});
    let kept: Check = |_, meta| meta["color"] == "red" && meta["role"] == "admin";
    let twice = r#"{"meta":{"user":1,"\u0075ser":2,"color":"red","role":"admin"}}"#;
    rows.push(row(
        "meta of 1024 bytes",
        format!(r#"{{"meta":{}}}"#, of_bytes(1024)),
        Outcome::Joined(|_, _| true),
    ));
    rows.push(row("meta, forged", forged.to_string(), Outcome::Joined(kept)));
    rows.push(row("meta, forged in other letters", twice, Outcome::Joined(kept)));
    rows.push(on_quiet("meta of 1025 bytes", format!(r#"{{"meta":{}}}"#, of_bytes(1025))));
    rows
}

/// A refused join of the bystanders' topic, which they must not see.
fn on_quiet(name: &str, payload: String) -> Row {
    let (topic, outcome) = (Some(QUIET.to_owned()), Outcome::Refused("meta_too_large"));
    Row {
        name: format!("join: {name}, bystanders"),
        does: Does::Join(Asked { topic, payload, outcome }),
    }
}
