//! Frames that a server sends, as a client reads them.

use bytes::Bytes;
use serde::Deserialize;

use crate::binary;
use crate::encode::ReplyStatus;
use crate::event::ServerEvent;
use crate::frame::{ClientFrame, Parts, Payload, Wire};
use crate::json::{Json, JsonLimits};
use crate::malformed::{Malformed, MalformedReason};
use crate::reference::Ref;

/// One frame of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFrame {
    /// The join that the frame belongs to; null in a broadcast, and always in V1.
    pub join_ref: Option<Ref>,
    /// The ref of the push that a reply answers; that of the join when a channel closes.
    pub reference: Option<Ref>,
    /// The topic.
    pub topic: String,
    /// What is said.
    pub body: ServerBody,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerBody {
    /// The answer to a push.
    Reply {
        /// Whether it was done.
        status: ReplyStatus,
        /// The answer; an [`ErrorReply`](crate::ErrorReply) when it was not done.
        response: Payload,
    },
    /// Anything else.
    Event {
        /// The name of the event.
        event: String,
        /// What the event says.
        payload: Payload,
    },
}

impl ServerFrame {
    /// Reads a text frame, under [`JsonLimits::WIDEST`].
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the peer is not a server of the protocol.
    ///
    /// ```
    /// use penholder_protocol::{ServerBody, ServerFrame, Wire};
    ///
    /// let text = r#"["1","2","doc:42","phx_reply",{"status":"ok","response":{}}]"#;
    /// let frame = ServerFrame::decode_text(Wire::V2, text)?;
    /// assert!(matches!(frame.body, ServerBody::Reply { .. }));
    /// # Ok::<(), penholder_protocol::Malformed>(())
    /// ```
    pub fn decode_text(wire: Wire, text: &str) -> Result<ServerFrame, Malformed> {
        let (parts, split) = Parts::split(wire, text);
        split
            .and_then(|()| parts.parse(&JsonLimits::WIDEST))
            .and_then(ServerFrame::read)
            .map_err(|reason| Malformed { reason, answer_to: None })
    }

    /// Reads a binary frame: a push, a reply or a broadcast.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the peer is not a server of the protocol.
    pub fn decode_binary(frame: Bytes) -> Result<ServerFrame, Malformed> {
        binary::decode_server(frame).map_err(|reason| Malformed { reason, answer_to: None })
    }

    /// Text frames look the same in both directions, but for what a reply's payload holds.
    fn read(frame: ClientFrame) -> Result<ServerFrame, MalformedReason> {
        #[derive(Deserialize)]
        struct Reply {
            status: ReplyStatus,
            response: Json,
        }

        let ClientFrame { join_ref, reference, topic, event, payload } = frame;
        let body = match &payload {
            Payload::Json(json) if event == ServerEvent::Reply.as_str() => {
                let Reply { status, response } =
                    json.parse_into().map_err(|_| MalformedReason::NotAReply)?;
                ServerBody::Reply { status, response: Payload::Json(response) }
            }
            _ => ServerBody::Event { event, payload },
        };
        Ok(ServerFrame { join_ref, reference, topic, body })
    }
}
