use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Broadcast, Certainty, Fence, JoinPayload, JoinReply, Kind, Limits, Mode, Pen, PenAcquire,
    PenAcquireReply, PenDraft, PenHeld, PenState, PresenceDiff, PresenceMeta, PresenceMode,
    PresenceSummary, PresenceUpdate, PresenceUpdateReply, Role, Since, Status, SummaryPerson,
    TokenRefresh, TtlMs, Typing, TypingAudience, UserCard, ViewerSummary,
};
use crate::json::{Json, JsonLimits, PayloadError};

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, PayloadError> {
    Json::parse(text, &JsonLimits::default()).unwrap().parse_into()
}

fn text(value: &impl Serialize) -> String {
    Json::of(value).as_str().to_owned()
}

fn ann() -> SummaryPerson {
    SummaryPerson {
        key: "ann".to_owned(),
        user: Json::of(&UserCard {
            id: "ann".to_owned(),
            name: "Ann".to_owned(),
            role: Role::Agent,
            kind: Kind::Human,
            avatar: None,
        }),
        joined_at: 5,
        active_sessions: 1,
        mode: Mode::Edit,
        status: Status::Active,
    }
}

fn viewer_summary() -> ViewerSummary {
    ViewerSummary {
        summary: PresenceSummary {
            presences: vec![ann()],
            prior_user_presence: Some(ann()),
            prior_session: Some("s1".to_owned()),
            certainty: Certainty::Provisional,
            count: 1,
            full: true,
        },
        current_user_presence: None,
        has_presence_edit_priority: false,
        priority_in_session: None,
    }
}

#[test]
fn join_without_anything_has_the_defaults() {
    for empty in [
        "{}",
        r#"{"mode":null,"presence":null,"meta":null,"since":null,"resume":null}"#,
        r#"{"role":"admin","user":"root","config":{"broadcast":{"self":true}}}"#,
    ] {
        assert_eq!(parse::<JoinPayload>(empty).unwrap(), JoinPayload::default(), "{empty}");
    }
    assert_eq!(JoinPayload::default().presence, PresenceMode::Show);
    assert_eq!(text(&JoinPayload::default()), "{}");
}

#[test]
fn presence_is_a_switch_or_a_word() {
    for (value, mode) in [
        ("true", PresenceMode::Show),
        ("false", PresenceMode::Off),
        ("\"receive\"", PresenceMode::Receive),
    ] {
        let join: JoinPayload = parse(&format!("{{\"presence\":{value}}}")).unwrap();
        assert_eq!(join.presence, mode);
        assert_eq!(text(&mode), value);
    }
    for value in ["\"show\"", "1", "{}", "[]"] {
        assert!(parse::<JoinPayload>(&format!("{{\"presence\":{value}}}")).is_err(), "{value}");
    }
}

#[test]
fn since_that_can_never_have_been_seen_still_parses() {
    for (value, since) in [
        ("0", Since::After(0)),
        ("18446744073709551615", Since::After(u64::MAX)),
        ("18446744073709551616", Since::Impossible),
        ("-1", Since::Impossible),
        ("1.5", Since::Impossible),
        ("1e3", Since::Impossible),
        ("\"7\"", Since::Impossible),
        ("{}", Since::Impossible),
    ] {
        let join: JoinPayload = parse(&format!("{{\"since\":{value}}}")).unwrap();
        assert_eq!(join.since, Some(since), "{value}");
    }
}

