//! The life of one ticket: acts drawn at random, and what they have left.

#![expect(clippy::unwrap_used, reason = "what is drawn is as it must be, or the test fails")]

use penholder_lease::{Fence, Kind, Person, Role, StoreMs};
use penholder_ticket::{
    Actor, Assignee, Audience, Changed, Comment, CommentDraft, CommentId, Event, Occasion, Refusal,
    Rules, Status, StatusChange, Ticket, TicketDraft, TicketId, TicketPatch, bulk_update,
    collision,
};
use proptest::prelude::*;
use serde_json::json;

use super::CANARY;

/// Something that is done to the ticket, if it allows it.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Title(u8),
    Metadata(u8),
    Priority(usize),
    Transition(usize),
    Assign(Option<&'static str>),
    Bulk(usize),
    Comment { internal: bool, parent: usize },
    Edit(usize, u8),
    Remove(usize),
    Collide,
}

impl Act {
    pub(crate) fn is_for_the_staff(&self) -> bool {
        matches!(self, Self::Metadata(_) | Self::Comment { internal: true, .. } | Self::Collide)
    }
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<u8>().prop_map(Act::Title),
        any::<u8>().prop_map(Act::Metadata),
        (0..4_usize).prop_map(Act::Priority),
        (0..6_usize).prop_map(Act::Transition),
        prop::sample::select(vec![None, Some("eve"), Some("zoe"), Some("carl")])
            .prop_map(Act::Assign),
        (0..6_usize).prop_map(Act::Bulk),
        (any::<bool>(), 0..4_usize)
            .prop_map(|(internal, parent)| Act::Comment { internal, parent }),
        (0..8_usize, any::<u8>()).prop_map(|(place, text)| Act::Edit(place, text)),
        (0..8_usize).prop_map(Act::Remove),
        Just(Act::Collide),
    ]
}

pub(crate) fn actor(id: &str) -> Actor {
    let role = if id == "carl" { Role::Customer } else { Role::Admin };
    Actor { person: Person { id: id.into(), name: id.to_uppercase(), kind: Kind::Human }, role }
}

/// An agent, whose id the public must not be told; their name it may.
pub(crate) fn agent(id: &str) -> Assignee {
    Assignee { id: id.into(), name: id.to_uppercase() }
}

pub(crate) fn occasion(by: &Actor, at: u64) -> Occasion<'_> {
    Occasion { by, at: StoreMs(at) }
}

pub(crate) fn ticket(id: u128, owner: Option<&str>, occasion: Occasion<'_>) -> Changed {
    let draft = TicketDraft {
        title: "a".to_owned(),
        description: "d".to_owned(),
        user_id: owner.map(str::to_owned),
        metadata: json!({ "k": CANARY }).as_object().cloned(),
        ..TicketDraft::default()
    };
    Ticket::create(draft.check().unwrap(), (TicketId::new(id), "a".to_owned()), occasion)
}

pub(crate) fn try_comment(
    id: u128,
    is_internal: bool,
    (ticket, parent): (&Ticket, Option<&Comment>),
    occasion: Occasion<'_>,
) -> Result<(Comment, Ticket, Event), Refusal> {
    let content = if is_internal { CANARY } else { "hello" }.to_owned();
    let parent_id = parent.map(|parent| parent.id.to_string());
    let draft = CommentDraft { content, parent_id, is_internal, ..CommentDraft::default() };
    Comment::create(draft.check().unwrap(), CommentId::new(id), (ticket, parent), occasion)
}

pub(crate) fn comment(
    id: u128,
    is_internal: bool,
    on: (&Ticket, Option<&Comment>),
    occasion: Occasion<'_>,
) -> (Comment, Event) {
    let (comment, _, event) = try_comment(id, is_internal, on, occasion).unwrap();
    (comment, event)
}

/// What acts have left.
pub(crate) struct Life {
    pub(crate) ticket: Ticket,
    pub(crate) comments: Vec<Comment>,
    pub(crate) history: Vec<StatusChange>,
    pub(crate) events: Vec<Event>,
    at: u64,
}

impl Life {
    /// Lives through the acts. Those for the staff take no time, and ids go by what the public can count.
    pub(crate) fn of(acts: &[Act]) -> Self {
        let by = actor("root");
        let Changed { ticket, history, events } = ticket(1, Some("carl"), occasion(&by, 1));
        let mut life = Self { ticket, comments: Vec::new(), history, events, at: 1 };
        for act in acts {
            life.at += u64::from(!act.is_for_the_staff());
            life.live(act, occasion(&by, life.at));
        }
        life
    }

