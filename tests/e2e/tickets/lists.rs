//! Lists and counts.

use anyhow::Result;
use penholder_tests::{CANARY, Options};
use serde_json::{Value, json};

use super::desk::{CARL, DORA, Desk, EVE, KEY, at, code, is};

fn titles(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().into_iter().flatten();
    data.filter_map(|it| it["title"].as_str()).collect()
}

pub(super) async fn filters_find_what_they_name(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    for (title, owner, more) in [
        ("100% off", "carl", json!({"priority": "high"})),
        ("100 off", "dora", json!({"category": "billing"})),
        ("snake_case", "carl", json!({})),
        ("snakeXcase", "carl", json!({})),
        ("ÄRGER", "carl", json!({})),
        ("back\\slash", "carl", json!({})),
    ] {
        let mut body = json!({"title": title, "description": "Nothing", "user_id": owner,
            "metadata": {"m": CANARY}});
        let more = more.as_object().into_iter().flatten();
        more.for_each(|(field, value)| body[field] = value.clone());
        assert_eq!(desk.ask(EVE, "POST", "/v1/tickets", &body).await?.status, 201);
    }
    let all = desk.get(EVE, "/v1/tickets?sort=created_at").await?;
    let path = |place: usize| at(&all["data"][place]);
    desk.ask(EVE, "PUT", &format!("{}/assignee", path(2)), &json!({"user_id": "eve"})).await?;
    desk.ask(EVE, "POST", &format!("{}/transitions", path(3)), &json!({"to": "closed"})).await?;
    for (query, expected) in [
        ("status=in_progress", &["snake_case"][..]),
        ("status=in_progress&status=closed", &["snake_case", "snakeXcase"]),
        ("assigned_to=eve", &["snake_case"]),
        ("assigned_to=none&status=closed", &["snakeXcase"]),
        ("assigned_to=zoe", &[]),
        ("user_id=dora", &["100 off"]),
        ("priority=high", &["100% off"]),
        ("category=billing", &["100 off"]),
        ("q=100%25", &["100% off"]),
        ("q=snake_", &["snake_case"]),
        ("q=%C3%A4rger", &["ÄRGER"]),
        ("q=k%5Cs", &["back\\slash"]),
        ("q=SNAKE&user_id=carl", &["snake_case", "snakeXcase"]),
        ("q=nothing&category=billing", &["100 off"]),
        ("q=nope", &[]),
    ] {
        let page = desk.get(EVE, &format!("/v1/tickets?sort=created_at&{query}")).await?;
        assert_eq!(titles(&page), expected, "{query}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    let newest = desk.get(EVE, "/v1/tickets").await?;
    assert_eq!(titles(&newest)[0], "back\\slash");
    let touched = desk.get(EVE, "/v1/tickets?sort=-updated_at").await?;
    assert_eq!(titles(&touched)[..2], ["snakeXcase", "snake_case"]);
    for (query, expected) in [
        ("limit=0", "invalid_payload"),
        ("limit=101", "invalid_payload"),
        ("limit=-1", "invalid_payload"),
        ("limit=x", "invalid_payload"),
        ("limit=1&limit=2", "invalid_payload"),
        ("sort=title", "invalid_payload"),
        ("q=a%00", "invalid_payload"),
        ("cursor=x", "invalid_page"),
        ("cursor=MTIzLng", "invalid_page"),
        ("status=x", "invalid_status"),
        ("status=", "invalid_status"),
        ("priority=x", "invalid_priority"),
        ("category=x", "invalid_category"),
        ("user_id=", "invalid_user_id"),
        ("assigned_to=", "invalid_assignee"),
        ("assigned_to=a%00", "invalid_assignee"),
    ] {
        let answer = desk.ask(EVE, "GET", &format!("/v1/tickets?{query}"), &Value::Null).await?;
        assert_eq!(code(&answer), is(422, expected), "{query}");
    }
    let long = format!("/v1/tickets?q={}", "x".repeat(256));
    assert_eq!(desk.ask(EVE, "GET", &long, &Value::Null).await?.status, 422);
    Ok(())
}

pub(super) async fn pages_have_everything_once(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let names: Vec<String> = (0..7).map(|n| format!("t{n}")).collect();
    for name in &names {
        desk.ticket("carl", name).await?;
    }
    let mut last_cursor = String::new();
    for (sort, who) in [("-created_at", EVE), ("created_at", EVE), ("-updated_at", CARL)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/tickets?sort={sort}&limit=3{cursor}");
            let page = desk.get(who, &path).await?;
            seen.extend(titles(&page).into_iter().map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => {
                    cursor = format!("&cursor={next}");
                    next.clone_into(&mut last_cursor);
                }
                None => break,
            }
        }
        if sort.starts_with('-') {
            seen.reverse();
        }
        assert_eq!(seen, names, "{sort}");
    }
    // A cursor goes on with the list that it comes from.
    let path = format!("/v1/tickets?sort=created_at&cursor={last_cursor}");
    let answer = desk.ask(EVE, "GET", &path, &Value::Null).await?;
    assert_eq!(code(&answer), is(422, "invalid_page"));
    Ok(())
}

pub(super) async fn customers_list_and_count_their_own(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    for (owner, title) in [("carl", "a"), ("dora", "b"), ("carl", "c")] {
        desk.ticket(owner, title).await?;
    }
    let body = json!({"title": "g", "description": "d", "guest": {"name": "G", "email": "g@x.org"},
            "metadata": {"m": CANARY}});
    let guests = desk.ask(KEY, "POST", "/v1/tickets", &body).await?.json();
    assert_eq!((&guests["user_id"], &guests["guest"]["name"]), (&Value::Null, &json!("G")));
    desk.ask(EVE, "PUT", &format!("{}/assignee", at(&guests)), &json!({"user_id": "eve"})).await?;

    for (who, query, expected) in [
        (EVE, "", &["g", "c", "b", "a"][..]),
        (CARL, "", &["c", "a"]),
        (CARL, "?user_id=carl", &["c", "a"]),
        (CARL, "?user_id=dora", &[]),
        (CARL, "?assigned_to=none&q=a", &["a"]),
        (DORA, "?status=open", &["b"]),
    ] {
        let page = desk.get(who, &format!("/v1/tickets{query}")).await?;
        assert_eq!(titles(&page), expected, "{who:?} {query}");
    }
    let answer = desk.ask(CARL, "GET", "/v1/tickets?assigned_to=eve", &Value::Null).await?;
    assert_eq!(code(&answer), is(403, "not_authorized"), "agents are for the staff to name");
    let stats = desk.get(EVE, "/v1/tickets/stats").await?;
    let by_status = json!({
        "open": 3, "in_progress": 1, "waiting_for_user": 0, "waiting_for_agent": 0, "resolved": 0,
        "closed": 0,
    });
    assert_eq!(stats, json!({"total": 4, "by_status": by_status, "unassigned": 3}));
    let own = desk.get(CARL, "/v1/tickets/stats").await?;
    assert_eq!((&own["total"], &own["by_status"]["open"]), (&json!(2), &json!(2)));
    Ok(())
}