#[test]
fn wrong_types_say_what_is_wanted() {
    let error = parse::<JoinPayload>(r#"{"mode":"admin"}"#).unwrap_err();
    assert!(error.detail.contains("`edit` or `view`"), "{error}");
    for no_object in ["[]", "5", "\"a\"", "null"] {
        assert!(parse::<JoinPayload>(no_object).is_err(), "{no_object}");
    }
    assert!(parse::<Typing>(r#"{"on":1}"#).is_err());
    assert!(parse::<Typing>("{}").is_err());
    let error = parse::<Typing>(r#"{"on":true,"audience":"public"}"#).unwrap_err();
    assert!(error.detail.contains("expected `staff`"), "{error}");
    assert!(parse::<PresenceUpdate>(r#"{"activity":"sleeping"}"#).is_err());
}

#[test]
fn typing_is_for_everybody_unless_it_says_staff() {
    for everybody in [r#"{"on":true}"#, r#"{"on":true,"audience":null}"#] {
        assert_eq!(parse::<Typing>(everybody).unwrap().audience, None, "{everybody}");
    }
    let staff = r#"{"on":true,"audience":"staff"}"#;
    let typing: Typing = parse(staff).unwrap();
    assert_eq!(typing.audience, Some(TypingAudience::Staff));
    assert_eq!(text(&typing), staff);
    assert_eq!(text(&Typing { audience: None, ..typing }), r#"{"on":true}"#);
    for wrong in ["\"\"", "\"Staff\"", "\"public\"", "true", "1", "[\"staff\"]", "{}"] {
        let payload = format!("{{\"on\":true,\"audience\":{wrong}}}");
        assert!(parse::<Typing>(&payload).is_err(), "{wrong}");
    }
}

#[test]
fn meta_is_kept_as_the_client_wrote_it() {
    let join: JoinPayload = parse(r#"{"meta": { "color": "red" } }"#).unwrap();
    assert_eq!(join.meta.unwrap().as_str(), r#"{ "color": "red" }"#);
}

#[test]
fn updates_tell_given_fields_from_absent_ones() {
    let update: PresenceUpdate = parse(r#"{"unsaved":false,"input":true,"other":1}"#).unwrap();
    assert_eq!(update.unsaved, Some(false));
    assert_eq!(update.input, Some(true));
    assert_eq!((update.meta, update.activity, update.visible), (None, None, None));
    let shown = PresenceUpdateReply { reference: Some("F1".to_owned()) };
    assert_eq!(text(&shown), r#"{"ref":"F1"}"#);
    assert_eq!(text(&PresenceUpdateReply { reference: None }), r#"{"ref":null}"#);
}

#[test]
fn broadcast_goes_to_the_others_unless_it_says_self() {
    let broadcast: Broadcast = parse(r#"{"event":"moved","payload":{"x":1}}"#).unwrap();
    assert_eq!(broadcast.to_self, None);
    assert_eq!(broadcast.payload.as_str(), r#"{"x":1}"#);
    let to_self: Broadcast = parse(r#"{"event":"moved","self":true}"#).unwrap();
    assert_eq!(to_self.to_self, Some(true));
    assert_eq!(to_self.payload, Json::empty_object());
}

#[test]
fn viewer_summary_is_one_flat_object_and_reads_back() {
    let summary = viewer_summary();
    let expected = r#"{"presences":[{"key":"ann","user":{"id":"ann","name":"Ann","role":"agent","kind":"human","avatar":null},"joined_at":5,"active_sessions":1,"mode":"edit","status":"active"}],"prior_user_presence":{"key":"ann","user":{"id":"ann","name":"Ann","role":"agent","kind":"human","avatar":null},"joined_at":5,"active_sessions":1,"mode":"edit","status":"active"},"prior_session":"s1","certainty":"provisional","count":1,"full":true,"current_user_presence":null,"has_presence_edit_priority":false,"priority_in_session":null}"#;
    assert_eq!(text(&summary), expected);
    assert_eq!(parse::<ViewerSummary>(expected).unwrap(), summary);
}

#[test]
fn join_reply_shows_every_field_and_reads_back() {
    let reply = JoinReply {
        session: "s1".to_owned(),
        resume: "secret".to_owned(),
        key: "ann".to_owned(),
        joined_at: 5,
        mode: Mode::Edit,
        seq: 0,
        recovered: None,
        summary: Some(viewer_summary()),
        pen: None,
        limits: Limits::default(),
    };
    let sent = text(&reply);
    for part in ["\"recovered\":null", "\"pen\":null", "\"message_max\":65536", "\"seq\":0"] {
        assert!(sent.contains(part), "{part}");
    }
    assert_eq!(parse::<JoinReply>(&sent).unwrap(), reply);
}

#[test]
fn diffs_and_metas_read_back() {
    let meta = r#"{"color":"red","phx_ref":"F1","joined_at":5,"session":"s1","user":{},"mode":"view","status":"hidden","activity":"editing","unsaved":false,"idle_since":null}"#;
    let sent = format!(r#"{{"joins":{{"ann":{{"metas":[{meta}]}}}},"leaves":{{}}}}"#);
    let diff: PresenceDiff = parse(&sent).unwrap();
    assert_eq!(text(&diff), sent);
    let read: PresenceMeta = diff.joins["ann"].metas[0].parse_into().unwrap();
    assert_eq!((&*read.phx_ref, read.mode, read.status), ("F1", Mode::View, Status::Hidden));
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let join = JoinPayload { resume: Some("secret".to_owned()), ..JoinPayload::default() };
    let token = TokenRefresh { token: "secret".to_owned() };
    assert!(!format!("{join:?} {token:?}").contains("secret"));
}

#[test]
fn words_are_read_back() {
    assert_eq!("ai".parse(), Ok(Kind::Ai));
    assert_eq!("guest".parse(), Ok(Role::Guest));
    assert_eq!(Role::default(), Role::Customer);
    assert_eq!(Status::Reconnecting.to_string(), "reconnecting");
    assert!("Admin".parse::<Role>().is_err());
}

#[test]
fn a_fence_is_a_string_and_nothing_else() {
    let held: PenHeld = parse(r#"{"fence":"9007199254740993"}"#).unwrap();
    assert_eq!(held.fence, Fence((1 << 53) + 1));
    assert_eq!(text(&held), r#"{"fence":"9007199254740993"}"#);
    for wrong in ["7", "null", "\"\"", "\"07\"", "\"-1\"", "\"7 \"", "\"18446744073709551616\""] {
        let error = parse::<PenHeld>(&format!("{{\"fence\":{wrong}}}")).unwrap_err();
        assert!(error.detail.contains("fence"), "{wrong}: {error}");
    }
    assert!(parse::<PenHeld>("{}").is_err());
}

#[test]
fn a_ttl_that_no_pen_can_have_parses_to_be_refused_by_its_own_code() {
    let ttl = |text: &str| parse::<PenAcquire>(text).unwrap().ttl_ms;
    assert_eq!(ttl("{}"), None);
    assert_eq!(ttl(r#"{"ttl_ms":null}"#), None);
    assert_eq!(ttl(r#"{"ttl_ms":1000}"#), Some(TtlMs::Of(1000)));
    assert_eq!(ttl(r#"{"ttl_ms":0}"#), Some(TtlMs::Of(0)));
    for impossible in ["-1", "1.5", "\"x\"", "\"1000\"", "1e3", "{}", "100000000000000000000"] {
        let payload = format!("{{\"ttl_ms\":{impossible}}}");
        assert_eq!(ttl(&payload), Some(TtlMs::Impossible), "{impossible}");
    }
}

#[test]
fn a_place_is_absent_null_or_a_number() {
    let pen = Pen {
        state: PenState::Free,
        holder: None,
        session: None,
        fence: Fence(0),
        since: None,
        deadline: None,
        queue: Vec::new(),
    };
    for (place, is) in [(None, None), (Some(None), Some("null")), (Some(Some(2)), Some("2"))] {
        let reply = PenAcquireReply { granted: false, pen: pen.clone(), receipt: None, place };
        let wire = text(&reply);
        let shown = wire.split_once("\"place\":").map(|(_, rest)| rest.trim_end_matches('}'));
        assert_eq!(shown, is, "{wire}");
        assert_eq!(parse::<PenAcquireReply>(&wire).unwrap(), reply);
    }
}

#[test]
fn a_draft_is_not_shown_by_debug() {
    let draft: PenDraft = parse(r#"{"draft":"secret words"}"#).unwrap();
    assert!(!format!("{draft:?}").contains("secret"));
}
