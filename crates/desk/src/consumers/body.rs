//! An event as consumers get it: the same bytes for each of them, at every attempt.

use std::collections::BTreeMap;

use penholder_lease::StoreMs;
use penholder_ticket::Moment;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::StoreError;
use crate::row::unsigned;
use crate::statement::from_row;

/// A row of the log.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) id: String,
    entity_type: String,
    entity_id: String,
    op: String,
    data: String,
    previous_data: Option<String>,
    /// None where the clock did it.
    identity_id: Option<String>,
    is_signed_in: i64,
    pub(super) traceparent: Option<String>,
    occurred_ms: i64,
    topic: Option<String>,
    seq: Option<i64>,
    /// What has happened to a pen, and why.
    change: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
}

/// The columns of [`Logged`] of the view `written`, to be continued.
macro_rules! select_logged {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.entity_type, e.entity_id, e.op, e.data, e.previous_data, e.identity_id,
                 e.is_signed_in, e.traceparent, e.occurred_ms, e.topic, e.seq AS log_seq, e.change,
                 e.rule, e.reason",
            $rest
        )
    };
}

pub(super) use select_logged;

from_row!(Logged, |row| {
    Ok(Self {
        id: row.try_get("id")?,
        entity_type: row.try_get("entity_type")?,
        entity_id: row.try_get("entity_id")?,
        op: row.try_get("op")?,
        data: row.try_get("data")?,
        previous_data: row.try_get("previous_data")?,
        identity_id: row.try_get("identity_id")?,
        is_signed_in: row.try_get("is_signed_in")?,
        traceparent: row.try_get("traceparent")?,
        occurred_ms: row.try_get("occurred_ms")?,
        topic: row.try_get("topic")?,
        seq: row.try_get("log_seq")?,
        change: row.try_get("change")?,
        rule: row.try_get("rule")?,
        reason: row.try_get("reason")?,
    })
});

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_name: &'a str,
    occurred_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_id: Option<&'a str>,
    target: Target<'a>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change<'a>>,
}

/// What has happened to a pen: its rows alone do not say why.
#[derive(Serialize)]
struct Change<'a> {
    r#type: &'a str,
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    id: &'a str,
    r#type: String,
    data: Fields<'a>,
    previous_data: Option<Fields<'a>>,
}

/// The fields of a row; their values stay as they were written.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Logged {
    /// Returns what the event is called.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.entity_type, self.op)
    }

    /// Returns the line that it waits in.
    pub(super) fn line(&self) -> String {
        match &self.topic {
            Some(topic) => topic.clone(),
            None => format!("{}:{}", self.entity_type, self.entity_id),
        }
    }

    /// Returns its place in the line.
    pub(super) fn seq(&self) -> i64 {
        self.seq.unwrap_or_default()
    }

    pub(super) fn occurred_ms(&self) -> i64 {
        self.occurred_ms
    }

    /// Returns the event.
    pub(super) fn body(&self) -> Result<String, StoreError> {
        let wrong = |error| sqlx::Error::Decode(Box::new(error));
        let change = self.change.as_deref().zip(self.rule.as_deref());
        let body = Body {
            event_name: &self.name(),
            occurred_at: Moment(StoreMs(unsigned(self.occurred_ms)?)),
            identity_id: self.identity_id.as_deref().filter(|_| self.is_signed_in != 0),
            target: Target {
                id: &self.entity_id,
                r#type: camel(&self.entity_type, true),
                data: fields(&self.data)?,
                previous_data: self.previous_data.as_deref().map(fields).transpose()?,
            },
            id: &self.id,
            topic: self.topic.as_deref(),
            seq: self.seq,
            change: change.map(|(r#type, rule)| Change {
                r#type,
                rule,
                reason: self.reason.as_deref(),
            }),
        };
        Ok(serde_json::to_string(&body).map_err(wrong)?)
    }
}

fn fields(row: &str) -> Result<Fields<'_>, sqlx::Error> {
    let fields: Fields<'_> =
        serde_json::from_str(row).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(fields.into_iter().map(|(name, value)| (camel(&name, false), value)).collect())
}

/// Writes a `snake_case` name in one word.
fn camel(name: &str, mut upper: bool) -> String {
    let mut word = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                word.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => word.push(letter),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_on_top_and_values_nowhere() {
        let row = Logged {
            id: "e".to_owned(),
            entity_type: "support_message".to_owned(),
            entity_id: "m".to_owned(),
            op: "updated".to_owned(),
            data: r#"{"assigned_to_id":"u2","metadata":{"a_b":1.0,"z":[ 1 ]},"version":2}"#
                .to_owned(),
            previous_data: Some(r#"{"assigned_to_id":null}"#.to_owned()),
            identity_id: Some("u1".to_owned()),
            is_signed_in: 1,
            traceparent: None,
            occurred_ms: 1_767_323_045_678,
            topic: Some("tickets:t".to_owned()),
            seq: Some(17),
            change: None,
            rule: None,
            reason: None,
        };
        let expected = concat!(
            r#"{"eventName":"support_message.updated","occurredAt":"2026-01-02T03:04:05.678Z","#,
            r#""identityId":"u1","target":{"id":"m","type":"SupportMessage","data":{"assignedToId":"u2","#,
            r#""metadata":{"a_b":1.0,"z":[ 1 ]},"version":2},"previousData":{"assignedToId":null}},"#,
            r#""id":"e","topic":"tickets:t","seq":17}"#
        );
        assert_eq!(row.body().unwrap(), expected);
        let guest = Logged { is_signed_in: 0, previous_data: None, ..row };
        let body = guest.body().unwrap();
        assert!(!body.contains("identityId") && body.contains(r#""previousData":null"#), "{body}");
    }
}
