//! Requests: origins, versions, heads, the places where a token may stand, and bodies.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use penholder_tests::{Request, exchange, soon};

use super::scene::{ORIGIN, QUIET, SOON, Scene, good};
use super::{Does, Row};

const SOCKET: &str = "/socket/websocket?vsn=2.0.0";

/// A request and the status of its answer.
pub(super) struct Handshake {
    bytes: Vec<u8>,
    status: u16,
}

impl Handshake {
    pub(super) async fn run(&self, scene: &Scene) -> Result<()> {
        let asked = exchange(scene.server.port(), &self.bytes);
        let answer = soon("an answer", SOON, asked).await?;
        ensure!(answer.status == self.status, "{answer}, not {}", self.status);
        ensure!(!answer.body.contains("canary"), "{answer}");
        Ok(())
    }
}

pub(super) fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let port = scene.server.port();
    let token = scene.sign(&good("guest"))?;
    let requests =
        [origins(&token), versions(&token), places(&token), upgrades(&token), bodies(&token)]
            .concat();
    let mut rows: Vec<_> = requests
        .into_iter()
        .map(|(name, request, status)| row(name, request.to_bytes(port), status))
        .collect();
    rows.extend(heads().into_iter().map(|(name, bytes, status)| row(name, bytes, status)));
    Ok(rows)
}

fn row(name: impl Into<String>, bytes: Vec<u8>, status: u16) -> Row {
    Row { name: name.into(), does: Does::Handshake(Handshake { bytes, status }) }
}

type Asked = (String, Request, u16);

fn authorized(path: &str, token: &str) -> Request {
    Request::websocket(path).authorized(&format!("Bearer {token}"))
}

fn origins(token: &str) -> Vec<Asked> {
    const FOREIGN: [&str; 17] = [
        "https://evil.example",
        "null",
        "Null",
        "",
        "http://desk.example.org",
        "https://desk.example.org:8443",
        "https://desk.example.org.evil.example",
        "https://desk.example.org@evil.example",
        "https://evil.example/https://desk.example.org",
        "https://evil.desk.example.org",
        "https://desk.example.orgx",
        "https://desk.example.org.",
        "https://desk.example.org, https://desk.example.org",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "file://",
    ];
    let asked = || authorized(SOCKET, token);
    let mut rows: Vec<Asked> = vec![
        ("our origin".into(), asked().header("origin", ORIGIN), 101),
        ("no origin".into(), asked(), 101),
        ("loopback, in development".into(), asked().header("origin", "http://localhost:5173"), 101),
        // The last letter is one of another alphabet.
        (
            "origin that is no text".into(),
            asked().header("origin", "https://desk.example.\u{43e}rg"),
            400,
        ),
        ("two origins".into(), asked().header("origin", "null").header("origin", ORIGIN), 400),
        ("one origin twice".into(), asked().header("origin", ORIGIN).header("Origin", ORIGIN), 400),
    ];
    rows.extend(
        FOREIGN.map(|origin| (format!("origin {origin:?}"), asked().header("origin", origin), 403)),
    );
    rows
}

fn versions(token: &str) -> Vec<Asked> {
    let asked = |version: &str, status| {
        let path = format!("/socket/websocket?vsn={version}");
        (format!("vsn {version:?}"), authorized(&path, token), status)
    };
    let mut rows: Vec<Asked> =
        ["", "2", "2.0", "2.0.", "2.1.0", "3.0.0", "-1", "2.0.0%00", "2.0.0,1.0.0", "%F0%9F%98%80"]
            .map(|version| asked(version, 403))
            .into();
    rows.extend([asked("2.0.9", 101), asked("1.0.0", 101)]);
    rows.push((
        "vsn twice, the first counts".into(),
        authorized("/socket/websocket?vsn=3.0.0&vsn=2.0.0", token),
        403,
    ));
    rows.push((
        "query that is none".into(),
        authorized("/socket/websocket?&&vsn=2.0.0&=&%zz&", token),
        101,
    ));
    rows
}

fn places(token: &str) -> Vec<Asked> {
    let bearer = |encoded: &str| format!("phoenix, base64url.bearer.phx.{encoded}");
    let right = bearer(&STANDARD_NO_PAD.encode(token));
    let protocol =
        |offered: &str| Request::websocket(SOCKET).header("sec-websocket-protocol", offered);
    let in_query = format!("{SOCKET}&token={token}");
    let both = format!("{right}, base64url.bearer.phx.{}", STANDARD_NO_PAD.encode(token));
    vec![
        ("token in the subprotocol".into(), protocol(&right), 101),
        ("token in the query".into(), Request::websocket(&in_query), 101),
        ("no token".into(), Request::websocket(SOCKET), 401),
        ("subprotocol without a token".into(), protocol("phoenix"), 401),
        ("bearer that is no base64".into(), protocol(&bearer("canary!")), 400),
        ("bearer with padding".into(), protocol(&format!("{right}=")), 400),
        ("bearer of one letter".into(), protocol(&bearer("A")), 400),
        ("bearer that is not UTF-8".into(), protocol(&bearer("/w")), 400),
        ("bearer with a space".into(), protocol(&right.replace("phx.", "phx. ")), 400),
        ("bearer of nothing".into(), protocol(&bearer("")), 401),
        ("two bearers".into(), protocol(&both), 400),
        (
            "two headers of subprotocols".into(),
            protocol(&right).header("sec-websocket-protocol", &right),
            400,
        ),
        ("subprotocols that are no text".into(), protocol("phoenix, \u{fc}"), 400),
        (
            "bearer and query".into(),
            Request::websocket(&in_query).header("sec-websocket-protocol", &right),
            400,
        ),
        ("bearer and header".into(), protocol(&right).authorized(&format!("Bearer {token}")), 400),
        (
            "two tokens in the query".into(),
            Request::websocket(&format!("{in_query}&token={token}")),
            400,
        ),
        (
            "two tokens in headers".into(),
            authorized(SOCKET, token).authorized(&format!("Bearer {token}")),
            400,
        ),
        ("empty token in the query".into(), Request::websocket(&format!("{SOCKET}&token=")), 401),
        (
            "token that is no JWT".into(),
            Request::websocket(&format!("{SOCKET}&token=canary.canary.canary")),
            401,
        ),
        (
            "header of another kind".into(),
            Request::websocket(SOCKET).authorized("Basic Y2FuYXJ5OmNhbmFyeQ=="),
            401,
        ),
        ("an API key is no token".into(), Request::websocket(SOCKET).authorized("ApiKey dev"), 401),
    ]
}

