//! Messages that are no frames of Phoenix Channels, or ask for what cannot be had.

use anyhow::{Context, Result, ensure};
use penholder_tests::{Opcode, RawSocket};
use serde_json::{Value, json};

use super::scene::{QUIET, SOON, Scene};
use super::{Does, Row};

/// A message from somebody, and what becomes of it.
pub(super) struct Said {
    role: &'static str,
    /// Whether the topic is joined before.
    is_joined: bool,
    message: Message,
    outcome: Outcome,
}

#[derive(Clone)]
enum Message {
    /// `TOPIC` stands for the topic of the row, `QUIET` for that of the bystanders, `"x"` is the ref.
    Text(String),
    Binary(Vec<u8>),
    /// A binary push of this event to the topic of the row.
    Push(&'static str),
}

#[derive(Clone, Copy)]
enum Outcome {
    /// Answered with ok.
    Done,
    /// Answered with an error of this code, however often it comes.
    Refused(&'static str),
    /// Answered with `malformed`, and the third time closed.
    Malformed,
    /// Not answered, and the third time closed.
    Unreadable,
    /// Neither answered nor closed.
    Ignored,
    /// Closed at once.
    Closed(u16, &'static str),
}

impl Said {
    pub(super) async fn run(&self, scene: &Scene, user: &str) -> Result<()> {
        let topic = format!("doc:{user}");
        let mut socket = scene.socket(user, self.role).await?;
        if self.is_joined {
            socket.join_with(&topic, &json!({"meta": {"canary": 1}})).await?;
        }
        self.say(&mut socket, &topic).await?;
        let once = self.answer(&mut socket).await?;
        match self.outcome {
            Outcome::Done => ensure!(once.is_some_and(|payload| payload["status"] == "ok")),
            Outcome::Refused(code) => check_refused(once, code)?,
            Outcome::Malformed => {
                check_refused(once, "malformed")?;
                self.say(&mut socket, &topic).await?;
                check_refused(self.answer(&mut socket).await?, "malformed")?;
                self.say(&mut socket, &topic).await?;
                check_closed(&mut socket, 4400, "malformed").await?;
            }
            Outcome::Unreadable => {
                ensure!(once.is_none(), "{once:?}");
                self.say(&mut socket, &topic).await?;
                self.say(&mut socket, &topic).await?;
                check_closed(&mut socket, 4400, "malformed").await?;
            }
            Outcome::Ignored => {
                ensure!(once.is_none(), "{once:?}");
                let answer = socket.ask(&topic, "typing", &json!({"on": false})).await?;
                ensure!(answer["status"] == "ok", "{answer}");
            }
            Outcome::Closed(code, name) => check_closed(&mut socket, code, name).await?,
        }
        Ok(())
    }

    async fn say(&self, socket: &mut RawSocket, topic: &str) -> Result<()> {
        match &self.message {
            Message::Text(text) => {
                socket.send(&text.replace("TOPIC", topic).replace("QUIET", QUIET)).await
            }
            Message::Binary(bytes) => socket.send_frame(Opcode::Binary, bytes).await,
            Message::Push(event) => {
                socket.send_frame(Opcode::Binary, &push(topic, event, b"{\"on\":false}")).await
            }
        }
    }

    /// What is answered to `"x"`, unless something that is asked later is answered first.
    async fn answer(&self, socket: &mut RawSocket) -> Result<Option<Value>> {
        match self.outcome {
            Outcome::Closed(..) => Ok(None),
            Outcome::Done | Outcome::Refused(_) | Outcome::Malformed => {
                let is_answer = |frame: &Value| frame[3] == "phx_reply" && frame[1] == "x";
                Ok(Some(socket.until("an answer", is_answer).await?[4].take()))
            }
            Outcome::Unreadable | Outcome::Ignored => {
                socket.send(r#"[null,"later","phoenix","heartbeat",{}]"#).await?;
                let mut answered = None;
                let is_later = |frame: &Value| {
                    if frame[3] == "phx_reply" && frame[1] != "later" {
                        answered = Some(frame.clone());
                    }
                    frame[1] == "later"
                };
                socket.until("the heartbeat", is_later).await?;
                Ok(answered)
            }
        }
    }
}

fn check_refused(answer: Option<Value>, code: &str) -> Result<()> {
    let answer = answer.context("no answer")?;
    ensure!(answer["status"] == "error", "{answer}");
    let response = &answer["response"];
    ensure!(response["code"] == code, "{answer}, not {code}");
    let has_message = response["message"].as_str().is_some_and(|message| !message.is_empty());
    ensure!(has_message && response["reason"].is_string(), "{answer}");
    Ok(())
}

async fn check_closed(socket: &mut RawSocket, code: u16, name: &str) -> Result<()> {
    let closed = socket.closed(SOON).await?;
    ensure!(closed == (code, name.to_owned()), "{closed:?}, not {code}");
    Ok(())
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text, outcome) in [UNREADABLE, MALFORMED, CHANNELS, REQUESTS].concat() {
        rows.push(row(name, "agent", Message::Text(text.to_owned()), outcome));
    }
    for (name, text, outcome) in long() {
        rows.push(row(name, "agent", Message::Text(text), outcome));
    }
    for (name, text, outcome) in VIEW_ONLY {
        rows.push(row(
            &format!("view-only: {name}"),
            "viewer",
            Message::Text(text.to_owned()),
            outcome,
        ));
    }
    for (name, bytes, outcome) in binary() {
        rows.push(row(name, "agent", Message::Binary(bytes), outcome));
    }
    for event in ["typing", "presence_update", "broadcast", "canary", ""] {
        let name = format!("binary where only JSON is understood, {event:?}");
        let outcome = Outcome::Closed(1003, "unsupported");
        rows.push(row(&name, "agent", Message::Push(event), outcome));
    }
    for (event, code) in [
        ("broadcast:", "invalid_payload"),
        ("broadcast:pen", "reserved_event"),
        ("phx_join", "invalid_payload"),
    ] {
        let name = format!("binary, {event:?}");
        rows.push(row(&name, "agent", Message::Push(event), Outcome::Refused(code)));
    }
    for (name, text, outcome) in STRANGERS {
        let mut row = row(name, "agent", Message::Text(text.to_owned()), outcome);
        if let Does::Message(said) = &mut row.does {
            said.is_joined = false;
        }
        rows.push(row);
    }
    rows
}

fn row(name: &str, role: &'static str, message: Message, outcome: Outcome) -> Row {
    let said = Said { role, is_joined: true, message, outcome };
    Row { name: format!("message: {name}"), does: Does::Message(said) }
}

type Text = (&'static str, &'static str, Outcome);

/// Nobody can be answered.
const UNREADABLE: &[Text] = &[
    ("nothing", "", Outcome::Unreadable),
    ("a bracket", "[", Outcome::Unreadable),
    ("brackets", "[]", Outcome::Unreadable),
    ("an object", "{}", Outcome::Unreadable),
    (
        "a frame of V1",
        r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"x"}"#,
        Outcome::Unreadable,
    ),
    ("null", "null", Outcome::Unreadable),
    ("a number", "1e999", Outcome::Unreadable),
    ("a text", "\"canary\"", Outcome::Unreadable),
    ("no JSON", "canary", Outcome::Unreadable),
    ("NaN", "[NaN,NaN,NaN,NaN,NaN]", Outcome::Unreadable),
    ("a byte order mark", "\u{feff}[null,\"x\",\"phoenix\",\"heartbeat\",{}]", Outcome::Unreadable),
    ("a NUL", "\0", Outcome::Unreadable),
    ("four elements without a ref", "[null,null,\"TOPIC\",\"typing\"]", Outcome::Unreadable),
    ("ref that is an object", r#"[null,{"x":1},"TOPIC","typing",{}]"#, Outcome::Unreadable),
    ("ref that is a list", r#"[null,["x"],"TOPIC","typing",{}]"#, Outcome::Unreadable),
    ("ref that is half a surrogate", r#"[null,"\udc00","TOPIC","typing",{}]"#, Outcome::Unreadable),
    ("ref too large for a number", r#"[null,1e999,"TOPIC","typing",{}]"#, Outcome::Unreadable),
];

/// Whoever sent it can be answered.
const MALFORMED: &[Text] = &[
    ("four elements", r#"["1","x","TOPIC","typing"]"#, Outcome::Malformed),
    ("three elements", r#"["1","x","TOPIC"]"#, Outcome::Malformed),
    ("cut off", r#"["1","x","TOPIC","typing",{"on":fal"#, Outcome::Malformed),
    ("something behind it", r#"["1","x","TOPIC","typing",{}]]"#, Outcome::Malformed),
    ("topic that is a number", r#"["1","x",7,"typing",{}]"#, Outcome::Malformed),
    ("topic that is null", r#"["1","x",null,"typing",{}]"#, Outcome::Malformed),
    ("event that is a number", r#"["1","x","TOPIC",7,{}]"#, Outcome::Malformed),
    ("event that is half a surrogate", r#"["1","x","TOPIC","\ud800",{}]"#, Outcome::Malformed),
    ("join_ref that is a list", r#"[["1"],"x","TOPIC","typing",{}]"#, Outcome::Malformed),
    (
        "half a surrogate",
        r#"["1","x","TOPIC","typing",{"on":false,"a":"\ud800"}]"#,
        Outcome::Malformed,
    ),
    (
        "half a surrogate as a key",
        r#"["1","x","TOPIC","typing",{"on":false,"\udfff":1}]"#,
        Outcome::Malformed,
    ),
    (
        "surrogates in the wrong order",
        r#"["1","x","TOPIC","typing",{"a":"\udc00\ud800"}]"#,
        Outcome::Malformed,
    ),
    ("1e999", r#"["1","x","TOPIC","typing",{"on":false,"a":1e999}]"#, Outcome::Malformed),
    ("-1e999", r#"["1","x","TOPIC","typing",{"on":false,"a":-1e999}]"#, Outcome::Malformed),
    ("a number with a leading zero", r#"["1","x","TOPIC","typing",{"a":01}]"#, Outcome::Malformed),
    ("Infinity", r#"["1","x","TOPIC","typing",{"a":Infinity}]"#, Outcome::Malformed),
    ("a comma too many", r#"["1","x","TOPIC","typing",{"on":false,}]"#, Outcome::Malformed),
    ("a comment", r#"["1","x","TOPIC","typing",{/**/}]"#, Outcome::Malformed),
    (
        "a line break in a text",
        "[\"1\",\"x\",\"TOPIC\",\"typing\",{\"a\":\"\n\"}]",
        Outcome::Malformed,
    ),
    ("since of 1e999", r#"["x","x","TOPIC","phx_join",{"since":1e999}]"#, Outcome::Malformed),
];

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn keys(count: usize) -> String {
    (0..count).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",")
}

fn long() -> Vec<(&'static str, String, Outcome)> {
    let typing = |payload: &str| format!(r#"["1","x","TOPIC","typing",{payload}]"#);
    let within = |depth: usize| typing(&format!(r#"{{"on":false,"a":{}}}"#, nested(depth - 1)));
    let reference = |x: &str| format!(r#"["1",{x},"TOPIC","typing",{{"on":false}}]"#);
    vec![
        ("depth of 16", within(16), Outcome::Done),
        ("depth of 17", within(17), Outcome::Malformed),
        ("depth of 129", within(129), Outcome::Malformed),
        ("depth of 30 000", within(30_000), Outcome::Malformed),
        ("depth of 30 000 that is not closed", "[".repeat(30_000), Outcome::Unreadable),
        ("objects 60 000 bytes deep", "{\"a\":".repeat(12_000), Outcome::Unreadable),
        ("256 keys", typing(&format!(r#"{{"on":false,{}}}"#, keys(255))), Outcome::Done),
        ("257 keys", typing(&format!(r#"{{"on":false,{}}}"#, keys(256))), Outcome::Malformed),
        ("ref of 65 bytes", reference(&format!("\"{}\"", "x".repeat(65))), Outcome::Unreadable),
        (
            "ref of 60 000 bytes",
            reference(&format!("\"{}\"", "x".repeat(60_000))),
            Outcome::Unreadable,
        ),
        ("ref of 65 digits", reference(&"1".repeat(65)), Outcome::Unreadable),
        (
            "join_ref of 65 bytes",
            format!(r#"["{}","x","TOPIC","typing",{{}}]"#, "1".repeat(65)),
            Outcome::Malformed,
        ),
        (
            "topic of 60 000 bytes",
            format!(r#"[null,"x","{}","typing",{{}}]"#, "a".repeat(60_000)),
            Outcome::Refused("unmatched_topic"),
        ),
        (
            "event of 60 000 bytes",
            format!(r#"["1","x","TOPIC","{}",{{}}]"#, "a".repeat(60_000)),
            Outcome::Refused("unknown_event"),
        ),
        (
            "100 elements",
            format!(r#"["1","x","TOPIC","typing",{{"on":false}}{}]"#, ",[]".repeat(95)),
            Outcome::Done,
        ),
    ]
}

/// Frames that are right and come at the wrong time.
const CHANNELS: &[Text] = &[
    (
        "join_ref of another join",
        r#"["0","x","TOPIC","broadcast",{"event":"a"}]"#,
        Outcome::Ignored,
    ),
    (
        "join_ref of the same digits",
        r#"[1,"x","TOPIC","broadcast",{"event":"a"}]"#,
        Outcome::Ignored,
    ),
    ("leave of another join", r#"["0","x","TOPIC","phx_leave",{}]"#, Outcome::Ignored),
    ("leave of what is not joined", r#"["1","x","doc:elsewhere","phx_leave",{}]"#, Outcome::Done),
    ("leave of the bystanders", r#"["1","x","QUIET","phx_leave",{}]"#, Outcome::Done),
    ("leave of what is no topic", r#"[null,"x","not a topic","phx_leave",{}]"#, Outcome::Done),
    (
        "push to the bystanders",
        r#"["1","x","QUIET","broadcast",{"event":"a"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "push to the connection",
        r#"[null,"x","phoenix","broadcast",{"event":"a"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "join of the connection",
        r#"["x","x","phoenix","phx_join",{}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "heartbeat of a topic",
        r#"["1","x","TOPIC","heartbeat",{}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "heartbeat with a payload",
        r#"[null,"x","phoenix","heartbeat",{"canary":[]}]"#,
        Outcome::Done,
    ),
];

/// Before anything is joined.
const STRANGERS: [Text; 5] = [
    (
        "push before a join",
        r#"["1","x","TOPIC","broadcast",{"event":"a"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "push to others before a join",
        r#"[null,"x","QUIET","broadcast",{"event":"a"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "unknown event before a join",
        r#"[null,"x","TOPIC","canary",{}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    (
        "token before a join",
        r#"[null,"x","TOPIC","token",{"token":"canary"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
    ("leave before a join", r#"[null,"x","TOPIC","phx_leave",{}]"#, Outcome::Done),
];

/// Requests of a session that may edit and publish.
const REQUESTS: &[Text] = &[
    ("event of nobody", r#"["1","x","TOPIC","canary",{}]"#, Outcome::Refused("unknown_event")),
    ("event without a name", r#"["1","x","TOPIC","",{}]"#, Outcome::Refused("unknown_event")),
    (
        "reply to the server",
        r#"["1","x","TOPIC","phx_reply",{"status":"ok","response":{}}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "close of the server's",
        r#"["1","x","TOPIC","phx_close",{}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "presence of the server's",
        r#"["1","x","TOPIC","presence_state",{}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "diff of the server's",
        r#"["1","x","TOPIC","presence_diff",{"joins":{},"leaves":{}}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "named broadcast as text",
        r#"["1","x","TOPIC","broadcast:a",{}]"#,
        Outcome::Refused("unknown_event"),
    ),
    (
        "broadcast of nothing",
        r#"["1","x","TOPIC","broadcast",{}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast that is null",
        r#"["1","x","TOPIC","broadcast",null]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast that is a list",
        r#"["1","x","TOPIC","broadcast",["a"]]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast whose name is a number",
        r#"["1","x","TOPIC","broadcast",{"event":7}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast whose name is given twice",
        r#"["1","x","TOPIC","broadcast",{"event":"a","event":"pen"}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast whose name is empty",
        r#"["1","x","TOPIC","broadcast",{"event":""}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast whose name has a line break",
        r#"["1","x","TOPIC","broadcast",{"event":"a\nb"}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast of a reply",
        r#"["1","x","TOPIC","broadcast",{"event":"phx_reply","self":true}]"#,
        Outcome::Refused("reserved_event"),
    ),
    (
        "broadcast of presence",
        r#"["1","x","TOPIC","broadcast",{"event":"presence_diff","self":true}]"#,
        Outcome::Refused("reserved_event"),
    ),
    (
        "broadcast of a pen",
        r#"["1","x","TOPIC","broadcast",{"event":"pen"}]"#,
        Outcome::Refused("reserved_event"),
    ),
    (
        "broadcast of a list",
        r#"["1","x","TOPIC","broadcast",{"event":"a","payload":[]}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "broadcast of a text",
        r#"["1","x","TOPIC","broadcast",{"event":"a","payload":"{}"}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    ("typing of nothing", r#"["1","x","TOPIC","typing",{}]"#, Outcome::Refused("invalid_payload")),
    (
        "typing of a text",
        r#"["1","x","TOPIC","typing",{"on":"true"}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "update that is a list",
        r#"["1","x","TOPIC","presence_update",[]]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "update to an activity of nobody",
        r#"["1","x","TOPIC","presence_update",{"activity":"canary"}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "update of a number",
        r#"["1","x","TOPIC","presence_update",{"visible":1}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    (
        "token that is a number",
        r#"["1","x","TOPIC","token",{"token":7}]"#,
        Outcome::Refused("invalid_payload"),
    ),
    ("token of nothing", r#"["1","x","TOPIC","token",{}]"#, Outcome::Refused("invalid_payload")),
];

/// Requests of a session that may only look.
const VIEW_ONLY: [Text; 12] = [
    ("pen_acquire", r#"["1","x","TOPIC","pen_acquire",{}]"#, Outcome::Refused("forbidden")),
    ("pen_take_over", r#"["1","x","TOPIC","pen_take_over",{}]"#, Outcome::Refused("forbidden")),
    ("broadcast", r#"["1","x","TOPIC","broadcast",{"event":"a"}]"#, Outcome::Refused("forbidden")),
    (
        "broadcast without a join_ref",
        r#"[null,"x","TOPIC","broadcast",{"event":"a"}]"#,
        Outcome::Refused("forbidden"),
    ),
    (
        "an event of next year",
        r#"["1","x","TOPIC","of_next_year",{}]"#,
        Outcome::Refused("forbidden"),
    ),
    ("an event without a name", r#"["1","x","TOPIC","",{}]"#, Outcome::Refused("forbidden")),
    ("typing", r#"["1","x","TOPIC","typing",{"on":true}]"#, Outcome::Refused("forbidden")),
    ("typing no more", r#"["1","x","TOPIC","typing",{"on":false}]"#, Outcome::Done),
    (
        "activity",
        r#"["1","x","TOPIC","presence_update",{"activity":"editing"}]"#,
        Outcome::Refused("forbidden"),
    ),
    ("a meta", r#"["1","x","TOPIC","presence_update",{"meta":{"color":"red"}}]"#, Outcome::Done),
    (
        "a meta that claims more",
        r#"["1","x","TOPIC","presence_update",{"meta":{"mode":"edit"},"mode":"edit"}]"#,
        Outcome::Done,
    ),
    (
        "push to the bystanders",
        r#"["1","x","QUIET","broadcast",{"event":"a"}]"#,
        Outcome::Refused("unmatched_topic"),
    ),
];

/// A binary push whose ref is `x`.
fn push(topic: &str, event: &str, data: &[u8]) -> Vec<u8> {
    let lengths = [0, 0, 1, topic.len(), event.len()];
    let lengths = lengths.map(|length| u8::try_from(length).unwrap_or(u8::MAX));
    [&lengths, &b"x"[..], topic.as_bytes(), event.as_bytes(), data].concat()
}

fn binary() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    const MALFORMED: Outcome = Outcome::Closed(4400, "malformed");
    let whole = push("doc:1", "broadcast:a", b"");
    let cut = whole[..whole.len() - 1].to_vec();
    let mut not_utf8 = push("doc:1", "broadcast:a", b"");
    not_utf8[6] = 0xff;
    let mut refs = push("doc:1", "broadcast:a", b"");
    refs[1] = 0xff;
    vec![
        ("binary of nothing", Vec::new(), MALFORMED),
        ("binary with half a head", vec![0, 1, 1], MALFORMED),
        ("binary whose event goes past its end", cut, MALFORMED),
        ("binary whose join_ref goes past its end", refs, MALFORMED),
        ("binary whose lengths are all 255", vec![0, 255, 255, 255, 255], MALFORMED),
        ("binary whose topic is no text", not_utf8, MALFORMED),
        ("binary reply", [&[1][..], &whole[1..]].concat(), MALFORMED),
        ("binary broadcast", [&[2][..], &whole[1..]].concat(), MALFORMED),
        ("binary of kind 255", [&[255][..], &whole[1..]].concat(), MALFORMED),
        ("binary that is JSON", b"[null,\"x\",\"phoenix\",\"heartbeat\",{}]".to_vec(), MALFORMED),
        (
            "binary to the bystanders",
            push(QUIET, "broadcast:a", b"canary"),
            Outcome::Refused("unmatched_topic"),
        ),
    ]
}
