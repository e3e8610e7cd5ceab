//! What the staff does to tickets.

use anyhow::{Context, Result};
use penholder_tests::{CANARY, Options, RawSocket, Token};
use serde_json::{Value, json};

use super::desk::{ADAM, CARL, DORA, Desk, EVE, KEY, Who, ZOE, at, code, is};

pub(super) async fn a_ticket_lives(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let file = json!({"url": "https://example.org/a.png", "name": "a.png", "size": 3});
    let body = json!({
        "title": "Größe A4", "description": "It burns.", "category": "technical", "priority": "high",
        "user_id": "carl", "metadata": {"m": CANARY}, "attachments": [file],
    });
    let made = desk.ask(EVE, "POST", "/v1/tickets", &body).await?;
    assert_eq!(made.status, 201, "{made}");
    let ticket = made.json();
    let path = at(&ticket);
    assert_eq!((made.header("location"), made.header("etag")), (Some(&*path), Some("\"1\"")));
    for (field, value) in [
        ("slug", json!("grosse-a4")),
        ("status", json!("open")),
        ("metadata", json!({"m": CANARY})),
        ("version", json!(1)),
        ("comment_count", json!(0)),
        ("assigned_to_id", Value::Null),
    ] {
        assert_eq!(ticket[field], value, "{field}");
    }
    assert_eq!(ticket["attachments"][0]["name"], "a.png");

    let read = desk.ask(EVE, "GET", &path, &Value::Null).await?;
    assert_eq!(
        (read.status, read.header("etag"), read.json()),
        (200, Some("\"1\""), ticket.clone())
    );
    // The owner sees the same without what is the staff's.
    let public = desk.ask(CARL, "GET", &path, &Value::Null).await?;
    assert_eq!((public.status, public.header("etag")), (200, None));
    let mut expected = ticket.clone();
    for field in ["metadata", "version", "assigned_to_id"] {
        expected.as_object_mut().context("an object")?.remove(field);
    }
    assert_eq!(public.json(), expected);

    let patch = json!({"title": "Size", "priority": "low", "metadata": null});
    let patched = desk.ask(EVE, "PATCH", &path, &patch).await?;
    let now = patched.json();
    assert_eq!((patched.status, patched.header("etag")), (200, Some("\"3\"")));
    assert_eq!((&now["slug"], &now["metadata"]), (&ticket["slug"], &json!({})));
    // The same once more is no write.
    let same = desk.ask(EVE, "PATCH", &path, &patch).await?;
    assert_eq!((same.status, same.json()), (200, now));

    let gone = desk.ask(EVE, "DELETE", &path, &Value::Null).await?;
    assert_eq!((gone.status, &*gone.body, gone.header("content-type")), (204, "", None));
    for verb in ["GET", "DELETE"] {
        let answer = desk.ask(EVE, verb, &path, &Value::Null).await?;
        assert_eq!(code(&answer), is(404, "not_found"), "{verb}");
    }
    Ok(())
}

