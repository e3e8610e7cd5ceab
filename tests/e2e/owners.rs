//! What somebody may join they may look at: a ticket's owner sees who is on it and who has its pen, by every route and
//! in the rows of many topics; what is another's, or not there, answers alike; and what is lost is told no more.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use penholder_tests::{Options, RawSocket, Token};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::desk::{Desk, name, named, token};
use crate::stores::Store;

const SOON: Duration = Duration::from_secs(20);

/// No ticket has it.
const NEVER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn of(owner: &str) -> Value {
    json!({"title": "t", "description": "d", "user_id": owner})
}

/// Whatever looks at one topic, `{T}`, without joining it.
const LOOKS: [&str; 5] = [
    "/v1/topics/{T}/presence",
    "/v1/topics/{T}/summary?user=x",
    "/v1/pens/{T}",
    "/v1/pens/{T}/log",
    "/v1/topics/{T}/presence/{S}/why",
];

#[tokio::test]
async fn an_owner_sees_who_is_on_their_ticket_on_sqlite() -> Result<()> {
    an_owner_sees_who_is_on_their_ticket(Store::Sqlite.options("")?).await
}

#[tokio::test]
async fn an_owner_sees_who_is_on_their_ticket_on_postgres() -> Result<()> {
    an_owner_sees_who_is_on_their_ticket(Store::postgres()?.options("owners")?).await
}

async fn an_owner_sees_who_is_on_their_ticket(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let (sam, ann) = (token("sam", "agent")?, token("ann", "customer")?);
    let (own, other) = (desk.ticket(&sam, &of("ann")).await?, desk.ticket(&sam, &of("cat")).await?);
    let (own, other) = (format!("tickets:{own}"), format!("tickets:{other}"));
    let mut at_work = desk.server.socket(&sam).await?;
    let at_it = at_work.join(&own).await?["session"].as_str().context("session")?.to_owned();
    at_work.join(&other).await?;
    for topic in [&own, &other] {
        desk.done(&sam, ("POST", &format!("/v1/pens/{topic}/acquire")), &json!({})).await?;
    }
    for look in LOOKS.into_iter().filter(|look| !look.ends_with("why")) {
        let path = look.replace("{T}", &own);
        let seen = desk.done(&ann, ("GET", &path), &Value::Null).await?;
        assert_eq!(seen, desk.done(&sam, ("GET", &path), &Value::Null).await?, "{path}");
    }
    let why = format!("/v1/topics/{own}/presence/{at_it}/why");
    desk.done(&sam, ("GET", &why), &Value::Null).await?;
    let refused = desk.ask(&ann, ("GET", &why), &Value::Null).await?;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("not_authorized")));
    let person = json!({"id": "sam", "name": name("sam"), "kind": "human"});
    let row = json!({"topic": own, "count": 1, "names": [name("sam")], "holder": person, "prior": person});
    let rows = ("POST", "/v1/presence/summaries");
    let body = json!({"topics": [own, own]});
    assert_eq!(desk.done(&ann, rows, &body).await?["data"], json!([row]));
    let mut list = desk.server.socket(&ann).await?;
    list.join_with("system:summaries", &json!({"topics": [own]})).await?;
    let is_whole = |frame: &Value| frame[3] == "summaries" && frame[4]["data"] == json!([row]);
    list.until("the row", is_whole).await?;
    // Of lists they see their part.
    for prefix in ["", "t", "tickets:", &own] {
        let path = format!("/v1/topics?prefix={prefix}");
        let listed = desk.done(&ann, ("GET", &path), &Value::Null).await?;
        assert_eq!(listed["data"], json!([{"topic": own, "count": 1}]), "{path}");
    }
    let held = desk.done(&ann, ("GET", "/v1/pens?holder=sam"), &Value::Null).await?;
    let held: Vec<_> =
        held["data"].as_array().into_iter().flatten().map(|it| &it["topic"]).collect();
    assert_eq!(held, [&json!(own)]);
    // To look is all that the owner may.
    for path in ["/v1/pens/{T}/acquire", "/v1/topics/{T}/broadcast"] {
        let path = path.replace("{T}", &own);
        let answer = desk.ask(&ann, ("POST", &path), &json!({"event": "x"})).await?;
        assert_eq!(answer.status, 403, "{path}: {answer}");
    }
    let draft = ("GET", &*format!("/v1/pens/{own}/draft"));
    assert_eq!(desk.ask(&ann, draft, &Value::Null).await?.status, 403);
    Ok(())
}

