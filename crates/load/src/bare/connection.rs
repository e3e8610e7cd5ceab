//! One connection: a task that reads what the client sends and writes what is queued for it.

use futures_util::{SinkExt, StreamExt};
use penholder_protocol::encode::{self, Address, ReplyStatus};
use penholder_protocol::{
    Broadcast, ClientEvent, ClientFrame, Json, JsonLimits, Wire, decode_text,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, Receiver};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use crate::room::{Rooms, Seat, text};

/// As Penholder has it. Unit: bytes.
const READ_BUFFER_BYTES: usize = 4096;

/// As Penholder has it.
const QUEUE_FRAMES: usize = 512;

/// How many frames are written before the socket is flushed, as Penholder has it.
const BATCH_FRAMES: usize = 64;

/// A connection, on one topic at a time.
struct Connection {
    socket: WebSocketStream<TcpStream>,
    user: String,
    rooms: Rooms,
    joined: Option<(Seat, Receiver<Utf8Bytes>)>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(stream: TcpStream, rooms: Rooms) {
    stream.set_nodelay(true).ok();
    let mut user = String::new();
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let note_user = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let mut params = form_urlencoded::parse(query.as_bytes());
        let param = params.find(|(name, _)| name == "user");
        user = param.map(|(_, value)| value.into_owned()).unwrap_or_default();
        Ok(response)
    };
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let accepted = accept_hdr_async_with_config(stream, note_user, Some(config)).await;
    if let Ok(socket) = accepted {
        let mut connection = Connection { socket, user, rooms, joined: None };
        // How it ended is nobody's business.
        connection.run().await.ok();
    }
}

/// Why a connection ends: it broke, or there is nothing to say.
type End = Option<tokio_tungstenite::tungstenite::Error>;

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        let mut batch = Vec::new();
        loop {
            let queued = async {
                match &mut self.joined {
                    Some((_, queue)) => queue.recv_many(&mut batch, BATCH_FRAMES).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.handle(&text).await?,
                    Some(Ok(Message::Close(_))) | None => return Err(None),
                    Some(message) => drop(message.map_err(Some)?),
                },
                count = queued => if count == 0 {
                    // The queue was full, and the topic has let go of it.
                    return Err(None);
                },
            }
            if !batch.is_empty() {
                for frame in batch.drain(..) {
                    self.socket.feed(Message::Text(frame)).await.map_err(Some)?;
                }
                self.socket.flush().await.map_err(Some)?;
            }
        }
    }

    async fn handle(&mut self, message: &str) -> Result<(), End> {
        let frame = decode_text(Wire::V2, message, &JsonLimits::default()).map_err(|_| None)?;
        match (ClientEvent::parse(&frame.event), &self.joined) {
            (ClientEvent::Join, None) => {
                self.reply(&frame).await?;
                let (outbox, queue) = mpsc::channel(QUEUE_FRAMES);
                let seat = self.rooms.join(&frame.topic, &self.user, outbox);
                self.joined = Some((seat, queue));
            }
            (ClientEvent::Leave, _) => {
                self.joined = None;
                self.reply(&frame).await?;
            }
            (ClientEvent::Broadcast, Some((seat, _))) => {
                let payload = frame.payload.as_json().ok_or(None)?;
                let Broadcast { event, payload, .. } = payload.parse_into().map_err(|_| None)?;
                seat.publish(&event, &payload);
                self.reply(&frame).await?;
            }
            (ClientEvent::Heartbeat, _) => self.reply(&frame).await?,
            _ => return Err(None),
        }
        Ok(())
    }

    async fn reply(&mut self, frame: &ClientFrame) -> Result<(), End> {
        let address = Address {
            join_ref: frame.join_ref.as_ref(),
            reference: frame.reference.as_ref(),
            topic: &frame.topic,
        };
        let reply = encode::reply(Wire::V2, &address, ReplyStatus::Ok, &Json::empty_object());
        self.socket.send(Message::Text(text(reply))).await.map_err(Some)
    }
}
