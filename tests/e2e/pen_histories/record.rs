//! What was called, when, and what came of it; and the history that this makes with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use penholder_evidence::{Ask, History, Logged, Model, Op, Outcome, Saw, Who, Within};
use penholder_lease::{Event, EventKind, Fence, StoreMs};

/// How far the clock of the test may be from that of the store, on one machine. Unit: milliseconds.
const SLACK_MS: u64 = 20;

/// How long after the moment that the log gives something may become visible: it is written, and the process may be
/// stopped meanwhile. Whoever reads holds no lock and may still see what was before. Unit: milliseconds.
const COMMIT_MS: u64 = 3_000;

/// Threads of what the server does by itself.
const SERVER: u64 = 1 << 32;

/// A moment of the test, in microseconds of the wall clock that was read at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn of_ms(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    fn ms(self) -> u64 {
        self.0 / 1_000
    }
}

/// A call of a writer.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Who has one call at a time.
    pub(crate) thread: u64,
    pub(crate) topic: &'static str,
    pub(crate) ask: Ask,
    pub(crate) person: String,
    pub(crate) session: String,
    pub(crate) began: Moment,
    /// None where the answer was lost.
    pub(crate) ended: Option<(Moment, Outcome)>,
}

/// All calls of a run.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    wall_us: u64,
    start: Instant,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Recorder {
    pub(crate) fn start() -> Result<Self> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let wall_us = u64::try_from(wall.as_micros())?;
        Ok(Self { wall_us, start: Instant::now(), calls: Arc::default() })
    }

    pub(crate) fn now(&self) -> Moment {
        let elapsed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Moment(self.wall_us.saturating_add(elapsed))
    }

    pub(crate) fn add(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// The calls on a topic.
    pub(crate) fn calls(&self, topic: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.topic == topic).cloned().collect()
    }
}

