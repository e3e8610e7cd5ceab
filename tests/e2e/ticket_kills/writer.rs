//! The writers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use penholder_evidence::Draw;
use penholder_hub::Audience;
use penholder_tests::{Answer, CANARY, Request, Token, exchange};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::CUSTOMERS;

/// How long a request may take, with all that happens to the server meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Create,
    Patch,
    Comment,
    Note,
    Transition,
    Bulk,
    /// Bulk with a ticket that there is not.
    VainBulk,
}

impl What {
    /// The event that comes of it, for each ticket or comment that it writes.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Create => "ticket_created",
            Self::Patch => "ticket_updated",
            Self::Comment => "comment_created",
            Self::Note => "internal_note_created",
            Self::Transition => "ticket_status_changed",
            Self::Bulk | Self::VainBulk => "tickets_bulk_updated",
        }
    }

    /// Whether it may be sent again under its key until it is answered. A change of fields may not.
    fn may_be_repeated(self) -> bool {
        self != Self::Patch
    }
}

/// What a request has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done {
        /// Of what was made, where something was.
        id: Option<String>,
        /// How many tickets and comments are different now.
        writes: usize,
    },
    /// It was refused.
    Refused,
    /// It was not answered, and could not be sent again.
    Unknown,
}

/// A request, and what has come of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its trace, by which the log knows it.
    pub(crate) trace: String,
    /// What it writes, where that is a text. No other request writes the same.
    pub(crate) mark: String,
    pub(crate) what: What,
    pub(crate) outcome: Outcome,
    /// How often it was sent without an answer.
    pub(crate) lost: u32,
    /// Whether the answer was that to an earlier one.
    pub(crate) is_replay: bool,
}

impl Asked {
    fn new(writer: u64, n: u64, what: What) -> Self {
        let trace = format!("{:016x}{n:016x}", writer + 1);
        // What only the staff may see says so.
        let start = if what == What::Note { CANARY } else { "mark" };
        let (mark, outcome) = (format!("{start} {writer}.{n}"), Outcome::Unknown);
        Self { trace, mark, what, outcome, lost: 0, is_replay: false }
    }

    /// The nth request before anything is killed.
    pub(crate) fn setup(n: usize) -> Self {
        Self::new(0xffff, n as u64, What::Create)
    }

    pub(crate) fn done(mut self, id: String) -> Self {
        self.outcome = Outcome::Done { id: Some(id), writes: 1 };
        self
    }

    /// The request, in its trace.
    pub(crate) fn request(&self, method: &str, path: &str, token: &str) -> Request {
        let traceparent = format!("00-{}-00000000000000a1-01", self.trace);
        let request = Request::new(method, path).authorized(&format!("Bearer {token}"));
        request.header("traceparent", &traceparent)
    }
}

/// Somebody, and what proves it.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) audience: Audience,
}

impl Person {
    pub(crate) fn new(name: &str, audience: Audience) -> Result<Self> {
        let role = if audience == Audience::Staff { "agent" } else { "customer" };
        let token = Token::of(name).claim("role", role).sign()?;
        Ok(Self { name: name.to_owned(), token, audience })
    }
}

/// What all know.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    pub(crate) port: u16,
    tickets: Arc<Mutex<Vec<(String, String)>>>,
    setup: Arc<Mutex<Vec<Asked>>>,
    answered: Arc<AtomicU64>,
}

impl Agreed {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, tickets: Arc::default(), setup: Arc::default(), answered: Arc::default() }
    }

    /// Notes a ticket that was made before anything is killed.
    pub(crate) fn begin_with(&self, asked: Asked, (id, owner): (String, &str)) {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        self.add(id, owner);
    }

    /// How many requests were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn setup(&self) -> Vec<Asked> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tickets that there are so far, with their owners.
    pub(crate) fn tickets(&self) -> Vec<(String, String)> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, id: String, owner: &str) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.push((id, owner.to_owned()));
    }

    /// A ticket of somebody, or of anybody: most often one of the first, so that many write to the same.
    fn ticket(&self, owner: Option<&str>, draw: &mut Draw) -> Option<String> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = tickets.iter().filter(|(_, it)| owner.is_none_or(|owner| it == owner));
        let mine: Vec<&String> = mine.map(|(id, _)| id).collect();
        let among =
            if draw.below(3) > 0 { mine.len().min(super::FIRST_TICKETS) } else { mine.len() };
        let n = usize::try_from(draw.below(u64::try_from(among.max(1)).ok()?)).ok()?;
        mine.get(n).map(|id| (*id).clone())
    }
}

/// One writer.
pub(crate) struct Writer {
    n: u64,
    person: Person,
    agreed: Agreed,
    draw: Draw,
}

/// A request as it is sent.
struct Words {
    method: &'static str,
    path: String,
    body: Value,
    /// Whose ticket it makes, where it makes one.
    owner: Option<String>,
}

impl Writer {
    pub(crate) fn new(n: u64, person: Person, agreed: &Agreed, draw: Draw) -> Self {
        Self { n, person, agreed: agreed.clone(), draw }
    }