pub(super) async fn a_write_is_conditional_on_what_was_read(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let path = at(&desk.ticket("carl", "t").await?);
    desk.ask(EVE, "PATCH", &path, &json!({"title": "u"})).await?;
    let assignee = format!("{path}/assignee");
    let transitions = format!("{path}/transitions");
    let writes = [
        ("PATCH", &path, json!({"title": "v"})),
        ("POST", &transitions, json!({"to": "resolved"})),
        ("PUT", &assignee, json!({"user_id": "eve"})),
        ("DELETE", &assignee, Value::Null),
        ("DELETE", &path, Value::Null),
    ];
    for (verb, path, body) in &writes {
        for (tag, expected) in [
            ("\"1\"", is(412, "stale_version")),
            ("\"nope\"", is(412, "stale_version")),
            ("W/\"2\"", is(412, "stale_version")),
            ("2", is(400, "malformed")),
            ("\"2\", \"3\"", is(400, "malformed")),
        ] {
            let headers = [("if-match", tag)];
            let answer = desk.ask_with((EVE, &headers), verb, path, body).await?;
            assert_eq!(code(&answer), expected, "{verb} {path} {tag}: {answer}");
            if expected.0 == 412 {
                assert_eq!(answer.json()["details"], json!({"version": 2}), "{verb} {path}");
            }
        }
    }
    // The owner has no versions, so none of theirs matches, and they are told of none.
    let close = json!({"to": "closed"});
    for tag in ["\"2\"", "\"1\""] {
        let headers = [("if-match", tag)];
        let answer = desk.ask_with((CARL, &headers), "POST", &transitions, &close).await?;
        assert_eq!(code(&answer), is(412, "stale_version"));
        assert_eq!(answer.json()["details"], Value::Null);
    }
    assert_eq!(desk.get(EVE, &path).await?["version"], 2, "nothing was written");
    let mut version = 2;
    for (verb, path, body) in &writes {
        let tag = format!("\"{version}\"");
        let answer = desk.ask_with((EVE, &[("if-match", &tag)]), verb, path, body).await?;
        assert!(matches!(answer.status, 200 | 204), "{verb} {path}: {answer}");
        version = answer.json()["version"].as_u64().unwrap_or_default();
        assert!(answer.header("etag") == Some(&format!("\"{version}\"")) || answer.status == 204);
    }
    let path = at(&desk.ticket("carl", "t").await?);
    let any = [("if-match", "*")];
    let answer = desk.ask_with((EVE, &any), "PATCH", &path, &json!({"title": "v"})).await?;
    assert_eq!(answer.status, 200, "{answer}");
    Ok(())
}

/// Takes the pen of a ticket; returns its fence.
async fn pen(desk: &Desk, ticket: &Value) -> Result<String> {
    let id = ticket["id"].as_str().unwrap_or_default();
    let path = format!("/v1/pens/tickets:{id}/acquire");
    let granted = desk.ask(EVE, "POST", &path, &json!({"ttl_ms": 300_000})).await?.json();
    granted["pen"]["fence"].as_str().map(str::to_owned).context("no fence")
}

