//! Just enough of an HTTP client to read a server's pages, again and again.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection over which one request follows the other.
#[derive(Debug)]
pub(crate) struct Http {
    server: SocketAddr,
    authorization: String,
    stream: Option<TcpStream>,
}

impl Http {
    /// Connects with the first request; `token` is that of a person.
    pub(crate) fn new(server: SocketAddr, token: &str) -> Self {
        Self { server, authorization: format!("Bearer {token}"), stream: None }
    }

    /// Reads a page, over a new connection if there is none.
    ///
    /// # Errors
    ///
    /// The connection breaks, or the answer is not 200.
    pub(crate) async fn get(&mut self, path: &str) -> Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.server).await?,
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\n\r\n",
            self.server, self.authorization
        );
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let (head_end, length) = loop {
            if let Some(found) = head(&bytes)? {
                break found;
            }
            read(&mut stream, &mut bytes).await?;
        };
        while bytes.len() < head_end + length {
            read(&mut stream, &mut bytes).await?;
        }
        let text = String::from_utf8(bytes)?;
        ensure!(text.starts_with("HTTP/1.1 200 "), "{path}: {}", text.lines().next().unwrap_or(""));
        self.stream = Some(stream);
        Ok(text[head_end..].to_owned())
    }

    /// Ends the connection; the next request opens another.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<()> {
    ensure!(stream.read_buf(bytes).await? > 0, "closed before the answer was whole");
    ensure!(bytes.len() < ANSWER_BYTES_MAX, "an endless answer");
    Ok(())
}

/// Where the head ends, and how long the body is; none while the head is not whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.with_context(|| format!("an answer without a length: {head}"))?;
    Ok(Some((end + 4, length.trim().parse()?)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn pages_follow_each_other_on_one_connection_and_refusals_are_errors() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut http = Http::new(listener.local_addr().unwrap(), "t");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = String::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            ] {
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut bytes).await.unwrap();
                }
                seen += &String::from_utf8(bytes).unwrap();
                for part in answer.as_bytes().chunks(7) {
                    stream.write_all(part).await.unwrap();
                }
            }
            seen
        });
        assert_eq!(http.get("/a").await.unwrap(), "first");
        assert_eq!(http.get("/b").await.unwrap(), "");
        assert!(http.get("/c").await.unwrap_err().to_string().contains("401"));
        let seen = server.await.unwrap();
        assert!(seen.contains("GET /b HTTP/1.1") && seen.contains("authorization: Bearer t"));
    }
}
