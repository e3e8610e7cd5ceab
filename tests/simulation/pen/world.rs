//! Editors, messages and the store, and how one moment follows the other.

use std::collections::BTreeMap;

use penholder_lease::{
    Answer, Command, Fence, IfHeld, Kind, Outcome, Pen, Recipient, Refusal, RequestId, Terms,
};

use super::editor::{Editor, Pending};
use super::plan::Plan;
use super::sabotage::Sabotage;
use super::store::Store;
use crate::rng::Rng;
use crate::run::Fnv;
use crate::story::Story;
use crate::violation::{Checked, Rule, ensure};

/// How long what is due may wait for somebody to see to it, in ms.
const LATE_MS_MAX: u64 = 1_000;

/// How often somebody looks whether something is due that does not look so.
const SWEEP_MS: u64 = 1_000;

/// How far the clock of the gateway is ahead, which must not matter.
const SKEW_MS: u64 = 31_000;

/// Something that happens at its time.
#[derive(Debug)]
enum Happening {
    Think(usize),
    Arrive {
        from: usize,
        sent: u64,
        command: Command,
    },
    Write {
        from: usize,
        fence: Fence,
    },
    /// What was judged before is written.
    Commit(Fence),
    Reply {
        to: usize,
        sent: u64,
        outcome: Result<Outcome, Refusal>,
        pen: Box<(Pen, u64)>,
    },
    Told {
        to: usize,
        pen: Box<Pen>,
    },
    Jump,
    Outage,
    FailOver(u64),
}

/// How often what a run is for has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    grants: u64,
    queued: u64,
    taken_over: u64,
    handed_over: u64,
    written: u64,
    stale: u64,
    lapsed: u64,
    resumed: u64,
    failovers: u64,
    outages: u64,
}

impl Tally {
    pub(crate) fn plus(self, other: Self) -> Self {
        let (mut sum, theirs) = (self.all(), other.all());
        sum.iter_mut().zip(theirs).for_each(|(sum, more)| *sum += more);
        let [grants, queued, taken_over, handed_over, written, rest @ ..] = sum;
        let [stale, lapsed, resumed, failovers, outages] = rest;
        Self {
            grants,
            queued,
            taken_over,
            handed_over,
            written,
            stale,
            lapsed,
            resumed,
            failovers,
            outages,
        }
    }

    pub(crate) fn rarest(self) -> u64 {
        self.all().into_iter().min().unwrap_or_default()
    }

