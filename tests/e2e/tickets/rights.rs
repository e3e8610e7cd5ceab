//! Who may do what, and what they are told of what they may not.

use anyhow::Result;
use penholder_tests::{CANARY, Options, Token};
use serde_json::{Value, json};

use super::desk::{ADAM, CARL, DORA, Desk, EVE, KEY, Who, at, code, is};

/// The SHA-256 of `events`.
const EVENTS_DIGEST: &str = "862417b9e7c3720bcb3263cd873b09892d787823b6f9a0f453e42824c5a4d4b6";

/// No ticket and no comment has it.
const UNKNOWN: &str = "019aa5b2-0000-7000-8000-00000000000a";

/// Everything that can be asked of a ticket and its comment.
fn requests(ticket: &str, comment: &str) -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("/v1/tickets/{ticket}{rest}");
    let comment = format!("/v1/comments/{comment}");
    vec![
        ("GET", at(""), Value::Null),
        ("PATCH", at(""), json!({"title": "x"})),
        ("DELETE", at(""), Value::Null),
        ("POST", at("/transitions"), json!({"to": "closed"})),
        ("PUT", at("/assignee"), json!({"user_id": "eve"})),
        ("DELETE", at("/assignee"), Value::Null),
        ("GET", at("/comments"), Value::Null),
        ("POST", at("/comments"), json!({"content": "x"})),
        ("GET", at("/history"), Value::Null),
        ("PATCH", comment.clone(), json!({"content": "x"})),
        ("DELETE", comment, Value::Null),
    ]
}

async fn commented(desk: &Desk, owner: &str) -> Result<(Value, Value)> {
    let ticket = desk.ticket(owner, "t").await?;
    let path = format!("{}/comments", at(&ticket));
    let comment = desk.ask(KEY, "POST", &path, &json!({"content": "a"})).await?.json();
    Ok((ticket, comment))
}

pub(super) async fn what_is_anothers_is_as_if_it_were_not_there(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let (ticket, comment) = commented(&desk, "carl").await?;
    let id = |of: &Value| of["id"].as_str().unwrap_or_default().to_owned();
    let (ticket_id, comment_id) = (id(&ticket), id(&comment));
    let named = json!({format!("tickets:{UNKNOWN}"): ["view", "edit"], "*": ["view", "edit"]});
    let strangers = [
        DORA.authorization()?,
        // A guest is nobody's namesake.
        format!("Bearer {}", Token::of("carl").claim("role", "guest").sign()?),
        format!("Bearer {}", Token::of("vic").claim("role", "viewer").sign()?),
        format!(
            "Bearer {}",
            Token::of("gus").claim("role", "guest").claim("topics", named).sign()?
        ),
    ];
    for stranger in &strangers {
        let theirs = requests(&ticket_id, &comment_id);
        let nobodys = requests(UNKNOWN, UNKNOWN);
        let none = requests("x%00%ff", "0");
        for (((verb, path, body), (_, nobodys, _)), (_, none, _)) in
            theirs.iter().zip(&nobodys).zip(&none)
        {
            for headers in [&[][..], &[("idempotency-key", "k")], &[("if-match", "\"1\"")]] {
                let mut answers = Vec::new();
                for path in [path, nobodys, none] {
                    let answer = desk.ask_as((stranger, headers), verb, path, body).await?;
                    let names: Vec<_> = answer.header_names().map(str::to_owned).collect();
                    answers.push((answer.status, names, answer.body));
                }
                answers.dedup();
                assert_eq!(answers.len(), 1, "{verb} {path}: {answers:?}");
                assert_eq!(answers[0].0, 404, "{verb} {path}: {answers:?}");
            }
        }
    }
    let now = desk.get(KEY, &at(&ticket)).await?;
    assert_eq!((&now["version"], &now["comment_count"]), (&json!(1), &json!(1)));
    // For those who may do everything it is not there either.
    for (verb, path, body) in requests(UNKNOWN, UNKNOWN) {
        assert_eq!(
            code(&desk.ask(EVE, verb, &path, &body).await?),
            is(404, "not_found"),
            "{verb} {path}"
        );
    }
    Ok(())
}

pub(super) async fn each_may_what_the_table_says(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    // Read, patch, delete, transition, assign, unassign, comments, comment, history; then another's comment.
    let table = [
        ("owner", "200 403 403 200 403 403 200 201 200 403 403"),
        ("viewer", "200 403 403 403 403 403 200 403 200 403 403"),
        ("editor", "200 403 403 403 403 403 200 201 200 403 403"),
        ("guest", "200 403 403 403 403 403 200 201 200 403 403"),
        ("agent", "200 200 204 200 200 200 200 201 200 403 403"),
        ("admin", "200 200 204 200 200 200 200 201 200 200 204"),
    ];
    desk.get(EVE, "/v1/tickets").await?;
    for (who, expected) in table {
        for (place, status) in expected.split(' ').enumerate() {
            let (ticket, comment) = commented(&desk, "carl").await?;
            let id = ticket["id"].as_str().unwrap_or_default();
            let token = |role: &str, capability: &str| {
                let topics = json!({format!("tickets:{id}"): ["view", capability]});
                Token::of("gil").claim("role", role).claim("topics", topics).sign()
            };
            let authorization = match who {
                "owner" => CARL.authorization()?,
                "viewer" => format!("Bearer {}", token("viewer", "view")?),
                "editor" => format!("Bearer {}", token("customer", "edit")?),
                "guest" => format!("Bearer {}", token("guest", "view")?),
                "agent" => Who("agent", "kim").authorization()?,
                _ => ADAM.authorization()?,
            };
            let comment = comment["id"].as_str().unwrap_or_default();
            let (verb, path, body) = requests(id, comment).swap_remove(place);
            let answer = desk.ask_as((&authorization, &[]), verb, &path, &body).await?;
            assert_eq!(answer.status.to_string(), status, "{who}: {verb} {path}: {answer}");
        }
    }
    let bulk = json!({"ids": [UNKNOWN], "changes": {}});
    let trace = "/v1/events?trace_id=0af7651916cd43dd8448eb211c80319c";
    let draft = json!({"title": "t", "description": "d"});
    for (who, expected) in [
        (CARL, [403, 201, 200, 200, 403]),
        (Who("viewer", "vic"), [403, 201, 200, 200, 403]),
        (Who("guest", "gus"), [403, 403, 403, 403, 403]),
        (EVE, [404, 201, 200, 200, 200]),
    ] {
        let mut statuses = Vec::new();
        for (verb, path, body) in [
            ("POST", "/v1/tickets/bulk", &bulk),
            ("POST", "/v1/tickets", &draft),
            ("GET", "/v1/tickets", &Value::Null),
            ("GET", "/v1/tickets/stats", &Value::Null),
            ("GET", trace, &Value::Null),
        ] {
            statuses.push(desk.ask(who, verb, path, body).await?.status);
        }
        assert_eq!(statuses, expected, "{who:?}");
    }
    let own = desk.get(CARL, "/v1/tickets?limit=1").await?["data"][0].clone();
    assert_eq!((&own["user_id"], &own["guest"]), (&json!("carl"), &Value::Null));
    Ok(())
}