pub(super) async fn a_write_under_a_fence_that_has_gone_on_is_not_written(
    options: Options,
) -> Result<()> {
    let desk = Desk::start(options).await?;
    let ticket = desk.ticket("carl", "t").await?;
    let path = at(&ticket);
    let fence = pen(&desk, &ticket).await?;
    let write = json!({"title": "u"});
    let later = (fence.parse::<u64>()? + 1).to_string();
    for (who, fence) in [(EVE, &*later), (EVE, "0"), (ZOE, &later)] {
        let headers = [("penholder-fence", fence)];
        let answer = desk.ask_with((who, &headers), "PATCH", &path, &write).await?;
        assert_eq!(code(&answer), is(409, "stale_fence"), "{who:?} {fence}: {answer}");
        let holder = json!({"id": "eve", "name": "eve", "kind": "human"});
        assert_eq!(answer.json()["details"], json!({ "holder": holder }));
    }
    for broken in ["", "x", "01", "-1", "18446744073709551616"] {
        let headers = [("penholder-fence", broken)];
        let answer = desk.ask_with((EVE, &headers), "PATCH", &path, &write).await?;
        assert_eq!(code(&answer), is(400, "malformed"), "{broken:?}");
    }
    assert_eq!(desk.get(EVE, &path).await?["title"], "t");
    let headers = [("penholder-fence", &*fence)];
    let answer = desk.ask_with((EVE, &headers), "PATCH", &path, &write).await?;
    assert_eq!(answer.status, 200, "{answer}");
    Ok(())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn traced(desk: &Desk) -> Result<Vec<Value>> {
    let listed = desk.get(KEY, &format!("/v1/events?trace_id={TRACE}")).await?;
    Ok(listed["data"].as_array().cloned().unwrap_or_default())
}

fn traceparent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

pub(super) async fn a_write_without_the_pen_is_flagged_or_refused(options: Options) -> Result<()> {
    let policy = "namespace.tickets.pen.unfenced_writes";
    let desk = Desk::start(options.clone().set(policy, "refuse")).await?;
    let ticket = desk.ticket("carl", "t").await?;
    pen(&desk, &ticket).await?;
    let write = json!({"title": "u"});
    let trace = traceparent();
    let headers = [("traceparent", &*trace)];
    let answer = desk.ask_with((ZOE, &headers), "PATCH", &at(&ticket), &write).await?;
    assert_eq!(code(&answer), is(409, "pen_held"), "{answer}");
    assert_eq!(answer.json()["details"]["holder"]["id"], "eve");
    assert_eq!(desk.get(EVE, &at(&ticket)).await?["title"], "t");
    let names = |events: &[Value]| -> Vec<String> {
        events.iter().filter_map(|it| it["eventName"].as_str()).map(str::to_owned).collect()
    };
    assert_eq!(names(&traced(&desk).await?), ["collision.created"]);
    drop(desk);

    // The default: it is written, and the staff is told.
    let desk = Desk::start(Options::default()).await?;
    let ticket = desk.ticket("carl", "t").await?;
    pen(&desk, &ticket).await?;
    let answer = desk.ask_with((ZOE, &headers), "PATCH", &at(&ticket), &write).await?;
    assert_eq!((answer.status, &answer.json()["title"]), (200, &json!("u")));
    assert_eq!(names(&traced(&desk).await?), ["collision.created", "ticket.updated"]);
    Ok(())
}

/// Many tickets at once are no way around a pen.
pub(super) async fn bulk_is_judged_by_the_pens(options: Options) -> Result<()> {
    let policy = "namespace.tickets.pen.unfenced_writes";
    let desk = Desk::start(options.clone().set(policy, "refuse")).await?;
    let (held, free) = (desk.ticket("carl", "t").await?, desk.ticket("carl", "t").await?);
    pen(&desk, &held).await?;
    let ids = json!([held["id"], free["id"]]);
    let headers = [("traceparent", &*traceparent())];
    let bulk = async |desk: &Desk, by: Who, ids: &Value, changes: Value| {
        let body = json!({"ids": ids, "changes": changes});
        desk.ask_with((by, &headers), "POST", "/v1/tickets/bulk", &body).await
    };
    let names = async |desk: &Desk| {
        let events = traced(desk).await?;
        let names = events.iter().filter_map(|it| it["eventName"].as_str().map(str::to_owned));
        anyhow::Ok(names.collect::<Vec<_>>())
    };
    // What is so already is no write, and whoever has the pen writes.
    assert_eq!(bulk(&desk, ZOE, &ids, json!({"priority": "medium"})).await?.status, 200);
    assert_eq!(names(&desk).await?, Vec::<String>::new());
    let answer = bulk(&desk, ZOE, &ids, json!({"priority": "high"})).await?;
    assert_eq!(code(&answer), is(409, "pen_held"), "{answer}");
    let refused = &answer.json()["details"]["refused"];
    assert_eq!(refused.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&refused[0]["ticket_id"], &refused[0]["details"]["holder"]["id"]),
        (&held["id"], &json!("eve"))
    );
    assert_eq!(desk.get(EVE, &at(&free)).await?["priority"], "medium", "all or none");
    assert_eq!(names(&desk).await?, ["collision.created"]);
    // The status goes on whoever has the pen.
    assert_eq!(bulk(&desk, ZOE, &ids, json!({"status": "closed"})).await?.status, 200);
    assert_eq!(bulk(&desk, EVE, &ids, json!({"priority": "high"})).await?.status, 200);
    drop(desk);

    // The default: it is written, and the staff is told.
    let desk = Desk::start(options).await?;
    let (held, free) = (desk.ticket("carl", "t").await?, desk.ticket("carl", "t").await?);
    pen(&desk, &held).await?;
    let ids = json!([held["id"], free["id"]]);
    // A database of PostgreSQL has what was before.
    let before = names(&desk).await?.len();
    let answer = bulk(&desk, ZOE, &ids, json!({"priority": "high"})).await?;
    assert_eq!(answer.json()["data"].as_array().map(Vec::len), Some(2), "{answer}");
    let told = names(&desk).await?.split_off(before);
    assert_eq!(told, ["collision.created", "ticket.updated", "ticket.updated"]);
    Ok(())
}

