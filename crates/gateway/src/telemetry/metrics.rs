//! Every metric of the process, by name. None has a topic or a person as label: outsiders would
//! choose how many series there are.

use std::time::Duration;

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use penholder_desk::{Backlog, DeliveryOutcome};
use penholder_hub::{Census, Tally};
use penholder_lease::{Command, EventKind, Outcome, Refusal, Rule};
use penholder_protocol::{CloseCode, ErrorCode};

const CONNECTIONS: &str = "penholder_connections";
const ARRIVALS: &str = "penholder_http_connections";
const ARRIVALS_REFUSED: &str = "penholder_http_connections_refused_total";
const REQUESTS_REFUSED: &str = "penholder_http_requests_refused_total";
const HANDSHAKES: &str = "penholder_handshakes_total";
const CLOSED: &str = "penholder_connections_closed_total";
const NOT_KEPT: &str = "penholder_connections_not_kept_total";
const JOINS: &str = "penholder_joins_total";
const MESSAGES: &str = "penholder_messages_total";
const REFUSALS: &str = "penholder_refusals_total";
const FRAMES: &str = "penholder_frames_sent_total";
const DEFERRED: &str = "penholder_presence_deferred_total";
const TOPICS: &str = "penholder_topics";
const SESSIONS: &str = "penholder_sessions";
const WAITING: &str = "penholder_sessions_waiting";
const EXPIRED: &str = "penholder_sessions_expired_total";
const RESUMES: &str = "penholder_resumes_total";
const UNREAD: &str = "penholder_relayed_unread_total";
const LOST: &str = "penholder_bus_lost_total";
const CERTAINTY: &str = "penholder_topics_uncertain";
const JOIN_TIMES: &str = "penholder_join_seconds";
const STEPS: &str = "penholder_shard_step_seconds";
const FAN_OUT: &str = "penholder_fanout_receivers";
const QUEUED: &str = "penholder_send_queue_frames";
const BACKLOG: &str = "penholder_shard_backlog";
const REQUESTS: &str = "penholder_http_request_seconds";

const PEN_COMMANDS: &str = "penholder_pen_commands_total";
const PEN_EVENTS: &str = "penholder_pen_events_total";
const PEN_TIMES: &str = "penholder_pen_store_seconds";
const PEN_FAILURES: &str = "penholder_pen_store_failures_total";
const PEN_WAITING: &str = "penholder_pen_commands_waiting";

const DELIVERIES: &str = "penholder_deliveries_total";
const DELIVERIES_PENDING: &str = "penholder_deliveries_pending";
const DELIVERIES_FAILED: &str = "penholder_deliveries_failed";
const DELIVERIES_AGE: &str = "penholder_deliveries_oldest_seconds";

/// Upper bounds of the request histogram. Unit: seconds.
const REQUEST_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// Upper bounds of the histograms of a shard's work. Unit: seconds.
const STEP_BUCKETS: [f64; 9] = [0.000_01, 0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0];

/// Upper bounds of counts of receivers and frames.
const COUNT_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0];

/// Starts to collect metrics and describes them.
///
/// # Errors
///
/// A recorder is set already.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUESTS.into()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(JOIN_TIMES.into()), &STEP_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(STEPS.into()), &STEP_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(PEN_TIMES.into()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(FAN_OUT.into()), &COUNT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(QUEUED.into()), &COUNT_BUCKETS)?
        .install_recorder()?;
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_gauge!(ARRIVALS, "TCP connections that are no WebSocket, the silent ones included.");
    describe_counter!(REQUESTS_REFUSED, "HTTP requests of addresses that asked too often.");
    describe_counter!(ARRIVALS_REFUSED, "TCP connections refused before a byte, by the bound.");
    describe_counter!(HANDSHAKES, "Attempts to connect, by outcome.");
    describe_counter!(CLOSED, "Connections that the server closed, by code.");
    describe_counter!(NOT_KEPT, "Lost connections whose sessions ended at once, as too many wait.");
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
    describe_gauge!(WAITING, "Sessions without a connection, which may come back within grace.");
    describe_counter!(EXPIRED, "Sessions that did not come back within grace.");
    describe_counter!(RESUMES, "Joins with a resume token, by whether it counted.");
    describe_counter!(UNREAD, "Events of other replicas that could not be read.");
    describe_counter!(LOST, "Messages of other replicas for which a shard had no room, by sort.");
    describe_gauge!(CERTAINTY, "Topics whose edit priority is not confirmed, by certainty.");
    describe_histogram!(
        JOIN_TIMES,
        "From a join's arrival at its shard to its answer's hand-over. Unit: seconds."
    );
    describe_histogram!(
        STEPS,
        "What a shard took for one input, hand-over to all receivers included. Unit: seconds."
    );
    describe_histogram!(FAN_OUT, "Receivers of a frame, each encoded once.");
    describe_histogram!(QUEUED, "Frames taken from a connection's queue at a time.");
    describe_gauge!(BACKLOG, "Commands that wait for the shard with the most of them.");
    describe_histogram!(
        REQUESTS,
        "Time to answer HTTP requests, by route and status. Unit: seconds."
    );
    describe_pens();
    describe_deliveries();
    Ok(handle)
}

