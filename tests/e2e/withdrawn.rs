//! Rights that end: a token of a lesser role, a revocation, a ticket that is taken away. What is the staff's does not
//! follow the answer that says so, while the desk is written to without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use penholder_tests::{CANARY, Opcode, Options, RawSocket, Request, soon};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::desk::{Desk, heard, named, quietly, token};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// Notes and metadata, one after the other, until it is stopped.
struct Noise {
    is_over: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<()>>>,
}

impl Noise {
    fn on(desk: &Arc<Desk>, ticket: &str) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for n in 0..4 {
            let (desk, is_over) = (Arc::clone(desk), Arc::clone(&is_over));
            let (ada, path) =
                (token(&format!("ada-{n}"), "admin")?, format!("/v1/tickets/{ticket}"));
            writers.push(tokio::spawn(async move {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    count += 1;
                    let note = json!({"content": format!("{CANARY} {count}"), "is_internal": true});
                    let comments = format!("{path}/comments");
                    desk.done(&ada, ("POST", &comments), &note).await?;
                    let metadata = json!({"metadata": {"n": format!("{CANARY} {n} {count}")}});
                    desk.done(&ada, ("PATCH", &path), &metadata).await?;
                }
                Ok(())
            }));
        }
        Ok(Self { is_over, writers })
    }

    async fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await??;
        }
        Ok(())
    }
}

async fn desk() -> Result<(Arc<Desk>, String)> {
    let options = Options::default().set("limits.send_queue_frames", "100000");
    let desk = Desk::start(options.set("limits.send_queue_bytes", "64MiB")).await?;
    let body = json!({"title": "t", "description": "d", "user_id": "ann"});
    let ticket = desk.ticket(&token("ada", "admin")?, &body).await?;
    Ok((Arc::new(desk), ticket))
}

/// Reads until somebody has heard what only the staff hears.
async fn hears_notes(socket: &mut RawSocket) -> Result<()> {
    let is_note = |frame: &Value| frame[3] == "internal_note_created";
    socket.until("a note", is_note).await.map(drop)
}

