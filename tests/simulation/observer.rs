//! One channel as its client sees it: folds presence and checks every frame.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use penholder_protocol::{Encoded, Payload, Ref, ServerBody, ServerFrame, Wire};
use serde_json::{Value, json};

use crate::truth::{Session, Time, Truth};
use crate::violation::{Checked, Rule, Violation, ensure};

/// A frame as a client has read it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) event: String,
    pub(crate) reference: Option<Ref>,
    pub(crate) payload: Rc<Value>,
}

/// Reads frames, each once for all who receive it.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    recent: VecDeque<(Bytes, Message)>,
}

/// How many frames a decoder remembers.
const RECENT: usize = 16;

impl Decoder {
    pub(crate) fn read(&mut self, wire: Wire, body: &Encoded) -> Message {
        let bytes = body.as_bytes();
        let is_it = |(known, _): &&(Bytes, _)| known.as_ptr() == bytes.as_ptr();
        if let Some((_, message)) = self.recent.iter().find(is_it) {
            return message.clone();
        }
        let message = Message::read(wire, body);
        self.recent.truncate(RECENT - 1);
        self.recent.push_front((bytes.clone(), message.clone()));
        message
    }
}

impl Message {
    fn read(wire: Wire, body: &Encoded) -> Self {
        let text = body.as_text().expect("only text is sent here");
        let frame = ServerFrame::decode_text(wire, text).expect("a frame of the protocol");
        let (event, payload) = match frame.body {
            ServerBody::Reply { response, .. } => ("phx_reply".to_owned(), response),
            ServerBody::Event { event, payload } => (event, payload),
        };
        let Payload::Json(payload) = payload else { panic!("text carries JSON") };
        let payload = Rc::new(serde_json::from_str(payload.as_str()).expect("JSON"));
        Self { topic: frame.topic, event, reference: frame.reference, payload }
    }
}

/// What the client of one channel knows.
#[derive(Debug)]
pub(crate) struct Observer {
    key: String,
    topic: String,
    /// The session and its time of joining, which the join reply must name, where they are known.
    pub(crate) expected: Option<(String, u64)>,
    pub(crate) is_answered: bool,
    /// Presences by ref, each with its key.
    fold: Option<BTreeMap<String, (String, Value)>>,
    /// Whether the last summary may be repeated: a snapshot has come since.
    is_news_due: bool,
    summary: Option<Rc<Value>>,
    /// Whether the first that comes after the answer must be the snapshot: it wants presence, and
    /// reads so promptly that none of it is ever dropped.
    pub(crate) is_snapshot_first: bool,
    /// The broadcasts that are to come.
    pub(crate) broadcasts: VecDeque<u64>,
}

impl Observer {
    pub(crate) fn new(session: &Session, broadcasts: VecDeque<u64>) -> Self {
        let expected = Some((session.id.clone(), session.joined_at));
        Self { expected, broadcasts, ..Self::of(&session.key, &session.topic) }
    }

    /// One who knows nothing yet, not even the session it will get.
    pub(crate) fn of(key: &str, topic: &str) -> Self {
        Self {
            key: key.to_owned(),
            topic: topic.to_owned(),
            expected: None,
            is_answered: false,
            fold: None,
            is_news_due: false,
            summary: None,
            is_snapshot_first: false,
            broadcasts: VecDeque::new(),
        }
    }

    /// The refs of the presences it knows of; none before its snapshot.
    pub(crate) fn refs(&self) -> Option<BTreeSet<&str>> {
        Some(self.fold.as_ref()?.keys().map(String::as_str).collect())
    }

    /// Reads a frame. `may_go` says of a session and its key whether it may be gone.
    pub(crate) fn receive(
        &mut self,
        message: &Message,
        may_go: impl Fn(&str, &str) -> bool,
    ) -> Checked {
        let payload = &*message.payload;
        let is_early = self.is_answered && self.is_snapshot_first && self.fold.is_none();
        ensure(!is_early || message.event == "presence_state", Rule::Replay, || {
            format!("{} got {} before its snapshot", self.key, message.event)
        })?;
        match message.event.as_str() {
            "cursor" => self.broadcast(payload),
            "broadcast" => {
                let is_whole = payload["type"] == "broadcast" && payload["event"] == "cursor";
                ensure(is_whole, Rule::Delivery, || format!("{} got {payload}", self.key))?;
                self.broadcast(&payload["payload"])
            }
            // Of the membership before this one, on the same socket.
            _ if !self.is_answered => Ok(()),
            "presence_state" => {
                self.fold = Some(entries(payload).collect());
                self.is_news_due = true;
                Ok(())
            }
            "presence_diff" => self.apply(payload, may_go),
            "presence_summary" => self.summarize(&message.payload),
            _ => Ok(()),
        }
    }

    /// The reply to the join.
    pub(crate) fn answer(&mut self, reply: &Value) -> Checked {
        self.is_answered = true;
        let told = (reply["session"].as_str().unwrap_or_default(), reply["joined_at"].as_u64());
        let Some((session, joined_at)) = &self.expected else { return Ok(()) };
        ensure(told == (session, Some(*joined_at)), Rule::Resume, || {
            format!("{} was answered {told:?} instead of {:?}", self.key, self.expected)
        })
    }

    fn broadcast(&mut self, payload: &Value) -> Checked {
        let next = self.broadcasts.pop_front();
        ensure(payload["n"].as_u64() == next && next.is_some(), Rule::Delivery, || {
            format!("{} got broadcast {payload} instead of {next:?}", self.key)
        })
    }

    fn summarize(&mut self, payload: &Rc<Value>) -> Checked {
        let is_same = self.summary.as_ref() == Some(payload);
        ensure(!is_same || self.is_news_due, Rule::Quiet, || {
            format!("{} got the same summary again", self.key)
        })?;
        self.is_news_due = false;
        self.summary = Some(Rc::clone(payload));
        Ok(())
    }