fn upgrades(token: &str) -> Vec<Asked> {
    let plain = |method: &str| Request::new(method, SOCKET).authorized(&format!("Bearer {token}"));
    let with = |version: &str, upgrade: &str| {
        plain("GET")
            .header("connection", "Upgrade")
            .header("upgrade", upgrade)
            .header("sec-websocket-version", version)
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    vec![
        ("no upgrade".into(), plain("GET"), 400),
        ("upgrade by POST".into(), plain("POST"), 405),
        ("upgrade to something else".into(), with("13", "h2c"), 400),
        ("WebSocket of another version".into(), with("8", "websocket"), 400),
        (
            "upgrade without a key".into(),
            plain("GET")
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13"),
            400,
        ),
    ]
}

/// Broadcasts over HTTP to the topic of the bystanders, which none of them reaches.
fn bodies(token: &str) -> Vec<Asked> {
    let asked = |name: &str, body: String, status| {
        let request = Request::new("POST", &format!("/v1/topics/{QUIET}/broadcast"))
            .authorized(&format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body);
        (format!("body: {name}"), request, status)
    };
    let said = |payload: &str| format!(r#"{{"event":"said","payload":{payload}}}"#);
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let keys: Vec<_> = (0..257).map(|n| format!("\"{n}\":1")).collect();
    vec![
        asked("nothing", String::new(), 400),
        asked("a bracket", "[".to_owned(), 400),
        asked("half a surrogate", said(r#"{"a":"\ud800"}"#), 400),
        asked("half a surrogate as a key", said(r#"{"\udfff":1}"#), 400),
        asked("1e999", said(r#"{"a":1e999}"#), 400),
        asked("depth of 17", said(&nested(17)), 400),
        asked("depth of 129", said(&nested(129)), 400),
        asked("depth of 10 000", said(&nested(10_000)), 400),
        asked("257 keys", said(&format!("{{{}}}", keys.join(","))), 400),
        asked(
            "a payload of 70 000 bytes",
            said(&format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000))),
            413,
        ),
        asked("2 MiB", said(&format!(r#"{{"a":"{}"}}"#, "x".repeat(2 << 20))), 413),
        asked("a list", said("[]"), 422),
        asked("a text", said("\"canary\""), 422),
        asked("event twice", r#"{"event":"a","event":"b"}"#.to_owned(), 422),
        asked("no event", r#"{"payload":{}}"#.to_owned(), 422),
        asked("a reserved event", r#"{"event":"presence_diff"}"#.to_owned(), 422),
        asked("an event of 201 bytes", format!(r#"{{"event":"{}"}}"#, "x".repeat(201)), 422),
    ]
}

/// Heads that are too large, or none.
fn heads() -> Vec<(&'static str, Vec<u8>, u16)> {
    let head = |line: &str, rest: &str| format!("{line}\r\nhost: x\r\n{rest}\r\n").into_bytes();
    let get = |rest: &str| head("GET /healthz HTTP/1.1", rest);
    let long = "x".repeat(100 * 1024);
    vec![
        (
            "a head that fits",
            get(&format!("connection: close\r\na: {}\r\n", "x".repeat(6000))),
            200,
        ),
        ("a header of 1 MiB", get(&format!("a: {}\r\n", "x".repeat(1 << 20))), 431),
        ("a header name of 1 MiB", get(&format!("{}: a\r\n", "x".repeat(1 << 20))), 431),
        ("2000 headers", get(&"a: b\r\n".repeat(2000)), 431),
        ("65 headers and the host", get(&"a: b\r\n".repeat(65)), 431),
        ("a URL of 100 KiB", head(&format!("GET /{long} HTTP/1.1"), ""), 414),
        ("a query of 100 KiB", head(&format!("GET {SOCKET}&a={long} HTTP/1.1"), ""), 414),
        ("a line that does not end", format!("GET /{}", long.repeat(10)).into_bytes(), 414),
        ("a method of 100 KiB", head(&format!("{long} / HTTP/1.1"), ""), 414),
        ("no HTTP", b"canary canary\r\n\r\n".to_vec(), 400),
        ("another version of HTTP", head("GET / HTTP/9.9", ""), 400),
        (
            "the greeting of TLS",
            [
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
                vec![0; 64],
                b"\r\n\r\n".to_vec(),
            ]
            .concat(),
            400,
        ),
        ("a NUL in a header", get("a: b\0c\r\n"), 400),
        ("a header without a colon", get("canary\r\n"), 400),
        (
            "two lengths",
            head(
                "POST /v1/topics/doc:1/broadcast HTTP/1.1",
                "content-length: 1\r\ncontent-length: 2\r\n",
            ),
            400,
        ),
        (
            "a length that is no number",
            head("POST /v1/topics/doc:1/broadcast HTTP/1.1", "content-length: 1e3\r\n"),
            400,
        ),
    ]
}
