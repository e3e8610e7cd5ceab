//! Who is known.

use std::time::Duration;

use anyhow::Result;
use penholder_tests::{Options, Token, until};
use serde_json::{Value, json};

use super::desk::{ADAM, CARL, Desk, EVE, KEY, ZOE, at, code, is};

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
