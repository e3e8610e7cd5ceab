//! Whether what was asked, kept and heard belongs together.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::listener::{Delivery, Heard};
use super::truth::Truth;
use super::writer::{Asked, Outcome};

/// How much has been tried: a run in which nothing happened shows nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) asked: usize,
    /// Of these, refused.
    pub(crate) refused: usize,
    /// Lost, and asked again.
    pub(crate) repeated: usize,
    /// Repeated, and found to be done already.
    pub(crate) replays: usize,
    /// Lost for good, as they cannot be repeated; and how many of those were done.
    pub(crate) unknown: (usize, usize),
    /// What the log has.
    pub(crate) events: usize,
    pub(crate) deliveries: usize,
    /// How often somebody connected.
    pub(crate) returns: u64,
    /// How often what was missed could not be told at once.
    pub(crate) put_off: u64,
    /// How often a stream of server-sent events went on where it had ended.
    pub(crate) resumed: u64,
}

/// Judges a run.
///
/// # Errors
///
/// Something does not belong together; which, says the error.
pub(crate) fn judge(asked: &[Asked], truth: &Truth, heard: &[Heard]) -> Result<Figures> {
    numbers_are_dense(truth)?;
    writes_are_what_was_asked(asked, truth)?;
    texts_are_kept_once(asked, truth)?;
    for heard in heard {
        all_is_heard(truth, heard)?;
    }
    let count = |fits: &dyn Fn(&Asked) -> bool| asked.iter().filter(|it| fits(it)).count();
    let is_unknown = |it: &Asked| it.outcome == Outcome::Unknown;
    let is_done = |it: &Asked| truth.traces.contains_key(&it.trace);
    Ok(Figures {
        asked: asked.len(),
        refused: count(&|it| it.outcome == Outcome::Refused),
        repeated: count(&|it| it.lost > 0),
        replays: count(&|it| it.is_replay),
        unknown: (count(&is_unknown), count(&|it| is_unknown(it) && is_done(it))),
        events: truth.traces.values().map(Vec::len).sum(),
        deliveries: heard.iter().flat_map(|it| it.topics.values()).map(Vec::len).sum(),
        returns: heard.iter().map(|it| it.returns).sum(),
        put_off: heard.iter().map(|it| it.put_off).sum(),
        resumed: heard.iter().map(|it| it.resumed).sum(),
    })
}

/// The numbers of each topic and audience go from 1 up to the counter, each once.
fn numbers_are_dense(truth: &Truth) -> Result<()> {
    for ((topic, audience), last) in &truth.last {
        let events = truth.events.get(&(topic.clone(), *audience));
        let numbers: Vec<u64> = events.into_iter().flatten().map(|event| event.seq).collect();
        ensure!(
            numbers.iter().copied().eq(1..=*last),
            "{topic}, {audience:?}: the log has {numbers:?}, the counter says {last}"
        );
    }
    let counted = truth.events.keys().all(|key| truth.last.contains_key(key));
    ensure!(counted, "a topic without a counter");
    Ok(())
}

/// What was answered has its event, once; what was refused has none; and there are no others.
fn writes_are_what_was_asked(asked: &[Asked], truth: &Truth) -> Result<()> {
    let mut traces: BTreeMap<&str, &[String]> =
        truth.traces.iter().map(|(trace, events)| (trace.as_str(), events.as_slice())).collect();
    for asked in asked {
        let events = traces.remove(asked.trace.as_str()).unwrap_or_default();
        let is_of_it = events.iter().all(|event| event == asked.what.event());
        let is_right = match asked.outcome {
            Outcome::Done { writes, .. } => is_of_it && events.len() == writes,
            Outcome::Refused => events.is_empty(),
            // Only what writes one thing is not repeated.
            Outcome::Unknown => is_of_it && events.len() <= 1,
        };
        ensure!(is_right, "the log has {events:?} of {asked:?}");
    }
    ensure!(traces.is_empty(), "nobody has asked for {traces:?}");
    Ok(())
}

/// What writes a text of its own has written it once, and it is what was answered.
fn texts_are_kept_once(asked: &[Asked], truth: &Truth) -> Result<()> {
    for asked in asked {
        let kept = truth.kept.get(&asked.mark).map(Vec::as_slice).unwrap_or_default();
        let is_right = match &asked.outcome {
            Outcome::Done { id: Some(id), .. } => kept == [id.clone()],
            Outcome::Done { id: None, .. } | Outcome::Refused | Outcome::Unknown => kept.is_empty(),
        };
        ensure!(is_right, "kept are {kept:?} of {asked:?}");
    }
    Ok(())
}

/// Somebody has heard everything that was for them, in order, each once, and nothing else; and reads the same over
/// HTTP.
fn all_is_heard(truth: &Truth, heard: &Heard) -> Result<()> {
    let audience = heard.audience;
    let all = heard.topics.iter().map(|told| (told, "were not heard"));
    let read = heard.log.iter().map(|told| (told, "are not in the log over HTTP"));
    for ((topic, deliveries), missing) in all.chain(read) {
        let context = || format!("{topic}, {audience:?}");
        let events = truth.events.get(&(topic.clone(), audience));
        let events = events.map(Vec::as_slice).unwrap_or_default();
        is_the_same(events, deliveries, missing).with_context(context)?;
    }
    ensure!(heard.topics.keys().eq(heard.log.keys()), "not every log was read");
    Ok(())
}

fn is_the_same(events: &[Delivery], deliveries: &[Delivery], missing: &str) -> Result<()> {
    let mut expected = events.iter();
    for delivery in deliveries {
        let event = expected.next();
        let event = event.with_context(|| format!("the log has no more, heard {delivery:?}"))?;
        ensure!(event == delivery, "the log has {event:?}, heard {delivery:?}");
    }
    let count = expected.len();
    ensure!(count == 0, "the last {count} {missing}");
    Ok(())
}