/// When an agent was last at the keyboard is no customer's affair.
#[tokio::test]
async fn evidence_is_for_the_staff_and_for_whose_session_it_is() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let (sam, ann) = (token("sam", "agent")?, token("ann", "customer")?);
    let ticket = desk.ticket(&sam, &of("ann")).await?;
    let topics = [format!("tickets:{ticket}"), "tickets:user:ann".to_owned()];
    let (gus, vic) = (named("gus", "guest", &topics[0])?, named("vic", "viewer", &topics[0])?);
    for topic in &topics {
        let mut sessions = Vec::new();
        for (who, token) in [("sam", &sam), ("ann", &ann), ("gus", &gus), ("vic", &vic)] {
            if topic == &topics[1] && !["sam", "ann"].contains(&who) {
                continue;
            }
            let mut page = desk.server.socket(token).await?;
            let joined = page.join(topic).await?;
            let session = joined["session"].as_str().context("session")?.to_owned();
            sessions.push((who, token, session, page));
        }
        for (who, token, ..) in &sessions {
            for (whose, _, session, _) in &sessions {
                let path = format!("/v1/topics/{topic}/presence/{session}/why");
                let told = desk.ask(token, ("GET", &path), &Value::Null).await?;
                let may = ["sam", *whose].contains(who);
                assert_eq!(told.status, if may { 200 } else { 403 }, "{who} of {whose}: {told}");
                let expected = if may { Value::Null } else { json!("not_authorized") };
                assert_eq!(told.json()["code"], expected);
                assert_eq!(told.json()["last_input_at"].is_u64(), may, "{told}");
            }
            let nobody = format!("/v1/topics/{topic}/presence/nobody/why");
            assert_eq!(desk.ask(token, ("GET", &nobody), &Value::Null).await?.status, 404);
        }
        let of_ann = &sessions[1].2;
        let path = format!("/v1/topics/{topic}/presence/{of_ann}/why");
        let backend = desk.server.get(&path).await?;
        assert_eq!((backend.status, &backend.json()["key"]), (200, &json!("ann")), "{backend}");
    }
    // On an application's topic whoever may look at it is told, as before.
    let mut page = desk.server.socket(&sam).await?;
    let session = page.join("doc:1").await?["session"].as_str().context("session")?.to_owned();
    let path = format!("/v1/topics/doc:1/presence/{session}/why");
    let reads = named("ann", "customer", "doc:1")?;
    desk.done(&reads, ("GET", &path), &Value::Null).await?;
    Ok(())
}

/// Whatever is done on one topic, `{T}`, without joining it.
const DEEDS: [(&str, &str); 9] = [
    ("POST", "/v1/pens/{T}/acquire"),
    ("POST", "/v1/pens/{T}/renew"),
    ("POST", "/v1/pens/{T}/release"),
    ("POST", "/v1/pens/{T}/request"),
    ("POST", "/v1/pens/{T}/take_over"),
    ("POST", "/v1/pens/{T}/revoke"),
    ("PUT", "/v1/pens/{T}/draft"),
    ("POST", "/v1/topics/{T}/broadcast"),
    ("DELETE", "/v1/topics/{T}/presence/s"),
];

