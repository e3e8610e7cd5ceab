//! A client: checks each frame as it comes, and folds presence the way `presence.js` does.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use penholder_hub::{Departure, Frame, MemberId, Pushed, ResumeClaim, SendQueue};
use penholder_protocol::{Encoded, Payload, Ref, ReplyStatus, ServerBody, ServerFrame, Wire};
use serde_json::{Value, json};

use super::{Joining, claim};

/// Presences by `phx_ref`, each with its key.
pub(crate) type Fold = BTreeMap<String, (String, Value)>;

/// One presence of a fold.
pub(crate) fn fold(key: &str, meta: Value) -> (String, (String, Value)) {
    let reference = meta["phx_ref"].as_str().expect("a meta has a ref").to_owned();
    (reference, (key.to_owned(), meta))
}

/// A frame that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) event: String,
    pub(crate) payload: Value,
    pub(crate) reference: Option<Ref>,
    pub(crate) join_ref: Option<Ref>,
    /// The payload of a binary frame.
    pub(crate) data: Option<Bytes>,
    /// The whole frame, sharing its memory with those of other receivers.
    pub(crate) body: Bytes,
}

impl Received {
    /// Reads a frame as a client that speaks `wire`.
    pub(crate) fn decode(wire: Wire, body: &Encoded) -> Self {
        if let Encoded::Binary(data) = body
            && data[0] == 4
        {
            return Self::of_realtime(data);
        }
        let frame = match body {
            Encoded::Text(text) => {
                let text = str::from_utf8(text).expect("text is UTF-8");
                ServerFrame::decode_text(wire, text).expect("a frame of the protocol")
            }
            Encoded::Binary(data) => {
                assert_eq!(wire, Wire::V2, "V1 has no binary frames");
                ServerFrame::decode_binary(data.clone()).expect("a frame of the protocol")
            }
        };
        let value = |payload: &Payload| match payload {
            Payload::Json(json) => json.parse_into().expect("an object"),
            Payload::Binary(_) => Value::Null,
        };
        let (event, payload, data) = match frame.body {
            ServerBody::Reply { status, response } => {
                let status = if status == ReplyStatus::Ok { "ok" } else { "error" };
                let payload = json!({"status": status, "response": value(&response)});
                ("phx_reply".to_owned(), payload, None)
            }
            ServerBody::Event { event, payload } => {
                let data = match &payload {
                    Payload::Binary(data) => Some(data.clone()),
                    Payload::Json(_) => None,
                };
                (event, value(&payload), data)
            }
        };
        let ServerFrame { topic, reference, join_ref, .. } = frame;
        Self { topic, event, payload, reference, join_ref, data, body: body.as_bytes().clone() }
    }

    /// Reads a binary broadcast as realtime-js does, into what the same broadcast would be as text.
    fn of_realtime(body: &Bytes) -> Self {
        let [_, topic_len, event_len, more_len, encoding] = body[..5] else { unreachable!() };
        assert_eq!((more_len, encoding), (0, 0), "bytes and no more");
        let (topic_end, event_end) =
            (5 + usize::from(topic_len), 5 + usize::from(topic_len) + usize::from(event_len));
        let text = |bytes: &[u8]| str::from_utf8(bytes).expect("names are UTF-8").to_owned();
        Self {
            topic: text(&body[5..topic_end]),
            event: "broadcast".to_owned(),
            payload: json!({"type": "broadcast", "event": text(&body[topic_end..event_end])}),
            reference: None,
            join_ref: None,
            data: Some(body.slice(event_end..)),
            body: body.clone(),
        }
    }
}

/// One membership, seen from its client.
pub(crate) struct Client {
    pub(crate) member: MemberId,
    pub(crate) topic: String,
    pub(crate) frames: Vec<Received>,
    pub(crate) state: Option<Fold>,
    pub(crate) departed: Option<Departure>,
    /// Sessions that a diff took away and a later one brought back.
    pub(crate) returned: Vec<String>,
    pub(crate) queue: Option<SendQueue>,
    pub(crate) overflowed: bool,
    pub(crate) wire: Wire,
    gone: BTreeSet<String>,
    reply: Option<Value>,
}

