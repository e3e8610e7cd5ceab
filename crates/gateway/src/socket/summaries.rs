//! The channel `system:summaries`: one line for each of many topics, kept up to date.

use std::sync::Arc;
use std::time::Duration;

use penholder_hub::{Class, Frame, MemberId, WatcherId};
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{
    ClientFrame, ErrorCode, ErrorReply, Json, Ref, Summaries, SummariesJoin, TopicName, Wire,
};
use tokio::task::AbortHandle;

use super::connection::Connection;
use crate::shard::{Feed, Outbox, Shards};
use crate::summaries::watchable;

/// How long changes are gathered before they are told.
const WINDOW: Duration = Duration::from_millis(100);

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
        let topics = watchable(&asked.topics, |topic| self.identity.capabilities(topic))?;
        let join_ref = frame.join_ref.as_ref().or(frame.reference.as_ref());
        let address =
            Address { join_ref, reference: frame.reference.as_ref(), topic: &frame.topic };
        let ok = encode::reply(self.wire, &address, ReplyStatus::Ok, &Json::empty_object());
        let feed = Arc::new(Feed::new(topics.clone()));
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
        let task = tokio::spawn(tell(teller.clone(), Arc::clone(&feed))).abort_handle();
        Ok(SummariesChannel { watcher, feed, teller, task })
    }
}

async fn tell(teller: Teller, feed: Arc<Feed>) {
    let first = loop {
        feed.ready().await;
        if let Some(all) = feed.all() {
            break all;
        }
    };
    teller.tell(&first, Class::Snapshot);
    loop {
        feed.ready().await;
        tokio::time::sleep(WINDOW).await;
        if let Some(news) = feed.news() {
            teller.tell(&news, Class::Presence);
        }
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
    /// The topics whose rows it tells.
    pub(super) fn topics(&self) -> &[TopicName] {
        self.feed.topics()
    }

    /// Tells all rows anew, after some were dropped.
    pub(super) fn repair(&self) {
        if let Some(all) = self.feed.all() {
            self.teller.tell(&all, Class::Snapshot);
        }
    }

    /// Ends the channel.
    pub(super) async fn end(self, shards: &Shards) {
        self.task.abort();
        self.teller.outbox.forget(self.teller.member);
        shards.unwatch(self.watcher).await;
    }
}