/// The number of a session in a history; the answers of reads carry it too.
pub(crate) fn number(session: &str) -> u64 {
    // FNV-1a: no two of the few sessions of a run meet.
    session.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn who(person: &str, session: &str) -> Who {
    Who { person: number(person), session: number(session) }
}

/// A step of a history.
struct Step {
    at_us: u64,
    /// Whether it ends a call: of two at one moment the beginning comes first, so that they overlap.
    is_end: bool,
    thread: u64,
    op: Op,
    saw: Option<Saw>,
}

/// The history of a topic, from the calls and from what the log tells beside them. Reads are none of it: see
/// [`check_reads`].
pub(crate) fn history(calls: &[Call], log: &[Logged], model: Model) -> Result<History> {
    let mut steps = Vec::new();
    let writes = calls.iter().filter(|call| call.ask != Ask::Read);
    for call in writes.filter(|call| call.ended.is_some() || shows(call, calls, log)) {
        let from = StoreMs(call.began.ms().saturating_sub(SLACK_MS));
        let op = Op { who: who(&call.person, &call.session), ask: call.ask, from };
        let (at_us, thread) = (call.began.0, call.thread);
        steps.push(Step { at_us, is_end: false, thread, op, saw: None });
        if let Some((ended, outcome)) = call.ended {
            let within = Within { from, to: StoreMs(ended.ms() + SLACK_MS) };
            let saw = Some(Saw { within, outcome });
            steps.push(Step { at_us: ended.0, is_end: true, thread, op, saw });
        }
    }
    steps.extend(told(calls, log)?);
    steps.sort_by_key(|step| (step.at_us, step.is_end));
    let mut history = History::new(model);
    for Step { thread, op, saw, .. } in steps {
        match saw {
            None => history.invoke(thread, op),
            Some(saw) => history.complete(thread, saw),
        }
        .map_err(|error| anyhow!(error))?;
    }
    Ok(history)
}

/// Whether the log shows what a call without an answer may have done. The others have done nothing but to renew,
/// which stands in the history as told by the log; left open, each would double the orders to try.
fn shows(call: &Call, calls: &[Call], log: &[Logged]) -> bool {
    let is_answered = |outcome: Outcome| {
        calls.iter().any(|other| other.ended.is_some_and(|(_, seen)| seen == outcome))
    };
    let is_granted = |fence| {
        let mut own = calls.iter().filter_map(|other| own(other.ended?.1));
        own.any(|(known, _)| known == fence)
    };
    log.iter().any(|Logged { event, .. }| {
        let by_caller = event.by.as_ref().is_some_and(|by| by.id.as_str() == call.person);
        let is_later = event.at.0 + SLACK_MS >= call.began.ms();
        by_caller
            && is_later
            && match (call.ask, event.kind) {
                (Ask::Acquire | Ask::TakeOver, EventKind::Granted) => !is_granted(event.fence),
                (Ask::TakeOver, EventKind::Draining) => {
                    event.pen.deadline.is_none_or(|until| !is_answered(Outcome::Draining(until)))
                }
                (Ask::Release(fence), EventKind::Released) => fence == event.fence,
                _ => false,
            }
    })
}

/// What the server did by itself, by its log: what no call has asked for.
fn told(calls: &[Call], log: &[Logged]) -> Result<Vec<Step>> {
    let renewed: BTreeSet<_> = calls.iter().filter_map(|call| own(call.ended?.1)).collect();
    let released: BTreeSet<_> = calls
        .iter()
        .filter_map(|call| match call.ask {
            Ask::Release(fence) if call.ended.is_none_or(|(_, seen)| seen == Outcome::Done) => {
                Some(fence)
            }
            _ => None,
        })
        .collect();
    let (mut steps, mut holders, mut lanes) = (Vec::new(), BTreeMap::new(), Vec::new());
    for Logged { seq, event } in log {
        if event.kind.is_grant() {
            holders.insert(event.fence, holder(event)?);
        }
        let deadline = event.pen.deadline.unwrap_or(event.at);
        let is_asked_for = match event.kind {
            EventKind::Granted | EventKind::Draining => true,
            EventKind::Renewed => renewed.contains(&(event.fence, deadline)),
            EventKind::Released => released.contains(&event.fence),
            EventKind::Expired
            | EventKind::TakenOver
            | EventKind::Reserved
            | EventKind::Resumed => false,
            kind => bail!("event {seq}: {kind} is not among what was called"),
        };
        if is_asked_for {
            continue;
        }
        let who = *holders.get(&event.fence).context("an event without a holder")?;
        let op = Op { who, ask: Ask::Told(event.kind), from: event.at };
        let saw =
            Saw { within: Within::at(event.at), outcome: Outcome::Own(event.fence, deadline) };
        let (begin, end) = (event.at.before(SLACK_MS).0 * 1_000, (event.at.0 + SLACK_MS) * 1_000);
        let free = lanes.iter().position(|busy_until| *busy_until < begin);
        let lane = free.unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[lane] = end;
        let thread = SERVER + lane as u64;
        steps.push(Step { at_us: begin, is_end: false, thread, op, saw: None });
        steps.push(Step { at_us: end, is_end: true, thread, op, saw: Some(saw) });
    }
    Ok(steps)
}

fn own(outcome: Outcome) -> Option<(Fence, StoreMs)> {
    match outcome {
        Outcome::Own(fence, deadline) => Some((fence, deadline)),
        _ => None,
    }
}

fn holder(event: &Event) -> Result<Who> {
    let person = event.pen.holder.as_ref().context("a grant to nobody")?;
    let session = event.pen.session.as_ref().context("a grant to no session")?;
    Ok(who(person.id.as_str(), session.as_str()))
}

/// What the pen was, by the log, until something else happened.
struct Shown {
    from: StoreMs,
    until: StoreMs,
    session: Option<u64>,
    fence: Fence,
    deadline: StoreMs,
}

impl Shown {
    fn all(log: &[Logged]) -> Vec<Self> {
        let nobody = Self {
            from: StoreMs(0),
            until: StoreMs(u64::MAX),
            session: None,
            fence: Fence::NONE,
            deadline: StoreMs(0),
        };
        let mut all = vec![nobody];
        for Logged { event, .. } in log {
            let next = Self {
                from: event.at,
                until: StoreMs(u64::MAX),
                session: event.pen.session.as_ref().map(|session| number(session.as_str())),
                fence: event.fence,
                deadline: event.pen.deadline.unwrap_or(event.at),
            };
            all.last_mut().expect("nobody had it at first").until = event.at;
            all.push(next);
        }
        all
    }

    fn to(&self, call: &Call, (ended, session, fence): (Moment, Option<u64>, Fence)) -> bool {
        let (began, ended) = (call.began.ms().saturating_sub(SLACK_MS), ended.ms() + SLACK_MS);
        let fits = match (self.session, session) {
            (Some(holder), Some(session)) => holder == session && began < self.deadline.0,
            (Some(_), None) => self.deadline.0 <= ended,
            (None, session) => session.is_none(),
        };
        let is_then = self.from.0 <= ended && began <= self.until.after(COMMIT_MS).0;
        fits && is_then && self.fence == fence
    }
}

/// Checks that whoever read saw what the log knows of that time. They change nothing and may see what is just being
/// written over: in the history, where each overlaps many others, the search for an order could hardly end.
pub(crate) fn check_reads(calls: &[Call], log: &[Logged]) -> Result<()> {
    let shown = Shown::all(log);
    for call in calls {
        let Some((ended, Outcome::Holder(session, fence))) = call.ended else { continue };
        let is_known = shown.iter().any(|shown| shown.to(call, (ended, session, fence)));
        ensure!(is_known, "{call:?} saw what the log does not know: {log:#?}");
    }
    Ok(())
}

/// Checks that every fence that a writer was told of is in the log as theirs, and as nobody else's.
pub(crate) fn check_fences(calls: &[Call], log: &[Logged]) -> Result<()> {
    let mut holders = BTreeMap::new();
    for Logged { event, .. } in log.iter().filter(|logged| logged.event.kind.is_grant()) {
        let before = holders.insert(event.fence, holder(event)?);
        ensure!(before.is_none(), "{} was granted twice", event.fence);
    }
    for call in calls {
        let Some((fence, _)) = call.ended.and_then(|(_, outcome)| own(outcome)) else { continue };
        let expected = who(&call.person, &call.session);
        ensure!(holders.get(&fence) == Some(&expected), "{call:?} got what the log does not know");
    }
    Ok(())
}
