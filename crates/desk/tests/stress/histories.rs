//! L6: what several clients of one topic saw is what they could have seen one after the other, in an order
//! that respects who had finished before whom. The model is the plainest lease there is, written apart
//! from the crate; the time of each step is what the store says in its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use penholder_desk::Pens;
use penholder_lease::{
    Command, Fence, Outcome, Refusal, SessionId, StoreMs, Terms, WriteCheck, WriteClaim,
};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use tokio::time::sleep;

use crate::harness::{Draw, Place, claimant, policies};

const CLIENTS: u64 = 4;
const OPERATIONS: u64 = 12;
const HISTORIES: u64 = 20;

/// The time to live of a `blink` topic.
const TTL_MS: u64 = 30;

/// What a client asks, under the last fence that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Acquire,
    Renew(Fence),
    Release(Fence),
    Write(Fence),
    Read,
}

/// What it sees, and when that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Saw {
    at: StoreMs,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The pen is one's own, until then.
    Own(Fence, StoreMs),
    /// It is held by another.
    Held,
    /// What was asked under a fence has been done.
    Done,
    /// It has not.
    Lost,
    /// Who has it, of what is read.
    Holder(Option<u64>, Fence),
}

/// A lease as one would draw it on a board.
#[derive(Debug, Clone, Default)]
struct Model {
    fence: Fence,
    holder: Option<u64>,
    deadline: StoreMs,
    released_by: Option<u64>,
}

impl Model {
    fn holder(&self, at: StoreMs) -> Option<u64> {
        self.holder.filter(|_| at < self.deadline)
    }

    fn is_own(&self, client: u64, fence: Fence, at: StoreMs) -> bool {
        self.holder(at) == Some(client) && self.fence == fence
    }

    fn step(&mut self, client: u64, ask: Ask, saw: Saw) -> bool {
        let Saw { at, what } = saw;
        match (ask, what) {
            (Ask::Acquire, What::Own(fence, deadline)) => {
                let free = self.holder(at).is_none()
                    && (self.fence == Fence::NONE || fence.0 == self.fence.0 + 1);
                let valid = (free || self.is_own(client, fence, at))
                    && deadline == at.after(TTL_MS).max(if free { at } else { self.deadline });
                (self.fence, self.holder, self.deadline) = (fence, Some(client), deadline);
                self.released_by = None;
                valid
            }
            (Ask::Acquire, What::Held) => self.holder(at).is_some_and(|holder| holder != client),
            (Ask::Renew(fence), What::Own(same, deadline)) => {
                let valid = fence == same && self.is_own(client, fence, at);
                let longer = deadline == at.after(TTL_MS).max(self.deadline);
                self.deadline = deadline;
                valid && longer
            }
            (Ask::Release(fence), What::Done) => {
                let again = self.released_by == Some(client) && self.fence == fence;
                let valid = again || self.is_own(client, fence, at);
                (self.holder, self.released_by) = (None, Some(client));
                valid
            }
            (Ask::Release(fence), What::Lost) => {
                let again = self.released_by == Some(client) && self.fence == fence;
                !again && !self.is_own(client, fence, at)
            }
            (Ask::Write(fence), What::Done) => self.is_own(client, fence, at),
            (Ask::Renew(fence) | Ask::Write(fence), What::Lost) => !self.is_own(client, fence, at),
            (Ask::Read, What::Holder(holder, fence)) => {
                self.holder(at) == holder && self.fence == fence
            }
            _ => false,
        }
    }
}

impl SequentialSpec for Model {
    type Op = (u64, Ask);
    type Ret = Option<Saw>;

    /// Of operations that have not come back. No history here has any.
    fn invoke(&mut self, _: &Self::Op) -> Option<Saw> {
        None
    }

    fn is_valid_step(&mut self, &(client, ask): &Self::Op, saw: &Option<Saw>) -> bool {
        saw.is_some_and(|saw| self.step(client, ask, saw))
    }
}

type Tester = LinearizabilityTester<u64, Model>;

