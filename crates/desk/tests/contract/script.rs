//! The store against the state machine, step by step: whatever shortcuts its statements take, what they
//! write and answer is what [`decide`] says.

use anyhow::Result;
use penholder_desk::{Answered, Page, Pens, Renewal, Tickets, Trace};
use penholder_evidence::Draw;
use penholder_lease::{
    Answer, Command, Fence, IfHeld, Lease, Pen, Recipient, StoreMs, StoreTime, Terms, Timeline,
    decide,
};
use penholder_ticket::Rules;
use serde_json::json;

use crate::Site;
use crate::harness::{acquire, claimant, timeline};

/// Steps on each topic.
const STEPS: u64 = 400;

pub(crate) async fn store_keeps_what_is_decided(site: Site) -> Result<()> {
    let pens = site.pens;
    let fence = acquire(&pens, "doc:timeline", "ada/1").await?.unwrap_or_default();
    for (seed, topic) in ["short:script:1", "short:script:2", "doc:script"].into_iter().enumerate()
    {
        let mut draw = Draw(seed as u64);
        let mut model = Model {
            lease: Lease::default(),
            timeline: timeline(fence),
            seq: 0,
            previous: Vec::new(),
        };
        let trace_id = format!("{seed:032x}");
        let trace = Trace { traceparent: format!("00-{trace_id}-01"), trace_id };
        for step in 0..STEPS {
            let command = command(&mut draw, &model.lease);
            let answered = act(&pens, topic, &command, (draw.below(2) == 0, &trace)).await?;
            model.compare(&pens, topic, &command, &answered);
            let kept = pens.pen(topic).await?;
            assert_eq!(kept.pen, model.lease.view(kept.at), "step {step}: {command:?}");
        }
        assert_eq!(pens.log(topic, 0, u32::MAX).await?.len() as u64, model.seq);
        model.compare_log(&pens, topic, &trace).await?;
    }
    Ok(())
}

/// What the store ought to have.
struct Model {
    lease: Lease,
    timeline: Timeline,
    seq: u64,
    /// The pen before each event.
    previous: Vec<Option<Pen>>,
}

impl Model {
    /// The log says of each event what was before it and what came of it.
    async fn compare_log(&self, pens: &Pens, topic: &str, trace: &Trace) -> Result<()> {
        let tickets = Tickets::new(pens, Rules::default());
        let kept = tickets.traced(&trace.trace_id, &Page::new(1_000, None)?).await?.items;
        let log = pens.log(topic, 0, u32::MAX).await?;
        assert_eq!((kept.len(), self.previous.len()), (log.len(), log.len()));
        for ((kept, logged), previous) in kept.iter().zip(&log).zip(&self.previous) {
            let event = &logged.event;
            assert_eq!((kept.entity.as_str(), kept.entity_id.as_str()), ("pen", topic));
            assert_eq!(kept.op, if previous.is_some() { "updated" } else { "created" });
            assert_eq!(kept.row, json!(event.pen));
            assert_eq!(kept.previous, previous.as_ref().map(|pen| json!(pen)), "{event:?}");
            assert_eq!(kept.by.as_deref(), event.by.as_ref().map(|by| by.id.as_str()));
            assert_eq!((kept.at, &kept.place), (event.at, &Some((topic.to_owned(), logged.seq))));
            let change = kept.change.as_ref().map(|it| (it.kind.as_str(), it.rule.as_str()));
            assert_eq!(change, Some((event.kind.as_str(), event.rule.as_str())));
        }
        Ok(())
    }

    fn compare(&mut self, pens: &Pens, topic: &str, command: &Command, answered: &Answered) {
        let time = StoreTime { at: answered.at, timeline: self.timeline };
        let decision = decide(&self.lease, command, time, pens.policy(topic));
        assert_eq!(answered.outcome, decision.outcome, "{command:?}");
        assert_eq!(answered.pen, decision.lease.view(time.at), "{command:?}");
        let mut before = (self.seq > 0).then(|| self.lease.view(StoreMs(0)));
        for event in &decision.events {
            self.previous.push(before.replace(event.pen.clone()));
        }
        let events: Vec<_> = answered.events.iter().map(|logged| logged.event.clone()).collect();
        assert_eq!(events, decision.events, "{command:?}");
        for logged in &answered.events {
            self.seq += 1;
            assert_eq!(logged.seq, self.seq, "no number is left out");
        }
        self.lease = decision.lease;
    }
}

/// Renewals go alone or as a batch of one, which is another statement.
async fn act(
    pens: &Pens,
    topic: &str,
    command: &Command,
    (batch, trace): (bool, &Trace),
) -> Result<Answered> {
    let Command::Renew { session, fence, input_ms_ago } = command else {
        return Ok(pens.obey_traced(topic, command, Some(trace)).await?);
    };
    if !batch {
        return Ok(pens.obey_traced(topic, command, Some(trace)).await?);
    }
    let (topic, session, fence) = (topic.to_owned(), session.clone(), *fence);
    let trace = Some(trace.clone());
    let renewal = Renewal { topic, session, fence, input_ms_ago: *input_ms_ago, trace };
    Ok(pens.renew(&[renewal]).await?.remove(0))
}

fn command(draw: &mut Draw, lease: &Lease) -> Command {
    let names = ["ada/1", "ada/2", "bob/1", "carl/1", "bot/1"];
    let index = |draw: &mut Draw, bound: usize| {
        usize::try_from(draw.below(bound as u64)).unwrap_or_default()
    };
    let claimant = claimant(names[index(draw, names.len())]);
    let holder = lease.claims.state.tenure().map(|tenure| tenure.holder.session.clone());
    let session = holder.filter(|_| draw.below(4) > 0).unwrap_or(claimant.session.clone());
    let fence =
        if draw.below(8) > 0 { lease.fence } else { Fence(lease.fence.0.saturating_sub(1)) };
    match draw.below(20) {
        0..=6 => {
            let request_id = (draw.below(2) == 0).then(|| format!("r{}", draw.below(6)).into());
            let if_held = if draw.below(2) == 0 { IfHeld::Wait } else { IfHeld::Return };
            Command::Acquire { claimant, terms: Terms { request_id, if_held, ..Terms::default() } }
        }
        7..=9 => Command::Renew { session, fence, input_ms_ago: draw.below(80_000) },
        10..=12 => Command::Release { session, fence },
        13 => Command::Request { claimant, reason: Some("please".to_owned()) },
        14 => {
            let answer = match draw.below(3) {
                0 => Answer::Decline,
                1 => Answer::HandOver(Recipient::Asker),
                _ => Answer::HandOver(Recipient::Anybody(claimant)),
            };
            Command::Answer { session, fence, answer, reason: None }
        }
        15 => Command::TakeOver { claimant, reason: None },
        16 => Command::Disconnect { session },
        17 => Command::Resume { session },
        18 => Command::Leave { session: claimant.session },
        _ => Command::Tick,
    }
}
