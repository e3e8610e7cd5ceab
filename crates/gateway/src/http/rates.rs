//! How often an address may ask over HTTP.
//!
//! Connections are bounded (see [`crate::admission`]), but one of them can carry thousands of requests a second.
//! Backends with a valid key are not bounded: they are few, known, and speak for many people.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use penholder_protocol::ErrorCode;
use tokio::time::{sleep, timeout};

use super::caller::{ClientAddress, backend};
use super::error::ApiError;
use crate::admission::network;
use crate::app::App;
use crate::config::Limits;
use crate::socket;
use crate::telemetry::metrics;

/// How long a poll waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// The rates of all addresses.
#[derive(Debug)]
pub(crate) struct RequestRates(DefaultKeyedRateLimiter<IpAddr>);

impl RequestRates {
    pub(crate) fn new(limits: &Limits) -> Self {
        let number = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(number(limits.http_requests_per_second.as_u32()));
        let burst = number(limits.http_requests_burst.as_u32());
        Self(RateLimiter::keyed(quota.allow_burst(burst)))
    }

    /// Counts a request from `address`.
    ///
    /// # Errors
    ///
    /// There were too many: how long to wait.
    fn count(&self, address: IpAddr) -> Result<(), Duration> {
        let counted = self.0.check_key(&network(address));
        counted.map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }

    /// Counts a request that waits for its turn, unless that takes too long.
    async fn admit(&self, address: IpAddr) -> bool {
        let turn = async {
            while let Err(wait) = self.count(address) {
                // Many may wait: not all for the same moment.
                sleep(wait + Duration::from_millis(rand::random_range(50..250))).await;
            }
        };
        timeout(PATIENCE, turn).await.is_ok()
    }

    /// Forgets who could ask as often as one who never did.
    pub(crate) fn tidy(&self) {
        self.0.retain_recent();
    }
}

/// Answers what comes too often, in the place of those who would. A poll waits instead: refused, its client takes
/// the whole connection for lost, and comes back with yet more requests.
pub(super) async fn bound(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    let Err(wait) = app.request_rates.count(address) else { return next.run(request).await };
    if is_backend(&app, request.headers()) {
        return next.run(request).await;
    }
    let is_poll = request.uri().path() == socket::POLL_PATH;
    if is_poll && app.request_rates.admit(address).await {
        return next.run(request).await;
    }
    metrics::request_refused();
    if is_poll { socket::busy() } else { too_many(wait) }
}

fn is_backend(app: &App, headers: &HeaderMap) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization.is_some_and(|authorization| backend(app, authorization).is_some())
}

fn too_many(wait: Duration) -> Response {
    let error = ApiError::new(
        ErrorCode::RateLimited,
        "Too many requests from this address; wait for as many seconds as Retry-After says.",
    );
    let mut response = error.into_response();
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_may_ask_so_often_and_others_are_not_charged() {
        let limits = "http_requests_per_second = 1\nhttp_requests_burst = 3";
        let rates = RequestRates::new(&toml::from_str(limits).unwrap());
        let count = |last| rates.count(Ipv4Addr::new(10, 0, 0, last).into());
        assert!((0..3).all(|_| count(1).is_ok()));
        assert!(count(1).unwrap_err() <= Duration::from_secs(1));
        assert!(count(2).is_ok());
    }

    #[test]
    fn whose_rate_is_whole_again_is_forgotten() {
        let limits = "http_requests_per_second = 1000\nhttp_requests_burst = 1000";
        let rates = RequestRates::new(&toml::from_str(limits).unwrap());
        (0..100).for_each(|n| assert!(rates.count(Ipv4Addr::new(10, 0, 0, n).into()).is_ok()));
        std::thread::sleep(Duration::from_millis(10));
        rates.tidy();
        assert_eq!(rates.0.len(), 0);
    }
}
