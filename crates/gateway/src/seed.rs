//! `penholder seed`: fills the desk of a development server with tickets that could be somebody's.
//!
//! What is told is decided first and by the seed alone (`plan`), then done over HTTP as the people of the
//! demonstration would do it (`errand`). Each request names itself, so that the same seed again adds nothing
//! while the server remembers (24 hours).

mod errand;
mod plan;
mod progress;
mod subjects;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

pub use self::errand::SeedError;
use self::errand::{Errand, Server};
use self::plan::{PEOPLE, Person, Step, Story};
use self::progress::Progress;

/// How many tickets are on their way at a time.
const TICKETS_AT_ONCE: usize = 8;

/// What to fill a desk with.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the server is: `http://127.0.0.1:4000`.
    pub url: String,
    /// How many tickets.
    pub tickets: NonZeroU32,
    /// What decides which.
    pub seed: u64,
}

/// What has been filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    tickets: u64,
    comments: u64,
    notes: u64,
    changes: u64,
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tickets, comments, notes, changes } = self;
        write!(
            f,
            "{tickets} tickets with {comments} comments, {notes} internal notes and {changes} changes of \
             status, assignee or priority"
        )
    }
}

/// Fills the desk of the server, and shows how far it has come.
///
/// # Errors
///
/// There is no development server at the URL, or it refuses or cannot be understood.
pub async fn fill(order: &Order) -> Result<Filled, SeedError> {
    let server = Server::find(&order.url).await?;
    introduce(&server).await?;
    let stories = plan::stories(order.seed, order.tickets);
    let progress = Progress::new(u64::from(order.tickets.get()));
    let told = stream::iter(stories.iter().map(|story| async {
        let filled = tell(&server, story, order.seed).await?;
        progress.step();
        Ok::<_, SeedError>(filled)
    }));
    let told: Vec<Filled> = told.buffer_unordered(TICKETS_AT_ONCE).try_collect().await?;
    progress.end();
    Ok(told.into_iter().fold(Filled::default(), Filled::plus))
}

/// Makes the team known: a ticket is assigned to nobody of whom the server has not heard.
async fn introduce(server: &Server) -> Result<(), SeedError> {
    let Some(admin) = PEOPLE.iter().find(|person| person.role == "admin") else { return Ok(()) };
    for Person { user, name, role, .. } in &PEOPLE {
        let body = json!({ "name": name, "role": role });
        server.send(admin, Errand::put(format!("/v1/users/{user}"), body)).await?;
    }
    Ok(())
}

/// Makes one ticket, and does with it what the story says, in order.
async fn tell(server: &Server, story: &Story, seed: u64) -> Result<Filled, SeedError> {
    let key = |step: usize| format!("seed-{seed}-{}-{step}", story.number);
    let created = Errand::post("/v1/tickets", story.draft.to_json()).named(key(0));
    let ticket = server.send(story.by, created).await?.id().await?;
    let mut filled = Filled { tickets: 1, ..Filled::default() };
    let mut comments = BTreeMap::new();
    for (number, step) in story.steps.iter().enumerate() {
        let place = |rest: &str| format!("/v1/tickets/{ticket}{rest}");
        let name = key(number + 1);
        match step {
            Step::Comment { by, text, is_internal, answers } => {
                let parent = answers.and_then(|answered| comments.get(&answered));
                let body = json!({
                    "content": text, "is_internal": is_internal, "parent_id": parent,
                });
                let errand = Errand::post(place("/comments"), body).named(name);
                comments.insert(number, server.send(by, errand).await?.id().await?);
                *(if *is_internal { &mut filled.notes } else { &mut filled.comments }) += 1;
            }
            Step::Transition { by, to, reason } => {
                let body = json!({ "to": to.as_str(), "reason": reason });
                server.send(by, Errand::post(place("/transitions"), body).named(name)).await?;
                filled.changes += 1;
            }
            Step::Assign { by, to } => {
                let body = json!({ "user_id": to.user });
                server.send(by, Errand::put(place("/assignee"), body)).await?;
                filled.changes += 1;
            }
            Step::Priority { by, to } => {
                let body = json!({ "priority": to.as_str() });
                server.send(by, Errand::patch(place(""), body)).await?;
                filled.changes += 1;
            }
        }
    }
    Ok(filled)
}

impl Filled {
    fn plus(self, other: Self) -> Self {
        Self {
            tickets: self.tickets + other.tickets,
            comments: self.comments + other.comments,
            notes: self.notes + other.notes,
            changes: self.changes + other.changes,
        }
    }
}
