//! `penholder seed`: a demo desk, the same each time, and only where it belongs.

use anyhow::{Result, ensure};
use penholder_tests::{Finished, Options, Request, Server, command};
use serde_json::Value;

/// Fills the desk of `server` with these options.
async fn seed(server: &Server, options: &[&str]) -> Result<Finished> {
    let url = format!("http://127.0.0.1:{}", server.port());
    let mut arguments = vec!["seed".to_owned(), "--url".to_owned(), url];
    arguments.extend(options.iter().map(|&option| option.to_owned()));
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        command(&arguments, &[])
    })
    .await?
}

/// What an agent is answered.
async fn as_agent(server: &Server, path: &str) -> Result<Value> {
    let token = server.token_with("user=ada&name=Ada%20Okafor&role=agent").await?;
    let request = Request::new("GET", path).authorized(&format!("Bearer {token}"));
    let answer = server.ask(request).await?;
    ensure!(answer.status == 200, "{path}: {answer:?}");
    Ok(answer.json())
}

async fn total(server: &Server) -> Result<u64> {
    Ok(as_agent(server, "/v1/tickets/stats").await?["total"].as_u64().unwrap_or_default())
}

/// The tickets without what differs between servers, in an order of their own.
async fn desk(server: &Server) -> Result<Vec<String>> {
    let page = as_agent(server, "/v1/tickets?limit=100").await?;
    let mut tickets = Vec::new();
    for ticket in page["data"].as_array().into_iter().flatten() {
        let fields = ["title", "description", "status", "priority", "category", "user_id"];
        let fields = fields.iter().chain(&["assignee_name", "comment_count"]);
        tickets.push(fields.map(|field| ticket[field].to_string()).collect::<Vec<_>>().join(" | "));
    }
    tickets.sort();
    Ok(tickets)
}

#[tokio::test]
async fn same_seed_fills_two_desks_alike_and_one_desk_once() -> Result<()> {
    let (first, second) =
        (Server::start(Options::default()).await?, Server::start(Options::default()).await?);
    for server in [&first, &second] {
        let finished = seed(server, &["--tickets", "24", "--seed", "7"]).await?;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.starts_with("Added 24 tickets, "), "{finished:?}");
        assert!(!finished.stdout.contains("already"), "{finished:?}");
        assert!(finished.stderr.contains("24 of 24 tickets"), "{finished:?}");
    }
    let filled = desk(&first).await?;
    assert_eq!(filled.len(), 24);
    assert_eq!(filled, desk(&second).await?);

    let again = seed(&first, &["--tickets", "24", "--seed", "7"]).await?;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.starts_with("Added nothing: 24 tickets, "), "{again:?}");
    assert!(again.stdout.contains(" were there already. Open http://127.0.0.1:"), "{again:?}");
    assert_eq!(desk(&first).await?, filled);
    let longer = seed(&first, &["--tickets", "25", "--seed", "7"]).await?;
    assert!(longer.stdout.starts_with("Added 1 ticket"), "{longer:?}");
    assert!(longer.stdout.contains("; 24 tickets, "), "{longer:?}");
    let more = seed(&first, &["--tickets", "3", "--seed", "8"]).await?;
    assert_eq!(more.code, Some(0), "{more:?}");
    assert_eq!(total(&first).await?, 28);
    Ok(())
}