#[tokio::test]
async fn nobody_does_anything_on_a_ticket_that_is_not_there() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let ada = token("ada", "admin")?;
    let (there, gone) =
        (desk.ticket(&ada, &of("ann")).await?, desk.ticket(&ada, &of("ann")).await?);
    desk.done(&ada, ("DELETE", &format!("/v1/tickets/{gone}")), &Value::Null).await?;
    for (verb, path) in DEEDS {
        let body = json!({"fence": "1", "draft": "d", "event": "e"});
        let body = if path.ends_with("/s") { Value::Null } else { body };
        for (id, is_there) in [(&*there, true), (&gone, false), (NEVER, false)] {
            let path = path.replace("{T}", &format!("tickets:{id}"));
            let answer = desk.ask(&ada, (verb, &path), &body).await?;
            assert_eq!(answer.status != 403, is_there, "{verb} {path}: {answer}");
        }
    }
    // Nor has the backend's key another way.
    for topic in [format!("tickets:{gone}"), format!("tickets:{NEVER}")] {
        let answer = desk.server.post(&format!("/v1/pens/{topic}/acquire"), &json!({})).await?;
        assert_eq!(answer.status, 403, "{answer}");
    }
    let held = desk.done(&ada, ("GET", "/v1/pens?holder=key:dev"), &Value::Null).await?;
    assert_eq!(held["data"], json!([]));
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_looked_at_as_what_is_another_s() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let (ada, cat) = (token("ada", "admin")?, token("cat", "customer")?);
    let own = desk.ticket(&ada, &of("ann")).await?;
    let other = desk.ticket(&ada, &of("cat")).await?;
    let gone = desk.ticket(&ada, &of("ann")).await?;
    desk.done(&ada, ("DELETE", &format!("/v1/tickets/{gone}")), &Value::Null).await?;
    let mut there = desk.server.socket(&cat).await?;
    there.join(&format!("tickets:{other}")).await?;
    let star = named("eve", "customer", "*")?;
    // A guest is nobody's namesake.
    let namesake = token("ann", "guest")?;
    for stranger in [&token("ann", "customer")?, &namesake, &star, &token("vic", "viewer")?] {
        for look in LOOKS {
            let mut answers = Vec::new();
            for id in [&*other, &gone, NEVER, &own.to_uppercase()] {
                let path = look.replace("{T}", &format!("tickets:{id}")).replace("{S}", "s");
                let answer = desk.ask(stranger, ("GET", &path), &Value::Null).await?;
                let headers: Vec<_> = answer.header_names().map(str::to_owned).collect();
                answers.push((answer.status, headers, answer.body));
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{look}: {answers:?}");
            assert_eq!(answers[0].0, 403, "{look}: {answers:?}");
        }
        let mut answers = Vec::new();
        let mut socket = desk.server.socket(stranger).await?;
        for id in [&*other, &gone, NEVER] {
            let body = json!({"topics": [format!("tickets:{id}")]});
            let answer = desk.ask(stranger, ("POST", "/v1/presence/summaries"), &body).await?;
            let reply = socket.ask("system:summaries", "phx_join", &body).await?;
            assert_eq!(
                (answer.status, &reply["response"]["code"]),
                (403, &json!("not_authorized"))
            );
            answers.push((answer.body.replace(id, "T"), reply.to_string().replace(id, "T")));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
    // One that is not theirs refuses a list of theirs.
    let ann = token("ann", "customer")?;
    let both = json!({"topics": [format!("tickets:{own}"), format!("tickets:{other}")]});
    assert_eq!(desk.ask(&ann, ("POST", "/v1/presence/summaries"), &both).await?.status, 403);
    for path in ["/v1/topics?prefix=tickets:", "/v1/pens?holder=cat"] {
        let seen = desk.done(&ann, ("GET", path), &Value::Null).await?;
        assert_eq!(seen["data"], json!([]), "{path}");
    }
    Ok(())
}

/// Somebody who watches the rows of two tickets, and an agent who works on both.
struct Watch {
    desk: Desk,
    list: RawSocket,
    /// The ticket that is lost, and one that stays.
    lost: String,
    kept: String,
    agents: Vec<RawSocket>,
}

impl Watch {
    async fn begin(options: Options) -> Result<Self> {
        let desk = Desk::start(options).await?;
        let (sam, ann) = (token("sam", "agent")?, token("ann", "customer")?);
        let lost = format!("tickets:{}", desk.ticket(&sam, &of("ann")).await?);
        let kept = format!("tickets:{}", desk.ticket(&sam, &of("ann")).await?);
        let mut list = desk.server.socket(&ann).await?;
        list.join_with("system:summaries", &json!({"topics": [lost, kept]})).await?;
        list.event("summaries").await?;
        let mut watch = Self { desk, list, lost, kept, agents: Vec::new() };
        desk_pen(&watch.desk, &watch.lost).await?;
        let lost = watch.lost.clone();
        watch.row(&lost, |row| row["holder"]["id"] == "sam").await?;
        let seen = watch.comes(&lost).await?;
        ensure!(seen["count"] == 1, "{seen}");
        Ok(watch)
    }

    /// Another agent comes to a ticket; returns the first row of that after they have.
    async fn comes(&mut self, topic: &str) -> Result<Value> {
        let agent = format!("agent-{}", self.agents.len());
        let mut socket = self.desk.server.socket(&token(&agent, "agent")?).await?;
        socket.join(topic).await?;
        self.agents.push(socket);
        self.row(topic, |row| row["count"] != 0 || row["holder"].is_null()).await
    }

    /// Reads until a row of a ticket fits.
    async fn row(&mut self, topic: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut found = None;
        let is_it = |frame: &Value| {
            let rows = frame[4]["data"].as_array().filter(|_| frame[3] == "summaries");
            let mut rows = rows.into_iter().flatten();
            found = rows.find(|row| row["topic"] == *topic && fits(row)).cloned();
            found.is_some()
        };
        self.list.until(&format!("a row of {topic}"), is_it).await?;
        found.context("no row")
    }

    /// Makes sure that the lost one is empty, and that nothing of it is told any more.
    async fn ends(mut self, is_there: bool) -> Result<()> {
        let (lost, kept) = (self.lost.clone(), self.kept.clone());
        if is_there {
            let mut late = self.desk.server.socket(&token("late", "agent")?).await?;
            late.join(&lost).await?;
            self.agents.push(late);
        }
        let mut control = self.desk.server.socket(&token("sam", "agent")?).await?;
        control.join(&kept).await?;
        let mut of_lost = Vec::new();
        let is_control = |frame: &Value| {
            let rows = frame[4]["data"].as_array().filter(|_| frame[3] == "summaries");
            let rows: Vec<_> = rows.into_iter().flatten().collect();
            of_lost.extend(rows.iter().filter(|row| row["topic"] == *lost).map(|it| (*it).clone()));
            rows.iter().any(|row| row["topic"] == *kept && row["count"] == 1)
        };
        self.list.until("a row of the other ticket", is_control).await?;
        // That it is empty may be told twice: by its shard, and as it is theirs no more.
        of_lost.retain(|row| *row != nobody(&lost));
        ensure!(of_lost.is_empty(), "{of_lost:?}");
        Ok(())
    }
}

async fn desk_pen(desk: &Desk, topic: &str) -> Result<()> {
    let path = format!("/v1/pens/{topic}/acquire");
    desk.done(&token("sam", "agent")?, ("POST", &path), &json!({"ttl_ms": 60_000})).await?;
    Ok(())
}

fn nobody(topic: &str) -> Value {
    json!({"topic": topic, "count": 0, "names": [], "holder": null, "prior": null})
}

#[tokio::test]
async fn a_ticket_that_is_gone_has_no_row_any_more() -> Result<()> {
    let mut watch = Watch::begin(Options::default()).await?;
    let (lost, ada) = (watch.lost.clone(), token("ada", "admin")?);
    let path = format!("/v1/tickets/{}", lost.trim_start_matches("tickets:"));
    watch.desk.done(&ada, ("DELETE", &path), &Value::Null).await?;
    let row = watch.row(&lost, |row| row["count"] == 0 && row["holder"].is_null()).await?;
    assert_eq!(row, nobody(&lost));
    watch.ends(false).await
}

#[tokio::test]
async fn whoever_does_not_own_a_ticket_any_more_has_no_row_of_it_on_sqlite() -> Result<()> {
    whoever_does_not_own_a_ticket_any_more_has_no_row_of_it(&Store::Sqlite).await
}

#[tokio::test]
async fn whoever_does_not_own_a_ticket_any_more_has_no_row_of_it_on_postgres() -> Result<()> {
    whoever_does_not_own_a_ticket_any_more_has_no_row_of_it(&Store::postgres()?).await
}

async fn whoever_does_not_own_a_ticket_any_more_has_no_row_of_it(store: &Store) -> Result<()> {
    let url = match store {
        Store::Sqlite => None,
        Store::Postgres(server) => Some(server.create_database("lost")?),
    };
    let options = url.iter().fold(Options::default(), |it, url| it.set("storage.url", url));
    let mut watch = Watch::begin(options).await?;
    let lost = watch.lost.clone();
    // As an application does that forgets somebody, beside the server.
    let id = lost.trim_start_matches("tickets:");
    let sql = sqlx::AssertSqlSafe(format!("UPDATE tickets SET user_id = NULL WHERE id = '{id}'"));
    match url {
        Some(url) => {
            sqlx::query(sql).execute(&mut PgConnection::connect(&url).await?).await?;
        }
        None => {
            let file = watch.desk.server.data().join("pens.sqlite");
            let url = format!("sqlite:{}", file.display());
            sqlx::query(sql).execute(&mut SqliteConnection::connect(&url).await?).await?;
        }
    }
    // What happens within a second may still be told.
    let deadline = Instant::now() + SOON;
    loop {
        let row = watch.comes(&lost).await?;
        if row == nobody(&lost) {
            break;
        }
        ensure!(Instant::now() < deadline, "still told: {row}");
    }
    watch.ends(true).await
}

#[tokio::test]
async fn a_token_that_owns_nothing_ends_the_rows() -> Result<()> {
    let mut watch = Watch::begin(Options::default()).await?;
    // The same person, but as somebody whom nobody knows.
    let guest = Token::of("ann").claim("role", "guest").sign()?;
    let answer = watch.list.ask("system:summaries", "token", &json!({"token": guest})).await?;
    ensure!(answer["status"] == "ok", "{answer}");
    let is_end = |frame: &Value| frame[3] == "phx_close" && frame[2] == "system:summaries";
    watch.list.until("the end of the rows", is_end).await?;
    // A token that says what the one before said keeps them.
    let (lost, kept) = (watch.lost.clone(), watch.kept.clone());
    let mut list = watch.desk.server.socket(&token("ann", "customer")?).await?;
    list.join_with("system:summaries", &json!({"topics": [kept]})).await?;
    list.event("summaries").await?;
    let fresh = Token::of("ann").claim("role", "customer").claim("name", "Ann B").sign()?;
    list.ask("system:summaries", "token", &json!({"token": fresh})).await?;
    watch.list = list;
    let row = watch.comes(&kept).await?;
    ensure!(row["count"] == 1, "{row}");
    let gone =
        watch.list.ask("system:summaries", "phx_join", &json!({"topics": [lost, NEVER]})).await?;
    assert_eq!(gone["response"]["code"], "not_authorized");
    Ok(())
}

#[tokio::test]
async fn only_a_ticket_s_own_topic_has_a_pen() -> Result<()> {
    let desk = Desk::start(Options::default()).await?;
    let agent = token("ada", "agent")?;
    let ticket = desk.ticket(&agent, &json!({"title": "t", "description": "d"})).await?;
    let mut socket = desk.server.socket(&agent).await?;
    for (topic, status, code) in [
        ("tickets:all".to_owned(), 403, "forbidden"),
        ("tickets:user:tom".to_owned(), 403, "forbidden"),
        (format!("tickets:{ticket}"), 200, ""),
    ] {
        let acquire = format!("/v1/pens/{topic}/acquire");
        let told = desk.ask(&agent, ("POST", &acquire), &json!({})).await?;
        assert_eq!(told.status, status, "{topic}: {told}");
        socket.join(&topic).await?;
        let told = socket.ask(&topic, "pen_acquire", &json!({})).await?;
        let found = told["response"]["code"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{told}");
    }
    let log =
        desk.done(&agent, ("GET", "/v1/topics/tickets:user:tom/events"), &Value::Null).await?;
    assert_eq!(log["data"], json!([]));
    Ok(())
}
