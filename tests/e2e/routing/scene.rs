//! A row of the table, played.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use penholder_tests::{Answer, CANARY, RawSocket};
use serde_json::{Map, Value, json};

use super::table::{LISTENERS, Row, Step};
use crate::desk::{Desk, Heard, heard, named, quietly, request, token};

/// What every event has.
const EVENT: [&str; 5] = ["actor", "event", "occurred_at", "seq", "ticket"];

/// What the public sees of a ticket.
const PUBLIC: [&str; 15] = [
    "assignee_name",
    "category",
    "closed_at",
    "comment_count",
    "created_at",
    "description",
    "guest",
    "id",
    "priority",
    "resolved_at",
    "slug",
    "status",
    "title",
    "updated_at",
    "user_id",
];

/// What the staff sees of it beside that.
const STAFF_ONLY: [&str; 3] = ["assigned_to_id", "metadata", "version"];

/// Tickets of the people with a topic, for the events that show that nothing else came.
pub(super) type Homes = BTreeMap<&'static str, String>;

pub(super) async fn homes(desk: &Desk) -> Result<Homes> {
    let mut homes = Homes::new();
    for user in ["ann", "cat", "idle", "new", "old"] {
        let body = json!({"title": "home", "description": "d", "user_id": user});
        homes.insert(user, desk.ticket(&token("ada", "admin")?, &body).await?);
    }
    Ok(homes)
}

pub(super) struct Scene<'a> {
    desk: &'a Desk,
    homes: &'a Homes,
    row: &'a Row,
    /// The tickets of the row, and what was last made, by their letters.
    ids: BTreeMap<&'static str, String>,
    listeners: Vec<Listener>,
}

/// Somebody on a topic.
struct Listener {
    place: usize,
    topic: String,
    token: String,
    socket: RawSocket,
    since: u64,
    heard: Vec<Heard>,
}

impl<'a> Scene<'a> {
    /// Makes what the row is about, and seats the listeners.
    pub(super) async fn set(desk: &'a Desk, homes: &'a Homes, row: &'a Row) -> Result<Self> {
        let mut scene = Self { desk, homes, row, ids: BTreeMap::new(), listeners: Vec::new() };
        let ada = token("ada", "admin")?;
        let mut body = json!({"title": "T", "description": "d",
            "metadata": {"m": format!("{CANARY} of the ticket")}});
        if !row.creates {
            match row.owner {
                Some(owner) => body["user_id"] = owner.into(),
                None => body["guest"] = json!({"name": "Gus", "email": "gus@example.org"}),
            }
            scene.ids.insert("{T}", desk.ticket(&ada, &body).await?);
        }
        body["user_id"] = "cat".into();
        body["guest"] = Value::Null;
        scene.ids.insert("{U}", desk.ticket(&ada, &body).await?);
        for step in &row.before {
            let answer = scene.take(step, &[]).await?;
            ensure!((200..300).contains(&answer.status), "{step:?}: {answer}");
            let id = answer.json()["id"].as_str().map(str::to_owned);
            scene.ids.extend(id.map(|id| ("{M}", id)));
        }
        scene.ids.entry("{M}").or_insert_with(|| "none".to_owned());
        scene.seat(|topic| !topic.contains("{T}") || !row.creates, None).await?;
        Ok(scene)
    }

    /// Lets the request be made, and looks at what everybody hears.
    pub(super) async fn play(mut self) -> Result<()> {
        let before = self.views().await?;
        let answer = self.take(&self.row.act, &self.row.headers).await?;
        ensure!(answer.status == self.row.status, "{answer}");
        if self.row.headers.iter().any(|(name, _)| *name == "idempotency-key") {
            let again = self.take(&self.row.act, &self.row.headers).await?;
            assert_eq!(again.header("idempotency-replay"), Some("true"), "{again}");
        }
        if self.row.creates {
            let id = answer.json()["id"].as_str().context("no id")?.to_owned();
            self.ids.insert("{T}", id);
            self.seat(|topic| topic.contains("{T}"), Some(0)).await?;
        }
        let after = self.views().await?;
        self.mark().await?;
        let views = if self.ends() { before } else { after };
        for mut listener in std::mem::take(&mut self.listeners) {
            let (_, who) = LISTENERS[listener.place];
            let what = format!("{who} on {}", listener.topic);
            self.listen(&mut listener).await.with_context(|| what.clone())?;
            self.check(&listener, &views)
                .with_context(|| format!("{what}: {:#?}", listener.heard))?;
            self.replay(&listener).await.with_context(|| format!("{what}, once more"))?;
        }
        Ok(())
    }

