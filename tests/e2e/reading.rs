//! What can be read over HTTP: topics, who is on them, who comes first.

use std::time::Duration;

use anyhow::{Result, ensure};
use penholder_tests::{Options, RawSocket, Request, Server, until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);

/// Joins each topic as somebody of its own; the sockets keep them there.
async fn populated(server: &Server, topics: &[&str]) -> Result<Vec<RawSocket>> {
    let mut sockets = Vec::new();
    for (index, topic) in topics.iter().enumerate() {
        let mut socket = server.socket(&server.token(&format!("user{index}")).await?).await?;
        socket.join(topic).await?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn names(answer: &Value) -> Vec<&str> {
    let topics = answer["data"].as_array().into_iter().flatten();
    topics.filter_map(|entry| entry["topic"].as_str()).collect()
}

#[tokio::test]
async fn topics_are_listed_by_prefix_and_in_pages() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    assert_eq!(server.get("/v1/topics").await?.json(), json!({"data": [], "next_cursor": null}));
    let mut people = populated(&server, &["doc:2", "doc:1", "map:1", "doc:1", "doc:3"]).await?;

    let all = server.get("/v1/topics").await?.json();
    assert_eq!(names(&all), ["doc:1", "doc:2", "doc:3", "map:1"]);
    assert_eq!(all["data"][0], json!({"topic": "doc:1", "count": 2}));
    let docs = server.get("/v1/topics?prefix=doc:").await?.json();
    assert_eq!(names(&docs), ["doc:1", "doc:2", "doc:3"]);
    assert_eq!(docs["next_cursor"], Value::Null);
    assert_eq!(names(&server.get("/v1/topics?prefix=x").await?.json()), [""; 0]);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/topics?prefix=doc:&limit=2&cursor={cursor}");
        let page = server.get(&path).await?.json();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["doc:1", "doc:2", "doc:3"]);
    for limit in ["0", "1001", "x", "-1"] {
        let answer = server.get(&format!("/v1/topics?limit={limit}")).await?;
        assert_eq!(answer.status, 422, "{limit}");
    }

    // Who leaves a topic takes it from the list.
    people[2].ask("map:1", "phx_leave", &json!({})).await?;
    until("map:1 is gone", SOON, async || {
        let all = server.get("/v1/topics").await?.json();
        Ok((!names(&all).contains(&"map:1")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_person_lists_only_the_topics_that_the_token_names() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let _people = populated(&server, &["doc:1", "doc:2", "map:1"]).await?;
    let token = crate::people::signed(&["--topic", "doc:1=view", "--topic", "map:*=view"])?;
    let request = Request::new("GET", "/v1/topics").authorized(&format!("Bearer {token}"));
    assert_eq!(names(&server.ask(request).await?.json()), ["doc:1", "map:1"]);
    for (path, status) in [
        ("/v1/topics/doc:1/presence", 200),
        ("/v1/topics/doc:2/presence", 403),
        ("/v1/topics/doc:2/summary", 403),
    ] {
        let request = Request::new("GET", path).authorized(&format!("Bearer {token}"));
        assert_eq!(server.ask(request).await?.status, status, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn presence_lists_everybody_in_order_of_arrival() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let nobody = server.get("/v1/topics/doc:1/presence").await?.json();
    assert_eq!(nobody, json!({"data": [], "count": 0}));
    let mut sockets = Vec::new();
    for user in ["zoe", "ann", "zoe"] {
        let mut socket = server.socket(&server.token(user).await?).await?;
        socket.join_with("doc:1", &json!({"meta": {"n": sockets.len()}})).await?;
        sockets.push(socket);
    }
    let list = server.get("/v1/topics/doc:1/presence").await?.json();
    assert_eq!(list["count"], 2);
    let keys: Vec<_> = list["data"].as_array().into_iter().flatten().map(|e| &e["key"]).collect();
    assert_eq!(keys, ["zoe", "ann"]);
    let tabs: Vec<_> =
        list["data"][0]["metas"].as_array().into_iter().flatten().map(|m| &m["n"]).collect();
    assert_eq!(tabs, [0, 2]);
    assert_eq!(list["data"][1]["metas"][0]["user"]["name"], "ann");
    // A topic is one segment of the path, percent-encoded or not.
    assert_eq!(server.get("/v1/topics/doc%3A1/presence").await?.json(), list);
    Ok(())
}

#[tokio::test]
async fn summary_is_for_the_person_asked_for() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let mut sockets = Vec::new();
    for user in ["ann", "bob", "ann"] {
        let mut socket = server.socket(&server.token(user).await?).await?;
        let session = socket.join("doc:1").await?["session"].clone();
        sockets.push((socket, session));
    }
    let summary = async |query: &str| -> Result<Value> {
        let answer = server.get(&format!("/v1/topics/doc:1/summary{query}")).await?;
        ensure!(answer.status == 200, "{query}: {answer}");
        Ok(answer.json())
    };
    let nobody = summary("").await?;
    assert_eq!(nobody["prior_user_presence"]["key"], "ann");
    assert_eq!(nobody["prior_session"], sockets[0].1);
    assert_eq!((&nobody["count"], &nobody["certainty"]), (&json!(2), &json!("confirmed")));
    assert_eq!(nobody["presences"][0]["active_sessions"], 2);
    assert_eq!(nobody["current_user_presence"], Value::Null);
    assert_eq!(nobody["has_presence_edit_priority"], false);

    let (ann, bob) = (summary("?user=ann").await?, summary("?user=bob").await?);
    assert_eq!(ann["has_presence_edit_priority"], true);
    assert_eq!(ann["current_user_presence"]["key"], "ann");
    assert_eq!(bob["has_presence_edit_priority"], false);
    assert_eq!(bob["prior_user_presence"]["key"], "ann");

    let single = summary("?user=ann&policy=single_session").await?;
    assert_eq!(single["has_presence_edit_priority"], false, "she has two sessions");
    assert_eq!(single["prior_session"], Value::Null);

    let without_ann = summary("?user=bob&view_only=ann,carl").await?;
    assert_eq!(without_ann["prior_user_presence"]["key"], "bob");
    assert_eq!(without_ann["has_presence_edit_priority"], true);
    assert_eq!(without_ann["count"], 2, "they stay in the list");
    let none_left = summary("?user=bob&view_only=ann,bob").await?;
    assert_eq!(none_left["prior_user_presence"]["key"], "bob", "nobody is left but the viewer");

    // A person who names nobody asks for themselves.
    let token = server.token("bob").await?;
    let own = Request::new("GET", "/v1/topics/doc:1/summary");
    let own = server.ask(own.authorized(&format!("Bearer {token}"))).await?.json();
    assert_eq!(own["current_user_presence"]["key"], "bob");
    let unknown = server.get("/v1/topics/doc:1/summary?policy=first_come").await?;
    assert_eq!(unknown.status, 422, "{unknown}");
    Ok(())
}

#[tokio::test]
async fn summaries_are_rows_in_the_order_asked() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let _people = populated(&server, &["doc:2", "doc:1", "doc:1"]).await?;
    let asked = json!({"topics": ["doc:9", "doc:1", "doc:2"]});
    let rows = server.post("/v1/presence/summaries", &asked).await?.json();
    let prior = json!({"id": "user1", "name": "user1", "kind": "human"});
    assert_eq!(
        rows["data"][1],
        json!({
            "topic": "doc:1", "count": 2, "names": ["user1", "user2"], "holder": null, "prior": prior,
        })
    );
    assert_eq!(names(&rows), ["doc:9", "doc:1", "doc:2"]);
    let empty = json!({"topic": "doc:9", "count": 0, "names": [], "holder": null, "prior": null});
    assert_eq!(rows["data"][0], empty);
    Ok(())
}

#[tokio::test]
async fn summaries_take_200_legal_topics_at_most() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let topics = |count: usize| -> Vec<String> { (0..count).map(|n| format!("doc:{n}")).collect() };
    for (body, status) in [
        (json!({"topics": topics(200)}), 200),
        (json!({"topics": topics(201)}), 422),
        (json!({"topics": ["doc 1"]}), 422),
        (json!({"topics": "doc:1"}), 422),
        (json!({"topics": [1]}), 422),
        (json!({}), 422),
    ] {
        let answer = server.post("/v1/presence/summaries", &body).await?;
        assert_eq!(answer.status, status, "{body}: {answer}");
    }
    Ok(())
}