    /// Joins first, then leaves, as `presence.js` does.
    fn apply(&mut self, diff: &Value, may_go: impl Fn(&str, &str) -> bool) -> Checked {
        let key = &self.key;
        let broken = |rule, what: String| Violation { rule, detail: format!("{key}: {what}") };
        ensure(diff["joins"] != json!({}) || diff["leaves"] != json!({}), Rule::Quiet, || {
            format!("{key} got an empty diff")
        })?;
        let Some(fold) = &mut self.fold else {
            return Err(broken(Rule::Replay, "a diff before its snapshot".to_owned()));
        };
        let before = sessions(fold);
        for (reference, presence) in entries(&diff["joins"]) {
            if fold.insert(reference.clone(), presence).is_some() {
                return Err(broken(Rule::Replay, format!("{reference} joins twice")));
            }
        }
        for (reference, presence) in entries(&diff["leaves"]) {
            if fold.remove(&reference) != Some(presence) {
                return Err(broken(Rule::Replay, format!("{reference} leaves, and was not there")));
            }
        }
        for (session, of) in before.difference(&sessions(fold)) {
            if !may_go(session, of) {
                return Err(broken(Rule::NoGap, format!("{session} of {of} stays and is gone")));
            }
        }
        Ok(())
    }

    /// Compares what the client knows with what is so, once everything has arrived.
    pub(crate) fn check(&self, now: Time, truth: &Truth, full_max: usize) -> Checked {
        ensure(self.broadcasts.is_empty(), Rule::Delivery, || {
            format!("{} never got {:?}", self.key, self.broadcasts)
        })?;
        let Some(fold) = &self.fold else { return Ok(()) };
        let people = truth.people(&self.topic);
        let first: BTreeSet<_> = people.iter().take(full_max).map(|(_, key)| key).collect();
        let shown = truth.shown(&self.topic);
        let is_due = |session: &Session| session.key == self.key || first.contains(&session.key);
        let due = shown.iter().filter(|session| is_due(session)).copied();
        let places = (self.topic.as_str(), self.key.as_str());
        compare(now, truth, places, (fold.values(), &shown, due.collect()))?;
        self.check_summary(now, truth)
    }

    fn check_summary(&self, now: Time, truth: &Truth) -> Checked {
        let Some(told) = &self.summary else {
            let detail = format!("{} never got a summary", self.key);
            return Err(Violation { rule: Rule::SamePriority, detail });
        };
        let mut told = Value::clone(told);
        let prior = told.as_object_mut().and_then(|summary| summary.remove("prior_session"));
        let expected = truth.outline(now, &self.topic);
        ensure(told == expected.summary, Rule::SamePriority, || {
            format!("{} was told {told} instead of {}", self.key, expected.summary)
        })?;
        let prior = prior.as_ref().and_then(Value::as_str);
        let is_right = match prior {
            Some(session) => expected.prior_sessions.contains(session),
            None => expected.prior_sessions.is_empty(),
        };
        ensure(is_right, Rule::SamePriority, || {
            format!("{} was told of {prior:?}, not of {:?}", self.key, expected.prior_sessions)
        })
    }
}

/// Compares presences as somebody has them with those there are: all of `due`, and nobody but `shown`.
pub(crate) fn compare<'a>(
    now: Time,
    truth: &Truth,
    (topic, observer): (&str, &str),
    (presences, shown, due): (
        impl IntoIterator<Item = &'a (String, Value)>,
        &[&Session],
        Vec<&Session>,
    ),
) -> Checked {
    let place = |what: String| format!("{observer} on {topic} at {}: {what}", now.mono);
    let by_id: BTreeMap<&str, &Session> =
        shown.iter().map(|session| (session.id.as_str(), *session)).collect();
    let mut seen = BTreeSet::new();
    for (key, meta) in presences {
        let id = meta["session"].as_str().unwrap_or_default();
        let known = by_id.get(id).filter(|session| session.key == *key);
        let Some(session) = known else {
            let detail = place(format!("{id} of {key} is long gone"));
            return Err(Violation { rule: Rule::NoGhost, detail });
        };
        let mut meta = meta.clone();
        for reference in ["phx_ref", "phx_ref_prev"] {
            meta.as_object_mut().and_then(|fields| fields.remove(reference));
        }
        let expected = truth.meta(now, session);
        ensure(meta == expected, Rule::Replay, || place(format!("{meta} instead of {expected}")))?;
        ensure(seen.insert(id), Rule::NoGhost, || place(format!("{id} is there twice")))?;
    }
    let lacking = due.iter().find(|session| !seen.contains(session.id.as_str()));
    ensure(lacking.is_none(), Rule::NoLostJoin, || {
        place(format!("{:?} is not shown", lacking.map(|session| &session.id)))
    })
}

fn sessions(fold: &BTreeMap<String, (String, Value)>) -> BTreeSet<(String, String)> {
    let session = |meta: &Value| meta["session"].as_str().unwrap_or_default().to_owned();
    fold.values().map(|(key, meta)| (session(meta), key.clone())).collect()
}

/// The presences of a payload `{key: {metas: […]}}`, by ref.
fn entries(payload: &Value) -> impl Iterator<Item = (String, (String, Value))> {
    let keys = payload.as_object().into_iter().flatten();
    keys.flat_map(|(key, entry)| {
        let metas = entry["metas"].as_array().into_iter().flatten();
        metas.map(move |meta| {
            let reference = meta["phx_ref"].as_str().unwrap_or_default().to_owned();
            (reference, (key.clone(), meta.clone()))
        })
    })
}
