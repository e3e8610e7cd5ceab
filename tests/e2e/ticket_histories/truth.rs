//! What the store has in the end, read past the server.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use penholder_hub::Audience;
use penholder_tests::Server;
use serde_json::Value;
use sqlx::{PgPool, SqlitePool};

use crate::desk::Heard;
use crate::stores::Store;

/// The number of the last event of a topic, for an audience.
pub(crate) type Last = BTreeMap<(String, Audience), u64>;

/// A write as the log has it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) event: String,
    /// What the staff is told of it on the topic of the ticket.
    pub(crate) body: Value,
    topics: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// What each audience of each topic was to hear: the event of number 1 comes first.
    pub(crate) streams: BTreeMap<(String, Audience), Vec<Heard>>,
    /// The writes of each trace, in order.
    pub(crate) writes: BTreeMap<String, Vec<Written>>,
}

/// Topic, number for the staff, number for the public, event and bodies; a pen's has neither.
type Told = (String, i64, Option<i64>, Option<String>, String, Option<String>);

const TOLD: &str = "
    SELECT t.topic, t.seq_staff, t.seq_public, e.event, coalesce(t.staff_body, e.staff_body),
        coalesce(t.public_body, e.public_body)
    FROM event_topics AS t JOIN event_log AS e ON e.id = t.event_id
    UNION ALL
    SELECT p.topic, p.seq, CAST(NULL AS bigint), CAST(NULL AS text), CAST(p.body AS text), CAST(NULL AS text)
    FROM pen_log AS p
    ORDER BY 1, 2";

/// Id, trace, event, body and one of the topics of a write.
type Write = (String, String, String, String, String);

const WRITES: &str = "
    SELECT e.id, coalesce(e.trace_id, ''), e.event, e.staff_body, t.topic
    FROM event_log AS e JOIN event_topics AS t ON e.id = t.event_id ORDER BY e.id";

impl Truth {
    pub(crate) async fn read(store: &Store, server: &Server) -> Result<Self> {
        let (told, writes): (Vec<Told>, Vec<Write>) = match store {
            Store::Sqlite => {
                let file = server.data().join("pens.sqlite");
                let url = format!("sqlite://{}?mode=ro", file.display());
                let pool = SqlitePool::connect(&url).await?;
                let told = sqlx::query_as(TOLD).fetch_all(&pool).await?;
                (told, sqlx::query_as(WRITES).fetch_all(&pool).await?)
            }
            Store::Postgres(database) => {
                let pool = PgPool::connect(&database.url_of("tickets")).await?;
                let told = sqlx::query_as(TOLD).fetch_all(&pool).await?;
                (told, sqlx::query_as(WRITES).fetch_all(&pool).await?)
            }
        };
        let mut truth = Self::default();
        for row in told {
            truth.tell(row)?;
        }
        let mut last_id = String::new();
        for (id, trace, event, body, topic) in writes {
            let of_trace = truth.writes.entry(trace).or_default();
            match of_trace.last_mut().filter(|_| id == last_id) {
                Some(written) => _ = written.topics.insert(topic),
                None => {
                    let (body, topics) = (serde_json::from_str(&body)?, BTreeSet::from([topic]));
                    of_trace.push(Written { event, body, topics });
                }
            }
            last_id = id;
        }
        Ok(truth)
    }

    /// Adds an event to both streams of a topic, each of which counts for itself.
    fn tell(&mut self, (topic, staff, public, event, body, public_body): Told) -> Result<()> {
        let is_pen = event.is_none();
        let event = event.unwrap_or_else(|| "pen".to_owned());
        let public_body = if is_pen { Some(body.clone()) } else { public_body };
        let mut add = |audience, number: Option<i64>, body: &str| -> Result<()> {
            let stream = self.streams.entry((topic.clone(), audience)).or_default();
            let seq = stream.len() + 1;
            let fits = number.is_none_or(|number| usize::try_from(number).ok() == Some(seq));
            ensure!(fits, "{topic}, {audience:?}: {number:?} is not {seq}");
            let mut payload: Value = serde_json::from_str(body)?;
            payload["seq"] = seq.into();
            stream.push(Heard { event: event.clone(), payload });
            Ok(())
        };
        add(Audience::Staff, Some(staff), &body)?;
        match public_body {
            // A body that is there without a number is for the public of other topics.
            Some(body) if is_pen || public.is_some() => add(Audience::Public, public, &body),
            _ => Ok(()),
        }
    }

    pub(crate) fn last(&self) -> Last {
        let last = self.streams.iter().map(|(key, stream)| (key.clone(), stream.len() as u64));
        last.collect()
    }

    /// Each write went to the topics that are to hear of it, and to no others.
    pub(crate) fn check_routes(&self) -> Result<()> {
        for written in self.writes.values().flatten() {
            let Written { event, body, topics } = written;
            let of = |id: &Value| id.as_str().map(|id| format!("tickets:user:{id}"));
            let ticket = &body["ticket"];
            let own = |ticket: &Value| ticket["id"].as_str().map(|id| format!("tickets:{id}"));
            if event == "tickets_bulk_updated" {
                let own = own(&body["tickets"][0]).context("a bulk event without a ticket")?;
                ensure!(topics.contains(&own), "{written:?}");
                continue;
            }
            let mut expected: BTreeSet<_> = own(ticket).into_iter().collect();
            if event != "collision" {
                expected.insert("tickets:all".to_owned());
            }
            if event != "collision" && event != "internal_note_created" {
                expected.extend(of(&ticket["user_id"]));
            }
            if event == "ticket_assigned" {
                expected.extend(
                    of(&body["old_assignee_id"]).into_iter().chain(of(&body["new_assignee_id"])),
                );
            }
            ensure!(*topics == expected, "{expected:?} are to hear {written:?}");
        }
        Ok(())
    }
}
