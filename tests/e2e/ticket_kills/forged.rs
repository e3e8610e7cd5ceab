//! Runs that are forged: the judge must find each mistake.

use std::collections::BTreeMap;

use anyhow::Result;
use penholder_hub::Audience;
use serde_json::json;

use super::judge::judge;
use super::listener::{Delivery, Heard};
use super::truth::Truth;
use super::writer::{Asked, Outcome, What};

const TOPIC: &str = "tickets:all";

/// A run: three comments, of which the last was asked for twice.
#[derive(Clone)]
struct Run {
    asked: Vec<Asked>,
    truth: Truth,
    heard: Heard,
}

impl Run {
    fn sound() -> Self {
        let (mut asked, mut truth, mut deliveries) = (Vec::new(), Truth::default(), Vec::new());
        for n in 1..=3 {
            let (trace, mark, id) = (format!("trace {n}"), format!("mark {n}"), format!("id {n}"));
            let (what, outcome) =
                (What::Comment, Outcome::Done { id: Some(id.clone()), writes: 1 });
            truth.traces.insert(trace.clone(), vec![what.event().to_owned()]);
            truth.kept.insert(mark.clone(), vec![id]);
            let event = what.event().to_owned();
            deliveries.push(Delivery { seq: n, event, payload: json!({"comment": mark}) });
            let lost = u32::from(n == 3);
            asked.push(Asked { trace, mark, what, outcome, lost, is_replay: n == 3 });
        }
        let key = (TOPIC.to_owned(), Audience::Staff);
        truth.last.insert(key.clone(), 3);
        truth.events.insert(key, deliveries.clone());
        let topics = BTreeMap::from([(TOPIC.to_owned(), deliveries)]);
        let log = topics.clone();
        let heard =
            Heard { audience: Audience::Staff, topics, log, returns: 1, put_off: 0, resumed: 0 };
        Self { asked, truth, heard }
    }

    fn deliveries(&mut self) -> &mut Vec<Delivery> {
        self.heard.topics.get_mut(TOPIC).expect("it is listened to")
    }

    fn mistake(&self) -> Option<String> {
        let judged = judge(&self.asked, &self.truth, std::slice::from_ref(&self.heard));
        judged.err().map(|error| format!("{error:#}"))
    }
}

/// Checks that a sound run with one change to it is found, by what the judge says.
fn finds(says: &str, forge: impl FnOnce(&mut Run)) -> Result<()> {
    let mut run = Run::sound();
    forge(&mut run);
    let mistake = run.mistake();
    anyhow::ensure!(mistake.as_ref().is_some_and(|it| it.contains(says)), "{says}: {mistake:?}");
    Ok(())
}

#[test]
fn run_without_a_mistake_is_sound() {
    assert_eq!(Run::sound().mistake(), None);
}

#[test]
fn mistakes_in_what_is_heard_are_found() -> Result<()> {
    finds("the last 1 were not heard", |run| drop(run.deliveries().pop()))?;
    finds("the log has Delivery { seq: 2", |run| drop(run.deliveries().remove(1)))?;
    finds("the log has Delivery { seq: 2", |run| {
        let first = run.deliveries()[0].clone();
        run.deliveries().insert(1, first);
    })?;
    finds("the log has Delivery { seq: 1", |run| run.deliveries().swap(0, 1))?;
    finds("the log has Delivery { seq: 3", |run| {
        run.deliveries()[2].payload = json!({"comment": "another"});
    })?;
    finds("the log has no more", |run| {
        let event = "comment_created".to_owned();
        run.deliveries().push(Delivery { seq: 4, event, payload: json!({}) });
    })?;
    finds("the last 1 are not in the log over HTTP", |run| {
        run.heard.log.get_mut(TOPIC).expect("it is read").pop();
    })
}

#[test]
fn mistakes_in_what_is_written_are_found() -> Result<()> {
    finds("the log has [] of", |run| drop(run.truth.traces.remove("trace 1")))?;
    finds("the log has [\"comment_created\", \"comment_created\"] of", |run| {
        let events = run.truth.traces.get_mut("trace 3").expect("it was asked");
        events.push("comment_created".to_owned());
    })?;
    finds("the log has [\"comment_created\"] of", |run| run.asked[0].outcome = Outcome::Refused)?;
    finds("nobody has asked for", |run| drop(run.asked.pop()))?;
    finds("kept are [] of", |run| drop(run.truth.kept.remove("mark 2")))?;
    finds("kept are [\"id 3\", \"id 4\"] of", |run| {
        let kept = run.truth.kept.get_mut("mark 3").expect("it was asked");
        kept.push("id 4".to_owned());
    })
}

#[test]
fn mistakes_in_the_numbers_are_found() -> Result<()> {
    let key = || (TOPIC.to_owned(), Audience::Staff);
    finds("the counter says 4", |run| {
        run.truth.last.insert(key(), 4);
    })?;
    finds("the log has [1, 2, 2]", |run| {
        run.truth.events.get_mut(&key()).expect("it has events")[2].seq = 2;
    })
}
