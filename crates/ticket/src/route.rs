//! Who is told what: the topics of an event, and what goes to each audience there.

use std::collections::BTreeMap;

use penholder_lease::PersonId;

use crate::event::EventName;
use crate::id::TicketId;
use crate::person::Audience;
use crate::ticket::Ticket;

/// The topic that has every ticket; for the staff.
pub const ALL_TOPIC: &str = "tickets:all";

/// What all topics begin with.
const TOPICS: &str = "tickets:";

/// What the topics of people begin with.
pub const PERSON_TOPICS: &str = "tickets:user:";

/// Longest name that a topic may have. Unit: bytes.
pub const TOPIC_BYTES_MAX: usize = 200;

/// What a byte begins with that is no letter of names.
const ESCAPE: char = '~';

/// Returns the topic of a person: their tickets, and for the staff those that are assigned to them. There is none
/// where its name would be too long, which takes an id of more than 187 bytes, each `~XX` counted as three.
#[must_use]
pub fn user_topic(user: &PersonId) -> Option<String> {
    let topic = format!("{PERSON_TOPICS}{}", segment(user));
    (topic.len() <= TOPIC_BYTES_MAX && topic.len() > PERSON_TOPICS.len()).then_some(topic)
}

/// Writes the id of a person as a segment of a topic: each byte of it that is none of `A-Z a-z 0-9 _ . -` as `~XX`.
fn segment(user: &PersonId) -> String {
    let mut segment = String::with_capacity(user.as_str().len());
    for byte in user.as_str().bytes() {
        if is_plain(byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("{ESCAPE}{byte:02X}"));
        }
    }
    segment
}

/// Reads the segment that names a person in a topic. Each person has one: any other spelling names nobody.
#[must_use]
pub fn person_of(name: &str) -> Option<PersonId> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'~' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            other => other,
        });
    }
    let user = PersonId::from(String::from_utf8(bytes).ok()?);
    (!name.is_empty() && segment(&user) == name).then_some(user)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

/// Returns the topic of a ticket.
#[must_use]
pub fn ticket_topic(ticket: TicketId) -> String {
    format!("{TOPICS}{ticket}")
}

/// Returns the ticket whose own topic this is; none where it is any other topic.
#[must_use]
pub fn ticket_of(topic: &str) -> Option<TicketId> {
    TicketId::parse(topic.strip_prefix(TOPICS)?)
}

/// The topics of an event, each once, and who of those there is told.
pub(crate) type Routes = BTreeMap<String, Audience>;

/// Returns where an event about a ticket goes; `audience` is who may know of it at all.
pub(crate) fn routes(name: EventName, ticket: &Ticket, audience: Audience) -> Routes {
    let mut routes = Routes::from([(ticket_topic(ticket.id), audience)]);
    if name != EventName::Collision {
        routes.insert(ALL_TOPIC.to_owned(), audience);
    }
    let owner_is_told = !matches!(name, EventName::InternalNoteCreated | EventName::Collision);
    let owner = ticket.user_id.as_ref().filter(|_| owner_is_told);
    if let Some(topic) = owner.and_then(user_topic) {
        routes.insert(topic, audience);
    }
    routes
}

/// Adds the topics of agents, who are staff there. A topic of one who is also the owner stays public.
pub(crate) fn add_agents<'a>(routes: &mut Routes, agents: impl Iterator<Item = &'a PersonId>) {
    for topic in agents.filter_map(user_topic) {
        routes.entry(topic).or_insert(Audience::Staff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_have_topics_by_whatever_id() {
        let topic = |id: &str| user_topic(&id.into());
        for (id, expected) in [
            ("ann", "tickets:user:ann"),
            ("A_b.c-9", "tickets:user:A_b.c-9"),
            ("ann@desk.test", "tickets:user:ann~40desk.test"),
            ("auth0|7", "tickets:user:auth0~7C7"),
            ("a b:c~d", "tickets:user:a~20b~3Ac~7Ed"),
            ("Zoë", "tickets:user:Zo~C3~AB"),
        ] {
            assert_eq!(topic(id).as_deref(), Some(expected));
        }
        assert_eq!(topic(&"x".repeat(187)).map(|it| it.len()), Some(TOPIC_BYTES_MAX));
        for none in ["", &"x".repeat(188), &"@".repeat(63)] {
            assert_eq!(topic(none), None, "{none}");
        }
    }

    #[test]
    fn topic_of_a_ticket_names_it_and_no_other_does() {
        let ticket = TicketId::new(7);
        assert_eq!(ticket_of(&ticket_topic(ticket)), Some(ticket));
        let topic = ticket_topic(ticket);
        for other in [ALL_TOPIC, "tickets:user:ann", "tickets:", &topic[1..], &format!("{topic}:a")]
        {
            assert_eq!(ticket_of(other), None, "{other}");
        }
    }

    #[test]
    fn another_spelling_names_nobody() {
        assert_eq!(person_of("ann~40x"), Some("ann@x".into()));
        for name in
            ["", "~", "~4", "a~", "~7c", "~zz", "~61nn", "~2E", "~FF", "~C3", "a@b", "ann ~40"]
        {
            assert_eq!(person_of(name), None, "{name}");
        }
    }
}
