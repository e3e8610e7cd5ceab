//! Tickets while the server is killed: writers over HTTP who repeat what was not answered, staff and owners who
//! listen and come back with `since`, or with `Last-Event-ID`, and a server that dies at drawn moments of all that.
//!
//! What the store has in the end is the truth. Whatever was answered is in it, once; everything in it was heard
//! by everybody whom it was for, in order and without a gap, also what was committed when the server died; and
//! nobody has heard anything else.
//!
//! `PENHOLDER_KILL_SEED` draws other plans, `PENHOLDER_KILLS` says how often the server is killed. A seed repeats
//! what is asked and when; what the machine makes of it differs.

mod forged;
mod judge;
mod listener;
mod stream;
mod truth;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use penholder_evidence::Draw;
use penholder_hub::Audience;
use penholder_stores::PostgresServer;
use penholder_tests::{CANARY, Options, Server, Token, until};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use self::judge::{Figures, judge};
use self::listener::{Heard, Listener, Way};
use self::truth::Truth;
use self::writer::{Agreed, Asked, Person, Writer};

const AGENTS: [&str; 3] = ["agent-0", "agent-1", "agent-2"];
const CUSTOMERS: [&str; 2] = ["customer-0", "customer-1"];

/// How long some requests may take with nothing in their way.
const WORK_MAX: Duration = Duration::from_secs(30);

/// Tickets that are there before anything is killed: their own topics are listened to as well.
const FIRST_TICKETS: usize = 4;

