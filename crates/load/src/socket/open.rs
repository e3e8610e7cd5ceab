//! The way to a WebSocket: address, TCP, handshake.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Inbox, Reader, Writer};
use crate::limits;

/// Longest answer to a handshake. Unit: bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
    host: String,
    /// The path of the address, without a slash at its end.
    pub(crate) path: String,
}

impl Address {
    /// Reads an address such as `ws://127.0.0.1:4000/socket` and looks its name up.
    ///
    /// # Errors
    ///
    /// It is none, wants TLS, or has no such name.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("ws://").with_context(|| {
            format!("{url}: an address begins with ws:// (TLS is not measured)")
        })?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let socket =
            with_port.to_socket_addrs().with_context(|| format!("no such host: {host}"))?;
        let socket = socket.into_iter().next().with_context(|| format!("no such host: {host}"))?;
        let path = match path.trim_end_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        Ok(Self { socket, host: host.to_owned(), path })
    }
}

/// Opens a WebSocket: `target` is path and query, `client` decides which address to come from.
///
/// Closing it resets the connection: a closed one that waits for its last segments would keep its port
/// for a minute.
///
/// # Errors
///
/// The server is not there, or refuses; the message has its status.
pub(crate) async fn open(address: &Address, target: &str, client: u32) -> Result<(Reader, Writer)> {
    let server = address.socket;
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = limits::source(server.ip(), client) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let mut stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    let early = shake_hands(&mut stream, &address.host, target).await?;
    let (half, writer) = stream.into_split();
    Ok((Reader { half, inbox: Inbox::default(), early }, Writer(writer)))
}

/// Asks for the upgrade; returns what came after the answer.
async fn shake_hands(stream: &mut TcpStream, host: &str, target: &str) -> Result<Vec<u8>> {
    let key = generate_key();
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(512);
    let end = loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "closed during the handshake");
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(bytes.len() < HEAD_BYTES_MAX, "an endless answer to the handshake");
    };
    check(&String::from_utf8_lossy(&bytes[..end]), &key)?;
    bytes.drain(..end);
    Ok(bytes)
}

fn check(head: &str, key: &str) -> Result<()> {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    ensure!(status == "101", "the handshake was answered with {status}");
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("sec-websocket-accept") {
            ensure!(value.trim() == derive_accept_key(key.as_bytes()), "the key does not fit");
            return Ok(());
        }
    }
    bail!("the server did not answer the key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_split_and_only_plain_websockets_are_taken() {
        let address = Address::parse("ws://127.0.0.1:4000/socket/").unwrap();
        assert_eq!(address.socket, "127.0.0.1:4000".parse().unwrap());
        assert_eq!((&*address.host, &*address.path), ("127.0.0.1:4000", "/socket"));
        assert_eq!(Address::parse("ws://127.0.0.1").unwrap().socket.port(), 80);
        assert_eq!(Address::parse("ws://127.0.0.1").unwrap().path, "");
        for refused in ["wss://127.0.0.1", "http://127.0.0.1", "127.0.0.1:4000"] {
            assert!(Address::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn answer_needs_status_and_key() {
        // RFC 6455, 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert!(check(&format!("HTTP/1.1 101 Switching\r\n{accept}\r\n\r\n"), key).is_ok());
        assert!(check("HTTP/1.1 101 Switching\r\n\r\n", key).is_err());
        let refused = check(&format!("HTTP/1.1 429 No\r\n{accept}\r\n\r\n"), key).unwrap_err();
        assert_eq!(refused.to_string(), "the handshake was answered with 429");
    }
}
