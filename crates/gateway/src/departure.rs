//! How clients are sent away when the server stops: one after another, each asked to come back at a moment of its own.
//!
//! A server that stops refuses whoever comes back to it, and clients that do not know the wish of the server, as npm
//! `phoenix`, try again at ever longer intervals. So the span has two bounds: no more come back at once than a
//! server can take, and it is over before those who went first have reached the long intervals.

use std::time::Duration;

use rand::Rng;

/// How many clients are sent away in a millisecond at most, as long as the drain allows it, and how many are asked to
/// come back in one: a server that has just started can take so many.
const CLIENTS_PER_MS: u64 = 4;

/// Over how long they are sent away at least, so that whoever asks for readiness sees it go before nobody listens.
/// Unit: milliseconds.
const SPAN_MS_MIN: u64 = 300;

/// How long they are asked to stay away at least: so long it takes to start again. Unit: milliseconds.
const AWAY_MS_MIN: u64 = 500;

/// Over how long they are asked to come back at least. Unit: milliseconds.
const RETURN_MS_MIN: u64 = 1_000;

/// How one client is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// When it has to go, counted from the beginning of the drain.
    pub(crate) wait: Duration,
    /// How long it is asked to stay away.
    pub(crate) reconnect_after_ms: u64,
}

impl Departure {
    /// Draws that of one of `count` clients.
    pub(crate) fn draw(count: u64, drain: Duration, random: &mut impl Rng) -> Self {
        let drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
        // The last fifth of the drain is for close frames to get through.
        let span_ms = (count / CLIENTS_PER_MS).max(SPAN_MS_MIN).min(drain_ms / 5 * 4);
        let return_ms = RETURN_MS_MIN + count / CLIENTS_PER_MS;
        Self {
            wait: Duration::from_millis(random.random_range(0..=span_ms)),
            reconnect_after_ms: random.random_range(AWAY_MS_MIN..=AWAY_MS_MIN + return_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// How long npm `phoenix` waits before each attempt.
    const ATTEMPTS_MS: [u64; 10] = [10, 50, 100, 150, 200, 250, 500, 1_000, 2_000, 5_000];

    /// How long a server may take from the last departure until it listens again.
    const START_MS: u64 = 1_500;

    fn draw(count: u64, drain_ms: u64) -> Vec<Departure> {
        let mut random = StdRng::seed_from_u64(count);
        let drain = Duration::from_millis(drain_ms);
        (0..count).map(|_| Departure::draw(count, drain, &mut random)).collect()
    }

    fn waits(departures: &[Departure]) -> Vec<u64> {
        let mut waits: Vec<_> =
            departures.iter().map(|it| u64::try_from(it.wait.as_millis()).unwrap()).collect();
        waits.sort_unstable();
        waits
    }

    /// When somebody is back who goes at a time and first comes again at another, counted from the drain.
    fn back_ms(first_ms: u64, listens_ms: u64) -> u64 {
        let mut at = first_ms;
        let mut attempts = ATTEMPTS_MS.into_iter();
        while at < listens_ms {
            at += attempts.next().unwrap_or(5_000);
        }
        at
    }

    #[test]
    fn of_ten_thousand_95_in_100_are_back_well_within_10_s() {
        let departures = draw(10_000, 10_000);
        let listens_ms = waits(&departures).last().unwrap() + START_MS;
        let back = |does_as_asked: bool| {
            let of = |departure: &Departure| {
                let gone_ms = u64::try_from(departure.wait.as_millis()).unwrap();
                let away_ms = if does_as_asked { departure.reconnect_after_ms } else { 0 };
                back_ms(gone_ms + away_ms, listens_ms)
            };
            let mut back: Vec<_> = departures.iter().map(of).collect();
            back.sort_unstable();
            (back[9_500], back[9_999])
        };
        for does_as_asked in [true, false] {
            let (most, all) = back(does_as_asked);
            assert!(most < 8_000 && all < 9_000, "{does_as_asked}: {most}, {all} ms");
        }
    }

    #[test]
    fn no_more_go_or_are_asked_back_at_once_than_a_server_can_take() {
        let departures = draw(10_000, 10_000);
        let mut back: Vec<_> = departures.iter().map(|it| it.reconnect_after_ms).collect();
        back.sort_unstable();
        assert!(back[0] >= AWAY_MS_MIN, "{}", back[0]);
        for times in [waits(&departures), back] {
            // In a tenth of a second chance evens out.
            let within =
                |from: u64| times.iter().filter(|at| (from..from + 100).contains(*at)).count();
            let most = (0..100).map(|n| within(n * 100)).max().unwrap();
            assert!(most < 500, "{most}");
        }
    }

    #[test]
    fn few_go_slowly_and_many_within_the_drain() {
        for (count, drain_ms, span_ms) in
            [(60, 10_000, 300), (2_000, 10_000, 500), (10_000, 1_000, 800), (100, 0, 0)]
        {
            let last = *waits(&draw(count, drain_ms)).last().unwrap();
            assert!(last <= span_ms && last >= span_ms / 10 * 9, "{count} {drain_ms}: {last}");
        }
    }
}