fn describe_deliveries() {
    describe_counter!(DELIVERIES, "Attempts to deliver events to consumers, by outcome.");
    describe_gauge!(DELIVERIES_PENDING, "Events that consumers are owed.");
    describe_gauge!(DELIVERIES_FAILED, "Deliveries that were given up.");
    describe_gauge!(
        DELIVERIES_AGE,
        "Age of the oldest event that a consumer is owed. Unit: seconds."
    );
}

pub(crate) fn delivery(outcome: &DeliveryOutcome) {
    let outcome = match outcome {
        DeliveryOutcome::Delivered { .. } => "delivered",
        DeliveryOutcome::Failed { retry_in_ms: Some(_), .. } => "retried",
        DeliveryOutcome::Failed { retry_in_ms: None, .. } => "parked",
        DeliveryOutcome::Released => return,
    };
    counter!(DELIVERIES, "outcome" => outcome).increment(1);
}

pub(crate) fn backlog(backlog: &Backlog) {
    let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    gauge!(DELIVERIES_PENDING).set(number(backlog.pending));
    gauge!(DELIVERIES_FAILED).set(number(backlog.failed));
    gauge!(DELIVERIES_AGE).set(number(backlog.oldest_ms / 1_000));
}

fn describe_pens() {
    describe_counter!(PEN_COMMANDS, "Commands to pens that the store obeyed or refused.");
    describe_counter!(PEN_EVENTS, "What happened to pens, by type and rule.");
    describe_histogram!(
        PEN_TIMES,
        "Time of the store for one command, or one batch of renewals. Unit: seconds."
    );
    describe_counter!(PEN_FAILURES, "Questions that the store of pens did not answer.");
    describe_gauge!(PEN_WAITING, "Commands to pens that wait for the store.");
}

pub(crate) fn pen_command(command: &Command, outcome: &Result<Outcome, Refusal>) {
    let name = match command {
        Command::Acquire { .. } => "acquire",
        Command::Renew { .. } => "renew",
        Command::Release { .. } => "release",
        Command::Request { .. } => "request",
        Command::Answer { .. } => "answer",
        Command::TakeOver { .. } => "take_over",
        Command::Revoke { .. } => "revoke",
        Command::End { .. } => "end",
        Command::Disconnect { .. } => "disconnect",
        Command::Leave { .. } => "leave",
        Command::Resume { .. } => "resume",
        Command::Tick => "tick",
    };
    let outcome = if outcome.is_ok() { "obeyed" } else { "refused" };
    counter!(PEN_COMMANDS, "command" => name, "outcome" => outcome).increment(1);
}

pub(crate) fn pen_event(kind: EventKind, rule: Rule) {
    counter!(PEN_EVENTS, "type" => kind.as_str(), "rule" => rule.as_str()).increment(1);
}

pub(crate) fn pen_store(took: Duration) {
    histogram!(PEN_TIMES).record(took);
}

pub(crate) fn pen_store_failed() {
    counter!(PEN_FAILURES).increment(1);
}