    fn all(self) -> [u64; 10] {
        let Self { grants, queued, taken_over, handed_over, written, .. } = self;
        let Self { stale, lapsed, resumed, failovers, outages, .. } = self;
        [
            grants,
            queued,
            taken_over,
            handed_over,
            written,
            stale,
            lapsed,
            resumed,
            failovers,
            outages,
        ]
    }
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    rng: Rng,
    now: u64,
    store: Store,
    editors: Vec<Editor>,
    happenings: BTreeMap<(u64, u64), Happening>,
    number: u64,
    /// When the store was last not itself: away, replaced, or its clock set.
    upset_at: u64,
    /// When somebody looked at the row last, due or not: a clock that was set back delays what is due.
    swept_at: u64,
    is_healed: bool,
    sabotage: Option<Sabotage>,
    pub(crate) tally: Tally,
    pub(crate) log: Fnv,
    story: Story,
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let editors = (0..plan.editors).map(|at| Editor::draw(at, &plan, &mut rng)).collect();
        let mut world = Self {
            store: Store::new(&plan, sabotage),
            editors,
            story: Story::begin(&plan),
            plan,
            rng,
            now: 0,
            happenings: BTreeMap::new(),
            number: 0,
            upset_at: 0,
            swept_at: 0,
            is_healed: false,
            sabotage,
            tally: Tally::default(),
            log: Fnv::new(),
        };
        for at in 0..world.editors.len() {
            world.after(200, Happening::Think(at));
        }
        let plan = &world.plan;
        let faults = [
            plan.jumps.then_some(Happening::Jump),
            plan.outages.then_some(Happening::Outage),
            plan.failover_lag_ms.map(Happening::FailOver),
        ];
        faults.into_iter().flatten().for_each(|fault| world.after(15_000, fault));
        world
    }

    /// Lets something happen within a span.
    fn after(&mut self, span_ms: u64, happening: Happening) {
        self.number += 1;
        let at = self.now + 1 + self.rng.below(span_ms);
        self.happenings.insert((at, self.number), happening);
    }

    /// Sends a message: perhaps late, twice, or never.
    fn send(&mut self, happening: impl Fn() -> Happening) {
        if !self.is_healed && self.rng.one_in(self.plan.loss_one_in) {
            return;
        }
        let is_stopped = !self.is_healed && self.rng.one_in(self.plan.stop_one_in);
        let stop_ms = if is_stopped { 2 * self.plan.policy.ttl_ms } else { 0 };
        self.after(self.plan.delay_max_ms + stop_ms, happening());
        if !self.is_healed && self.rng.one_in(self.plan.repeat_one_in) {
            self.after(self.plan.policy.ttl_ms, happening());
        }
    }

    /// Lets time pass; everything happens when it is due.
    pub(crate) fn pass(&mut self, span_ms: u64) -> Checked {
        let end = self.now + span_ms;
        loop {
            let next = self.happenings.keys().next().map(|(at, _)| *at);
            let ticks = self.sabotage != Some(Sabotage::NoTicks) && !self.store.is_away(self.now);
            let due = self
                .store
                .due()
                .map(|at| (at.max(self.upset_at) + 5).min(self.swept_at + SWEEP_MS));
            let due = due.filter(|_| ticks);
            let Some(at) = next.into_iter().chain(due).min().filter(|at| *at <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = at.max(self.now);
            if Some(at) == next {
                let (_, happening) = self.happenings.pop_first().expect("it is next");
                self.log.add(format!("{} {happening:?}", self.now).as_bytes());
                self.story.tell(self.now, "", || format!("{happening:?}"));
                self.happen(happening)?;
            } else {
                self.swept_at = self.now;
                // A tick is never refused.
                let _ = self.obey(&Command::Tick)?;
            }
            self.check()?;
        }
    }

    fn happen(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::Think(at) => {
                self.after(200, Happening::Think(at));
                self.think(at);
                Ok(())
            }
            Happening::Arrive { .. } | Happening::Write { .. } if self.store.is_away(self.now) => {
                Ok(())
            }
            Happening::Arrive { from, sent, command } => self.arrive(from, sent, &command),
            Happening::Write { from, fence } => self.write(from, fence),
            Happening::Commit(fence) => self.store.write(self.now, fence),
            Happening::Reply { to, sent, outcome, pen } => {
                let (pen, ttl_ms) = *pen;
                let editor = &mut self.editors[to];
                editor.pending = None;
                if let Ok(outcome) = outcome {
                    let arrived = editor.clock(self.now);
                    let is_late = self.sabotage == Some(Sabotage::CountFromReply);
                    let from = if is_late { arrived } else { sent };
                    editor.answered(from, outcome, (&pen, ttl_ms));
                }
                Ok(())
            }
            Happening::Told { to, pen } => {
                let editor = &mut self.editors[to];
                if editor.is_there() {
                    editor.hear(&pen);
                }
                Ok(())
            }
            _ if self.is_healed => Ok(()),
            Happening::Jump => {
                let jumps = [-86_400_000, -31_000, 900, 31_000, 1_260_000];
                let by_ms = self.rng.pick(&jumps).unwrap_or_default();
                self.store.jump(self.now, by_ms);
                self.upset_at = self.upset_at.max(self.now);
                self.after(20_000, Happening::Jump);
                Ok(())
            }
            Happening::Outage => {
                self.store.away_until = self.now + self.rng.below(self.plan.policy.ttl_ms * 2);
                self.upset_at = self.upset_at.max(self.store.away_until);
                self.tally.outages += 1;
                self.after(20_000, Happening::Outage);
                Ok(())
            }
            Happening::FailOver(lag_ms) => {
                self.store.fail_over(self.now, lag_ms);
                self.upset_at = self.upset_at.max(self.now);
                self.tally.failovers += 1;
                self.after(20_000, Happening::FailOver(lag_ms));
                Ok(())
            }
        }
    }

    fn arrive(&mut self, from: usize, sent: u64, command: &Command) -> Checked {
        let outcome = self.obey(command)?;
        if matches!(command, Command::Resume { .. }) {
            // Who comes back has what was left of it, and renews to know how long.
            return Ok(());
        }
        let pen = self.store.lease.view(self.store.clock(self.now));
        let tenure = self.store.lease.claims.state.tenure();
        let ttl_ms = tenure.map_or(0, |tenure| tenure.ttl_ms);
        self.send(|| Happening::Reply {
            to: from,
            sent,
            outcome,
            pen: Box::new((pen.clone(), ttl_ms)),
        });
        Ok(())
    }

    /// Hands a command to the store, and tells everybody what it has changed.
    fn obey(
        &mut self,
        command: &Command,
    ) -> Result<Result<Outcome, Refusal>, crate::violation::Violation> {
        let decision = self.store.obey(self.now, command, SKEW_MS)?;
        let tally = &mut self.tally;
        tally.lapsed += u64::from(decision.outcome == Ok(Outcome::Lapsed));
        for event in &decision.events {
            use penholder_lease::{EventKind, Rule as By};
            tally.grants += u64::from(event.kind == EventKind::Granted);
            tally.queued += u64::from(event.rule == By::Queue);
            tally.taken_over += u64::from(event.kind == EventKind::TakenOver);
            tally.handed_over += u64::from(event.kind == EventKind::HandedOver);
            tally.resumed += u64::from(event.kind == EventKind::Resumed);
            self.story.tell(self.now, "event", || format!("{event:?}"));
        }
        if let Some(event) = decision.events.last() {
            for to in 0..self.editors.len() {
                self.send(|| Happening::Told { to, pen: Box::new(event.pen.clone()) });
            }
        }
        Ok(decision.outcome)
    }

    fn write(&mut self, from: usize, fence: Fence) -> Checked {
        let by = self.editors[from].claimant.person.id.clone();
        if !self.store.judge(self.now, &by, fence) {
            self.tally.stale += 1;
            return Ok(());
        }
        self.tally.written += 1;
        if self.sabotage == Some(Sabotage::CheckFirst) {
            self.after(2 * self.plan.policy.ttl_ms, Happening::Commit(fence));
            return Ok(());
        }
        self.store.write(self.now, fence)
    }

    fn think(&mut self, at: usize) {
        let now = self.now;
        let editor = &mut self.editors[at];
        if editor.is_gone {
            return;
        }
        if editor.holds(now).is_none() {
            // Also under a fence that the store has lost: what it says now counts.
            editor.belief = None;
        }
        if let Some(until) = editor.lost_until {
            if now >= until {
                editor.lost_until = None;
                let session = editor.claimant.session.clone();
                let (sent, resume) = (editor.clock(now), Command::Resume { session });
                editor.told = editor.belief.take().map(|belief| belief.fence);
                self.dispatch(at, sent, &resume);
            }
            return;
        }
        if let Some(pending) = &mut editor.pending {
            if now >= pending.again_at {
                pending.tries += 1;
                pending.again_at = now + 300;
                let (command, sent) = (pending.command.clone(), pending.sent);
                if pending.tries > 8 && !self.is_healed {
                    editor.pending = None;
                } else {
                    self.dispatch(at, sent, &command);
                }
            }
            return;
        }
        if self.is_healed {
            return self.be_served(at);
        }
        match (editor.holds(now), editor.told) {
            (Some(fence), _) => self.edit(at, fence),
            (None, Some(fence)) => self.renew(at, fence),
            (None, None) => self.want(at),
        }
    }

    /// What somebody does who believes to hold the pen.
    fn edit(&mut self, at: usize, fence: Fence) {
        let session = self.editors[at].claimant.session.clone();
        let draws = [(6, 0), (4, 1), (1, 2), (1, 3), (1, 4), (1, 5), (3, 6)];
        match self.rng.weighted(&draws) {
            0 => self.send(|| Happening::Write { from: at, fence }),
            1 => self.renew(at, fence),
            2 => self.submit(at, Command::Release { session, fence }),
            draw @ (3 | 4) => {
                let answer = match draw {
                    3 => Answer::Decline,
                    _ => Answer::HandOver(Recipient::Asker),
                };
                self.submit(at, Command::Answer { session, fence, answer, reason: None });
            }
            5 => self.lose(at),
            _ => {}
        }
    }

    /// What somebody does who has not got it.
    fn want(&mut self, at: usize) {
        let claimant = self.editors[at].claimant.clone();
        match self.rng.weighted(&[(4, 0), (3, 1), (1, 2), (1, 3), (4, 4)]) {
            0 => {
                let ttls = [None, None, Some(self.plan.policy.ttl_ms_max)];
                let ttl_ms = self.rng.pick(&ttls).flatten();
                let if_held = if self.rng.one_in(2) { IfHeld::Wait } else { IfHeld::Return };
                self.acquire(at, if_held, ttl_ms);
            }
            1 => self.submit(at, Command::Request { claimant, reason: None }),
            2 => self.submit(at, Command::TakeOver { claimant, reason: None }),
            3 => self.lose(at),
            _ => {}
        }
    }

    /// When all faults are over: everybody wants the pen once, and gives it back.
    fn be_served(&mut self, at: usize) {
        let editor = &mut self.editors[at];
        let session = editor.claimant.session.clone();
        if let Some(fence) = editor.holds(self.now).or(editor.told) {
            (editor.is_served, editor.belief, editor.told) = (true, None, None);
            self.submit(at, Command::Release { session, fence });
        } else if !editor.is_served {
            self.acquire(at, IfHeld::Wait, None);
        }
    }

    fn acquire(&mut self, at: usize, if_held: IfHeld, ttl_ms: Option<u64>) {
        self.number += 1;
        let request_id = Some(RequestId::from(format!("r{}", self.number)));
        let claimant = self.editors[at].claimant.clone();
        let terms = Terms { ttl_ms, if_held, request_id, reason: None };
        self.submit(at, Command::Acquire { claimant, terms });
    }

    fn renew(&mut self, at: usize, fence: Fence) {
        let session = self.editors[at].claimant.session.clone();
        self.submit(at, Command::Renew { session, fence, input_ms_ago: 0 });
    }

    /// A connection is lost, for a while or for ever.
    fn lose(&mut self, at: usize) {
        let span_ms = self.rng.below(2_000);
        let is_program = self.editors[at].claimant.person.kind == Kind::Ai;
        let editor = &mut self.editors[at];
        editor.lost_until = Some(self.now + span_ms);
        editor.pending = None;
        let session = editor.claimant.session.clone();
        editor.is_gone = is_program && self.rng.one_in(6);
        let sent = editor.clock(self.now);
        self.dispatch(at, sent, &Command::Disconnect { session });
    }

    /// Sends a request, and remembers to repeat it.
    fn submit(&mut self, at: usize, command: Command) {
        let sent = self.editors[at].clock(self.now);
        self.dispatch(at, sent, &command);
        let again_at = self.now + 300;
        self.editors[at].pending = Some(Pending { command, sent, again_at, tries: 0 });
    }

    fn dispatch(&mut self, at: usize, sent: u64, command: &Command) {
        self.send(|| Happening::Arrive { from: at, sent, command: command.clone() });
    }

    /// What holds at every moment.
    fn check(&self) -> Checked {
        let at = self.store.clock(self.now);
        let is_upset = self.now <= self.upset_at + LATE_MS_MAX || self.store.is_away(self.now);
        if let Some(due) = self.store.due().filter(|_| !is_upset) {
            ensure(self.now <= due + LATE_MS_MAX, Rule::PassedOn, || {
                format!("at {}, due at {due}: {:?}", self.now, self.store.lease)
            })?;
        }
        if self.plan.jumps {
            return Ok(());
        }
        for editor in &self.editors {
            let Some(fence) = editor.holds(self.now) else { continue };
            let deadline = self.store.ledger.deadlines.get(&fence).copied().unwrap_or_default();
            ensure(at <= deadline, Rule::Belief, || {
                let session = &editor.claimant.session;
                format!("{session} believes to hold it under {fence} at {at:?}, after {deadline:?}")
            })?;
        }
        Ok(())
    }

    /// All faults end; everybody who is there gets the pen.
    pub(crate) fn heal(&mut self) -> Checked {
        self.is_healed = true;
        self.plan.delay_max_ms = 5;
        self.store.away_until = 0;
        for editor in &mut self.editors {
            editor.lost_until = editor.lost_until.map(|_| self.now);
            editor.is_served = false;
        }
        let turns = self.plan.editors + 2;
        self.pass(turns * (self.plan.policy.ttl_ms_max + 2_000) + 3 * self.plan.policy.ttl_ms)?;
        for editor in self.editors.iter().filter(|editor| !editor.is_gone) {
            let person = &editor.claimant.person.id;
            let mut same = self.editors.iter().filter(|it| it.claimant.person.id == *person);
            ensure(same.any(|it| it.is_served), Rule::PassedOn, || {
                format!("{} did not get the pen: {:?}", editor.claimant.session, self.store.lease)
            })?;
        }
        Ok(())
    }
}
