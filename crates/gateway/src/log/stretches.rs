//! What was read of logs a moment ago. Events are never changed, so what reaches as far as the topic does is not read
//! again: a crowd that takes longer to come back than a reading is fresh costs each log one look.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use penholder_hub::{News, Stretch};
use penholder_protocol::TopicName;

/// How long it is kept: for as long as a crowd comes. What a database has lost when it failed over must not be told
/// for long.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Most bytes of all of them.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The ends of logs that were read last, by topic.
#[derive(Debug, Default)]
pub(super) struct Stretches(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_topic: HashMap<TopicName, (Instant, Arc<Stretch>)>,
    /// The same in order of time, and some that are gone already.
    order: VecDeque<(Instant, TopicName)>,
    bytes: usize,
}

impl Stretches {
    /// The last events of `topic` up to this number, or further, if they were read lately.
    pub(super) fn up_to(&self, topic: &TopicName, seq: u64) -> Option<Arc<Stretch>> {
        let kept = self.0.lock();
        let (at, stretch) = kept.by_topic.get(topic)?;
        let end = stretch.news.last().map_or(stretch.after.seq, News::seq);
        (end >= seq && at.elapsed() < KEPT_FOR).then(|| Arc::clone(stretch))
    }

    /// Keeps what was just read.
    pub(super) fn keep(&self, topic: &TopicName, stretch: &Arc<Stretch>) {
        let mut kept = self.0.lock();
        kept.forget(topic);
        let now = Instant::now();
        kept.bytes += stretch.cost();
        kept.by_topic.insert(topic.clone(), (now, Arc::clone(stretch)));
        kept.order.push_back((now, topic.clone()));
        kept.tidy();
    }

    /// Forgets what is old.
    pub(super) fn tidy(&self) {
        self.0.lock().tidy();
    }
}

impl Kept {
    fn forget(&mut self, topic: &TopicName) {
        if let Some((_, stretch)) = self.by_topic.remove(topic) {
            self.bytes -= stretch.cost();
        }
    }

    fn tidy(&mut self) {
        while let Some((at, topic)) = self.order.front() {
            if at.elapsed() < KEPT_FOR && self.bytes <= BYTES_MAX {
                return;
            }
            if self.by_topic.get(topic).is_some_and(|(kept_at, _)| kept_at == at) {
                let topic = topic.clone();
                self.forget(&topic);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use penholder_hub::{Position, Then, TicketNews};
    use penholder_protocol::Json;
    use serde_json::json;

    use super::*;

    fn topic(n: usize) -> TopicName {
        TopicName::parse(&format!("doc:{n}")).unwrap()
    }

    /// Two events, of which the last has this number.
    fn stretch(last: u64, bytes: usize) -> Arc<Stretch> {
        let event = |seq| {
            let staff = Json::of(&json!("x".repeat(bytes / 2)));
            let (name, then) = ("comment_created".to_owned(), Then::GoesOn);
            News::Ticket(TicketNews { seq, name, staff, public: None, then })
        };
        let after = Position { seq: last - 2, staff_only: 0 };
        Arc::new(Stretch { after, news: vec![event(last - 1), event(last)] })
    }

    #[test]
    fn what_reaches_far_enough_is_found() {
        let stretches = Stretches::default();
        assert_eq!(stretches.up_to(&topic(1), 0), None);
        stretches.keep(&topic(1), &stretch(5, 10));
        for seq in [0, 4, 5] {
            assert_eq!(stretches.up_to(&topic(1), seq), Some(stretch(5, 10)));
        }
        assert_eq!(stretches.up_to(&topic(1), 6), None);
        assert_eq!(stretches.up_to(&topic(2), 0), None);
        stretches.keep(&topic(1), &stretch(7, 10));
        assert_eq!(stretches.up_to(&topic(1), 6), Some(stretch(7, 10)));
        // Where nothing is kept of a log, it ends where it begins.
        let after = Position { seq: 9, staff_only: 0 };
        stretches.keep(&topic(1), &Arc::new(Stretch { after, news: Vec::new() }));
        assert!(stretches.up_to(&topic(1), 9).is_some());
        assert_eq!(stretches.up_to(&topic(1), 10), None);
    }

    #[test]
    fn all_of_them_have_a_bound_and_the_oldest_go() {
        let stretches = Stretches::default();
        let large = stretch(5, BYTES_MAX / 4 - 1024);
        (0..4).for_each(|n| stretches.keep(&topic(n), &large));
        assert!(stretches.up_to(&topic(0), 5).is_some());
        // The oldest was read once more.
        [0, 4].iter().for_each(|n| stretches.keep(&topic(*n), &large));
        let is_kept = [0, 1, 2, 3, 4].map(|n| stretches.up_to(&topic(n), 5).is_some());
        assert_eq!(is_kept, [true, false, true, true, true]);
        {
            let kept = stretches.0.lock();
            assert!(kept.bytes <= BYTES_MAX && kept.by_topic.len() == 4, "{}", kept.bytes);
        }
        (2..=4).for_each(|n| stretches.0.lock().forget(&topic(n)));
        let bytes = stretches.0.lock().bytes;
        assert_eq!(bytes, large.cost());
    }

    #[test]
    fn what_is_old_is_not_told_and_is_forgotten() {
        let stretches = Stretches::default();
        stretches.keep(&topic(1), &stretch(5, 10));
        {
            let mut kept = stretches.0.lock();
            let old = Instant::now().checked_sub(KEPT_FOR).unwrap();
            kept.by_topic.get_mut(&topic(1)).unwrap().0 = old;
            kept.order[0].0 = old;
        }
        assert_eq!(stretches.up_to(&topic(1), 5), None);
        stretches.tidy();
        let kept = stretches.0.lock();
        assert_eq!((kept.by_topic.len(), kept.order.len(), kept.bytes), (0, 0, 0));
    }
}
