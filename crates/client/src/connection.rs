//! One WebSocket connection: opening it, and frames on it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use penholder_protocol::encode::Encoded;
use penholder_protocol::{CloseReason, ServerFrame, Wire};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WsCloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::error::{ConnectError, Disconnect};
use crate::options::Options;

/// Small, because a load test opens thousands of connections.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// A connection that speaks the protocol.
pub(crate) struct Connection {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    wire: Wire,
    write_timeout: Duration,
}

impl Connection {
    /// Connects and upgrades. `endpoint` is where the server mounts its sockets, as
    /// `ws://127.0.0.1:4000/socket`; `/websocket` is appended, as npm `phoenix` does.
    pub(crate) async fn open(endpoint: &str, options: &Options) -> Result<Self, ConnectError> {
        let request = request(endpoint, options)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let connecting = connect_async_with_config(request, Some(config), true);
        match timeout(options.timeout, connecting).await {
            Err(_) => Err(ConnectError::Timeout),
            Ok(Err(error)) => Err(connect_error(&error)),
            Ok(Ok((stream, _response))) => {
                Ok(Connection { stream, wire: options.wire, write_timeout: options.timeout })
            }
        }
    }

    /// The next frame of the server. Losing the future loses no frame.
    pub(crate) async fn next(&mut self) -> Result<ServerFrame, Disconnect> {
        loop {
            let decoded = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => ServerFrame::decode_text(self.wire, &text),
                Some(Ok(Message::Binary(data))) => ServerFrame::decode_binary(data),
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                // Pings are answered by tungstenite when the stream is next polled.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => return Err(lost(&error)),
                None => return Err(Disconnect::Lost { detail: "end of stream".to_owned() }),
            };
            return decoded.map_err(|malformed| Disconnect::Malformed {
                detail: malformed.reason.to_string(),
            });
        }
    }

    /// Sends a frame. A server that does not read for the timeout counts as silent.
    pub(crate) async fn send(&mut self, frame: Encoded) -> Result<(), Disconnect> {
        let message = match frame {
            Encoded::Text(bytes) => Message::Text(text(bytes)?),
            Encoded::Binary(bytes) => Message::Binary(bytes),
        };
        match timeout(self.write_timeout, self.stream.send(message)).await {
            Err(_) => Err(Disconnect::Silent),
            Ok(sent) => sent.map_err(|error| lost(&error)),
        }
    }

    /// Says goodbye with 1000, and waits a moment for the server's answer.
    pub(crate) async fn close(mut self) {
        let goodbye = CloseFrame { code: WsCloseCode::Normal, reason: Utf8Bytes::default() };
        let farewell = async {
            if self.stream.close(Some(goodbye)).await.is_ok() {
                while let Some(Ok(message)) = self.stream.next().await {
                    if message.is_close() {
                        break;
                    }
                }
            }
        };
        // Whether or not the server answers, the connection ends here.
        let _ = timeout(self.write_timeout.min(Duration::from_secs(2)), farewell).await;
    }
}

fn request(endpoint: &str, options: &Options) -> Result<Request<()>, ConnectError> {
    let unusable = |detail: String| ConnectError::Address { detail };
    let mut request = websocket_url(endpoint, options)
        .into_client_request()
        .map_err(|error| unusable(error.to_string()))?;
    for (name, value) in &options.headers {
        let name = HeaderName::try_from(name).map_err(|error| unusable(error.to_string()))?;
        let value = HeaderValue::try_from(value).map_err(|error| unusable(error.to_string()))?;
        request.headers_mut().append(name, value);
    }
    if let Some(token) = &options.token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| unusable("the token does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

fn websocket_url(endpoint: &str, options: &Options) -> String {
    let base = endpoint.trim_end_matches('/').trim_end_matches("/websocket");
    let mut url = format!("{base}/websocket?vsn={}", options.wire.vsn());
    for (name, value) in &options.params {
        url.push('&');
        percent_encode(name, &mut url);
        url.push('=');
        percent_encode(value, &mut url);
    }
    url
}

/// RFC 3986: everything but the unreserved characters.
fn percent_encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

fn connect_error(error: &WsError) -> ConnectError {
    let detail = error.to_string();
    match error {
        WsError::Http(response) => ConnectError::Refused {
            status: response.status().as_u16(),
            retry_after_s: response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.trim().parse().ok()),
        },
        WsError::Url(_) | WsError::HttpFormat(_) => ConnectError::Address { detail },
        _ => ConnectError::Unreachable { detail },
    }
}

fn closed(frame: Option<CloseFrame>) -> Disconnect {
    match frame {
        Some(frame) => Disconnect::Closed {
            number: frame.code.into(),
            reason: CloseReason::from_text(&frame.reason),
        },
        // RFC 6455, section 7.1.5: no status code was in the frame.
        None => Disconnect::Closed { number: 1005, reason: None },
    }
}

fn lost(error: &WsError) -> Disconnect {
    Disconnect::Lost { detail: error.to_string() }
}

/// Our encoder writes UTF-8; that tungstenite looks again costs little beside the system call.
fn text(bytes: Bytes) -> Result<Utf8Bytes, Disconnect> {
    Utf8Bytes::try_from(bytes).map_err(|error| Disconnect::Lost { detail: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::{Options, request, websocket_url};
    use crate::error::ConnectError;

    #[test]
    fn endpoints_are_those_of_npm_phoenix() {
        let options =
            Options { params: vec![("a b".to_owned(), "1&2=ü".to_owned())], ..Options::default() };
        for endpoint in ["ws://h:1/socket", "ws://h:1/socket/", "ws://h:1/socket/websocket"] {
            assert_eq!(
                websocket_url(endpoint, &options),
                "ws://h:1/socket/websocket?vsn=2.0.0&a%20b=1%262%3D%C3%BC"
            );
        }
    }

    #[test]
    fn token_is_a_bearer_that_debug_does_not_show() {
        let options = Options { token: Some("secret".to_owned()), ..Options::default() };
        let request = request("ws://h:1/socket", &options).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        assert!(!format!("{:?} {options:?}", request.headers()).contains("secret"));
    }

    #[test]
    fn unusable_addresses_and_headers_are_the_callers_fault() {
        let bad_token = Options { token: Some("a\nb".to_owned()), ..Options::default() };
        assert!(matches!(
            request("ws://h:1/socket", &bad_token),
            Err(ConnectError::Address { .. })
        ));
        assert!(matches!(
            request("ws://h h/socket", &Options::default()),
            Err(ConnectError::Address { .. })
        ));
    }
}
