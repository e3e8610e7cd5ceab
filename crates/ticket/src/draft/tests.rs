use super::*;

fn draft() -> TicketDraft {
    TicketDraft { title: "t".to_owned(), description: "d".to_owned(), ..TicketDraft::default() }
}

fn code<T>(result: Result<T, Refusal>) -> Option<&'static str> {
    result.err().map(|refusal| refusal.code())
}

#[test]
fn fields_are_taken_up_to_their_bound_and_refused_past_it() {
    let title = |chars| TicketDraft { title: "é".repeat(chars), ..draft() }.check();
    assert_eq!((code(title(255)), code(title(256))), (None, Some("invalid_title")));
    let description = |chars| TicketDraft { description: "é".repeat(chars), ..draft() }.check();
    let codes = (code(description(20_000)), code(description(20_001)));
    assert_eq!(codes, (None, Some("invalid_description")));
    let content = |chars| CommentDraft { content: "é".repeat(chars), ..CommentDraft::default() };
    let codes = (code(content(10_000).check()), code(content(10_001).check()));
    assert_eq!(codes, (None, Some("invalid_content")));
    let said = |chars| reason(Some("é".repeat(chars)));
    assert_eq!((code(said(1_000)), code(said(1_001))), (None, Some("invalid_reason")));
    let files = |count| vec![File { url: "https://x/y".into(), name: "y".into(), size: 1 }; count];
    let ticket = |count| TicketDraft { attachments: files(count), ..draft() }.check();
    assert_eq!((code(ticket(5)), code(ticket(6))), (None, Some("invalid_attachments")));
    let comment = |count| CommentDraft { attachments: files(count), ..content(1) }.check();
    assert_eq!((code(comment(3)), code(comment(4))), (None, Some("invalid_attachments")));
    let ids = |count: u128| bulk_ids(&(0..count).map(TicketId::new).collect::<Vec<_>>());
    assert_eq!(
        (code(ids(100)), code(ids(101)), code(ids(0))),
        (None, Some("invalid_ids"), Some("invalid_ids"))
    );
}

#[test]
fn metadata_is_measured_as_json() {
    let metadata = |chars: usize| {
        let map = Map::from_iter([("k".to_owned(), "x".repeat(chars).into())]);
        code(TicketDraft { metadata: Some(map), ..draft() }.check())
    };
    let frame = r#"{"k":""}"#.len();
    assert_eq!(metadata(METADATA_BYTES_MAX - frame), None);
    assert_eq!(metadata(METADATA_BYTES_MAX - frame + 1), Some("invalid_metadata"));
    let nul = serde_json::json!({ "a": [{ "b": "\0" }] });
    let nul = nul.as_object().cloned();
    let refused = TicketDraft { metadata: nul, ..draft() }.check();
    assert_eq!(code(refused), Some("invalid_metadata"));
}

#[test]
fn empty_null_and_unknown_are_refused() {
    for (draft, expected) in [
        (TicketDraft { title: " \t".into(), ..draft() }, "invalid_title"),
        (TicketDraft { title: "a\0".into(), ..draft() }, "invalid_title"),
        (TicketDraft { description: String::new(), ..draft() }, "invalid_description"),
        (TicketDraft { category: Some("other".into()), ..draft() }, "invalid_category"),
        (TicketDraft { priority: Some("Low".into()), ..draft() }, "invalid_priority"),
        (TicketDraft { user_id: Some(String::new()), ..draft() }, "invalid_user_id"),
        (
            TicketDraft {
                guest: Some(Guest { name: "g".into(), email: "nowhere".into() }),
                ..draft()
            },
            "invalid_guest",
        ),
        (
            TicketDraft {
                attachments: vec![File {
                    url: "javascript:alert(1)".into(),
                    name: "x".into(),
                    size: 1,
                }],
                ..draft()
            },
            "invalid_attachments",
        ),
    ] {
        assert_eq!(code(draft.check()), Some(expected));
    }
    let both = Guest { name: "g".into(), email: "g@x".into() };
    let both = TicketDraft { user_id: Some("u".into()), guest: Some(both), ..draft() };
    assert_eq!(code(both.check()), Some("invalid_guest"));
}

#[test]
fn patch_tells_absent_from_null_from_a_value() {
    let patch = |text| serde_json::from_str::<TicketPatch>(text).unwrap();
    assert_eq!(patch("{}").check(), Ok(Changes::default()));
    assert_eq!(patch(r#"{"metadata":null}"#).check().unwrap().metadata, Some(Map::new()));
    assert_eq!(patch(r#"{"title":"x"}"#).check().unwrap().title.as_deref(), Some("x"));
    assert_eq!(code(patch(r#"{"title":null}"#).check()), Some("invalid_title"));
    assert_eq!(code(patch(r#"{"status":null}"#).check()), Some("invalid_status"));
    assert!(serde_json::from_str::<TicketPatch>(r#"{"slug":"x"}"#).is_err());
    let bulk = |text| serde_json::from_str::<BulkPatch>(text).unwrap().check().unwrap();
    assert_eq!(bulk("{}").assignee_id, None);
    assert_eq!(bulk(r#"{"assigned_to_id":null}"#).assignee_id, Some(None));
}
