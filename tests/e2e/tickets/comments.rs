//! Comments and notes.

use anyhow::{Result, ensure};
use penholder_tests::{Answer, CANARY, Options};
use serde_json::{Value, json};

use super::desk::{ADAM, CARL, DORA, Desk, EVE, KEY, Who, ZOE, at, code, is};

async fn comment(desk: &Desk, who: Who, ticket: &Value, body: Value) -> Result<Answer> {
    desk.ask(who, "POST", &format!("{}/comments", at(ticket)), &body).await
}

async fn made(desk: &Desk, who: Who, ticket: &Value, body: Value) -> Result<Value> {
    let answer = comment(desk, who, ticket, body).await?;
    ensure!(answer.status == 201, "{answer}");
    Ok(answer.json())
}

fn contents(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().into_iter().flatten();
    data.filter_map(|it| it["content"].as_str()).collect()
}

pub(super) async fn comments_are_threads_with_files(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let (ticket, other) = (desk.ticket("carl", "t").await?, desk.ticket("carl", "u").await?);
    let file = |name: &str| json!({"url": "https://example.org/f", "name": name, "size": 1});
    let body = json!({"content": "a", "attachments": [file("1"), file("2")]});
    let first = made(&desk, CARL, &ticket, body).await?;
    assert_eq!((&first["depth"], &first["author_id"]), (&json!(0), &json!("carl")));
    let body = json!({"content": "b", "parent_id": first["id"]});
    let second = made(&desk, EVE, &ticket, body).await?;
    assert_eq!((&second["depth"], &second["parent_id"]), (&json!(1), &first["id"]));
    made(&desk, KEY, &ticket, json!({"content": "c", "attachments": [file("3")]})).await?;
    assert_eq!(desk.get(CARL, &at(&ticket)).await?["comment_count"], 3);

    let path = format!("{}/comments", at(&ticket));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = desk.get(CARL, &format!("{path}?limit=2{cursor}")).await?;
        let data = page["data"].as_array().cloned().unwrap_or_default();
        seen.extend(data.iter().map(|it| {
            let names = it["attachments"].as_array().into_iter().flatten();
            let names: Vec<_> = names.map(|file| file["name"].clone()).collect();
            json!([it["content"], names])
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [json!(["a", ["1", "2"]]), json!(["b", []]), json!(["c", ["3"]])]);
    // A cursor of tickets is none of comments.
    let tickets = desk.get(EVE, "/v1/tickets?limit=1").await?;
    let foreign = tickets["next_cursor"].as_str().unwrap_or_default();
    for query in [format!("cursor={foreign}"), "limit=101".to_owned(), "limit=0".to_owned()] {
        let answer = desk.ask(CARL, "GET", &format!("{path}?{query}"), &Value::Null).await?;
        assert_eq!(answer.status, 422, "{query}: {answer}");
    }

    let parent = |id: &Value| json!({"content": "x", "parent_id": id});
    for (ticket, body, expected) in [
        (&other, parent(&first["id"]), "invalid_parent"),
        (&ticket, parent(&ticket["id"]), "invalid_parent"),
        (&ticket, parent(&json!("x")), "invalid_parent"),
        (&ticket, json!({"content": "  "}), "invalid_content"),
        (&ticket, json!({"content": "x".repeat(10_001)}), "invalid_content"),
        (&ticket, json!({"content": "a\u{0}"}), "invalid_content"),
        (
            &ticket,
            json!({"content": "x", "attachments": vec![file("f"); 4]}),
            "invalid_attachments",
        ),
        (&ticket, json!({"content": "x", "author_id": "eve"}), "invalid_payload"),
        (&ticket, json!({}), "invalid_content"),
    ] {
        let answer = comment(&desk, CARL, ticket, body.clone()).await?;
        assert_eq!(code(&answer), is(422, expected), "{body}");
    }
    let longest = json!({"content": "ß".repeat(10_000)});
    assert_eq!(comment(&desk, CARL, &ticket, longest).await?.status, 201);

    desk.ask(EVE, "POST", &format!("{}/transitions", at(&ticket)), &json!({"to": "closed"}))
        .await?;
    let late = comment(&desk, EVE, &ticket, json!({"content": "late"})).await?;
    assert_eq!(code(&late), is(409, "ticket_closed"));
    Ok(())
}

pub(super) async fn public_never_sees_a_note(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let ticket = desk.ticket("carl", "t").await?;
    let body = json!({
        "content": CANARY, "is_internal": true,
        "attachments": [{"url": format!("https://example.org/{CANARY}"), "name": CANARY, "size": 1}],
    });
    made(&desk, CARL, &ticket, json!({"content": "a"})).await?;
    let before = desk.ask(CARL, "GET", &at(&ticket), &Value::Null).await?;
    let note = made(&desk, EVE, &ticket, body).await?;
    made(&desk, CARL, &ticket, json!({"content": "b"})).await?;
    let refused =
        comment(&desk, CARL, &ticket, json!({"content": "x", "is_internal": true})).await?;
    assert_eq!(code(&refused), is(403, "not_authorized"));
    // An answer to a note is an answer to nothing.
    let answer = json!({"content": "x", "parent_id": note["id"]});
    assert_eq!(code(&comment(&desk, CARL, &ticket, answer).await?), is(422, "invalid_parent"));

    let comments = format!("{}/comments", at(&ticket));
    let page = desk.get(CARL, &comments).await?;
    assert_eq!(contents(&page), ["a", "b"]);
    assert_eq!(contents(&desk.get(EVE, &comments).await?), ["a", CANARY, "b"]);
    // What is answered is looked through for it, whoever reads it.
    for path in [at(&ticket), comments, "/v1/tickets".to_owned(), format!("/v1/tickets?q={CANARY}")]
    {
        desk.get(CARL, &path).await?;
    }
    let after = desk.get(CARL, &at(&ticket)).await?;
    assert_eq!(
        (&after["comment_count"], &before.json()["updated_at"]),
        (&json!(2), &after["updated_at"])
    );
    let own = format!("/v1/comments/{}", note["id"].as_str().unwrap_or_default());
    for (verb, body) in [("PATCH", json!({"content": "x"})), ("DELETE", Value::Null)] {
        assert_eq!(code(&desk.ask(CARL, verb, &own, &body).await?), is(404, "not_found"), "{verb}");
    }
    Ok(())
}

pub(super) async fn author_and_administrators_write_a_comment_again(
    options: Options,
) -> Result<()> {
    let desk = Desk::start(options).await?;
    let ticket = desk.ticket("carl", "t").await?;
    let first = made(&desk, CARL, &ticket, json!({"content": "a"})).await?;
    let path = format!("/v1/comments/{}", first["id"].as_str().unwrap_or_default());
    for (who, expected) in [
        (DORA, is(404, "not_found")),
        (ZOE, is(403, "not_authorized")),
        (EVE, is(403, "not_authorized")),
    ] {
        for (verb, body) in [("PATCH", json!({"content": "x"})), ("DELETE", Value::Null)] {
            let answer = desk.ask(who, verb, &path, &body).await?;
            assert_eq!(code(&answer), expected, "{who:?} {verb}");
        }
    }
    for who in [CARL, ADAM, KEY] {
        let text = format!("by {}", who.1);
        let answer = desk.ask(who, "PATCH", &path, &json!({"content": text})).await?;
        assert_eq!((answer.status, &answer.json()["content"]), (200, &json!(text)), "{who:?}");
    }
    for (body, expected) in [
        (json!({"content": ""}), "invalid_content"),
        (json!({}), "invalid_payload"),
        (json!({"content": "x", "is_internal": true}), "invalid_payload"),
    ] {
        assert_eq!(
            code(&desk.ask(CARL, "PATCH", &path, &body).await?),
            is(422, expected),
            "{body}"
        );
    }
    assert_eq!(desk.ask(ADAM, "DELETE", &path, &Value::Null).await?.status, 204);
    assert_eq!(desk.ask(CARL, "DELETE", &path, &Value::Null).await?.status, 404);
    assert_eq!(desk.get(CARL, &at(&ticket)).await?["comment_count"], 0);
    Ok(())
}
