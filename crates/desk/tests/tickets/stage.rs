//! People, shorthands, and a look past the tickets into the tables.

use anyhow::{Result, bail};
use penholder_desk::{
    Happened, Pens, Position, Replay, Request, Storage, Tickets, Told, Trace, Work,
};
use penholder_lease::{Kind, Person, Policies, Role};
use penholder_ticket::{
    Actor, Audience, Changes, CommentDraft, NewComment, NewTicket, Rules, TicketDraft, TicketId,
    TicketPatch,
};
use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::harness::Place;

/// What a rule is tried on.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) pens: Pens,
    pub(crate) tickets: Tickets,
    pub(crate) place: Place,
}

impl Site {
    pub(crate) async fn open(place: Place) -> Result<Self> {
        let pens = place.open(Policies::default()).await?;
        let tickets = Tickets::new(&pens, Rules::default());
        Ok(Self { pens, tickets, place })
    }

    /// Begins to do something as somebody.
    pub(crate) async fn by(&self, id: &str) -> Result<Work> {
        Ok(self.tickets.begin(request(id)).await?)
    }

    /// Takes a ticket away.
    pub(crate) async fn delete(&self, id: TicketId) -> Result<Vec<Told>> {
        Ok(self.tickets.delete(request("eve"), (id, None)).await?.commit().await?)
    }

    /// Makes the staff known.
    pub(crate) async fn hire(&self, ids: &[&str]) -> Result<()> {
        for id in ids {
            let Actor { person, role } = actor(id);
            self.tickets.put_person(&person.id, &person.name, role).await?;
        }
        Ok(())
    }

    /// The payloads that a topic's audience hears, from the start.
    pub(crate) async fn heard(&self, topic: &str, audience: Audience) -> Result<Vec<Value>> {
        match self.tickets.events((topic, audience), 0, 1_000).await? {
            Replay::Events { events, .. } => Ok(events
                .into_iter()
                .map(|event| match event.what {
                    Happened::Ticket(text) => serde_json::from_str(&text),
                    Happened::Pen(pen) => Ok(
                        serde_json::json!({ "event": "pen", "seq": event.seq, "type": pen.kind }),
                    ),
                })
                .collect::<Result<_, _>>()?),
            Replay::Reset { last } => bail!("{topic} is reset at {last}"),
        }
    }

    /// The number of the last event that a topic's audience has heard.
    pub(crate) async fn last_seq(&self, topic: &str, audience: Audience) -> Result<u64> {
        let Position { seq, staff_only } = self.tickets.look(topic, None).await?.at;
        Ok(if audience == Audience::Staff { seq } else { seq - staff_only })
    }

    /// The names of the events that a topic's audience hears.
    pub(crate) async fn names(&self, topic: &str, audience: Audience) -> Result<Vec<String>> {
        let heard = self.heard(topic, audience).await?;
        Ok(heard.iter().map(|it| it["event"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

/// Somebody; `carl` and `dora` are customers, `root` is the administrator, all others are agents.
pub(crate) fn actor(id: &str) -> Actor {
    let role = match id {
        "carl" | "dora" => Role::Customer,
        "root" => Role::Admin,
        _ => Role::Agent,
    };
    Actor { person: Person { id: id.into(), name: id.to_uppercase(), kind: Kind::Human }, role }
}

pub(crate) fn request(id: &str) -> Request {
    let trace = Trace { trace_id: "0af7".repeat(8), traceparent: format!("00-{}-01", id) };
    Request { actor: actor(id), trace: Some(trace) }
}

pub(crate) fn ticket(title: &str, owner: Option<&str>) -> Result<NewTicket> {
    let draft = TicketDraft {
        title: title.to_owned(),
        description: format!("About {title}"),
        user_id: owner.map(str::to_owned),
        ..TicketDraft::default()
    };
    Ok(draft.check()?)
}

pub(crate) fn changes(json: &Value) -> Result<Changes> {
    Ok(serde_json::from_value::<TicketPatch>(json.clone())?.check()?)
}

pub(crate) fn says(content: &str) -> Result<NewComment> {
    Ok(CommentDraft { content: content.to_owned(), ..CommentDraft::default() }.check()?)
}

pub(crate) fn notes(content: &str) -> Result<NewComment> {
    let content = content.to_owned();
    Ok(CommentDraft { content, is_internal: true, ..CommentDraft::default() }.check()?)
}

/// What was told to a topic, in short: name and numbers.
pub(crate) fn numbers(told: &[Told], topic: &str) -> Vec<(String, u64, Option<u64>)> {
    let of_topic = told.iter().filter(|told| told.topic == topic);
    of_topic
        .map(|told| (told.name.to_string(), told.seq_staff, told.public.as_ref().map(|it| it.0)))
        .collect()
}

/// Runs a statement beside the tickets.
pub(crate) async fn execute(place: &Place, sql: &str) -> Result<()> {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    match &place.0 {
        Storage::Sqlite { path, .. } => {
            let mut connection =
                SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path.display())).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
        Storage::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// Reads a column of texts beside the tickets.
pub(crate) async fn texts(place: &Place, sql: &'static str) -> Result<Vec<String>> {
    Ok(match &place.0 {
        Storage::Sqlite { path, .. } => {
            let mut connection =
                SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await?
        }
        Storage::Postgres { url, .. } => {
            sqlx::query_scalar(sql).fetch_all(&mut PgConnection::connect(url).await?).await?
        }
    })
}
