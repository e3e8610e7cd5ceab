//! What attackers do, and how often.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::line::{Course, Cut};
use crate::{Scene, frames, polls, requests, topics};

/// How long an attacker rests at most between two attacks.
const REST_MS_MAX: u64 = 100;

/// One sort of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Silent,
    HalfHead,
    SlowHead,
    SlowBody,
    ConnectionFlood,
    SocketFlood,
    Garbage,
    BadHandshake,
    BadToken,
    RequestFlood,
    SlowReaderOfAnswers,
    AbortedRequest,
    AbortedUpgrade,
    MalformedFrames,
    Fragments,
    PingFlood,
    Oversized,
    MalformedMessages,
    MetaBombs,
    TopicChurn,
    TooManyTopics,
    PopularTopic,
    LoudTopic,
    SlowReader,
    PollsLeft,
    PollFlood,
}

/// Each with its weight: how often it is drawn, relative to the others.
const KINDS: [(Kind, u32, &str); 26] = [
    (Kind::Silent, 6, "silent connections"),
    (Kind::HalfHead, 3, "half heads"),
    (Kind::SlowHead, 3, "slow heads"),
    (Kind::SlowBody, 2, "slow bodies"),
    (Kind::ConnectionFlood, 1, "floods of connections"),
    (Kind::SocketFlood, 1, "floods of sockets"),
    (Kind::Garbage, 4, "garbage"),
    (Kind::BadHandshake, 8, "bad handshakes"),
    (Kind::BadToken, 12, "bad tokens"),
    (Kind::RequestFlood, 8, "floods of requests"),
    (Kind::SlowReaderOfAnswers, 2, "slow readers of answers"),
    (Kind::AbortedRequest, 8, "aborted requests"),
    (Kind::AbortedUpgrade, 8, "aborted upgrades"),
    (Kind::MalformedFrames, 8, "malformed frames"),
    (Kind::Fragments, 4, "fragments"),
    (Kind::PingFlood, 3, "floods of pings"),
    (Kind::Oversized, 4, "oversized messages"),
    (Kind::MalformedMessages, 6, "malformed messages"),
    (Kind::MetaBombs, 6, "meta bombs"),
    (Kind::TopicChurn, 8, "churn of topics"),
    (Kind::TooManyTopics, 2, "too many topics"),
    (Kind::PopularTopic, 6, "noise on popular topics"),
    (Kind::LoudTopic, 3, "broadcasts to slow readers"),
    (Kind::SlowReader, 5, "slow readers"),
    (Kind::PollsLeft, 6, "polls left"),
    (Kind::PollFlood, 4, "floods of polls"),
];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("unnamed", |(.., name)| name)
    }
}

/// The attacks that are drawn from, each with its weight.
#[derive(Debug)]
pub(crate) struct Kinds(WeightedIndex<u32>, Vec<Kind>);

impl Kinds {
    /// Those that have one of `names` in theirs; all where there are none.
    pub(crate) fn named(names: &[String]) -> Result<Self> {
        let is_chosen =
            |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
        let chosen = KINDS.iter().filter(|(.., name)| is_chosen(name));
        let (kinds, weights): (Vec<_>, Vec<_>) =
            chosen.map(|(kind, weight, _)| (*kind, *weight)).unzip();
        let index = WeightedIndex::new(weights).context("no attack is called so")?;
        Ok(Self(index, kinds))
    }

    fn draw(&self, rng: &mut StdRng) -> Kind {
        self.1[self.0.sample(rng)]
    }
}

/// One who attacks.
#[derive(Debug)]
pub(crate) struct Attacker {
    scene: Arc<Scene>,
    rng: StdRng,
}

impl Attacker {
    pub(crate) fn new(scene: Arc<Scene>, rng: StdRng) -> Self {
        Self { scene, rng }
    }

    /// One attack after another, for ever.
    pub(crate) async fn go_on(mut self) {
        loop {
            let rest = self.rng.random_range(0..REST_MS_MAX);
            sleep(Duration::from_millis(rest)).await;
            let kind = self.scene.kinds.draw(&mut self.rng);
            self.scene.tally.begun(kind);
            match self.attack(kind).await {
                Ok(()) => {}
                Err(Cut::Short) => self.scene.tally.cut_short(),
                Err(Cut::Broken(what)) => {
                    self.scene.tally.broken(format!("{}: {what}", kind.name()));
                }
            }
        }
    }

    async fn attack(&mut self, kind: Kind) -> Course {
        let Self { scene, rng } = self;
        match kind {
            Kind::Silent => requests::silent(scene, rng).await,
            Kind::HalfHead => requests::half_head(scene, rng).await,
            Kind::SlowHead => requests::slow_head(scene, rng).await,
            Kind::SlowBody => requests::slow_body(scene, rng).await,
            Kind::ConnectionFlood => requests::connection_flood(scene, rng).await,
            Kind::Garbage => requests::garbage(scene, rng).await,
            Kind::BadHandshake => requests::bad_handshake(scene, rng).await,
            Kind::BadToken => requests::bad_token(scene, rng).await,
            Kind::RequestFlood => requests::flood(scene, rng).await,
            Kind::SlowReaderOfAnswers => requests::slow_reader(scene, rng).await,
            Kind::AbortedRequest => requests::aborted(scene, rng).await,
            Kind::AbortedUpgrade => frames::aborted_upgrade(scene, rng).await,
            Kind::SocketFlood => frames::socket_flood(scene, rng).await,
            Kind::MalformedFrames => frames::malformed(scene, rng).await,
            Kind::Fragments => frames::fragments(scene, rng).await,
            Kind::PingFlood => frames::pings(scene, rng).await,
            Kind::Oversized => frames::oversized(scene, rng).await,
            Kind::MalformedMessages => topics::malformed(scene, rng).await,
            Kind::MetaBombs => topics::metas(scene, rng).await,
            Kind::TopicChurn => topics::churn(scene, rng).await,
            Kind::TooManyTopics => topics::too_many(scene, rng).await,
            Kind::PopularTopic => topics::popular(scene, rng).await,
            Kind::LoudTopic => topics::loud(scene, rng).await,
            Kind::SlowReader => topics::slow_reader(scene, rng).await,
            Kind::PollsLeft => polls::left(scene, rng).await,
            Kind::PollFlood => polls::flood(scene, rng).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_kind_is_named_and_drawn_and_the_seed_decides() {
        let draw = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let kinds = Kinds::named(&[]).unwrap();
            (0..5000).map(|_| kinds.draw(&mut rng).name()).collect::<Vec<_>>()
        };
        let names: BTreeSet<_> = draw(7).into_iter().collect();
        assert_eq!(names.len(), KINDS.len());
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let only = Kinds::named(&["pings".to_owned()]).unwrap();
        assert_eq!(only.draw(&mut StdRng::seed_from_u64(7)), Kind::PingFlood);
        assert!(Kinds::named(&["picnics".to_owned()]).is_err());
    }
}
