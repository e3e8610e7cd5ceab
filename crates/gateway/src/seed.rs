//! `penholder seed`: fills the desk of a development server with tickets that could be somebody's.
//!
//! What is told is decided first and by the seed alone (`plan`), then done over HTTP as the people of the
//! demonstration would do it (`errand`). Each request names itself, so that the same seed again adds nothing
//! while the server remembers (24 hours), and what people have done since with a ticket that was there already stays.

mod errand;
mod filled;
mod plan;
mod progress;
mod subjects;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

pub use self::errand::SeedError;
use self::errand::{Done, Errand, Server};
pub use self::filled::Filled;
use self::filled::What;
use self::plan::{ADMIN, PEOPLE, Person, Step, Story};
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
    for Person { user, name, role, .. } in &PEOPLE {
        let body = json!({ "name": name, "role": role });
        server.send(&ADMIN, Errand::put(format!("/v1/users/{user}"), body)).await?;
    }
    Ok(())
}

/// Makes one ticket, and does with it what the story says, in order. What has no name, so that the server would do it
/// again, is left to those who have worked on the ticket since.
async fn tell(server: &Server, story: &Story, seed: u64) -> Result<Filled, SeedError> {
    let key = |step: usize| format!("seed-{seed}-{}-{step}", story.number);
    let mut filled = Filled::default();
    let created = Errand::post("/v1/tickets", story.draft.to_json()).named(key(0));
    let (ticket, done) = server.send(story.by, created).await?.id().await?;
    let written = match done {
        Done::Now => Some(0),
        Done::Before => server.writes(&ticket).await?,
    };
    // Taken away by somebody meanwhile.
    let Some(written) = written else { return Ok(filled) };
    filled.count(What::Ticket, done);
    let mut writes = 0;
    let mut comments = BTreeMap::new();
    for (number, step) in story.steps.iter().enumerate() {
        let place = |rest: &str| format!("/v1/tickets/{ticket}{rest}");
        let name = key(number + 1);
        writes += u64::from(!matches!(step, Step::Comment { .. }));
        match step {
            Step::Comment { by, text, is_internal, answers } => {
                let parent = answers.and_then(|answered| comments.get(&answered));
                let body = json!({
                    "content": text, "is_internal": is_internal, "parent_id": parent,
                });
                let errand = Errand::post(place("/comments"), body).named(name);
                let (comment, done) = server.send(by, errand).await?.id().await?;
                comments.insert(number, comment);
                filled.count(if *is_internal { What::Note } else { What::Comment }, done);
            }
            Step::Transition { by, to, reason } => {
                let body = json!({ "to": to.as_str(), "reason": reason });
                let errand = Errand::post(place("/transitions"), body).named(name);
                filled.count(What::Change, server.send(by, errand).await?.done());
            }
            Step::Assign { .. } | Step::Priority { .. } if writes <= written => {
                filled.count(What::Change, Done::Before);
            }
            Step::Assign { by, to } => {
                let body = json!({ "user_id": to.user });
                server.send(by, Errand::put(place("/assignee"), body)).await?;
                filled.count(What::Change, Done::Now);
            }
            Step::Priority { by, to } => {
                let body = json!({ "priority": to.as_str() });
                server.send(by, Errand::patch(place(""), body)).await?;
                filled.count(What::Change, Done::Now);
            }
        }
    }
    Ok(filled)
}
