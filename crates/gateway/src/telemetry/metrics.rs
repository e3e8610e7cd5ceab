//! Every metric of the process, by name. None has a topic or a person as label: outsiders would
//! choose how many series there are.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use penholder_hub::Census;
use penholder_protocol::{CloseCode, ErrorCode};

const CONNECTIONS: &str = "penholder_connections";
const HANDSHAKES: &str = "penholder_handshakes_total";
const CLOSED: &str = "penholder_connections_closed_total";
const JOINS: &str = "penholder_joins_total";
const MESSAGES: &str = "penholder_messages_total";
const REFUSALS: &str = "penholder_refusals_total";
const FRAMES: &str = "penholder_frames_sent_total";
const DEFERRED: &str = "penholder_presence_deferred_total";
const TOPICS: &str = "penholder_topics";
const SESSIONS: &str = "penholder_sessions";
const REQUESTS: &str = "penholder_http_request_seconds";

/// Upper bounds of the request histogram. Unit: seconds.
const REQUEST_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// Starts to collect metrics and describes them.
///
/// # Errors
///
/// A recorder is set already.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUESTS.into()), &REQUEST_BUCKETS)?
        .install_recorder()?;
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_counter!(HANDSHAKES, "Attempts to connect, by outcome.");
    describe_counter!(CLOSED, "Connections that the server closed, by code.");
    describe_counter!(JOINS, "Joins answered ok.");
    describe_counter!(MESSAGES, "Messages from clients.");
    describe_counter!(REFUSALS, "Requests over sockets answered with an error, by code.");
    describe_counter!(FRAMES, "Frames sent to clients.");
    describe_counter!(
        DEFERRED,
        "Presence frames held back from slow clients for a later snapshot."
    );
    describe_gauge!(TOPICS, "Topics that somebody is on or watches.");
    describe_gauge!(SESSIONS, "Sessions, those in grace included.");
    describe_histogram!(
        REQUESTS,
        "Time to answer HTTP requests, by route and status. Unit: seconds."
    );
    Ok(handle)
}

pub(crate) fn connected() {
    gauge!(CONNECTIONS).increment(1.0);
}

pub(crate) fn disconnected() {
    gauge!(CONNECTIONS).decrement(1.0);
}

pub(crate) fn handshake(outcome: &'static str) {
    counter!(HANDSHAKES, "outcome" => outcome).increment(1);
}

pub(crate) fn closed(code: CloseCode) {
    counter!(CLOSED, "code" => code.name()).increment(1);
}

pub(crate) fn joined() {
    counter!(JOINS).increment(1);
}

pub(crate) fn message() {
    counter!(MESSAGES).increment(1);
}

pub(crate) fn refused(code: ErrorCode) {
    counter!(REFUSALS, "code" => code.code()).increment(1);
}

pub(crate) fn frames_sent(count: usize) {
    counter!(FRAMES).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

pub(crate) fn presence_deferred() {
    counter!(DEFERRED).increment(1);
}

pub(crate) fn request(route: String, status: u16, took: Duration) {
    histogram!(REQUESTS, "route" => route, "status" => status.to_string()).record(took);
}

/// Takes stock of all shards.
pub(crate) fn census(shards: &[Census]) {
    let sum = |count: fn(&Census) -> usize| {
        let total: usize = shards.iter().map(count).sum();
        f64::from(u32::try_from(total).unwrap_or(u32::MAX))
    };
    gauge!(TOPICS).set(sum(|census| census.rooms));
    gauge!(SESSIONS).set(sum(|census| census.sessions));
}