pub(super) async fn what_the_staff_says_of_a_ticket_is_refused_to_others(
    options: Options,
) -> Result<()> {
    let desk = Desk::start(options).await?;
    let count =
        async || Ok::<_, anyhow::Error>(desk.get(KEY, "/v1/tickets/stats").await?["total"].clone());
    for (field, value) in [
        ("user_id", json!("dora")),
        ("guest", json!({"name": "g", "email": "g@x"})),
        ("metadata", json!({})),
        ("metadata", json!({"m": CANARY})),
    ] {
        let mut draft = json!({"title": "t", "description": "d"});
        draft[field] = value;
        let refused = desk.ask(CARL, "POST", "/v1/tickets", &draft).await?;
        assert_eq!(code(&refused), (422, format!("invalid_{field}")), "{refused}");
        assert_eq!(refused.json()["details"]["field"], field);
    }
    assert_eq!(count().await?, 0);
    let own = json!({"title": "t", "description": "d", "user_id": "carl", "guest": null,
        "metadata": null});
    let made = desk.ask(CARL, "POST", "/v1/tickets", &own).await?;
    assert_eq!((made.status, &made.json()["user_id"]), (201, &json!("carl")));
    Ok(())
}

pub(super) async fn an_owner_closes_a_ticket_and_opens_it_again(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let (ticket, _) = commented(&desk, "carl").await?;
    let path = format!("{}/transitions", at(&ticket));
    for (who, to, expected) in [
        (CARL, "resolved", 403),
        (CARL, "open", 409),
        (EVE, "in_progress", 200),
        (CARL, "open", 403),
        (CARL, "closed", 200),
        (CARL, "closed", 409),
        (CARL, "open", 200),
        (EVE, "resolved", 200),
        (CARL, "open", 200),
    ] {
        let answer = desk.ask(who, "POST", &path, &json!({"to": to})).await?;
        assert_eq!(answer.status, expected, "{who:?} to {to}: {answer}");
    }
    Ok(())
}

pub(super) async fn a_key_needs_the_scope(options: Options) -> Result<()> {
    // The digests of "reader", "writer" and "events".
    let keys = r#"[
        { id = "r", sha256 = "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", scopes = ["tickets:read"] },
        { id = "w", sha256 = "b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5", scopes = ["tickets:write"] },
        { id = "e", sha256 = "DIGEST", scopes = ["events:read"] },
    ]"#;
    let keys = keys.replace('\n', " ").replace("DIGEST", EVENTS_DIGEST);
    let desk = Desk::start(options.set("auth.api_keys", &keys)).await?;
    let (ticket, comment) = commented(&desk, "carl").await?;
    let id = |of: &Value| of["id"].as_str().unwrap_or_default().to_owned();
    for (verb, path, body) in requests(&id(&ticket), &id(&comment)) {
        let reads = verb == "GET";
        for (key, may) in [("reader", reads), ("events", false)] {
            let authorization = format!("ApiKey {key}");
            let answer = desk.ask_as((&authorization, &[]), verb, &path, &body).await?;
            assert_eq!(answer.status == 200, may, "{key}: {verb} {path}: {answer}");
            assert!(may || code(&answer) == is(403, "not_authorized"), "{key}: {verb} {path}");
        }
    }
    let writer = "ApiKey writer";
    let draft = json!({"title": "t", "description": "d"});
    let made = desk.ask_as((writer, &[]), "POST", "/v1/tickets", &draft).await?;
    assert_eq!(
        (made.status, &made.json()["version"]),
        (201, &json!(1)),
        "it sees what the staff sees"
    );
    let note = json!({"content": CANARY, "is_internal": true});
    let path = format!("{}/comments", at(&made.json()));
    let note = desk.ask_as((writer, &[]), "POST", &path, &note).await?;
    assert_eq!((note.status, &note.json()["author_id"]), (201, &json!("key:w")));
    let trace = "/v1/events?trace_id=0af7651916cd43dd8448eb211c80319c";
    for (key, expected) in [("reader", 403), ("writer", 403), ("events", 200), ("dev", 200)] {
        let authorization = format!("ApiKey {key}");
        let answer = desk.ask_as((&authorization, &[]), "GET", trace, &Value::Null).await?;
        assert_eq!(answer.status, expected, "{key}");
    }
    Ok(())
}
