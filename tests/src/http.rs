//! One HTTP request on a connection of its own, written byte by byte.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::canary::Watch;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body; the path is sent as it is.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// A request for a WebSocket.
    #[must_use]
    pub fn websocket(path: &str) -> Self {
        Self::new("GET", path)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with an `Authorization` header.
    #[must_use]
    pub fn authorized(self, authorization: &str) -> Self {
        self.header("authorization", authorization)
    }

    /// The same with a body of any bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The request as it is sent to a port of the loopback address.
    #[must_use]
    pub fn to_bytes(&self, port: u16) -> Vec<u8> {
        let Self { method, path, headers, body } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
        if !headers.iter().any(|(name, _)| name == "connection") {
            head += "connection: close\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method != "GET" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend(body);
        bytes
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header; the first where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The names of its headers, in their order.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// Reads an answer to its end, and of what follows an upgrade nothing.
    pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Self> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") && stream.read_until(b'\n', &mut bytes).await? > 0 {}
        let head = Self::head(&bytes)?;
        if head.status != 101 {
            let length = head.header("content-length").map(str::parse).transpose()?;
            stream.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes).await?;
        }
        Self::parse(&bytes)
    }

    /// Whether nothing more can come; an answer without a length ends with its connection.
    fn is_whole(bytes: &[u8]) -> bool {
        let Ok(answer) = Self::parse(bytes) else { return false };
        if answer.status == 101 {
            return true;
        }
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| answer.body.len() >= length)
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut answer = Self::head(bytes)?;
        let body = &bytes[end_of_head(bytes)? + 4..];
        let is_chunked = answer.header("transfer-encoding") == Some("chunked");
        let body = if is_chunked { unchunked(body)? } else { body.to_vec() };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Reads the head of an answer.
    pub(crate) fn head(bytes: &[u8]) -> Result<Self> {
        let head = std::str::from_utf8(&bytes[..end_of_head(bytes)?])?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Self { status: status.parse()?, headers, body: String::new() })
    }
}

fn end_of_head(bytes: &[u8]) -> Result<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.with_context(|| format!("no head: {:?}", String::from_utf8_lossy(bytes)))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// Sends bytes to a port of the loopback address, and reads the answer to its end.
///
/// # Errors
///
/// The connection fails, or what comes back is no HTTP; or it has the [`CANARY`](crate::CANARY) in it, and whoever
/// asks is not of the staff.
pub async fn exchange(port: u16, request: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // A server that refuses early may close before it has read everything.
    let sent = stream.write_all(request).await;
    let mut bytes = Vec::new();
    while !Answer::is_whole(&bytes) && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0)
    {
    }
    if bytes.is_empty() {
        sent?;
    }
    let watch = Watch::of(port, request);
    watch.look(&bytes)?;
    let answer = Answer::parse(&bytes)?;
    // Once more where it came in chunks.
    watch.look(answer.body.as_bytes())?;
    Ok(answer)
}

fn unchunked(mut chunks: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n").context("no chunk")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end])?, 16)?;
        if size == 0 {
            return Ok(body);
        }
        let start = end + 2;
        ensure!(chunks.len() >= start + size + 2, "a chunk is cut off");
        body.extend_from_slice(&chunks[start..start + size]);
        chunks = &chunks[start + size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let answer = Answer::parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        );
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.json()["a"].as_u64()), (200, Some(1)));
    }

    #[test]
    fn body_without_chunks_is_taken_to_its_end() {
        let answer = Answer::parse(b"HTTP/1.1 404 Not Found\r\nX-Y: z\r\n\r\nnone").unwrap();
        assert_eq!((answer.status, answer.header("x-y"), &*answer.body), (404, Some("z"), "none"));
        assert_eq!(answer.json(), Value::Null);
    }
}