/// How many topics somebody listens to by server-sent events as well.
const STREAMS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_made_up_on_sqlite() -> Result<()> {
    let kills = number("PENHOLDER_KILLS", 12);
    run(None, Plan { kills, database_kills: 0 }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_made_up_on_postgres() -> Result<()> {
    let kills = number("PENHOLDER_KILLS", 12).div_ceil(3);
    run(Some(PostgresServer::start()?), Plan { kills, database_kills: kills.div_ceil(2) }).await
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is killed how often.
#[derive(Debug, Clone, Copy)]
struct Plan {
    kills: u64,
    database_kills: u64,
}

async fn run(database: Option<PostgresServer>, plan: Plan) -> Result<()> {
    let seed = number("PENHOLDER_KILL_SEED", 1);
    let replay =
        || format!("replay with PENHOLDER_KILL_SEED={seed} PENHOLDER_KILLS={}", plan.kills);
    let told = live(database, plan, seed).await.with_context(replay)?;
    let figures = judge(&told.asked, &told.truth, &told.heard).with_context(replay)?;
    let line = format!("seed {seed}: {plan:?} {figures:?}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?;
    ensure!(has_shown_something(&figures), "too little was tried: {line}");
    Ok(())
}

/// Whether kills have met with requests.
fn has_shown_something(figures: &Figures) -> bool {
    figures.repeated > 0 && figures.events > 0 && figures.resumed > 0
}

/// What came of a run.
struct Told {
    asked: Vec<Asked>,
    truth: Truth,
    heard: Vec<Heard>,
}

async fn live(mut database: Option<PostgresServer>, plan: Plan, seed: u64) -> Result<Told> {
    let mut server = Server::start(options(database.as_ref())).await?;
    let agreed = Agreed::new(server.port());
    first_tickets(&server, &agreed).await?;

    let (finish, finished) = watch::channel(None);
    let mut listeners = JoinSet::new();
    for listener in audience(&agreed, seed)? {
        listeners.spawn(listener.listen(finished.clone()));
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for (n, person) in (0..).zip(people()?) {
        let writer = Writer::new(n, person, &agreed, Draw(seed << 16 | n));
        writers.spawn(writer.write_until(Arc::clone(&is_over)));
    }

    let kills = (plan, Draw(seed << 16 | 0xfff));
    disturb(&mut server, database.as_mut(), &agreed, kills).await?;
    is_over.store(true, Ordering::Relaxed);
    let mut asked = Vec::new();
    while let Some(written) = writers.join_next().await {
        asked.extend(written??);
    }
    let truth = Truth::read(&server, database.as_ref()).await?;
    finish.send(Some(truth.last.clone()))?;
    let mut heard = Vec::new();
    while let Some(listened) = listeners.join_next().await {
        heard.push(listened??);
    }
    asked.extend(agreed.setup());
    Ok(Told { asked, truth, heard })
}

fn options(database: Option<&PostgresServer>) -> Options {
    let options = Options::default()
        .any_request_rate()
        .set("presence.grace", "1s")
        .set("limits.joins_per_second", "1000")
        .set("limits.joins_burst", "1000")
        .set("storage.retention_per_topic", "1000000");
    match database {
        Some(database) => options.set("storage.url", &database.url()),
        None => options,
    }
}

/// Who writes: three of the staff, and two customers.
fn people() -> Result<Vec<Person>> {
    let agents = AGENTS.iter().map(|name| Person::new(name, Audience::Staff));
    let customers = CUSTOMERS.iter().map(|name| Person::new(name, Audience::Public));
    agents.chain(customers).collect()
}

async fn first_tickets(server: &Server, agreed: &Agreed) -> Result<()> {
    for n in 0..FIRST_TICKETS {
        let owner = CUSTOMERS[n % CUSTOMERS.len()];
        let asked = Asked::setup(n);
        let body = json!({"title": "First", "description": asked.mark, "user_id": owner,
            "metadata": {"m": CANARY}});
        let token = Token::of("agent-0").sign()?;
        let request = asked.request("POST", "/v1/tickets", &token).json(&body);
        let answer = server.ask(request).await?;
        ensure!(answer.status == 201, "{answer}");
        let id = answer.json()["id"].as_str().context("no id")?.to_owned();
        agreed.begin_with(asked.done(id.clone()), (id, owner));
    }
    Ok(())
}

/// Who listens to what: two of the staff to everything, each owner to what is theirs; and of both some to one topic each, by
/// server-sent events.
fn audience(agreed: &Agreed, seed: u64) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut add = |name: &str, audience, heard: (Way, Vec<String>)| {
        let draw = Draw(seed << 16 | 0x100 | listeners.len() as u64);
        let person = Person::new(name, audience)?;
        listeners.push(Listener::new(agreed, person, heard, draw));
        anyhow::Ok(())
    };
    let tickets = agreed.tickets();
    for name in ["listener-0", "listener-1"] {
        let mut topics = vec!["tickets:all".to_owned(), "tickets:user:customer-0".to_owned()];
        topics.extend(tickets.iter().map(|(id, _)| format!("tickets:{id}")));
        add(name, Audience::Staff, (Way::Channel, topics.clone()))?;
        for topic in topics.into_iter().take(STREAMS) {
            add(name, Audience::Staff, (Way::Events, vec![topic]))?;
        }
    }
    for name in CUSTOMERS {
        let own = tickets.iter().filter(|(_, owner)| owner == name);
        let mut topics: Vec<_> = own.map(|(id, _)| format!("tickets:{id}")).collect();
        topics.push(format!("tickets:user:{name}"));
        // In two tabs, which come and go at different moments.
        for _ in 0..2 {
            add(name, Audience::Public, (Way::Channel, topics.clone()))?;
        }
        for topic in topics.into_iter().rev().take(STREAMS) {
            add(name, Audience::Public, (Way::Events, vec![topic]))?;
        }
    }
    Ok(listeners)
}

/// Kills the server and starts it again, and now and then its database.
async fn disturb(
    server: &mut Server,
    mut database: Option<&mut PostgresServer>,
    agreed: &Agreed,
    (plan, mut draw): (Plan, Draw),
) -> Result<()> {
    let mut database_kills = plan.database_kills;
    for _ in 0..plan.kills {
        let database = database.as_deref_mut().filter(|_| database_kills > 0);
        if let Some(database) = database {
            database_kills -= 1;
            work(agreed, &mut draw).await?;
            block_in_place(|| database.kill().and_then(|()| database.go_on()))?;
        }
        work(agreed, &mut draw).await?;
        if draw.below(3) == 0 {
            // Stopped first, so that requests are under way when it dies.
            server.pause()?;
            let last = 20 + draw.below(80);
            sleep(Duration::from_millis(last)).await;
        }
        server.kill();
        let dark = draw.below(120);
        sleep(Duration::from_millis(dark)).await;
        server.restart().await?;
    }
    work(agreed, &mut draw).await
}

/// Waits until some requests more were answered, and then for a moment that may be in the midst of others.
async fn work(agreed: &Agreed, draw: &mut Draw) -> Result<()> {
    let goal = agreed.answered() + 5 + draw.below(50);
    let is_done = async || Ok((agreed.answered() >= goal).then_some(()));
    until("requests are answered", WORK_MAX, is_done).await?;
    let moment = draw.below(20_000);
    sleep(Duration::from_micros(moment)).await;
    Ok(())
}