/// What a page of somebody hears of a ticket until it is gone: type and rule of what happens to the pen, or the name.
async fn until_gone(page: &mut RawSocket, topic: &str) -> Result<Vec<String>> {
    let mut heard = Vec::new();
    let is_end = |frame: &Value| {
        let (event, told) = (frame[3].as_str().unwrap_or_default(), &frame[4]);
        if frame[2] != *topic {
            return false;
        }
        let words = match event {
            "pen" => format!("{} pen {} by {}", told["seq"], told["type"], told["rule"]),
            "ticket_deleted" => format!("{} {event}", told["seq"]),
            "phx_close" => event.to_owned(),
            _ => return false,
        };
        heard.push(words.replace('"', ""));
        event == "phx_close"
    };
    page.until("the end of the ticket", is_end).await?;
    Ok(heard)
}

/// Whoever has the pen of a ticket that is deleted is told so before it closes, and nobody has it afterwards.
pub(super) async fn a_ticket_that_goes_takes_its_pen_first(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let ticket = desk.ticket("carl", "t").await?;
    let topic = format!("tickets:{}", ticket["id"].as_str().unwrap_or_default());
    let mut pages = Vec::new();
    for Who(role, name) in [EVE, ZOE, CARL] {
        let token = Token::of(name).claim("role", role).sign()?;
        let mut page = desk.server.socket(&token).await?;
        page.join(&topic).await?;
        pages.push(page);
    }
    let had = pages[0].ask(&topic, "pen_acquire", &json!({})).await?;
    assert_eq!(had["response"]["granted"], true, "{had}");
    let waits = pages[1].ask(&topic, "pen_acquire", &json!({"wait": true})).await?;
    assert_eq!(waits["response"]["place"], 1, "{waits}");
    let draft = pages[0].ask(&topic, "pen_draft", &json!({"draft": "not saved"})).await?;
    assert_eq!(draft["status"], "ok", "{draft}");
    let gone = desk.ask(ADAM, "DELETE", &at(&ticket), &Value::Null).await?;
    assert_eq!(gone.status, 204, "{gone}");
    let end = ["3 pen revoked by deleted", "4 ticket_deleted", "phx_close"];
    for page in &mut pages {
        let heard = until_gone(page, &topic).await?;
        assert_eq!(heard[heard.len() - 3..], end, "{heard:?}");
        let again = page.ask(&topic, "phx_join", &json!({})).await?;
        assert_eq!(again["response"]["reason"], "not_authorized");
    }
    for (who, path) in [(EVE, "acquire"), (ADAM, "take_over"), (KEY, "acquire")] {
        let path = format!("/v1/pens/{topic}/{path}");
        let late = desk.ask(who, "POST", &path, &json!({})).await?;
        assert_eq!(code(&late), is(403, "not_authorized"), "{late}");
    }
    assert_eq!(desk.get(EVE, "/v1/pens?holder=eve").await?["data"], json!([]));
    // Each has left, which said no word of the pen any more.
    let log = desk.get(KEY, &format!("/v1/pens/{topic}/log")).await?;
    let kinds: Vec<_> =
        log["data"].as_array().into_iter().flatten().map(|it| &it["type"]).collect();
    assert_eq!(kinds, ["granted", "revoked"], "{log}");
    Ok(())
}