pub(crate) async fn run(place: &Place) -> Result<()> {
    let pens = place.open(policies()).await?;
    for history in 0..HISTORIES {
        let topic = format!("blink:history:{history}");
        let tester = Arc::new(Mutex::new(Tester::new(Model::default())));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (pens, topic, tester) = (pens.clone(), topic.clone(), tester.clone());
                tokio::spawn(live(pens, topic, client, (Draw(history << 8 | client), tester)))
            })
            .collect();
        for client in clients {
            client.await??;
        }
        let tester = tester.lock();
        ensure!(tester.is_consistent(), "{topic} is not linearizable: {tester:?}");
    }
    Ok(())
}

async fn live(
    pens: Pens,
    topic: String,
    client: u64,
    (mut draw, tester): (Draw, Arc<Mutex<Tester>>),
) -> Result<()> {
    let mut fence = Fence::NONE;
    for _ in 0..OPERATIONS {
        let ask = match draw.below(8) {
            0..=2 => Ask::Acquire,
            3 => Ask::Renew(fence),
            4 => Ask::Release(fence),
            5..=6 => Ask::Write(fence),
            _ => Ask::Read,
        };
        tester.lock().on_invoke(client, (client, ask)).map_err(|error| anyhow!(error))?;
        let saw = act(&pens, &topic, client, ask).await?;
        tester.lock().on_return(client, Some(saw)).map_err(|error| anyhow!(error))?;
        if let What::Own(own, _) = saw.what {
            fence = own;
        }
        // Often none at all, so that operations meet; sometimes as long as a lease.
        let pause = draw.below(4) * draw.below(15);
        sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}

async fn act(pens: &Pens, topic: &str, client: u64, ask: Ask) -> Result<Saw> {
    let name = format!("p{client}/1");
    let session = SessionId::from(name.as_str());
    let command = match ask {
        Ask::Read => {
            let reading = pens.pen(topic).await?;
            let holder = reading.pen.session.map(|session| {
                session.as_str().trim_start_matches('p').trim_end_matches("/1").parse()
            });
            let what = What::Holder(holder.transpose()?, reading.pen.fence);
            return Ok(Saw { at: reading.at, what });
        }
        Ask::Write(fence) => {
            let by = claimant(&name).person.id;
            let claim = WriteClaim { by: &by, fence: Some(fence) };
            let write = pens.begin_write(topic, claim).await?;
            write.transaction.commit().await?;
            let what = if write.check == WriteCheck::Accepted { What::Done } else { What::Lost };
            return Ok(Saw { at: write.at, what });
        }
        Ask::Acquire => Command::Acquire { claimant: claimant(&name), terms: Terms::default() },
        Ask::Renew(fence) => Command::Renew { session, fence, input_ms_ago: 0 },
        Ask::Release(fence) => Command::Release { session, fence },
    };
    let answered = pens.obey(topic, &command).await?;
    let what = match answered.outcome {
        Ok(Outcome::Granted { fence, deadline }) => What::Own(fence, deadline),
        Ok(Outcome::Renewed { deadline }) => What::Own(answered.pen.fence, deadline),
        Ok(Outcome::Held { .. }) => What::Held,
        Ok(Outcome::Released) => What::Done,
        Err(Refusal::LeaseLost) => What::Lost,
        other => bail!("{ask:?}: {other:?}"),
    };
    Ok(Saw { at: answered.at, what })
}

#[test]
fn second_holder_before_the_deadline_is_not_linearizable() {
    let own = |at, fence| {
        let what = What::Own(Fence(fence), StoreMs(at + TTL_MS));
        Some(Saw { at: StoreMs(at), what })
    };
    let history = |second| -> Result<bool, String> {
        let mut tester = Tester::new(Model::default());
        tester.on_invoke(1, (1, Ask::Acquire))?.on_invoke(2, (2, Ask::Acquire))?;
        tester.on_return(1, own(100, 1))?.on_return(2, own(second, 2))?;
        Ok(tester.is_consistent())
    };
    assert_eq!(history(100 + TTL_MS), Ok(true));
    assert_eq!(history(99 + TTL_MS), Ok(false), "one millisecond early");
}
