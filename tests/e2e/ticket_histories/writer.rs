//! The writers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use penholder_evidence::Draw;
use penholder_tests::{Answer, CANARY};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::AGENTS;
use super::truth::Written;
use crate::desk::{Desk, request};

/// Begins the traces of the writers.
pub(crate) const TRACES: &str = "feed";

const STATUSES: [&str; 6] =
    ["open", "in_progress", "waiting_for_user", "waiting_for_agent", "resolved", "closed"];
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "urgent"];

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused(u16),
    /// The store was too slow for it; it may have been done.
    Unknown,
}

/// A request, and what came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// By which the log knows it.
    pub(crate) trace: String,
    pub(crate) outcome: Outcome,
    /// The events that may come of it, one list or another.
    events: Vec<Vec<&'static str>>,
    /// A text that no other request writes, if it writes one.
    mark: Option<String>,
}

impl Asked {
    /// Whether it is in the log as it must be.
    pub(crate) fn is_in(&self, written: &[Written]) -> bool {
        // Whoever writes while another holds the pen, collides.
        let own: Vec<_> = written.iter().filter(|it| it.event != "collision").collect();
        match self.outcome {
            Outcome::Refused(_) => return written.is_empty(),
            Outcome::Unknown if written.is_empty() => return true,
            Outcome::Unknown | Outcome::Done => {}
        }
        let names: Vec<_> = own.iter().map(|it| it.event.as_str()).collect();
        let is_marked = |body: &Value, mark: &String| {
            [&body["ticket"]["title"], &body["comment"]["content"], &body["reason"]]
                .iter()
                .any(|text| *text == mark)
        };
        let last = own.last();
        self.events.contains(&names)
            && self
                .mark
                .as_ref()
                .is_none_or(|mark| last.is_some_and(|it| is_marked(&it.body, mark)))
    }
}

/// One writer.
pub(crate) struct Writer {
    n: u64,
    desk: Arc<Desk>,
    token: String,
    /// The tickets that it may write.
    tickets: Vec<String>,
    draw: Draw,
    count: u64,
    /// Its comments and notes that it has not taken away.
    comments: Vec<String>,
    /// The last versions that it has seen, right or not.
    versions: std::collections::BTreeMap<String, u64>,
    asked: Vec<Asked>,
}

/// A request as it is sent.
struct Words {
    verb: &'static str,
    path: String,
    body: Value,
    header: Option<(&'static str, String)>,
    events: Vec<Vec<&'static str>>,
    mark: Option<String>,
}

impl Words {
    fn new(verb: &'static str, path: String, body: Value, event: &'static str) -> Self {
        Self { verb, path, body, header: None, events: vec![vec![event]], mark: None }
    }

    /// It may come to this as well.
    fn or(mut self, events: &[&'static str]) -> Self {
        self.events.push(events.to_vec());
        self
    }

    fn mark(mut self, mark: &str) -> Self {
        self.mark = Some(mark.to_owned());
        self
    }
}

impl Writer {
    pub(crate) fn new(
        n: u64,
        desk: &Arc<Desk>,
        (token, tickets): (String, Vec<String>),
        draw: Draw,
    ) -> Self {
        let (desk, count, comments, versions) = (Arc::clone(desk), 0, Vec::new(), [].into());
        Self { n, desk, token, tickets, draw, count, comments, versions, asked: Vec::new() }
    }