    fn live(&mut self, act: &Act, now: Occasion<'_>) {
        let rules = Rules::default();
        let patch = |text: serde_json::Value| {
            serde_json::from_value::<TicketPatch>(text).unwrap().check().unwrap()
        };
        match act {
            Act::Title(n) => self.keep(self.ticket.update(
                &patch(json!({ "title": format!("t{n}") })),
                rules,
                now,
            )),
            Act::Metadata(n) => {
                let patch = patch(json!({ "metadata": { "n": n, "k": CANARY } }));
                self.keep(self.ticket.update(&patch, rules, now));
            }
            Act::Priority(n) => {
                let word = penholder_ticket::Priority::ALL[*n].as_str();
                self.keep(self.ticket.update(&patch(json!({ "priority": word })), rules, now));
            }
            Act::Transition(n) => {
                self.keep(self.ticket.transition((Status::ALL[*n], None), rules, now));
            }
            Act::Assign(to) => self.keep(Ok(self.ticket.assign(to.map(agent).as_ref(), now))),
            Act::Bulk(n) => {
                let text = json!({ "status": Status::ALL[*n].as_str(), "category": "billing" });
                let patch: penholder_ticket::BulkPatch = serde_json::from_value(text).unwrap();
                let changes = patch.check().unwrap();
                if let Ok(all) =
                    bulk_update(vec![self.ticket.clone()], (&changes, None), rules, now)
                {
                    all.into_iter().for_each(|changed| self.keep(Ok(changed)));
                }
            }
            Act::Comment { internal, parent } => self.comment(*internal, *parent, now),
            Act::Edit(place, text) => {
                let (place, text) = (self.public(*place), format!("e{text}"));
                let Some(place) = place else { return };
                let (comment, event) = self.comments[place]
                    .edit(text, &self.ticket, now)
                    .unwrap_or((self.comments[place].clone(), None));
                self.comments[place] = comment;
                self.events.extend(event);
            }
            Act::Remove(place) => {
                let Some(place) = self.public(*place) else { return };
                if let Ok((ticket, event)) = self.comments[place].delete(&self.ticket, now) {
                    self.comments.remove(place);
                    self.ticket = ticket;
                    self.events.push(event);
                }
            }
            Act::Collide => {
                let holder = actor(CANARY).person;
                self.events.push(collision(&self.ticket, (&holder, Fence(7)), None, now));
            }
        }
    }

    fn keep(&mut self, changed: Result<Changed, Refusal>) {
        if let Ok(Changed { ticket, history, events }) = changed {
            self.ticket = ticket;
            self.history.extend(history);
            self.events.extend(events);
        }
    }

    fn comment(&mut self, internal: bool, parent: usize, now: Occasion<'_>) {
        let count = self.comments.len() + self.events.len();
        // An id of a public comment must not tell how many notes there are.
        let public = self.public_comments().count() as u128 + u128::from(now.at.0) * 100;
        let id = if internal { u128::MAX - count as u128 } else { public };
        let parent = match internal {
            true => self.comments.get(parent),
            false => self.public_comments().nth(parent),
        };
        let on = (&self.ticket, parent);
        if let Ok((comment, ticket, event)) = try_comment(id, internal, on, now) {
            self.ticket = ticket;
            self.comments.push(comment);
            self.events.push(event);
        }
    }

    fn public_comments(&self) -> impl Iterator<Item = &Comment> {
        self.comments.iter().filter(|comment| comment.audience == Audience::Public)
    }

    /// The place of the nth public comment among all.
    fn public(&self, nth: usize) -> Option<usize> {
        let id = self.public_comments().nth(nth)?.id;
        self.comments.iter().position(|comment| comment.id == id)
    }

    /// What the public hears, topic by topic.
    pub(crate) fn public_stream(&self) -> Vec<(String, String)> {
        let mut stream = Vec::new();
        for event in &self.events {
            for route in event.routes.iter().filter(|route| route.audience == Audience::Public) {
                let body = &route.own.as_ref().unwrap_or(&event.bodies).public;
                stream.push((route.topic.clone(), body.clone().unwrap()));
            }
        }
        stream
    }
}