/// Reads until a channel is closed.
async fn leaves(socket: &mut RawSocket, topics: &[&str]) -> Result<()> {
    let mut left = topics.to_vec();
    let is_last = |frame: &Value| {
        left.retain(|topic| frame[3] != "phx_close" || frame[2] != **topic);
        left.is_empty()
    };
    socket.until("the channels are closed", is_last).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_staff_no_more_hears_the_public_s_part() -> Result<()> {
    const ROUNDS: usize = 12;
    let (desk, ticket) = desk().await?;
    let noise = Noise::on(&desk, &ticket)?;
    let topic = format!("tickets:{ticket}");
    let topics = [&*topic, "tickets:all", "tickets:user:ann"];
    let (agent, customer) = (token("ann", "agent")?, token("ann", "customer")?);
    for round in 0..ROUNDS {
        let mut socket = desk.server.socket(&agent).await?;
        for topic in topics {
            socket.join_with(topic, &quietly(None)).await?;
        }
        hears_notes(&mut socket).await?;
        // From the answer on the socket is watched: a note that is on its way would fail the test.
        let fresh = json!({"token": customer});
        let answer = socket.ask(topics[round % 3], "token", &fresh).await?;
        ensure!(answer["status"] == "ok", "{answer}");
        leaves(&mut socket, &topics).await?;
        // They come back as who they are now.
        let all = socket.ask("tickets:all", "phx_join", &quietly(None)).await?;
        assert_eq!(all["response"]["reason"], "not_authorized");
        for topic in [&*topic, "tickets:user:ann"] {
            socket.join_with(topic, &quietly(Some(0))).await?;
        }
        let path = format!("/v1/tickets/{ticket}/comments");
        let body = json!({"content": format!("round {round}")});
        desk.done(&token("ada", "admin")?, ("POST", &path), &body).await?;
        let mut left = vec![topic.clone(), "tickets:user:ann".to_owned()];
        let is_last = |frame: &Value| {
            left.retain(|it| {
                let told = heard(frame, it);
                told.is_none_or(|told| told.payload["comment"]["content"] != body["content"])
            });
            left.is_empty()
        };
        socket.until("the comment on both", is_last).await?;
    }
    noise.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_revoked_hears_nothing_that_comes_later() -> Result<()> {
    let (desk, ticket) = desk().await?;
    let noise = Noise::on(&desk, &ticket)?;
    let topic = format!("tickets:{ticket}");
    for n in 0..8 {
        let user = format!("agent-{n}");
        // `jti` alone in every other round.
        let (name, what) =
            if n % 2 == 0 { ("sub", user.clone()) } else { ("jti", format!("t{n}")) };
        let token = penholder_tests::Token::of(&user).claim("jti", format!("t{n}")).sign()?;
        let mut socket = desk.server.socket(&token).await?;
        for topic in [&*topic, "tickets:all"] {
            socket.join_with(topic, &quietly(None)).await?;
        }
        hears_notes(&mut socket).await?;
        let answer = desk.server.post("/v1/revocations", &json!({name: what})).await?;
        assert_eq!((answer.status, &answer.json()["closed"]), (200, &json!(1)), "{answer}");
        // What is written when that is answered is written later.
        let late = format!("late {n}");
        let body = json!({"content": format!("{CANARY} {late}"), "is_internal": true});
        let path = format!("/v1/tickets/{ticket}/comments");
        let written = desk.server.post(&path, &body).await?;
        ensure!(written.status == 201, "{written}");
        let code = soon("the socket is closed", SOON, async {
            loop {
                let frame = socket.read().await?;
                let text = String::from_utf8_lossy(&frame.payload);
                ensure!(!text.contains(&late), "a note that came later: {text}");
                if frame.opcode == Opcode::Close {
                    let code = frame.payload.first_chunk().context("no code")?;
                    return Ok(u16::from_be_bytes(*code));
                }
            }
        });
        assert_eq!(code.await?, 4401);
        let path = format!("/v1/topics/{topic}/events");
        let refused = desk.ask(&token, ("GET", &path), &Value::Null).await?;
        assert_eq!(refused.status, 401, "{refused}");
    }
    noise.stop().await
}

/// Somebody on a topic who asks for what there is by long polling, one request at a time. Each shows the token of who
/// they are by then, which is what the answer is looked through for.
struct Poller<'a> {
    desk: &'a Desk,
    session: String,
}

impl<'a> Poller<'a> {
    async fn join(desk: &'a Desk, token: &str, topic: &str) -> Result<Self> {
        let mut poller = Self { desk, session: String::new() };
        let begun = poller.get(token).await?;
        poller.session = begun["token"].as_str().context("no session")?.to_owned();
        poller.post(token, &json!(["1", "1", topic, "phx_join", {}])).await?;
        poller.until(token, |frame| frame[1] == "1" && frame[4]["status"] == "ok").await?;
        Ok(poller)
    }

    fn request(&self, token: &str, verb: &str) -> Request {
        let request = Request::new(verb, "/socket/longpoll?vsn=2.0.0");
        let request = request.authorized(&format!("Bearer {token}"));
        request.header("x-phoenix-longpoll-token", &self.session)
    }

    async fn get(&self, token: &str) -> Result<Value> {
        Ok(self.desk.server.ask(self.request(token, "GET")).await?.json())
    }

    async fn post(&self, token: &str, frame: &Value) -> Result<()> {
        let answer = self.desk.server.ask(self.request(token, "POST").json(frame)).await?;
        ensure!(answer.json()["status"] == 200, "{answer}");
        Ok(())
    }

    /// Asks until a frame fits; returns all that came.
    async fn until(&self, token: &str, fits: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let mut frames = Vec::new();
        while !frames.iter().any(&fits) {
            let answer = self.get(token).await?;
            for message in answer["messages"].as_array().context("it has ended")? {
                frames.push(serde_json::from_str(message.as_str().context("no text")?)?);
            }
        }
        Ok(frames)
    }
}

/// Notes that are queued for everybody on a topic when this returns, since one of them has heard them.
async fn note(desk: &Desk, path: &str, witness: &mut RawSocket) -> Result<()> {
    for n in 0..3 {
        let body = json!({"content": format!("{CANARY} {n}"), "is_internal": true});
        desk.done(&token("ada", "admin")?, ("POST", &format!("{path}/comments")), &body).await?;
        hears_notes(witness).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_nobody_has_asked_for_is_taken_back() -> Result<()> {
    let (desk, ticket) = desk().await?;
    let (topic, path) = (format!("tickets:{ticket}"), format!("/v1/tickets/{ticket}"));
    let mut witness = desk.server.socket(&token("ada", "admin")?).await?;
    witness.join(&topic).await?;
    let (agent, customer) = (token("ann", "agent")?, token("ann", "customer")?);
    let ann = Poller::join(&desk, &agent, &topic).await?;
    // Or nobody would be told that she comes and goes within one window.
    let is_there =
        |frame: &Value| frame[4]["ann"].is_object() || frame[4]["joins"]["ann"].is_object();
    witness.until("ann is there", is_there).await?;
    note(&desk, &path, &mut witness).await?;
    ann.post(&agent, &json!(["1", "2", topic, "token", {"token": customer}])).await?;
    // She is seen to go when she is no longer one of the staff.
    let goes = |frame: &Value| frame[3] == "presence_diff" && frame[4]["leaves"]["ann"].is_object();
    witness.until("ann goes", goes).await?;
    note(&desk, &path, &mut witness).await?;
    let frames = ann.until(&customer, |frame| frame[3] == "phx_close").await?;
    let is_answered = frames.iter().any(|frame| frame[1] == "2" && frame[4]["status"] == "ok");
    ensure!(is_answered, "{frames:?}");
    // As the customer whose ticket it is she hears the public's part.
    ann.post(&customer, &json!(["3", "3", topic, "phx_join", {"since": 0}])).await?;
    note(&desk, &path, &mut witness).await?;
    let body = json!({"content": "for all"});
    desk.done(&customer, ("POST", &format!("{path}/comments")), &body).await?;
    let is_last = |frame: &Value| frame[4]["comment"]["content"] == "for all";
    let frames = ann.until(&customer, is_last).await?;
    let numbers: Vec<_> = frames.iter().filter_map(|frame| heard(frame, &topic)?.seq()).collect();
    assert_eq!(numbers, [1, 2]);

    let bob = Poller::join(&desk, &token("bob", "agent")?, &topic).await?;
    note(&desk, &path, &mut witness).await?;
    let answer = desk.server.post("/v1/revocations", &json!({"sub": "bob"})).await?;
    assert_eq!((answer.status, &answer.json()["closed"]), (200, &json!(1)), "{answer}");
    let end = bob.get(&token("bob", "customer")?).await?;
    ensure!(end["status"] == 500 || end["status"] == 403, "{end}");
    Ok(())
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_gone_for_everybody() -> Result<()> {
    let (desk, ticket) = desk().await?;
    let topic = format!("tickets:{ticket}");
    let (ada, ann) = (token("ada", "admin")?, token("ann", "customer")?);
    let (vic, gus) = (named("vic", "viewer", &topic)?, named("gus", "guest", &topic)?);
    let everybody = [&ada, &ann, &vic, &gus];
    let mut sockets = Vec::new();
    for token in everybody {
        let mut socket = desk.server.socket(token).await?;
        let joined = socket.join(&topic).await?;
        sockets.push((socket, joined));
    }
    // One of them is away, and means to come back.
    let (mut away, joined) = (desk.server.socket(&ann).await?, Value::Null);
    let resume = away.join(&topic).await.context("ann's other page")?["resume"].clone();
    drop((away, joined));
    let path = format!("/v1/tickets/{ticket}");
    desk.done(&ada, ("DELETE", &path), &Value::Null).await?;
    for ((mut socket, joined), token) in sockets.into_iter().zip(everybody) {
        let mut events = Vec::new();
        let is_end = |frame: &Value| {
            let told = heard(frame, &topic);
            events.extend(told.as_ref().map(|it| it.event.clone()));
            told.is_some_and(|it| it.is_end())
        };
        socket.until("the end of the topic", is_end).await?;
        assert_eq!(events, ["ticket_deleted", "phx_close"]);
        // Nobody is in the channel any more, and nothing leads back.
        let reply = socket.ask(&topic, "typing", &json!({"on": true})).await?;
        assert_eq!(reply["response"]["reason"], "unmatched topic");
        for payload in
            [json!({}), json!({"since": joined["seq"]}), json!({"resume": joined["resume"]})]
        {
            let again = socket.ask(&topic, "phx_join", &payload).await?;
            assert_eq!(again["response"]["reason"], "not_authorized", "{payload}: {again}");
        }
        for path in [path.clone(), format!("/v1/topics/{topic}/events"), format!("{path}/comments")]
        {
            assert_eq!(desk.ask(token, ("GET", &path), &Value::Null).await?.status, 404, "{path}");
        }
    }
    let mut socket = desk.server.socket(&ann).await?;
    let back = socket.ask(&topic, "phx_join", &json!({"resume": resume})).await?;
    assert_eq!(back["response"]["reason"], "not_authorized");
    let presence = Request::new("GET", &format!("/v1/topics/{topic}/presence"));
    let left = desk.server.ask(presence.authorized("ApiKey dev")).await?.json();
    assert_eq!(left["count"].as_u64().unwrap_or_default(), 0, "{left}");
    Ok(())
}
