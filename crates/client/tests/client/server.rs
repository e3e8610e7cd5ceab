//! A server that does what a test tells it, frame by frame, so that nothing is left to timing.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use penholder_client::{Options, Socket};
use penholder_protocol::encode::{self, Address, Encoded, Message};
use penholder_protocol::{
    ClientFrame, ErrorCode, JoinReply, Json, JsonLimits, Limits, Mode, Payload, ReplyStatus, Wire,
    decode_binary, decode_text,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message as WsMessage, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Everything that a test waits for comes within this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing happened in time")
}

pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) async fn bind() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("ws://{}/socket", self.listener.local_addr().unwrap())
    }

    /// Accepts the next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let mut seen = None;
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let callback = |request: &Request, response: Response| {
            seen = Some(request.clone());
            Ok(response)
        };
        let socket = within(accept_hdr_async(stream, callback)).await.unwrap();
        let request = seen.unwrap();
        let query = request.uri().query().unwrap_or_default();
        let vsn = query.split('&').find_map(|pair| pair.strip_prefix("vsn="));
        Peer { socket, wire: Wire::from_vsn(vsn).unwrap(), request }
    }

    /// Answers the next connection with a status and a `Retry-After` instead of an upgrade.
    pub(crate) async fn refuse(&self, status: u16, retry_after_s: u64) {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let callback = |_: &Request, _: Response| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = status.try_into().unwrap();
            refusal.headers_mut().insert("retry-after", retry_after_s.into());
            Err(refusal)
        };
        assert!(within(accept_hdr_async(stream, callback)).await.is_err());
    }

    /// Connects a client, and gives both ends.
    pub(crate) async fn connect(&self, options: Options) -> (Socket, Peer) {
        let endpoint = self.endpoint();
        let (socket, peer) = tokio::join!(Socket::connect(&endpoint, options), self.accept());
        (socket.unwrap(), peer)
    }
}

/// The server's end of one connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    wire: Wire,
    pub(crate) request: Request,
}

impl Peer {
    /// The next message, whatever it is; `None` when the connection is gone.
    pub(crate) async fn message(&mut self) -> Option<WsMessage> {
        within(self.socket.next()).await.and_then(Result::ok)
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> ClientFrame {
        match self.message().await {
            Some(WsMessage::Text(text)) => {
                decode_text(self.wire, &text, &JsonLimits::default()).unwrap()
            }
            Some(WsMessage::Binary(data)) => decode_binary(data, &JsonLimits::default()).unwrap(),
            other => panic!("a frame was wanted, not {other:?}"),
        }
    }

    /// The next frame, which must be of this event.
    pub(crate) async fn expect(&mut self, event: &str) -> ClientFrame {
        let frame = self.frame().await;
        assert_eq!(frame.event, event);
        frame
    }

    pub(crate) async fn send(&mut self, frame: Encoded) {
        let message = match frame {
            Encoded::Text(text) => WsMessage::Text(Utf8Bytes::try_from(text).unwrap()),
            Encoded::Binary(data) => WsMessage::Binary(data),
        };
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(WsMessage::text(text)).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, to: &ClientFrame, response: &Json) {
        self.send(encode::reply(self.wire, &address(to), ReplyStatus::Ok, response)).await;
    }

    pub(crate) async fn reply_binary(&mut self, to: &ClientFrame, data: &[u8]) {
        self.send(encode::binary_reply(&address(to), ReplyStatus::Ok, data).unwrap()).await;
    }

    pub(crate) async fn refuse(&mut self, to: &ClientFrame, code: ErrorCode) {
        self.send(encode::error_reply(self.wire, &address(to), &code.into())).await;
    }

    /// A push to the channel that `to` belongs to.
    pub(crate) async fn push(&mut self, to: &ClientFrame, event: &str, payload: &Json) {
        let message = Message { topic: &to.topic, event, payload };
        self.send(encode::push(self.wire, to.join_ref.as_ref(), &message)).await;
    }

    pub(crate) async fn broadcast(&mut self, topic: &str, event: &str, payload: &Json) {
        let message = Message { topic, event, payload };
        self.send(encode::broadcast(self.wire, &message)).await;
    }

    pub(crate) async fn end_channel(&mut self, of: &ClientFrame) {
        self.send(encode::close(self.wire, of.join_ref.as_ref(), &of.topic)).await;
    }

    pub(crate) async fn crash_channel(&mut self, of: &ClientFrame) {
        self.send(encode::error(self.wire, of.join_ref.as_ref(), &of.topic)).await;
    }

    /// Waits for a join and accepts it.
    pub(crate) async fn accept_join(&mut self, reply: &JoinReply) -> ClientFrame {
        let join = self.expect("phx_join").await;
        self.reply(&join, &Json::of(reply)).await;
        join
    }

    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        within(self.socket.close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = within(self.socket.next()).await {}
    }
}

pub(crate) fn join_reply(seq: u64, recovered: Option<bool>) -> JoinReply {
    JoinReply {
        session: "s1".to_owned(),
        resume: "resume-me".to_owned(),
        key: "ann".to_owned(),
        joined_at: 5,
        mode: Mode::Edit,
        seq,
        recovered,
        summary: None,
        pen: None,
        limits: Limits::default(),
    }
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text, &JsonLimits::default()).unwrap()
}

pub(crate) fn json_of(payload: &Payload) -> &str {
    payload.as_json().unwrap().as_str()
}

pub(crate) fn binary(data: &'static [u8]) -> Payload {
    Payload::Binary(Bytes::from_static(data))
}

fn address(frame: &ClientFrame) -> Address<'_> {
    Address {
        join_ref: frame.join_ref.as_ref(),
        reference: frame.reference.as_ref(),
        topic: &frame.topic,
    }
}
