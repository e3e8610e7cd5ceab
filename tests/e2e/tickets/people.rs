//! Who is known.

use std::time::Duration;

use anyhow::Result;
use penholder_tests::{Options, Token, until};
use serde_json::{Value, json};

use super::desk::{ADAM, CARL, Desk, EVE, KEY, Who, ZOE, at, code, is};

pub(super) async fn whoever_has_come_is_known(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let path = format!("{}/assignee", at(&desk.ticket("carl", "t").await?));
    let assign = async |who, id: &str| desk.ask(who, "PUT", &path, &json!({"user_id": id})).await;
    // By the request itself.
    assert_eq!(assign(EVE, "eve").await?.status, 200);
    // By a connection.
    assert_eq!(code(&assign(KEY, "zoe").await?), is(422, "invalid_assignee"));
    let _zoe = desk.server.socket(&Token::of("zoe").sign()?).await?;
    until("zoe is known", Duration::from_secs(10), async || {
        Ok((assign(KEY, "zoe").await?.status == 200).then_some(()))
    })
    .await?;
    // Another name of the same person is told from now on.
    let renamed = format!("Bearer {}", Token::of("zoe").claim("name", "Zoë").sign()?);
    desk.ask_as((&renamed, &[]), "GET", "/v1/tickets", &Value::Null).await?;
    let page = desk.get(CARL, "/v1/tickets").await?;
    assert_eq!(page["data"][0]["assignee_name"], "Zoë");
    // Also when it is the one that they had before.
    desk.get(ZOE, "/v1/tickets").await?;
    let page = desk.get(CARL, "/v1/tickets").await?;
    assert_eq!(page["data"][0]["assignee_name"], "zoe");

    let user = "/v1/users/ann%20b";
    let body = json!({"name": "Ann", "role": "agent"});
    for who in [EVE, ZOE, CARL] {
        let answer = desk.ask(who, "PUT", user, &body).await?;
        assert_eq!(code(&answer), is(403, "not_authorized"), "{who:?}");
    }
    for who in [KEY, ADAM] {
        let answer = desk.ask(who, "PUT", user, &body).await?;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!("ann b")), "{answer}");
    }
    assert_eq!(assign(KEY, "ann b").await?.json()["assignee_name"], "Ann");
    let customer = json!({"name": "Ann", "role": "customer"});
    desk.ask(KEY, "PUT", user, &customer).await?;
    desk.ask(KEY, "DELETE", &path, &Value::Null).await?;
    assert_eq!(code(&assign(KEY, "ann b").await?), is(422, "invalid_assignee"));
    for (path, body, expected) in [
        (user, json!({"name": "", "role": "agent"}), "invalid_name"),
        (user, json!({"name": "a\u{0}", "role": "agent"}), "invalid_name"),
        (user, json!({"name": "x".repeat(256), "role": "agent"}), "invalid_name"),
        (user, json!({"name": "a", "role": "boss"}), "invalid_payload"),
        (user, json!({"name": "a"}), "invalid_payload"),
        ("/v1/users/%20", body.clone(), "invalid_user_id"),
        ("/v1/users/a%00", body.clone(), "invalid_user_id"),
    ] {
        let answer = desk.ask(KEY, "PUT", path, &body).await?;
        assert_eq!(code(&answer), is(422, expected), "{path} {body}");
    }
    Ok(())
}

pub(super) async fn staff_finds_whom_to_assign_to(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    for (id, name, role) in [
        ("ann", "Ann", "agent"),
        ("ben", "Ben 50%", "admin"),
        ("cay@desk.test", "Ann", "agent"),
        ("dan", "Ärmel", "viewer"),
        ("fay", "Fay", "customer"),
    ] {
        let (path, body) = (format!("/v1/users/{id}"), json!({"name": name, "role": role}));
        let answer = desk.ask(KEY, "PUT", &path, &body).await?;
        assert_eq!(answer.status, 200, "{path}: {answer}");
    }
    // Who asks is known by that, and who only wrote with a key is nobody.
    let page = desk.get(EVE, "/v1/users?role=agent&role=admin").await?;
    let person = |id: &str, name: &str, role: &str| json!({"id": id, "name": name, "role": role});
    let staff = [
        person("ann", "Ann", "agent"),
        person("cay@desk.test", "Ann", "agent"),
        person("ben", "Ben 50%", "admin"),
        person("eve", "eve", "agent"),
    ];
    assert_eq!(page, json!({"data": staff, "next_cursor": null}));
    let ids = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().into_iter().flatten();
        data.filter_map(|it| it["id"].as_str().map(str::to_owned)).collect()
    };
    for (query, expected) in [
        ("role=viewer", &["dan"][..]),
        ("role=guest", &[]),
        ("q=ANN", &["ann", "cay@desk.test"]),
        ("q=%C3%A4RM", &["dan"]),
        ("q=50%25", &["ben"]),
        ("q=%25", &["ben"]),
        ("q=_", &[]),
        ("q=desk.test&role=agent", &["cay@desk.test"]),
        ("q=desk.test&role=admin", &[]),
        ("q=", &["ann", "cay@desk.test", "ben", "fay", "eve", "dan"]),
    ] {
        let page = desk.get(KEY, &format!("/v1/users?{query}")).await?;
        assert_eq!(ids(&page), expected, "{query}");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = desk.get(ADAM, &format!("/v1/users?role=agent&limit=1{cursor}")).await?;
        seen.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["ann", "cay@desk.test", "eve"]);
    Ok(())
}

pub(super) async fn people_are_listed_as_they_are_to_be_asked_for(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    for (query, expected) in [
        ("limit=0", "invalid_payload"),
        ("limit=101", "invalid_payload"),
        ("limit=x", "invalid_payload"),
        ("limit=1&limit=1", "invalid_payload"),
        ("role=boss", "invalid_payload"),
        ("role=", "invalid_payload"),
        ("q=a&q=b", "invalid_payload"),
        ("q=a%00", "invalid_payload"),
        ("cursor=x", "invalid_page"),
        // The cursor of another list.
        ("cursor=LWNyZWF0ZWRfYXQgMS54", "invalid_page"),
    ] {
        let answer = desk.ask(EVE, "GET", &format!("/v1/users?{query}"), &Value::Null).await?;
        assert_eq!(code(&answer), is(422, expected), "{query}");
    }
    let long = format!("/v1/users?q={}", "x".repeat(256));
    assert_eq!(desk.ask(EVE, "GET", &long, &Value::Null).await?.status, 422);
    for who in [CARL, Who("viewer", "vic"), Who("guest", "gus")] {
        for query in ["", "?role=agent", "?limit=0"] {
            let answer = desk.ask(who, "GET", &format!("/v1/users{query}"), &Value::Null).await?;
            assert_eq!(code(&answer), is(403, "not_authorized"), "{who:?} {query}");
        }
    }
    Ok(())
}