pub(super) async fn status_goes_by_the_machine(options: Options) -> Result<()> {
    let desk = Desk::start(options.set("tickets.allow_reopen", "false")).await?;
    let path = at(&desk.ticket("carl", "t").await?);
    let to = async |who, status: &str| {
        let body = json!({"to": status, "reason": format!("to {status}")});
        desk.ask(who, "POST", &format!("{path}/transitions"), &body).await
    };
    let same = to(EVE, "open").await?;
    assert_eq!(code(&same), is(409, "invalid_transition"));
    assert_eq!(same.json()["details"], json!({"from": "open", "to": "open"}));
    let resolved = to(EVE, "resolved").await?.json();
    assert!(resolved["resolved_at"].is_string() && resolved["closed_at"].is_null());
    assert_eq!(code(&to(EVE, "in_progress").await?), is(409, "invalid_transition"));
    assert_eq!(code(&to(EVE, "open").await?), is(409, "reopen_not_allowed"));
    let patch = json!({"title": "u", "status": "in_progress"});
    let refused = desk.ask(EVE, "PATCH", &path, &patch).await?;
    assert_eq!(code(&refused), is(409, "invalid_transition"));
    assert_eq!(desk.get(EVE, &path).await?["title"], "t", "all or nothing");
    let closed = to(EVE, "closed").await?;
    assert_eq!((closed.status, &closed.json()["resolved_at"]), (200, &resolved["resolved_at"]));

    let history = desk.get(CARL, &format!("{path}/history")).await?;
    let steps = history["data"].as_array().into_iter().flatten();
    let steps: Vec<_> = steps.map(|it| json!([it["from"], it["to"], it["reason"]])).collect();
    let expected = [
        json!([null, "open", null]),
        json!(["open", "resolved", "to resolved"]),
        json!(["resolved", "closed", "to closed"]),
    ];
    assert_eq!(steps, expected);
    assert_eq!(history["data"][1]["actor"]["id"], "eve");
    let (mut seen, mut cursor) = (0, Some(0));
    while let Some(next) = cursor {
        let page = desk.get(CARL, &format!("{path}/history?limit=2&cursor={next}")).await?;
        seen += page["data"].as_array().map_or(0, Vec::len);
        cursor = page["next_cursor"].as_u64();
    }
    assert_eq!(seen, 3);
    for query in ["limit=0", "limit=1001", "cursor=x", "cursor=18446744073709551615"] {
        let answer = desk.ask(EVE, "GET", &format!("{path}/history?{query}"), &Value::Null).await?;
        assert_eq!(answer.status, 422, "{query}");
    }
    Ok(())
}

pub(super) async fn only_known_staff_is_assigned(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let path = at(&desk.ticket("carl", "t").await?);
    let assignee = format!("{path}/assignee");
    desk.get(CARL, &path).await?;
    for nobody in ["nobody", "carl", " ", &"x".repeat(256)] {
        let answer = desk.ask(KEY, "PUT", &assignee, &json!({"user_id": nobody})).await?;
        assert_eq!(code(&answer), is(422, "invalid_assignee"), "{nobody}");
        assert_eq!(answer.json()["details"]["field"], "assigned_to_id");
    }
    let body = json!({"name": "Zoë", "role": "agent"});
    assert_eq!(desk.ask(KEY, "PUT", "/v1/users/zoe", &body).await?.status, 200);
    let given = desk.ask(KEY, "PUT", &assignee, &json!({"user_id": "zoe"})).await?.json();
    assert_eq!((&given["status"], &given["assignee_name"]), (&json!("in_progress"), &json!("Zoë")));
    let public = desk.get(CARL, &path).await?;
    assert_eq!(
        (&public["assignee_name"], &public["assigned_to_id"]),
        (&json!("Zoë"), &Value::Null)
    );
    assert!(public.get("assigned_to_id").is_none());
    let history = desk.get(KEY, &format!("{path}/history")).await?;
    assert_eq!(history["data"][1]["to"], "in_progress");
    let taken = desk.ask(KEY, "DELETE", &assignee, &Value::Null).await?;
    assert_eq!((taken.status, &taken.json()["assigned_to_id"]), (200, &Value::Null));
    // Once more is no write.
    let again = desk.ask(KEY, "DELETE", &assignee, &Value::Null).await?;
    assert_eq!(again.json(), taken.json());
    Ok(())
}

