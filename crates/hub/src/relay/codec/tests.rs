use penholder_lease::{Event as PenChange, EventKind, Fence, Lease, Rule, StoreMs};
use proptest::prelude::*;

use super::*;
use crate::PenNews;

fn envelope(event: Event) -> Envelope {
    let topic = TopicName::parse("doc:1").unwrap();
    Envelope { from: ReplicaId::new("one-0", Incarnation(300)), seq: 9, topic, event }
}

fn broadcast(payload: Content) -> Event {
    Event::Broadcast(Broadcast { event: EventName::parse("cursor").unwrap(), payload })
}

fn events() -> Vec<Event> {
    let (key, session) = ("ann".to_owned(), "s1".to_owned());
    let ticket = |public| TicketNews {
        seq: 7,
        name: "comment_created".to_owned(),
        staff: json(r#"{"seq":7,"a":[1]}"#).unwrap(),
        public,
        then: Then::GoesOn,
    };
    let ends = TicketNews { then: Then::Ends, ..ticket(None) };
    let pen = PenNews {
        seq: 4,
        event: PenChange {
            kind: EventKind::Expired,
            rule: Rule::Expired,
            by: None,
            fence: Fence(3),
            at: StoreMs(1_700_000_000_000),
            reason: Some("why".to_owned()),
            pen: Lease::default().view(StoreMs(0)),
        },
    };
    vec![
        broadcast(Content::Json(json(r#"{"x":[1,"ü"]}"#).unwrap())),
        broadcast(Content::Binary(Bytes::from_static(&[0, 255]))),
        Event::Typing(TypingEvent {
            key: key.clone(),
            session: session.clone(),
            on: true,
            audience: Some(TypingAudience::Staff),
        }),
        Event::Typing(TypingEvent { key, session, on: true, audience: None }),
        Event::News(Box::new(News::Pen(pen))),
        Event::At(u64::MAX),
        Event::Kick(SessionId::from("s1")),
        Event::News(Box::new(News::Ticket(ticket(Some((4, json(r#"{"seq":4}"#).unwrap())))))),
        Event::News(Box::new(News::Ticket(ends))),
    ]
}

#[test]
fn what_is_written_is_read() {
    for event in events() {
        let written = envelope(event);
        let read = Envelope::decode(&written.encode()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        assert_eq!(read.encode(), written.encode());
    }
}

#[test]
fn the_format_is_pinned() {
    let written = envelope(Event::Kick(SessionId::from("s1"))).encode();
    assert_eq!(&written[..], b"\x01\x05one-0\xac\x02\x09\x05doc:1\x04\x02s1");
    let typing = |audience| {
        let (key, session) = ("ann".to_owned(), "s1".to_owned());
        envelope(Event::Typing(TypingEvent { key, session, on: true, audience })).encode()
    };
    let head = &b"\x01\x05one-0\xac\x02\x09\x05doc:1"[..];
    assert_eq!(typing(None), [head, b"\x01\x03ann\x02s1\x01"].concat());
    let staff = typing(Some(TypingAudience::Staff));
    assert_eq!(staff, [head, b"\x06\x03ann\x02s1\x01"].concat());
}

#[test]
fn what_is_cut_off_or_goes_on_is_no_event() {
    for event in events() {
        let whole = envelope(event).encode();
        for length in 0..whole.len() {
            let read = Envelope::decode(&whole[..length]);
            assert_eq!(read.err(), Some(RelayError::Truncated), "{length} of {whole:?}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(Envelope::decode(&longer).err(), Some(RelayError::Malformed));
    }
}

#[test]
fn another_version_is_not_read() {
    for event in events() {
        let mut bytes = envelope(event).encode().to_vec();
        for version in [0, VERSION + 1, u8::MAX] {
            bytes[0] = version;
            let read = Envelope::decode(&bytes);
            assert_eq!(read.err(), Some(RelayError::UnknownVersion(version)));
        }
    }
}

#[test]
fn names_and_payloads_are_held_to_their_rules() {
    let long = "x".repeat(300);
    let typing = |key, session| Kind::Typing { key, session, on: true };
    let for_staff = |key, session| Kind::StaffTyping { key, session, on: true };
    let said = |event, text| Kind::Broadcast { event, content: Body::Json(text) };
    let ticket =
        |name, staff, public| Kind::Ticket { seq: 2, name, staff, public, then: Then::GoesOn };
    let message = |name, topic, event| Message { name, incarnation: 1, seq: 1, topic, event };
    let bad = [
        message("one-0", "doc:1", Kind::Kick(&long)),
        message("one-0", "no topic", Kind::Kick("s1")),
        message(&long, "doc:1", Kind::Kick("s1")),
        message("one-0", "doc:1", typing(&long, "s1")),
        message("one-0", "doc:1", typing("ann", &long)),
        message("one-0", "doc:1", for_staff(&long, "s1")),
        message("one-0", "doc:1", for_staff("ann", &long)),
        message("one-0", "doc:1", said("presence_diff", "{}")),
        message("one-0", "doc:1", said("cursor", "{")),
        message("one-0", "doc:1", Kind::Pen("{}")),
        message("one-0", "tickets:1", ticket("Phx reply", "{}", None)),
        message("one-0", "tickets:1", ticket("collision", "[", None)),
        message("one-0", "tickets:1", ticket("collision", "{}", Some((2, "1")))),
        message("one-0", "tickets:1", ticket("collision", "{}", Some((3, "{}")))),
    ];
    for message in bad {
        let bytes = postcard::to_extend(&message, vec![VERSION]).unwrap();
        assert_eq!(Envelope::decode(&bytes).err(), Some(RelayError::Malformed), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_an_event(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        place in 0_usize..200,
        which in 0_usize..9,
    ) {
        let whole = envelope(events().swap_remove(which)).encode();
        bytes.splice(0..0, whole[..place.min(whole.len())].iter().copied());
        // Varints may be written in longer ways than ours; what is read is an event all the same.
        if let Ok(event) = Envelope::decode(&bytes) {
            let again = Envelope::decode(&event.encode());
            prop_assert_eq!(format!("{:?}", again.unwrap()), format!("{:?}", event));
        }
    }
}