    fn ends(&self) -> bool {
        self.row.told.iter().any(|told| told.event == "ticket_deleted")
    }

    fn filled(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (letter, id)| text.replace(letter, id))
    }

    fn token(&self, who: &str) -> Result<String> {
        let topic = self.filled("tickets:{T}");
        match who {
            "ada" => token(who, "admin"),
            "ann" | "cat" => token(who, "customer"),
            "vic" => named(who, "viewer", &topic),
            "gus" => named(who, "guest", &topic),
            _ => token(who, "agent"),
        }
    }

    async fn take(&self, (by, what, body): &Step, headers: &[(&str, &str)]) -> Result<Answer> {
        let (verb, path) = what.split_once(' ').context("a verb and a path")?;
        let path = self.filled(path);
        let body = serde_json::from_str(&self.filled(&body.to_string()))?;
        let request = request(&self.token(by)?, (verb, &path), &body);
        let with = |request: penholder_tests::Request, (name, value): &(&str, &str)| {
            request.header(name, &self.filled(value))
        };
        self.desk.server.ask(headers.iter().fold(request, with)).await
    }

    /// Seats the listeners of some topics. Who may not listen to a ticket is its owner that is none.
    async fn seat(&mut self, is_seated: impl Fn(&str) -> bool, since: Option<u64>) -> Result<()> {
        for (place, (topic, who)) in LISTENERS.into_iter().enumerate() {
            if !is_seated(topic) {
                continue;
            }
            let (topic, token) = (self.filled(topic), self.token(who)?);
            let mut socket = self.desk.server.socket(&token).await?;
            let answer = socket.ask(&topic, "phx_join", &quietly(since)).await?;
            let may_listen = place != 9 || self.row.owner == Some("ann");
            for told in &self.row.told {
                assert_eq!(told.to.as_bytes()[place] != b'-', may_listen, "a letter of {who}");
            }
            if !may_listen {
                assert_eq!(answer["response"]["reason"], "not_authorized", "{who} on {topic}");
                continue;
            }
            ensure!(answer["status"] == "ok", "{who} on {topic}: {answer}");
            let since = since.or(answer["response"]["seq"].as_u64()).context("no seq")?;
            self.listeners.push(Listener { place, topic, token, socket, since, heard: Vec::new() });
        }
        Ok(())
    }

    /// The row's ticket as the staff and the public read it now; null where it is not there.
    async fn views(&self) -> Result<[Value; 2]> {
        let mut views = [Value::Null, Value::Null];
        for (view, who) in views.iter_mut().zip(["ada", "vic"]) {
            let step = (who, "GET /v1/tickets/{T}", Value::Null);
            *view = self.take(&step, &[]).await?.json();
            view.as_object_mut().and_then(|fields| fields.remove("attachments"));
        }
        Ok(views)
    }

    /// Changes a ticket of each topic, last one of which only the topic of all hears more.
    async fn mark(&self) -> Result<()> {
        let gone = self.ends().then_some("{T}");
        let own = ["{T}", "{U}"].into_iter().filter(|letter| Some(*letter) != gone);
        let own = own.map(|letter| self.ids[letter].clone());
        for id in own.chain(self.homes.values().cloned()) {
            // By the holder of the pen, where somebody holds one.
            let path = format!("/v1/tickets/{id}");
            let title = json!({"title": self.marker(&id)});
            self.desk.done(&self.token("sam")?, ("PATCH", &path), &title).await?;
        }
        Ok(())
    }

    fn marker(&self, id: &str) -> String {
        format!("marker of {id} for {}", self.ids["{U}"])
    }

    /// The last event of a topic.
    fn last(&self, topic: &str) -> String {
        let home = match topic.strip_prefix("tickets:").unwrap_or_default() {
            "all" => self.homes.last_key_value().map(|(_, id)| id.clone()),
            topic => match topic.strip_prefix("user:") {
                Some(user) => self.homes.get(user).cloned(),
                None => Some(topic.to_owned()),
            },
        };
        self.marker(&home.unwrap_or_default())
    }

    async fn listen(&self, listener: &mut Listener) -> Result<()> {
        let last = self.last(&listener.topic);
        let Listener { topic, socket, heard: all, .. } = listener;
        let is_last = |frame: &Value| {
            heard(frame, topic).is_some_and(|it| {
                let ends = it.is_end() || it.payload["ticket"]["title"] == *last;
                all.push(it);
                ends
            })
        };
        socket.until("the last event", is_last).await.map(drop)
    }

    fn check(&self, listener: &Listener, views: &[Value; 2]) -> Result<()> {
        let mut heard = listener.heard.iter().filter(|it| {
            let title = it.payload["ticket"]["title"].as_str();
            !title.is_some_and(|title| title.starts_with("marker"))
        });
        let told = self.row.told.iter().filter(|it| it.to.as_bytes()[listener.place] != b'.');
        for told in told {
            let heard = heard.next().with_context(|| format!("{} is missing", told.event))?;
            ensure!(heard.event == told.event, "{} instead of {}", heard.event, told.event);
            let is_staff = told.to.as_bytes()[listener.place] == b'S';
            let fields = if is_staff { &told.staff } else { &told.public };
            if heard.event == "pen" {
                ensure!(fits(&heard.payload["type"], &fields["type"]), "{}", heard.payload);
                continue;
            }
            // The row's last event has the ticket as it is read now.
            let is_last = self.row.told.last().is_some_and(|last| std::ptr::eq(last, told));
            let view = is_last.then(|| &views[usize::from(!is_staff)]);
            self.check_payload(heard, (fields, is_staff), (&listener.topic, view))?;
        }
        let rest: Vec<_> = heard.map(|it| it.event.as_str()).collect();
        let is_own = listener.topic == self.filled("tickets:{T}");
        let end: &[&str] = if self.ends() && is_own { &["phx_close"] } else { &[] };
        ensure!(rest == end, "{rest:?} is not for them");
        for (heard, seq) in
            listener.heard.iter().filter(|it| !it.is_end()).zip(listener.since + 1..)
        {
            ensure!(heard.seq() == Some(seq), "{:?} is not {seq}", heard.seq());
        }
        Ok(())
    }

    fn check_payload(
        &self,
        heard: &Heard,
        (fields, is_staff): (&Value, bool),
        (topic, view): (&str, Option<&Value>),
    ) -> Result<()> {
        let payload = heard.payload.as_object().context("no object")?;
        let fields = fields.as_object().context("the table has an object")?;
        let is_bulk = heard.event == "tickets_bulk_updated";
        let own = EVENT.into_iter().filter(|key| !is_bulk || *key != "ticket");
        let keys = sorted(own.chain(fields.keys().map(String::as_str)));
        ensure!(sorted(payload.keys().map(String::as_str)) == keys, "fields: {payload:?}");
        for (name, expected) in fields {
            ensure!(fits(&payload[name], expected), "{name}: {} is not {expected}", payload[name]);
        }
        assert_eq!(payload["event"], heard.event);
        if is_bulk {
            return self.check_tickets(&payload["tickets"], (topic, is_staff));
        }
        check_ticket(&payload["ticket"], is_staff)?;
        assert_eq!(payload["ticket"]["id"], self.ids["{T}"]);
        if let Some(view) = view {
            ensure!(payload["ticket"] == *view, "the ticket is {view}");
        }
        Ok(())
    }

    /// Of many tickets: on a person's topic theirs, on a ticket's itself.
    fn check_tickets(&self, tickets: &Value, (topic, is_staff): (&str, bool)) -> Result<()> {
        // The first on the topic of the row's ticket hears of it if it was changed.
        let is_changed = |letter: &str| {
            let place = LISTENERS.iter().position(|(topic, _)| topic.contains(letter));
            self.row.told.iter().any(|it| place.is_some_and(|at| it.to.as_bytes()[at] != b'.'))
        };
        let owner = |letter: &str| if letter == "{T}" { self.row.owner } else { Some("cat") };
        let user = topic.strip_prefix("tickets:user:");
        let is_there = |letter: &&str| {
            topic == "tickets:all"
                || user.is_some_and(|user| owner(letter) == Some(user))
                || topic == self.filled(&format!("tickets:{letter}"))
        };
        let expected = ["{T}", "{U}"].into_iter().filter(|it| is_changed(it)).filter(is_there);
        let expected = sorted(expected.map(|letter| self.ids[letter].as_str()));
        let tickets = tickets.as_array().context("no list")?;
        for ticket in tickets {
            check_ticket(ticket, is_staff)?;
        }
        let found = sorted(tickets.iter().filter_map(|it| it["id"].as_str()));
        ensure!(found == expected, "{found:?} instead of {expected:?}");
        Ok(())
    }

    /// Whoever comes back with the number of before hears the same, and reads the same in the log.
    async fn replay(&self, listener: &Listener) -> Result<()> {
        let Listener { topic, since, heard: live, .. } = listener;
        let mut socket = self.desk.server.socket(&listener.token).await?;
        let answer = socket.ask(topic, "phx_join", &quietly(Some(*since))).await?;
        let path = format!("/v1/topics/{topic}/events?after={since}&limit=1000");
        let log = self.desk.ask(&listener.token, ("GET", &path), &Value::Null).await?;
        if live.last().is_some_and(Heard::is_end) {
            assert_eq!(answer["response"]["reason"], "not_authorized", "{answer}");
            assert_eq!(log.status, 404, "{log}");
            return Ok(());
        }
        let payloads: Vec<_> = live.iter().map(|it| it.payload.clone()).collect();
        assert_eq!(log.json(), json!({"data": payloads, "next_cursor": null}));
        assert_eq!(answer["response"]["recovered"], true, "{answer}");
        let mut again = Listener {
            socket,
            topic: topic.clone(),
            token: listener.token.clone(),
            heard: Vec::new(),
            ..*listener
        };
        self.listen(&mut again).await?;
        ensure!(again.heard == *live, "{:#?} instead of {live:#?}", again.heard);
        Ok(())
    }
}

/// Whether a value is as the table has it.
fn fits(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (_, Value::String(any)) if any == "*" => !value.is_null(),
        (Value::Object(fields), Value::Object(expected)) => {
            same_keys(fields, expected)
                && expected.iter().all(|(name, expected)| fits(&fields[name], expected))
        }
        _ => value == expected,
    }
}

fn same_keys(fields: &Map<String, Value>, expected: &Map<String, Value>) -> bool {
    sorted(fields.keys().map(String::as_str)) == sorted(expected.keys().map(String::as_str))
}

/// Makes sure that somebody sees what they may of a ticket, all of it and nothing else.
fn check_ticket(ticket: &Value, is_staff: bool) -> Result<()> {
    let staff_only = STAFF_ONLY.into_iter().filter(|_| is_staff);
    let keys = sorted(PUBLIC.into_iter().chain(staff_only));
    let ticket = ticket.as_object().context("no ticket")?;
    ensure!(sorted(ticket.keys().map(String::as_str)) == keys, "ticket: {ticket:?}");
    Ok(())
}

fn sorted<'t>(words: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut words: Vec<_> = words.collect();
    words.sort_unstable();
    words
}