impl Client {
    pub(crate) fn new(member: MemberId, joining: &Joining) -> Self {
        Self {
            member,
            topic: joining.topic.clone(),
            frames: Vec::new(),
            state: None,
            departed: None,
            returned: Vec::new(),
            queue: None,
            overflowed: false,
            wire: joining.wire,
            gone: BTreeSet::new(),
            reply: None,
        }
    }

    /// What the join was answered.
    pub(crate) fn reply(&self) -> &Value {
        self.reply.as_ref().expect("the join was answered")
    }

    pub(crate) fn session(&self) -> String {
        self.reply()["session"].as_str().expect("a session").to_owned()
    }

    /// The claim of the resume token in the join reply.
    pub(crate) fn claim(&self) -> ResumeClaim {
        claim(self.reply()["resume"].as_str().expect("a token"))
    }

    /// Who is present, as folded.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let state = self.state.as_ref().expect("a snapshot has come");
        let keys: BTreeSet<_> = state.values().map(|(key, _)| key.as_str()).collect();
        keys.into_iter().collect()
    }

    /// The metas of a key, as folded.
    pub(crate) fn metas(&self, key: &str) -> Vec<&Value> {
        let state = self.state.as_ref().expect("a snapshot has come");
        state.values().filter(|(of, _)| of == key).map(|(_, meta)| meta).collect()
    }

    pub(crate) fn deliver(&mut self, frame: &Frame, decoded: &Received) {
        assert_eq!(self.departed, None, "{:?} gets nothing after its departure", self.member);
        match &mut self.queue {
            Some(queue) => {
                self.overflowed |= queue.push(self.member, frame.clone()) == Pushed::Overflow
            }
            None => self.receive(decoded.clone()),
        }
    }

    pub(crate) fn receive(&mut self, received: Received) {
        assert_eq!(received.topic, self.topic);
        if self.reply.is_none() {
            assert_eq!(received.event, "phx_reply", "the join reply comes first");
            self.reply = Some(received.payload["response"].clone());
        }
        match received.event.as_str() {
            "presence_state" => self.replace(&received.payload),
            "presence_diff" => self.apply(&received.payload),
            "presence_summary" => assert!(self.state.is_some(), "no summary before the snapshot"),
            _ => {}
        }
        self.frames.push(received);
    }

    fn replace(&mut self, payload: &Value) {
        let state: Fold = entries(payload).collect();
        self.gone.retain(|gone| !sessions(&state).contains(gone));
        self.state = Some(state);
    }

    /// Joins first, then leaves, as `presence.js` does: a join of nobody who is there, a leave of
    /// nobody who is not.
    fn apply(&mut self, payload: &Value) {
        assert!(payload["joins"] != json!({}) || payload["leaves"] != json!({}), "an empty diff");
        let state = self.state.as_mut().expect("no diff comes before its snapshot");
        let before = sessions(state);
        for (reference, presence) in entries(&payload["joins"]) {
            let session = presence.1["session"].as_str().unwrap_or_default().to_owned();
            if self.gone.remove(&session) {
                self.returned.push(session);
            }
            let twice = state.insert(reference.clone(), presence);
            assert_eq!(twice, None, "{reference} joins once");
        }
        for (reference, presence) in entries(&payload["leaves"]) {
            let known = state.remove(&reference);
            assert_eq!(known, Some(presence), "{reference} leaves whole, and was there");
        }
        let after = sessions(state);
        self.gone.extend(before.difference(&after).cloned());
    }
}

/// The sessions of a fold.
fn sessions(fold: &Fold) -> BTreeSet<String> {
    let session = |meta: &Value| meta["session"].as_str().unwrap_or_default().to_owned();
    fold.values().map(|(_, meta)| session(meta)).collect()
}

/// The presences of a payload `{key: {metas: […]}}`; each key has metas.
fn entries(payload: &Value) -> impl Iterator<Item = (String, (String, Value))> {
    let keys = payload.as_object().expect("an object of keys");
    keys.iter().flat_map(|(key, entry)| {
        let metas = entry["metas"].as_array().expect("metas");
        assert!(!metas.is_empty(), "metas are never empty");
        metas.iter().map(move |meta| fold(key, meta.clone()))
    })
}