    /// Writes until it is over; returns all that was asked.
    pub(crate) async fn write_until(mut self, is_over: Arc<AtomicBool>) -> Result<Vec<Asked>> {
        let mut all = Vec::new();
        for n in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let what = self.choose();
            let mut asked = Asked::new(self.n, n, what);
            let words = self.words(&asked)?;
            self.ask(&mut asked, &words).await.with_context(|| format!("{asked:?}"))?;
            if let (Some(owner), Outcome::Done { id: Some(id), .. }) = (words.owner, &asked.outcome)
            {
                self.agreed.add(id.clone(), &owner);
            }
            all.push(asked);
            // So many events that whoever was away for a moment can be told of all.
            let pause = self.draw.below(12);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(all)
    }

    fn choose(&mut self) -> What {
        match (self.person.audience, self.draw.below(16)) {
            (_, 0..2) => What::Create,
            (Audience::Public, _) | (_, 2..6) => What::Comment,
            (_, 6..9) => What::Note,
            (_, 9..12) => What::Transition,
            (_, 12..14) => What::Patch,
            (_, 14) => What::Bulk,
            _ => What::VainBulk,
        }
    }

    fn words(&mut self, asked: &Asked) -> Result<Words> {
        let draw = &mut self.draw;
        let is_public = self.person.audience == Audience::Public;
        let whose = is_public.then_some(self.person.name.as_str());
        let mut ticket = || self.agreed.ticket(whose, draw).context("there is a ticket");
        let words = |method, path: String, body| Words { method, path, body, owner: None };
        Ok(match asked.what {
            What::Create => {
                let other = CUSTOMERS[usize::from(asked.trace.as_bytes()[31] & 1)];
                let owner = whose.unwrap_or(other).to_owned();
                let mut body =
                    json!({"title": "One more", "description": asked.mark, "user_id": owner});
                if !is_public {
                    body["metadata"] = json!({"m": CANARY});
                }
                Words { owner: Some(owner), ..words("POST", "/v1/tickets".to_owned(), body) }
            }
            What::Patch => {
                let metadata = json!({"m": format!("{CANARY} {}", asked.trace)});
                let body = json!({"title": asked.mark, "metadata": metadata});
                words("PATCH", format!("/v1/tickets/{}", ticket()?), body)
            }
            What::Comment => {
                let path = format!("/v1/tickets/{}/comments", ticket()?);
                words("POST", path, json!({"content": asked.mark}))
            }
            What::Note => {
                let path = format!("/v1/tickets/{}/comments", ticket()?);
                words("POST", path, json!({"content": asked.mark, "is_internal": true}))
            }
            What::Transition => {
                let path = format!("/v1/tickets/{}/transitions", ticket()?);
                let all =
                    ["open", "in_progress", "waiting_for_user", "waiting_for_agent", "resolved"];
                let to = all[usize::try_from(draw.below(5))?];
                words("POST", path, json!({"to": to, "reason": asked.mark}))
            }
            What::Bulk | What::VainBulk => {
                let mut ids = vec![ticket()?, ticket()?, ticket()?];
                ids.sort();
                ids.dedup();
                if asked.what == What::VainBulk {
                    ids.push("01890000-0000-7000-8000-000000000000".to_owned());
                }
                let priority = ["low", "medium", "high", "urgent"][usize::try_from(draw.below(4))?];
                let body = json!({"ids": ids, "changes": {"priority": priority}});
                words("POST", "/v1/tickets/bulk".to_owned(), body)
            }
        })
    }

    /// Asks, and asks again until there is an answer.
    async fn ask(&self, asked: &mut Asked, words: &Words) -> Result<()> {
        let mut request = asked.request(words.method, &words.path, &self.person.token);
        if asked.what.may_be_repeated() {
            request = request.header("idempotency-key", &asked.trace);
        }
        let bytes = request.json(&words.body).to_bytes(self.agreed.port);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match heard(exchange(self.agreed.port, &bytes).await) {
                Sent::Answer(answer) => {
                    asked.is_replay = answer.header("idempotency-replay").is_some();
                    asked.outcome = outcome(asked.what, &answer)?;
                    self.agreed.answered.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Sent::Not => {}
                Sent::Lost if asked.what.may_be_repeated() => asked.lost += 1,
                Sent::Lost => return Ok(()),
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("no answer");
    }
}

/// What became of a request that was sent once.
enum Sent {
    Answer(Answer),
    /// It was not taken.
    Not,
    /// It may have been done.
    Lost,
}

fn heard(answer: Result<Answer>) -> Sent {
    match answer {
        Ok(answer) if answer.status == 503 => Sent::Lost,
        // The one before is still under way.
        Ok(answer) if answer.json()["code"] == "request_in_progress" => Sent::Not,
        Ok(answer) => Sent::Answer(answer),
        Err(error) => {
            let io = error.downcast_ref::<std::io::Error>();
            let is_refused =
                io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
            if is_refused { Sent::Not } else { Sent::Lost }
        }
    }
}

fn outcome(what: What, answer: &Answer) -> Result<Outcome> {
    let body = answer.json();
    let id = || body["id"].as_str().map(str::to_owned);
    let done = |id| Outcome::Done { id, writes: 1 };
    Ok(match (what, answer.status) {
        (What::Create | What::Comment | What::Note, 201) => done(id()),
        (What::Patch | What::Transition, 200) => done(None),
        (What::Bulk, 200) => {
            let writes = body["data"].as_array().context("a list")?.len();
            Outcome::Done { id: None, writes }
        }
        (What::Transition, 409) if body["code"] == "invalid_transition" => Outcome::Refused,
        (What::VainBulk, 404) => Outcome::Refused,
        _ => bail!("{what:?}: {answer}"),
    })
}
