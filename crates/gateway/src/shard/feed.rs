//! The rows that one list of topics watches, gathered from all shards.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use penholder_hub::Class;
use penholder_protocol::{Summaries, TopicName, TopicRow};
use tokio::sync::Notify;

/// The newest row of each watched topic, and which of them have not been told yet.
#[derive(Debug)]
pub(crate) struct Feed {
    topics: Vec<TopicName>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    rows: Vec<Option<TopicRow>>,
    news: BTreeSet<usize>,
    /// Whether all rows are to be told, once each topic has one.
    is_due_whole: bool,
    /// Those that are watched by right of owning the ticket.
    owned: BTreeSet<TopicName>,
    /// Those that are not theirs any more, whatever their shards say.
    lost: BTreeSet<TopicName>,
}

impl Feed {
    /// A feed of `topics`, in the order in which they shall be told; those of `owned` may be lost.
    pub(crate) fn new(topics: Vec<TopicName>, owned: Vec<TopicName>) -> Self {
        let state = State {
            rows: vec![None; topics.len()],
            news: BTreeSet::new(),
            is_due_whole: true,
            owned: owned.into_iter().collect(),
            lost: BTreeSet::new(),
        };
        Self { topics, state: Mutex::new(state), wake: Notify::new() }
    }

    /// The topics whose rows are told, in their order.
    pub(crate) fn watched(&self) -> Vec<TopicName> {
        let state = self.state.lock();
        self.topics.iter().filter(|topic| !state.lost.contains(*topic)).cloned().collect()
    }

    /// Takes a row in. A row in the place of one not told yet replaces it.
    pub(crate) fn put(&self, row: &TopicRow) {
        let mut state = self.state.lock();
        if state.lost.contains(row.topic.as_str()) {
            return;
        }
        state.put(&self.topics, row);
        drop(state);
        self.wake.notify_one();
    }

    /// The topics that are watched by right of owning the ticket.
    pub(crate) fn owned(&self) -> Vec<TopicName> {
        self.state.lock().owned.iter().cloned().collect()
    }

    /// Notes which topics are watched by right of owning the ticket, from now on.
    pub(crate) fn set_owned(&self, owned: Vec<TopicName>) {
        self.state.lock().owned = owned.into_iter().collect();
    }

    /// Empties the row of a topic for good.
    pub(crate) fn lose(&self, topic: &TopicName) {
        let mut state = self.state.lock();
        if state.owned.remove(topic) {
            state.lost.insert(topic.clone());
            let topic_name = topic.as_str().to_owned();
            let (names, holder, prior) = (Vec::new(), None, None);
            let nobody = TopicRow { topic: topic_name, count: 0, names, holder, prior };
            state.put(&self.topics, &nobody);
        }
    }

    /// Waits until there may be news.
    pub(crate) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// Lets all rows be told once more.
    pub(crate) fn repeat(&self) {
        self.state.lock().is_due_whole = true;
        self.wake.notify_one();
    }

    /// Whether all rows are to be told, at once.
    pub(crate) fn is_due_whole(&self) -> bool {
        self.state.lock().is_due_whole
    }

    /// What is to be told now: all rows, once each topic has one, then those that have changed.
    pub(crate) fn take(&self) -> Option<(Summaries, Class)> {
        let mut state = self.state.lock();
        if state.is_due_whole {
            let data = state.rows.iter().cloned().collect::<Option<Vec<_>>>()?;
            (state.is_due_whole, state.news) = (false, BTreeSet::new());
            return Some((Summaries { data }, Class::Snapshot));
        }
        let news = std::mem::take(&mut state.news);
        let data: Vec<_> = news.into_iter().filter_map(|at| state.rows[at].clone()).collect();
        (!data.is_empty()).then_some((Summaries { data }, Class::Presence))
    }
}

impl State {
    fn put(&mut self, topics: &[TopicName], row: &TopicRow) {
        let named = |(_, topic): &(usize, &TopicName)| topic.as_str() == row.topic;
        for (at, _) in topics.iter().enumerate().filter(named) {
            self.rows[at] = Some(row.clone());
            self.news.insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(topic: &str, count: u64) -> TopicRow {
        TopicRow { topic: topic.into(), count, names: Vec::new(), holder: None, prior: None }
    }

    fn name(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn feed() -> Feed {
        Feed::new(["b:1", "a:1"].map(name).to_vec(), vec![name("a:1")])
    }

    fn told(feed: &Feed) -> Option<Vec<TopicRow>> {
        feed.take().map(|(rows, _)| rows.data)
    }

    #[test]
    fn all_rows_come_in_the_order_asked_once_all_are_known() {
        let feed = feed();
        feed.put(&row("a:1", 1));
        assert_eq!(told(&feed), None);
        feed.put(&row("b:1", 2));
        assert_eq!(told(&feed).unwrap(), [row("b:1", 2), row("a:1", 1)]);
        assert_eq!(told(&feed), None);
        feed.repeat();
        assert_eq!(told(&feed).unwrap(), [row("b:1", 2), row("a:1", 1)]);
    }

    #[test]
    fn only_the_newest_of_what_changed_is_news() {
        let feed = feed();
        for count in 1..=3 {
            feed.put(&row("a:1", count));
            feed.put(&row("b:1", 1));
        }
        feed.take();
        for count in 1..=3 {
            feed.put(&row("a:1", count));
        }
        assert_eq!(told(&feed).unwrap(), [row("a:1", 3)]);
    }

    #[test]
    fn a_lost_topic_is_empty_for_good() {
        let feed = feed();
        for topic in ["a:1", "b:1"] {
            feed.put(&row(topic, 1));
        }
        feed.take();
        feed.put(&row("a:1", 2));
        feed.lose(&name("a:1"));
        assert_eq!(told(&feed).unwrap(), [row("a:1", 0)]);
        feed.put(&row("a:1", 3));
        assert_eq!(told(&feed), None);
        feed.repeat();
        assert_eq!(told(&feed).unwrap(), [row("b:1", 1), row("a:1", 0)]);
        assert_eq!(feed.owned(), []);
        // One that the token allows is not lost by what the store says.
        feed.lose(&name("b:1"));
        assert_eq!(told(&feed), None);
    }
}