    /// Writes until then; returns all that was asked.
    pub(crate) async fn write_until(mut self, end: Instant) -> Result<Vec<Asked>> {
        while Instant::now() < end {
            self.count += 1;
            let place = self.draw.below(self.tickets.len() as u64);
            let ticket = self.tickets[usize::try_from(place)?].clone();
            let words = if self.n < 4 { self.staff(&ticket) } else { self.customer(&ticket) };
            match words {
                Some(words) => self.ask(&ticket, words).await?,
                None => self.hold(&ticket).await?,
            }
            let pause = self.draw.below(30);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(self.asked)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = self.draw.below(all.len() as u64);
        all[usize::try_from(place).unwrap_or_default()]
    }

    fn customer(&mut self, ticket: &str) -> Option<Words> {
        let mark = format!("mark {}.{}", self.n, self.count);
        let path = format!("/v1/tickets/{ticket}");
        let comments = format!("{path}/comments");
        Some(match self.draw.below(8) {
            // Neither is for them to do.
            0 => Words::new("PATCH", path, json!({"title": mark}), "none"),
            1 => {
                let note = json!({"content": mark, "is_internal": true});
                Words::new("POST", comments, note, "none")
            }
            2 => self.again("comment_updated")?,
            _ => Words::new("POST", comments, json!({"content": mark}), "comment_created")
                .mark(&mark),
        })
    }

    /// What one of the staff does; nothing where it is the pen's turn.
    fn staff(&mut self, ticket: &str) -> Option<Words> {
        let mark = format!("mark {}.{}", self.n, self.count);
        let path = format!("/v1/tickets/{ticket}");
        let comments = format!("{path}/comments");
        Some(match self.draw.below(24) {
            0..=2 => {
                Words::new("PATCH", path, json!({"title": mark}), "ticket_updated").mark(&mark)
            }
            3..=5 => {
                // Somebody else may have been here since.
                let version = self.versions.get(ticket).copied().unwrap_or(1);
                let words = Words::new("PATCH", path, json!({"title": mark}), "ticket_updated");
                Words { header: Some(("if-match", format!("\"{version}\""))), ..words.mark(&mark) }
            }
            6..=7 => {
                let metadata = json!({"metadata": {"m": format!("{CANARY} {mark}")}});
                Words::new("PATCH", path, metadata, "ticket_updated")
            }
            8 => {
                let priority = json!({"priority": self.one_of(&PRIORITIES)});
                Words::new("PATCH", path, priority, "ticket_priority_changed").or(&[])
            }
            9..=11 => Words::new("POST", comments, json!({"content": mark}), "comment_created")
                .mark(&mark),
            12..=14 => {
                let mark = format!("{CANARY} {mark}");
                let note = json!({"content": mark, "is_internal": true});
                Words::new("POST", comments, note, "internal_note_created").mark(&mark)
            }
            15..=16 => {
                let body = json!({"to": self.one_of(&STATUSES), "reason": mark});
                let path = format!("{path}/transitions");
                Words::new("POST", path, body, "ticket_status_changed").mark(&mark)
            }
            17..=18 => {
                let body = json!({"user_id": self.one_of(&AGENTS)});
                Words::new("PUT", format!("{path}/assignee"), body, "ticket_assigned")
                    .or(&["ticket_assigned", "ticket_status_changed"])
                    .or(&[])
            }
            19 => Words::new("DELETE", format!("{path}/assignee"), Value::Null, "ticket_assigned")
                .or(&[]),
            20 => self.bulk(ticket),
            21 => self.again("comment_updated")?,
            22 => self.again("comment_deleted")?,
            _ => return None,
        })
    }

    fn bulk(&mut self, ticket: &str) -> Words {
        let missing = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let others: Vec<String> = self.tickets.iter().filter(|it| *it != ticket).cloned().collect();
        let place = usize::try_from(self.draw.below(others.len() as u64 + 1)).unwrap_or_default();
        let other = others.get(place).cloned().unwrap_or(missing);
        let changes = match self.draw.below(3) {
            0 => json!({"priority": self.one_of(&PRIORITIES)}),
            1 => json!({"status": self.one_of(&STATUSES)}),
            _ => json!({"assigned_to_id": self.one_of(&AGENTS)}),
        };
        let body = json!({"ids": [ticket, other], "changes": changes});
        let event = "tickets_bulk_updated";
        Words::new("POST", "/v1/tickets/bulk".to_owned(), body, event).or(&[event, event]).or(&[])
    }

    /// Lets one of its comments say something else, or takes it away.
    fn again(&mut self, event: &'static str) -> Option<Words> {
        let mark = format!("again {}.{}", self.n, self.count);
        let place = usize::try_from(self.draw.below(self.comments.len().max(1) as u64)).ok()?;
        let id = self.comments.get(place).cloned()?;
        let path = format!("/v1/comments/{id}");
        if event == "comment_deleted" {
            self.comments.swap_remove(place);
            return Some(Words::new("DELETE", path, Value::Null, event));
        }
        Some(Words::new("PATCH", path, json!({"content": mark}), event).mark(&mark))
    }

    async fn ask(&mut self, ticket: &str, words: Words) -> Result<()> {
        let trace = format!("{TRACES}{:012x}{:016x}", self.n, self.count);
        let Words { verb, path, body, header, events, mark } = words;
        let traceparent = format!("00-{trace}-00000000000000a1-01");
        let request =
            request(&self.token, (verb, &path), &body).header("traceparent", &traceparent);
        let request = header.iter().fold(request, |it, (name, value)| it.header(name, value));
        let answer = self.desk.server.ask(request).await?;
        let outcome = match answer.status {
            200..300 => Outcome::Done,
            status @ (403 | 404 | 409 | 412) => Outcome::Refused(status),
            503 => Outcome::Unknown,
            _ => bail!("{verb} {path} {body}: {answer}"),
        };
        self.learn(ticket, &answer);
        self.asked.push(Asked { trace, outcome, events, mark });
        Ok(())
    }

    /// Takes from an answer what it may be of use for.
    fn learn(&mut self, ticket: &str, answer: &Answer) {
        let body = answer.json();
        if let Some(version) = body["version"].as_u64() {
            self.versions.insert(ticket.to_owned(), version);
        }
        if let (201, Some(id)) = (answer.status, body["id"].as_str()) {
            self.comments.push(id.to_owned());
        }
    }

    /// Takes the pen and gives it back, so that its events are among the others and the writes of others collide.
    async fn hold(&mut self, ticket: &str) -> Result<()> {
        let path = format!("/v1/pens/tickets:{ticket}");
        let acquire = format!("{path}/acquire");
        let answer = self.desk.ask(&self.token, ("POST", &acquire), &json!({})).await?;
        if answer.status != 200 {
            return Ok(());
        }
        let pause = self.draw.below(60);
        sleep(Duration::from_millis(pause)).await;
        let fence = json!({"fence": answer.json()["pen"]["fence"]});
        // Too slow a store gives it back when its time is over.
        self.desk.ask(&self.token, ("POST", &format!("{path}/release")), &fence).await.map(drop)
    }
}
