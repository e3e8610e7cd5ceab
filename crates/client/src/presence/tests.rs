use penholder_protocol::{Json, JsonLimits, Payload};

use super::{Anomaly, Fold, FoldError};

fn json(text: &str) -> Json {
    Json::parse(text, &JsonLimits::WIDEST).unwrap()
}

/// `"ann:1,2 bob:3"` is what two keys with three metas look like.
fn metas(short: &str) -> String {
    let entries: Vec<String> = short
        .split_whitespace()
        .map(|entry| {
            let (key, refs) = entry.split_once(':').unwrap();
            let refs = refs.split(',').filter(|phx_ref| !phx_ref.is_empty());
            let metas: Vec<String> =
                refs.map(|phx_ref| format!("{{\"phx_ref\":\"{phx_ref}\"}}")).collect();
            format!("\"{key}\":{{\"metas\":[{}]}}", metas.join(","))
        })
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn state(fold: &mut Fold, short: &str) {
    fold.apply_state(&json(&metas(short))).unwrap();
}

fn diff(fold: &mut Fold, joins: &str, leaves: &str) {
    let text = format!("{{\"joins\":{},\"leaves\":{}}}", metas(joins), metas(leaves));
    fold.apply_diff(&json(&text)).unwrap();
}

fn shown(fold: &Fold) -> String {
    let pairs: Vec<String> =
        fold.refs().iter().map(|(key, phx_ref)| format!("{key}:{phx_ref}")).collect();
    pairs.join(" ")
}

fn strict(short: &str) -> Fold {
    let mut fold = Fold::strict();
    state(&mut fold, short);
    fold
}

#[test]
fn state_replaces_everything() {
    let mut fold = strict("ann:1,2 bob:3");
    assert_eq!(shown(&fold), "ann:1 ann:2 bob:3");
    state(&mut fold, "cy:4");
    assert_eq!(shown(&fold), "cy:4");
    assert_eq!(fold.take_anomalies(), []);
}

#[test]
fn diffs_join_then_leave() {
    let mut fold = strict("ann:1");
    diff(&mut fold, "ann:2 bob:3", "ann:1");
    assert_eq!(shown(&fold), "ann:2 bob:3");
    diff(&mut fold, "", "ann:2 bob:3");
    assert_eq!(fold.keys().count(), 0);
    assert_eq!(fold.take_anomalies(), []);
}

#[test]
fn update_keeps_the_other_sessions_of_the_key_in_order() {
    let mut fold = strict("ann:1,2");
    diff(&mut fold, "ann:3", "ann:1");
    let metas: Vec<&str> = fold.metas("ann").map(Json::as_str).collect();
    assert_eq!(metas, [r#"{"phx_ref":"2"}"#, r#"{"phx_ref":"3"}"#]);
    assert_eq!(fold.metas("nobody").count(), 0);
}

#[test]
fn diff_before_the_first_state_waits_for_it() {
    let mut fold = Fold::strict();
    diff(&mut fold, "bob:2", "ann:1");
    assert!(!fold.is_synced());
    assert_eq!(shown(&fold), "");
    state(&mut fold, "ann:1");
    assert_eq!(shown(&fold), "bob:2");
    assert_eq!(fold.take_anomalies(), [Anomaly::DiffBeforeState]);
}

#[test]
fn rejoin_waits_for_a_state_again() {
    let mut fold = strict("ann:1");
    fold.desync();
    assert_eq!(shown(&fold), "ann:1");
    diff(&mut fold, "bob:2", "");
    assert_eq!(shown(&fold), "ann:1");
    state(&mut fold, "ann:1");
    assert_eq!(shown(&fold), "ann:1 bob:2");
}

#[test]
fn diff_sent_twice_is_noted() {
    let mut fold = strict("ann:1");
    for _ in 0..2 {
        diff(&mut fold, "bob:2", "ann:1");
    }
    let anomalies = fold.take_anomalies();
    let (bob, ann) = ("bob".to_owned(), "ann".to_owned());
    assert_eq!(
        anomalies,
        [
            Anomaly::JoinOfPresent { key: bob, phx_ref: "2".to_owned() },
            Anomaly::LeaveOfAbsent { key: ann, phx_ref: "1".to_owned() },
        ]
    );
    assert_eq!(shown(&fold), "bob:2");
    assert_eq!(fold.take_anomalies(), []);
}

#[test]
fn ref_of_two_metas_is_noted() {
    let twice = |key: &str, phx_ref: &str| Anomaly::RefTwice {
        key: key.to_owned(),
        phx_ref: phx_ref.to_owned(),
    };
    let mut in_state = strict("ann:1 bob:1");
    assert_eq!(in_state.take_anomalies(), [twice("bob", "1")]);
    let mut over_time = strict("ann:1");
    diff(&mut over_time, "bob:1", "");
    assert_eq!(over_time.take_anomalies(), [twice("bob", "1")]);
    let mut in_one_entry = strict("ann:1,1");
    assert_eq!(in_one_entry.take_anomalies(), [twice("ann", "1")]);
}

#[test]
fn key_without_metas_is_noted_and_not_shown() {
    let mut fold = strict("ann:");
    diff(&mut fold, "bob:", "cy:");
    let none = |key: &str| Anomaly::NoMeta { key: key.to_owned() };
    assert_eq!(fold.take_anomalies(), [none("ann"), none("bob"), none("cy")]);
    assert_eq!(fold.keys().count(), 0);
}

#[test]
fn lenient_fold_notes_nothing() {
    let mut fold = Fold::default();
    state(&mut fold, "ann:1 bob:1");
    diff(&mut fold, "ann:1", "cy:9");
    assert_eq!(fold.take_anomalies(), []);
    assert_eq!(shown(&fold), "ann:1 bob:1");
}

#[test]
fn broken_events_change_nothing() {
    let mut fold = strict("ann:1");
    let broken = Payload::Json(json(r#"{"bob":{"metas":[{}]}}"#));
    assert_eq!(
        fold.apply("presence_state", &broken),
        Err(FoldError::NoRef { key: "bob".to_owned() })
    );
    let no_leaves = Payload::Json(json(r#"{"joins":{}}"#));
    assert!(matches!(fold.apply("presence_diff", &no_leaves), Err(FoldError::Shape(_))));
    let binary = Payload::Binary(bytes::Bytes::new());
    assert_eq!(fold.apply("presence_diff", &binary), Err(FoldError::Binary));
    assert_eq!(fold.apply("moved", &binary), Ok(()));
    assert_eq!(shown(&fold), "ann:1");
}
