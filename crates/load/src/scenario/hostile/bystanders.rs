//! Well-behaved people beside the desk: they read pages, and come for a moment.

use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::dialect::{Incoming, Seat};
use crate::endpoint::Endpoint;
use crate::http::Http;
use crate::socket::{self, Part};
use crate::tally::{Tally, empty_histogram};

/// How often a page is read.
const PAGE_EVERY: Duration = Duration::from_millis(50);

/// Each page of so many is read over a new connection.
const NEW_CONNECTION_EACH: usize = 5;

/// How often somebody new comes.
const NEWCOMER_EVERY: Duration = Duration::from_millis(500);

/// Who has waited so long has noticed something.
const PATIENCE: Duration = Duration::from_secs(30);

/// What they read.
const PAGES: [&str; 5] = [
    "/v1/topics/load:0/presence",
    "/v1/topics/load:1/summary",
    "/healthz",
    "/v1/topics/load:2/presence",
    "/readyz",
];

/// People beside the desk.
#[derive(Debug)]
pub(super) struct Bystanders {
    endpoint: Endpoint,
}

impl Bystanders {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// Somebody who reads pages.
    pub(super) fn http(&self) -> Result<Http> {
        let token = self.endpoint.credentials.token("reader")?;
        Ok(Http::new(self.endpoint.address.socket, &token))
    }

    /// Reads pages until `end`; returns how long each took. Unit: nanoseconds.
    pub(super) async fn read_until(&self, end: Instant, tally: &Tally) -> Histogram<u64> {
        let mut latencies = empty_histogram();
        let mut http = match self.http() {
            Ok(http) => http,
            Err(error) => {
                tally.fail(format!("{error:#}"));
                return latencies;
            }
        };
        let mut every = interval(PAGE_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pages = PAGES.iter().cycle().enumerate();
        while Instant::now() < end {
            every.tick().await;
            let Some((number, page)) = pages.next() else { break };
            if number % NEW_CONNECTION_EACH == 0 {
                http.hang_up();
            }
            let start = Clock::now();
            match timeout(PATIENCE, http.get(page)).await.context("no answer").flatten() {
                Ok(_) => record(&mut latencies, start),
                Err(error) => {
                    tally.fail(format!("{page}: {error:#}"));
                    http.hang_up();
                }
            }
        }
        latencies
    }

    /// Lets somebody come now and again until `end`; returns how long each took to be let in. Unit:
    /// nanoseconds.
    pub(super) async fn come_until(&self, end: Instant, tally: &Tally) -> Histogram<u64> {
        let mut latencies = empty_histogram();
        let mut every = interval(NEWCOMER_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0_u32;
        while Instant::now() < end {
            every.tick().await;
            number = number.wrapping_add(1);
            let start = Clock::now();
            let visit = timeout(PATIENCE, self.visit(number, start)).await;
            match visit.context("nobody answers").flatten() {
                Ok(latency) => {
                    latencies.saturating_record(latency);
                }
                Err(error) => tally.fail(format!("a newcomer: {error:#}")),
            }
        }
        latencies
    }

    /// Connects, joins a topic of its own, leaves and goes; returns the nanoseconds from `start` until it was
    /// let in.
    async fn visit(&self, number: u32, start: Clock) -> Result<u64> {
        let Endpoint { address, dialect, .. } = &self.endpoint;
        let (user, topic) = (format!("newcomer{}", number % 100), "visit:1");
        let seat = Seat { topic, user: &user, join: 1 };
        let (mut reader, mut writer) =
            socket::open(address, &self.endpoint.target(&user)?, 0).await?;
        let mut frames = Vec::new();
        socket::text(dialect.join(seat, None).as_bytes(), &mut frames);
        writer.send(&frames).await?;
        let (mut joined, mut wrong) = (None, None);
        while joined.is_none() && wrong.is_none() {
            let read = reader.turn(|part| match part {
                Part::Text(text) => match dialect.read(text, 1) {
                    Incoming::Joined { .. } => joined = Some(nanoseconds(start)),
                    Incoming::Refused(why) => wrong = Some(why),
                    _ => {}
                },
                Part::Close(code) => wrong = Some(format!("closed with {code:?}")),
                Part::Ping(_) => {}
            });
            ensure!(read.await? > 0, "the server closed the connection");
        }
        if let Some(wrong) = wrong {
            anyhow::bail!(wrong);
        }
        frames.clear();
        socket::text(dialect.leave(seat).as_bytes(), &mut frames);
        writer.send(&frames).await?;
        // Its answer, so that the goodbye was heard.
        let mut is_heard = false;
        while !is_heard {
            let read = reader.turn(|part| is_heard |= matches!(part, Part::Text(_))).await?;
            ensure!(read > 0, "the server closed the connection");
        }
        joined.context("not let in")
    }
}

fn record(latencies: &mut Histogram<u64>, start: Clock) {
    latencies.saturating_record(nanoseconds(start));
}

fn nanoseconds(start: Clock) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
