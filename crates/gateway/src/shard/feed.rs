//! The rows that one list of topics watches, gathered from all shards.

use std::collections::BTreeSet;

use parking_lot::Mutex;
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
}

impl Feed {
    /// A feed of `topics`, in the order in which they shall be told.
    pub(crate) fn new(topics: Vec<TopicName>) -> Self {
        let state = State { rows: vec![None; topics.len()], news: BTreeSet::new() };
        Self { topics, state: Mutex::new(state), wake: Notify::new() }
    }

    /// The topics, in their order.
    pub(crate) fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// Takes a row in. A row in the place of one not told yet replaces it.
    pub(crate) fn put(&self, row: &TopicRow) {
        let mut state = self.state.lock();
        let named = |(_, topic): &(usize, &TopicName)| topic.as_str() == row.topic;
        for (at, _) in self.topics.iter().enumerate().filter(named) {
            state.rows[at] = Some(row.clone());
            state.news.insert(at);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until there may be news.
    pub(crate) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// All rows, once each topic has one.
    pub(crate) fn all(&self) -> Option<Summaries> {
        let mut state = self.state.lock();
        let data = state.rows.iter().cloned().collect::<Option<Vec<_>>>()?;
        state.news.clear();
        Some(Summaries { data })
    }

    /// The rows that have changed since they were last told, if any.
    pub(crate) fn news(&self) -> Option<Summaries> {
        let mut state = self.state.lock();
        let news = std::mem::take(&mut state.news);
        let data: Vec<_> = news.into_iter().filter_map(|at| state.rows[at].clone()).collect();
        (!data.is_empty()).then_some(Summaries { data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(topic: &str, count: u64) -> TopicRow {
        TopicRow { topic: topic.into(), count, names: Vec::new(), holder: None, prior: None }
    }

    fn feed() -> Feed {
        Feed::new(["b:1", "a:1"].map(|name| TopicName::parse(name).unwrap()).to_vec())
    }

    #[test]
    fn all_rows_come_in_the_order_asked_once_all_are_known() {
        let feed = feed();
        feed.put(&row("a:1", 1));
        assert_eq!(feed.all(), None);
        feed.put(&row("b:1", 2));
        assert_eq!(feed.all().unwrap().data, [row("b:1", 2), row("a:1", 1)]);
        assert_eq!(feed.news(), None);
    }

    #[test]
    fn only_the_newest_of_what_changed_is_news() {
        let feed = feed();
        for count in 1..=3 {
            feed.put(&row("a:1", count));
        }
        assert_eq!(feed.news().unwrap().data, [row("a:1", 3)]);
    }
}