#[tokio::test]
async fn same_seed_again_leaves_to_people_what_they_have_done_since() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let options = ["--tickets", "24", "--seed", "7"];
    assert_eq!(seed(&server, &options).await?.code, Some(0));
    let page = as_agent(&server, "/v1/tickets?limit=100").await?;
    let tickets = page["data"].as_array().cloned().unwrap_or_default();
    let assigned: Vec<_> = tickets.iter().filter(|it| !it["assigned_to_id"].is_null()).collect();
    let [given_back, gone, ..] = assigned[..] else { anyhow::bail!("too few: {assigned:?}") };
    let key = |method, ticket: &Value, rest: &str| {
        let id = ticket["id"].as_str().unwrap_or_default();
        Request::new(method, &format!("/v1/tickets/{id}{rest}")).authorized("ApiKey dev")
    };
    for request in [key("DELETE", given_back, "/assignee"), key("DELETE", gone, "")] {
        let answer = server.ask(request).await?;
        ensure!((200..300).contains(&answer.status), "{answer:?}");
    }
    let before = desk(&server).await?;
    assert_eq!(before.len(), 23);
    let again = seed(&server, &options).await?;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.starts_with("Added nothing: 23 tickets, "), "{again:?}");
    assert_eq!(desk(&server).await?, before);
    Ok(())
}

#[tokio::test]
async fn desk_is_one_that_people_have_worked_at() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let finished = seed(&server, &["--tickets", "40"]).await?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let stats = as_agent(&server, "/v1/tickets/stats").await?;
    let statuses = stats["by_status"]
        .as_object()
        .map_or(0, |counts| counts.values().filter(|count| count.as_u64() > Some(0)).count());
    assert!(statuses >= 5, "{stats}");
    assert!(stats["unassigned"].as_u64() > Some(0), "{stats}");
    let page = as_agent(&server, "/v1/tickets?limit=100").await?;
    let (mut notes, mut history) = (0, 0);
    for ticket in page["data"].as_array().into_iter().flatten() {
        let id = ticket["id"].as_str().unwrap_or_default();
        let comments = as_agent(&server, &format!("/v1/tickets/{id}/comments?limit=100")).await?;
        let comments = comments["data"].as_array().cloned().unwrap_or_default();
        notes += comments.iter().filter(|comment| comment["is_internal"] == true).count();
        let changes = as_agent(&server, &format!("/v1/tickets/{id}/history")).await?;
        history += changes["data"].as_array().map_or(0, Vec::len);
    }
    assert!(notes > 0 && history > 80, "{notes} notes, {history} changes");
    Ok(())
}

#[tokio::test]
async fn server_that_asks_for_patience_gets_it() -> Result<()> {
    let slow = Options::default()
        .set("limits.http_requests_per_second", "10")
        .set("limits.http_requests_burst", "10");
    let server = Server::start(slow).await?;
    let finished = seed(&server, &["--tickets", "4"]).await?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    // Backends are not bounded, so that the test is not told to wait.
    let key = |path| Request::new("GET", path).authorized("ApiKey dev");
    let stats = server.ask(key("/v1/tickets/stats")).await?;
    assert_eq!(stats.json()["total"], 4, "{stats:?}");
    let metrics = server.ask(key("/metrics")).await?.body;
    let refused = metrics
        .lines()
        .find_map(|line| line.strip_prefix("penholder_http_requests_refused_total "));
    assert!(
        refused.is_some_and(|count| count != "0"),
        "nobody was asked for patience: {refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn only_development_servers_are_filled() -> Result<()> {
    let real = Server::start(Options::default().production()).await?;
    let refused = seed(&real, &[]).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("not in development mode"), "{refused:?}");

    let mut gone = Server::start(Options::default()).await?;
    gone.kill();
    let unanswered = seed(&gone, &[]).await?;
    assert_eq!(unanswered.code, Some(1), "{unanswered:?}");
    assert!(unanswered.stderr.contains("no server answers at"), "{unanswered:?}");
    assert!(unanswered.stderr.contains("penholder run"), "{unanswered:?}");

    for (arguments, said) in [
        (&["seed", "--url", "here"][..], "no URL of a server"),
        (&["seed", "--url", "ftp://127.0.0.1"], "no URL of a server"),
        (&["seed", "--tickets", "0"], "1..=10000"),
        (&["seed", "--tickets", "10001"], "1..=10000"),
    ] {
        let finished = command(arguments, &[])?;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(said), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
    let help = command(&["seed", "--help"], &[])?;
    assert!(help.stdout.contains("development server"), "{help:?}");
    Ok(())
}
