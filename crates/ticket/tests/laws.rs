//! Whole lives of a ticket, drawn at random: what must hold of every one of them.

#[path = "laws/life.rs"]
mod life;

use std::collections::{BTreeMap, BTreeSet};

use penholder_lease::{Fence, Kind, Person};
use penholder_ticket::{
    Audience, BulkPatch, Event, EventName, PERSON_TOPICS, Patch, Rules, Status, TOPIC_BYTES_MAX,
    Ticket, bulk_update, collision, person_of, user_topic,
};
use proptest::prelude::*;
use serde_json::Value;

use life::{Life, act, actor, agent, comment, occasion, ticket};

/// What stands in every field that only the staff may see, and in nothing else.
const CANARY: &str = "canary";

proptest! {
    #[test]
    fn topic_of_a_person_names_them_and_nobody_else(id in ".{1,40}", other in "[~0-9A-Fa-f@]{1,8}") {
        if let Some(topic) = user_topic(&id.as_str().into()) {
            let name = topic.strip_prefix(PERSON_TOPICS).expect("the prefix");
            prop_assert!(topic.len() <= TOPIC_BYTES_MAX && !name.is_empty());
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~-".contains(&b)));
            prop_assert_eq!(person_of(name), Some(id.as_str().into()));
        } else {
            prop_assert!(id.len() * 3 > TOPIC_BYTES_MAX - PERSON_TOPICS.len());
        }
        // What names somebody at all is the name that they are given.
        if let Some(named) = person_of(&other) {
            prop_assert_eq!(user_topic(&named), Some(format!("{PERSON_TOPICS}{other}")));
        }
    }

    #[test]
    fn public_is_told_nothing_of_the_staff(acts in prop::collection::vec(act(), 1..40)) {
        for event in Life::of(&acts).events {
            let public = event.routes.iter().filter_map(|route| match &route.own {
                Some(own) => own.public.as_ref(),
                None => event.bodies.public.as_ref(),
            });
            for body in public {
                prop_assert!(!body.contains(CANARY), "{body}");
                for word in ["metadata", "version", "_to_id", "assignee_id", "\"is_internal\":true"] {
                    prop_assert!(!body.contains(word), "{word} in {body}");
                }
            }
            // What is told to the staff alone has no public body that could be told by mistake.
            prop_assert_eq!(event.bodies.public.is_none(), event.audience == Audience::Staff);
        }
    }

    #[test]
    fn each_topic_is_told_once(acts in prop::collection::vec(act(), 1..40)) {
        for event in Life::of(&acts).events {
            let topics: BTreeSet<_> = event.routes.iter().map(|route| &route.topic).collect();
            prop_assert_eq!(topics.len(), event.routes.len());
            let wider = |route: &penholder_ticket::Route| {
                route.audience == Audience::Public && event.audience == Audience::Staff
            };
            prop_assert!(!event.routes.iter().any(wider), "{:?}", event.name);
        }
    }

    #[test]
    fn rows_of_the_log_follow_one_another(acts in prop::collection::vec(act(), 1..40)) {
        let mut rows: BTreeMap<String, Value> = BTreeMap::new();
        for event in Life::of(&acts).events {
            let entity = event.entity.id();
            if event.name == EventName::Collision {
                continue;
            }
            let mut before = rows.get(&entity).cloned();
            // Comments are counted without a write of the ticket.
            if let (Some(Value::Object(before)), Some(previous)) = (&mut before, &event.previous)
                && let Some(count) = previous.get("comment_count")
            {
                before.insert("comment_count".to_owned(), count.clone());
            }
            prop_assert_eq!(&event.previous, &before, "{}", event.name);
            let version = |row: &Value| row["version"].as_u64().unwrap_or_default();
            if let Some(previous) = before.filter(|_| event.op.as_str() == "updated") {
                prop_assert_ne!(&previous, &event.row);
                if event.entity.kind() == "ticket" {
                    prop_assert_eq!(version(&event.row), version(&previous) + 1);
                }
            }
            rows.insert(entity, event.row);
        }
    }

    #[test]
    fn times_go_with_the_status(acts in prop::collection::vec(act(), 1..40)) {
        let life = Life::of(&acts);
        let (mut resolved, mut closed) = (None, None);
        for change in &life.history {
            match change.to {
                Status::Open => (resolved, closed) = (None, None),
                Status::Resolved => resolved = Some(change.at),
                Status::Closed => closed = Some(change.at),
                _ => {}
            }
        }
        prop_assert_eq!((life.ticket.resolved_at, life.ticket.closed_at), (resolved, closed));
        for pair in life.history.windows(2) {
            prop_assert_eq!(pair[1].from, Some(pair[0].to));
            prop_assert_eq!(pair[0].to.check(pair[1].to, Rules::default()), Ok(()));
        }
        prop_assert_eq!(life.history.last().map(|last| last.to), Some(life.ticket.status));
        let public = life.comments.iter().filter(|comment| comment.audience == Audience::Public);
        prop_assert_eq!(life.ticket.comment_count, public.count() as u64);
    }

    #[test]
    fn public_hears_the_same_with_and_without_notes(acts in prop::collection::vec(act(), 1..40)) {
        let quiet: Vec<_> = acts.iter().filter(|act| !act.is_for_the_staff()).cloned().collect();
        prop_assert_eq!(Life::of(&acts).public_stream(), Life::of(&quiet).public_stream());
    }
}

