//! The channel `system:summaries`: one line for each of many topics, kept up to date.
//!
//! Whoever watches a ticket as its owner may lose it. So before something is told, the store is asked whose the tickets
//! are, once for all of them, unless that was a moment ago.

use std::sync::Arc;
use std::time::Duration;

use penholder_hub::{Class, Frame, MemberId, WatcherId};
use penholder_lease::PersonId;
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{
    ClientFrame, ErrorCode, ErrorReply, Json, Ref, Summaries, SummariesJoin, TopicName, Wire,
};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use crate::app::App;
use crate::auth::Caller;
use crate::log::ticket_of;
use crate::shard::{Feed, Outbox, Shards};
use crate::summaries::{Watchable, watchable};
use crate::tickets::views_by_token;

/// How long changes are gathered before they are told.
const WINDOW: Duration = Duration::from_millis(100);

/// How long after a look into the store a ticket is taken for its owner's.
const OWNED_FOR: Duration = Duration::from_millis(500);

/// A joined `system:summaries`.
#[derive(Debug)]
pub(super) struct SummariesChannel {
    watcher: WatcherId,
    feed: Arc<Feed>,
    teller: Teller,
    task: AbortHandle,
}

/// Tells the rows of a feed to one member.
#[derive(Clone, Debug)]
struct Teller {
    member: MemberId,
    wire: Wire,
    join_ref: Option<Ref>,
    topic: Arc<str>,
    outbox: Arc<Outbox>,
}

/// What is known of whose the tickets are.
struct Ownership {
    app: App,
    owner: PersonId,
    looked_at: Instant,
    /// Whether rows were told since.
    is_behind: bool,
}

impl Connection {
    /// Answers the join, then tells all rows, then those that change.
    pub(super) async fn join_summaries(
        &self,
        frame: &ClientFrame,
        member: MemberId,
        payload: &Json,
    ) -> Result<SummariesChannel, ErrorReply> {
        let asked: SummariesJoin = payload
            .parse_into()
            .map_err(|error| ErrorReply::new(ErrorCode::InvalidPayload).message(error.detail))?;
        let looked_at = Instant::now();
        let caller = Caller::Person(self.identity.clone());
        let Watchable { topics, owned } = watchable(&self.app, &caller, &asked.topics).await?;
        let join_ref = frame.join_ref.as_ref().or(frame.reference.as_ref());
        let address =
            Address { join_ref, reference: frame.reference.as_ref(), topic: &frame.topic };
        let ok = encode::reply(self.wire, &address, ReplyStatus::Ok, &Json::empty_object());
        let feed = Arc::new(Feed::new(topics.clone(), owned));
        let teller = Teller {
            member,
            wire: self.wire,
            join_ref: join_ref.cloned(),
            topic: frame.topic.as_str().into(),
            outbox: Arc::clone(&self.outbox),
        };
        let watcher = self.app.shards.watch(&topics, &feed).await;
        let watcher = watcher.map_err(|_| ErrorReply::new(ErrorCode::Unavailable))?;
        self.send_as(member, ok);
        let (app, owner) = (self.app.clone(), self.identity.subject().into());
        let ownership = Ownership { app, owner, looked_at, is_behind: false };
        let task = tokio::spawn(tell(teller.clone(), Arc::clone(&feed), ownership)).abort_handle();
        Ok(SummariesChannel { watcher, feed, teller, task })
    }
}

async fn tell(teller: Teller, feed: Arc<Feed>, mut ownership: Ownership) {
    loop {
        ownership.until_due(&feed).await;
        if !feed.is_due_whole() {
            tokio::time::sleep(WINDOW).await;
        }
        let is_looked = ownership.look(&feed).await;
        if let Some((rows, class)) = feed.take() {
            ownership.is_behind |= class == Class::Presence && !is_looked;
            teller.tell(&rows, class);
        }
    }
}

impl Ownership {
    /// Waits until there may be something to tell; or until it is time to look again, when something was told since the
    /// last look.
    async fn until_due(&self, feed: &Feed) {
        if self.is_behind {
            timeout_at(self.looked_at + OWNED_FOR, feed.ready()).await.ok();
        } else {
            feed.ready().await;
        }
    }

    /// Lets go of the tickets that are not theirs any more, unless that was looked at a moment ago. While the store is
    /// away, what was true stays true. Returns whether all that is watched may be told as of now.
    async fn look(&mut self, feed: &Feed) -> bool {
        let topics = feed.owned();
        if !topics.is_empty() && self.looked_at.elapsed() < OWNED_FOR {
            return false;
        }
        (self.looked_at, self.is_behind) = (Instant::now(), false);
        let names: Vec<_> = topics.iter().collect();
        if !names.is_empty()
            && let Ok(owned) = self.app.owned(&self.owner, &names).await
        {
            let is_owned =
                |topic: &TopicName| ticket_of(topic).is_some_and(|it| owned.contains(&it));
            topics.iter().filter(|topic| !is_owned(topic)).for_each(|topic| feed.lose(topic));
        }
        true
    }
}

impl Teller {
    fn tell(&self, rows: &Summaries, class: Class) {
        let payload = Json::of(rows);
        let message = encode::Message { topic: &self.topic, event: "summaries", payload: &payload };
        let body = encode::push(self.wire, self.join_ref.as_ref(), &message);
        self.outbox.push(self.member, Frame { body, class });
    }
}

impl SummariesChannel {
    /// Whether `caller` may still watch all that is watched, under a fresh token. Where only the store could tell and it
    /// is away, what was true stays true.
    pub(super) async fn is_still_allowed(&self, app: &App, caller: &Caller) -> bool {
        let known = self.feed.owned();
        let asked: Vec<_> = self.feed.watched();
        match app.may_view_all(caller, &asked).await {
            Ok(owned) => {
                self.feed.set_owned(owned);
                true
            }
            Err(refused) if refused.known_code() == Some(ErrorCode::Unavailable) => {
                asked.iter().all(|topic| known.contains(topic) || views_by_token(caller, topic))
            }
            Err(_) => false,
        }
    }

    /// Tells all rows anew, after some were dropped.
    pub(super) fn repair(&self) {
        self.feed.repeat();
    }

    /// Ends the channel.
    pub(super) async fn end(self, shards: &Shards) {
        self.task.abort();
        self.teller.outbox.forget(self.teller.member);
        shards.unwatch(self.watcher).await;
    }
}