pub(crate) fn pens_waiting(count: usize) {
    gauge!(PEN_WAITING).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn connected() {
    gauge!(CONNECTIONS).increment(1.0);
}

pub(crate) fn disconnected() {
    gauge!(CONNECTIONS).decrement(1.0);
}

pub(crate) fn arrived() {
    gauge!(ARRIVALS).increment(1.0);
}

pub(crate) fn departed() {
    gauge!(ARRIVALS).decrement(1.0);
}

pub(crate) fn arrival_refused(bound: &'static str) {
    counter!(ARRIVALS_REFUSED, "bound" => bound).increment(1);
}

pub(crate) fn request_refused() {
    counter!(REQUESTS_REFUSED).increment(1);
}

pub(crate) fn handshake(outcome: &'static str) {
    counter!(HANDSHAKES, "outcome" => outcome).increment(1);
}

pub(crate) fn closed(code: CloseCode) {
    counter!(CLOSED, "code" => code.name()).increment(1);
}

pub(crate) fn not_kept() {
    counter!(NOT_KEPT).increment(1);
}

pub(crate) fn joined() {
    counter!(JOINS).increment(1);
}

pub(crate) fn refused(code: ErrorCode) {
    counter!(REFUSALS, "code" => code.code()).increment(1);
}

pub(crate) fn presence_deferred() {
    counter!(DEFERRED).increment(1);
}

pub(crate) fn request(route: String, status: u16, took: Duration) {
    histogram!(REQUESTS, "route" => route, "status" => status.to_string()).record(took);
}

/// The histograms of the shards, looked up once: they are touched at every step.
#[derive(Clone)]
pub(crate) struct ShardMetrics {
    steps: Histogram,
    joins: Histogram,
    receivers: Histogram,
}

impl ShardMetrics {
    pub(crate) fn new() -> Self {
        Self {
            steps: histogram!(STEPS),
            joins: histogram!(JOIN_TIMES),
            receivers: histogram!(FAN_OUT),
        }
    }

    pub(crate) fn step(&self, took: Duration) {
        self.steps.record(took);
    }

    pub(crate) fn join(&self, took: Duration) {
        self.joins.record(took);
    }

    pub(crate) fn fan_out(&self, receivers: usize) {
        self.receivers.record(f64::from(u32::try_from(receivers).unwrap_or(u32::MAX)));
    }
}

/// What goes over all connections, looked up once: it is counted at every message.
#[derive(Clone)]
pub(crate) struct Traffic {
    messages: Counter,
    frames: Counter,
    queued: Histogram,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self { messages: counter!(MESSAGES), frames: counter!(FRAMES), queued: histogram!(QUEUED) }
    }

    /// Counts a message of a client.
    pub(crate) fn message(&self) {
        self.messages.increment(1);
    }

    /// Counts the frames of one batch.
    pub(crate) fn written(&self, frames: usize) {
        self.frames.increment(u64::try_from(frames).unwrap_or(u64::MAX));
        self.queued.record(f64::from(u32::try_from(frames).unwrap_or(u32::MAX)));
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic").finish_non_exhaustive()
    }
}

/// Takes stock of all shards.
pub(crate) fn census(shards: &[(Census, Tally)], backlog: usize) {
    let sum = |count: fn(&Census) -> usize| {
        let total: usize = shards.iter().map(|(census, _)| count(census)).sum();
        f64::from(u32::try_from(total).unwrap_or(u32::MAX))
    };
    gauge!(TOPICS).set(sum(|census| census.rooms));
    gauge!(SESSIONS).set(sum(|census| census.sessions));
    gauge!(WAITING).set(sum(|census| census.waiting));
    gauge!(CERTAINTY, "certainty" => "provisional").set(sum(|census| census.provisional));
    gauge!(CERTAINTY, "certainty" => "contested").set(sum(|census| census.contested));
    gauge!(BACKLOG).set(f64::from(u32::try_from(backlog).unwrap_or(u32::MAX)));
    let total = |count: fn(&Tally) -> u64| shards.iter().map(|(_, tally)| count(tally)).sum();
    counter!(EXPIRED).absolute(total(|tally| tally.expired));
    counter!(UNREAD).absolute(total(|tally| tally.unread));
    counter!(RESUMES, "outcome" => "resumed").absolute(total(|tally| tally.resumed));
    counter!(RESUMES, "outcome" => "not_resumed").absolute(total(|tally| tally.not_resumed));
}

pub(crate) fn bus_lost(sort: &'static str) {
    counter!(LOST, "sort" => sort).increment(1);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_metric_is_explained_to_operators() {
        let manual = include_str!("../../../../docs/OPERATIONS.md");
        let named =
            include_str!("metrics.rs").lines().filter_map(|line| line.strip_prefix("const "));
        let names = named.filter_map(|line| line.split('"').nth(1)?.strip_prefix("penholder_"));
        let names: Vec<_> = names.collect();
        assert!(names.len() > 15, "{names:?}");
        for name in names {
            let is_told =
                ["`", "{"].iter().any(|end| manual.contains(&format!("| `penholder_{name}{end}")));
            assert!(is_told, "penholder_{name}");
        }
    }
}