pub(super) async fn bulk_is_all_or_nothing(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let mut tickets = Vec::new();
    for owner in ["carl", "dora", "carl"] {
        tickets.push(desk.ticket(owner, "t").await?);
    }
    let ids: Vec<&Value> = tickets.iter().map(|it| &it["id"]).collect();
    let bulk = async |ids: Value, changes: Value| {
        let body = json!({"ids": ids, "changes": changes});
        desk.ask(EVE, "POST", "/v1/tickets/bulk", &body).await
    };
    desk.ask(EVE, "POST", &format!("{}/transitions", at(&tickets[1])), &json!({"to": "closed"}))
        .await?;
    let refused = bulk(json!(ids), json!({"priority": "urgent", "status": "resolved"})).await?;
    assert_eq!(code(&refused), is(409, "invalid_transition"));
    let told = refused.json();
    let (from, to, id) = ("closed", "resolved", ids[1]);
    let alone = json!({
        "ticket_id": id, "code": "invalid_transition", "message": told["message"],
        "details": {"from": from, "to": to},
    });
    let details = json!({"from": from, "to": to, "ticket_id": id, "refused": [alone]});
    assert_eq!(told["details"], details);
    let unknown = "019aa5b2-0000-7000-8000-00000000000a";
    // Each that is refused is named, what is not there too.
    let both = bulk(json!([ids[0], id, unknown]), json!({"status": "resolved"})).await?;
    assert_eq!(code(&both), is(404, "not_found"));
    let named = both.json()["details"]["refused"].clone();
    let named = |n: usize| (named[n]["ticket_id"].clone(), named[n]["code"].clone());
    assert_eq!(named(0), (json!(unknown), json!("not_found")));
    assert_eq!(named(1), (id.clone(), json!("invalid_transition")));
    for wrong in [json!([ids[0], unknown]), json!([ids[0], "x"])] {
        let answer = bulk(wrong, json!({"priority": "urgent"})).await?;
        assert_eq!(code(&answer), is(404, "not_found"));
    }
    let many: Vec<String> = (0..101).map(|n| format!("019aa5b2-0000-7000-8000-{n:012}")).collect();
    for (wrong, changes, expected) in [
        (json!([]), json!({}), is(422, "invalid_ids")),
        (json!(many), json!({}), is(422, "invalid_ids")),
        (json!(vec!["x"; 101]), json!({}), is(422, "invalid_ids")),
        (json!([ids[0]]), json!({"priority": "x"}), is(422, "invalid_priority")),
        (json!([ids[0]]), json!({"status": null}), is(422, "invalid_status")),
        (json!([ids[0]]), json!({"title": "u"}), is(422, "invalid_payload")),
        (json!([ids[0]]), json!({"assigned_to_id": "nobody"}), is(422, "invalid_assignee")),
        (json!(ids[0]), json!({}), is(422, "invalid_payload")),
    ] {
        let answer = bulk(wrong, changes.clone()).await?;
        assert_eq!(code(&answer), expected, "{changes}: {answer}");
    }
    let untouched = desk.get(EVE, "/v1/tickets?priority=urgent").await?;
    assert_eq!(untouched["data"], json!([]));

    // One id twice is one ticket; what would be the same is not written.
    let twice = json!([ids[0], ids[1], ids[2], ids[0]]);
    let done = bulk(twice, json!({"priority": "urgent", "assigned_to_id": "eve"})).await?;
    let data = done.json()["data"].as_array().cloned().unwrap_or_default();
    assert_eq!((done.status, data.len()), (200, 3), "{done}");
    assert!(data.iter().all(|it| it["priority"] == "urgent" && it["assigned_to_id"] == "eve"));
    let statuses: Vec<_> =
        data.iter().map(|it| it["status"].as_str().unwrap_or_default()).collect();
    assert_eq!(statuses, ["in_progress", "closed", "in_progress"]);
    let same = bulk(json!(ids), json!({"priority": "urgent"})).await?;
    assert_eq!((same.status, same.json()), (200, json!({"data": []})));
    assert_eq!(desk.get(DORA, &at(&tickets[1])).await?["priority"], "urgent");
    Ok(())
}

