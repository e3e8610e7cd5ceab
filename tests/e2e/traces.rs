//! Traces, sent to a collector that reads them as OpenTelemetry defines them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use penholder_tests::{Build, Options, Request, Server, Token, command, command_of, soon};
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Longer than spans are gathered for.
const SOON: Duration = Duration::from_secs(20);

const ENDPOINT: &str = "PENHOLDER__TELEMETRY__OTLP_ENDPOINT";

/// A trace that somebody else has begun (W3C Trace Context, section 3.2).
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector was sent: the service that it names, and one of its spans.
struct Heard {
    service: String,
    span: Span,
}

/// Takes what it is sent, and answers as a collector does.
struct Collector {
    address: String,
    heard: mpsc::UnboundedReceiver<Result<Heard>>,
}

impl Collector {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Err(error) = collect(stream, &sender).await {
                        // The test may be over.
                        sender.send(Err(error)).ok();
                    }
                });
            }
        });
        Ok(Self { address, heard })
    }

    fn options(&self) -> Options {
        Options::default().build(Build::Otlp).set("telemetry.otlp_endpoint", &self.address)
    }

    /// The next span of that name.
    async fn next(&mut self, name: &str) -> Result<Heard> {
        soon(format!("the span {name}"), SOON, async {
            loop {
                let heard = self.heard.recv().await.context("the collector has ended")??;
                if heard.span.name == name {
                    return Ok(heard);
                }
            }
        })
        .await
    }
}

/// Reads exports until the connection ends.
async fn collect(stream: TcpStream, sender: &mpsc::UnboundedSender<Result<Heard>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = head.to_lowercase();
        ensure!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        ensure!(head.contains("content-type: application/x-protobuf"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut body = vec![0; length.context("no length")?.trim().parse()?];
        stream.read_exact(&mut body).await?;
        for resource in ExportTraceServiceRequest::decode(&body[..])?.resource_spans {
            let about = resource.resource.context("spans of nobody")?;
            let service = text(&about.attributes, "service.name").unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                sender.send(Ok(Heard { service: service.clone(), span }))?;
            }
        }
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// An attribute, as text.
fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[tokio::test]
async fn what_a_request_writes_has_the_trace_of_its_span() -> Result<()> {
    let mut collector = Collector::start().await?;
    let server = Server::start(collector.options()).await?;
    let body = serde_json::json!({"title": "t", "description": "d"});
    let post = || Request::new("POST", "/v1/tickets").authorized("ApiKey dev").json(&body);
    // One that somebody has begun, and one that begins here.
    for (request, named) in
        [(post().header("traceparent", &traceparent("01")), Some(TRACE)), (post(), None)]
    {
        let made = server.ask(request).await?;
        assert_eq!(made.status, 201, "{made}");
        let trace = hex(&collector.next("POST /v1/tickets").await?.span.trace_id);
        assert_eq!(trace, named.unwrap_or(&trace));
        let written = server.get(&format!("/v1/events?trace_id={trace}")).await?.json();
        assert_eq!(written["data"][0]["target"]["id"], made.json()["id"], "{written}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_continues_the_trace_of_its_caller() -> Result<()> {
    let mut collector = Collector::start().await?;
    let server = Server::start(collector.options()).await?;
    let asked = Request::new("GET", "/v1/topics/doc:1/presence?x=canary");
    let authorized = asked.authorized("ApiKey dev");
    let answer = server.ask(authorized.header("traceparent", &traceparent("01"))).await?;
    assert_eq!(answer.status, 200);

    let Heard { service, span } = collector.next("GET /v1/topics/{topic}/presence").await?;
    assert_eq!(service, "penholder");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(span.kind, i32::from(SpanKind::Server));
    ensure!(span.end_time_unix_nano > span.start_time_unix_nano);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/v1/topics/{topic}/presence"),
        ("url.path", "/v1/topics/doc:1/presence"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(text(&span.attributes, key).as_deref(), Some(value), "{key}");
    }
    ensure!(!format!("{span:?}").contains("canary"), "the query: {span:?}");
    Ok(())
}

#[tokio::test]
async fn others_begin_traces_of_their_own_and_the_last_are_sent_at_the_end() -> Result<()> {
    let mut collector = Collector::start().await?;
    let mut server = Server::start(collector.options()).await?;
    let unsampled = Request::new("GET", "/readyz").header("traceparent", &traceparent("00"));
    server.ask(unsampled).await?;
    server.ask(Request::new("GET", "/healthz").header("traceparent", "00-nonsense")).await?;
    let token = Token::of("ann").sign()?;
    drop(server.socket(&token).await?);
    server.terminate()?;
    assert_eq!(server.exit_code().await?, 0);

    let begun = collector.next("GET /healthz").await?.span;
    ensure!(begun.trace_id.len() == 16 && hex(&begun.trace_id) != TRACE, "{begun:?}");
    ensure!(begun.parent_span_id.is_empty(), "{begun:?}");
    let socket = collector.next("GET /socket/websocket").await?.span;
    assert_eq!(text(&socket.attributes, "http.response.status_code").as_deref(), Some("101"));
    ensure!(!format!("{socket:?}").contains(&token), "the token: {socket:?}");
    // Whoever has begun the trace did not want it kept.
    collector.heard.close();
    while let Some(heard) = collector.heard.recv().await {
        ensure!(heard?.span.name != "GET /readyz", "a trace that was not sampled");
    }
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_not_there_delays_nobody() -> Result<()> {
    let collector = Collector::start().await?;
    // Nobody listens on that port any more.
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let options = collector.options().set("telemetry.otlp_endpoint", &format!("http://{free}"));
    let mut server = Server::start(options).await?;
    for _ in 0..100 {
        assert_eq!(server.ask(Request::new("GET", "/healthz")).await?.status, 200);
    }
    server.terminate()?;
    assert_eq!(server.exit_code().await?, 0);
    ensure!(server.log().contains("telemetry data will be lost"), "nobody is told");
    Ok(())
}

#[test]
fn without_the_feature_a_collector_stops_the_start() -> Result<()> {
    let collector = [(ENDPOINT, "http://127.0.0.1:4318")];
    let ended = command(&["run", "--data", "/nonexistent"], &collector)?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    ensure!(ended.stderr.contains("built without the cargo feature otlp"), "{ended:?}");
    Ok(())
}

#[test]
fn a_collector_that_cannot_be_one_stops_the_start() -> Result<()> {
    for address in ["https://collector.example:4318", "collector:4318", "http://", "http://x/?a=b"]
    {
        let run = ["run", "--data", "/nonexistent"];
        let ended = command_of(Build::Otlp, &run, &[(ENDPOINT, address)])?;
        assert_eq!(ended.code, Some(2), "{address}: {ended:?}");
        ensure!(ended.stderr.contains("telemetry.otlp_endpoint must be http"), "{ended:?}");
    }
    Ok(())
}
