//! L6 of the stores: histories of several clients are linearizable. The time of each step is what the store
//! says in its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use penholder_desk::Pens;
use penholder_evidence::{Ask, Draw, History, Model, Op, Outcome as What, Saw, Who, Within};
use penholder_lease::{
    Command, Fence, Outcome, Refusal, SessionId, StoreMs, Terms, WriteCheck, WriteClaim,
};
use tokio::time::sleep;

use crate::harness::{Place, claimant, policies};

const CLIENTS: u64 = 4;
const OPERATIONS: u64 = 12;
const HISTORIES: u64 = 20;

/// The time to live of a `blink` topic.
const TTL_MS: u64 = 30;

pub(crate) async fn run(place: &Place) -> Result<()> {
    let pens = place.open(policies()).await?;
    for history in 0..HISTORIES {
        let topic = format!("blink:history:{history}");
        let model = Model::new(TTL_MS, 0);
        let tester = Arc::new(Mutex::new(History::new(model)));
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
        ensure!(tester.is_linearizable(), "{topic} is not linearizable: {tester:?}");
    }
    Ok(())
}

async fn live(
    pens: Pens,
    topic: String,
    client: u64,
    (mut draw, tester): (Draw, Arc<Mutex<History>>),
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
        let who = Who { person: client, session: client };
        let op = Op { who, ask, from: StoreMs(0) };
        tester.lock().invoke(client, op).map_err(|error| anyhow!(error))?;
        let saw = act(&pens, &topic, client, ask).await?;
        tester.lock().complete(client, saw).map_err(|error| anyhow!(error))?;
        if let What::Own(own, _) = saw.outcome {
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
            // Its time is of before it saw anything, and what it saw may have been later.
            let within = Within { from: reading.at, to: pens.pen(topic).await?.at };
            return Ok(Saw { within, outcome: what });
        }
        Ask::Write(fence) => {
            let by = claimant(&name).person.id;
            let claim = WriteClaim { by: &by, fence: Some(fence) };
            let write = pens.begin_write(topic, claim).await?;
            write.transaction.commit().await?;
            let what = if write.check == WriteCheck::Accepted { What::Done } else { What::Lost };
            return Ok(Saw { within: Within::at(write.at), outcome: what });
        }
        Ask::Acquire => Command::Acquire { claimant: claimant(&name), terms: Terms::default() },
        Ask::Renew(fence) => Command::Renew { session, fence, input_ms_ago: 0 },
        Ask::Release(fence) => Command::Release { session, fence },
        Ask::TakeOver | Ask::Save(_) | Ask::Told(_) => bail!("{ask:?} is not asked here"),
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
    Ok(Saw { within: Within::at(answered.at), outcome: what })
}
