//! Traces for a collector of OpenTelemetry: OTLP over HTTP, in protobuf.
//!
//! Spans wait in a bounded queue for a thread of the SDK, which sends them in batches; what does not fit is
//! dropped. So a collector that is slow or gone costs spans and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use axum::http::{HeaderMap, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use penholder_desk::Trace;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// How long the collector may take to answer, and how long the last spans may take at the end.
const SEND_MAX: Duration = Duration::from_secs(5);

/// Longest answer of a collector. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where spans go below the address of a collector (OTLP 1.0, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

/// What has to be flushed at the end.
#[derive(Debug)]
pub(super) struct Export(SdkTracerProvider);

/// Sends requests on the runtime: the SDK's thread has none.
#[derive(Debug)]
struct Courier {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Begins to send spans to the collector at `endpoint`. The layer is to be added to those of the logs.
pub(super) fn start<S>(endpoint: &str, runtime: &Handle) -> Result<(Export, impl Layer<S>)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let address: Uri = format!("{}{PATH}", endpoint.trim_end_matches('/')).parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Courier { runtime: runtime.clone(), client })
        .with_endpoint(address.to_string())
        .with_timeout(SEND_MAX)
        .build()
        .context("telemetry.otlp_endpoint")?;
    let resource = Resource::builder()
        .with_service_name("penholder")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        // Whoever has begun a trace has decided whether it is kept.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_batch_exporter(exporter)
        .build();
    // Our own spans alone: those of the exporter's client would be sent for ever.
    let ours = filter_fn(|it| it.is_span() && it.target().starts_with(env!("CARGO_CRATE_NAME")));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("penholder"))
        .with_location(false)
        .with_threads(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::DEBUG));
    Ok((Export(provider), layer))
}

impl Export {
    /// Sends what is left. Blocks, so not from a task.
    pub(super) fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(SEND_MAX) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// Puts a span under the one that the `traceparent` of a request names, if it names one.
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // It fails where no spans are collected.
    span.set_parent(parent).ok();
}

/// The trace of the present span, if spans are collected.
pub(super) fn trace() -> Option<Trace> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let (trace_id, flags) = (span.trace_id(), span.trace_flags());
    let traceparent = format!("00-{trace_id:032x}-{:016x}-{flags:02x}", span.span_id());
    span.is_valid().then(|| Trace { trace_id: format!("{trace_id:032x}"), traceparent })
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new));
        let whole = async {
            let (head, body) = answer.await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // Timers belong to a runtime too.
        self.runtime.spawn(async { timeout(SEND_MAX, whole).await }).await??
    }
}
