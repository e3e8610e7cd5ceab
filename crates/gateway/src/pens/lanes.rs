//! One lane per topic: what is asked about a topic is done one after another, and topics do not wait for
//! each other.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use parking_lot::Mutex;
use penholder_desk::Trace;
use penholder_hub::{PenAsker, PenTask};
use penholder_protocol::TopicName;

use super::Asker;

/// Most jobs of one topic that somebody waits for.
const LANE_LEN_MAX: usize = 256;

/// Most jobs of all topics that somebody waits for.
const JOBS_MAX: usize = 4096;

/// Something to do with a pen.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) topic: TopicName,
    pub(super) task: PenTask,
    /// The trace of the request that it comes of, if there is one.
    pub(super) trace: Option<Trace>,
    pub(super) asker: Asker,
}

/// The jobs that wait. A topic has a lane exactly while somebody works on it.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By names that outsiders choose, so hashed with a key that they do not know.
    lanes: HashMap<TopicName, VecDeque<Job>>,
    count: usize,
}

impl Lanes {
    /// Whether nobody should wait here any more. What nobody waits for is bounded by the sessions that
    /// there are.
    pub(super) fn is_full(&self, topic: &TopicName) -> bool {
        let state = self.0.lock();
        state.count >= JOBS_MAX
            || state.lanes.get(topic).is_some_and(|lane| lane.len() >= LANE_LEN_MAX)
    }

    /// Adds a job; says whether somebody has to begin to work on its lane.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut state = self.0.lock();
        state.count += 1;
        let mut begins = false;
        let lane = state.lanes.entry(job.topic.clone()).or_insert_with(|| {
            begins = true;
            VecDeque::new()
        });
        lane.push_back(job);
        begins
    }

    /// Does the jobs of a lane until none is left. One that panics leaves its asker to `broken`, and the
    /// next one begins.
    pub(super) async fn work<S, B>(
        &self,
        topic: &TopicName,
        serve: impl Fn(Job) -> S,
        broken: impl Fn(Option<PenAsker>) -> B,
    ) where
        S: Future<Output = ()>,
        B: Future<Output = ()>,
    {
        while let Some(job) = self.next(topic) {
            let member = match &job.asker {
                Asker::Member(asker) => Some(asker.clone()),
                // A caller hears of it by the end of the channel.
                Asker::Nobody | Asker::Caller(_) => None,
            };
            // A job shares nothing with the next but the store, which has undone or kept what it did.
            if AssertUnwindSafe(serve(job)).catch_unwind().await.is_err() {
                broken(member).await;
            }
        }
    }

    /// The next job of a lane; none, when the lane has ended.
    pub(super) fn next(&self, topic: &TopicName) -> Option<Job> {
        let mut state = self.0.lock();
        let job = state.lanes.get_mut(topic).and_then(VecDeque::pop_front);
        match &job {
            Some(_) => state.count -= 1,
            None => {
                state.lanes.remove(topic);
            }
        }
        job
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().count
    }
}

#[cfg(test)]
mod tests {
    use penholder_hub::MemberId;
    use tokio::sync::oneshot;

    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn job(name: &str, after: u64) -> Job {
        Job { topic: topic(name), task: PenTask::Follow(after), trace: None, asker: Asker::Nobody }
    }

    fn next(lanes: &Lanes, name: &str) -> Option<u64> {
        match lanes.next(&topic(name))?.task {
            PenTask::Follow(after) => Some(after),
            _ => None,
        }
    }

    #[test]
    fn jobs_of_a_topic_come_in_order_and_one_works_on_them() {
        let lanes = Lanes::default();
        assert!(lanes.push(job("doc:1", 1)));
        assert!(!lanes.push(job("doc:1", 2)));
        assert!(lanes.push(job("doc:2", 3)));
        assert_eq!(next(&lanes, "doc:1"), Some(1));
        // Its worker still works on the last.
        assert_eq!(next(&lanes, "doc:1"), Some(2));
        assert!(!lanes.push(job("doc:1", 4)));
        assert_eq!(next(&lanes, "doc:1"), Some(4));
        assert_eq!(next(&lanes, "doc:1"), None);
        assert!(lanes.push(job("doc:1", 5)));
        assert_eq!(lanes.len(), 2);
    }

    #[tokio::test]
    async fn a_job_that_panics_is_told_of_and_the_lane_goes_on() {
        let lanes = Lanes::default();
        let (answer, told) = oneshot::channel();
        let asker = PenAsker { member: MemberId(7), reference: None };
        let jobs = [Asker::Nobody, Asker::Member(asker), Asker::Caller(answer), Asker::Nobody];
        for (after, asker) in (0..).zip(jobs) {
            lanes.push(Job { asker, ..job("doc:1", after) });
        }
        let (served, broken) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let serve = async |job: Job| {
            let PenTask::Follow(after) = job.task else { return };
            assert!(after == 0 || after == 3, "as if an invariant were broken");
            served.lock().push(after);
        };
        let tell = async |asker: Option<PenAsker>| {
            broken.lock().push(asker.map(|asker| asker.member));
        };
        lanes.work(&topic("doc:1"), serve, tell).await;
        assert_eq!(*served.lock(), [0, 3]);
        assert_eq!(*broken.lock(), [Some(MemberId(7)), None]);
        assert!(told.await.is_err(), "whoever called does not wait on");
        assert_eq!(lanes.len(), 0);
        assert!(lanes.push(job("doc:1", 4)), "the lane is free");
    }

    #[test]
    fn a_lane_and_all_of_them_have_an_end() {
        let lanes = Lanes::default();
        for after in 0..LANE_LEN_MAX as u64 {
            assert!(!lanes.is_full(&topic("doc:1")));
            lanes.push(job("doc:1", after));
        }
        assert!(lanes.is_full(&topic("doc:1")));
        for number in lanes.len()..JOBS_MAX {
            assert!(!lanes.is_full(&topic("doc:2")));
            lanes.push(job(&format!("map:{number}"), 0));
        }
        assert!(lanes.is_full(&topic("doc:2")));
    }
}
