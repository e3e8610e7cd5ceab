//! Several replicas in one process: presence crosses between them, survives a rolling restart, and
//! goes with a replica that is killed; events reach everybody.

mod events;
mod replica;
mod visitor;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use penholder_presence::ReplicaConfig;
use penholder_protocol::{PresenceUpdate, Status};
use penholder_tests::RawSocket;
use tokio::time::timeout;

use replica::{Network, Replica};
use visitor::Visitor;

const SOON: Duration = Duration::from_secs(10);
const TOPIC: &str = "doc:1";

/// How long presence may take from one replica to the others, with the gossip of production.
const CROSSING: Duration = Duration::from_millis(1_500);

/// How much longer than `down_after` people may be shown whose replica is gone.
const VANISHING: Duration = Duration::from_secs(1);

/// Of a gossip with which a test need not wait long for somebody to be taken for dead.
const DOWN_AFTER: Duration = Duration::from_secs(1);

fn quick() -> ReplicaConfig {
    ReplicaConfig {
        gossip_period_ms: 50,
        heartbeat_ms: 200,
        down_after_ms: 1_000,
        ..ReplicaConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_crosses_between_replicas_in_time_and_goes_with_a_killed_one() -> Result<()> {
    let gossip = ReplicaConfig::default();
    let down_after = Duration::from_millis(gossip.down_after_ms);
    let [one, two, three] = Network::new(gossip)?.three().await?;
    let mut ann = Visitor::join("ann", &one).await?;
    let mut bob = Visitor::join("bob", &two).await?;
    let both = |it: &Visitor| it.sees(&["ann", "bob"]);
    tokio::try_join!(
        ann.within(CROSSING, "bob's join", both),
        bob.within(CROSSING, "ann's join", both),
    )?;
    let mut cid = Visitor::join("cid", &three).await?;
    let all = |it: &Visitor| it.sees(&["ann", "bob", "cid"]);
    tokio::try_join!(
        ann.within(CROSSING, "cid's join", all),
        bob.within(CROSSING, "cid's join", all),
        cid.within(CROSSING, "the joins before", all),
    )?;
    let dee = Visitor::join("dee", &two).await?;
    cid.within(CROSSING, "dee's join", |it| it.sees(&["ann", "bob", "cid", "dee"])).await?;
    dee.channel.leave().await?;
    cid.within(CROSSING, "dee's leave", all).await?;
    tokio::try_join!(
        bob.until("everybody agrees who comes first", |it| all(it) && it.is_sure()),
        cid.until("everybody agrees who comes first", |it| all(it) && it.is_sure()),
    )?;

    // What bob and cid see of it is the last that their replicas hear of the first, or comes before that.
    let heard_after = Instant::now();
    let update = PresenceUpdate { unsaved: Some(true), ..PresenceUpdate::default() };
    ann.channel.update_presence(&update).await?;
    let is_unsaved = |it: &Visitor| it.sees_as("ann", |meta| meta.unsaved);
    tokio::try_join!(
        bob.within(CROSSING, "ann's update", is_unsaved),
        cid.within(CROSSING, "ann's update", is_unsaved),
    )?;
    for visitor in [&mut bob, &mut cid] {
        visitor.lost.clear();
    }
    one.kill();
    let gone = |it: &Visitor| it.sees(&["bob", "cid"]);
    let bound = down_after + VANISHING;
    let (bob_at, cid_at) = tokio::try_join!(
        bob.within(bound, "the killed replica's people vanish", gone),
        cid.within(bound, "the killed replica's people vanish", gone),
    )?;
    let lost = [format!("ann {}", ann.reply.session)];
    for (visitor, gone_at) in [(bob, bob_at), (cid, cid_at)] {
        let shown_for = gone_at - heard_after;
        assert!(shown_for >= down_after, "taken for dead after {shown_for:?}");
        assert_eq!(visitor.lost, lost);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_with_resume_shows_no_leave() -> Result<()> {
    const USERS: [&str; 6] = ["ann", "bob", "cid", "dee", "eve", "fay"];
    const GRACE: Duration = Duration::from_secs(6);
    let network = Network::new(ReplicaConfig::default())?.set("PENHOLDER__PRESENCE__GRACE", "6s");
    let mut replicas: Vec<Replica> = network.three().await?.into();
    // Two on each, as (where, who).
    let mut people = Vec::new();
    for (number, user) in USERS.into_iter().enumerate() {
        let place = number % replicas.len();
        people.push((place, Visitor::join(user, &replicas[place]).await?));
    }
    let are_all_active = |it: &Visitor| {
        it.sees(&USERS)
            && USERS.iter().all(|user| it.sees_as(user, |meta| meta.status == Status::Active))
    };
    for (_, visitor) in &mut people {
        visitor.until("all are here", are_all_active).await?;
    }

    for stopping in 0..replicas.len() {
        let others = [(stopping + 1) % replicas.len(), (stopping + 2) % replicas.len()];
        replicas[stopping].drain();
        let leaving = people.iter_mut().filter(|(place, _)| *place == stopping);
        let mut moved = 0;
        for (place, visitor) in leaving {
            let sent_away = timeout(SOON, visitor.socket.closed()).await?;
            let code = sent_away.close_code().map(|code| code.number());
            assert_eq!(code, Some(1012), "{sent_away:?}");
            *place = others[moved % others.len()];
            moved += 1;
            visitor.resume_at(&replicas[*place]).await?;
        }
        assert!(moved >= 2, "nobody was on replica {stopping}");
        for (_, visitor) in &mut people {
            visitor.until("all are back", are_all_active).await?;
        }
        let mut stopped = replicas.remove(stopping);
        stopped.drained().await?;
        let again = stopped.start_again().await?;
        again.knows(USERS.len()).await?;
        replicas.insert(stopping, again);
    }
    // Until what the stopped ones asked the others to keep has been dropped.
    let mut watching = tokio::task::JoinSet::new();
    for (_, mut visitor) in people {
        watching.spawn(async move {
            visitor.watch(GRACE + VANISHING).await?;
            anyhow::Ok(visitor)
        });
    }
    for visitor in watching.join_all().await {
        let visitor = visitor?;
        assert!(are_all_active(&visitor));
        assert_eq!(visitor.lost, Vec::<String>::new(), "nobody was seen to leave");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stands_still_keeps_no_farewell_from_being_said() -> Result<()> {
    // Shorter than the server waits for the answer to its close frame.
    let network = Network::new(quick())?.set("PENHOLDER__SERVER__DRAIN", "500ms");
    let mut one = network.start("one").await?;
    let two = network.start("two").await?;
    let mut bob = Visitor::join("bob", &two).await?;
    let mut ann = RawSocket::open(one.port(), &one.token("ann")?).await?;
    let reply = ann.join(TOPIC).await?;
    bob.until("ann is seen", |it| it.sees(&["ann", "bob"])).await?;

    let began = Instant::now();
    one.drain();
    one.drained().await?;
    let resume = reply["resume"].as_str().context("a resume token")?;
    ensure!(began.elapsed() >= Duration::from_millis(500), "nobody kept the drain up");
    one.kill();
    bob.watch(DOWN_AFTER + VANISHING).await?;
    assert_eq!(bob.lost, Vec::<String>::new(), "who is kept for grace was taken for dead");

    let mut back = RawSocket::open(two.port(), &two.token("ann")?).await?;
    let again = back.join_with(TOPIC, &serde_json::json!({ "resume": resume })).await?;
    assert_eq!(again["session"], reply["session"]);
    assert_eq!(bob.lost, Vec::<String>::new());
    Ok(())
}
