//! Deliberate faults of the driver, to show that each checker bites.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::observer::Message;

/// What the driver does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A diff is lost on its way.
    DropDiff,
    /// A diff arrives twice.
    RepeatDiff,
    /// A snapshot arrives after the diff that follows it.
    DiffFirst,
    /// Somebody who has left is shown again.
    Resurrect,
    /// One who joins is taken out of the diff.
    HideJoin,
    /// The two halves of an update arrive one after the other.
    SplitUpdate,
    /// A summary is sent again.
    Chatter,
    /// A summary names the last instead of the first.
    Favour,
    /// The shard is not told that a connection is lost.
    ForgetLoss,
    /// A broadcast is lost.
    DropBroadcast,
    /// A join reply names another session.
    Misname,
}

impl Fault {
    /// What a client receives instead of `message`; `held` is a snapshot that waits.
    pub(crate) fn tamper(self, mut message: Message, held: &mut Option<Message>) -> Vec<Message> {
        let again = message.clone();
        let is_update = |diff: &Value| diff["joins"] != json!({}) && diff["leaves"] != json!({});
        match (self, message.event.as_str()) {
            (Self::DropDiff, "presence_diff") | (Self::DropBroadcast, "cursor") => Vec::new(),
            (Self::RepeatDiff, "presence_diff") | (Self::Chatter, "presence_summary") => {
                vec![message, again]
            }
            (Self::DiffFirst, "presence_state") => {
                *held = Some(message);
                Vec::new()
            }
            (Self::DiffFirst, "presence_diff") => {
                [Some(message), held.take()].into_iter().flatten().collect()
            }
            (Self::Resurrect, "presence_diff") if message.payload["joins"] == json!({}) => {
                let mut back = again;
                back.payload = Rc::new(json!({"joins": message.payload["leaves"], "leaves": {}}));
                vec![message, back]
            }
            (Self::HideJoin, "presence_diff") if message.payload["leaves"] == json!({}) => {
                Vec::new()
            }
            (Self::SplitUpdate, "presence_diff") if is_update(&message.payload) => {
                let mut second = again;
                Rc::make_mut(&mut second.payload)["leaves"] = json!({});
                Rc::make_mut(&mut message.payload)["joins"] = json!({});
                vec![message, second]
            }
            (Self::Favour, "presence_summary") => {
                let last = message.payload["presences"].as_array().and_then(|all| all.last());
                let last = last.cloned().unwrap_or_default();
                Rc::make_mut(&mut message.payload)["prior_user_presence"] = last;
                vec![message]
            }
            (Self::Misname, "phx_reply") if message.payload["session"].is_string() => {
                Rc::make_mut(&mut message.payload)["session"] = json!("somebody else");
                vec![message]
            }
            _ => vec![message],
        }
    }
}
