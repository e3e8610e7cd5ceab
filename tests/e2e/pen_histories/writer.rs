//! The writers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use penholder_evidence::{Ask, Draw, Outcome};
use penholder_lease::Fence;
use tokio::time::{Instant, sleep};

use super::documents::Documents;
use super::line::{Heard, Identity, Sitting};
use super::record::{Call, Recorder};
use super::{TOPICS, TTL_MS};

/// How a writer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Http,
    Channel,
}

/// One writer on all topics.
pub(crate) struct Writer {
    pub(crate) n: u64,
    pub(crate) identity: Identity,
    pub(crate) draw: Draw,
    pub(crate) recorder: Recorder,
    pub(crate) documents: Documents,
    line: Line,
    /// The last fence that it got, whether or not it is still good: who was stopped does not know.
    fences: BTreeMap<&'static str, Fence>,
    /// Counts the calls that were never answered.
    lives: u64,
}

enum Line {
    Http(Identity),
    Channel(Sitting),
    /// Between two sittings.
    Away,
}

/// A save that was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved {
    pub(crate) topic: &'static str,
    pub(crate) version: i64,
    pub(crate) fence: i64,
}

impl Writer {
    pub(crate) async fn new(
        n: u64,
        manner: Manner,
        identity: Identity,
        (draw, recorder, documents): (Draw, Recorder, Documents),
    ) -> Result<Self> {
        let line = match manner {
            Manner::Http => Line::Http(identity.clone()),
            Manner::Channel => {
                Line::Channel(Sitting::begin(identity.clone(), &BTreeMap::new()).await?)
            }
        };
        let (fences, lives) = (BTreeMap::new(), 0);
        Ok(Self { n, identity, draw, recorder, documents, line, fences, lives })
    }

    /// Writes until then; returns what was saved.
    pub(crate) async fn write_until(mut self, end: Instant) -> Result<Vec<Saved>> {
        let mut saved = Vec::new();
        while Instant::now() < end {
            let topic = TOPICS[usize::try_from(self.draw.below(TOPICS.len() as u64))?];
            let fence = self.fences.get(topic).copied();
            match (self.draw.below(12), fence) {
                (0..=1, Some(fence)) => self.call(topic, Ask::Renew(fence)).await?,
                (2, Some(fence)) => self.call(topic, Ask::Release(fence)).await?,
                (3..=7, Some(fence)) => saved.extend(self.save(topic, fence).await?),
                (8, _) => self.call(topic, Ask::TakeOver).await?,
                (9, _) => self.call(topic, Ask::Read).await?,
                _ => self.call(topic, Ask::Acquire).await?,
            }
            if self.draw.below(20) == 0 {
                self.lose().await?;
            }
            // Stopped, now and then for longer than the lease, and back with what it believes to hold.
            let pause = match self.draw.below(24) {
                0 => self.draw.below(2 * TTL_MS),
                _ => self.draw.below(40),
            };
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(saved)
    }

    /// Loses the connection, if it has one, and comes back as the same session or as another.
    async fn lose(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.line, Line::Away) {
            Line::Channel(sitting) => {
                let (identity, mut resume) = sitting.lose().await;
                let pause = self.draw.below(TTL_MS);
                sleep(Duration::from_millis(pause)).await;
                if self.draw.below(2) == 0 {
                    resume.clear();
                }
                self.line = Line::Channel(Sitting::begin(identity, &resume).await?);
            }
            line => self.line = line,
        }
        Ok(())
    }

    async fn call(&mut self, topic: &'static str, ask: Ask) -> Result<()> {
        let mut session = format!("http:{}", self.identity.person);
        if let Line::Channel(sitting) = &mut self.line {
            session = sitting.session(topic).await?;
        }
        let began = self.recorder.now();
        let heard = match &mut self.line {
            Line::Http(identity) => identity.call(topic, ask).await?,
            Line::Channel(sitting) => sitting.call(topic, ask).await?,
            Line::Away => Heard::NotSent,
        };
        let ended = match heard {
            Heard::Answer(outcome) => Some((self.recorder.now(), outcome)),
            Heard::Nothing => None,
            Heard::NotSent => {
                sleep(Duration::from_millis(20)).await;
                return Ok(());
            }
        };
        if let (Some(_), Line::Channel(sitting)) = (ended, &mut self.line) {
            // It may have been another before the call was sent.
            session = sitting.last_session(topic)?;
        }
        if let Some((_, Outcome::Own(fence, _))) = ended {
            self.fences.insert(topic, fence);
        }
        let person = self.identity.person.clone();
        let thread = self.n << 16 | self.lives;
        self.lives += u64::from(ended.is_none());
        self.recorder.add(Call { thread, topic, ask, person, session, began, ended });
        Ok(())
    }

    /// Saves in the application's store, which knows nothing but fences.
    async fn save(&mut self, topic: &'static str, fence: Fence) -> Result<Option<Saved>> {
        let (number, began) = (i64::try_from(fence.0)?, self.recorder.now());
        let body = format!("by {}", self.identity.person);
        let version = self.documents.save(topic, number, &body).await?;
        let outcome = if version.is_some() { Outcome::Done } else { Outcome::Lost };
        let person = self.identity.person.clone();
        let thread = self.n << 16 | self.lives;
        let ended = Some((self.recorder.now(), outcome));
        let (ask, session) = (Ask::Save(fence), String::new());
        self.recorder.add(Call { thread, topic, ask, person, session, began, ended });
        Ok(version.map(|version| Saved { topic, version, fence: number }))
    }
}