pub(super) async fn a_trace_has_what_it_has_caused(options: Options) -> Result<()> {
    let desk = Desk::start(options).await?;
    let trace = traceparent();
    let headers = [("traceparent", &*trace)];
    let body = json!({"title": "t", "description": "d", "metadata": {"a_b": {"c_d": CANARY}}});
    let made = desk.ask_with((EVE, &headers), "POST", "/v1/tickets", &body).await?.json();
    let assignee = format!("{}/assignee", at(&made));
    desk.ask_with((EVE, &headers), "PUT", &assignee, &json!({"user_id": "eve"})).await?;
    let note = json!({"content": CANARY, "is_internal": true});
    let path = format!("{}/comments", at(&made));
    let comment = desk.ask_with((EVE, &headers), "POST", &path, &note).await?.json();
    // Another trace, and one that is broken, which counts as another.
    desk.ticket("carl", "u").await?;
    let broken = [("traceparent", &trace[1..])];
    desk.ask_with((EVE, &broken), "PATCH", &at(&made), &json!({"title": "v"})).await?;

    let events = traced(&desk).await?;
    let told: Vec<_> =
        events.iter().map(|it| json!([it["eventName"], it["target"]["type"], it["seq"]])).collect();
    let expected = [
        json!(["ticket.created", "Ticket", 1]),
        json!(["ticket.updated", "Ticket", 2]),
        json!(["ticket.updated", "Ticket", 3]),
        json!(["comment.created", "Comment", 4]),
    ];
    assert_eq!(told, expected);
    let topic = format!("tickets:{}", made["id"].as_str().unwrap_or_default());
    assert!(events.iter().all(|it| it["topic"] == *topic && it["identityId"] == "eve"));
    let (first, last) = (&events[0]["target"], &events[3]["target"]);
    assert_eq!(
        (&first["previousData"], &first["data"]["assignedToId"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        first["data"]["metadata"],
        json!({"a_b": {"c_d": CANARY}}),
        "values are as they are"
    );
    assert_eq!(events[1]["target"]["previousData"]["assignedToId"], Value::Null);
    assert_eq!((&last["id"], &last["data"]["isInternal"]), (&comment["id"], &json!(true)));

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?trace_id={TRACE}&limit=3{cursor}");
        let page = desk.get(ZOE, &path).await?;
        seen.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, events);
    for query in ["", "?trace_id=x", "?trace_id=0AF7651916CD43DD8448EB211C80319C"] {
        let answer = desk.ask(EVE, "GET", &format!("/v1/events{query}"), &Value::Null).await?;
        assert_eq!(answer.status, 422, "{query}");
    }
    let path = format!("/v1/events?trace_id={TRACE}&cursor=x");
    let answer = desk.ask(EVE, "GET", &path, &Value::Null).await?;
    assert_eq!(code(&answer), is(422, "invalid_page"));

    // Whoever is nobody's name is none here either, as consumers have it.
    let guest = Token::of("gus").claim("role", "guest");
    let guest = guest.claim("topics", json!({topic: ["view"]})).sign()?;
    let trace = TRACE.replace('0', "9");
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let asked = (&*format!("Bearer {guest}"), &[("traceparent", &*parent)][..]);
    let path = format!("{}/comments", at(&made));
    let comment = desk.ask_as(asked, "POST", &path, &json!({"content": "g"})).await?;
    assert_eq!(comment.status, 201, "{comment}");
    let listed = desk.get(EVE, &format!("/v1/events?trace_id={trace}")).await?;
    assert_eq!(listed["data"][0]["eventName"], "comment.created");
    assert_eq!(listed["data"][0].get("identityId"), None, "{listed}");
    Ok(())
}
