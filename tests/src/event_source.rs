//! Server-sent events, read as they come.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::canary::Watch;
use crate::http::{Answer, Request};

/// What ends an event.
const BLANK: &[u8] = b"\n\n";

/// Somebody who listens to server-sent events.
#[derive(Debug)]
pub struct EventSource {
    stream: BufReader<TcpStream>,
    watch: Watch,
    /// What has come of the event that is not whole yet, and of those after it.
    pending: Vec<u8>,
}

/// An event as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentEvent {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// What it says.
    pub data: String,
}

impl EventSource {
    /// Sends a request to a port of the loopback address, and waits until events may come.
    ///
    /// # Errors
    ///
    /// The connection fails, or the answer is another than a stream of events.
    pub async fn open(port: u16, request: Request) -> Result<Self> {
        let request = request.header("accept", "text/event-stream").to_bytes(port);
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let watch = Watch::of(port, &request);
        let mut source = Self { stream: BufReader::new(stream), watch, pending: Vec::new() };
        source.stream.get_mut().write_all(&request).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(source.stream.read_until(b'\n', &mut head).await? > 0, "no answer");
        }
        source.watch.look(&head)?;
        let answer = Answer::head(&head)?;
        let is_stream = answer.header("content-type") == Some("text/event-stream");
        ensure!(answer.status == 200 && is_stream, "no stream of events: {}", answer.status);
        ensure!(answer.header("transfer-encoding") == Some("chunked"), "it has an end: {answer:?}");
        Ok(source)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The stream ends; or it has the [`CANARY`](crate::CANARY) in it, and whoever listens is not of the staff.
    pub async fn event(&mut self) -> Result<SentEvent> {
        loop {
            while let Some(end) = self.pending.windows(BLANK.len()).position(|it| it == BLANK) {
                let block: Vec<u8> = self.pending.drain(..end + BLANK.len()).collect();
                self.watch.look(&block)?;
                if let Some(event) = SentEvent::parse(std::str::from_utf8(&block)?)? {
                    return Ok(event);
                }
            }
            self.read_chunk().await?;
        }
    }

    async fn read_chunk(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim_end(), 16).context("the stream has ended")?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await?;
        if size == 0 {
            bail!("the stream has ended");
        }
        self.pending.extend_from_slice(&chunk[..size]);
        Ok(())
    }
}

impl SentEvent {
    /// Reads an event; nothing, where a block has none, as one that keeps the connection alive.
    fn parse(block: &str) -> Result<Option<Self>> {
        let field = |name: &str| {
            let mut lines = block.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
        };
        let Some(data) = field("data") else { return Ok(None) };
        let id = field("id").with_context(|| format!("no id: {block}"))?.parse()?;
        let name = field("event").with_context(|| format!("no name: {block}"))?;
        Ok(Some(Self { id, name, data }))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{CANARY, Token};

    /// Answers one request with a stream of these chunks.
    async fn serve(chunks: Vec<String>) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = BufReader::new(stream);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_until(b'\n', &mut head).await?;
            }
            let mut answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned();
            answer += "transfer-encoding: chunked\r\n\r\n";
            for chunk in chunks {
                answer += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            }
            stream.write_all(answer.as_bytes()).await
        });
        Ok(port)
    }

    async fn source(role: &str, chunks: &[&str]) -> Result<EventSource> {
        let port = serve(chunks.iter().map(|&chunk| chunk.to_owned()).collect()).await?;
        let token = Token::of("x").claim("role", role).sign()?;
        let request = Request::new("GET", "/").authorized(&format!("Bearer {token}"));
        EventSource::open(port, request).await
    }

    #[tokio::test]
    async fn events_are_put_together_whatever_the_chunks() -> Result<()> {
        let chunks = [":\n\nid: 1\nev", "ent: a\ndata: {}\n\nid: 2\nevent: b\ndata: x: y\n", "\n"];
        let mut source = source("agent", &chunks).await?;
        let event = |id, name: &str, data: &str| {
            let (name, data) = (name.to_owned(), data.to_owned());
            SentEvent { id, name, data }
        };
        assert_eq!(source.event().await?, event(1, "a", "{}"));
        assert_eq!(source.event().await?, event(2, "b", "x: y"));
        assert!(source.event().await.is_err(), "it ends");
        Ok(())
    }

    /// Also where it comes in two chunks, or in what is no event.
    #[tokio::test]
    async fn canary_is_found_in_a_stream() -> Result<()> {
        let (start, end) = CANARY.split_at(5);
        let cut = format!("id: 1\nevent: a\ndata: {start}");
        let rest = format!("{end}\n\n");
        let comment = format!(": {CANARY}\n\nid: 1\nevent: a\ndata: x\n\n");
        for chunks in [&[&*cut, &*rest][..], &[&*comment]] {
            assert!(source("agent", chunks).await?.event().await.is_ok(), "{chunks:?}");
            let escaped = source("customer", chunks).await?.event().await;
            let why = escaped.err().context("nothing was found")?.to_string();
            assert!(why.contains("what only the staff may see"), "{why}");
        }
        Ok(())
    }
}