/// Topics in short, with a `*` where only the staff is told.
fn told(event: &Event) -> String {
    let short = |route: &penholder_ticket::Route| {
        let topic = route.topic.strip_prefix("tickets:").unwrap_or(&route.topic);
        let topic = if topic.len() == 36 { "self" } else { topic };
        format!("{topic}{}", if route.audience == Audience::Staff { "*" } else { "" })
    };
    let mut routes: Vec<_> = event.routes.iter().map(short).collect();
    routes.sort();
    format!("{}: {}", event.name, routes.join(" "))
}

#[test]
fn events_go_where_the_table_says() {
    let (eve, by) = (agent("eve"), actor("eve"));
    let now = occasion(&by, 10);
    let rules = Rules::default();
    let patch = |text: &str| -> penholder_ticket::Changes {
        serde_json::from_str::<penholder_ticket::TicketPatch>(text).unwrap().check().unwrap()
    };
    let created = ticket(1, Some("carl"), occasion(&by, 1));
    let of = |ticket: &Ticket, text: &str| ticket.update(&patch(text), rules, now).unwrap().events;
    let mut events = created.events.clone();
    let fresh = created.ticket;
    events.extend(of(&fresh, r#"{"title":"new"}"#));
    events.extend(of(&fresh, r#"{"metadata":{"a":1}}"#));
    events.extend(of(&fresh, r#"{"priority":"high"}"#));
    let assigned = fresh.assign(Some(&eve), now);
    events.extend(assigned.events.clone());
    events.extend(assigned.ticket.assign(Some(&agent("zoe")), now).events);
    events.extend(assigned.ticket.assign(None, now).events);
    // Her own ticket: one copy, and she hears it as its owner.
    events.extend(ticket(2, Some("eve"), now).ticket.assign(Some(&eve), now).events);
    let (open, shown) = comment(7, false, (&fresh, None), now);
    let (note, noted) = comment(8, true, (&fresh, None), now);
    events.extend([shown, noted]);
    events.extend(open.edit("x".into(), &fresh, now).unwrap().1);
    events.extend(note.edit("x".into(), &fresh, now).unwrap().1);
    events.push(open.delete(&fresh, now).unwrap().1);
    events.push(note.delete(&fresh, now).unwrap().1);
    let deleted = fresh.delete(now);
    let topics: Vec<_> = deleted.routes.iter().map(|route| route.topic.clone()).collect();
    assert_eq!(fresh.deletion_topics(), topics);
    events.push(deleted);
    let holder = Person { id: "bob".into(), name: "Bob".into(), kind: Kind::Human };
    events.push(collision(&fresh, (&holder, Fence(3)), None, now));
    // Without an owner there is no such topic.
    events.extend(ticket(3, None, now).events);

    let expected = [
        "ticket_created: all self user:carl",
        "ticket_updated: all self user:carl",
        "ticket_updated: all* self* user:carl*",
        "ticket_priority_changed: all self user:carl",
        "ticket_assigned: all self user:carl user:eve*",
        "ticket_status_changed: all self user:carl",
        "ticket_assigned: all self user:carl user:eve* user:zoe*",
        "ticket_assigned: all self user:carl user:eve*",
        "ticket_assigned: all self user:eve",
        "ticket_status_changed: all self user:eve",
        "comment_created: all self user:carl",
        "internal_note_created: all* self*",
        "comment_updated: all self user:carl",
        "comment_updated: all* self* user:carl*",
        "comment_deleted: all self user:carl",
        "comment_deleted: all* self* user:carl*",
        "ticket_deleted: all self user:carl",
        "collision: self*",
        "ticket_created: all self",
    ];
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn bulk_tells_each_owner_their_own_tickets_only() {
    let by = actor("eve");
    let now = occasion(&by, 10);
    let owners = [Some("carl"), Some("dora"), None, Some("carl")];
    let tickets = (1..).zip(owners).map(|(id, owner)| ticket(id, owner, now).ticket).collect();
    let patch = BulkPatch { priority: Patch::Value("high".into()), ..BulkPatch::default() };
    let changes = patch.check().unwrap();
    let all = bulk_update(tickets, (&changes, None), Rules::default(), now).unwrap();
    let mut told: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in all.iter().flat_map(|changed| &changed.events) {
        for route in &event.routes {
            let bodies = route.own.as_ref().unwrap_or(&event.bodies);
            let body: Value = serde_json::from_str(bodies.public.as_ref().unwrap()).unwrap();
            assert_eq!(body["changes"], serde_json::json!({ "priority": "high" }));
            let ids = body["tickets"].as_array().unwrap().iter();
            let last = |it: &Value| it["id"].as_str().unwrap()[35..].parse().unwrap();
            let earlier = told.insert(route.topic.clone(), ids.map(last).collect());
            assert_eq!(earlier, None, "{} is told twice", route.topic);
        }
    }
    let topics = ["tickets:all", "tickets:user:carl", "tickets:user:dora"];
    let lists: Vec<_> = topics.iter().map(|topic| told.remove(*topic).unwrap()).collect();
    assert_eq!(lists, [vec![1, 2, 3, 4], vec![1, 4], vec![2]]);
    assert!(told.len() == 4 && told.values().all(|list| list.len() == 1), "{told:?}");
}

#[test]
fn bulk_is_all_or_nothing() {
    let by = actor("eve");
    let now = occasion(&by, 10);
    let open = ticket(1, None, now).ticket;
    let closed = open.transition((Status::Closed, None), Rules::default(), now).unwrap().ticket;
    let patch = BulkPatch { status: Patch::Value("resolved".into()), ..BulkPatch::default() };
    let changes = patch.check().unwrap();
    let with_id = |id| Ticket { id: ticket(id, None, now).ticket.id, ..closed.clone() };
    let all = vec![open, with_id(2), with_id(3)];
    let refused = bulk_update(all.clone(), (&changes, None), Rules::default(), now).unwrap_err();
    let refused: Vec<_> = refused.iter().map(|it| (it.ticket, it.refusal.code())).collect();
    let code = "invalid_transition";
    assert_eq!(refused, [(all[1].id, code), (all[2].id, code)], "each of them is named");
}

#[test]
fn nothing_different_tells_nothing() {
    let by = actor("eve");
    let now = occasion(&by, 10);
    let ticket =
        ticket(1, Some("carl"), occasion(&by, 1)).ticket.assign(Some(&agent("eve")), now).ticket;
    assert!(ticket.assign(Some(&agent("eve")), now).events.is_empty());
    let same = format!(r#"{{"title":{:?},"priority":"medium"}}"#, ticket.title);
    let same: penholder_ticket::TicketPatch = serde_json::from_str(&same).unwrap();
    let same = ticket.update(&same.check().unwrap(), Rules::default(), now).unwrap();
    assert!(same.events.is_empty() && same.ticket == ticket);
    let refused = ticket.transition((Status::InProgress, None), Rules::default(), now);
    assert_eq!(refused.unwrap_err().code(), "invalid_transition");
    let (comment, _) = comment(1, false, (&ticket, None), now);
    assert_eq!(comment.edit(comment.content.clone(), &ticket, now).unwrap().1, None);
}

#[test]
fn answers_to_a_note_are_notes_and_a_note_is_nothing_to_the_public() {
    let (staff, carl) = (actor("eve"), actor("carl"));
    let ticket = ticket(1, Some("carl"), occasion(&staff, 1)).ticket;
    let now = occasion(&staff, 2);
    let (note, _) = comment(1, true, (&ticket, None), now);
    let (answer, _) = comment(2, true, (&ticket, Some(&note)), now);
    assert_eq!((answer.parent_id, answer.depth), (Some(note.id), 1));
    let public = life::try_comment(3, false, (&ticket, Some(&note)), now);
    assert_eq!(public.unwrap_err().code(), "invalid_parent");
    let carls = occasion(&carl, 3);
    assert_eq!(
        life::try_comment(4, false, (&ticket, Some(&note)), carls).unwrap_err().code(),
        "invalid_parent"
    );
    assert_eq!(
        life::try_comment(5, true, (&ticket, None), carls).unwrap_err().code(),
        "not_authorized"
    );
    let elsewhere = life::ticket(2, None, now).ticket;
    let (other, _) = comment(6, false, (&elsewhere, None), now);
    assert_eq!(
        life::try_comment(7, false, (&ticket, Some(&other)), carls).unwrap_err().code(),
        "invalid_parent"
    );
    // Neither one's own word of another time, nor another's.
    assert!(
        note.edit("x".into(), &ticket, carls).is_err() && other.delete(&ticket, carls).is_err()
    );
    let closed = ticket.transition((Status::Closed, None), Rules::default(), now).unwrap().ticket;
    assert_eq!(
        life::try_comment(8, false, (&closed, None), now).unwrap_err().code(),
        "ticket_closed"
    );
}
