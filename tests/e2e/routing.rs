//! Who is told what of a ticket: every event of the desk, for everybody who may listen anywhere, live, replayed and
//! read from the log.
//!
//! A row of the table is one request, and a letter for each listener: what of it they hear, and as whom. That they
//! hear nothing else shows a later event on the same stream.

mod scene;
mod table;

use anyhow::{Context, Result, ensure};
use penholder_tests::{CANARY, EventSource, Options, Request};
use serde_json::{Value, json};

use self::scene::Scene;
use crate::desk::{Desk, named, quietly, token};
use crate::stores::Store;

#[tokio::test]
async fn everybody_is_told_what_is_theirs_on_sqlite() -> Result<()> {
    everybody_is_told_what_is_theirs(Store::Sqlite.options("")?).await
}

#[tokio::test]
async fn everybody_is_told_what_is_theirs_on_postgres() -> Result<()> {
    everybody_is_told_what_is_theirs(Store::postgres()?.options("routing")?).await
}

async fn everybody_is_told_what_is_theirs(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    for user in ["new", "old", "idle"] {
        desk.meet(user, "agent").await?;
    }
    let homes = scene::homes(&desk).await?;
    for row in table::rows() {
        let scene = Scene::set(&desk, &homes, &row).await.with_context(|| row.what.to_owned())?;
        scene.play().await.with_context(|| row.what.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_what_is_another_s() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let (ada, ann) = (token("ada", "admin")?, token("ann", "customer")?);
    let of = |user: &str| json!({"title": "t", "description": "d", "user_id": user});
    let own = desk.ticket(&ada, &of("ann")).await?;
    let other = desk.ticket(&ada, &of("cat")).await?;
    let gone = desk.ticket(&ada, &of("cat")).await?;
    desk.done(&ada, ("DELETE", &format!("/v1/tickets/{gone}")), &Value::Null).await?;
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    let topics = [
        &*format!("tickets:{other}"),
        &format!("tickets:{gone}"),
        &format!("tickets:{never}"),
        &format!("tickets:{}", own.to_uppercase()),
        &format!("tickets:{own}:more"),
        "tickets:user:cat",
        "tickets:user:nobody",
        "tickets:user",
        "tickets:all",
        "tickets:nothing",
        "tickets",
    ];
    let guest = named("gus", "guest", &format!("tickets:{own}"))?;
    let viewer = named("vic", "viewer", &format!("tickets:{own}"))?;
    let star = named("eve", "customer", "*")?;
    for listener in [&ann, &guest, &viewer, &star] {
        let mut socket = desk.server.socket(listener).await?;
        let mut refusals = Vec::new();
        for topic in topics {
            for payload in [quietly(None), quietly(Some(0)), json!({"presence": "receive"})] {
                refusals.push(socket.ask(topic, "phx_join", &payload).await?);
            }
            // Joins are limited, and this one asks more often than anybody.
            socket = desk.server.socket(listener).await?;
        }
        assert_eq!(refusals[0]["response"]["reason"], "not_authorized");
        assert!(refusals.iter().all(|it| *it == refusals[0]), "{refusals:#?}");
    }
    for listener in [&ann, &guest, &viewer] {
        desk.listen(listener, &format!("tickets:{own}"), None).await?;
    }
    desk.listen(&ann, "tickets:user:ann", None).await?;
    Ok(())
}

/// Hears of a topic by long polling, until its ticket was updated.
async fn polled(desk: &Desk, token: &str, topic: &str) -> Result<()> {
    let at = |more: &str| format!("/socket/longpoll?vsn=2.0.0&token={token}{more}");
    let begun = desk.server.ask(Request::new("GET", &at(""))).await?.json();
    let session = begun["token"].as_str().with_context(|| format!("no session: {begun}"))?;
    let path = at(&format!("&token={session}"));
    let join = json!(["1", "1", topic, "phx_join", quietly(Some(1))]);
    desk.server.ask(Request::new("POST", &path).body(join.to_string())).await?;
    loop {
        let polled = desk.server.ask(Request::new("GET", &path)).await?;
        ensure!(polled.json()["status"] == 200, "{polled}");
        if polled.body.contains("ticket_updated") {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn the_canary_bites() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let (ada, ann) = (token("ada", "admin")?, token("ann", "customer")?);
    let body = json!({"title": "t", "description": "d", "user_id": "ann",
        "metadata": {"canary": format!("{CANARY}-metadata")}});
    let id = desk.ticket(&ada, &body).await?;
    let (topic, path) = (format!("tickets:{id}"), format!("/v1/tickets/{id}"));
    let (mut socket, _) = desk.listen(&ann, &topic, None).await?;
    desk.ask(&ann, ("GET", &path), &Value::Null).await?;
    assert_eq!(desk.server.escaped(), None);
    // What an agent says in public is for everybody, so this is a leak only to whoever looks for one.
    let public = json!({"title": format!("{CANARY} in public")});
    desk.done(&ada, ("PATCH", &path), &public).await?;
    assert!(socket.event("ticket_updated").await.is_err(), "a frame with it is read");
    assert!(desk.server.escaped().is_some_and(|it| it.contains("ticket_updated")));
    assert!(
        desk.ask(&ann, ("GET", &path), &Value::Null).await.is_err(),
        "an answer with it is read"
    );
    assert!(desk.server.escaped().is_some_and(|it| it.contains("ann")));
    let events = |token: &str| {
        let request = Request::new("GET", &format!("/v1/topics/{topic}/events?after=1"));
        EventSource::open(desk.server.port(), request.authorized(&format!("Bearer {token}")))
    };
    assert!(events(&ann).await?.event().await.is_err(), "a stream with it is read");
    assert!(desk.server.escaped().is_some_and(|it| it.contains("ticket_updated")));
    assert!(polled(&desk, &ann, &topic).await.is_err(), "a poll with it is read");
    assert!(desk.server.escaped().is_some_and(|it| it.contains("ticket_updated")));
    // The staff reads it all.
    assert_eq!(events(&ada).await?.event().await?.name, "ticket_updated");
    polled(&desk, &ada, &topic).await?;
    let (mut staff, _) = desk.listen(&ada, &topic, Some(1)).await?;
    staff.event("ticket_updated").await?;
    assert_eq!(desk.server.escaped(), None);
    Ok(())
}
